//! HTTP/1.1 through proxies, over a socket that is not one.

use crate::tasks::Polled;
use crate::transport::{CHUNKED, Wire, send_by};
use bytes::Bytes;
use http::Request;
use sansse::feed::Http1;
use sansse::net::{Failure, FailureKind, Proxies, Proxy};

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn through(wire: &Wire) -> Http1<Wire> {
    let proxy = Proxy::new("http://user:secret@proxy.example:3128").unwrap();
    Http1::new(wire.clone()).with_proxies(Proxies::all(proxy).except("direct.example"))
}

fn targets(wire: &Wire) -> Vec<(String, u16, bool)> {
    let state = wire.state.lock().unwrap();
    state.targets.iter().map(|at| (at.host.clone(), at.port, at.secure)).collect()
}

const CREDENTIALS: &str = "proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n";

#[test]
fn what_http_asks_for_goes_to_the_proxy_with_the_whole_url() {
    for (url, first_line, host) in [
        (
            "http://example.org/events?a=b",
            "GET http://example.org/events?a=b HTTP/1.1\r\n",
            "example.org",
        ),
        ("http://example.org:80", "GET http://example.org/ HTTP/1.1\r\n", "example.org"),
        ("http://[::1]:8080/x", "GET http://[::1]:8080/x HTTP/1.1\r\n", "[::1]:8080"),
    ] {
        let wire = Wire::default();
        let mut request = get(url);
        request.headers_mut().insert("proxy-authorization", "Basic other".parse().unwrap());
        let mut task = send_by(through(&wire), request);
        let written = wire.written();
        assert!(written.starts_with(first_line), "{written}");
        assert!(written.contains(&format!("host: {host}\r\n")), "{written}");
        assert_eq!(written.matches("proxy-authorization").count(), 1, "{written}");
        assert!(written.contains(CREDENTIALS), "{written}");
        assert_eq!(targets(&wire), [("proxy.example".to_owned(), 3128, false)]);

        wire.bring(CHUNKED);
        wire.bring("5\r\nhello\r\n");
        let mut body = Polled::new(task.output().unwrap().unwrap().into_body());
        assert_eq!(body.drain(), [Ok(Bytes::from("hello"))]);
        assert!(wire.state.lock().unwrap().secured.is_empty());
    }
}

#[test]
fn what_https_asks_for_goes_through_a_tunnel_in_which_the_proxy_reads_nothing() {
    for (url, authority, host) in [
        ("https://example.org/events", "example.org:443", "example.org"),
        ("https://[::1]:8443/events", "[::1]:8443", "::1"),
    ] {
        let wire = Wire::default();
        let mut request = get(url);
        request.headers_mut().insert("authorization", "Bearer token".parse().unwrap());
        let mut task = send_by(through(&wire), request);
        let asked =
            format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{CREDENTIALS}\r\n");
        assert_eq!(wire.written(), asked);
        assert_eq!(targets(&wire), [("proxy.example".to_owned(), 3128, false)]);

        // A length in it means nothing (RFC 9110, 9.3.6).
        wire.bring("HTTP/1.1 200 Connection established\r\ncontent-length: 10\r\n\r\n");
        assert!(task.output().is_none());
        assert_eq!(wire.state.lock().unwrap().secured, [(host.to_owned(), asked)]);
        let written = wire.written();
        assert!(written.starts_with("GET /events HTTP/1.1\r\n"), "{written}");
        assert!(written.contains("authorization: Bearer token\r\n"), "{written}");
        assert!(!written.contains("proxy-authorization"), "{written}");
        wire.bring(CHUNKED);
        assert_eq!(task.output().unwrap().unwrap().status(), 200);
    }
}

#[test]
fn an_exception_is_reached_without_a_proxy() {
    let wire = Wire::default();
    let _task = send_by(through(&wire), get("http://direct.example/events"));
    assert!(wire.written().starts_with("GET /events HTTP/1.1\r\n"));
    assert!(!wire.written().contains("proxy-authorization"));
    assert_eq!(targets(&wire), [("direct.example".to_owned(), 80, false)]);
    // By default there is none at all.
    let _task = send_by(Http1::new(wire.clone()), get("http://example.org/events"));
    assert_eq!(targets(&wire)[1], ("example.org".to_owned(), 80, false));
}

fn refused(answer: &'static str) -> Failure {
    let wire = Wire::default();
    let mut task = send_by(through(&wire), get("https://example.org/events"));
    wire.bring(answer);
    wire.bring("");
    let failure = task.output().unwrap().unwrap_err();
    assert!(wire.state.lock().unwrap().secured.is_empty(), "nothing was told to the host");
    assert!(failure.detail().starts_with("by the proxy proxy.example, port 3128: "), "{failure}");
    assert!(failure.kind().is_before_request());
    failure
}

#[test]
fn a_tunnel_that_is_refused_or_does_not_come_about_says_what_the_proxy_said() {
    for (answer, kind, said) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            FailureKind::ProxyRefused,
            "it answered 407",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\nno", FailureKind::ProxyRefused, "it answered 403"),
        ("HTTP/1.1 302 Found\r\nlocation: http://evil/\r\n\r\n", FailureKind::ProxyRefused, "302"),
        (
            "HTTP/1.1 502 Bad Gateway\r\n\r\nwhy",
            FailureKind::Connect,
            "it answered 502 Bad Gateway",
        ),
        ("HTTP/1.1 429 Slow Down\r\n\r\n", FailureKind::Connect, "it answered 429"),
        ("SSH-2.0-server\r\n", FailureKind::Connect, "not HTTP"),
        ("", FailureKind::Connect, "without a response"),
        // The host has been told nothing yet, so that this is none of its words.
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", FailureKind::Connect, "bytes came"),
    ] {
        let failure = refused(answer);
        assert_eq!(failure.kind(), kind, "{failure}");
        assert!(failure.detail().contains(said), "{failure}");
        assert_eq!(failure.kind().is_lasting(), kind == FailureKind::ProxyRefused);
    }
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    for url in ["http://example.org/", "https://example.org/"] {
        for (kind, detail) in [(FailureKind::Resolve, "unknown"), (FailureKind::Connect, "")] {
            let wire = Wire::default();
            wire.state.lock().unwrap().unreachable = Some(Failure::new(kind).with_detail(detail));
            let failure = send_by(through(&wire), get(url)).output().unwrap().unwrap_err();
            assert_eq!(failure.kind(), kind);
            let said = if detail.is_empty() { "no connection came about" } else { detail };
            let expected = format!("by the proxy proxy.example, port 3128: {said}");
            assert_eq!(failure.detail(), expected);
        }
    }
}

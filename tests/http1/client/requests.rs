//! How requests are written, and which are not.

use super::{ClientConnectionConfig, client_for};
use bytes::Bytes;
use http::{Method, Request};
use sansse::Fault;
use sansse::http1::{ClientConnection, InvalidRequest, ResponsePart};

fn try_written(request: &Request<Bytes>) -> Result<String, InvalidRequest> {
    let mut client = ClientConnection::new(request, ClientConnectionConfig::default())?;
    let mut written = Vec::new();
    while let Some(bytes) = client.poll_transmit() {
        assert!(!bytes.is_empty(), "nothing is written in vain");
        written.extend_from_slice(&bytes);
    }
    Ok(String::from_utf8(written).unwrap())
}

#[track_caller]
fn written(request: http::request::Builder, body: &'static str) -> String {
    try_written(&request.body(Bytes::from_static(body.as_bytes())).unwrap()).unwrap()
}

/// The request line and the `Host` of a GET.
#[track_caller]
fn asked(url: &str) -> String {
    let written = written(Request::get(url), "");
    let lines = written.strip_suffix("connection: close\r\n\r\n").expect("the usual end");
    lines.strip_prefix("GET ").expect("the method").replace(" HTTP/1.1\r\nhost:", "")
}

#[test]
fn a_request_is_a_line_the_host_the_headers_and_the_body() {
    let request = Request::get("http://a.example/events?topic=news")
        .header("Accept", "text/event-stream")
        .header("X-Two", "one")
        .header("X-Two", "two")
        .header("Last-Event-ID", "é");
    assert_eq!(
        written(request, ""),
        "GET /events?topic=news HTTP/1.1\r\nhost: a.example\r\naccept: text/event-stream\r\n\
         x-two: one\r\nx-two: two\r\nlast-event-id: é\r\nconnection: close\r\n\r\n"
    );
    let request = Request::post("https://a.example/chat").header("content-type", "text/plain");
    assert_eq!(
        written(request, "hello"),
        "POST /chat HTTP/1.1\r\nhost: a.example\r\ncontent-type: text/plain\r\n\
         content-length: 5\r\nconnection: close\r\n\r\nhello"
    );
}

#[test]
fn the_host_has_the_port_unless_it_goes_without_saying() {
    for (url, target_and_host) in [
        ("http://a", "/ a"),
        ("http://a/", "/ a"),
        ("http://a:80/", "/ a"),
        ("https://a:443/", "/ a"),
        ("http://a:/", "/ a"),
        ("http://a:443/", "/ a:443"),
        ("https://a:80/", "/ a:80"),
        ("http://a:8080/b", "/b a:8080"),
        ("http://A.Example/", "/ A.Example"),
        ("http://127.0.0.1:1/", "/ 127.0.0.1:1"),
        ("http://[::1]/", "/ [::1]"),
        ("http://[::1]:80/", "/ [::1]"),
        ("http://[::1]:8080/", "/ [::1]:8080"),
        ("http://[fe80::1%25eth0]:8080/", "/ [fe80::1]:8080"),
        ("other://a:80/", "/ a:80"),
        ("a.example:80", "/ a.example:80"),
    ] {
        assert_eq!(asked(url), target_and_host.to_owned() + "\r\n", "{url}");
    }
}

#[test]
fn a_host_that_is_given_is_sent_once_and_comes_first() {
    for url in ["http://a:8080/b", "http://user@a/b", "/b"] {
        let request = Request::get(url).header("x", "y").header("host", "given:1");
        assert_eq!(
            written(request, ""),
            "GET /b HTTP/1.1\r\nhost: given:1\r\nx: y\r\nconnection: close\r\n\r\n"
        );
    }
}

#[test]
fn the_target_is_a_path_and_a_query_in_ascii() {
    assert_eq!(asked("http://a?b=c"), "/?b=c a\r\n");
    assert_eq!(asked("http://a/?"), "/? a\r\n");
    assert_eq!(asked("http://a/b#c"), "/b a\r\n");
    assert_eq!(asked("http://a/é%20\"?ü"), "/%C3%A9%20\"?%C3%BC a\r\n");
    let all = Request::options("*").header("host", "a");
    assert!(written(all, "").starts_with("OPTIONS * HTTP/1.1\r\nhost: a\r\n"));
}

#[test]
fn headers_of_the_connection_and_of_framing_are_not_the_callers() {
    let request = Request::post("http://a/")
        .header("connection", "keep-alive, x-kept")
        .header("keep-alive", "timeout=5")
        .header("transfer-encoding", "chunked")
        .header("content-length", "1000")
        .header("te", "trailers")
        .header("trailer", "x")
        .header("upgrade", "h2c")
        .header("proxy-connection", "keep-alive")
        .header("expect", "100-continue")
        .header("x-kept", "1")
        .version(http::Version::HTTP_2);
    assert_eq!(
        written(request, "hi"),
        "POST / HTTP/1.1\r\nhost: a\r\nx-kept: 1\r\ncontent-length: 2\r\n\
         connection: close\r\n\r\nhi"
    );
}

#[test]
fn a_length_is_said_where_there_is_a_body_or_one_is_expected() {
    for (method, body, length) in [
        ("GET", "", None),
        ("HEAD", "", None),
        ("DELETE", "", None),
        ("REPORT", "", None),
        ("POST", "", Some(0)),
        ("PUT", "", Some(0)),
        ("PATCH", "", Some(0)),
        ("GET", "abc", Some(3)),
        ("REPORT", "abc", Some(3)),
    ] {
        let written = written(Request::builder().method(method).uri("http://a/"), body);
        let line = length.map(|length| format!("content-length: {length}\r\n"));
        assert_eq!(
            written,
            format!(
                "{method} / HTTP/1.1\r\nhost: a\r\n{}connection: close\r\n\r\n{body}",
                line.unwrap_or_default()
            )
        );
    }
}

#[test]
fn a_large_body_is_written_behind_the_head_and_is_not_copied() {
    let body = Bytes::from(vec![b'x'; 100_000]);
    let request = Request::post("http://a/").body(body.clone()).unwrap();
    let mut client = ClientConnection::new(&request, ClientConnectionConfig::default()).unwrap();
    assert!(
        client
            .poll_transmit()
            .unwrap()
            .ends_with(b"content-length: 100000\r\nconnection: close\r\n\r\n")
    );
    let written = client.poll_transmit().unwrap();
    assert_eq!((written.as_ptr(), written.len()), (body.as_ptr(), body.len()));
    assert_eq!(client.poll_transmit(), None);
}

#[test]
fn what_cannot_be_asked_is_the_callers_fault() {
    let refused = |request: http::request::Builder, body: &'static str, error: InvalidRequest| {
        let request = request.body(Bytes::from_static(body.as_bytes())).unwrap();
        assert_eq!(try_written(&request), Err(error), "{request:?}");
        assert_eq!(error.fault(), Fault::Caller);
    };
    let get = |url: &str| Request::get(url);
    refused(Request::connect("a:443"), "", InvalidRequest::Method);
    refused(Request::builder().method(Method::TRACE).uri("http://a/"), "x", InvalidRequest::Method);
    refused(get("*").header("host", "a"), "", InvalidRequest::Target);
    refused(get("/path"), "", InvalidRequest::Host);
    refused(get("http://a:99999/"), "", InvalidRequest::Host);
    refused(get("http://a:b/"), "", InvalidRequest::Host);
    refused(get("http://a/").header("host", "a").header("host", "a"), "", InvalidRequest::Host);
    for host in ["", "a b", "a/b", "user@a"] {
        refused(get("http://a/").header("host", host), "", InvalidRequest::Host);
    }
    for url in ["http://user@a/", "http://user:password@a/"] {
        refused(get(url), "", InvalidRequest::Userinfo);
    }
}

#[test]
fn a_proxy_is_asked_for_the_whole_url_with_the_path_as_it_is() {
    let written = |request: &Request<Bytes>| {
        let config = ClientConnectionConfig::default();
        let mut client = ClientConnection::through_proxy(request, None, config)?;
        Ok::<_, InvalidRequest>(String::from_utf8(client.poll_transmit().unwrap().into()).unwrap())
    };
    let get = |url: &str| Request::get(url).header("x", "y").body(Bytes::new()).unwrap();
    assert_eq!(
        written(&get("http://a.example:8080/é?b")).unwrap(),
        "GET http://a.example:8080/%C3%A9?b HTTP/1.1\r\nhost: a.example:8080\r\nx: y\r\n\
         connection: close\r\n\r\n"
    );
    // What the request says of the host is for the server; a proxy goes by the URL.
    let mut other = get("http://a/?b");
    other.headers_mut().insert("host", "virtual".parse().unwrap());
    assert!(written(&other).unwrap().starts_with("GET http://a/?b HTTP/1.1\r\nhost: virtual\r\n"));
    assert_eq!(written(&get("/path")), Err(InvalidRequest::Target));
    assert_eq!(written(&get("http://user@a/")), Err(InvalidRequest::Userinfo));
}

#[test]
fn a_tunnel_is_asked_for_by_host_and_port_and_is_over_with_the_head_of_the_answer() {
    let config = ClientConnectionConfig::default();
    let asked = |host: &str| {
        let mut client = ClientConnection::connect(host, 443, None, config)?;
        Ok::<_, InvalidRequest>(String::from_utf8(client.poll_transmit().unwrap().into()).unwrap())
    };
    for (host, authority) in [
        ("a.example", "a.example:443"),
        ("127.0.0.1", "127.0.0.1:443"),
        ("::1", "[::1]:443"),
        ("fe80::1%eth0", "[fe80::1]:443"),
    ] {
        let expected = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        assert_eq!(asked(host), Ok(expected));
    }
    for host in ["", "a b", "a\r\nx: y", "user@a", "a/b", "a:b:c\r\n", "%"] {
        assert_eq!(asked(host), Err(InvalidRequest::Host), "{host:?}");
    }

    let mut client = ClientConnection::connect("a", 1, None, config).unwrap();
    client.handle_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let Some(Ok(ResponsePart::Head(head))) = client.poll_response() else { panic!("no head") };
    assert_eq!(head.status(), 200);
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::End))));
    assert!(client.poll_response().is_none());
}

#[test]
fn a_request_is_not_written_on_once_its_answer_is_complete() {
    for answer in ["HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "nonsense"] {
        let request = Request::post("http://a/").body(Bytes::from(vec![b'x'; 100_000])).unwrap();
        let mut client =
            ClientConnection::new(&request, ClientConnectionConfig::default()).unwrap();
        client.poll_transmit().unwrap();
        client.handle_data(answer.as_bytes());
        assert_eq!(client.poll_transmit(), None);
    }
    let mut client = client_for(Method::GET, ClientConnectionConfig::default());
    client.handle_data(b"HTTP/1.1 200 OK\r\n\r\n");
    assert!(client.poll_transmit().is_some(), "a response that goes on may wait for the request");
}

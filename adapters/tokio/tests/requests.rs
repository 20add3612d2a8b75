//! Plain answers: keep-alive, pipelining, bodies, and handlers of all kinds.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod common;

use common::{
    LAST_CHUNK, OPENING, chunk, config, header, request, start, start_with, start_with_head,
};
use sansse::Event;
use sansse::broker::{Audience, EndReason};
use sansse::http::{Cors, Hosts, ResponseHead};
use sansse::http1::ServerConnectionConfig;
use std::fmt::Write;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let server = start().await;
    let mut client = server.connect().await;
    for number in 1..=5 {
        client.send(request("/")).await;
        let (head, body) = client.read_answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!((header(&head, "connection"), &*body), (None, "page"));
        assert_eq!(server.counters.snapshot().requests, number);
    }
    assert_eq!(server.counters.snapshot().accepted, 1);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let rest = client.read_to_end().await;
    assert!(rest.contains("\r\nconnection: close\r\n") && rest.ends_with("page"), "{rest}");
    drop(client);
    server.counted(|counted| counted.open == 0).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let server = start().await;
    let mut client = server.connect().await;
    let mut requests = String::new();
    for number in 0..200 {
        let body = format!("number {number}");
        let length = body.len();
        write!(
            requests,
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    }
    // In two, so that one is cut in the middle.
    let (first, second) = requests.split_at(requests.len() / 3);
    client.send(first).await;
    client.send(second).await;
    for number in 0..200 {
        assert_eq!(client.answered("200 OK").await, format!("number {number}"));
    }
}

#[tokio::test]
async fn a_slow_answer_holds_back_those_behind_it() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send(request("/slow") + &request("/")).await;
    assert_eq!(client.answered("200 OK").await, "late");
    assert_eq!(client.answered("200 OK").await, "page");
}

#[tokio::test]
async fn a_stream_may_follow_a_plain_answer_and_is_the_last() {
    let server = start().await;
    let mut client = server.get("/").await;
    assert_eq!(client.answered("200 OK").await, "page");
    client.send(request("/events")).await;
    let head = client.read_stream_head().await;
    assert_eq!(header(&head, "connection"), Some("close"));
    client.expect(OPENING).await;
    assert!(server.hub.close_session(server.sessions()[0]));
    assert_eq!(client.read_to_end().await, LAST_CHUNK);
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_the_same() {
    let server = start().await;
    let mut client = server.connect().await;
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answered("200 OK").await, "abcde");
}

#[tokio::test]
async fn a_body_that_is_expected_is_asked_for_and_echoed() {
    let server = start().await;
    let mut client = server.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    client.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("hello").await;
    assert_eq!(client.answered("200 OK").await, "hello");
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let server = start().await;
    let mut client = server.connect().await;
    let body = "0123456789".repeat(100_000);
    let length = body.len();
    client
        .send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"))
        .await;
    client.send(&body).await;
    assert!(client.answered("200 OK").await == body);
    client.send(request("/large")).await;
    assert_eq!(client.answered("200 OK").await.len(), 8 << 20);
    client.send(request("/")).await;
    assert_eq!(client.answered("200 OK").await, "page");
}

#[tokio::test]
async fn a_peer_that_ends_its_side_still_gets_what_is_ready_at_once() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send(request("/") + &request("/")).await;
    client.socket.shutdown().await.unwrap();
    assert_eq!(client.answered("200 OK").await, "page");
    assert_eq!(client.answered("200 OK").await, "page");
    assert_eq!(client.read_to_end().await, "");
    server.counted(|counted| counted.open == 0).await;
}

#[tokio::test]
async fn a_head_request_is_answered_without_a_body() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send(format!("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n{}", request("/"))).await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.answered("200 OK").await, "page");
}

#[tokio::test]
async fn an_old_peer_that_wants_to_stay_may() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let (head, body) = client.read_answer().await;
    assert_eq!((header(&head, "connection"), &*body), (Some("keep-alive"), "page"));
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let rest = client.read_to_end().await;
    assert!(rest.contains("\r\nconnection: close\r\n") && rest.ends_with("page"), "{rest}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_nobody_is_blamed() {
    let http = ServerConnectionConfig::default()
        .with_idle_time(Duration::from_millis(100))
        .with_linger_time(Duration::from_millis(100));
    let server = start_with(config(), |server| server.with_http(http)).await;
    let mut client = server.get("/").await;
    assert_eq!(client.answered("200 OK").await, "page");
    assert_eq!(client.read_to_end().await, "");
    server.counted(|counted| counted.open == 0).await;
    let counted = server.counters.snapshot();
    assert_eq!((counted.slow_heads, counted.bad_requests), (0, 0));
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_connection_and_no_other() {
    let server = start().await;
    let mut other = server.subscribe().await;
    for path in ["/panic", "/panic-at-once"] {
        let mut client = server.get(path).await;
        assert_eq!(client.read_to_end().await, "");
        server.counted(|counted| counted.open == 1).await;
    }
    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    other.expect(chunk("id: beef-1\ndata: a\n\n")).await;
    let mut client = server.get("/").await;
    assert_eq!(client.answered("200 OK").await, "page");
}

#[tokio::test]
async fn a_request_carries_its_peers_address_though_the_peer_is_gone() {
    let server = start().await;
    let client = server.connect().await;
    let address = client.socket.local_addr().unwrap();
    server.counted(|counted| counted.open == 1).await;
    // The request and the reset are both there before the server's task has its turn.
    client.socket.try_write(request("/peer").as_bytes()).unwrap();
    socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    server.counted(|counted| counted.open == 0).await;
    assert_eq!(server.peers(), [Some(address)]);
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_a_stream_and_opens_none() {
    let server = start().await;
    let mut client = server.connect().await;
    // Of one that is accepted, and of one that the application opens whatever the method is.
    for path in ["/events", "/unasked"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client.send(request("/")).await;
        let head = client.read_through("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
        assert_eq!(header(&head, "content-length"), None, "a stream has none");
        assert_eq!(client.answered("200 OK").await, "page");
    }
    assert_eq!(server.hub.counters().resumed.total(), 1, "the one that was not asked for");
    assert_eq!((server.hub.counters().sessions, server.counters.snapshot().streams), (0, 0));
}

#[tokio::test]
async fn a_line_end_behind_a_body_does_not_end_the_stream_that_answers_it() {
    let server = start().await;
    let mut client = server.connect().await;
    let head = "POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    client.send(format!("{head}x\r\n")).await;
    client.read_stream_head().await;
    client.expect(OPENING).await;
    // Also where it comes late, and in pieces.
    for byte in *b"\r\n" {
        client.send([byte]).await;
        client.hears_nothing().await;
    }
    let published = server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    client.expect(published.frame().chunk()).await;
    client.send("GET").await;
    server.ended(&[EndReason::Disconnected]).await;
    server.counted(|counted| counted.junk_after_stream == 1).await;
}

#[tokio::test]
async fn every_answer_has_the_date() {
    let server = start().await;
    for bytes in
        [request("/"), request("/events"), "HEAD / HTTP/1.0\r\n\r\n".into(), "x\r\n\r\n".into()]
    {
        let before = SystemTime::now();
        let mut client = server.connect().await;
        client.send(&bytes).await;
        let head = client.read_head().await;
        let date = httpdate::parse_http_date(header(&head, "date").unwrap()).unwrap();
        let second = Duration::from_secs(1);
        assert!(date + second > before && date <= SystemTime::now(), "{head}");
    }
}

#[tokio::test]
async fn a_request_for_another_host_or_of_a_page_of_another_origin_gets_403() {
    let head = ResponseHead::new().with_cors(Cors::origins(["https://reader.example"]).unwrap());
    let hosts = Hosts::new().with_name("app.example").unwrap();
    let server = start_with_head(head, |server| server.with_hosts(hosts)).await;
    let address = server.address.to_string();
    let ask = async |host: &str, origin: Option<&str>, path: &str| {
        let mut client = server.connect().await;
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n")).await;
        client.read_head().await.split(' ').nth(1).unwrap().to_owned()
    };
    let own = format!("http://{address}");
    for path in ["/", "/events"] {
        for (host, origin, status) in [
            (&*address, None, "200"),
            (&*address, Some(&*own), "200"),
            ("app.example", Some("https://app.example"), "200"),
            ("app.example", Some("https://reader.example"), "200"),
            ("app.example", Some("https://evil.example"), "403"),
            (&*address, Some("http://127.0.0.1:1"), "403"),
            (&*address, Some("null"), "403"),
            // What a browser sends when the name was rebound to this address.
            ("evil.example", Some("http://evil.example"), "403"),
            ("evil.example", None, "403"),
        ] {
            assert_eq!(ask(host, origin, path).await, status, "{path} {host} {origin:?}");
        }
    }
    server.counted(|counted| counted.foreign == 10 && counted.requests == 8).await;
    assert_eq!(server.sessions().len(), 4);
}

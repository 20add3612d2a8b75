//! What peers get that ask for what cannot be, or do what they must not.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod common;

use common::{
    Client, LAST_CHUNK, Running, chunk, config, dechunk, header, request, start, start_with,
};
use sansse::Event;
use sansse::broker::{Audience, EndReason};
use sansse::http1::ServerConnectionConfig;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Sends `bytes` and reads the one answer that the connection has left.
async fn refused(server: &Running, bytes: impl AsRef<[u8]>) -> String {
    let mut client = server.connect().await;
    client.send(bytes).await;
    let answer = client.read_to_end().await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    answer
}

fn get_with(path: &str, header: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n")
}

#[tokio::test]
async fn a_method_that_asks_for_no_stream_gets_405_with_those_that_do() {
    let server = start().await;
    let mut client = server.connect().await;
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "FETCH"] {
        client.send(format!("{method} /events HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let (head, _) = client.read_answer().await;
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{head}");
        assert_eq!(header(&head, "allow"), Some("GET, HEAD, POST"));
    }
    assert!(server.sessions().is_empty());
}

#[tokio::test]
async fn an_accept_header_that_rules_streams_out_gets_406() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send(get_with("/events", "Accept: text/html")).await;
    client.answered("406 Not Acceptable").await;
    client.send(get_with("/events", "Accept: text/html, */*;q=0.1")).await;
    client.read_stream_head().await;
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test]
async fn a_head_over_its_limits_gets_431() {
    let http = ServerConnectionConfig::default().with_max_head_size(1000).with_max_headers(10);
    let server = start_with(config(), |server| server.with_http(http)).await;
    let long = get_with("/", &format!("A: {}", "x".repeat(1000)));
    let many = get_with("/", &["A: b"; 11].join("\r\n"));
    for (number, bytes) in [long, many].into_iter().enumerate() {
        let answer = refused(&server, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        server.counted(|counted| counted.bad_requests == number as u64 + 1).await;
    }
    // A peer that never stops is told as well, and cut off.
    let mut client = server.connect().await;
    client.send("x".repeat(1 << 20)).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 431 "));
    assert_eq!(server.counters.snapshot().requests, 0);
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_is_closed_without_a_word_and_counted() {
    let http = ServerConnectionConfig::default().with_head_time(Duration::from_millis(200));
    let server = start_with(config(), |server| server.with_http(http)).await;
    let began = Instant::now();
    let mut silent = server.connect().await;
    let mut halfway = server.connect().await;
    halfway.send("GET / HTTP/1.1\r\nHost").await;
    assert_eq!(silent.read_to_end().await, "");
    assert_eq!(halfway.read_to_end().await, "");
    assert!(began.elapsed() >= Duration::from_millis(200));
    server.counted(|counted| counted.slow_heads == 2 && counted.open == 0).await;

    // Each byte is no new beginning.
    let began = Instant::now();
    let trickle = server.connect().await;
    let drips = async {
        loop {
            let _ = trickle.socket.try_write(b"x");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let counted = server.counted(|counted| counted.slow_heads == 3);
    tokio::select! { () = drips => {}, () = counted => {} }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // Nor is an answered request one for the next.
    let mut second = server.get("/").await;
    assert_eq!(second.answered("200 OK").await, "page");
    second.send("GET / HT").await;
    assert_eq!(second.read_to_end().await, "");
    server.counted(|counted| counted.slow_heads == 4).await;
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_gets_408_and_is_counted() {
    let http = ServerConnectionConfig::default().with_body_time(Duration::from_millis(100));
    let server = start_with(config(), |server| server.with_http(http)).await;
    let slow = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello";
    assert!(refused(&server, slow).await.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    server.counted(|counted| counted.slow_heads == 1).await;
}

#[tokio::test]
async fn what_is_not_http_gets_400_and_is_counted() {
    let server = start().await;
    let bad = [
        "hello\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        get_with("/", "Content-Length: 1\r\nTransfer-Encoding: chunked"),
        get_with("/", "Content-Length: -1"),
        get_with("/", "A: \0"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}", "zz\r\n"),
        // TLS, spoken to a server that does not.
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(),
    ];
    for (number, bytes) in bad.iter().enumerate() {
        let answer = refused(&server, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bytes:?}: {answer}");
        server.counted(|counted| counted.bad_requests == number as u64 + 1).await;
    }
    assert_eq!(server.counters.snapshot().requests, 0);
}

#[tokio::test]
async fn a_body_over_its_limit_gets_413_and_the_peer_receives_it() {
    let http = ServerConnectionConfig::default().with_max_body_size(100);
    let server = start_with(config(), |server| server.with_http(http)).await;
    let body = "x".repeat(1 << 20);
    let announced = format!("Content-Length: {}", body.len());
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}", body.len());
    for (number, head) in [announced + "\r\n", chunked].into_iter().enumerate() {
        // It sends all of it before it reads.
        let bytes = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n{body}");
        let answer = refused(&server, bytes).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        server.counted(|counted| counted.bad_requests == number as u64 + 1).await;
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_when_to_come_back() {
    let server = start_with(config(), |server| server.with_max_connections(2)).await;
    let mut first = server.subscribe().await;
    let second = server.subscribe().await;
    let too_many = |answer: String| {
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert_eq!(header(&answer, "retry-after"), Some("5"));
        assert!(answer.ends_with("\r\n\r\ntoo many connections\n"));
    };
    // One that waits, one that asks, and one that has much to send before it reads.
    too_many(server.connect().await.read_to_end().await);
    too_many(refused(&server, request("/events")).await);
    let body = "x".repeat(16 << 20);
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}", body.len());
    too_many(refused(&server, format!("{head}\r\n\r\n{body}")).await);
    // An `EventSource` would never come back after a status.
    let answer = refused(&server, get_with("/events", "Accept: text/event-stream")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(header(&answer, "content-type"), Some("text/event-stream"));
    let stream = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        stream,
        ": too many connections\nretry: 5000\nevent: sansse-notice\n\
         data: {\"stream\":\"refused\",\"replayed\":0,\"lost\":0,\"reason\":\"connections\"}\n\n"
    );
    server.counted(|counted| counted.refused == 4 && counted.accepted == 6).await;
    assert_eq!((server.counters.snapshot().open, server.sessions().len()), (2, 2));

    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    first.expect(chunk("id: beef-1\ndata: a\n\n")).await;
    drop(second);
    server.counted(|counted| counted.open == 1).await;
    assert_eq!(server.get("/").await.answered("200 OK").await, "page");
}

#[tokio::test]
async fn a_storm_of_connections_costs_only_those_that_are_too_many() {
    let server = start_with(config(), |server| server.with_max_connections(1)).await;
    let mut first = server.subscribe().await;
    let mut storm = Vec::new();
    for _ in 0..400 {
        storm.push(server.connect().await);
    }
    server.counted(|counted| counted.refused == 400).await;
    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    first.expect(chunk("id: beef-1\ndata: a\n\n")).await;
    let mut told = 0;
    for client in &mut storm {
        told += usize::from(client.read_to_end().await.starts_with("HTTP/1.1 503 "));
    }
    assert!(told >= 256, "{told}");
    assert_eq!(server.counters.snapshot().open, 1);
}

#[tokio::test]
async fn a_broker_without_room_says_when_to_come_back() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    let server = start_with(config, |server| server).await;
    let _first = server.subscribe().await;
    let mut second = server.get("/events").await;
    let (head, body) = second.read_answer().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body.starts_with(": too many sessions\nretry: 5000\n"), "{body}");
    second.send(request("/")).await;
    assert_eq!(second.answered("200 OK").await, "page");
}

/// The first frame of the stream that answers a request with this `Last-Event-ID`.
async fn outcome(server: &Running, id: &[u8]) -> String {
    let mut client = server.connect().await;
    client.send("GET /told HTTP/1.1\r\nHost: a\r\nLast-Event-ID: ").await;
    client.send([id, b"\r\n\r\n"].concat()).await;
    client.read_stream_head().await;
    let frame = client.read_through("\n\n\r\n").await;
    frame.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned()
}

#[tokio::test]
async fn a_last_event_id_is_never_an_error_and_never_a_silent_hole() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    let server = start_with(config, |server| server).await;
    for text in ["a", "b", "c"] {
        server.hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
    }
    let told = |stream, replayed| {
        format!(r#"{{"stream":"{stream}","replayed":{replayed},"lost":0,"reason":null}}"#)
    };
    let gap = |replayed, lost, reason| {
        format!(r#"{{"stream":"gap","replayed":{replayed},"lost":{lost},"reason":"{reason}"}}"#)
    };
    for (id, expected) in [
        (&b"beef-2"[..], told("complete", 1)),
        (b"", told("live", 0)),
        (b"beef-0", gap(2, "1", "retention")),
        (b"beef-7", gap(0, "null", "ahead")),
        (b"hello", gap(0, "null", "unknown-id")),
        (b"feed-2", gap(0, "null", "restart")),
        (b"\xff\xfe", gap(0, "null", "malformed-id")),
        (b"a\x01b", gap(0, "null", "unknown-id")),
        (&[b'x'; 5000], gap(0, "null", "malformed-id")),
        (b"beef-2\r\nLast-Event-ID: beef-2", gap(0, "null", "malformed-id")),
    ] {
        assert_eq!(outcome(&server, id).await, expected, "{:?}", common::text(id));
    }
}

#[tokio::test]
async fn what_is_replayed_follows_the_place_where_the_stream_broke_off() {
    let server = start().await;
    for text in ["a", "b", "c"] {
        server.hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
    }
    let mut client = server.connect().await;
    client.send(get_with("/events", "Last-Event-ID: beef-1")).await;
    client.read_stream_head().await;
    server.hub.close();
    let (stream, is_whole) = dechunk(&client.read_to_end().await);
    let events = "id: beef-2\ndata: b\n\nid: beef-3\ndata: c\n\n";
    assert!(stream.starts_with("retry: 3000\nid: beef-1\nevent: sansse-notice\n"), "{stream}");
    assert!(stream.ends_with(&format!("\n\n{events}")), "{stream}");
    assert!(!is_whole, "it is to come back");
}

#[tokio::test]
async fn bytes_after_the_request_of_a_stream_end_it() {
    let server = start().await;
    let mut client = server.subscribe().await;
    client.send("x").await;
    let rest = client.read_to_end().await;
    assert!(!rest.contains(LAST_CHUNK), "it is cut off, not ended: {rest}");
    server.ended(&[EndReason::Disconnected]).await;
    server.counted(|counted| counted.junk_after_stream == 1 && counted.open == 0).await;
}

#[tokio::test]
async fn a_request_behind_that_of_a_stream_gets_400_for_both() {
    let server = start().await;
    let answer = refused(&server, request("/events") + &request("/")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.ended(&[EndReason::Disconnected]).await;
    server.counted(|counted| counted.junk_after_stream == 1 && counted.open == 0).await;
    assert_eq!(server.counters.snapshot().streams, 0);
}

#[tokio::test]
async fn while_others_misbehave_a_stream_goes_on() {
    let server = start().await;
    let mut good = server.subscribe().await;
    let mut bad: Vec<Client> = Vec::new();
    for number in 0..50 {
        let mut client = server.connect().await;
        match number % 5 {
            0 => client.send("GET / HT").await,
            1 => client.send("nonsense\r\n\r\n").await,
            2 => client.send(request("/panic")).await,
            3 => client.send(request("/never")).await,
            _ => client.send(request("/events") + "x").await,
        }
        bad.push(client);
        if number % 7 == 0 {
            bad.swap_remove(0);
        }
        let published = server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
        good.expect(published.frame().chunk()).await;
    }
    server.hub.close();
    assert_eq!(good.read_to_end().await, "");
}

#[tokio::test]
async fn a_bad_request_is_counted_though_its_peer_resets_the_connection() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("hello\r\n\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 400 "));
    socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    server.counted(|counted| counted.open == 0).await;
    assert_eq!(server.counters.snapshot().bad_requests, 1);
}

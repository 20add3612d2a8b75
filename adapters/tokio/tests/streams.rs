//! Event streams over a real socket, byte for byte.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod common;

use common::{
    LAST_CHUNK, OPENING, OPENING_FRAME, PATIENCE, chunk, config, dechunk, header, start, start_with,
};
use sansse::Event;
use sansse::broker::{Audience, EndReason};
use std::fmt::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[tokio::test]
async fn the_head_goes_out_at_once_before_the_first_event() {
    let mut config = config();
    // Without notices, there is little to send before an event.
    config.session.notices = None;
    let server = start_with(config, |server| server).await;
    let mut client = server.get("/events").await;
    let head = client.read_stream_head().await;
    let date = header(&head, "date").expect("a server has a clock");
    assert_eq!(
        head.replace(&format!("date: {date}\r\n"), ""),
        "HTTP/1.1 200 OK\r\n\
         content-type: text/event-stream\r\n\
         cache-control: no-cache, no-transform\r\n\
         x-accel-buffering: no\r\n\
         transfer-encoding: chunked\r\n\
         connection: close\r\n\r\n"
    );
    client.expect(chunk("retry: 3000\n\n")).await;
    client.hears_nothing().await;
    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    client.expect(chunk("id: beef-1\ndata: a\n\n")).await;
}

#[tokio::test]
async fn events_come_as_chunks_and_the_last_chunk_ends_them() {
    let server = start().await;
    let mut client = server.subscribe().await;
    client.hears_nothing().await;
    server.hub.publish(Audience::Everyone, &Event::new("a\nb")).unwrap();
    client.expect(chunk("id: beef-1\ndata: a\ndata: b\n\n")).await;
    assert!(server.hub.close_session(server.sessions()[0]));
    assert_eq!(client.read_to_end().await, LAST_CHUNK);
    server.ended(&[EndReason::Closed]).await;
    server.counted(|counted| counted.open == 0 && counted.streams == 1).await;
}

#[tokio::test]
async fn an_old_peer_gets_the_stream_as_it_is_until_the_connection_closes() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("GET /events HTTP/1.0\r\n\r\n").await;
    let head = client.read_stream_head().await;
    assert_eq!(header(&head, "transfer-encoding"), None);
    client.expect(OPENING_FRAME).await;
    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    client.expect("id: beef-1\ndata: a\n\n").await;
    assert!(server.hub.close_session(server.sessions()[0]));
    assert_eq!(client.read_to_end().await, "");
}

/// It has no last chunk that could be missing.
#[tokio::test]
async fn an_old_peer_whose_stream_is_cut_off_gets_what_was_written_and_a_reset() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("GET /events HTTP/1.0\r\n\r\n").await;
    client.read_stream_head().await;
    client.expect(OPENING_FRAME).await;
    server.hub.publish(Audience::Everyone, &Event::new("last")).unwrap();
    server.hub.close();
    client.expect("id: beef-1\ndata: last\n\n").await;
    let mut rest = [0; 100];
    let end = timeout(PATIENCE, client.socket.read(&mut rest)).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    server.counted(|counted| counted.open == 0).await;
}

#[tokio::test]
async fn a_stream_may_answer_a_post() {
    let server = start().await;
    let mut client = server.connect().await;
    client.send("POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\na question").await;
    client.read_stream_head().await;
    client.expect(OPENING).await;
}

#[tokio::test]
async fn heartbeats_come_while_nothing_else_does_and_keep_coming() {
    let mut config = config();
    config.session.heartbeat = Some(Duration::from_millis(100));
    let server = start_with(config, |server| server).await;
    let mut client = server.subscribe().await;
    let began = std::time::Instant::now();
    for _ in 0..5 {
        client.expect(chunk(":\n")).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(450), "{:?}", began.elapsed());
    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    let heard = client.read_through("data: a\n\n\r\n").await;
    assert!(heard.ends_with(&chunk("id: beef-1\ndata: a\n\n")), "{heard}");
    client.expect(chunk(":\n")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_backlog_comes_complete_whatever_the_sizes() {
    let mut config = config();
    config.retention.bytes = (64 << 20).try_into().unwrap();
    let server = start_with(config, |server| server).await;
    let mut client = server.subscribe().await;
    let mut expected = Vec::new();
    let mut size = 1;
    // From less than a packet to more than any buffer, and back.
    for number in 0..1500 {
        size = match number % 500 {
            499 => 3_000_000,
            _ => (size * 7 + number) % 30_000,
        };
        let published = server.hub.publish(Audience::Everyone, &Event::new("x".repeat(size)));
        expected.extend_from_slice(published.unwrap().frame().chunk());
    }
    assert!(server.hub.close_session(server.sessions()[0]));
    expected.extend_from_slice(LAST_CHUNK.as_bytes());
    let received = client.read_to_end().await;
    assert!(received.as_bytes() == expected, "{} of {}", received.len(), expected.len());
    server.ended(&[EndReason::Closed]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_subscribers_have_every_event_in_order() {
    const SUBSCRIBERS: usize = 50;
    const EVENTS: usize = 2_000;
    let server = start().await;
    let mut clients = Vec::new();
    for _ in 0..SUBSCRIBERS {
        clients.push(server.subscribe().await);
    }
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| tokio::spawn(async move { client.read_to_end().await }))
        .collect();
    let mut expected = String::new();
    for number in 0..EVENTS {
        server.hub.publish(Audience::Everyone, &Event::new(number.to_string())).unwrap();
        write!(expected, "id: beef-{}\ndata: {number}\n\n", number + 1).unwrap();
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    server.hub.close();
    for reader in readers {
        let (stream, is_whole) = dechunk(&reader.await.unwrap());
        assert!(stream == expected && !is_whole);
    }
}

#[tokio::test]
async fn a_peer_that_closes_is_noticed_at_once() {
    let server = start().await;
    let client = server.subscribe().await;
    assert_eq!(server.hub.counters().sessions, 1);
    drop(client);
    server.ended(&[EndReason::Disconnected]).await;
    server.counted(|counted| counted.open == 0).await;
}

#[tokio::test]
async fn a_peer_that_resets_is_noticed_at_once() {
    let server = start().await;
    let client = server.subscribe().await;
    socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    server.ended(&[EndReason::Disconnected]).await;
    server.counted(|counted| counted.open == 0).await;
}

#[tokio::test]
async fn a_peer_that_ends_its_side_has_ended_its_stream() {
    let server = start().await;
    let mut client = server.subscribe().await;
    client.socket.shutdown().await.unwrap();
    assert_eq!(client.read_to_end().await, "");
    server.ended(&[EndReason::Disconnected]).await;
}

#[tokio::test]
async fn a_peer_that_is_gone_before_its_head_leaves_no_session() {
    let server = start().await;
    for _ in 0..20 {
        let client = server.get("/events").await;
        socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
    }
    server.counted(|counted| counted.accepted == 20 && counted.open == 0).await;
    assert_eq!(server.hub.counters().sessions, 0);
    assert!(server.ends().iter().all(|reason| *reason == EndReason::Disconnected));
}

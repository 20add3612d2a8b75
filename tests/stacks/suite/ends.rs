//! Ends: of a server with open streams, of peers that take nothing, of connections without a coding.

use crate::peer::{End, Peer};
use crate::setup::{PERIOD, STALL, Setup, Stack};
use crate::{PATIENCE, until};
use sansse::Event;
use sansse::broker::Audience;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const STREAMS: u64 = 1_000;

pub(crate) async fn a_server_drains_a_thousand_streams_within_its_period<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peers = Vec::new();
    for _ in 0..STREAMS {
        peers.push(Peer::events::<S>(&served).await);
    }
    assert_eq!(served.hub.counters().sessions, STREAMS);
    // Peers read meanwhile, as they do.
    let reading = tokio::spawn(async move {
        for peer in &mut peers {
            peer.end().await;
        }
        peers
    });
    let (hub, stop) = (served.hub, served.stop);
    let begun = Instant::now();
    tokio::time::timeout(PATIENCE, stop()).await.expect("the server ends");
    // It may take the period, and a moment of a busy machine.
    assert!(begun.elapsed() < PERIOD + Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(hub.counters().sessions, 0);
    for peer in reading.await.unwrap() {
        assert!(peer.text.contains("sansse-notice"));
    }
}

/// Asks for events, and never reads again.
async fn takes_nothing<S: Stack>(served: &crate::setup::Served) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = "GET /events HTTP/1.1\r\nhost: sansse.example\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    until("a session", || served.hub.counters().sessions == 1).await;
    stream
}

pub(crate) async fn a_peer_that_takes_nothing_loses_its_connection<S: Stack>() {
    // By HTTP/1.1 on every stack: what the peer's system takes has no other bound there.
    let served = S::start(Setup::new()).await;
    let mut peer = takes_nothing::<S>(&served).await;
    let mut beside = Peer::events::<S>(&served).await;
    let event = Event::new("x".repeat(60_000));
    for _ in 0..200 {
        served.hub.publish(Audience::Everyone, &event).unwrap();
        // Its neighbour reads all the while.
        beside.wait_for("\n\n").await;
        beside.text.clear();
    }
    let (hub, begun) = (served.hub.clone(), Instant::now());
    let reading = tokio::spawn(async move {
        let end = beside.end().await;
        (beside, end)
    });
    until("one session is left", || hub.counters().sessions == 1).await;
    assert!(begun.elapsed() < STALL + Duration::from_secs(20), "{:?}", begun.elapsed());
    // What it took before is not all, and does not look like all.
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, peer.read_to_end(&mut all)).await;
    let _ = read.expect("the connection is gone");
    assert!(!all.ends_with(b"0\r\n\r\n"));
    (served.stop)().await;
    let (beside, end) = reading.await.unwrap();
    assert_eq!(end, End::Cut, "{}", beside.text);
}

pub(crate) async fn an_old_client_gets_a_stream_until_the_connection_closes<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /whole HTTP/1.0\r\nhost: sansse.example\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    read.expect("the connection closes").unwrap();
    let text = String::from_utf8(all).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1."), "{head}");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.ends_with("data: 3\n\n"), "{body:?}");
}

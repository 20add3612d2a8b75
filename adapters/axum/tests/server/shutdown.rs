//! A server that shuts down in good order while streams are open.

use super::{PATIENCE, Peer, listener, routes, serve};
use sansse::broker::Drain;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const STREAMS: u64 = 1_000;

async fn readers(address: std::net::SocketAddr) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..STREAMS {
        let mut peer = Peer::events(address).await;
        peer.wait_for("sansse-notice").await;
        peers.push(peer);
    }
    peers
}

/// Each is told that its stream goes on elsewhere, and takes it for no good end.
async fn all_are_told(peers: Vec<Peer>) {
    for mut peer in peers {
        assert!(!peer.end().await, "{}", peer.text);
        assert!(peer.text.contains("\"stream\":\"ending\""), "{}", peer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_streams_end_though_nobody_thought_of_the_hub_but_the_listener() {
    let hub = sansse_axum::hub();
    let server = serve(listener().await.with_hub(hub.clone()), routes(&hub));
    let peers = readers(server.address).await;
    assert_eq!(hub.counters().sessions, STREAMS);
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, server.serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(hub.counters().sessions, 0);
    all_are_told(peers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_streams_end_within_the_period_of_a_drain_by_the_application() {
    let hub = sansse_axum::hub();
    // axum's own listener.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let drained = hub.clone();
    let shutdown = async move {
        let _ = stopped.await;
        drained.drain(Drain::new(Duration::from_secs(1))).unwrap();
    };
    let serving = axum::serve(listener, routes(&hub)).with_graceful_shutdown(shutdown);
    let serving = tokio::spawn(serving.into_future());
    let peers = readers(address).await;
    let begun = Instant::now();
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    all_are_told(peers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_nothing_does_not_hold_a_shutdown_up() {
    let hub = sansse_axum::hub();
    let drain = Drain::new(Duration::ZERO).with_patience(Duration::from_secs(1));
    let listener = listener().await.with_hub(hub.clone());
    let listener = listener.with_drain(drain, Duration::from_secs(1));
    let server = serve(listener, routes(&hub));
    let _peer = super::stalled::stalled(&hub, server.address).await;
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, server.serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_owes_the_rest_of_a_request_does_not_hold_a_shutdown_up() {
    use tokio::io::AsyncWriteExt;
    let hub = sansse_axum::hub();
    let drain = Drain::new(Duration::ZERO).with_patience(Duration::from_secs(1));
    let listener = listener().await.with_hub(hub.clone());
    let listener = listener.with_drain(drain, Duration::from_secs(1));
    let server = serve(listener, routes(&hub));
    let mut peers = Vec::new();
    for part in [
        &b"G"[..],
        b"GET /events HTTP/1.1\r\nhost:",
        b"POST /say HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut peer = tokio::net::TcpStream::connect(server.address).await.unwrap();
        peer.write_all(part).await.unwrap();
        peers.push(peer);
    }
    let mut beside = Peer::events(server.address).await;
    beside.wait_for("sansse-notice").await;
    let begun = Instant::now();
    server.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, server.serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

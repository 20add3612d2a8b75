//! A server that stops in good order while streams are open.

use super::{PATIENCE, Peer, routes, serve};
use actix_web::{App, HttpServer};
use sansse::broker::Drain;
use sansse_actix::{ServeStreams, Streams};
use std::time::{Duration, Instant};

const STREAMS: u64 = 1_000;

async fn readers(address: std::net::SocketAddr, many: u64) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..many {
        let mut peer = Peer::events(address).await;
        peer.wait_for("sansse-notice").await;
        peers.push(peer);
    }
    peers
}

/// Each is told that its stream goes on elsewhere, and takes it for no good end.
async fn all_are_told(peers: Vec<Peer>) {
    for mut peer in peers {
        assert!(!peer.end().await, "{}", peer.text());
        assert!(peer.text().contains("\"stream\":\"ending\""), "{}", peer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_streams_end_though_nobody_thought_of_the_hub_but_the_server() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let peers = readers(server.address, STREAMS).await;
    assert_eq!(hub.counters().sessions, STREAMS);
    // One that has nothing but a connection.
    let idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let time = server.stopped().await;
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert_eq!(hub.counters().sessions, 0);
    all_are_told(peers).await;
    drop(idle);
}

/// The reader has the time and the place from which it is to come back, whatever is in front.
#[tokio::test]
async fn a_compressed_stream_is_told_its_end_as_well() {
    let hub = sansse_actix::hub();
    let routes = super::middleware::compressed(&hub);
    let server = serve(Streams::new(hub.clone()), routes);
    let head = "GET /events HTTP/1.1\r\naccept-encoding: gzip";
    let mut peer = Peer::ask(server.address, head).await;
    peer.wait_until("a notice", |peer| peer.gunzipped().contains("sansse-notice")).await;
    let time = server.stopped().await;
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert!(!peer.end().await);
    assert!(peer.gunzipped().contains("\"stream\":\"ending\""), "{}", peer.gunzipped());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_streams_end_within_the_period_of_a_drain_by_the_application() {
    let hub = sansse_actix::hub();
    let routes = routes(&hub);
    // Nothing but actix-web.
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .disable_signals()
        .workers(1)
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let peers = readers(address, 100).await;
    let begun = Instant::now();
    hub.drain(Drain::new(Duration::from_secs(1))).unwrap();
    handle.stop(true).await;
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    all_are_told(peers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_that_stops_the_server_ends_streams_within_the_time_too() {
    let hub = sansse_actix::hub();
    let routes = routes(&hub);
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .serve_streams(Streams::new(hub.clone()).with_signal(std::future::pending()))
        .workers(1)
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let mut peers = readers(address, 2).await;
    let begun = Instant::now();
    handle.stop(true).await;
    tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for peer in &mut peers {
        assert!(!peer.end().await, "{}", peer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_nothing_does_not_hold_a_stop_up() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut peer = super::stalled::stalled(&hub, server.address).await;
    let time = server.stopped().await;
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert!(!peer.end().await);
    super::until("no session", || hub.counters().sessions == 0).await;
}

#[tokio::test]
async fn several_hubs_are_drained_each() {
    let (hub, other) = (sansse_actix::hub(), sansse_actix::hub());
    let drain = Drain::new(Duration::ZERO);
    let streams = Streams::new(hub.clone()).with_hub(other.clone());
    let server = serve(streams.with_drain(drain, Duration::from_secs(1)), routes(&hub));
    let other_session = other.open(sansse::broker::SessionConfig::new()).unwrap();
    let peers = readers(server.address, 2).await;
    let time = server.stopped().await;
    assert!(time < Duration::from_secs(5), "{time:?}");
    all_are_told(peers).await;
    assert!(other.open(sansse::broker::SessionConfig::new()).is_err());
    drop(other_session);
}

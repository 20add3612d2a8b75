//! Peers that take nothing.

use super::{Peer, routes, serve};
use sansse::broker::Audience;
use sansse::{Event, Hub};
use sansse_actix::Streams;
use std::net::SocketAddr;
use std::time::Duration;

/// A peer for which more waits than the system keeps. It reads no more after its first event.
pub(super) async fn stalled(hub: &Hub, address: SocketAddr) -> Peer {
    let mut peer = Peer::events(address).await;
    peer.wait_for("sansse-notice").await;
    let before = hub.counters().delivered_bytes;
    // The body is asked for no more once the socket is full and actix has its fill.
    let mut taken = before;
    for round in 0.. {
        assert!(round < 1_000, "the peer takes all");
        more(hub);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = hub.counters().delivered_bytes;
        if now == taken && now > before {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if hub.counters().delivered_bytes == taken {
                break;
            }
        }
        taken = hub.counters().delivered_bytes;
    }
    peer
}

/// Publishes one more, for a machine so slow that a peer only looked as if it took nothing.
fn more(hub: &Hub) -> &Hub {
    hub.publish(Audience::Everyone, &Event::new("x".repeat(60_000))).unwrap();
    hub
}

#[cfg(any(target_os = "android", target_os = "linux"))]
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_nothing_loses_its_connection_and_never_sees_a_clean_end() {
    let hub = sansse_actix::hub();
    let time = Duration::from_secs(1);
    let streams = Streams::new(hub.clone()).with_write_deadline(Some(time));
    let server = serve(streams, routes(&hub));
    let mut peer = stalled(&hub, server.address).await;
    // Dropping the connection drops the body, which closes the session.
    super::until("the connection is gone", || more(&hub).counters().sessions == 0).await;
    assert!(!peer.end().await);
}

/// As with TLS around them, where the connections cannot be asked for themselves.
#[cfg(any(target_os = "android", target_os = "linux"))]
#[tokio::test(flavor = "multi_thread")]
async fn connections_have_the_write_deadline_of_their_listener() {
    use actix_web::{App, HttpServer};
    let hub = sansse_actix::hub();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let time = Duration::from_secs(1);
    assert!(sansse_actix::set_write_deadline(&listener, Some(time)).unwrap());
    let routes = routes(&hub);
    let server = HttpServer::new(move || App::new().configure(routes.clone()));
    let server = server.disable_signals().workers(1).listen(listener).unwrap().run();
    tokio::spawn(server);
    let mut peer = stalled(&hub, address).await;
    super::until("the connection is gone", || more(&hub).counters().sessions == 0).await;
    assert!(!peer.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_reads_slowly_keeps_its_connection() {
    let hub = sansse_actix::hub();
    let time = Duration::from_secs(2);
    let streams = Streams::new(hub.clone()).with_write_deadline(Some(time));
    let server = serve(streams, routes(&hub));
    let mut peer = stalled(&hub, server.address).await;
    // There is always more than it takes, for far longer than the deadline.
    for _ in 0..12 {
        tokio::time::sleep(time / 4).await;
        let enough = peer.bytes.len() + (512 << 10);
        peer.wait_until("more", |peer| peer.bytes.len() >= enough).await;
        for _ in 0..10 {
            more(&hub);
        }
    }
    hub.publish(Audience::Everyone, &Event::new("the last")).unwrap();
    peer.wait_until("the last", |peer| {
        let recent = peer.bytes.len().saturating_sub(64 << 10);
        peer.bytes[recent..].windows(9).any(|bytes| bytes == b"the last\n")
    })
    .await;
}

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Of a process of its own, since tests that run beside it open descriptors.
#[cfg(target_os = "linux")]
#[test]
fn the_descriptors_of_peers_that_take_nothing_come_back() {
    if std::env::var_os("SANSSE_ALONE").is_none() {
        let this = std::env::current_exe().unwrap();
        let name = "stalled::the_descriptors_of_peers_that_take_nothing_come_back";
        let mut alone = std::process::Command::new(this);
        alone.args([name, "--exact"]).env("SANSSE_ALONE", "1");
        let output = alone.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let hub = sansse_actix::hub();
        let time = Duration::from_secs(1);
        let streams = Streams::new(hub.clone()).with_write_deadline(Some(time));
        let server = serve(streams, routes(&hub));
        // Its workers are there once it has answered.
        Peer::ask(server.address, "PUT /events HTTP/1.1\r\nconnection: close").await.end().await;
        let before = descriptors();
        let mut peers = Vec::new();
        for _ in 0..4 {
            peers.push(stalled(&hub, server.address).await);
        }
        // Only the peers' own ends are left. The connection of the first request may have been open
        // yet when they were counted, so that the sessions tell of the last one.
        super::until("the descriptors come back", || {
            more(&hub).counters().sessions == 0 && descriptors() <= before + peers.len()
        })
        .await;
        for mut peer in peers {
            assert!(!peer.end().await);
        }
    });
}

//! Peers that take nothing.

use super::{Peer, listener, routes, serve, until};
use sansse::broker::Audience;
use sansse::{Event, Hub};
use std::net::SocketAddr;
use std::time::Duration;

/// A peer for which more waits than the system keeps. It reads no more after its first event.
pub(super) async fn stalled(hub: &Hub, address: SocketAddr) -> Peer {
    let mut peer = Peer::events(address).await;
    peer.wait_for("sansse-notice").await;
    let before = hub.counters().delivered_bytes;
    // The body is asked for no more once the socket is full and hyper has its fill.
    let event = Event::new("x".repeat(60_000));
    let mut taken = before;
    for round in 0.. {
        assert!(round < 1_000, "the peer takes all");
        hub.publish(Audience::Everyone, &event).unwrap();
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

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_nothing_loses_its_connection_and_never_sees_a_clean_end() {
    let hub = sansse_axum::hub();
    let time = Duration::from_secs(1);
    let server = serve(listener().await.with_write_deadline(Some(time)), routes(&hub));
    let mut peer = stalled(&hub, server.address).await;
    // Dropping the connection drops the body, which closes the session.
    until("the connection is gone", || hub.counters().sessions == 0).await;
    assert!(!peer.end().await);
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
        let hub = sansse_axum::hub();
        let time = Duration::from_secs(1);
        let server = serve(listener().await.with_write_deadline(Some(time)), routes(&hub));
        let before = descriptors();
        let mut peers = Vec::new();
        for _ in 0..4 {
            peers.push(stalled(&hub, server.address).await);
        }
        // Only the peers' own ends are left.
        until("the descriptors come back", || descriptors() <= before + peers.len()).await;
        for mut peer in peers {
            assert!(!peer.end().await);
        }
    });
}

//! A stream on which nothing happens for longer than a proxy waits.

use std::time::Duration;

use sansse::broker::SessionConfig;
use tokio::time::sleep;

use crate::MACHINE;
use crate::proxy::{Kind, Proxy};
use crate::reader::Reader;
use crate::upstream::{Stack, Upstream, config};

/// More than two heartbeats.
const TIMEOUT: &str = "1s";

#[tokio::test]
#[ignore = "needs nginx and haproxy; .ci/run runs it"]
async fn heartbeats_outlast_the_timeouts_of_proxies() {
    let _shared = MACHINE.read().await;
    for kind in [Kind::Nginx, Kind::HaProxy] {
        let mut upstream = Upstream::start(Stack::Serve).await;
        let proxy = Proxy::start_changed(kind, upstream.address(), &[("60s", TIMEOUT)]);
        let mut reader = Reader::start(&proxy.url());
        reader.open().await;
        sleep(Duration::from_secs(3)).await;
        let number = upstream.publish();
        // A loss would come first.
        assert_eq!(reader.next_number().await.1, number, "{kind:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and haproxy; .ci/run runs it"]
async fn proxies_cut_off_a_stream_without_heartbeats() {
    let _shared = MACHINE.read().await;
    for kind in [Kind::Nginx, Kind::HaProxy] {
        let silent = SessionConfig::new().with_heartbeat(None);
        let upstream = Upstream::start_with(Stack::Serve, config(), silent).await;
        let proxy = Proxy::start_changed(kind, upstream.address(), &[("60s", TIMEOUT)]);
        let mut reader = Reader::start(&proxy.url());
        reader.open().await;
        println!("| {} | without heartbeats | {} |", kind.title(), reader.next_loss().await);
    }
}

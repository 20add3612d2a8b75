//! What holds events back, or seems to: compression, and a proxy that gathers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::curl::Curl;
use crate::proxy::{Change, Kind, Proxy};
use crate::reader::Reader;
use crate::upstream::{Stack, Upstream};
use crate::{MACHINE, milliseconds};

/// nginx compresses what the server asked to be left as it is, and still passes each event on.
#[tokio::test]
#[ignore = "needs nginx and curl; .ci/run runs it"]
async fn nginx_that_compresses_holds_nothing_back() {
    let gzip = [("http {\n", "http {\n    gzip on;\n    gzip_types text/event-stream;\n")];
    let (is_compressed, longest) = compressed(Kind::Nginx, &gzip).await;
    println!("| nginx, `gzip on` | compressed: {is_compressed} | {} |", milliseconds(longest));
    assert!(is_compressed);
    assert!(longest < Duration::from_millis(100), "{longest:?}");
}

/// Caddy heeds `no-transform`.
#[tokio::test]
#[ignore = "needs caddy and curl; .ci/run runs it"]
async fn caddy_leaves_the_stream_as_it_is() {
    let encode = [("\thandle /events {\n", "\tencode gzip\n\thandle /events {\n")];
    let (is_compressed, longest) = compressed(Kind::Caddy, &encode).await;
    println!("| Caddy, `encode gzip` | compressed: {is_compressed} | {} |", milliseconds(longest));
    assert!(!is_compressed);
    assert!(longest < Duration::from_millis(100), "{longest:?}");
}

/// Whether it is compressed, and how long an event takes at most.
async fn compressed(kind: Kind, changes: &[Change<'_>]) -> (bool, Duration) {
    let _alone = MACHINE.write().await;
    let mut upstream = Upstream::start(Stack::Serve).await;
    let proxy = Proxy::start_changed(kind, upstream.address(), changes);
    let mut curl = Curl::start(["-i", "--compressed", &proxy.url()]);
    let mut is_compressed = false;
    loop {
        let (_, line) = curl.next().await.expect("it goes on");
        is_compressed |= line.trim_end().eq_ignore_ascii_case("content-encoding: gzip");
        if line == "event: sansse-notice" {
            break;
        }
    }
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        let number = upstream.publish();
        let arrived = curl.line(&format!("data: {number}")).await;
        longest = longest.max(arrived - began);
    }
    (is_compressed, longest)
}

/// This is what `X-Accel-Buffering` is sent for.
#[tokio::test]
#[ignore = "needs nginx; .ci/run runs it"]
async fn nginx_that_does_not_heed_the_server_gathers_events() {
    let _shared = MACHINE.read().await;
    let ignore = [("http {\n", "http {\n    proxy_ignore_headers X-Accel-Buffering;\n")];
    let mut upstream = Upstream::start(Stack::Serve).await;
    let proxy = Proxy::start_changed(Kind::PlainNginx, upstream.address(), &ignore);
    let mut reader = Reader::start(&proxy.url());
    let first = reader.next();
    tokio::select! {
        (_, event) = first => panic!("{event:?}"),
        () = async {
            for _ in 0..20 {
                sleep(Duration::from_millis(100)).await;
                upstream.publish();
            }
        } => {}
    }
    println!("| nginx, `X-Accel-Buffering` ignored | nothing of 20 events in 2 s |");
}

#[tokio::test]
#[ignore = "needs nginx; .ci/run runs it"]
async fn nginx_that_is_told_not_to_buffer_needs_no_word_of_the_server() {
    let _shared = MACHINE.read().await;
    let ignore = [("http {\n", "http {\n    proxy_ignore_headers X-Accel-Buffering;\n")];
    let mut upstream = Upstream::start(Stack::Serve).await;
    let proxy = Proxy::start_changed(Kind::Nginx, upstream.address(), &ignore);
    let mut reader = Reader::start(&proxy.url());
    reader.open().await;
    for _ in 0..20 {
        let number = upstream.publish();
        assert_eq!(reader.next_number().await.1, number);
    }
}

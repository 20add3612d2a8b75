//! A server that is started anew behind its proxy.

use http::StatusCode;
use sansse::client::{ClientError, CloseReason};

use crate::combinations::with_each_proxy;
use crate::proxy::{Kind, Proxy};
use crate::reader::Reader;
use crate::upstream::{Stack, Upstream};
use crate::{MACHINE, until};

with_each_proxy! { a_restart_loses_nothing_and_doubles_nothing }

async fn a_restart_loses_nothing_and_doubles_nothing(kind: Kind, stack: Stack) {
    let _shared = MACHINE.read().await;
    let mut upstream = Upstream::start(stack).await;
    let proxy = Proxy::start(kind, upstream.address());
    let mut reader = Reader::start(&proxy.url());
    reader.open().await;
    for number in 0..5 {
        assert_eq!(upstream.publish(), number);
        assert_eq!(reader.next_number().await.1, number);
    }
    // This one may still be on its way when the server stops.
    upstream.publish();
    if !kind.calls_back() {
        let away = async { reader.closed().await };
        let mut reason = None;
        upstream.restart(5, async { reason = Some(away.await) }).await;
        let Some(CloseReason::Failed(ClientError::Status(response))) = reason else {
            panic!("{reason:?}");
        };
        assert_eq!(response.status, StatusCode::BAD_GATEWAY);
        println!("| {} | {} | the page ends, by a 502 |", kind.title(), stack.title());
        return;
    }
    let away = async {
        reader.expect_through_losses(5..6).await;
        // One is of the stream that it had, and the others are of the proxy's own streams, by which
        // it says to come back.
        for _ in 0..3 {
            reader.next_loss().await;
        }
    };
    let mut upstream = upstream.restart(5, away).await;
    let losses = reader.expect_through_losses(6..11).await;
    assert!(losses.iter().all(|loss| *loss == ClientError::EndOfStream), "{losses:?}");
    until("the new server has the reader", || upstream.sessions() == 1).await;
    assert_eq!(upstream.publish(), 11);
    assert_eq!(reader.next_number().await.1, 11);
    println!("| {} | {} | goes on |", kind.title(), stack.title());
}

/// The old workers would keep their streams for as long as these last.
#[tokio::test]
#[ignore = "needs nginx; .ci/run runs it"]
async fn a_reload_of_nginx_moves_the_streams_to_its_new_workers() {
    let _shared = MACHINE.read().await;
    let mut upstream = Upstream::start(Stack::Serve).await;
    let soon = [("worker_shutdown_timeout 30s;", "worker_shutdown_timeout 300ms;")];
    let proxy = Proxy::start_changed(Kind::Nginx, upstream.address(), &soon);
    let mut reader = Reader::start(&proxy.url());
    reader.open().await;
    upstream.publish();
    assert_eq!(reader.next_number().await.1, 0);
    proxy.reload_nginx();
    let loss = reader.next_loss().await;
    println!("| nginx, reloaded | {loss} |");
    upstream.publish();
    reader.expect_through_losses(1..2).await;
}

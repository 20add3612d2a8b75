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
    let mut first_loss = None;
    let away = async {
        let losses = reader.expect_through_losses(5..6).await;
        first_loss = losses.into_iter().next();
        // At least two of these are of the proxy's own streams, by which it says to come back.
        let mut own = 0;
        while own < 2 {
            let loss = reader.next_loss().await;
            own += u32::from(loss == ClientError::EndOfStream);
            first_loss.get_or_insert(loss);
        }
    };
    let mut upstream = upstream.restart(5, away).await;
    let losses = reader.expect_through_losses(6..11).await;
    assert!(losses.iter().all(|loss| *loss == ClientError::EndOfStream), "{losses:?}");
    until("the new server has the reader", || upstream.sessions() == 1).await;
    assert_eq!(upstream.publish(), 11);
    assert_eq!(reader.next_number().await.1, 11);
    println!(
        "| {} | {} | goes on, {} |",
        kind.title(),
        stack.title(),
        first_loss.expect("the stream was lost")
    );
}

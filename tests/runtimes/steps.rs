//! Rows of the table of connection behaviour that are about what happens between one poll and the
//! next, on sockets. Their numbers are the table's.

use crate::kit::client::{both, millis, seconds};
use crate::peer::STREAM;
use crate::platform::Platform;
use crate::stage::Stage;
use sansse::SourceEvent;
use sansse::client::ReadyState::{Closed, Connecting, Open};
use sansse::client::{ClientError, CloseReason, Timeout};
use std::time::Duration;

const NANOSECOND: Duration = Duration::from_nanos(1);

pub(crate) async fn a8_at_first_it_is_connecting_and_reports_nothing<P: Platform>(platform: P) {
    for config in both() {
        let mut stage = Stage::new(&platform, config);
        assert_eq!((stage.reader.source.state(), stage.watch().count()), (Connecting, 0));
        let _exchange = stage.accept().await;
        stage.quiet(None).await;
        assert_eq!((stage.reader.source.state(), stage.sent()), (Connecting, 1));
    }
}

pub(crate) async fn b1_a_good_head_opens_before_any_byte_of_the_body<P: Platform>(platform: P) {
    for config in both() {
        let mut stage = Stage::new(&platform, config);
        let mut exchange = stage.accept().await;
        let (most, last) = STREAM.split_at(STREAM.len() - 1);
        exchange.write(most).await;
        stage.quiet(Some(&exchange)).await;
        assert_eq!(stage.reader.source.state(), Connecting);
        exchange.write(last).await;
        assert!(matches!(stage.next().await, Some(SourceEvent::Open { .. })));
        assert_eq!(stage.reader.source.state(), Open);
    }
}

pub(crate) async fn b15_the_connection_of_a_failed_response_is_given_up<P: Platform>(platform: P) {
    for config in both() {
        let limit = config.max_error_body;
        let mut stage = Stage::new(&platform, config);
        let mut exchange = stage.accept().await;
        exchange.write(STREAM.replace("200 OK", "404 No")).await;
        exchange.write("data: never\n\n").await;
        stage.quiet(Some(&exchange)).await;
        assert_eq!(stage.watch().held(), 1, "the beginning of the body is waited for");
        exchange.write("x".repeat(limit)).await;
        let event = stage.next().await;
        let Some(SourceEvent::Closed(CloseReason::Failed(ClientError::Status(answer)))) = event
        else {
            panic!("{event:?}")
        };
        assert!(answer.body.starts_with(b"data: never\n\nxxx") && answer.body.len() == limit);
        assert_eq!(stage.watch().held(), 0);
        let _ = exchange.gone().await;
        stage.is_closed_for_good().await;
    }
}

pub(crate) async fn d8_the_error_is_reported_then_the_wait_begins<P: Platform>(platform: P) {
    for config in both() {
        let (mut stage, mut exchange) = Stage::open(&platform, config).await;
        exchange.write("data: a\n\n").await;
        exchange.end().await;
        assert_eq!((stage.message().await.as_str(), stage.reader.source.state()), ("a", Open));
        let (error, wait) = stage.retrying().await;
        assert_eq!((error, stage.reader.source.state()), (ClientError::EndOfStream, Connecting));
        assert_eq!((stage.sent(), stage.watch().held()), (1, 0));
        stage.quiet(None).await;
        stage.pass(wait - NANOSECOND).await;
        assert_eq!(stage.sent(), 1);
        stage.reader.timer.advance(NANOSECOND);
        stage.reopen().await;
        assert_eq!(stage.sent(), 2);
    }
}

pub(crate) async fn d13_back_off_ends_with_a_good_response<P: Platform>(platform: P) {
    for mut config in both() {
        if let Some(max) = &mut config.policy.reconnection.max_backoff {
            *max = seconds(600);
        }
        let stable_after = config.policy.reconnection.stable_after;
        let mut stage = Stage::new(&platform, config);
        let mut longest = seconds(0);
        for _ in 0..8 {
            stage.accept().await.end().await;
            let (_, wait) = stage.retrying().await;
            longest = longest.max(wait);
            stage.quiet(None).await;
            assert_eq!(stage.reader.sleep(), wait);
        }
        let exchange = stage.reopen().await;
        stage.pass(stable_after).await;
        exchange.end().await;
        let (_, wait) = stage.retrying().await;
        assert!(wait <= seconds(6), "{wait:?}");
        assert!(longest == seconds(3) || longest > seconds(60), "{longest:?}");
    }
}

pub(crate) async fn d17_after_several_losses_no_connection_is_left_over<P: Platform>(platform: P) {
    for config in both() {
        let mut stage = Stage::new(&platform, config);
        for round in 0..5 {
            let mut exchange = stage.reopen().await;
            exchange.write(format!("data: {round}\n\ndata: {round} more\n\n")).await;
            assert_eq!(stage.message().await, round.to_string());
            assert_eq!(stage.message().await, format!("{round} more"));
            assert_eq!((stage.watch().count(), stage.watch().held()), (round + 1, 1));
            exchange.end().await;
            stage.retrying().await;
            assert_eq!(stage.watch().held(), 0);
            stage.quiet(None).await;
            stage.reader.sleep();
        }
    }
}

pub(crate) async fn f1_close_while_connecting_aborts_the_request_or_never_sends_it<P: Platform>(
    platform: P,
) {
    for config in both() {
        let mut stage = Stage::new(&platform, config.clone());
        stage.reader.source.close();
        stage.is_closed_for_good().await;
        assert_eq!(stage.watch().count(), 0);

        let mut stage = Stage::new(&platform, config);
        let mut exchange = stage.accept().await;
        stage.reader.source.close();
        assert_eq!(stage.watch().held(), 0);
        let _ = exchange.gone().await;
        exchange.write(STREAM).await;
        exchange.write("data: never\n\n").await;
        stage.is_closed_for_good().await;
    }
}

pub(crate) async fn f2_close_while_open_drops_the_connection<P: Platform>(platform: P) {
    for config in both() {
        let (mut stage, mut exchange) = Stage::open(&platform, config).await;
        stage.quiet(Some(&exchange)).await;
        stage.reader.source.close();
        let _ = exchange.gone().await;
        exchange.write("data: never\n\n").await;
        stage.is_closed_for_good().await;
    }
}

pub(crate) async fn f3_close_with_events_waiting_delivers_none_of_them<P: Platform>(platform: P) {
    for config in both() {
        let (mut stage, mut exchange) = Stage::open(&platform, config).await;
        exchange.write("data: a\n\ndata: b\n\nid: c\ndata: c\n\n").await;
        assert_eq!(stage.message().await, "a");
        stage.reader.source.close();
        assert_eq!(stage.reader.source.last_event_id(), "", "it was not delivered");
        stage.is_closed_for_good().await;
    }
}

pub(crate) async fn f4_close_when_the_opening_is_reported_delivers_no_event<P: Platform>(
    platform: P,
) {
    for config in both() {
        let mut stage = Stage::new(&platform, config);
        let mut exchange = stage.accept().await;
        exchange.write(format!("{STREAM}data: never\n\n")).await;
        assert!(matches!(stage.next().await, Some(SourceEvent::Open { .. })));
        stage.reader.source.close();
        stage.is_closed_for_good().await;
    }
}

pub(crate) async fn f5_close_while_waiting_cancels_the_wait<P: Platform>(platform: P) {
    for config in both() {
        let (mut stage, exchange) = Stage::open(&platform, config).await;
        exchange.end().await;
        stage.retrying().await;
        stage.quiet(None).await;
        stage.pass(millis(1)).await;
        assert_eq!(stage.reader.timer.sleeps().len(), 1);
        stage.reader.source.close();
        stage.is_closed_for_good().await;
        assert_eq!(stage.watch().count(), 1);
    }
}

pub(crate) async fn f6_close_twice_or_when_closed_has_no_effect<P: Platform>(platform: P) {
    for config in both() {
        let (mut stage, _exchange) = Stage::open(&platform, config.clone()).await;
        stage.reader.source.close();
        stage.reader.source.close();
        stage.is_closed_for_good().await;

        let mut stage = Stage::new(&platform, config);
        let mut exchange = stage.accept().await;
        exchange.write("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(stage.next().await, Some(SourceEvent::Closed(CloseReason::NoContent)));
        assert_eq!(stage.reader.source.state(), Closed);
        stage.is_closed_for_good().await;
    }
}

pub(crate) async fn g3_silence_is_an_error_and_reconnects_and_any_byte_is_life<P: Platform>(
    platform: P,
) {
    for mut config in both() {
        config.policy.timeouts.idle = Some(seconds(10));
        let (mut stage, mut exchange) = Stage::open(&platform, config).await;
        stage.quiet(Some(&exchange)).await;
        for bytes in [": comment\n", "da", ":", "\u{feff}", "\n", "\n"] {
            stage.pass(seconds(10) - NANOSECOND).await;
            exchange.write(bytes).await;
            stage.quiet(Some(&exchange)).await;
        }
        assert_eq!(stage.reader.sleep(), seconds(10));
        let (error, wait) = stage.retrying().await;
        assert_eq!(error, ClientError::Timeout(Timeout::Idle));
        assert_eq!(stage.watch().held(), 0, "the connection is to be dropped");
        let _ = exchange.gone().await;
        stage.quiet(None).await;
        assert_eq!(stage.reader.sleep(), wait);
        stage.reopen().await;
    }
}

pub(crate) async fn g4_restart_drops_the_connection_and_asks_again_at_once<P: Platform>(
    platform: P,
) {
    for config in both() {
        let (mut stage, mut exchange) = Stage::open(&platform, config).await;
        exchange.write("retry: 60000\nid: 7\ndata: a\n\ndata: b\n").await;
        assert_eq!(stage.message().await, "a");
        stage.quiet(Some(&exchange)).await;
        stage.reader.source.restart();
        assert_eq!(stage.retrying().await, (ClientError::Restarted, seconds(0)));
        assert_eq!((stage.reader.source.state(), stage.watch().held()), (Connecting, 0));
        let _ = exchange.gone().await;
        let mut exchange = stage.accept().await;
        assert_eq!(exchange.request.headers()["last-event-id"], "7");
        assert_eq!(stage.reader.timer.elapsed(), seconds(0));
        exchange.write(format!("{STREAM}data: c\n\n")).await;
        assert!(matches!(stage.next().await, Some(SourceEvent::Open { .. })));
        assert_eq!(stage.message().await, "c");
    }
}

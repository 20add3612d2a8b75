//! Who gets what, in which order, and in what bytes.
#![cfg(feature = "broker")]

#[path = "common/broker.rs"]
mod common;

use common::*;
use sansse::broker::*;

#[test]
fn a_batch_that_is_not_the_newest_takes_nothing_back() {
    for form in [FrameForm::Payload, FrameForm::Chunk] {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone());
        for data in ["a", "b", "c", "d"] {
            shard.broadcast(data);
        }
        let (batch, _) = shard.batch(session, 1 << 20, form);
        let first = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
        assert_eq!(first, batch.as_slice()[3..batch.len() / 4]);
        // A second time, there is nothing to take back; all that is left is returned.
        let again = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
        assert_eq!(again, batch.as_slice()[3..]);
        assert_eq!(shard.data(session), ["b", "c", "d"]);

        // After another poll, neither: what was asked for in between would come before it.
        for data in ["e", "f"] {
            shard.broadcast(data);
        }
        let (batch, _) = shard.batch(session, 1 << 20, form);
        shard.broadcast("g");
        assert_eq!(shard.data(session), ["g"]);
        let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 1);
        assert_eq!(rest, batch.as_slice()[1..]);
        assert_eq!(shard.data(session), [""; 0]);

        // Nor does another session's batch.
        let other = shard.parked(anyone());
        shard.broadcast("h");
        let (batch, _) = shard.batch(session, 1 << 20, form);
        let rest = shard.broker.handle_partial_write(shard.now, other, &batch, 1);
        assert_eq!(rest, batch.as_slice()[1..]);
        assert_eq!(shard.data(other), ["h"]);
    }
}

#[test]
fn a_session_that_is_closed_is_not_behind_by_what_comes_later() {
    for lag in [LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest] {
        let mut config = config();
        config.retention.events = 3;
        let mut shard = Shard::new(config);
        let session = shard.parked(session_of("alice").with_lag(lag));
        shard.broadcast("a");
        shard.publish(client("alice"), "b");
        assert!(shard.broker.close_session(shard.now, session));
        shard.events();
        // "a" is kept as one of three, then lost; what comes after the end was never meant for it.
        for data in ["c", "d"] {
            shard.broadcast(data);
        }
        assert_eq!(shard.data(session), ["a", "b", END], "{lag:?}");
        let reason = EndReason::Closed;
        let ended = |reason, session| BrokerEvent::SessionEnded {
            session,
            client: Some(client("alice")),
            reason,
            undelivered: 0,
        };
        assert_eq!(shard.events(), [ended(reason, session)], "{lag:?}");

        let session = shard.parked(session_of("alice").with_lag(lag));
        shard.broadcast("e");
        assert!(shard.broker.close_session(shard.now, session));
        shard.events();
        for data in ["f", "g", "h", "i", "j"] {
            shard.broadcast(data);
        }
        assert_eq!(shard.data(session), [END], "{lag:?}");
        let skipped =
            BrokerEvent::SessionSkipped { session, client: Some(client("alice")), lost: 1 };
        match lag {
            LagPolicy::Close => {
                let reason = EndReason::Lagged { lost: 1 };
                assert_eq!(shard.events(), [ended(reason, session)]);
            }
            _ => assert_eq!(shard.events(), [skipped, ended(reason, session)], "{lag:?}"),
        }
    }
}

#[test]
fn a_session_that_has_everything_is_closed_and_not_behind() {
    let mut config = config();
    config.retention.events = 3;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.broker.close_session(shard.now, session);
    for _ in 0..10 {
        shard.broadcast("later");
    }
    assert_eq!(shard.take(session), [END]);
    let ended = BrokerEvent::SessionEnded {
        session,
        client: None,
        reason: EndReason::Closed,
        undelivered: 0,
    };
    assert_eq!(shard.events().last(), Some(&ended));
}

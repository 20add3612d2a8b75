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

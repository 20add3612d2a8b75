//! What the broker counts. That it equals what a naive count gives in any history is held against
//! the model in `broker_model`; here are the values that the model leaves open.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, EventKey};
use std::time::Duration;

/// The buckets that are not empty.
fn filled(histogram: &Histogram) -> Vec<(usize, u64)> {
    histogram.buckets().iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_new_broker_has_done_nothing() {
    assert_eq!(Shard::new(config()).broker.counters(), Counters::default());
}

#[test]
fn the_age_of_an_event_is_counted_when_it_is_handed_over() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> = (0..6).map(|_| shard.parked(anyone())).collect();
    shard.broadcast("a");
    let waits = [0, 999, 1_000, 1_000_000, 2_000_000_000, 1_200_000_000_000];
    let mut now = Duration::ZERO;
    let start = shard.now;
    for (session, nanoseconds) in sessions.into_iter().zip(waits) {
        now = now.max(Duration::from_nanos(nanoseconds));
        if nanoseconds < 300_000_000_000 {
            shard.now = start + now;
            assert_eq!(shard.data(session), ["a"]);
        }
    }
    let counters = shard.broker.counters();
    // Two within the first microsecond, one of one, one of a thousand, one of two millions.
    assert_eq!(filled(&counters.queue_age), [(0, 2), (1, 1), (10, 1), (21, 1)]);
    assert_eq!((counters.delivered, counters.queue_age.count()), (5, 5));
}

#[test]
fn how_far_behind_an_event_is_taken_is_counted_in_batches_and_one_by_one() {
    let mut shard = Shard::new(config());
    let sessions = [shard.parked(anyone()), shard.parked(anyone())];
    for number in 0..5 {
        shard.broadcast(&number.to_string());
    }
    // 4, 3, 2, 1 and 0 came after each.
    let expected = [(0, 1), (1, 1), (2, 2), (3, 1)];
    shard.batch(sessions[0], 10_000, Framing::Chunked);
    assert_eq!(filled(&shard.broker.counters().lag), expected);
    shard.take(sessions[1]);
    let twice = expected.map(|(bucket, count)| (bucket, 2 * count));
    assert_eq!(filled(&shard.broker.counters().lag), twice);
}

#[test]
fn what_comes_back_from_a_write_is_not_delivered() {
    for form in [Framing::Chunked, Framing::Plain] {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone());
        let sizes: Vec<u64> = ["a", "bb", &"c".repeat(300)]
            .iter()
            .map(|data| shard.publish(Audience::Everyone, data).frame().len() as u64)
            .collect();
        let (batch, _) = shard.batch(session, 10_000, form);
        let all = shard.broker.counters();
        assert_eq!((all.delivered, all.delivered_bytes), (3, sizes.iter().sum()));
        assert_eq!((all.published, all.published_bytes), (3, sizes.iter().sum()));
        // The first is under way, and counts as delivered.
        shard.broker.handle_partial_write(shard.now, session, &batch, 1);
        let part = shard.broker.counters();
        assert_eq!((part.delivered, part.delivered_bytes, part.returned), (1, sizes[0], 2));
        shard.take(session);
        let again = shard.broker.counters();
        assert_eq!((again.delivered, again.delivered_bytes), (3, all.delivered_bytes));
        assert_eq!(again.queue_age.count(), again.delivered + again.returned);
    }
}

#[test]
fn what_is_lost_is_counted_by_what_was_met() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    let closes = shard.parked(anyone());
    let skips = shard.parked(anyone().with_lag(LagPolicy::SkipToOldest));
    let own = shard.parked(anyone());
    for _ in 0..5 {
        shard.broadcast("x");
    }
    shard.publish(own, "for it alone");
    shard.take(closes);
    shard.take(skips);
    shard.broker.handle_disconnect(shard.now, own);
    let counters = shard.broker.counters();
    assert_eq!(counters.lost.closed, 3);
    assert_eq!(counters.lost.skipped, 3);
    assert_eq!(counters.lost.undelivered, 1);
    assert_eq!((counters.ended.lagged, counters.ended.disconnected), (1, 1));
    assert_eq!((counters.ended.total(), counters.resumed.total(), counters.sessions), (2, 3, 1));
}

#[test]
fn what_is_superseded_is_counted_once_it_cannot_come_back() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_lag(LagPolicy::KeepNewestPerKey));
    let publish = |shard: &mut Shard, key: &'static str| {
        let event = Event::new("x");
        let event = event.with_key(EventKey::new(key).unwrap());
        shard.broker.publish(shard.now, Audience::Everyone, &event).unwrap();
    };
    for key in ["a", "b", "a", "a"] {
        publish(&mut shard, key);
    }
    let (batch, _) = shard.batch(session, 10_000, Framing::Plain);
    let counters = shard.broker.counters();
    // The first `a` was passed before anything was handed over, so that it cannot come back.
    assert_eq!((batch.frames(), counters.delivered, counters.superseded), (2, 2, 1));
    // The newest of `a` goes back, with the one that it superseded, and is superseded in turn.
    shard.broker.handle_partial_write(shard.now, session, &batch, 1);
    publish(&mut shard, "a");
    assert_eq!(shard.data(session), ["x"]);
    let counters = shard.broker.counters();
    assert_eq!((counters.delivered, counters.returned, counters.superseded), (2, 1, 3));
    assert_eq!(counters.delivered + counters.superseded, counters.published);
    assert_eq!(counters.lost, Lost::default());

    let session = shard.parked(anyone().with_lag(LagPolicy::KeepNewestPerKey));
    for key in ["a", "a"] {
        publish(&mut shard, key);
    }
    shard.batch(session, 10_000, Framing::Plain);
    shard.broker.handle_disconnect(shard.now, session);
    assert_eq!(shard.broker.counters().superseded, 4, "with its end at the latest");
}

#[test]
fn comments_of_the_brokers_own_are_no_events() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_opening_comment("hello"));
    shard.sleep(secs(15));
    assert_eq!(shard.take(session), [HEARTBEAT]);
    let counters = shard.broker.counters();
    assert_eq!((counters.heartbeats, counters.delivered, counters.delivered_bytes), (1, 0, 0));
}

#[test]
fn what_is_refused_is_counted_by_the_error() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    let mut shard = Shard::new(config);
    shard.open(anyone());
    let now = shard.now;
    assert!(shard.broker.open(now, anyone()).is_err());
    shard.broker.close(now);
    assert!(shard.broker.open(now, anyone()).is_err());
    let refused = shard.broker.counters().refused;
    assert_eq!((refused.sessions, refused.closing, refused.total()), (1, 1, 2));
    let event = Event::new("x");
    assert!(shard.broker.publish(now, Audience::Everyone, &event).is_err());
    assert_eq!(shard.broker.counters().published, 0);
}

#[test]
fn each_bucket_ends_where_the_next_begins() {
    assert_eq!(Histogram::bucket_of(0), 0);
    assert_eq!(Histogram::bucket_of(u64::MAX), Histogram::BUCKETS - 1);
    for bucket in 0..Histogram::BUCKETS - 1 {
        let bound = Histogram::upper_bound(bucket).unwrap();
        assert_eq!(Histogram::bucket_of(bound), bucket);
        assert_eq!(Histogram::bucket_of(bound + 1), bucket + 1);
    }
    assert_eq!(Histogram::upper_bound(Histogram::BUCKETS - 1), None);
    assert_eq!(Histogram::upper_bound(usize::MAX), None);
}

#[test]
fn the_sum_of_two_brokers_is_that_of_each_number() {
    let mut sum = Counters::default();
    let mut shards = Vec::new();
    for number in 1..4 {
        let mut shard = Shard::new(config());
        for _ in 0..number {
            let session = shard.parked(session_of("alice"));
            shard.publish(topic("news"), "x");
            shard.publish(session, "y");
            shard.take(session);
            shard.broker.handle_disconnect(shard.now, session);
        }
        sum += &shard.broker.counters();
        shards.push(shard);
    }
    assert_eq!((sum.resumed.live, sum.ended.disconnected, sum.published), (6, 6, 12));
    assert_eq!((sum.clients, sum.topics, sum.delivered), (3, 3, 6));
    assert_eq!((sum.lag.count(), sum.queue_age.count()), (6, 6));
    // And nothing is forgotten: adding to nothing changes nothing.
    for shard in shards {
        let one = shard.broker.counters();
        let mut same = Counters::default();
        same += &one;
        assert_eq!(same, one);
    }
}

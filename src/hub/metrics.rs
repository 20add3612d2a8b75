//! What a hub counts, for the recorder of `metrics` that the application has.

use super::Hub;
use crate::broker::{Ended, Histogram, Lost, Panics, Refused, Resumed};
use alloc::string::ToString;
use metrics::{counter, gauge};

impl Hub {
    /// Hands what the hub has [counted](Self::counters) to the recorder of the `metrics` crate.
    /// Call it before the recorder is read, or every few seconds. It costs nothing between calls.
    ///
    /// Gauges: `sansse_sessions`, `sansse_sessions_waiting`, `sansse_clients`,
    /// `sansse_clients_absent`, `sansse_topics`, `sansse_subscribed_topics`,
    /// `sansse_retained_bytes`, `sansse_pattern_bytes`.
    /// Counters: `sansse_sessions_opened` (by `resume`), `sansse_sessions_refused` (by `reason`),
    /// `sansse_sessions_ended` (by `reason`), `sansse_events_replayed`,
    /// `sansse_events_published`, `sansse_bytes_published`, `sansse_events_delivered`,
    /// `sansse_bytes_delivered`, `sansse_heartbeats`, `sansse_events_lost` (by `reason`),
    /// `sansse_events_superseded`, `sansse_panics` (by `of`), `sansse_drivers_lost`, and two
    /// distributions (by `le`):
    /// `sansse_queue_age_microseconds_bucket` and `sansse_lag_events_bucket`. A bucket's count
    /// includes the buckets before it, as Prometheus has it.
    ///
    /// What each means, with units and labels, is in the guide
    /// [operating](crate::guide::operating#metrics).
    pub fn record_metrics(&self) {
        let counters = self.counters();
        set_gauge("sansse_sessions", counters.sessions);
        set_gauge("sansse_sessions_waiting", counters.waiting);
        set_gauge("sansse_clients", counters.clients);
        set_gauge("sansse_clients_absent", counters.absent_clients);
        set_gauge("sansse_topics", counters.topics);
        set_gauge("sansse_subscribed_topics", counters.subscribed_topics);
        set_gauge("sansse_retained_bytes", counters.retained_bytes);
        set_gauge("sansse_pattern_bytes", counters.pattern_bytes);
        counter!("sansse_events_replayed").absolute(counters.replayed);
        counter!("sansse_events_published").absolute(counters.published);
        counter!("sansse_bytes_published").absolute(counters.published_bytes);
        counter!("sansse_events_delivered").absolute(counters.delivered);
        counter!("sansse_bytes_delivered").absolute(counters.delivered_bytes);
        counter!("sansse_heartbeats").absolute(counters.heartbeats);
        let Resumed { live, oldest, last, complete, gap, unknown_id, .. } = counters.resumed;
        let Resumed { other_epoch, ahead, waiting, forged, .. } = counters.resumed;
        for (resume, count) in [
            ("live", live),
            ("oldest", oldest),
            ("last", last),
            ("complete", complete),
            ("gap", gap),
            ("unknown", unknown_id),
            ("other-epoch", other_epoch),
            ("ahead", ahead),
            ("waiting", waiting),
            ("forged", forged),
        ] {
            counter!("sansse_sessions_opened", "resume" => resume).absolute(count);
        }
        let Refused { closing, joining, sessions, of_client, from_address, .. } = counters.refused;
        let Refused { topics_ended, topics, unread_events, invalid, .. } = counters.refused;
        let Refused { not_permitted, .. } = counters.refused;
        for (reason, count) in [
            ("closing", closing),
            ("joining", joining),
            ("topics-ended", topics_ended),
            ("not-permitted", not_permitted),
            ("sessions", sessions),
            ("client", of_client),
            ("address", from_address),
            ("topics", topics),
            ("unread-events", unread_events),
            ("invalid", invalid),
        ] {
            counter!("sansse_sessions_refused", "reason" => reason).absolute(count);
        }
        let Ended { disconnected, closed, shutdown, lagged, stalled, .. } = counters.ended;
        let Ended { evicted, max_age, drained, lease_expired, revoked, .. } = counters.ended;
        let Ended { topics_ended, gave_way, aborted, .. } = counters.ended;
        for (reason, count) in [
            ("disconnected", disconnected),
            ("closed", closed),
            ("shutdown", shutdown),
            ("lagged", lagged),
            ("stalled", stalled),
            ("evicted", evicted),
            ("max-age", max_age),
            ("drained", drained),
            ("lease-expired", lease_expired),
            ("revoked", revoked),
            ("topics-ended", topics_ended),
            ("gave-way", gave_way),
            ("aborted", aborted),
        ] {
            counter!("sansse_sessions_ended", "reason" => reason).absolute(count);
        }
        let Lost { closed, skipped, undelivered } = counters.lost;
        let lost = [("closed", closed), ("skipped", skipped), ("undelivered", undelivered)];
        for (reason, count) in lost {
            counter!("sansse_events_lost", "reason" => reason).absolute(count);
        }
        counter!("sansse_cuts").absolute(counters.cuts);
        counter!("sansse_events_superseded").absolute(counters.superseded);
        let Panics { listener, wakers, values, .. } = counters.panics;
        for (of, count) in [("listener", listener), ("waker", wakers), ("value", values)] {
            counter!("sansse_panics", "of" => of).absolute(count);
        }
        counter!("sansse_drivers_lost").absolute(counters.lost_drivers);
        record("sansse_queue_age_microseconds_bucket", &counters.queue_age);
        record("sansse_lag_events_bucket", &counters.lag);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, exact up to 2^53")]
fn set_gauge(name: &'static str, value: u64) {
    gauge!(name).set(value as f64);
}

fn record(name: &'static str, histogram: &Histogram) {
    let mut sum = 0;
    for (bucket, count) in histogram.buckets().iter().enumerate() {
        sum += count;
        let bound = Histogram::upper_bound(bucket);
        let bound = bound.map_or_else(|| "+Inf".to_string(), |bound| bound.to_string());
        counter!(name, "le" => bound).absolute(sum);
    }
}

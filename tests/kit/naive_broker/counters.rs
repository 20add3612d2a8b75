//! What the model counts: everything when it happens, one by one.

use super::model::Model;
use sansse::broker::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counters: Counters,
    /// When each position was published.
    published_at: BTreeMap<u64, Duration>,
    ages: [u64; Histogram::BUCKETS],
}

impl Tally {
    pub(super) fn published(&mut self, now: Duration, position: u64, payload: &str) {
        self.counters.published += 1;
        self.counters.published_bytes += payload.len() as u64;
        self.published_at.insert(position, now);
    }

    pub(super) fn delivered(&mut self, now: Duration, position: u64, payload: &str) {
        self.counters.delivered += 1;
        self.counters.delivered_bytes += payload.len() as u64;
        let age = (now - self.published_at[&position]).as_micros();
        let bucket = (0..Histogram::BUCKETS).find(|bucket| {
            Histogram::upper_bound(*bucket).is_none_or(|bound| age <= u128::from(bound))
        });
        self.ages[bucket.unwrap()] += 1;
    }

    pub(super) fn returned(&mut self, payload: &str) {
        self.counters.delivered -= 1;
        self.counters.delivered_bytes -= payload.len() as u64;
        self.counters.returned += 1;
    }

    pub(super) fn opened(&mut self, resume: Resumption) {
        let resumed = &mut self.counters.resumed;
        match resume {
            Resumption::Live => resumed.live += 1,
            Resumption::Oldest { .. } => resumed.oldest += 1,
            Resumption::Last { .. } => resumed.last += 1,
            Resumption::Complete { .. } => resumed.complete += 1,
            Resumption::Gap { .. } => resumed.gap += 1,
            Resumption::UnknownId { .. } => resumed.unknown_id += 1,
            Resumption::OtherEpoch { .. } => resumed.other_epoch += 1,
            Resumption::Ahead { .. } => resumed.ahead += 1,
            Resumption::Waiting => resumed.waiting += 1,
            Resumption::Forged => resumed.forged += 1,
            _ => unreachable!(),
        }
        self.counters.replayed += resume.replayed();
    }

    pub(super) fn refused(&mut self, error: OpenError) {
        let refused = &mut self.counters.refused;
        match error {
            OpenError::Closed | OpenError::Draining => refused.closing += 1,
            OpenError::TopicsEnded => refused.topics_ended += 1,
            OpenError::NotPermitted => refused.not_permitted += 1,
            OpenError::TooManySessions => refused.sessions += 1,
            OpenError::TooManySessionsOfClient { .. } => refused.of_client += 1,
            OpenError::TooManySessionsFromAddress { .. } => refused.from_address += 1,
            OpenError::TooManyTopics
            | OpenError::TooManySubscriptionsOfClient { .. }
            | OpenError::TooManySubscriptionsFromAddress { .. } => refused.topics += 1,
            OpenError::UnreadEvents => refused.unread_events += 1,
            _ => refused.invalid += 1,
        }
    }

    pub(super) fn ended(&mut self, reason: EndReason, undelivered: u64) {
        self.counters.lost.undelivered += undelivered;
        let ended = &mut self.counters.ended;
        match reason {
            EndReason::Disconnected => ended.disconnected += 1,
            EndReason::Closed => ended.closed += 1,
            EndReason::Shutdown => ended.shutdown += 1,
            EndReason::Lagged { lost } => {
                ended.lagged += 1;
                self.counters.lost.closed += lost;
            }
            EndReason::Stalled => ended.stalled += 1,
            EndReason::Evicted => ended.evicted += 1,
            EndReason::MaxAge => ended.max_age += 1,
            EndReason::Drained => ended.drained += 1,
            EndReason::Aborted => ended.aborted += 1,
            EndReason::LeaseExpired => ended.lease_expired += 1,
            EndReason::Revoked => ended.revoked += 1,
            EndReason::GaveWay => ended.gave_way += 1,
            EndReason::TopicsEnded => ended.topics_ended += 1,
            _ => unreachable!(),
        }
    }
}

impl Model {
    pub(super) fn check_counters(&self, broker: &Broker) -> Result<(), String> {
        let got = broker.counters();
        let mut expected = self.tally.counters.clone();
        expected.sessions = self.members.len() as u64;
        expected.waiting = self.waiting() as u64;
        expected.clients = self.guests.len() as u64;
        expected.absent_clients = self.kept.len() as u64;
        expected.topics = self.topics() as u64;
        expected.subscribed_topics = self.subscribed_only() as u64;
        expected.retained_bytes = self.retained_bytes() as u64;
        // How patterns remember what matches is not for the model to say.
        expected.pattern_bytes = got.pattern_bytes;
        expected.unread_events = self.events.len() as u64;
        // Where a batch of such a session stops, and so at which poll superseded events are counted,
        // is not for the model to say, nor whether an event waits that tells of it. That those
        // events add up to what is counted is checked where they are polled.
        if !self.inexact.is_empty() {
            let is_inexact = |event: &&BrokerEvent| match event {
                BrokerEvent::SessionSuperseded { session, .. } => self.inexact.contains(session),
                _ => false,
            };
            let unread = (self.events.len() - self.events.iter().filter(is_inexact).count()) as u64;
            let possible = unread..=unread + self.inexact.len() as u64;
            if possible.contains(&got.unread_events) {
                expected.unread_events = got.unread_events;
            }
            expected.superseded = got.superseded;
        }
        // How far behind depends on what the broker counts together; that it counts does not.
        let handed_over = expected.delivered + expected.returned;
        (expected.queue_age, expected.lag) = (got.queue_age.clone(), got.lag.clone());
        let is_right = got == expected
            && *got.queue_age.buckets() == self.tally.ages
            && got.lag.count() == handed_over
            && got.resumed.total() + got.waiting == got.sessions + got.ended.total();
        if is_right {
            return Ok(());
        }
        Err(format!("{got:?}\nwhere there are {expected:?}, ages {:?}", self.tally.ages))
    }
}

//! What a broker has done, in numbers that equal the truth.

use super::Broker;
use super::clock::Tick;
use super::log::Entry;
use super::outcome::{EndReason, OpenError, Resume};
use crate::encode::Frame;
use core::ops::AddAssign;

/// What a broker has done since it was made, and how much there is in it now.
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{Broker, BrokerConfig, Epoch, SessionRequest, Topic};
/// # let now = std::time::Instant::now();
///
/// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
/// let session = broker.open(now, SessionRequest::new())?.session;
/// broker.publish(now, Topic::Broadcast, &Event::new("hello"))?;
/// while broker.poll_transmit(now, session).is_some() {}
///
/// let counters = broker.counters();
/// assert_eq!((counters.sessions, counters.resumed.live), (1, 1));
/// assert_eq!((counters.published, counters.delivered), (1, 1));
/// // It was published and handed over in the same microsecond.
/// assert_eq!(counters.queue_age.count(), 1);
/// assert_eq!(counters.queue_age.buckets()[0], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// How many sessions are open now.
    pub sessions: u64,
    /// How many clients are known now, also in their grace time.
    pub clients: u64,
    /// How many named topics are known now, and patterns.
    pub topics: u64,
    /// How many bytes of events all logs keep now, encoded.
    pub retained_bytes: u64,
    /// How many events wait to be polled now.
    pub unread_events: u64,
    /// How the sessions that were opened resumed. Their sum is how many were opened.
    pub resumed: Resumed,
    /// How many events were to be replayed to sessions that resumed.
    pub replayed: u64,
    /// How many sessions were not opened, by the error.
    pub refused: Refused,
    /// How many sessions ended, by the reason.
    pub ended: Ended,
    /// How many events were published here or [applied](super::Broker::apply) here, whether or not
    /// anybody heard them. Each shard counts all of them; a hub counts them once.
    pub published: u64,
    /// The encoded size of these events, without what HTTP adds.
    pub published_bytes: u64,
    /// How many published events were handed over to sessions' drivers, without those that came
    /// back.
    pub delivered: u64,
    /// Their size, without what HTTP adds.
    pub delivered_bytes: u64,
    /// How many published events [came back](super::Broker::handle_partial_write), since a write did
    /// not take them. They are handed over again, or are lost.
    pub returned: u64,
    /// How many heartbeats were handed over.
    pub heartbeats: u64,
    /// How many events sessions did not get that were too far behind, by what they met.
    pub lost: Lost,
    /// How many events sessions were spared that [keep the newest per
    /// key](super::LagPolicy::KeepNewestPerKey), which is no loss. What was passed between the frames
    /// of a batch may come back with them, and is counted when its session is polled again, or ends.
    pub coalesced: u64,
    /// For each hand-over of a published event (one that came back and goes out again is counted
    /// twice): how long before it was published, in microseconds.
    pub queue_age: Histogram,
    /// For each hand-over of a published event: how many events had been published to the same topic
    /// after it.
    pub lag: Histogram,
}

/// How sessions resumed; see [`Resume`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// [`Resume::Live`].
    pub live: u64,
    /// [`Resume::Oldest`].
    pub oldest: u64,
    /// [`Resume::Complete`].
    pub complete: u64,
    /// [`Resume::Gap`].
    pub gap: u64,
    /// [`Resume::UnknownId`].
    pub unknown_id: u64,
    /// [`Resume::OtherEpoch`].
    pub other_epoch: u64,
    /// [`Resume::Ahead`].
    pub ahead: u64,
    /// [`Resume::Forged`].
    pub forged: u64,
}

/// Why sessions were not opened; see [`OpenError`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// [`OpenError::Closed`] and [`OpenError::Draining`].
    pub closing: u64,
    /// [`OpenError::TopicsEnded`].
    pub topics_ended: u64,
    /// [`OpenError::NotPermitted`].
    pub not_permitted: u64,
    /// [`OpenError::TooManySessions`].
    pub sessions: u64,
    /// [`OpenError::TooManySessionsOfClient`].
    pub of_client: u64,
    /// [`OpenError::TooManySessionsFromAddress`].
    pub from_address: u64,
    /// [`OpenError::TooManyTopics`].
    pub topics: u64,
    /// [`OpenError::UnreadEvents`].
    pub unread_events: u64,
    /// Requests that could not be, by the caller's fault.
    pub invalid: u64,
}

/// Why sessions ended; see [`EndReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// [`EndReason::Disconnected`].
    pub disconnected: u64,
    /// [`EndReason::Closed`].
    pub closed: u64,
    /// [`EndReason::Shutdown`].
    pub shutdown: u64,
    /// [`EndReason::Lagged`].
    pub lagged: u64,
    /// [`EndReason::Stalled`].
    pub stalled: u64,
    /// [`EndReason::Evicted`].
    pub evicted: u64,
    /// [`EndReason::MaxAge`].
    pub max_age: u64,
    /// [`EndReason::Drained`].
    pub drained: u64,
    /// [`EndReason::LeaseExpired`].
    pub lease_expired: u64,
    /// [`EndReason::Revoked`].
    pub revoked: u64,
    /// [`EndReason::TopicsEnded`].
    pub topics_ended: u64,
}

/// How many events sessions did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Of sessions that were closed for being behind, as far as they are kept no more.
    pub closed: u64,
    /// Of sessions that skipped.
    pub skipped: u64,
    /// Published to one session alone, which ended before.
    pub undelivered: u64,
}

/// How many values there were in each of a fixed number of ranges.
///
/// The first bucket is of zero, and each further one of twice the width of the one before: bucket
/// `n` holds the values from 2ⁿ⁻¹ to 2ⁿ − 1, and the last all that are greater.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; Histogram::BUCKETS],
}

impl Histogram {
    /// How many buckets there are. Of microseconds, the last but one ends at 18 minutes, beyond which
    /// hardly anything is kept.
    pub const BUCKETS: usize = 32;

    /// How many values there were in each bucket.
    pub const fn buckets(&self) -> &[u64; Self::BUCKETS] {
        &self.buckets
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The greatest value of a bucket; `None` for the last, which has no end, and beyond.
    pub const fn upper_bound(bucket: usize) -> Option<u64> {
        if bucket < Self::BUCKETS - 1 { Some((1 << bucket) - 1) } else { None }
    }

    /// The bucket of a value.
    pub fn bucket_of(value: u64) -> usize {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        bits.min(Self::BUCKETS - 1)
    }

    fn record(&mut self, value: u64) {
        self.buckets[Self::bucket_of(value)] += 1;
    }
}

/// Adds all numbers up: those of shards that are not copies of each other. What was published is on
/// each shard of one stream, so that it is counted once for each.
impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        let Self { resumed, refused, ended, lost, .. } = other;
        add([
            (&mut self.sessions, other.sessions),
            (&mut self.clients, other.clients),
            (&mut self.topics, other.topics),
            (&mut self.retained_bytes, other.retained_bytes),
            (&mut self.unread_events, other.unread_events),
            (&mut self.replayed, other.replayed),
            (&mut self.published, other.published),
            (&mut self.published_bytes, other.published_bytes),
            (&mut self.delivered, other.delivered),
            (&mut self.delivered_bytes, other.delivered_bytes),
            (&mut self.returned, other.returned),
            (&mut self.heartbeats, other.heartbeats),
            (&mut self.coalesced, other.coalesced),
            (&mut self.resumed.live, resumed.live),
            (&mut self.resumed.oldest, resumed.oldest),
            (&mut self.resumed.complete, resumed.complete),
            (&mut self.resumed.gap, resumed.gap),
            (&mut self.resumed.unknown_id, resumed.unknown_id),
            (&mut self.resumed.other_epoch, resumed.other_epoch),
            (&mut self.resumed.ahead, resumed.ahead),
            (&mut self.resumed.forged, resumed.forged),
            (&mut self.refused.closing, refused.closing),
            (&mut self.refused.topics_ended, refused.topics_ended),
            (&mut self.refused.not_permitted, refused.not_permitted),
            (&mut self.refused.sessions, refused.sessions),
            (&mut self.refused.of_client, refused.of_client),
            (&mut self.refused.from_address, refused.from_address),
            (&mut self.refused.topics, refused.topics),
            (&mut self.refused.unread_events, refused.unread_events),
            (&mut self.refused.invalid, refused.invalid),
            (&mut self.ended.disconnected, ended.disconnected),
            (&mut self.ended.closed, ended.closed),
            (&mut self.ended.shutdown, ended.shutdown),
            (&mut self.ended.lagged, ended.lagged),
            (&mut self.ended.stalled, ended.stalled),
            (&mut self.ended.evicted, ended.evicted),
            (&mut self.ended.max_age, ended.max_age),
            (&mut self.ended.drained, ended.drained),
            (&mut self.ended.lease_expired, ended.lease_expired),
            (&mut self.ended.revoked, ended.revoked),
            (&mut self.ended.topics_ended, ended.topics_ended),
            (&mut self.lost.closed, lost.closed),
            (&mut self.lost.skipped, lost.skipped),
            (&mut self.lost.undelivered, lost.undelivered),
        ]
        .into_iter());
        let ages = self.queue_age.buckets.iter_mut().zip(other.queue_age.buckets);
        let lags = self.lag.buckets.iter_mut().zip(other.lag.buckets);
        add(ages.chain(lags));
    }
}

fn add<'a>(pairs: impl Iterator<Item = (&'a mut u64, u64)>) {
    for (sum, more) in pairs {
        *sum += more;
    }
}

impl Broker {
    /// What the broker has done, and how much there is in it now. It costs a copy of some hundred
    /// numbers.
    pub fn counters(&self) -> Counters {
        Counters {
            sessions: self.sessions.len() as u64,
            clients: self.clients.len() as u64,
            // But for the broadcast.
            topics: self.topics.len() as u64 - 1,
            retained_bytes: self.retained.bytes() as u64,
            unread_events: self.events.len() as u64,
            ..self.counters.clone()
        }
    }
}

impl Counters {
    /// Takes note that an event is handed over, after which `behind` others came to its log.
    pub(super) fn deliver(&mut self, now: Tick, entry: &Entry, behind: u64) {
        self.delivered += 1;
        self.delivered_bytes += entry.frame().map_or(0, |frame| frame.len() as u64);
        self.queue_age.record(now.saturating_sub(entry.at) / MICROSECOND);
        self.lag.record(behind);
    }

    /// Takes note that so many events came back.
    pub(super) fn take_back(&mut self, events: usize, bytes: usize) {
        self.delivered -= events as u64;
        self.delivered_bytes -= bytes as u64;
        self.returned += events as u64;
    }

    pub(super) fn publish(&mut self, frame: &Frame) {
        self.published += 1;
        self.published_bytes += frame.len() as u64;
    }

    pub(super) fn open(&mut self, resume: Resume) {
        self.replayed += resume.replayed();
        *match resume {
            Resume::Live => &mut self.resumed.live,
            Resume::Oldest { .. } => &mut self.resumed.oldest,
            Resume::Complete { .. } => &mut self.resumed.complete,
            Resume::Gap { .. } => &mut self.resumed.gap,
            Resume::UnknownId { .. } => &mut self.resumed.unknown_id,
            Resume::OtherEpoch { .. } => &mut self.resumed.other_epoch,
            Resume::Ahead { .. } => &mut self.resumed.ahead,
            Resume::Forged => &mut self.resumed.forged,
        } += 1;
    }

    pub(super) fn refuse(&mut self, error: OpenError) {
        *match error {
            OpenError::Closed | OpenError::Draining => &mut self.refused.closing,
            OpenError::TopicsEnded => &mut self.refused.topics_ended,
            OpenError::NotPermitted => &mut self.refused.not_permitted,
            OpenError::TooManySessions => &mut self.refused.sessions,
            OpenError::TooManySessionsOfClient { .. } => &mut self.refused.of_client,
            OpenError::TooManySessionsFromAddress { .. } => &mut self.refused.from_address,
            OpenError::TooManyTopics => &mut self.refused.topics,
            OpenError::UnreadEvents => &mut self.refused.unread_events,
            OpenError::TooManyTopicsOfSession { .. }
            | OpenError::TooManyPermitted { .. }
            | OpenError::ZeroHeartbeat
            | OpenError::ZeroStallTimeout
            | OpenError::ZeroLag
            | OpenError::LeaseInThePast => &mut self.refused.invalid,
        } += 1;
    }

    pub(super) fn end(&mut self, reason: EndReason, undelivered: u64) {
        if let EndReason::Lagged { lost } = reason {
            self.lost.closed += lost;
        }
        self.lost.undelivered += undelivered;
        *match reason {
            EndReason::Disconnected => &mut self.ended.disconnected,
            EndReason::Closed => &mut self.ended.closed,
            EndReason::Shutdown => &mut self.ended.shutdown,
            EndReason::Lagged { .. } => &mut self.ended.lagged,
            EndReason::Stalled => &mut self.ended.stalled,
            EndReason::Evicted => &mut self.ended.evicted,
            EndReason::MaxAge => &mut self.ended.max_age,
            EndReason::Drained => &mut self.ended.drained,
            EndReason::LeaseExpired => &mut self.ended.lease_expired,
            EndReason::Revoked => &mut self.ended.revoked,
            EndReason::TopicsEnded => &mut self.ended.topics_ended,
        } += 1;
    }
}

/// In the broker's nanoseconds.
const MICROSECOND: Tick = 1_000;

impl Resumed {
    /// How many sessions were opened.
    pub const fn total(&self) -> u64 {
        self.live
            + self.oldest
            + self.complete
            + self.gap
            + self.unknown_id
            + self.other_epoch
            + self.ahead
            + self.forged
    }
}

impl Refused {
    /// How many sessions were not opened.
    pub const fn total(&self) -> u64 {
        let limited = self.sessions + self.of_client + self.from_address + self.topics;
        let not_at_all = self.closing + self.topics_ended + self.not_permitted + self.invalid;
        not_at_all + limited + self.unread_events
    }
}

impl Ended {
    /// How many sessions ended.
    pub const fn total(&self) -> u64 {
        let disturbed = self.disconnected + self.lagged + self.stalled + self.evicted;
        let closed = self.closed + self.shutdown + self.max_age + self.drained;
        disturbed + closed + self.lease_expired + self.revoked + self.topics_ended
    }
}

//! What a broker has done, in numbers that equal the truth.

use super::clock::Tick;
use super::error::OpenError;
use super::event::{EndReason, Resumption};
use crate::encode::Frame;
use core::ops::AddAssign;

/// What a broker has done since it was made, and how much there is in it now.
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{Audience, Broker, BrokerConfig, Epoch, SessionConfig, Transmit};
/// # let now = std::time::Instant::now();
///
/// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
/// let session = broker.open(now, SessionConfig::new())?.session;
/// broker.publish(now, Audience::Everyone, &Event::new("hello"))?;
/// while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
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
    /// How many of these wait now, since their last event id
    /// [is ahead](crate::broker::Resumption::Waiting).
    pub waiting: u64,
    /// How many clients are known now, also in their grace time.
    pub clients: u64,
    /// How many others there are, which have no session here and for which
    /// [events are kept](crate::broker::BrokerConfig::keeps_for_absent) now.
    pub absent_clients: u64,
    /// How many named topics are known now, and patterns.
    pub topics: u64,
    /// How many of these there are only because somebody subscribed to them.
    pub subscribed_topics: u64,
    /// How many bytes of events all logs keep now, encoded.
    pub retained_bytes: u64,
    /// How many bytes it takes now to know which events match the patterns in use. It is at most an
    /// eighth of [`retained_bytes`](crate::broker::BrokerLimits::retained_bytes), or 256 KiB if that is
    /// more.
    pub pattern_bytes: u64,
    /// How many events wait to be polled now.
    pub unread_events: u64,
    /// How opened sessions resumed. The sum is how many were opened, without those that
    /// [wait](Self::waiting) now.
    pub resumed: Resumed,
    /// How many events were to be replayed to sessions that resumed.
    pub replayed: u64,
    /// How many sessions were not opened, by the error.
    pub refused: Refused,
    /// How many sessions ended, by the reason.
    pub ended: Ended,
    /// How many events were published here or [applied](crate::broker::ShardMut::apply) here,
    /// whether or not a session got them. Each shard counts all of them; a hub counts them once.
    pub published: u64,
    /// The encoded size of these events, without what HTTP adds.
    pub published_bytes: u64,
    /// How many published events were handed over to sessions' drivers, without those that came
    /// back.
    pub delivered: u64,
    /// Their size, without what HTTP adds.
    pub delivered_bytes: u64,
    /// How many published events [came back](crate::broker::Broker::handle_partial_write), since a
    /// write did not take them. They are handed over again, or are lost.
    pub returned: u64,
    /// How many heartbeats were handed over.
    pub heartbeats: u64,
    /// How many events were lost to sessions that were too far behind, by what became of the
    /// session.
    pub lost: Lost,
    /// How often events were lost to all sessions, or may have been, since a log outside lost them:
    /// [cuts](crate::broker::ShardMut::cut), and positions that were left out. Each shard counts all
    /// of them; a hub counts them once.
    pub cuts: u64,
    /// How many superseded events did not go to sessions that [keep the newest per
    /// key](crate::broker::LagPolicy::KeepNewestPerKey). This is no loss. Superseded events between
    /// the frames of a batch may come back with these, so they are counted when the session is
    /// polled again, or ends.
    pub superseded: u64,
    /// For each hand-over of a published event, the time since it was published, in microseconds.
    /// An event that came back and goes out again is counted twice.
    pub queue_age: Histogram,
    /// For each hand-over of a published event: how many events had been published to the same
    /// topic after it.
    pub lag: Histogram,
    /// How many calls of the application's code panicked, which a hub
    /// [caught](crate::hub#when-your-code-panics). A broker alone calls none.
    pub panics: Panics,
    /// 1 where the hub's [driver](crate::hub::Drive) was dropped before the hub was over, and 0
    /// otherwise.
    pub lost_drivers: u64,
}

/// Defines counters that are told apart by the variants of an enum: each field is followed by the
/// variants that it counts.
macro_rules! counted {
    (
        $(#[$meta:meta])*
        $name:ident by $kind:ident;
        $($(#[$doc:meta])* $field:ident: $variants:pat,)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl $name {
            /// Returns the sum of all.
            pub const fn total(&self) -> u64 {
                0 $(+ self.$field)*
            }

            fn count(&mut self, kind: $kind) {
                match kind {
                    $($variants => self.$field += 1,)*
                }
            }
        }

        impl AddAssign<&Self> for $name {
            fn add_assign(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counted! {
    /// How sessions resumed; see [`Resumption`]. Each that was opened is counted once it is decided,
    /// so that the sum is how many were opened, without those that [wait](Counters::waiting) now.
    Resumed by Resumption;
    /// [`Resumption::Live`].
    live: Resumption::Live,
    /// [`Resumption::Oldest`].
    oldest: Resumption::Oldest { .. },
    /// [`Resumption::Last`].
    last: Resumption::Last { .. },
    /// [`Resumption::Complete`].
    complete: Resumption::Complete { .. },
    /// [`Resumption::Gap`].
    gap: Resumption::Gap { .. },
    /// [`Resumption::UnknownId`].
    unknown_id: Resumption::UnknownId { .. },
    /// [`Resumption::OtherEpoch`].
    other_epoch: Resumption::OtherEpoch { .. },
    /// [`Resumption::Ahead`].
    ahead: Resumption::Ahead { .. },
    /// [`Resumption::Waiting`]: those that ended before it was decided.
    waiting: Resumption::Waiting,
    /// [`Resumption::Forged`].
    forged: Resumption::Forged,
}

counted! {
    /// Why sessions were not opened; see [`OpenError`]. The sum is how many were not.
    Refused by OpenError;
    /// [`OpenError::Closed`] and [`OpenError::Draining`].
    closing: OpenError::Closed | OpenError::Draining,
    /// [`OpenError::Joining`].
    joining: OpenError::Joining,
    /// [`OpenError::TopicsEnded`].
    topics_ended: OpenError::TopicsEnded,
    /// [`OpenError::NotPermitted`].
    not_permitted: OpenError::NotPermitted,
    /// [`OpenError::TooManySessions`].
    sessions: OpenError::TooManySessions,
    /// [`OpenError::TooManySessionsOfClient`].
    of_client: OpenError::TooManySessionsOfClient { .. },
    /// [`OpenError::TooManySessionsFromAddress`].
    from_address: OpenError::TooManySessionsFromAddress { .. },
    /// [`OpenError::TooManyTopics`], [`OpenError::TooManySubscriptionsOfClient`] and
    /// [`OpenError::TooManySubscriptionsFromAddress`].
    topics: OpenError::TooManyTopics
        | OpenError::TooManySubscriptionsOfClient { .. }
        | OpenError::TooManySubscriptionsFromAddress { .. },
    /// [`OpenError::UnreadEvents`].
    unread_events: OpenError::UnreadEvents,
    /// All other errors: requests that no broker of this configuration accepts.
    invalid: _,
}

counted! {
    /// Why sessions ended; see [`EndReason`]. The sum is how many did.
    Ended by EndReason;
    /// [`EndReason::Disconnected`].
    disconnected: EndReason::Disconnected,
    /// [`EndReason::Closed`].
    closed: EndReason::Closed,
    /// [`EndReason::Shutdown`].
    shutdown: EndReason::Shutdown,
    /// [`EndReason::Lagged`].
    lagged: EndReason::Lagged { .. },
    /// [`EndReason::Stalled`].
    stalled: EndReason::Stalled,
    /// [`EndReason::Evicted`].
    evicted: EndReason::Evicted,
    /// [`EndReason::MaxAge`].
    max_age: EndReason::MaxAge,
    /// [`EndReason::Drained`].
    drained: EndReason::Drained,
    /// [`EndReason::LeaseExpired`].
    lease_expired: EndReason::LeaseExpired,
    /// [`EndReason::Revoked`].
    revoked: EndReason::Revoked,
    /// [`EndReason::GaveWay`].
    gave_way: EndReason::GaveWay,
    /// [`EndReason::Aborted`].
    aborted: EndReason::Aborted,
    /// [`EndReason::TopicsEnded`].
    topics_ended: EndReason::TopicsEnded,
}

/// How many events were lost to sessions, by what became of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Lost to sessions that were closed for being too far behind.
    pub closed: u64,
    /// Lost to sessions that skipped them.
    pub skipped: u64,
    /// Published to one session alone, which ended before it took them.
    pub undelivered: u64,
}

/// How many calls of the application's code panicked, by what was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panics {
    /// Calls of the [listener](crate::hub::HubBuilder::on_event): each lost one event.
    pub listener: u64,
    /// Wakers of tasks, whose tasks may not know that they are to go on.
    pub wakers: u64,
    /// Values and wakers that were dropped.
    pub values: u64,
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
    /// How many buckets there are. Of microseconds, the last but one ends at 18 minutes, beyond
    /// which hardly anything is kept.
    pub const BUCKETS: usize = 32;

    /// Returns how many values there were in each bucket.
    pub const fn buckets(&self) -> &[u64; Self::BUCKETS] {
        &self.buckets
    }

    /// Returns how many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the greatest value of a bucket; `None` for the last, which has no end, and beyond.
    pub const fn upper_bound(bucket: usize) -> Option<u64> {
        if bucket < Self::BUCKETS - 1 { Some((1 << bucket) - 1) } else { None }
    }

    /// Returns the bucket of a value.
    pub fn bucket_of(value: u64) -> usize {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        bits.min(Self::BUCKETS - 1)
    }

    fn record(&mut self, value: u64) {
        self.buckets[Self::bucket_of(value)] += 1;
    }
}

/// Adds up the counters of several shards. Each shard of one stream has all that was published, so
/// that an event is counted once for each shard.
impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        let Self { lost, panics, .. } = other;
        add([
            (&mut self.sessions, other.sessions),
            (&mut self.waiting, other.waiting),
            (&mut self.clients, other.clients),
            (&mut self.absent_clients, other.absent_clients),
            (&mut self.topics, other.topics),
            (&mut self.subscribed_topics, other.subscribed_topics),
            (&mut self.retained_bytes, other.retained_bytes),
            (&mut self.pattern_bytes, other.pattern_bytes),
            (&mut self.unread_events, other.unread_events),
            (&mut self.replayed, other.replayed),
            (&mut self.published, other.published),
            (&mut self.published_bytes, other.published_bytes),
            (&mut self.cuts, other.cuts),
            (&mut self.delivered, other.delivered),
            (&mut self.delivered_bytes, other.delivered_bytes),
            (&mut self.returned, other.returned),
            (&mut self.heartbeats, other.heartbeats),
            (&mut self.superseded, other.superseded),
            (&mut self.lost.closed, lost.closed),
            (&mut self.lost.skipped, lost.skipped),
            (&mut self.lost.undelivered, lost.undelivered),
            (&mut self.panics.listener, panics.listener),
            (&mut self.panics.wakers, panics.wakers),
            (&mut self.panics.values, panics.values),
            (&mut self.lost_drivers, other.lost_drivers),
        ]
        .into_iter());
        self.resumed += &other.resumed;
        self.refused += &other.refused;
        self.ended += &other.ended;
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

impl Counters {
    /// Records that an event of so many bytes is handed over, after which `behind` others came
    /// to its log.
    pub(crate) fn deliver(&mut self, now: Tick, published_at: Tick, bytes: usize, behind: u64) {
        self.delivered += 1;
        self.delivered_bytes += bytes as u64;
        self.queue_age.record(now.saturating_sub(published_at) / MICROSECOND);
        self.lag.record(behind);
    }

    /// Records that so many events came back.
    pub(crate) fn take_back(&mut self, events: usize, bytes: usize) {
        self.delivered -= events as u64;
        self.delivered_bytes -= bytes as u64;
        self.returned += events as u64;
    }

    /// Records an event that was published.
    pub(crate) fn publish(&mut self, frame: &Frame) {
        self.published += 1;
        self.published_bytes += frame.len() as u64;
    }

    /// Records a session that was opened.
    pub(crate) fn open(&mut self, resume: Resumption) {
        self.replayed += resume.replayed();
        self.resumed.count(resume);
    }

    /// Records a session that was not opened.
    pub(crate) fn refuse(&mut self, error: OpenError) {
        self.refused.count(error);
    }

    /// Records a session that ended.
    pub(crate) fn end(&mut self, reason: EndReason, undelivered: u64) {
        if let EndReason::Lagged { lost } = reason {
            self.lost.closed += lost;
        }
        self.lost.undelivered += undelivered;
        self.ended.count(reason);
    }
}

/// In the broker's nanoseconds.
const MICROSECOND: Tick = 1_000;

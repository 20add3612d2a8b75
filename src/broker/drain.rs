//! Letting all sessions go, one after the other, so that a deploy makes no storm.

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::outcome::{BrokerEvent, EndReason};
use super::reconnect::Random;
use super::{Broker, Told};
use crate::encode::Frame;
use crate::event::Event;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

/// How a broker lets its sessions go.
///
/// With `n` sessions, their ends lie `over / n` apart, and each is told a reconnection time such
/// that they come back `(over + spread) / n` apart: of peers that keep to it, no more than
/// `n / (over + spread)` in any second, plus one, to within a millisecond. Who goes when is drawn
/// by [`BrokerConfig::seed`](super::BrokerConfig::seed).
///
/// A browser keeps the last reconnection time that it was told for as long as the page lives. Who
/// takes the sessions over should tell its own again:
/// [`BrokerConfig::retry`](super::BrokerConfig::retry).
///
/// ```
/// use sansse::broker::{Broker, BrokerConfig, BrokerEvent, Drain, Epoch, OpenError, SessionRequest};
/// use sansse::{Event, EventType};
/// use std::time::Duration;
/// # let now = std::time::Instant::now();
///
/// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
/// let session = broker.open(now, SessionRequest::new())?.session;
/// // 10,000 sessions would go at 500 a second, and come back at 100 a second.
/// let farewell = Event::new("back soon").with_type(EventType::new("maintenance")?);
/// let drain = Drain::new(Duration::from_secs(20))
///     .with_retry(Duration::from_secs(2), Duration::from_secs(80))
///     .with_farewell(farewell);
/// broker.drain(now, drain)?;
/// assert_eq!(broker.open(now, SessionRequest::new()), Err(OpenError::Draining));
/// // Its driver polls it as ever, and it gets what was published, the farewell, and its end.
/// while let Some(sansse::broker::Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
/// assert!(broker.is_drained());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Drain {
    over: Duration,
    retry: Option<(Duration, Duration)>,
    farewell: Option<Event>,
    patience: Duration,
    lets_topics_end: bool,
}

impl Drain {
    /// Ends all sessions over this period, evenly; zero for all at once. The first one ends at
    /// once.
    pub const fn new(over: Duration) -> Self {
        let patience = Duration::from_secs(10);
        Self { over, retry: None, farewell: None, patience, lets_topics_end: false }
    }

    /// The reconnection times that sessions are told when they go: from `least` for the first to
    /// `least + spread` for the last. The spread is for those who must be gone sooner than they
    /// may come back. Default: none is told, and peers do as they were told before, or as they
    /// please.
    pub const fn with_retry(mut self, least: Duration, spread: Duration) -> Self {
        self.retry = Some((least, spread));
        self
    }

    /// An event that each session gets last of all. It has no position and must bring no id, so
    /// that the session's place is not lost by it. Default: none.
    pub fn with_farewell(mut self, event: Event) -> Self {
        self.farewell = Some(event);
        self
    }

    /// How long after the period sessions may still take what they have not got yet, before the
    /// last ones end at once. Default 10 s: a supervisor that waits 30 s for a process to stop is
    /// not kept waiting by one slow peer.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Lets sessions [without the broadcast](super::SessionRequest::without_broadcast) go on until
    /// their topics [have ended](super::Broker::end_topic), instead of having a turn: an answer that
    /// is streamed once is completed, unless patience is over before. Default: they have their turn
    /// as all others.
    pub const fn letting_topics_end(mut self) -> Self {
        self.lets_topics_end = true;
        self
    }

    /// What the one whose turn comes as this one of so many gets last.
    fn last_words(&self, turn: &Turn) -> Option<Frame> {
        let event = self.farewell.clone();
        let event = match self.retry {
            Some((least, spread)) => {
                // Rounded up, since it is told in whole milliseconds.
                let retry = least.saturating_add(turn.share_of(spread));
                let rest = Duration::from_nanos(u64::from(retry.subsec_nanos() % 1_000_000));
                let up = if rest.is_zero() { rest } else { Duration::from_millis(1) - rest };
                event.unwrap_or_else(Event::empty).with_retry(retry.saturating_add(up))
            }
            None => event?,
        };
        Some(Frame::new(&event))
    }
}

/// Why a broker does not drain. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrainError {
    /// The broker was closed.
    Closed,
    /// It drains already. [`Broker::close`] ends all that are left.
    AlreadyDraining,
    /// The farewell brings an id, by the caller's fault: it would take the place from which a
    /// session resumes.
    FarewellWithId,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the broker is closed",
            Self::AlreadyDraining => "the broker drains already",
            Self::FarewellWithId => "a farewell with an id",
        })
    }
}

impl core::error::Error for DrainError {}

/// Who is yet to go.
#[derive(Debug)]
pub(super) struct Draining {
    drain: Drain,
    started: Tick,
    order: Vec<Key>,
    next: usize,
    /// When those that are left end at once; `None` afterwards.
    last_call: Option<Tick>,
}

/// The how manieth of how many.
struct Turn {
    number: u128,
    of: u128,
}

impl Turn {
    fn share_of(&self, time: Duration) -> Duration {
        let nanos = time.as_nanos().saturating_mul(self.number) / self.of.max(1);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Draining {
    /// Turns of several shards lie between one another.
    fn turn(&self, number: usize, shard: u16, shards: u16) -> Turn {
        let shards = u128::from(shards);
        Turn {
            number: number as u128 * shards + u128::from(shard) % shards,
            of: self.order.len() as u128 * shards,
        }
    }
}

impl Broker {
    /// Lets all sessions go over a period: each gets what was published before its turn, the
    /// farewell and its reconnection time, and its end. Until then it is served as ever, and
    /// what is published goes to those who are left. No other session is opened any more.
    ///
    /// [`BrokerEvent::Drained`] tells when the last is gone. This walks over all sessions once.
    ///
    /// # Errors
    ///
    /// [`DrainError`]; then nothing was done.
    pub fn drain(&mut self, now: Instant, drain: Drain) -> Result<(), DrainError> {
        let now = self.clock.advance(now);
        self.check_drain(&drain)?;
        let mut order: Vec<Key> = self.sessions.keys().collect();
        shuffle(&mut order, &mut self.random);
        let last = drain.over.saturating_add(drain.patience);
        let last_call = Some(now.saturating_add(ticks(last)));
        self.draining = Some(Box::new(Draining { drain, started: now, order, next: 0, last_call }));
        if self.sessions.len() == 0 {
            self.emit_drained();
        }
        self.drain_due();
        Ok(())
    }

    /// Whether [`drain`](Self::drain) may be called with this.
    pub(crate) fn check_drain(&self, drain: &Drain) -> Result<(), DrainError> {
        if self.closed {
            Err(DrainError::Closed)
        } else if self.draining.is_some() {
            Err(DrainError::AlreadyDraining)
        } else if drain.farewell.as_ref().is_some_and(|event| event.id().is_some()) {
            Err(DrainError::FarewellWithId)
        } else {
            Ok(())
        }
    }

    /// Whether the broker lets its sessions go, or has done so.
    pub const fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Whether the broker was told to let its sessions go, and the last is gone.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.sessions.len() == 0
    }

    /// When the next turn is.
    pub(super) fn next_turn(&self) -> Option<Tick> {
        let draining = self.draining.as_ref()?;
        if draining.next < draining.order.len() {
            let turn = draining.turn(draining.next, self.config.shard, self.config.shards.get());
            let after = turn.share_of(draining.drain.over);
            return Some(draining.started.saturating_add(ticks(after)));
        }
        draining.last_call.filter(|_| self.sessions.len() > 0)
    }

    /// Lets those go whose turn it is.
    pub(super) fn drain_due(&mut self) {
        while self.next_turn().is_some_and(|at| at <= self.clock.now()) {
            let (shard, shards) = (self.config.shard, self.config.shards.get());
            let Some(draining) = &mut self.draining else { return };
            let number = draining.next;
            if let Some(&key) = draining.order.get(number) {
                draining.next += 1;
                let broadcast = self.broadcast;
                if draining.drain.lets_topics_end
                    && let Some(session) = self.sessions.get(key)
                    && session.subscriptions.iter().all(|one| one.topic != broadcast)
                {
                    continue;
                }
                let last_words = draining.drain.last_words(&draining.turn(number, shard, shards));
                self.finish_with(key, EndReason::Drained, last_words);
            } else {
                draining.last_call = None;
                let keys: Vec<Key> = self.sessions.keys().collect();
                for key in keys {
                    self.end(key, EndReason::Drained, Told::ByReady);
                }
            }
        }
    }

    /// Nobody has a turn any more.
    pub(super) fn stop_draining(&mut self) {
        if let Some(draining) = &mut self.draining {
            (draining.order, draining.next, draining.last_call) = (Vec::new(), 0, None);
        }
    }

    pub(super) fn emit_drained(&mut self) {
        if self.is_drained() {
            self.emit(BrokerEvent::Drained { shard: self.config.shard });
        }
    }
}

/// Fisher and Yates.
fn shuffle(order: &mut [Key], random: &mut Random) {
    for last in (1..order.len()).rev() {
        let other = random.below(last as u64 + 1);
        order.swap(last, usize::try_from(other).unwrap_or(last));
    }
}

//! Letting all sessions go, one after the other, so that a deploy makes no storm.

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::config::Drain;
use super::error::DrainError;
use super::event::{BrokerEvent, EndReason};
use super::reconnect::Random;
use super::{Broker, Told};
use crate::encode::Frame;
use crate::event::Event;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

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
        let last = drain.over().saturating_add(drain.patience());
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
        } else if drain.farewell().is_some_and(|event| event.id().is_some()) {
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
            let after = turn.share_of(draining.drain.over());
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
                if draining.drain.lets_topics_end()
                    && let Some(session) = self.sessions.get(key)
                    && session.subscriptions.iter().all(|one| one.topic != broadcast)
                {
                    continue;
                }
                let last_words = last_words(&draining.drain, &draining.turn(number, shard, shards));
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

/// What the one whose turn comes as this one of so many gets last.
fn last_words(drain: &Drain, turn: &Turn) -> Option<Frame> {
    let event = drain.farewell().cloned();
    let event = match drain.retry() {
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

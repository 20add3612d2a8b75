//! Sessions that are older than memory: what is asked to be read for them, and what becomes of it.

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::config::{Backfill, StartAt};
use super::names::{SessionId, TopicName};
use super::sessions::{Ahead, Bounds, Hears, History, Session, Subscription};
use super::{Backfilled, Broker};
use alloc::vec::Vec;
use std::time::Instant;

/// What is to be read for a session; see
/// [`ShardMut::poll_backfill`](super::ShardMut::poll_backfill).
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    /// For whom.
    pub session: SessionId,
    /// What was published after this position.
    pub after: u64,
}

impl Broker {
    /// Sets what is read, as [`ShardMut::set_backfill`](super::ShardMut::set_backfill) says.
    pub(super) fn set_backfill(&mut self, now: Instant, backfill: Option<Backfill>) {
        self.advance(now);
        self.backfill = backfill;
        if backfill.is_none() {
            for key in self.sessions.waiting_for_history() {
                self.give_up_reading(key);
            }
        }
    }

    /// Returns whether one session more may wait for what is read.
    pub(super) fn has_room_to_read(&self) -> bool {
        self.backfill.is_some_and(|backfill| {
            self.sessions.has_room_to_read(backfill.sessions.get() as usize)
        })
    }

    /// Lets a session wait for what is read after its position.
    #[cold]
    pub(super) fn let_read_for(&self, now: Tick, key: Key, ahead: Ahead) -> Ahead {
        let wait = self.backfill.map_or(0, |backfill| ticks(backfill.wait));
        let hears = self.heard_by(key, ahead.late());
        let history = History::new(ahead.position(), hears);
        ahead.with_history(now.saturating_add(wait), history)
    }

    /// Returns what the subscriptions hear with which a session was opened.
    fn heard_by(&self, key: Key, late: &[(u32, StartAt)]) -> Vec<(u32, Hears)> {
        let Some(session) = self.sessions.get(key) else { return Vec::new() };
        let everyone = self.topics.everyone();
        let is_first = |number: u32| is_first(session, number, late);
        let client = session.client().and_then(|client| self.clients.at(client));
        let hears = |(number, channel): (u32, u32)| {
            let one = if channel == everyone {
                Hears::Everyone
            } else if let Some(filter) = self.topics.filter(channel) {
                Hears::Topics(filter)
            } else {
                Hears::Client(client.filter(|client| client.channel() == channel)?.id().clone())
            };
            Some((number, one))
        };
        session.channels().filter(|(number, _)| is_first(*number)).filter_map(hears).collect()
    }

    /// Returns what is to be read, as
    /// [`ShardMut::poll_backfill`](super::ShardMut::poll_backfill) says.
    pub(super) fn poll_backfill(&mut self) -> Option<BackfillRequest> {
        let (key, after) = self.sessions.pop_unread()?;
        Some(BackfillRequest { session: self.sessions.id_of(key), after })
    }

    /// Returns whether [`poll_backfill`](Self::poll_backfill) has entries to look at.
    #[cfg(feature = "record")]
    pub(crate) fn has_unread(&self) -> bool {
        self.sessions.has_unread()
    }

    /// Takes what was read, as [`ShardMut::backfill`](super::ShardMut::backfill) says.
    pub(super) fn backfill(
        &mut self,
        now: Instant,
        session: SessionId,
        read: &Backfilled,
    ) -> Option<u64> {
        self.advance(now);
        let key = self.sessions.key_of(session)?;
        let limits = self.backfill.unwrap_or_default();
        let bounds = Bounds {
            events: limits.events.get().into(),
            bytes: limits.bytes.get(),
            ends: self.config.limits.ended_topics as usize,
        };
        let (topics, last) = (&self.topics, self.sequencer.last());
        let has_ended = |name: &TopicName, position| {
            topics.named(name).and_then(|slot| topics.ended_through(slot)).is_some_and(|end| {
                // What came after it has no place in the topic's log.
                end < position
            })
        };
        let history = self.sessions.history_mut(key)?;
        if !history.take(read, last, bounds, has_ended) {
            self.give_up_reading(key);
            return None;
        }
        let through = history.through();
        if through < last && self.is_missing_after(key, through) {
            return Some(through);
        }
        self.decide(key);
        None
    }

    /// Lets a session resume from memory for which nothing can be read, as
    /// [`ShardMut::end_backfill`](super::ShardMut::end_backfill) says.
    pub(super) fn end_backfill(&mut self, now: Instant, session: SessionId) -> bool {
        self.advance(now);
        let key = self.sessions.key_of(session);
        let key = key.filter(|key| self.sessions.history_mut(*key).is_some());
        key.map(|key| self.give_up_reading(key)).is_some()
    }

    /// Lets a session resume from what is in memory alone.
    pub(super) fn give_up_reading(&mut self, key: Key) {
        if let Some(history) = self.sessions.history_mut(key) {
            history.give_up();
        }
        self.decide(key);
    }

    /// Returns whether something is missing in memory that was published to a session after this
    /// position.
    fn is_missing_after(&self, key: Key, position: u64) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let late = self.sessions.ahead(key).map_or(&[][..], Ahead::late);
        let mut channels =
            session.channels().filter(|(number, _)| is_first(session, *number, late));
        self.unseen > position
            || channels.any(|(_, channel)| {
                self.topics.view(channel).is_some_and(|view| view.lost_through() > position)
            })
    }
}

/// Returns whether a subscription whose place is not decided yet is one of those with which the
/// session was opened.
fn is_first(session: &Session, number: u32, late: &[(u32, StartAt)]) -> bool {
    session.subscription(number).is_some_and(Subscription::is_nowhere)
        && late.iter().all(|(late, _)| *late != number)
}

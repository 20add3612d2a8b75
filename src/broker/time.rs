//! What happens because time passes.

use super::admission::DrainStep;
use super::arena::Key;
use super::clock::Tick;
use super::sessions::Due;
use super::sessions::Told;
use super::{Broker, BrokerEvent, Drain, DrainError, EndReason, OpenError, Value};
use alloc::boxed::Box;
use core::time::Duration;
use std::time::Instant;

impl Broker {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    ///
    /// `None`: nothing waits for a time; any input, and `poll_transmit`, may change that, and may
    /// bring the time forward. It may come up earlier than anything is due; calling
    /// `handle_timeout` then moves it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [
            self.sessions.next_timeout(),
            self.topics.next_timeout(),
            self.clients.next_timeout(),
            self.admission.next_turn(self.sessions.len()),
        ];
        self.clock.instant(deadlines.into_iter().flatten().min()?)
    }

    /// Does what is due by `now`. It may be called at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some((key, due)) = self.sessions.pop_due(now) {
            match due {
                Due::Lease => self.end(key, EndReason::LeaseExpired, Told::ByReady),
                Due::Stall => self.end(key, EndReason::Stalled, Told::ByReady),
                Due::MaxAge => _ = self.finish(key, EndReason::MaxAge, None),
                Due::AskLease(until) => self.ask_for_lease(key, until),
            }
        }
        self.topics.handle_timeout(now);
        self.drain_due();
        self.forget_absent();
    }

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
        self.admission.drain(now, drain, self.sessions.keys().collect())?;
        self.emit_drained();
        self.drain_due();
        Ok(())
    }

    /// How long whoever was refused with this error is to wait before the next attempt, for a
    /// `Retry-After`, and so in whole seconds (RFC 9110, section 10.2.3); `None` where waiting does
    /// not help.
    ///
    /// It is no less than [`Reconnect::retry_after`](super::Reconnect::retry_after). Where
    /// the broker as a whole has no room, who asks is told no earlier time than the one before, so
    /// that of those who wait as long as they are told no more than
    /// [`Reconnect::per_second`](super::Reconnect::per_second) come
    /// back in any second; beyond five minutes it begins anew. It depends on how many were refused,
    /// and so on the load. If all are refused at the same time, each second is used; those who are
    /// refused over a period, and more of them than may come, may take as much longer as that
    /// period, since seconds of those who ask at different times begin at different times.
    ///
    /// Of several [shards](super::BrokerConfig::shard) without a hub each allots its part, and one
    /// return in several seconds where there are more shards than returns: then those of different
    /// shards may come together. A hub allots for all of them.
    pub fn retry_after(&mut self, now: Instant, error: &OpenError) -> Option<Duration> {
        let now = self.clock.advance(now);
        self.admission.retry_after(now, *error)
    }

    /// Lets the sessions go whose turn it is.
    fn drain_due(&mut self) {
        while let Some(step) = self.admission.pop_due(self.clock.now(), self.sessions.len()) {
            match step {
                DrainStep::Turn { session, last_words, lets_topics_end } => {
                    if !(lets_topics_end && self.is_finite(session)) {
                        self.finish(session, EndReason::Drained, last_words);
                    }
                }
                DrainStep::LastCall => self.end_all(EndReason::Drained),
            }
        }
    }

    /// Returns whether a session is open that does without the channel for everyone.
    fn is_finite(&self, key: Key) -> bool {
        let everyone = self.topics.everyone();
        self.sessions
            .get(key)
            .is_some_and(|session| session.channels().all(|(_, channel)| channel != everyone))
    }

    /// Tells once that the last session of a drain is gone.
    pub(super) fn emit_drained(&mut self) {
        if self.admission.is_draining() && self.sessions.len() == 0 {
            self.events.push(BrokerEvent::Drained { shard: self.config.shard.get() });
        }
    }

    /// Forgets clients whose grace time is over, and those absent the longest beyond the limit.
    pub(super) fn forget_absent(&mut self) {
        while let Some(forgotten) = self.clients.pop_forgotten(self.clock.now()) {
            let last = self.topics.close(forgotten.channel);
            self.clients.note_forgotten(last);
            self.events.push(BrokerEvent::ClientLeft { client: forgotten.id });
            self.let_go([Box::new(forgotten.metadata) as Value]);
        }
    }

    /// Asks the application whether a session may go on.
    fn ask_for_lease(&mut self, key: Key, until: Tick) {
        if let Some(until) = self.clock.instant(until) {
            let (session, client) = (self.sessions.id_of(key), self.client_of(key).cloned());
            self.events.push(BrokerEvent::LeaseExpiring { session, client, until });
        }
    }
}

//! What happens because time passes.

use super::admission::{DrainStep, LastWords};
use super::arena::Key;
use super::clients::{Departed, Forgotten};
use super::clock::Tick;
use super::sessions::{Due, Sessions, Told};
use super::{Broker, BrokerEvent, Drain, DrainError, EndReason, OpenError, Value};
use alloc::boxed::Box;
use core::time::Duration;
use std::time::Instant;

impl Broker {
    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called next.
    ///
    /// `None`: nothing waits for a time. Any input, and `poll_transmit`, may change that, and may
    /// bring the time forward. What is due when depends neither on `poll_ready` nor on
    /// `poll_event`. The time may come before anything is due; `handle_timeout` then moves it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.clock.instant(self.next_timeout()?)
    }

    fn next_timeout(&self) -> Option<Tick> {
        let deadlines = [
            self.sessions.next_timeout(),
            self.topics.next_timeout(),
            self.clients.next_timeout(),
            self.publishers.next_timeout(),
            self.admission.next_turn(self.sessions.len()),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes the caller's `now`, and returns the present time.
    ///
    /// Nothing has changed since the last call, so that what is due now first is what the driver was
    /// promised then.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant) -> Tick {
        let before = self.clock.now();
        let now = self.clock.advance(now);
        if Sessions::is_gap(before, now) {
            self.note_gap(before, now);
        }
        now
    }

    #[cold]
    fn note_gap(&mut self, before: Tick, now: Tick) {
        if let Some(promised) = self.next_timeout() {
            self.sessions.note_gap(before, now, promised);
        }
    }

    /// Does what is due by `now`. It may be called at any time.
    ///
    /// Where this or any other call comes more than 250 ms after the time that
    /// [`poll_timeout`](Self::poll_timeout) said, the driver [paused](crate::broker#pauses).
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        while let Some((key, due)) = self.sessions.pop_due(now, &self.topics) {
            match due {
                Due::Lease => self.end(key, EndReason::LeaseExpired, Told::ByReady),
                Due::Stall => self.end(key, EndReason::Stalled, Told::ByReady),
                Due::MaxAge => _ = self.finish(key, EndReason::MaxAge, Some(LastWords::default())),
                Due::AskLease(until) => self.ask_for_lease(key, until),
            }
        }
        self.handle_patience(now);
        self.topics.handle_timeout(now);
        // What is too old by now is not replayed.
        self.decide_overdue(now);
        self.drain_due();
        self.forget_absent();
    }

    /// Ends all sessions over a period: each gets what was published before its turn, the farewell
    /// with its reconnection time, and its end. Until its turn it is served as ever, and what is
    /// published goes to all that are left. No other session is opened any more.
    ///
    /// [`BrokerEvent::Drained`] tells when the last is gone. This walks over all sessions once.
    ///
    /// # Errors
    ///
    /// [`DrainError`]; then nothing was done.
    pub fn drain(&mut self, now: Instant, drain: Drain) -> Result<(), DrainError> {
        let now = self.advance(now);
        self.admission.drain(now, drain, self.sessions.keys().collect())?;
        self.emit_drained();
        self.drain_due();
        Ok(())
    }

    /// Returns how long a peer that was refused with this error is to wait before its next attempt;
    /// `None` where waiting does not help. It is in whole seconds, as a `Retry-After` is (RFC 9110,
    /// section 10.2.3).
    ///
    /// It is no less than [`Reconnect::retry_after`](super::Reconnect::retry_after). Where
    /// the broker as a whole has no room, each peer is told a time no earlier than the one before.
    /// So of the peers that wait as long as they are told, no more than
    /// [`Reconnect::per_second`](super::Reconnect::per_second) come
    /// back in any second. Beyond five minutes it begins anew.
    ///
    /// Peers that are refused at the same time use each second to the full. Peers that are refused
    /// over a period may take longer by that period, since their whole seconds begin at different
    /// times.
    ///
    /// Of several [shards](super::BrokerConfig::shard) without a hub, each gives out its part of
    /// the rate. Where there are more shards than returns in a second, peers of different shards
    /// may come together. A hub gives out the times for all its shards.
    pub fn retry_after(&mut self, now: Instant, error: &OpenError) -> Option<Duration> {
        let now = self.advance(now);
        self.admission.retry_after(now, *error)
    }

    /// Lets the sessions go whose turn it is.
    fn drain_due(&mut self) {
        while let Some(step) = self.admission.pop_due(self.clock.now(), self.sessions.len()) {
            match step {
                DrainStep::Turn { session, last_words, lets_topics_end } => {
                    if !(lets_topics_end && self.is_finite(session)) {
                        self.finish(session, EndReason::Drained, Some(last_words));
                    }
                }
                DrainStep::LastCall => self.abort_all(),
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
            let Forgotten { channel, left } = forgotten;
            // It may be elsewhere, and come back for what is kept.
            let kept = left.as_ref().and_then(|left| self.kept_since(left, channel));
            if let Some((since, id)) = kept {
                self.clients.keep(since, id, channel);
            } else {
                let last = self.topics.close(channel);
                self.clients.note_forgotten(last);
            }
            if let Some(Departed { id, metadata, .. }) = left {
                self.events.push(BrokerEvent::ClientLeft { client: id });
                self.let_go([Box::new(metadata) as Value]);
            }
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

//! What happens because time passes: heartbeats, stalls, ages and grace times.

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::config::BrokerConfig;
use super::event::EndReason;
use super::owned_timers::{Owner, Timer};
use super::publish::Change;
use super::state::{NEVER, Phase, Session};
use super::{Broker, Told};
use std::time::Instant;

impl Broker {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    ///
    /// `None`: nothing waits for a time; any input, and `poll_transmit`, may change that, and may
    /// bring the time forward. It may come up earlier than anything is due; calling
    /// `handle_timeout` then moves it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let grace = ticks(self.config.client_grace);
        let absent = self.absent.first().map(|&(since, _)| since.saturating_add(grace));
        let turn = self.next_turn();
        let next = self.timers.next().into_iter().chain(absent).chain(turn).min()?;
        self.clock.instant(next)
    }

    /// Does what is due by `now`. It may be called at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.advance(now);
        while let Some(timer) = self.timers.pop_due(now) {
            match timer.owner {
                Owner::Session => self.session_due(timer),
                Owner::Client => self.client_due(timer),
                Owner::Topic => self.topic_due(timer),
            }
        }
        self.drain_due();
        self.forget_absent();
    }

    fn session_due(&mut self, timer: Timer) {
        let Some(key) = self.sessions.key_at(timer.slot) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.armed != timer.at {
            return;
        }
        session.armed = NEVER;
        if self.terms_due(key) {
            self.arm_session(key);
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if deadline(session, &self.config) > self.clock.now() {
            self.arm_session(key);
        } else if session.phase == Phase::Parked {
            session.heartbeat_due = true;
            self.wake(key);
        } else {
            self.end(key, EndReason::Stalled, Told::ByReady);
        }
    }

    fn client_due(&mut self, timer: Timer) {
        if let Some(key) = self.clients.key_at(timer.slot)
            && let Some(client) = self.clients.get_mut(key)
            && client.armed == timer.at
        {
            client.armed = NEVER;
            let before = client.log.footprint();
            client.log.trim_aged(self.clock.now(), &self.config.private_retention);
            self.retained.update((Owner::Client, timer.slot), before, client.log.footprint());
            self.arm_client(key);
        }
    }

    fn topic_due(&mut self, timer: Timer) {
        if let Some(topic) = self.topics.at_mut(timer.slot)
            && topic.armed == timer.at
        {
            topic.armed = NEVER;
            let retention = topic.retention.as_ref().unwrap_or(&self.config.retention);
            let lost = topic.log.lost_through();
            let before = topic.log.footprint();
            topic.log.trim_aged(self.clock.now(), retention);
            self.retained.update((Owner::Topic, timer.slot), before, topic.log.footprint());
            let ended = topic.ended.as_ref().and_then(|ended| ended.until);
            self.tell_patterns(timer.slot, Change::Trimmed, lost);
            if ended.is_some_and(|until| until <= self.clock.now()) {
                self.forget_end(timer.slot);
            }
            self.arm_topic(timer.slot);
            self.release_topic(timer.slot);
        }
    }

    /// Sees to it that the session is looked at no later than its deadline.
    pub(super) fn arm_session(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let at = deadline(session, &self.config);
        if at < session.armed {
            session.armed = at;
            self.arm(Timer { at, owner: Owner::Session, slot: key.slot() });
        }
    }

    /// Sees to it that the topic is looked at no later than its oldest event is too old, or
    /// its end no longer remembered.
    pub(super) fn arm_topic(&mut self, slot: u32) {
        let Some(topic) = self.topics.at_mut(slot) else { return };
        let retention = topic.retention.as_ref().unwrap_or(&self.config.retention);
        let remembered = topic.ended.as_ref().and_then(|ended| ended.until);
        if let Some(at) = topic.log.next_expiry(retention).into_iter().chain(remembered).min()
            && at < topic.armed
        {
            topic.armed = at;
            self.arm(Timer { at, owner: Owner::Topic, slot });
        }
    }

    pub(super) fn arm_client(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.armed == NEVER
            && let Some(at) = client.log.next_expiry(&self.config.private_retention)
        {
            client.armed = at;
            self.arm(Timer { at, owner: Owner::Client, slot: key.slot() });
        }
    }

    fn arm(&mut self, timer: Timer) {
        self.timers.push(timer);
        let owners = self.sessions.len() + self.clients.len() + self.topics.len();
        let (sessions, clients, topics) = (&self.sessions, &self.clients, &self.topics);
        self.timers.compact(owners, |timer| {
            let armed = match timer.owner {
                Owner::Session => sessions.at(timer.slot).map(|session| session.armed),
                Owner::Client => clients.at(timer.slot).map(|client| client.armed),
                Owner::Topic => topics.at(timer.slot).map(|topic| topic.armed),
            };
            armed == Some(timer.at)
        });
    }
}

/// A parked session waits for its heartbeat; one that has output may stall; and its terms may say
/// more.
fn deadline(session: &Session, config: &BrokerConfig) -> Tick {
    let (since, after) = match session.phase {
        Phase::Parked => (session.sent_at, session.heartbeat(config.heartbeat)),
        Phase::Ready | Phase::Woken => {
            (session.polled_at, session.stall_timeout(config.stall_timeout))
        }
    };
    since.saturating_add(after).min(session.terms_deadline())
}

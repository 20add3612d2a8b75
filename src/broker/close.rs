//! How sessions end, and the broker with them.

use super::admission::LastWords;
use super::arena::Key;
use super::delivery::{Passed, Teller};
use super::sessions::Told;
use super::{Broker, BrokerEvent, EndReason, Notes, Resumption, SessionId};
use alloc::vec::Vec;
use std::time::Instant;

impl Broker {
    /// Ends a session whose connection is gone. Its driver is told nothing more. A session that is
    /// not open is no error.
    pub fn handle_disconnect(&mut self, now: Instant, session: SessionId) {
        self.advance(now);
        if let Some(key) = self.sessions.key_of(session) {
            self.sessions.tell_end(key, &self.topics);
            self.end(key, EndReason::Disconnected, Told::Already);
        }
    }

    /// Ends a session whose connection holds bytes that its peer does not take, and that are needed
    /// for others. As after [`handle_disconnect`](Self::handle_disconnect), its driver is told
    /// nothing more: it is the one who gives the session up, and cuts its stream. A session that is
    /// not open is no error.
    pub fn give_way(&mut self, now: Instant, session: SessionId) {
        self.advance(now);
        if let Some(key) = self.sessions.key_of(session) {
            self.sessions.tell_end(key, &self.topics);
            self.end(key, EndReason::GaveWay, Told::Already);
        }
    }

    /// Closes the broker: each session gets what was published before, then its end, and no other
    /// is opened. A session that takes nothing ends by the stall timeout.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        if !self.admission.close() {
            return;
        }
        let keys: Vec<Key> = self.sessions.keys().collect();
        for key in keys {
            self.finish(key, EndReason::Shutdown, None);
        }
        self.publishers.end_all();
    }

    /// Closes the broker and ends all sessions at once, whatever they have not taken yet; see
    /// [`EndReason::Aborted`].
    pub fn abort(&mut self, now: Instant) {
        self.close(now);
        self.abort_all();
    }

    /// Closes a session, as [`SessionMut::close`](super::SessionMut::close) says.
    pub(super) fn close_session(&mut self, now: Instant, session: SessionId) -> bool {
        self.advance(now);
        let key = self.sessions.key_of(session);
        key.is_some_and(|key| self.finish(key, EndReason::Closed, None))
    }

    /// Ends all sessions at once, whatever they have not taken yet.
    pub(super) fn abort_all(&mut self) {
        let keys: Vec<Key> = self.sessions.keys().collect();
        for key in keys {
            self.end(key, EndReason::Aborted, Told::ByReady);
        }
    }

    /// Lets a session have what there is, then `last_words` if it is to come back, and then its
    /// end. Returns whether there is such a session.
    pub(super) fn finish(
        &mut self,
        key: Key,
        reason: EndReason,
        last_words: Option<LastWords>,
    ) -> bool {
        let (now, through) = (self.clock.now(), self.sequencer.last());
        let ahead = self.sessions.waits_for(key);
        if ahead.is_some() {
            self.counters.open(Resumption::Waiting);
            self.owe_place_after_own(key);
        }
        let last_words = last_words.zip(self.sessions.get(key)).and_then(|(words, session)| {
            let usual = self.config.session.notices.as_ref();
            let teller = Teller::of(session, usual, &self.sequencer);
            teller.last_words(ahead.unwrap_or(through), &words)
        });
        self.sessions.finish(now, key, reason, through, last_words, &self.topics)
    }

    /// Ends a session, at once and for good.
    pub(super) fn end(&mut self, key: Key, reason: EndReason, told: Told) {
        // Before the channels go that nobody else has subscribed to.
        let subscriptions = self.sessions.get(key).map_or(0, |one| self.subscriptions_of(one));
        let Some((mut session, undelivered)) = self.sessions.remove(key, &mut self.topics) else {
            return;
        };
        if subscriptions > 0 {
            self.unsubscribed(session.client(), session.address(), subscriptions);
        }
        let id = self.sessions.id_of(key);
        let superseded = Passed::of_superseded(session.extras_mut().take_uncounted());
        Notes::new(&mut self.events, &mut self.counters, &self.clients).note(
            id,
            session.client(),
            superseded,
        );
        let sessions = &self.sessions;
        self.admission.leave(key, session.address(), |key| sessions.get(key).is_some());
        let now = self.clock.now();
        let client =
            session.client().and_then(|client| self.clients.leave(now, client, key)).cloned();
        if told == Told::ByReady {
            self.sessions.owe_end(key, reason);
        }
        if session.is_ahead() {
            self.counters.open(Resumption::Waiting);
        }
        self.counters.end(reason, undelivered);
        self.note_leave(key, session.channels().map(|(_, channel)| channel));
        let session = id;
        self.events.push(BrokerEvent::SessionEnded { session, client, reason, undelivered });
        self.forget_absent();
        self.emit_drained();
    }
}

//! For how long and to what a session may listen, and how that is taken away.

use super::arena::Key;
use super::clock::Tick;
use super::sessions::Told;
use super::{Broker, ClientId, EndReason, LeaseError, RevokeError, SessionId, TopicName};
use alloc::vec::Vec;
use std::time::Instant;

impl Broker {
    /// Says until when a session may listen from now on: later than before, or sooner. A session
    /// that had no [lease](super::SessionRequest::with_lease) has one then.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, BrokerEvent, Epoch, SessionRequest};
    /// use std::time::Duration;
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// let request = SessionRequest::new().with_lease(now + Duration::from_secs(600));
    /// let session = broker.open(now, request)?.session;
    /// # broker.poll_event();
    /// // Before it lapses, and while its driver keeps polling, the application is asked:
    /// let now = now + Duration::from_secs(570);
    /// # while broker.poll_transmit(now, session).is_some() {}
    /// broker.handle_timeout(now);
    /// let Some(BrokerEvent::LeaseExpiring { session, until, .. }) = broker.poll_event() else {
    ///     panic!()
    /// };
    /// // and says yes; otherwise the session would end at that time.
    /// broker.renew_lease(now, session, until + Duration::from_secs(600))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`LeaseError`]; then the lease is as it was.
    pub fn renew_lease(
        &mut self,
        now: Instant,
        session: SessionId,
        until: Instant,
    ) -> Result<(), LeaseError> {
        let now = self.clock.advance(now);
        let key = self.sessions.key_of(session).ok_or(LeaseError::UnknownSession)?;
        let session = self.sessions.get(key).ok_or(LeaseError::UnknownSession)?;
        if session.is_lapsed(now) {
            // It only has not been told so yet.
            return Err(LeaseError::UnknownSession);
        }
        let lease = self.lease(now, until).ok_or(LeaseError::InThePast)?;
        if let Some(session) = self.sessions.get_mut(key) {
            session.renew_lease(lease);
        }
        self.sessions.arm(key);
        Ok(())
    }

    /// Until when a session may listen; `None` for as long as it lasts, and for one that is not
    /// open.
    pub fn lease_of(&self, session: SessionId) -> Option<Instant> {
        self.clock.instant(self.sessions.by_id(session)?.lease_until()?)
    }

    /// Ends all sessions of a client at once, with [`EndReason::Revoked`], whatever they have not
    /// taken yet: nothing more goes to them but the rest of a frame that is half written. Says how
    /// many there were.
    ///
    /// The client itself stays known for its grace time, and with it what is kept for it: whether it
    /// comes in again is decided when it asks.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(&mut self, now: Instant, client: &ClientId) -> Result<usize, RevokeError> {
        self.clock.advance(now);
        let sessions = self.session_keys_of(client).ok_or(RevokeError::UnknownClient)?;
        for &key in &sessions {
            self.end(key, EndReason::Revoked, Told::ByReady);
        }
        Ok(sessions.len())
    }

    /// Takes a named topic from all sessions of a client at once: nothing more of it goes to them,
    /// also of what was published before and is not sent yet. They go on with their other topics,
    /// and are told nothing; but one that hears the topic through a
    /// [pattern](super::TopicPattern) ends with [`EndReason::Revoked`], since a pattern is heard as a
    /// whole: when it comes back, it is to ask for what it may hear, and it has missed nothing of
    /// that. Says how many sessions heard the topic.
    ///
    /// A session whose [permission](super::SessionRequest::with_permitted) covers the topic may not
    /// subscribe to it any more, nor to a pattern that matches it, whether or not it had it. For one
    /// without a permission, whoever calls [`subscribe`](Self::subscribe) decides; and whether they
    /// get it again when they reconnect is decided when they ask.
    ///
    /// ```
    /// use sansse::broker::{
    ///     Broker, BrokerConfig, ClientId, Epoch, Place, SessionRequest, SubscribeError, TopicFilter,
    ///     TopicName,
    /// };
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// let (alice, room) = (ClientId::new("alice")?, TopicName::new("room/7")?);
    /// let request = SessionRequest::new()
    ///     .with_client(alice.clone())
    ///     .with_permitted([TopicFilter::new("room/*")?])
    ///     .with_topic(room.clone());
    /// let session = broker.open(now, request)?.session;
    /// assert_eq!(broker.revoke_topic(now, &alice, &room), Ok(1));
    /// let again = broker.subscribe(now, session, room, Place::Now);
    /// assert_eq!(again, Err(SubscribeError::NotPermitted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke_topic(
        &mut self,
        now: Instant,
        client: &ClientId,
        topic: &TopicName,
    ) -> Result<usize, RevokeError> {
        let now = self.clock.advance(now);
        let sessions = self.session_keys_of(client).ok_or(RevokeError::UnknownClient)?;
        let mut heard = 0;
        for key in sessions {
            if self.hears_through_pattern(key, topic) {
                self.end(key, EndReason::Revoked, Told::ByReady);
                heard += 1;
            } else {
                heard += usize::from(self.take_topic(now, key, topic));
                self.forbid(key, topic);
            }
        }
        Ok(heard)
    }

    fn session_keys_of(&self, client: &ClientId) -> Option<Vec<Key>> {
        self.clients.get(client).map(|client| client.sessions().to_vec())
    }

    fn hears_through_pattern(&self, session: Key, name: &TopicName) -> bool {
        let session = self.sessions.get(session);
        session.is_some_and(|session| {
            let mut patterns =
                session.channels().filter_map(|(_, channel)| self.topics.pattern(channel));
            patterns.any(|pattern| pattern.matches(name))
        })
    }

    /// Takes a topic from a session. Returns whether it had it.
    fn take_topic(&mut self, now: Tick, key: Key, name: &TopicName) -> bool {
        let number = self.topics.named(name).and_then(|topic| {
            let mut channels = self.sessions.get(key)?.channels();
            channels.find(|(_, channel)| *channel == topic).map(|(number, _)| number)
        });
        // A batch that is under way goes back without it: its poll remains the newest.
        number.is_some_and(|number| self.take_subscription(now, key, number))
    }

    /// Takes a topic out of what a session may subscribe to, if that was said.
    fn forbid(&mut self, key: Key, topic: &TopicName) {
        let limit = self.config.max_permitted_per_session as usize;
        if self.sessions.get_mut(key).is_some_and(|session| !session.forbid(topic, limit)) {
            self.end(key, EndReason::Revoked, Told::ByReady);
        }
    }
}

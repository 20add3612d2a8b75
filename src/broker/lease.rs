//! For how long a session may listen, and how that right is taken away.

use super::arena::Key;
use super::clock::Tick;
use super::error::{LeaseError, RevokeError};
use super::event::{BrokerEvent, EndReason};
use super::names::{ClientId, SessionId, TopicName};
use super::ready::Parked;
use super::state::NEVER;
use super::terms::Terms;
use super::{Broker, Told};
use std::time::Instant;

/// Until when a session may listen, and when the application is to be asked about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) until: Tick,
    /// [`NEVER`] once it was.
    pub(super) ask_at: Tick,
}

impl Lease {
    /// A session without one may listen for as long as it lasts.
    pub(super) const NONE: Self = Self { until: NEVER, ask_at: NEVER };
}

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
        let key = self.key_of(session).ok_or(LeaseError::UnknownSession)?;
        let session = self.sessions.get(key).ok_or(LeaseError::UnknownSession)?;
        if session.is_lapsed(now) {
            // It only has not been told so yet.
            return Err(LeaseError::UnknownSession);
        }
        let lease = self.lease(now, until).ok_or(LeaseError::InThePast)?;
        if let Some(session) = self.sessions.get_mut(key) {
            session.terms.get_or_insert_with(|| Terms::NONE.into()).lease = lease;
        }
        self.arm_session(key);
        Ok(())
    }

    /// Until when a session may listen; `None` for as long as it lasts, and for one that is not
    /// open.
    pub fn lease_of(&self, session: SessionId) -> Option<Instant> {
        let until = self.session(session)?.terms.as_ref()?.lease.until;
        (until != NEVER).then(|| self.clock.instant(until)).flatten()
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
        let sessions = self.client(client).ok_or(RevokeError::UnknownClient)?.sessions.clone();
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
        self.clock.advance(now);
        let sessions = self.client(client).ok_or(RevokeError::UnknownClient)?.sessions.clone();
        let mut heard = 0;
        for key in sessions {
            if self.hears_through_pattern(key, topic) {
                self.end(key, EndReason::Revoked, Told::ByReady);
                heard += 1;
            } else {
                heard += usize::from(self.take_topic(key, topic));
                self.forbid(key, topic);
            }
        }
        Ok(heard)
    }

    fn hears_through_pattern(&self, session: Key, name: &TopicName) -> bool {
        let subscriptions = self.sessions.get(session).map(|session| &session.subscriptions);
        subscriptions.into_iter().flatten().any(|subscription| {
            let topic = self.topics.at(subscription.topic);
            let matched = topic.and_then(|topic| topic.matched.as_ref());
            matched.is_some_and(|matched| matched.pattern().matches(name))
        })
    }

    fn take_topic(&mut self, key: Key, name: &TopicName) -> bool {
        let Some(&topic) = self.topic_slots.get(name) else { return false };
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let mut subscriptions = (0..).zip(&session.subscriptions);
        let Some((number, _)) = subscriptions.find(|(_, one)| one.topic == topic) else {
            return false;
        };
        // A batch that is under way goes back without it: the poll remains the newest.
        let Some(taken) = session.remove(number) else { return false };
        let parked = Parked { session: key.slot(), subscription: number };
        let is_void = self.leave_topic(parked, &taken);
        self.void_ready(usize::from(is_void));
        if self.is_over(key) {
            self.wake(key);
        }
        true
    }

    /// The lease until then; `None` if that is over.
    pub(super) fn lease(&self, now: Tick, until: Instant) -> Option<Lease> {
        let until = self.clock.tick(until);
        if until <= now {
            return None;
        }
        // Of a lease that is shorter than the lead, half is over by then, so that whoever renews it
        // for as long again is not asked without end.
        let lead = super::clock::ticks(self.config.lease_lead).min((until - now) / 2);
        Some(Lease { until, ask_at: until - lead })
    }

    /// Asks the application whether the session may go on.
    pub(super) fn ask_for_lease(&mut self, key: Key) {
        let id = self.session_id(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(terms) = &mut session.terms else { return };
        terms.lease.ask_at = NEVER;
        let client = session.client.and_then(|client| self.clients.get(client));
        let client = client.map(|client| client.id.clone());
        if let Some(until) = self.clock.instant(terms.lease.until) {
            self.emit(BrokerEvent::LeaseExpiring { session: id, client, until });
        }
    }
}

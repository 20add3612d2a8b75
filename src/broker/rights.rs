//! One client: its sessions and metadata; for how long and to what sessions may listen, and how
//! that is taken away.

use super::arena::Key;
use super::calls::Calls;
use super::clients::Client;
use super::clock::Tick;
use super::sessions::Told;
use super::{Broker, ClientId, EndReason, LeaseError, RevokeError, SessionId, TopicName};
use alloc::vec::Vec;
use std::time::Instant;

/// Looks at one client that a [`Broker`] knows; from [`Broker::client`].
#[derive(Clone, Copy, Debug)]
pub struct ClientRef<'a> {
    broker: &'a Broker,
    client: &'a Client,
}

/// Changes one client of a [`Broker`] or of a recorded broker; from [`Broker::client_mut`].
#[derive(Debug)]
pub struct ClientMut<'a, B = Broker> {
    broker: &'a mut B,
    id: &'a ClientId,
}

impl Broker {
    /// Returns a handle that looks at a client. `None` if it is not known: it never had a session,
    /// or was absent for longer than [`BrokerConfig::client_grace`](super::BrokerConfig), whether or
    /// not [events are kept](super::BrokerConfig::keeps_for_absent) for it.
    pub fn client(&self, id: &ClientId) -> Option<ClientRef<'_>> {
        self.clients.get(id).map(|client| ClientRef { broker: self, client })
    }

    /// Returns a handle that changes a client, which need not be known.
    pub const fn client_mut<'a>(&'a mut self, id: &'a ClientId) -> ClientMut<'a> {
        ClientMut::new(self, id)
    }
}

impl<'a> ClientRef<'a> {
    /// Returns its sessions, in the order in which they were opened; none in its grace time.
    pub fn sessions(self) -> impl ExactSizeIterator<Item = SessionId> + use<'a> {
        let sessions = self.client.sessions().iter();
        sessions.map(move |&key| self.broker.sessions.id_of(key))
    }

    /// Returns what the application keeps with the client.
    pub const fn metadata(self) -> &'a http::Extensions {
        self.client.metadata()
    }
}

impl<'a, B: Calls> ClientMut<'a, B> {
    pub(crate) const fn new(broker: &'a mut B, id: &'a ClientId) -> Self {
        Self { broker, id }
    }

    /// Returns what the application keeps with the client, to be changed; `None` if the client is
    /// not known.
    pub fn metadata(self) -> Option<&'a mut http::Extensions> {
        self.broker.metadata_mut(self.id)
    }

    /// Ends all sessions of the client at once, with [`EndReason::Revoked`]. Nothing more goes to
    /// them but the rest of a frame that is half written. Returns how many there were.
    ///
    /// The client stays known for its grace time, with what is kept for it. Whether it comes in
    /// again is decided when it asks. For a client that is not known, and for which
    /// [events are kept](super::BrokerConfig::keeps_for_absent), these are dropped: to it they are
    /// a gap.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(self, now: Instant) -> Result<usize, RevokeError> {
        self.broker.revoke(now, self.id)
    }

    /// Takes a named topic from all sessions of the client at once. Nothing more of it goes to
    /// them, not even what was published before and is not sent yet. Returns how many sessions had
    /// the topic.
    ///
    /// The sessions go on with their other topics, and are told nothing. A session that has the
    /// topic by a [pattern](super::TopicPattern) ends with [`EndReason::Revoked`], since a pattern
    /// is had as a whole. When it comes back, it is to ask for what it may have, and has missed
    /// nothing of that.
    ///
    /// A session with a [permission](super::SessionConfig::with_permitted) may not subscribe to the
    /// topic any more, nor to a pattern that matches it, whether or not it had it. For
    /// one without a permission, the caller of [`subscribe`](super::SessionMut::subscribe) decides.
    /// Whether the sessions get the topic again when they reconnect is decided when they ask.
    ///
    /// ```
    /// use sansse::broker::{
    ///     Broker, BrokerConfig, ClientId, Epoch, StartAt, SessionConfig, SubscribeError, TopicFilter,
    ///     TopicName,
    /// };
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// let (alice, room) = (ClientId::new("alice")?, TopicName::new("room/7")?);
    /// let config = SessionConfig::new()
    ///     .with_client(alice.clone())
    ///     .with_permitted([TopicFilter::new("room/*")?])
    ///     .with_topic(room.clone());
    /// let session = broker.open(now, config)?.session;
    /// assert_eq!(broker.client_mut(&alice).revoke_topic(now, &room), Ok(1));
    /// let again = broker.session_mut(session).subscribe(now, room, StartAt::Now);
    /// assert_eq!(again, Err(SubscribeError::NotPermitted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke_topic(self, now: Instant, topic: &TopicName) -> Result<usize, RevokeError> {
        self.broker.revoke_topic(now, self.id, topic)
    }
}

impl Broker {
    /// Sets a lease, as [`SessionMut::renew_lease`](super::SessionMut::renew_lease) says.
    pub(super) fn renew_lease(
        &mut self,
        now: Instant,
        session: SessionId,
        until: Instant,
    ) -> Result<(), LeaseError> {
        let now = self.advance(now);
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

    /// Ends a client's sessions, as [`ClientMut::revoke`] says.
    pub(super) fn revoke(&mut self, now: Instant, client: &ClientId) -> Result<usize, RevokeError> {
        self.advance(now);
        if self.drop_kept(client) {
            return Ok(0);
        }
        let sessions = self.session_keys_of(client).ok_or(RevokeError::UnknownClient)?;
        for &key in &sessions {
            self.end(key, EndReason::Revoked, Told::ByReady);
        }
        Ok(sessions.len())
    }

    /// Takes a topic from a client's sessions, as [`ClientMut::revoke_topic`] says.
    pub(super) fn revoke_topic(
        &mut self,
        now: Instant,
        client: &ClientId,
        topic: &TopicName,
    ) -> Result<usize, RevokeError> {
        let now = self.advance(now);
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

    pub(super) fn metadata_mut(&mut self, client: &ClientId) -> Option<&mut http::Extensions> {
        let key = self.clients.key_of(client)?;
        self.clients.at_mut(key).map(Client::metadata_mut)
    }

    fn session_keys_of(&self, client: &ClientId) -> Option<Vec<Key>> {
        let sessions = self.clients.get(client).map(|client| client.sessions().to_vec());
        sessions.or_else(|| self.clients.is_kept(client).then(Vec::new))
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
        let limit = self.config.limits.permitted_per_session as usize;
        if self.sessions.get_mut(key).is_some_and(|session| !session.forbid(topic, limit)) {
            self.end(key, EndReason::Revoked, Told::ByReady);
        }
    }
}

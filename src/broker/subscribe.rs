//! One session: what it subscribes to, its lease, and its end.

use super::arena::Key;
use super::calls::Calls;
use super::clients::Client;
use super::clock::Tick;
use super::delivery::{self, Teller, Wish};
use super::names::TopicFilter;
use super::sessions::{LateGap, Phase, Session, Subscription, is_over};
use super::{Broker, ClientId, LeaseError, Resumption, SessionId, StartAt, SubscribeError};
use crate::last_event_id::LastEventId;
use crate::notice::Notice;
use alloc::vec::Vec;
use std::time::Instant;

/// Looks at one session of a [`Broker`]; from [`Broker::session`].
#[derive(Clone, Copy, Debug)]
pub struct SessionRef<'a> {
    broker: &'a Broker,
    id: SessionId,
}

/// Changes one session of a [`Broker`] or of a recorded broker; from [`Broker::session_mut`].
#[derive(Debug)]
pub struct SessionMut<'a, B = Broker> {
    broker: &'a mut B,
    id: SessionId,
}

impl Broker {
    /// Returns a handle that looks at a session, which need not be open.
    pub const fn session(&self, id: SessionId) -> SessionRef<'_> {
        SessionRef { broker: self, id }
    }

    /// Returns a handle that changes a session, which need not be open.
    pub const fn session_mut(&mut self, id: SessionId) -> SessionMut<'_> {
        SessionMut::new(self, id)
    }
}

impl<'a> SessionRef<'a> {
    /// Returns whether there is such a session, and it has not ended. One that was closed is open
    /// until it has what was published before.
    pub fn is_open(self) -> bool {
        self.broker.sessions.by_id(self.id).is_some()
    }

    /// Returns the client whose session it is; `None` if it has no client, or is not open.
    pub fn client(self) -> Option<&'a ClientId> {
        self.broker.client_of(self.broker.sessions.key_of(self.id)?)
    }

    /// Returns the topics and patterns to which it subscribes; none for one that is not open.
    pub fn topics(self) -> impl Iterator<Item = TopicFilter> + use<'a> {
        let session = self.broker.sessions.by_id(self.id);
        session.into_iter().flat_map(|session| self.broker.filters(session)).map(|one| one.1)
    }

    /// Returns until when it may listen; `None` for as long as it lasts, and for one that is not
    /// open.
    pub fn lease(self) -> Option<Instant> {
        let until = self.broker.sessions.by_id(self.id)?.lease_until()?;
        self.broker.clock.instant(until)
    }
}

impl<'a, B: Calls> SessionMut<'a, B> {
    pub(crate) const fn new(broker: &'a mut B, id: SessionId) -> Self {
        Self { broker, id }
    }

    /// Subscribes the session to one topic more, or to a pattern.
    ///
    /// From [`StartAt::Now`] it gets what is published after this call, and nothing from before.
    /// From another place, what is kept from there on is replayed, in order with what else is
    /// pending, and the outcome says whether that is all. Events of topics to which the session had
    /// subscribed already are excluded from the replay.
    ///
    /// Replayed events bring their ids, which lie before the session's place. After them the
    /// session is told its place again, by a [notice](super#what-a-peer-is-told). If something is
    /// missing from the replay, a notice says so before it. A peer that loses the connection in between resumes from
    /// the replayed event: it gets some of the other topics' events again, but misses none. A peer
    /// that loses it before the first replayed id resumes from where it was, without the replay. An
    /// application that needs the replay then asks for it again when the session
    /// [resumes](super::BrokerEvent::SessionOpened).
    ///
    /// Subscribing to what the session has already does nothing, and is [`Resumption::Live`].
    ///
    /// A session that [waits](Resumption::Waiting) for its place gets nothing of it before that is
    /// decided. From [`StartAt::Now`] it then gets what was published after this call, without what
    /// came before its place. From another place it begins as if this were called then, and is
    /// [`Resumption::Waiting`] until then.
    ///
    /// ```
    /// use sansse::Event;
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, StartAt, SessionConfig, TopicName, Transmit};
    /// # let now = std::time::Instant::now();
    /// # let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let room = TopicName::new("room/7")?;
    /// broker.publish(now, room.clone(), &Event::new("earlier"))?;
    /// let session = broker.open(now, SessionConfig::new())?.session;
    /// while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
    ///
    /// let outcome = broker.session_mut(session).subscribe(now, room.clone(), StartAt::Oldest)?;
    /// assert_eq!(outcome.replayed(), 1);
    /// assert_eq!(broker.poll_ready(), Some(session));
    /// let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
    /// assert_eq!(frame.payload(), "id: 1-1\ndata: earlier\n\n");
    /// assert!(broker.session_mut(session).unsubscribe(now, &room.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        self,
        now: Instant,
        filter: impl Into<TopicFilter>,
        start: StartAt,
    ) -> Result<Resumption, SubscribeError> {
        self.broker.subscribe(now, self.id, filter.into(), start)
    }

    /// Ends a subscription: the session gets nothing more by it, not even what was published before
    /// and is still to be sent. Returns whether there was one.
    ///
    /// What a batch holds already is sent. Where a pattern of the session matches the topic, its
    /// events still come by the pattern.
    pub fn unsubscribe(self, now: Instant, filter: &TopicFilter) -> bool {
        self.broker.unsubscribe(now, self.id, filter)
    }

    /// Sets until when the session may listen from now on: later than before, or sooner. A session
    /// that had no [lease](super::SessionConfig::with_lease) has one then.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, BrokerEvent, Epoch, SessionConfig, Transmit};
    /// use std::time::Duration;
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// let config = SessionConfig::new().with_lease(now + Duration::from_secs(600));
    /// let session = broker.open(now, config)?.session;
    /// # broker.poll_event();
    /// // Before it lapses, and while its driver keeps polling, the application is asked:
    /// let now = now + Duration::from_secs(570);
    /// # while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
    /// broker.handle_timeout(now);
    /// let Some(BrokerEvent::LeaseExpiring { session, until, .. }) = broker.poll_event().map(|(_, event)| event) else {
    ///     panic!()
    /// };
    /// // and says yes; otherwise the session would end at that time.
    /// broker.session_mut(session).renew_lease(now, until + Duration::from_secs(600))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`LeaseError`]; then the lease is as it was.
    pub fn renew_lease(self, now: Instant, until: Instant) -> Result<(), LeaseError> {
        self.broker.renew_lease(now, self.id, until)
    }

    /// Closes the session: it gets what was published before, then its end. Returns whether there
    /// is such a session.
    pub fn close(self, now: Instant) -> bool {
        self.broker.close_session(now, self.id)
    }
}

impl Broker {
    /// Subscribes a session, as [`SessionMut::subscribe`] says.
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        session: SessionId,
        filter: TopicFilter,
        start: StartAt,
    ) -> Result<Resumption, SubscribeError> {
        let now = self.advance(now);
        let key = self.sessions.key_of(session).ok_or(SubscribeError::UnknownSession)?;
        let session = self.sessions.get(key).filter(|session| session.ending().is_none());
        let session = session.ok_or(SubscribeError::UnknownSession)?;
        let except: Vec<TopicFilter> = self.filters(session).map(|(_, filter)| filter).collect();
        if except.contains(&filter) {
            return Ok(Resumption::Live);
        }
        if !session.permits(&filter) {
            return Err(SubscribeError::NotPermitted);
        }
        let limit = self.config.limits.topics_per_session;
        if except.len() >= limit as usize {
            return Err(SubscribeError::TooManyTopicsOfSession { limit });
        }
        let (client, address) = (session.client(), session.address());
        let of_client = client.and_then(|key| self.clients.at(key)).map(Client::subscriptions);
        let limit = self.config.limits.subscriptions_per_client;
        if of_client.is_some_and(|count| count >= limit as usize) {
            return Err(SubscribeError::TooManySubscriptionsOfClient { limit });
        }
        let limit = self.config.limits.subscriptions_per_address;
        if address.is_some_and(|from| self.admission.subscriptions(from) >= limit as usize) {
            return Err(SubscribeError::TooManySubscriptionsFromAddress { limit });
        }
        if self.topics.get(&filter).is_none() && !self.topics.has_room_to_subscribe(1) {
            return Err(SubscribeError::TooManyTopics);
        }
        let channel = self.topics.ensure(&filter);
        self.topics.join(channel);
        self.subscribed(client, address, 1);
        let cursor = self.topics.end_of(channel);
        let session = self.sessions.get_mut(key).ok_or(SubscribeError::UnknownSession)?;
        let resumption = if session.is_ahead() {
            let is_now = start == StartAt::Now;
            let cursor = if is_now { cursor } else { Subscription::NOWHERE };
            let number = session.add(Subscription::new(channel, cursor));
            session.extras_mut().add_late(number, start);
            if is_now { Resumption::Live } else { Resumption::Waiting }
        } else {
            session.see_end(&self.topics);
            let number = session.add(Subscription::new(channel, cursor));
            let (resumption, has_output) = self.begin_late(key, number, &start, &except);
            if self.sessions.get(key).is_some_and(|session| session.phase() == Phase::Parked) {
                if has_output {
                    self.sessions.wake(now, key);
                } else {
                    self.sessions.wait(key, number, &mut self.topics);
                }
            }
            resumption
        };
        self.note_reader(key, channel);
        Ok(resumption)
    }

    /// Decides where a subscription begins that was added to an open session, which had subscribed
    /// to `except` before. Returns how that resumes, and whether the session has output by it.
    pub(super) fn begin_late(
        &mut self,
        key: Key,
        number: u32,
        start: &StartAt,
        except: &[TopicFilter],
    ) -> (Resumption, bool) {
        let nothing = (Resumption::Live, false);
        let Some(session) = self.sessions.get_mut(key) else { return nothing };
        let channel = session.subscription(number).map(Subscription::channel);
        let Some((channel, view)) =
            channel.and_then(|channel| Some((channel, self.topics.view(channel)?)))
        else {
            return nothing;
        };
        let usual = &self.config.session;
        let wish = Wish::new(&LastEventId::Absent, start, usual.on_gap, self.unseen)
            .with_unknown_id(usual.on_unknown_id);
        let beginning = delivery::resume(&[view], wish, &self.sequencer);
        let (resume, places) = (beginning.resumption(), beginning.places());
        let mut cursor = places.cursors().first().copied().unwrap_or(view.end());
        let mut gone = places.gone().first().map_or(0, |(_, gone)| *gone);
        // The session got these already, or did not want them.
        let excluded = self.topics.numbers_from(channel, cursor, except);
        let replayed = resume.replayed() - excluded.len() as u64;
        if replayed == 0 {
            (cursor, gone) = (view.end(), 0);
        }
        let usual = self.config.session.notices.as_ref();
        let teller = Teller::of(session, usual, &self.sequencer);
        let (tells, tells_places) = (teller.tells(), teller.tells_places());
        let gap = match beginning.notice() {
            Notice::Gap { lost, reason, .. } if tells => Some(LateGap { replayed, lost, reason }),
            _ => None,
        };
        if let Some(one) = session.subscription_mut(number) {
            *one.cursor_mut() = cursor;
        }
        if let Some(gap) = gap {
            session.extras_mut().add_late_gap(gap);
        }
        session.extras_mut().set_gone(number, gone);
        if replayed > 0 {
            if tells_places {
                session.extras_mut().owe_place();
            }
            session.extras_mut().exclude(number, excluded);
        }
        let has_output = replayed > 0 || gap.is_some() || is_over(session, &self.topics);
        if replayed > 0 {
            self.bound_replay(key);
        }
        (resume.with_replayed(replayed), has_output)
    }

    /// Keeps what is replayed to a session out of any bounds of its lag.
    pub(super) fn bound_replay(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (lag, channels) = (session.lag(), session.channels().map(|(_, channel)| channel));
        let usual = &self.config.session.lag;
        if delivery::may_be_bounded(lag, usual, channels, &self.topics) {
            session.extras_mut().set_replayed_through(self.sequencer.last());
        }
    }

    /// Ends a subscription, as [`SessionMut::unsubscribe`] says.
    pub(super) fn unsubscribe(
        &mut self,
        now: Instant,
        session: SessionId,
        filter: &TopicFilter,
    ) -> bool {
        let now = self.advance(now);
        let found = self.sessions.key_of(session).and_then(|key| {
            let session = self.sessions.get(key)?;
            self.filters(session).find(|(_, one)| one == filter).map(|(number, _)| (key, number))
        });
        let Some((key, number)) = found else { return false };
        if let Some(session) = self.sessions.get_mut(key) {
            // Nothing of it comes back to a subscription that is gone.
            session.forget_batch();
        }
        self.take_subscription(now, key, number)
    }

    /// Returns how many topics and patterns a session is subscribed to.
    pub(super) fn subscriptions_of(&self, session: &Session) -> u32 {
        let is_one = |&(_, channel): &(u32, u32)| self.topics.is_subscribed_to(channel);
        session.channels().filter(is_one).map(|_| 1).sum()
    }

    /// Counts so many subscriptions more of a client and from an address.
    pub(super) fn subscribed(&mut self, client: Option<Key>, address: Option<Key>, count: u32) {
        if let Some(client) = client.and_then(|key| self.clients.at_mut(key)) {
            client.subscribe(count);
        }
        if let Some(address) = address {
            self.admission.subscribe(address, count);
        }
    }

    /// Counts so many less.
    pub(super) fn unsubscribed(&mut self, client: Option<Key>, address: Option<Key>, count: u32) {
        if let Some(client) = client.and_then(|key| self.clients.at_mut(key)) {
            client.unsubscribe(count);
        }
        if let Some(address) = address {
            self.admission.unsubscribe(address, count);
        }
    }

    /// Returns the numbers of a session's subscriptions to topics and patterns, and what they are.
    pub(super) fn filters(&self, session: &Session) -> impl Iterator<Item = (u32, TopicFilter)> {
        let filter = |(number, channel)| self.topics.filter(channel).map(|filter| (number, filter));
        session.channels().filter_map(filter)
    }

    /// Ends a subscription, after which the session may have nothing more to expect. Returns
    /// whether there was one.
    pub(super) fn take_subscription(&mut self, now: Tick, key: Key, number: u32) -> bool {
        let session = self.sessions.get(key);
        let channel = session.and_then(|one| one.subscription(number)).map(Subscription::channel);
        let payers = session.map(|session| (session.client(), session.address()));
        let was_there = self.sessions.unsubscribe(key, number, &mut self.topics);
        if let Some((client, address)) = payers.filter(|_| was_there) {
            self.unsubscribed(client, address, 1);
        }
        self.note_leave(key, channel.into_iter());
        if self.sessions.get(key).is_some_and(|session| is_over(session, &self.topics)) {
            self.sessions.wake(now, key);
        }
        was_there
    }
}

//! What is published, and to which audience; topics, and what is set about them.

use super::arena::Key;
use super::calls::Calls;
use super::clock::Tick;
use super::sessions::Subscription;
use super::topics::NewEntry;
use super::{
    Audience, Broker, Lag, PublishError, Published, Retention, TopicName, TopicSettingError,
};
use crate::event::Event;
use std::time::Instant;

/// Changes one topic of a [`Broker`] or of a recorded broker; from [`Broker::topic_mut`].
#[derive(Debug)]
pub struct TopicMut<'a, B = Broker> {
    broker: &'a mut B,
    name: &'a TopicName,
}

impl<'a, B: Calls> TopicMut<'a, B> {
    pub(crate) const fn new(broker: &'a mut B, name: &'a TopicName) -> Self {
        Self { broker, name }
    }

    /// Ends the topic: nothing more can be published to it.
    ///
    /// What it keeps goes out as before. A session [without the
    /// broadcast](super::SessionConfig::topics_only) ends with
    /// [`EndReason::TopicsEnded`](super::EndReason::TopicsEnded) when all its topics have ended and
    /// it has got what is left of them. A peer that comes back gets the rest. Once there is none,
    /// it is refused with [`OpenError::TopicsEnded`](super::OpenError::TopicsEnded), for which the
    /// HTTP answer is 204, after which an `EventSource` asks no more. So an answer that is streamed
    /// once survives a lost connection, and with [`StartAt::Oldest`](super::StartAt::Oldest) a
    /// reload of the page. Where the broker [makes no ids](super::EventIds::Own), or
    /// [notices](super#what-a-peer-is-told) are off, a peer that could only be told of a gap is
    /// refused as well: there is no place to tell it, so that it would come back for ever.
    ///
    /// The end is remembered as long as the topic has subscribers or keeps events. Beyond that it
    /// is remembered for the age of the topic's [`Retention`], for no more than
    /// [`BrokerLimits::ended_topics`](super::BrokerLimits::ended_topics) topics. Then the
    /// name is free for a new topic. A topic can be ended that does not exist. The end takes a
    /// position as an event does; other shards [`apply`](super::ShardMut::apply) it.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, OpenError, SessionConfig, TopicName};
    /// use sansse::broker::{EndReason, StartAt, Transmit};
    /// use sansse::Event;
    /// # let now = std::time::Instant::now();
    /// # let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let answer = TopicName::new("answer/42")?;
    /// broker.publish(now, answer.clone(), &Event::new("forty-two"))?;
    /// broker.topic_mut(&answer).end(now)?;
    ///
    /// let request = SessionConfig::new().topics_only().with_topic(answer);
    /// let session = broker.open(now, request.clone().with_start(StartAt::Oldest))?.session;
    /// # let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) else { panic!() };
    /// // After the notice with which each stream begins:
    /// let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
    /// assert_eq!(frame.payload(), "id: 1-1\ndata: forty-two\n\n");
    /// let end = Some(Transmit::Ended(Some(EndReason::TopicsEnded)));
    /// assert_eq!(broker.poll_transmit(now, session), end);
    /// // The browser comes back with the id of what it got, and there is no more.
    /// let last = sansse::LastEventId::from_header(b"1-1");
    /// let again = broker.open(now, request.with_last_event_id(last));
    /// assert_eq!(again.unwrap_err(), OpenError::TopicsEnded);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn end(self, now: Instant) -> Result<Published, PublishError> {
        self.broker.end_topic(now, self.name)
    }

    /// Sets how much of the topic is kept from now on, instead of
    /// [`BrokerConfig::retention`](super::BrokerConfig::retention). `None` goes back to that.
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_retention(
        self,
        now: Instant,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        self.broker.set_retention(now, self.name, retention)
    }

    /// Sets how far behind sessions may be in the topic from now on, and what happens to them
    /// beyond that. Sessions with a lag of their own keep it. `None` goes back to
    /// [`SessionDefaults::lag`](super::SessionDefaults::lag).
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_lag(self, now: Instant, lag: Option<Lag>) -> Result<(), TopicSettingError> {
        self.broker.set_lag(now, self.name, lag)
    }
}

impl Broker {
    /// Publishes an event to an audience. All sessions that get it share one encoded frame. One
    /// with a [key](crate::EventKey) supersedes earlier ones with an equal key.
    ///
    /// The work is the same however many sessions there are: one append, and the list of waiting
    /// sessions becomes ready as a whole. Each pattern in use that matches costs the same again.
    ///
    /// Publishing to everyone and to a topic waits for nobody: what is too much pushes out the
    /// oldest, and a session that had not taken that meets its [`Lag`]. What is for one session or
    /// one client is refused instead with [`PublishError::NoRoom`], where an open session would lose
    /// something by it: [`wait_for_room`](Self::wait_for_room) tells when to try again. Two sessions
    /// do not count. One of several of its client's that took nothing for the patience of
    /// [`BrokerConfig::pace`](super::BrokerConfig::pace) does not hold up the others, and ends as
    /// lagged when it is polled. And a client in its grace time has no session: for it the oldest
    /// goes, as the retention says.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn publish(
        &mut self,
        now: Instant,
        audience: impl Into<Audience>,
        event: &Event,
    ) -> Result<Published, PublishError> {
        let now = self.advance(now);
        let audience = audience.into();
        self.check_publish(&audience)?;
        // Before one waits for room in vain.
        self.sequencer.check_id(event.id())?;
        let mut sequencer = self.sequencer.clone();
        let published = sequencer.publish(audience, event);
        self.check_position(&published)?;
        self.check_room(now, &published)?;
        self.append(now, &published, 0)?;
        self.counters.publish(published.frame());
        self.sequencer = sequencer;
        self.note_position();
        Ok(published)
    }

    /// Returns a handle that changes a topic, which need not exist.
    pub const fn topic_mut<'a>(&'a mut self, name: &'a TopicName) -> TopicMut<'a> {
        TopicMut::new(self, name)
    }

    /// Ends a topic, as [`TopicMut::end`] says.
    pub(super) fn end_topic(
        &mut self,
        now: Instant,
        topic: &TopicName,
    ) -> Result<Published, PublishError> {
        let now = self.advance(now);
        self.check_publish(&Audience::Topic(topic.clone()))?;
        let mut sequencer = self.sequencer.clone();
        let published = sequencer.end_topic(topic.clone());
        self.check_position(&published)?;
        self.append(now, &published, 0)?;
        self.sequencer = sequencer;
        self.note_position();
        Ok(published)
    }

    /// Sets a retention, as [`TopicMut::set_retention`] says.
    pub(super) fn set_retention(
        &mut self,
        now: Instant,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        let now = self.advance(now);
        if let Some(retention) = &retention {
            retention.check().map_err(TopicSettingError::Config)?;
        }
        self.topics.set_retention(now, topic, retention)
    }

    /// Sets a lag, as [`TopicMut::set_lag`] says.
    pub(super) fn set_lag(
        &mut self,
        now: Instant,
        topic: &TopicName,
        lag: Option<Lag>,
    ) -> Result<(), TopicSettingError> {
        self.advance(now);
        self.topics.set_lag(topic, lag)
    }

    /// Returns whether something can be published to `audience`.
    pub(super) fn check_publish(&self, audience: &Audience) -> Result<(), PublishError> {
        if self.admission.is_closed() {
            return Err(PublishError::Closed);
        }
        match audience {
            Audience::Everyone => Ok(()),
            Audience::Topic(name) => self.topics.check_publish(name),
            Audience::Client(id) if self.clients.channel_of(id).is_some() => Ok(()),
            Audience::Client(_) => Err(PublishError::UnknownClient),
            Audience::Session(id) => match self.sessions.by_id(*id) {
                Some(session) if session.ending().is_none() => Ok(()),
                _ => Err(PublishError::UnknownSession),
            },
        }
    }

    /// Refuses what does not come after all that is here: also the next event after the last
    /// position that there is.
    pub(super) const fn check_position(&self, published: &Published) -> Result<(), PublishError> {
        self.check_order(published.position())
    }

    /// Refuses a position that does not come after all that are here.
    pub(super) const fn check_order(&self, position: u64) -> Result<(), PublishError> {
        let last = self.sequencer.last();
        if position <= last { Err(PublishError::OutOfOrder { last }) } else { Ok(()) }
    }

    /// Appends what was numbered to the channel for which it is.
    pub(super) fn append(
        &mut self,
        now: Tick,
        published: &Published,
        age: Tick,
    ) -> Result<(), PublishError> {
        self.sequencer.check_id(published.own_id())?;
        let new = NewEntry::of(published).aged(age);
        match published.audience() {
            Audience::Everyone => self.append_to(now, self.topics.everyone(), new),
            Audience::Topic(name) => {
                let ready = self.sessions.ready_mut();
                if published.is_end() {
                    self.topics.end(now, name, published.position(), ready)
                } else {
                    self.topics.append_to_topic(now, name, new, ready)
                }
            }
            Audience::Client(id) => {
                let Some(client) = self.clients.get(id) else {
                    return self.append_for_absent(now, id, new, age);
                };
                self.append_to(now, client.channel(), new)
            }
            Audience::Session(id) => {
                let key = self.sessions.key_of(*id).ok_or(PublishError::UnknownSession)?;
                let channel = self.own_channel(key, &new)?;
                self.append_to(now, channel, new)?;
                if self.sessions.get(key).is_some_and(|session| !session.is_ahead()) {
                    self.sessions.wake(now, key);
                }
                Ok(())
            }
        }
    }

    pub(super) fn append_to(
        &mut self,
        now: Tick,
        channel: u32,
        new: NewEntry,
    ) -> Result<(), PublishError> {
        self.topics.append(now, channel, new, self.sessions.ready_mut())
    }

    /// Returns the channel of one session, which is opened if need be, for an event that it can
    /// keep. To a session that ends nothing more is published.
    fn own_channel(&mut self, key: Key, new: &NewEntry) -> Result<u32, PublishError> {
        let session = self.sessions.get_mut(key).filter(|session| session.ending().is_none());
        let session = session.ok_or(PublishError::UnknownSession)?;
        if let Some(own) = session.own() {
            return Ok(own.channel());
        }
        self.topics.check_private(new)?;
        let channel = self.topics.open_session();
        self.topics.join(channel);
        session.add_own(Subscription::new(channel, 0));
        Ok(channel)
    }
}

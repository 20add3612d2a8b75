//! What is published, and to whom.

use super::arena::Key;
use super::clock::Tick;
use super::sessions::Subscription;
use super::topics::NewEntry;
use super::{
    Broker, Lag, Publication, PublishError, Published, Retention, Topic, TopicName,
    TopicSettingError,
};
#[cfg(feature = "signed")]
use super::{ConfigError, CursorKeys, EventIds};
use std::time::Instant;

impl Broker {
    /// Publishes an event to a topic; all that get it share one encoded frame. With a
    /// [key](super::EventKey), it is a [`Publication`].
    ///
    /// Work is constant: one append, and the topic's parked list becomes ready as a whole; and the
    /// same for each pattern in use that matches. Publishing to a client costs as much as it has
    /// sessions.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn publish<'a>(
        &mut self,
        now: Instant,
        topic: impl Into<Topic>,
        event: impl Into<Publication<'a>>,
    ) -> Result<Published, PublishError> {
        let now = self.clock.advance(now);
        let topic = topic.into();
        self.check_addressee(&topic)?;
        let mut sequencer = self.sequencer.clone();
        let published = sequencer.publish(topic, event);
        self.append(now, &published)?;
        self.counters.publish(published.frame());
        self.sequencer = sequencer;
        Ok(published)
    }

    /// Publishes what another shard or an engine outside has numbered.
    ///
    /// A client or a session that is not here is somebody else's, and no error; nor is a topic
    /// that would be one too many, which then keeps nothing here: sessions with a pattern that
    /// matches have lost the event. Events that are not for this
    /// shard are to be applied as well: the position of the newest one decides what last event
    /// ids are valid, and a position that is left out (also the first ones, of a stream that this
    /// shard joins late) is a gap to whoever resumes from before it. All sessions of one client
    /// belong on one shard, where alone what is published to the client is kept. A shard that is
    /// rebuilt from its history, before its first session, does not know whose clients they were:
    /// what was published to any is a gap to each that resumes from before it.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn apply(&mut self, now: Instant, published: &Published) -> Result<(), PublishError> {
        let knows_nobody = self.sessions.is_unused();
        self.apply_beside(now, published)?;
        // The client may be one of an earlier process, whose history this is.
        if let Topic::Client(_) = published.topic()
            && knows_nobody
        {
            self.clients.note_forgotten(published.position());
        }
        Ok(())
    }

    /// Ends a topic: nothing more can be published to it.
    ///
    /// What it keeps goes out as before. A session
    /// [without the broadcast](SessionRequest::without_broadcast) ends with
    /// [`EndReason::TopicsEnded`](super::EndReason::TopicsEnded) when it has what is left and all
    /// its topics have ended. Whoever comes back gets the rest, and once there is none, is refused
    /// with [`OpenError::TopicsEnded`], for which an HTTP answer is 204: an `EventSource` then asks
    /// no more. So an answer that is streamed once survives a lost connection, and a reload of the
    /// page with [`StartAt::Oldest`]. Where the broker [makes no ids](super::EventIds::Own), whoever
    /// could only be told that it may have missed something is refused as well: there is no place
    /// to tell it, and it would come back for ever.
    ///
    /// The end is remembered for the age of the topic's [`Retention`](super::Retention), but of no
    /// more than [`BrokerConfig::max_ended_topics`](super::BrokerConfig::max_ended_topics) topics,
    /// and as long as anything subscribes to it or is kept. After that its name is that of a new
    /// topic. Ending a topic that does not exist is remembered as well. The end takes a position as
    /// an event does; other shards [`apply`](Self::apply) it.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, OpenError, SessionRequest, TopicName};
    /// use sansse::broker::{EndReason, StartAt, Transmit};
    /// use sansse::Event;
    /// # let now = std::time::Instant::now();
    /// # let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let answer = TopicName::new("answer/42")?;
    /// broker.publish(now, answer.clone(), &Event::new("forty-two"))?;
    /// broker.end_topic(now, &answer)?;
    ///
    /// let request = SessionRequest::new().without_broadcast().with_topic(answer);
    /// let session = broker.open(now, request.clone().with_start(StartAt::Oldest))?.session;
    /// let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
    /// assert_eq!(frame.payload(), "id: 1-1\ndata: forty-two\n\n");
    /// let end = Some(Transmit::End(Some(EndReason::TopicsEnded)));
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
    pub fn end_topic(
        &mut self,
        now: Instant,
        topic: &TopicName,
    ) -> Result<Published, PublishError> {
        let now = self.clock.advance(now);
        self.check_addressee(&Topic::Named(topic.clone()))?;
        let mut sequencer = self.sequencer.clone();
        let published = sequencer.end_topic(topic.clone());
        self.append(now, &published)?;
        self.sequencer = sequencer;
        Ok(published)
    }

    /// Whether something can be published to `topic`.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish) that do not depend on the event.
    pub fn check_addressee(&self, topic: &Topic) -> Result<(), PublishError> {
        if self.admission.is_closed() {
            return Err(PublishError::Closed);
        }
        match topic {
            Topic::Broadcast => Ok(()),
            Topic::Named(name) => match self.topics.named(name) {
                Some(slot) if self.topics.has_ended(slot) => Err(PublishError::TopicEnded),
                None if !self.topics.has_room(1) => Err(PublishError::TooManyTopics),
                _ => Ok(()),
            },
            Topic::Client(id) if self.clients.get(id).is_some() => Ok(()),
            Topic::Client(_) => Err(PublishError::UnknownClient),
            Topic::Session(id) => match self.sessions.by_id(*id) {
                Some(session) if session.ending().is_none() => Ok(()),
                _ => Err(PublishError::UnknownSession),
            },
        }
    }

    /// Whether the topic was ended, and that is remembered.
    pub fn has_ended(&self, topic: &TopicName) -> bool {
        self.topics.named(topic).is_some_and(|slot| self.topics.has_ended(slot))
    }

    /// Says how much of one named topic is kept from now on, instead of
    /// [`BrokerConfig::retention`](super::BrokerConfig::retention). `None` goes back to that.
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_retention(
        &mut self,
        now: Instant,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        let now = self.clock.advance(now);
        if let Some(retention) = &retention {
            retention.check().map_err(TopicSettingError::Config)?;
        }
        self.topics.set_retention(now, topic, retention)
    }

    /// Says how far behind sessions may be in one named topic from now on, and what they meet
    /// beyond that, unless they chose for themselves. `None` goes back to
    /// [`BrokerConfig::lag`](super::BrokerConfig::lag).
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_lag(
        &mut self,
        now: Instant,
        topic: &TopicName,
        lag: Option<Lag>,
    ) -> Result<(), TopicSettingError> {
        self.clock.advance(now);
        if let Some(lag) = &lag {
            lag.check().map_err(TopicSettingError::Config)?;
        }
        self.topics.set_lag(topic, lag)
    }

    /// Signs the ids of all that is published from now on with other keys. What the earlier ones
    /// signed stays valid if the new keys [accept](CursorKeys::accepting) it; without that, whoever
    /// holds such an id is told that it is [forged](super::Resume::Forged).
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] with [`EventIds::Own`]; then nothing was done.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&mut self, keys: CursorKeys) -> Result<(), ConfigError> {
        if self.sequencer.ids() == EventIds::Own {
            return Err(ConfigError::NothingToSign);
        }
        self.sequencer.set_cursor_keys(keys);
        Ok(())
    }

    /// Appends what was numbered to the channel for which it is.
    pub(super) fn append(&mut self, now: Tick, published: &Published) -> Result<(), PublishError> {
        let new = NewEntry::of(published);
        match published.topic() {
            Topic::Broadcast => self.append_to(now, self.topics.everyone(), new),
            Topic::Named(name) => {
                let ready = self.sessions.ready_mut();
                if published.is_end() {
                    self.topics.end(now, name, published.position(), ready)
                } else {
                    self.topics.append_to_topic(now, name, new, ready)
                }
            }
            Topic::Client(id) => {
                let client = self.clients.get(id).ok_or(PublishError::UnknownClient)?;
                self.append_to(now, client.channel(), new)
            }
            Topic::Session(id) => {
                let key = self.sessions.key_of(*id).ok_or(PublishError::UnknownSession)?;
                let channel = self.own_channel(key, &new)?;
                self.append_to(now, channel, new)?;
                self.sessions.wake(now, key);
                Ok(())
            }
        }
    }

    fn append_to(&mut self, now: Tick, channel: u32, new: NewEntry) -> Result<(), PublishError> {
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
        self.topics.check_for_session(new)?;
        let channel = self.topics.open_session();
        self.topics.join(channel);
        session.add_own(Subscription::new(channel, 0));
        Ok(channel)
    }
}

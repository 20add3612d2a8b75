//! What a hub's open sessions subscribe to, and topics that end.

use super::{FollowUp, Hub, Inner, Session, lock};
use crate::broker::{
    Place, PublishError, Published, Resume, SessionId, SubscribeError, Topic, TopicFilter,
    TopicName,
};

impl Hub {
    /// Ends a topic, on all shards; see [`Broker::end_topic`](crate::broker::Broker::end_topic).
    ///
    /// ```no_run
    /// # async fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, SessionRequest, StartAt, TopicName};
    /// use sansse::{Event, Hub};
    ///
    /// let hub = Hub::new(timer, BrokerConfig::new(Epoch(1)))?;
    /// let answer = TopicName::new("answer/42")?;
    /// // Each peer that asks for it, also again after a reload, gets all of it and then the end:
    /// let request = SessionRequest::new()
    ///     .without_broadcast()
    ///     .with_topic(answer.clone())
    ///     .with_start(StartAt::Oldest);
    /// hub.publish(answer.clone(), &Event::new("forty-"))?;
    /// hub.publish(answer.clone(), &Event::new("two"))?;
    /// hub.end_topic(&answer)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn end_topic(&self, topic: &TopicName) -> Result<Published, PublishError> {
        let addressee = Topic::Named(topic.clone());
        self.inner.publish_with(&addressee, |sequencer| sequencer.end_topic(topic.clone()))
    }

    /// Subscribes a session that is open to one topic more, or to a pattern; see
    /// [`Broker::subscribe`](crate::broker::Broker::subscribe).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        &self,
        session: SessionId,
        filter: impl Into<TopicFilter>,
        place: Place,
    ) -> Result<Resume, SubscribeError> {
        self.inner.subscribe(session, filter.into(), place)
    }

    /// Ends a subscription of a session that is open; see
    /// [`Broker::unsubscribe`](crate::broker::Broker::unsubscribe). Says whether there was one.
    pub fn unsubscribe(&self, session: SessionId, filter: &TopicFilter) -> bool {
        self.inner.unsubscribe(session, filter)
    }
}

impl Session {
    /// Subscribes to one topic more, or to a pattern; see
    /// [`Broker::subscribe`](crate::broker::Broker::subscribe).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        &self,
        filter: impl Into<TopicFilter>,
        place: Place,
    ) -> Result<Resume, SubscribeError> {
        self.hub.subscribe(self.id(), filter.into(), place)
    }

    /// Ends a subscription; see [`Broker::unsubscribe`](crate::broker::Broker::unsubscribe). Says
    /// whether there was one.
    pub fn unsubscribe(&self, filter: &TopicFilter) -> bool {
        self.hub.unsubscribe(self.id(), filter)
    }
}

impl Inner {
    fn subscribe(
        &self,
        session: SessionId,
        filter: TopicFilter,
        place: Place,
    ) -> Result<Resume, SubscribeError> {
        let shard = usize::from(session.shard());
        if shard >= self.shards.len() {
            return Err(SubscribeError::UnknownSession);
        }
        // As when a session is opened: not in the middle of a publish.
        let sequencer = (self.shards.len() > 1).then(|| lock(&self.sequencer));
        let mut follow_up = FollowUp::default();
        let resume = self.call(shard, &mut follow_up, |shard, now| {
            shard.broker.subscribe(now, session, filter, place)
        });
        drop(sequencer);
        self.run(follow_up);
        resume
    }

    fn unsubscribe(&self, session: SessionId, filter: &TopicFilter) -> bool {
        let shard = usize::from(session.shard());
        shard < self.shards.len()
            && self.with(shard, |shard, now| shard.broker.unsubscribe(now, session, filter))
    }
}

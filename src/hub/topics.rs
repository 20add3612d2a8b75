//! What a hub's open sessions subscribe to, and topics that end.

use super::{FollowUp, Hub, Inner, Session, lock};
use crate::broker::{
    Audience, PublishError, Published, Resumption, SessionId, StartAt, SubscribeError, TopicFilter,
    TopicName,
};

impl Hub {
    /// Ends a topic, on all shards; see [`TopicMut::end`](crate::broker::TopicMut::end).
    ///
    /// ```no_run
    /// # async fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, SessionConfig, StartAt, TopicName};
    /// use sansse::{Event, Hub};
    ///
    /// let (hub, _drive) = Hub::new(timer, BrokerConfig::new(Epoch(1)))?;
    /// let answer = TopicName::new("answer/42")?;
    /// // A peer that asks for it gets all of it and then the end, again after each reload:
    /// let config = SessionConfig::new()
    ///     .topics_only()
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
        let audience = Audience::Topic(topic.clone());
        self.inner.publish_with(&audience, None, |sequencer| sequencer.end_topic(topic.clone()))
    }

    /// Subscribes an open session to one more topic, or to a pattern; see
    /// [`SessionMut::subscribe`](crate::broker::SessionMut::subscribe).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        &self,
        session: SessionId,
        filter: impl Into<TopicFilter>,
        start: StartAt,
    ) -> Result<Resumption, SubscribeError> {
        self.inner.subscribe(session, filter.into(), start)
    }

    /// Ends a subscription of an open session; see
    /// [`SessionMut::unsubscribe`](crate::broker::SessionMut::unsubscribe). Returns whether there was one.
    pub fn unsubscribe(&self, session: SessionId, filter: &TopicFilter) -> bool {
        self.inner.unsubscribe(session, filter)
    }
}

impl Session {
    /// Subscribes to one more topic, or to a pattern; see
    /// [`SessionMut::subscribe`](crate::broker::SessionMut::subscribe).
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        &self,
        filter: impl Into<TopicFilter>,
        start: StartAt,
    ) -> Result<Resumption, SubscribeError> {
        self.hub.subscribe(self.id(), filter.into(), start)
    }

    /// Ends a subscription; see [`SessionMut::unsubscribe`](crate::broker::SessionMut::unsubscribe).
    /// Returns whether there was one.
    pub fn unsubscribe(&self, filter: &TopicFilter) -> bool {
        self.hub.unsubscribe(self.id(), filter)
    }
}

impl Inner {
    fn subscribe(
        &self,
        session: SessionId,
        filter: TopicFilter,
        start: StartAt,
    ) -> Result<Resumption, SubscribeError> {
        let shard = usize::from(session.shard());
        if shard >= self.shards.len() {
            return Err(SubscribeError::UnknownSession);
        }
        // Not in the middle of a publish, for the reason given in `open`.
        let sequencer = (self.shards.len() > 1).then(|| lock(&self.sequencer));
        let mut follow_up = FollowUp::default();
        let resume = self.call(shard, &mut follow_up, |shard, now| {
            shard.broker.session_mut(session).subscribe(now, filter, start)
        });
        drop(sequencer);
        self.run(follow_up);
        resume
    }

    fn unsubscribe(&self, session: SessionId, filter: &TopicFilter) -> bool {
        let shard = usize::from(session.shard());
        shard < self.shards.len()
            && self.with(shard, |shard, now| {
                shard.broker.session_mut(session).unsubscribe(now, filter)
            })
    }
}

//! What an open session subscribes to from now on, and what no longer.

use super::arena::Key;
use super::clock::Tick;
use super::delivery::{self, Wish};
use super::names::TopicFilter;
use super::sequence::EventIds;
use super::sessions::{Phase, Session, Subscription, is_over};
use super::{Broker, Resume, SessionId, StartAt, SubscribeError};
use crate::event::EventId;
use crate::last_event_id::LastEventId;
use alloc::vec::Vec;
use std::time::Instant;

/// From where on a session that is open gets what it subscribes to.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// What is published from now on.
    #[default]
    Now,
    /// All that is kept, and what is published from now on.
    Oldest,
    /// What came after the event with this id, as when a session resumes.
    After(EventId),
}

impl Broker {
    /// Subscribes a session that is open to one topic more, or to a pattern.
    ///
    /// From [`Place::Now`] it gets what is published after this call, and nothing from before. From
    /// another place, what is kept from there on is replayed, in order with what else is pending,
    /// and the outcome says whether that is all. Events of topics to which the session had
    /// subscribed already are not replayed: they came, or were not wanted. Replayed events bring
    /// their ids, which lie before the session's place; after them it is told its place again.
    /// Whoever loses the connection in between resumes from the replayed event, and gets some of
    /// the other topics' events again, but misses none. Before the first id of the replay has
    /// reached the peer, it resumes from where it was, without the replay: who must have it asks
    /// for it again when the session [resumes](super::BrokerEvent::SessionOpened).
    ///
    /// Subscribing to what the session has already does nothing, and is [`Resume::Live`].
    ///
    /// ```
    /// use sansse::Event;
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, Place, SessionRequest, TopicName, Transmit};
    /// # let now = std::time::Instant::now();
    /// # let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let room = TopicName::new("room/7")?;
    /// broker.publish(now, room.clone(), &Event::new("earlier"))?;
    /// let session = broker.open(now, SessionRequest::new())?.session;
    /// while broker.poll_transmit(now, session).is_some() {}
    ///
    /// let outcome = broker.subscribe(now, session, room.clone(), Place::Oldest)?;
    /// assert_eq!(outcome.replayed(), 1);
    /// assert_eq!(broker.poll_ready(), Some(session));
    /// let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
    /// assert_eq!(frame.payload(), "id: 1-1\ndata: earlier\n\n");
    /// assert!(broker.unsubscribe(now, session, &room.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        &mut self,
        now: Instant,
        session: SessionId,
        filter: impl Into<TopicFilter>,
        place: Place,
    ) -> Result<Resume, SubscribeError> {
        let now = self.clock.advance(now);
        let filter = filter.into();
        let key = self.sessions.key_of(session).ok_or(SubscribeError::UnknownSession)?;
        let session = self.sessions.get(key).filter(|session| session.ending().is_none());
        let session = session.ok_or(SubscribeError::UnknownSession)?;
        let except: Vec<TopicFilter> = self.filters(session).map(|(_, filter)| filter).collect();
        if except.contains(&filter) {
            return Ok(Resume::Live);
        }
        if !session.permits(&filter) {
            return Err(SubscribeError::NotPermitted);
        }
        let limit = self.config.max_topics_per_session;
        if except.len() >= limit as usize {
            return Err(SubscribeError::TooManyTopicsOfSession { limit });
        }
        let channel = self.topics.ensure(&filter).ok_or(SubscribeError::TooManyTopics)?;
        let session = self.sessions.get_mut(key).ok_or(SubscribeError::UnknownSession)?;
        let view = self.topics.view(channel).ok_or(SubscribeError::TooManyTopics)?;

        let (last_event_id, start) = match place {
            Place::Now => (LastEventId::Absent, StartAt::Newest),
            Place::Oldest => (LastEventId::Absent, StartAt::Oldest),
            Place::After(id) => (LastEventId::Id(id), StartAt::Newest),
        };
        let wish = Wish::new(&last_event_id, start, self.config.unresumable, self.left_out);
        let (resume, places) = delivery::resume(&[view], wish, &self.sequencer);
        let mut cursor = places.cursors().first().copied().unwrap_or(view.end());
        let mut gone = places.gone().first().map_or(0, |(_, gone)| *gone);
        // The session got these already, or did not want them.
        let left_out = self.topics.numbers_from(channel, cursor, &except);
        let replayed = resume.replayed() - left_out.len() as u64;
        if replayed == 0 {
            (cursor, gone) = (view.end(), 0);
        }
        self.topics.join(channel);
        let number = session.add(Subscription::new(channel, cursor));
        session.set_gone(number, gone);
        if replayed > 0 {
            if self.sequencer.ids() == EventIds::Assigned {
                session.owe_place();
            }
            let channels = session.channels().map(|(_, channel)| channel);
            if delivery::may_be_bounded(session.lag(), &self.config.lag, channels, &self.topics) {
                session.set_replayed_through(self.sequencer.last());
            }
            session.leave_out(number, left_out);
        }
        if session.phase() == Phase::Parked {
            if replayed > 0 || is_over(session, &self.topics) {
                self.sessions.wake(now, key);
            } else {
                self.sessions.wait(key, number, &mut self.topics);
            }
        }
        Ok(resume.with_replayed(replayed))
    }

    /// Ends a subscription of a session that is open: it gets nothing more by it, not even what
    /// was published before and is still to be sent. Says whether there was one.
    ///
    /// What a batch holds already is sent. A topic that a pattern of the session matches goes on
    /// to reach it through that, from where it stood.
    pub fn unsubscribe(&mut self, now: Instant, session: SessionId, filter: &TopicFilter) -> bool {
        let now = self.clock.advance(now);
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

    /// What a session subscribes to, beside the broadcast; nothing for one that is not open.
    pub fn subscriptions(&self, session: SessionId) -> impl Iterator<Item = TopicFilter> {
        let session = self.sessions.by_id(session);
        session.into_iter().flat_map(|session| self.filters(session)).map(|one| one.1)
    }

    /// Returns the numbers of a session's subscriptions to topics and patterns, and what they are.
    fn filters(&self, session: &Session) -> impl Iterator<Item = (u32, TopicFilter)> {
        let filter = |(number, channel)| self.topics.filter(channel).map(|filter| (number, filter));
        session.channels().filter_map(filter)
    }

    /// Ends a subscription, after which the session may have nothing more to expect. Returns
    /// whether there was one.
    pub(super) fn take_subscription(&mut self, now: Tick, key: Key, number: u32) -> bool {
        let was_there = self.sessions.unsubscribe(key, number, &mut self.topics);
        if self.sessions.get(key).is_some_and(|session| is_over(session, &self.topics)) {
            self.sessions.wake(now, key);
        }
        was_there
    }
}

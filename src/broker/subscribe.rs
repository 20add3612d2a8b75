//! What a session that is open subscribes to, and no longer.

use super::Broker;
use super::arena::{Arena, Key};
use super::config::StartAt;
use super::error::SubscribeError;
use super::event::Resume;
use super::names::{SessionId, TopicFilter, TopicName};
use super::ready::Parked;
use super::sequence::EventIds;
use super::state::{Phase, Session, Subscription, TopicState, UNLISTED};
use crate::event::EventId;
use crate::last_event_id::LastEventId;
use alloc::collections::VecDeque;
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

/// What is replayed to a session that subscribed to a pattern, but for what it gets otherwise.
#[derive(Debug)]
pub(super) struct Backlog {
    pub(super) subscription: u32,
    /// By their numbers from the cursor on, the events of topics to which it had subscribed before.
    pub(super) left_out: VecDeque<u64>,
}

impl Backlog {
    pub(super) fn leaves_out(&self, number: u64) -> bool {
        self.left_out.binary_search(&number).is_ok()
    }

    /// The numbers from `start` to `end` that it leaves out.
    pub(super) fn between(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        let first = self.left_out.partition_point(|number| *number < start);
        self.left_out.range(first..).copied().take_while(move |number| *number < end)
    }
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
        self.clock.advance(now);
        let filter = filter.into();
        let key = self.key_of(session).ok_or(SubscribeError::UnknownSession)?;
        let state = self.sessions.get(key).filter(|session| session.ending().is_none());
        let state = state.ok_or(SubscribeError::UnknownSession)?;
        let lag = state.lag();
        let except: Vec<TopicFilter> = self.filters(state).map(|(_, filter)| filter).collect();
        if except.contains(&filter) {
            return Ok(Resume::Live);
        }
        if !state.permits(&filter) {
            return Err(SubscribeError::NotPermitted);
        }
        let limit = self.config.max_topics_per_session;
        if except.len() >= limit as usize {
            return Err(SubscribeError::TooManyTopicsOfSession { limit });
        }
        let slot = match &filter {
            TopicFilter::Topic(name) => self.topic_slot(name),
            TopicFilter::Pattern(pattern) => self.pattern_slot(pattern),
        };
        let slot = slot.ok_or(SubscribeError::TooManyTopics)?;
        let (last_event_id, start) = match place {
            Place::Now => (LastEventId::Absent, StartAt::Newest),
            Place::Oldest => (LastEventId::Absent, StartAt::Oldest),
            Place::After(id) => (LastEventId::Id(id), StartAt::Newest),
        };
        let (resume, cursors) = self.resume(&last_event_id, start, &[slot], None);
        let (mut cursor, mut gone) =
            (cursors.topics[0], cursors.gone.first().map_or(0, |one| one.1));
        let left_out = self.left_out_from(slot, cursor, &except);
        let replayed = resume.replayed() - left_out.len() as u64;
        if replayed == 0
            && let Some(topic) = self.topics.at(slot)
        {
            (cursor, gone) = (topic.end(), 0);
        }
        if let Some(topic) = self.topics.at_mut(slot) {
            topic.subscribers += 1;
        }
        let is_placed = self.sequencer.ids() == EventIds::Assigned;
        let own = self.sessions.get(key).map(|session| &session.subscriptions[..]);
        let topics = own.unwrap_or_default().iter().map(|one| one.topic).chain([slot]);
        let may_be_bounded = self.may_be_bounded(lag, topics);
        let last = self.sequencer.last();
        let Some(state) = self.sessions.get_mut(key) else { return Ok(resume) };
        let subscription = state.add(Subscription { cursor, topic: slot, index: UNLISTED });
        // What the last batch moved is no longer known by number.
        state.poll = state.poll.wrapping_add(1);
        state.set_gone(subscription, gone);
        if replayed > 0 {
            let seldom = state.seldom_mut();
            seldom.is_place_due |= is_placed;
            if may_be_bounded {
                seldom.replayed_through = last;
            }
            if !left_out.is_empty() {
                seldom.backlogs.push(Backlog { subscription, left_out });
            }
        }
        if state.phase == Phase::Parked {
            if replayed > 0 || self.is_over(key) {
                self.wake(key);
            } else {
                self.list(Parked { session: key.slot(), subscription });
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
        self.clock.advance(now);
        let Some(key) = self.key_of(session) else { return false };
        let Some(state) = self.sessions.get(key) else { return false };
        let Some((subscription, _)) = self.filters(state).find(|(_, one)| one == filter) else {
            return false;
        };
        let Some(state) = self.sessions.get_mut(key) else { return false };
        let Some(removed) = state.remove(subscription) else { return false };
        state.poll = state.poll.wrapping_add(1);
        let parked = Parked { session: key.slot(), subscription };
        let void = usize::from(self.leave_topic(parked, &removed));
        self.void_ready(void);
        if self.is_over(key) {
            self.wake(key);
        }
        true
    }

    /// What a session subscribes to, beside the broadcast; nothing for one that is not open.
    pub fn subscriptions(&self, session: SessionId) -> impl Iterator<Item = TopicFilter> {
        self.session(session).into_iter().flat_map(|session| self.filters(session)).map(|one| one.1)
    }

    fn filters(&self, session: &Session) -> impl Iterator<Item = (u32, TopicFilter)> {
        let topic = |subscription: &Subscription| self.topics.at(subscription.topic);
        (0..).zip(&session.subscriptions).filter_map(move |(number, subscription)| {
            topic(subscription)?.filter().map(|filter| (number, filter))
        })
    }

    /// What is after `cursor` of topics that one of these is, or matches.
    fn left_out_from(&self, slot: u32, cursor: u64, except: &[TopicFilter]) -> VecDeque<u64> {
        let Some(topic) = self.topics.at(slot) else { return VecDeque::new() };
        let is_left_out = |name: &TopicName| except.iter().any(|filter| filter.matches(name));
        match (&topic.name, &topic.matched) {
            (Some(name), None) if is_left_out(name) => {
                topic.log.from(cursor).map(|entry| entry.number).collect()
            }
            (_, Some(matched)) => {
                let names = matched.names_from(&self.topics, cursor);
                names.filter(|(_, name)| is_left_out(name)).map(|(number, _)| number).collect()
            }
            _ => VecDeque::new(),
        }
    }

    pub(super) fn is_over(&self, key: Key) -> bool {
        let session = self.sessions.get(key);
        session.is_some_and(|session| is_over(&self.topics, session, self.broadcast))
    }
}

/// Whether a session has nothing more to expect: it does without the broadcast, and each of its
/// topics has ended.
pub(super) fn is_over(topics: &Arena<TopicState>, session: &Session, broadcast: u32) -> bool {
    // Most sessions get the broadcast, and it comes first.
    if session.subscriptions.first().is_some_and(|first| first.topic == broadcast) {
        return false;
    }
    let all = || session.subscriptions.iter().filter_map(|one| topics.at(one.topic));
    all().next().is_some() && all().all(TopicState::has_ended)
}

impl Session {
    /// Forgets what a backlog leaves out before `cursor`.
    pub(super) fn pass_backlog(&mut self, subscription: u32, cursor: u64) {
        let Some(seldom) = self.seldom.as_mut().filter(|seldom| !seldom.backlogs.is_empty()) else {
            return;
        };
        for one in seldom.backlogs.iter_mut().filter(|one| one.subscription == subscription) {
            let passed = one.left_out.partition_point(|number| *number < cursor);
            one.left_out.drain(..passed);
        }
        seldom.backlogs.retain(|one| !one.left_out.is_empty());
        self.tidy();
    }

    /// Puts a subscription where there was one before, or at the end. Gives its number.
    fn add(&mut self, subscription: Subscription) -> u32 {
        let vacant = self.subscriptions.iter().position(Subscription::is_vacant);
        let number = vacant.unwrap_or(self.subscriptions.len());
        if let Some(place) = self.subscriptions.get_mut(number) {
            *place = subscription;
        } else {
            let mut all = core::mem::take(&mut self.subscriptions).into_vec();
            all.reserve_exact(1);
            all.push(subscription);
            self.subscriptions = all.into();
        }
        #[expect(clippy::cast_possible_truncation, reason = "max_topics_per_session is a u32")]
        let number = number as u32;
        number
    }

    /// Leaves the place vacant, since the others are known by their numbers.
    pub(super) fn remove(&mut self, number: u32) -> Option<Subscription> {
        let place = self.subscriptions.get_mut(number as usize)?;
        let removed = core::mem::replace(place, Subscription::VACANT);
        self.set_gone(number, 0);
        if let Some(seldom) = &mut self.seldom {
            seldom.backlogs.retain(|backlog| backlog.subscription != number);
            self.tidy();
        }
        if self.subscriptions.last().is_some_and(Subscription::is_vacant) {
            let mut all = core::mem::take(&mut self.subscriptions).into_vec();
            while all.last().is_some_and(Subscription::is_vacant) {
                all.pop();
            }
            self.subscriptions = all.into();
        }
        Some(removed)
    }
}

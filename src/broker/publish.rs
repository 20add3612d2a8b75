//! What is published, and where it goes: topics and their logs.

use super::Broker;
use super::arena::{Arena, Key};
use super::clock::Tick;
use super::config::Retention;
use super::error::{PublishError, TopicSettingError};
use super::log::Labels;
use super::matched::Matched;
use super::names::{TopicName, TopicPattern};
use super::owned_timers::Owner;
use super::publication::Publication;
use super::retained::LogOwner;
use super::sequence::{Published, Topic};
use super::state::TopicState;
use crate::encode::Frame;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Bound;
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
            self.forgotten_clients = published.position();
        }
        Ok(())
    }

    /// [`apply`](Self::apply) for one shard among several that began together: a client that is
    /// not here is on another.
    pub(crate) fn apply_beside(
        &mut self,
        now: Instant,
        published: &Published,
    ) -> Result<(), PublishError> {
        let now = self.clock.advance(now);
        if self.closed {
            return Err(PublishError::Closed);
        }
        if published.epoch() != self.sequencer.epoch() {
            return Err(PublishError::OtherEpoch);
        }
        let last = self.sequencer.last();
        if published.position() <= last {
            return Err(PublishError::OutOfOrder { last });
        }
        match self.append(now, published) {
            // Nobody here listens to it; whoever comes later is told of the gap.
            Err(PublishError::TooManyTopics) => {
                self.forgotten_topics = self.forgotten_topics.max(published.position());
                self.miss(published);
            }
            Ok(()) | Err(PublishError::UnknownClient | PublishError::UnknownSession) => {}
            Err(error) => return Err(error),
        }
        if published.position() > last + 1 {
            self.left_out = published.position() - 1;
        }
        if !published.is_end() {
            self.counters.publish(published.frame());
        }
        self.sequencer.observe(published.position());
        Ok(())
    }

    /// Whether something can be published to `topic`.
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish) that do not depend on the event.
    pub fn check_addressee(&self, topic: &Topic) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        match topic {
            Topic::Broadcast => Ok(()),
            Topic::Named(name) => match self.topic_slots.get(name) {
                Some(slot) if self.topics.at(*slot).is_some_and(TopicState::has_ended) => {
                    Err(PublishError::TopicEnded)
                }
                None if !self.has_room_for_topics(1) => Err(PublishError::TooManyTopics),
                _ => Ok(()),
            },
            Topic::Client(id) if self.client_keys.contains_key(id) => Ok(()),
            Topic::Client(_) => Err(PublishError::UnknownClient),
            Topic::Session(id) => match self.session(*id) {
                Some(session) if session.ending().is_none() => Ok(()),
                _ => Err(PublishError::UnknownSession),
            },
        }
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
        let slot = self.topic_slot(topic).ok_or(TopicSettingError::TooManyTopics)?;
        if let Some(state) = self.topics.at_mut(slot) {
            state.retention = retention;
            let retention = retention.unwrap_or(self.config.retention);
            let lost = state.log.lost_through();
            let before = state.log.footprint();
            state.log.trim(now, &retention);
            self.retained.update((Owner::Topic, slot), before, state.log.footprint());
            self.tell_patterns(slot, Change::Trimmed, lost);
        }
        self.arm_topic(slot);
        self.release_topic(slot);
        Ok(())
    }

    pub(super) fn append(&mut self, now: Tick, published: &Published) -> Result<(), PublishError> {
        let topic = published.topic();
        if let (true, Topic::Named(name)) = (published.is_end(), topic) {
            return self.append_end(now, name, published.position());
        }
        let (own_id, key) = (published.own_id(), published.key());
        let labels = (own_id.is_some() || key.is_some())
            .then(|| Box::new(Labels { own_id: own_id.cloned(), key: key.cloned() }));
        let entry = (published.position(), published.frame().clone(), labels);
        match topic {
            Topic::Broadcast => self.append_to_topic(now, self.broadcast, entry),
            Topic::Named(name) => {
                let slot = self.topic_slot(name).ok_or(PublishError::TooManyTopics)?;
                let result = self.append_to_topic(now, slot, entry);
                self.release_topic(slot);
                result
            }
            Topic::Client(id) => {
                let key = *self.client_keys.get(id).ok_or(PublishError::UnknownClient)?;
                self.append_to_client(now, key, entry)
            }
            Topic::Session(id) => {
                let key = self.key_of(*id).ok_or(PublishError::UnknownSession)?;
                if self.sessions.get(key).is_none_or(|session| session.ending().is_some()) {
                    return Err(PublishError::UnknownSession);
                }
                self.append_to_session(now, key, entry)
            }
        }
    }

    fn append_to_topic(
        &mut self,
        now: Tick,
        slot: u32,
        entry: NewEntry,
    ) -> Result<(), PublishError> {
        let Some(topic) = self.topics.at_mut(slot) else { return Ok(()) };
        if topic.has_ended() {
            return Err(PublishError::TopicEnded);
        }
        let retention = topic.retention.unwrap_or(self.config.retention);
        let emptied = self.prepare((Owner::Topic, slot), &entry, &retention)?;
        let (position, frame, labels) = entry;
        let Some(topic) = self.topics.at_mut(slot) else { return Ok(()) };
        let lost = topic.log.lost_through();
        let before = topic.log.footprint();
        topic.log.push(now, position, frame, labels, &retention);
        self.retained.update((Owner::Topic, slot), before, topic.log.footprint());
        let is_matched = !topic.patterns.is_empty();
        if !topic.parked.is_empty() {
            self.ready.push_list(&mut topic.parked);
        }
        self.arm_topic(slot);
        if is_matched {
            self.tell_patterns(slot, Change::Appended, lost);
        }
        self.release_topics(emptied);
        Ok(())
    }

    fn append_to_client(
        &mut self,
        now: Tick,
        key: Key,
        entry: NewEntry,
    ) -> Result<(), PublishError> {
        let retention = self.config.private_retention;
        let emptied = self.prepare((Owner::Client, key.slot()), &entry, &retention)?;
        let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
        let (position, frame, labels) = entry;
        let before = client.log.footprint();
        client.log.push(now, position, frame, labels, &retention);
        self.retained.update((Owner::Client, key.slot()), before, client.log.footprint());
        for index in 0..client.sessions.len() {
            let Some(client) = self.clients.get(key) else { break };
            let session = client.sessions[index];
            self.wake(session);
        }
        self.arm_client(key);
        self.release_topics(emptied);
        Ok(())
    }

    fn append_to_session(
        &mut self,
        now: Tick,
        key: Key,
        entry: NewEntry,
    ) -> Result<(), PublishError> {
        let retention = self.config.private_retention;
        let emptied = self.prepare((Owner::Session, key.slot()), &entry, &retention)?;
        let Some(session) = self.sessions.get_mut(key) else { return Ok(()) };
        let (position, frame, labels) = entry;
        let private = session.seldom_mut().private.get_or_insert_default();
        let before = private.log.footprint();
        private.log.push(now, position, frame, labels, &retention);
        self.retained.update((Owner::Session, key.slot()), before, private.log.footprint());
        self.wake(key);
        self.release_topics(emptied);
        Ok(())
    }

    /// Makes room for an event, if it may be kept at all; gives topics that keep nothing now.
    fn prepare(
        &mut self,
        log: LogOwner,
        entry: &NewEntry,
        retention: &Retention,
    ) -> Result<Vec<u32>, PublishError> {
        let size = entry.1.chunk().len();
        let limit = retention.bytes.min(self.config.max_retained_bytes);
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        let mut emptied = Vec::new();
        self.make_room(size, log, &mut emptied);
        Ok(emptied)
    }

    fn release_topics(&mut self, emptied: Vec<u32>) {
        for slot in emptied {
            self.release_topic(slot);
        }
    }

    /// The topic of this name, made if need be and allowed.
    pub(super) fn topic_slot(&mut self, name: &TopicName) -> Option<u32> {
        if let Some(&slot) = self.topic_slots.get(name) {
            return Some(slot);
        }
        if !self.has_room_for_topics(1) {
            return None;
        }
        let mut topic = TopicState::new(Some(name.clone()), self.forgotten_topics);
        topic.patterns = self.patterns.matching(name);
        let slot = self.topics.insert(topic).slot();
        self.topic_slots.insert(name.clone(), slot);
        Some(slot)
    }

    /// What this pattern matches, gathered if need be and allowed.
    pub(super) fn pattern_slot(&mut self, pattern: &TopicPattern) -> Option<u32> {
        if let Some(slot) = self.patterns.get(pattern) {
            return Some(slot);
        }
        if !self.has_room_for_topics(1) {
            return None;
        }
        let matching: Vec<Key> = self.matching_topics(pattern).collect();
        let lost_through = self.forgotten_topics;
        let matched = Matched::new(pattern.clone(), &self.topics, &matching, lost_through);
        let mut state = TopicState::new(None, 0);
        state.matched = Some(Box::new(matched));
        let slot = self.topics.insert(state).slot();
        self.patterns.insert(pattern, slot);
        for key in matching {
            if let Some(topic) = self.topics.get_mut(key) {
                topic.patterns.push(slot);
            }
        }
        Some(slot)
    }

    fn matching_topics(&self, pattern: &TopicPattern) -> impl Iterator<Item = Key> {
        self.topic_slots
            .range::<str, _>((Bound::Included(pattern.prefix()), Bound::Unbounded))
            .take_while(|(name, _)| name.as_str().starts_with(pattern.prefix()))
            .filter(|(name, _)| pattern.matches(name))
            .filter_map(|(_, &slot)| self.topics.key_at(slot))
    }

    /// Tells the patterns that match what became of a topic's log, which had lost what was through
    /// `lost` before.
    pub(super) fn tell_patterns(&mut self, slot: u32, change: Change, lost: u64) {
        let Some(key) = self.topics.key_at(slot) else { return };
        let Some(topic) = self.topics.get_mut(key) else { return };
        let lost_through = topic.log.lost_through();
        let patterns = core::mem::take(&mut topic.patterns);
        for &pattern in &patterns {
            self.tell_pattern(pattern, |matched, topics| {
                // What a topic had lost when it came to be was of an earlier life, which the
                // pattern has seen if it was in use then.
                if lost_through > lost {
                    matched.trim(topics, lost_through);
                }
                if change == Change::Appended {
                    matched.push(topics, key);
                }
            });
        }
        if let Some(topic) = self.topics.get_mut(key) {
            topic.patterns = patterns;
        }
    }

    /// An event that no topic can keep is lost to those whose pattern matches.
    fn miss(&mut self, published: &Published) {
        if let (false, Topic::Named(name)) = (published.is_end(), published.topic()) {
            for pattern in self.patterns.matching(name) {
                self.tell_pattern(pattern, |matched, _| matched.miss(published.position()));
            }
        }
    }

    fn tell_pattern(&mut self, pattern: u32, tell: impl FnOnce(&mut Matched, &Arena<TopicState>)) {
        let state = self.topics.at_mut(pattern);
        let Some(mut matched) = state.and_then(|state| state.matched.take()) else { return };
        let end = matched.end();
        tell(&mut matched, &self.topics);
        let has_more = matched.end() > end;
        if let Some(state) = self.topics.at_mut(pattern) {
            state.matched = Some(matched);
            if has_more {
                self.ready.push_list(&mut state.parked);
            }
        }
    }

    pub(super) fn has_room_for_topics(&self, new: usize) -> bool {
        self.topic_slots.len() + self.patterns.len() + new <= self.config.max_topics as usize
    }

    /// Forgets a topic that nobody listens to and that keeps nothing, or a pattern that nobody has.
    pub(super) fn release_topic(&mut self, slot: u32) {
        if self.topics.at(slot).is_some_and(TopicState::is_idle)
            && let Some(key) = self.topics.key_at(slot)
            && let Some(topic) = self.topics.remove(key)
        {
            if let Some(matched) = &topic.matched {
                self.release_pattern(matched.pattern(), slot);
                return;
            }
            self.forgotten_topics = self.forgotten_topics.max(topic.log.lost_through());
            if let Some(name) = &topic.name {
                self.topic_slots.remove(name);
            }
        }
    }

    fn release_pattern(&mut self, pattern: &TopicPattern, slot: u32) {
        self.patterns.remove(pattern);
        let matching: Vec<Key> = self.matching_topics(pattern).collect();
        for key in matching {
            if let Some(topic) = self.topics.get_mut(key) {
                topic.patterns.retain(|other| *other != slot);
            }
        }
    }
}

/// What became of a topic's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Appended,
    Trimmed,
}

/// Position, frame, and what few events bring.
type NewEntry = (u64, Frame, Option<Box<Labels>>);

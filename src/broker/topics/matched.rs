//! The events of all topics that match a pattern, in their order, as references into the topics'
//! logs.
//!
//! A pattern refers to a limited number of events, the newest ones. What it refers to no more is lost
//! by it, whatever its topic still keeps, as an event is that its topic has dropped.
//!
//! Entries have running numbers of their own, which sessions keep as cursors. How long an event is
//! kept is up to its topic, so that one may be gone from anywhere between others. Its number is
//! missing here then:
//!
//! ```text
//!   news/uk   #1 #2          #5              ← logs of two topics
//!   news/fr         #3 #4       #6
//!
//!   news/*     1  2  3  4  5  6              ← numbers here; 2 is missing once
//!              │  ·  │  │  │  │                news/uk has dropped its second event
//! ```

use super::channel::Channel;
use super::log::{Entry, Footprint};
use super::recent::Beginning;
use crate::broker::arena::{Arena, Key};
use crate::broker::names::{TopicName, TopicPattern};
use crate::event::EventId;
use alloc::collections::{BTreeSet, VecDeque};
use core::cmp::Reverse;

type Channels = Arena<Channel>;

#[derive(Debug)]
pub(crate) struct Matched {
    pattern: TopicPattern,
    entries: VecDeque<Reference>,
    /// The number of the next event to come.
    end: u64,
    /// No event after this position is lost, which is to say none from the number `lost_end` on. A
    /// number that is missing from there on was superseded in a compact log. The lower numbers that
    /// are missing all count as lost: nothing is kept that tells which of them were superseded.
    lost_through: u64,
    lost_end: u64,
    /// The size of all events.
    bytes: u64,
    own_ids: BTreeSet<(EventId, u64)>,
    /// How many of the newest events stay.
    limit: usize,
    /// How many entries may come before those that are gone, and those beyond the limit, are looked
    /// for.
    room: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    position: u64,
    number: u64,
    topic: Key,
    /// The number in the topic's log.
    cursor: u64,
    /// How many bytes came before it.
    before: u64,
}

impl Reference {
    /// Refers to an entry of this topic's log. It has no number yet.
    pub(super) fn new(topic: Key, entry: &Entry) -> Self {
        let (position, cursor) = (entry.position(), entry.number());
        Self { position, number: 0, topic, cursor, before: 0 }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Returns the entry; `None` for what the topic keeps no more.
    fn entry(self, channels: &Channels) -> Option<&Entry> {
        channels.get(self.topic)?.log().get(self.cursor)
    }
}

/// How many entries may always come before those that are gone are looked for.
const ROOM: usize = 64;

/// So many entries are counted, and given up, together.
const CHUNK: usize = 16;

/// What an id takes in the set of ids, in bytes.
const OWN_ID: usize = 64;

impl Matched {
    /// Begins with these events, of which the pattern is to have no more than `limit` for long.
    pub(crate) fn new(
        pattern: TopicPattern,
        channels: &Channels,
        beginning: Beginning,
        limit: usize,
    ) -> Self {
        let Beginning { events, lost_through } = beginning;
        let mut own_ids = BTreeSet::new();
        let mut entries = events;
        let mut bytes = 0;
        for (entry, number) in entries.iter_mut().zip(0..) {
            (entry.number, entry.before) = (number, bytes);
            if let Some(one) = entry.entry(channels) {
                bytes += one.size() as u64;
                own_ids.extend(one.own_id().cloned().map(|id| (id, entry.position)));
            }
        }
        let end = entries.len() as u64;
        let lost_end = entries.partition_point(|entry| entry.position <= lost_through) as u64;
        let room = entries.len() + ROOM;
        let entries = entries.into();
        Self { pattern, entries, end, lost_through, lost_end, bytes, own_ids, limit, room }
    }

    pub(crate) const fn pattern(&self) -> &TopicPattern {
        &self.pattern
    }

    /// Adds the newest event of a topic's log.
    pub(crate) fn push(&mut self, channels: &Channels, topic: Key) {
        let Some(log) = channels.get(topic).map(Channel::log) else { return };
        let Some(entry) = log.end().checked_sub(1).and_then(|newest| log.get(newest)) else {
            return;
        };
        let (position, number) = (entry.position(), self.end);
        self.end += 1;
        if self.room == 0 {
            self.drop_gone(channels);
        }
        self.room = self.room.saturating_sub(1);
        let reference = Reference { number, before: self.bytes, ..Reference::new(topic, entry) };
        self.entries.push_back(reference);
        self.bytes += entry.size() as u64;
        self.own_ids.extend(entry.own_id().cloned().map(|id| (id, position)));
    }

    /// Counts an event that no topic keeps as lost.
    pub(crate) fn miss(&mut self, position: u64) {
        self.end += 1;
        self.lost_through = self.lost_through.max(position);
        self.lost_end = self.end;
    }

    /// Records that a topic keeps nothing through `position`.
    pub(crate) fn trim(&mut self, channels: &Channels, position: u64) {
        // A new topic begins after what others lost before it. That position is no entry's here.
        if position > self.lost_through
            && let Ok(index) = self.entries.binary_search_by_key(&position, |one| one.position)
        {
            self.lost_through = position;
            self.lost_end = self.entries[index].number + 1;
        }
        while self.entries.front().is_some_and(|entry| entry.entry(channels).is_none()) {
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.own_ids.clear();
            self.entries.shrink_to(8);
        }
    }

    /// Drops entries that are gone, and the oldest of those that are too many.
    fn drop_gone(&mut self, channels: &Channels) {
        self.entries.retain(|entry| entry.entry(channels).is_some());
        let beyond = self.entries.len().saturating_sub(self.limit);
        if let Some(newest) = self.entries.drain(..beyond).next_back() {
            self.lost_through = self.lost_through.max(newest.position);
            self.lost_end = self.lost_end.max(newest.number + 1);
        }
        let entries = &self.entries;
        self.own_ids.retain(|(_, position)| {
            entries.binary_search_by_key(position, |entry| entry.position).is_ok()
        });
        // As many may come as there are, so that looking for those that are gone costs each entry
        // the same.
        self.room = self.entries.len() + ROOM;
    }

    /// Returns what it takes to refer to these events, rounded up; `None` if there are none.
    pub(crate) fn footprint(&self) -> Option<Footprint> {
        let bytes = self.entries.len().div_ceil(CHUNK) * CHUNK * size_of::<Reference>()
            + self.own_ids.len().div_ceil(CHUNK) * CHUNK * OWN_ID;
        (bytes > 0).then_some((bytes, Reverse(0)))
    }

    /// Gives up some of the oldest events, which are lost by this pattern then.
    pub(crate) fn give_up(&mut self) {
        let count = CHUNK.min(self.entries.len());
        if let Some(newest) = self.entries.drain(..count).next_back() {
            self.lost_through = self.lost_through.max(newest.position);
            self.lost_end = self.lost_end.max(newest.number + 1);
        }
        let len = self.entries.len();
        if self.entries.capacity() > 2 * len + CHUNK {
            self.entries.shrink_to(len + len / 2);
        }
        if !self.own_ids.is_empty() {
            let oldest = self.entries.front().map_or(u64::MAX, |entry| entry.position);
            self.own_ids.retain(|(_, position)| *position >= oldest);
        }
    }

    /// Returns the cursor of the next event to come.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the number from which on no event is lost.
    pub(crate) const fn lost_end(&self) -> u64 {
        self.lost_end
    }

    /// Returns the position of the newest event that is lost; 0 if there never was one.
    pub(crate) const fn lost_through(&self) -> u64 {
        self.lost_through
    }

    /// Returns where in `entries` the one with this number stands, or would stand.
    fn index_of(&self, number: u64) -> usize {
        // Where nothing is missing, it can be worked out.
        if let Some(front) = self.entries.front()
            && let Some(index) = number.checked_sub(front.number)
            && let Ok(index) = usize::try_from(index)
            && self.entries.get(index).is_some_and(|entry| entry.number == number)
        {
            return index;
        }
        self.entries.partition_point(|entry| entry.number < number)
    }

    /// Returns all that is kept from `cursor` on, each with its number.
    pub(crate) fn kept_from<'a>(
        &'a self,
        channels: &'a Channels,
        cursor: u64,
    ) -> impl DoubleEndedIterator<Item = (u64, &'a Entry)> {
        self.entries
            .range(self.index_of(cursor)..)
            .filter_map(|entry| Some((entry.number, entry.entry(channels)?)))
    }

    /// Returns the numbers and topics of all that is kept from `cursor` on.
    pub(crate) fn names_from<'a>(
        &'a self,
        channels: &'a Channels,
        cursor: u64,
    ) -> impl Iterator<Item = (u64, &'a TopicName)> {
        let kept = self.entries.range(self.index_of(cursor)..);
        kept.filter(|entry| entry.entry(channels).is_some())
            .filter_map(|entry| Some((entry.number, channels.get(entry.topic)?.name()?)))
    }

    /// Returns how many events from `cursor` to `end` are lost.
    pub(crate) fn lost(&self, channels: &Channels, cursor: u64, end: u64) -> u64 {
        let end = end.min(self.lost_end);
        if cursor >= end {
            return 0;
        }
        let kept = self.kept_from(channels, cursor).take_while(|(number, _)| *number < end);
        end - cursor - kept.count() as u64
    }

    /// Returns the first event from `cursor` on that is kept, with its number.
    // Out of the way of sessions without patterns.
    #[inline(never)]
    pub(crate) fn next<'a>(
        &'a self,
        channels: &'a Channels,
        cursor: u64,
    ) -> Option<(u64, &'a Entry)> {
        self.kept_from(channels, cursor).next()
    }

    /// Returns whether there is at most one event from `cursor` on, and nothing is missing.
    #[inline(never)]
    pub(crate) fn is_plain(&self, channels: &Channels, cursor: u64) -> bool {
        match self.end.saturating_sub(cursor) {
            0 => true,
            1 => cursor >= self.lost_end && self.next(channels, cursor).is_some(),
            _ => false,
        }
    }

    /// Returns the number of the first kept event before which `bytes` bytes came, or more.
    pub(crate) fn cursor_at(&self, bytes: u64) -> u64 {
        let index = self.entries.partition_point(|entry| entry.before < bytes);
        self.entries.get(index).map_or(self.end, |entry| entry.number)
    }

    /// Returns the number of the first kept event after `position`.
    pub(crate) fn cursor_after(&self, channels: &Channels, position: u64) -> u64 {
        let index = self.entries.partition_point(|entry| entry.position <= position);
        let mut kept = self.entries.range(index..);
        kept.find(|entry| entry.entry(channels).is_some()).map_or(self.end, |entry| entry.number)
    }

    /// Returns the last kept event before the number `limit`, and how many bytes came through it.
    pub(crate) fn last_before(&self, channels: &Channels, limit: u64) -> Option<(u64, u64)> {
        let mut entries = self.entries.range(..self.index_of(limit)).rev();
        let (one, entry) = entries.find_map(|one| Some((one, one.entry(channels)?)))?;
        Some((one.number, one.before + entry.size() as u64))
    }

    /// Returns how many bytes came before the event with this number, which is kept.
    pub(crate) fn bytes_before(&self, number: u64) -> u64 {
        self.entries.get(self.index_of(number)).map_or(self.bytes, |entry| entry.before)
    }

    /// Returns the position of the newest event, kept or lost; 0 if there never was one.
    pub(crate) fn last_position(&self) -> u64 {
        let newest = self.entries.back().map_or(0, |entry| entry.position);
        newest.max(self.lost_through)
    }

    /// Returns the position of the oldest kept event that brought this id.
    pub(crate) fn find(&self, channels: &Channels, id: &EventId) -> Option<u64> {
        let same = self.own_ids.range((id.clone(), 0)..).take_while(|(found, _)| found == id);
        same.map(|(_, position)| *position).find(|position| {
            self.entries
                .binary_search_by_key(position, |entry| entry.position)
                .is_ok_and(|index| self.entries[index].entry(channels).is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::channel::{Kind, Named};
    use super::super::log::NewEntry;
    use super::*;
    use crate::broker::config::Retention;
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::num::NonZeroUsize;

    const RETENTION: Retention = Retention {
        events: NonZeroUsize::new(2).unwrap(),
        bytes: NonZeroUsize::MAX,
        age: None,
        compact: false,
    };

    /// Two topics that keep two events each, and what matches both.
    struct Newsroom {
        channels: Channels,
        topics: [Key; 2],
        matched: Matched,
        position: u64,
    }

    impl Newsroom {
        fn new() -> Self {
            let mut channels = Channels::new();
            let topics = ["news/uk", "news/fr"].map(|name| {
                let named = Named::new(TopicName::new(name).unwrap());
                channels.insert(Channel::new(Kind::Named(Box::new(named)), 0))
            });
            let pattern = TopicPattern::new("news/*").unwrap();
            let beginning = Beginning { events: Vec::new(), lost_through: 0 };
            let matched = Matched::new(pattern, &channels, beginning, 1_000);
            Self { channels, topics, matched, position: 0 }
        }

        fn append(&mut self, topic: usize, own_id: &'static str) -> u64 {
            self.position += 1;
            let mut new = NewEntry::sample(self.position, "x", "");
            if !own_id.is_empty() {
                new = new.with_own_id(own_id);
            }
            let log = self.channels.get_mut(self.topics[topic]).unwrap().log_mut();
            let lost = log.lost_through();
            log.push(0, new, &RETENTION);
            let lost_through = log.lost_through();
            if lost_through > lost {
                self.matched.trim(&self.channels, lost_through);
            }
            self.position
        }

        fn publish(&mut self, topic: usize) {
            self.append(topic, "");
            self.matched.push(&self.channels, self.topics[topic]);
        }

        fn publish_all(&mut self, topics: &[usize]) {
            for &topic in topics {
                self.publish(topic);
            }
        }

        fn kept(&self) -> Vec<u64> {
            self.matched.kept_from(&self.channels, 0).map(|(number, _)| number).collect()
        }
    }

    #[test]
    fn events_of_all_topics_stand_in_their_order() {
        let mut news = Newsroom::new();
        news.publish_all(&[0, 1, 1, 0]);
        assert_eq!(news.kept(), [0, 1, 2, 3]);
        let names = news.matched.names_from(&news.channels, 1);
        let names: Vec<_> = names.map(|(number, name)| (number, name.as_str())).collect();
        assert_eq!(names, [(1, "news/fr"), (2, "news/fr"), (3, "news/uk")]);
        assert_eq!(news.matched.cursor_after(&news.channels, 2), 2);
        assert_eq!(news.matched.last_position(), 4);
    }

    #[test]
    fn what_one_topic_dropped_is_missing_between_the_others() {
        let mut news = Newsroom::new();
        // The first of the second topic goes when its third comes.
        news.publish_all(&[0, 1, 1, 1]);
        assert_eq!(news.kept(), [0, 2, 3]);
        assert_eq!((news.matched.lost_end(), news.matched.lost_through()), (2, 2));
        let lost = |cursor, end| news.matched.lost(&news.channels, cursor, end);
        assert_eq!((lost(0, u64::MAX), lost(1, u64::MAX), lost(2, u64::MAX)), (1, 1, 0));
        assert_eq!(lost(0, 1), 0, "it lies beyond");
        assert_eq!(news.matched.next(&news.channels, 1).map(|(number, _)| number), Some(2));
    }

    #[test]
    fn a_pattern_that_is_new_begins_with_what_is_kept_and_knows_what_is_not() {
        let mut news = Newsroom::new();
        for topic in [0, 0, 1, 0] {
            news.append(topic, "");
        }
        let pattern = news.matched.pattern().clone();
        let beginning = || Beginning::newest_of(&news.topics, 9, &news.channels);
        let matched = Matched::new(pattern.clone(), &news.channels, beginning(), 9);
        // Of the positions 1 to 4, the first is gone.
        assert_eq!((matched.end(), matched.lost_through(), matched.lost_end()), (3, 1, 0));
        let forgotten = Beginning { lost_through: 3, ..beginning() };
        let forgotten = Matched::new(pattern, &news.channels, forgotten, 9);
        assert_eq!((forgotten.lost_through(), forgotten.lost_end()), (3, 2));
    }

    #[test]
    fn the_oldest_of_too_many_are_lost_by_the_pattern_though_their_topics_keep_them() {
        let mut news = Newsroom::new();
        news.matched.limit = 3;
        // Nothing of these topics goes.
        for _ in 0..200 {
            news.position += 1;
            let named = Named::new(TopicName::new("news/one").unwrap());
            let topic = news.channels.insert(Channel::new(Kind::Named(Box::new(named)), 0));
            let log = news.channels.get_mut(topic).unwrap().log_mut();
            log.push(0, NewEntry::sample(news.position, "x", ""), &RETENTION);
            news.matched.push(&news.channels, topic);
            assert!(news.matched.entries.len() <= 2 * 3 + ROOM + 1);
            let kept = news.kept().len() as u64;
            assert!(kept >= news.position.min(3));
            let matched = &news.matched;
            assert_eq!(matched.lost(&news.channels, 0, u64::MAX), news.position - kept);
            // Positions begin with 1, numbers with 0.
            assert_eq!(matched.lost_end(), matched.lost_through());
        }
    }

    #[test]
    fn what_is_given_up_is_lost_and_takes_no_room() {
        let mut news = Newsroom::new();
        for _ in 0..2 {
            news.publish_all(&[0, 1]);
        }
        let before = news.matched.footprint().unwrap();
        assert_eq!(before.0, CHUNK * size_of::<Reference>());
        news.matched.give_up();
        assert_eq!((news.matched.footprint(), news.kept().len()), (None, 0));
        assert_eq!(news.matched.lost(&news.channels, 0, u64::MAX), 4);
        assert_eq!((news.matched.lost_through(), news.matched.last_position()), (4, 4));
        news.publish(0);
        assert_eq!(news.kept(), [4]);
    }

    #[test]
    fn an_event_that_no_topic_keeps_is_lost_at_once() {
        let mut news = Newsroom::new();
        news.publish(0);
        news.matched.miss(2);
        assert_eq!((news.matched.end(), news.kept()), (2, alloc::vec![0]));
        assert_eq!(news.matched.lost(&news.channels, 0, u64::MAX), 1);
        assert!(!news.matched.is_plain(&news.channels, 1));
        assert!(news.matched.is_plain(&news.channels, 2));
    }

    #[test]
    fn entries_that_are_gone_do_not_pile_up() {
        let mut news = Newsroom::new();
        // It stays at the front, so that nothing before it is ever passed.
        news.publish(0);
        (0..1_000).for_each(|_| news.publish(1));
        assert_eq!(news.kept(), [0, 999, 1_000]);
        assert!(news.matched.entries.len() <= 2 * ROOM + 3, "{}", news.matched.entries.len());
    }

    #[test]
    fn an_id_is_found_as_long_as_an_event_that_brought_it_is_kept() {
        let mut news = Newsroom::new();
        news.append(0, "same");
        news.matched.push(&news.channels, news.topics[0]);
        news.append(1, "same");
        news.matched.push(&news.channels, news.topics[1]);
        let id = EventId::new("same").unwrap();
        assert_eq!(news.matched.find(&news.channels, &id), Some(1));
        news.publish_all(&[0, 0]);
        assert_eq!(news.matched.find(&news.channels, &id), Some(2), "the first is gone");
        news.publish_all(&[1, 1]);
        assert_eq!(news.matched.find(&news.channels, &id), None);
    }
}

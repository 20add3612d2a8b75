//! The events of all topics that match a pattern, in their order, as references into the topics'
//! logs.

use super::arena::{Arena, Key};
use super::log::{Entry, Log};
use super::pattern::TopicPattern;
use super::state::TopicState;
use crate::encode::Frame;
use crate::event::EventId;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

type Topics = Arena<TopicState>;

/// What matches one pattern: entries are known by running numbers of its own, which its sessions
/// keep as their cursors, as those of a topic do.
///
/// How long an event is kept is for its topic to say, so that one may be gone from anywhere between
/// others. Its number is then missing here, and by that a session knows what it has lost.
#[derive(Debug)]
pub(super) struct Matched {
    pattern: TopicPattern,
    entries: VecDeque<Reference>,
    /// The number of the next event to come.
    end: u64,
    /// No event after this position is gone.
    lost_through: u64,
    own_ids: BTreeSet<(EventId, u64)>,
    /// How many entries may come before those that are gone are looked for.
    room: usize,
}

#[derive(Clone, Copy, Debug)]
struct Reference {
    position: u64,
    number: u64,
    topic: Key,
    /// The cursor in the topic's log.
    cursor: u64,
}

impl Reference {
    /// `None` for what the topic keeps no more.
    fn entry(self, topics: &Topics) -> Option<&Entry> {
        topics.get(self.topic)?.log.get(self.cursor)
    }
}

impl Matched {
    /// With what `matching` topics keep.
    pub(super) fn new(
        pattern: TopicPattern,
        topics: &Topics,
        matching: &[Key],
        lost_through: u64,
    ) -> Self {
        let mut own_ids = BTreeSet::new();
        let mut entries = Vec::new();
        let mut lost_through = lost_through;
        for &topic in matching {
            let Some(log) = topics.get(topic).map(|topic| &topic.log) else { continue };
            lost_through = lost_through.max(log.lost_through());
            for (entry, cursor) in log.from(log.start()).zip(log.start()..) {
                entries.push(Reference { position: entry.position, number: 0, topic, cursor });
                own_ids.extend(entry.own_id.clone().map(|id| (id, entry.position)));
            }
        }
        entries.sort_unstable_by_key(|entry| entry.position);
        for (entry, number) in entries.iter_mut().zip(0..) {
            entry.number = number;
        }
        let end = entries.len() as u64;
        let mut new =
            Self { pattern, entries: entries.into(), end, lost_through, own_ids, room: 0 };
        new.make_room();
        new
    }

    pub(super) const fn pattern(&self) -> &TopicPattern {
        &self.pattern
    }

    /// Takes note of the newest event of a topic's log.
    pub(super) fn push(&mut self, topics: &Topics, key: Key) {
        let Some(log) = topics.get(key).map(|topic| &topic.log) else { return };
        let Some(cursor) = log.end().checked_sub(1) else { return };
        let Some(entry) = log.get(cursor) else { return };
        let (position, number) = (entry.position, self.end);
        self.end += 1;
        if self.room == 0 {
            self.drop_gone(topics);
        }
        self.room = self.room.saturating_sub(1);
        self.entries.push_back(Reference { position, number, topic: key, cursor });
        self.own_ids.extend(entry.own_id.clone().map(|id| (id, position)));
    }

    /// Takes note of an event that no topic keeps.
    pub(super) fn miss(&mut self, position: u64) {
        self.end += 1;
        self.lost_through = self.lost_through.max(position);
    }

    /// Takes note that a topic keeps nothing through `position`.
    pub(super) fn trim(&mut self, topics: &Topics, position: u64) {
        self.lost_through = self.lost_through.max(position);
        while self.entries.front().is_some_and(|entry| entry.entry(topics).is_none()) {
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.own_ids.clear();
            self.entries.shrink_to(8);
        }
    }

    fn drop_gone(&mut self, topics: &Topics) {
        self.entries.retain(|entry| entry.entry(topics).is_some());
        let entries = &self.entries;
        self.own_ids.retain(|(_, position)| {
            entries.binary_search_by_key(position, |entry| entry.position).is_ok()
        });
        self.make_room();
    }

    /// As many may come as there are, so that looking for those that are gone costs each entry the
    /// same.
    fn make_room(&mut self) {
        self.room = self.entries.len() + 64;
    }

    /// The cursor of the next event to come.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Where in `entries` what has this number would stand.
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

    fn kept_from<'a>(
        &'a self,
        topics: &'a Topics,
        cursor: u64,
    ) -> impl Iterator<Item = (u64, &'a Entry)> {
        self.entries
            .range(self.index_of(cursor)..)
            .filter_map(|entry| Some((entry.number, entry.entry(topics)?)))
    }

    /// How many events from `cursor` to `end` are gone, and the cursor of the first that is not.
    fn gone(&self, topics: &Topics, cursor: u64, end: u64) -> (u64, u64) {
        if cursor >= end {
            return (0, cursor);
        }
        let (mut kept, mut first) = (0, None);
        for (number, entry) in self.kept_from(topics, cursor) {
            if number >= end {
                break;
            }
            let first = *first.get_or_insert(number);
            if entry.position > self.lost_through {
                return (number - cursor - kept, first);
            }
            kept += 1;
        }
        (end - cursor - kept, first.unwrap_or(end))
    }

    fn find(&self, topics: &Topics, id: &EventId) -> Option<u64> {
        let same = self.own_ids.range((id.clone(), 0)..).take_while(|(found, _)| found == id);
        same.map(|(_, position)| *position).find(|position| {
            self.entries
                .binary_search_by_key(position, |entry| entry.position)
                .is_ok_and(|index| self.entries[index].entry(topics).is_some())
        })
    }
}

/// What a session's cursor goes through: a log, or what matches a pattern.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Log(&'a Log),
    Matched(&'a Matched, &'a Topics),
}

impl<'a> View<'a> {
    /// What is at `cursor`; `None` at the end, and for what is gone.
    pub(super) fn get(self, cursor: u64) -> Option<&'a Entry> {
        match self {
            Self::Log(log) => log.get(cursor),
            Self::Matched(matched, topics) => matched
                .entries
                .get(matched.index_of(cursor))
                .filter(|entry| entry.number == cursor)?
                .entry(topics),
        }
    }

    /// Lets `take` have the frames from `cursor` on while their positions are below, and moves the
    /// cursor; says whether `take` did not want one. Nothing that is gone is passed.
    pub(super) fn run(
        self,
        cursor: &mut u64,
        below: u64,
        mut take: impl FnMut(&Frame) -> bool,
    ) -> bool {
        let start = *cursor;
        let mut step = |entry: &Entry| {
            if entry.position >= below {
                return Some(false);
            }
            if !take(&entry.frame) {
                return Some(true);
            }
            *cursor += 1;
            None
        };
        match self {
            Self::Log(log) => {
                let from = log.from(start);
                from.map(&mut step).find_map(|stop| stop).unwrap_or(false)
            }
            Self::Matched(matched, topics) => {
                let from = matched.kept_from(topics, start).zip(start..);
                let unbroken = from.take_while(|((number, _), expected)| number == expected);
                unbroken.map(|((_, entry), _)| step(entry)).find_map(|stop| stop).unwrap_or(false)
            }
        }
    }

    /// How many events from `cursor` to `end` are gone, and the cursor of the first that is not.
    pub(super) fn gone(self, cursor: u64, end: u64) -> (u64, u64) {
        match self {
            Self::Log(log) => {
                let first = log.start().min(end).max(cursor);
                (first - cursor, first)
            }
            Self::Matched(matched, topics) => matched.gone(topics, cursor, end.min(matched.end)),
        }
    }

    /// The cursor of the oldest event.
    pub(super) fn start(self) -> u64 {
        match self {
            Self::Log(log) => log.start(),
            Self::Matched(matched, topics) => {
                matched.kept_from(topics, 0).next().map_or(matched.end, |(number, _)| number)
            }
        }
    }

    /// The cursor of the next event to come.
    pub(super) fn end(self) -> u64 {
        match self {
            Self::Log(log) => log.end(),
            Self::Matched(matched, _) => matched.end,
        }
    }

    /// The cursor of the first event after `position`.
    pub(super) fn cursor_after(self, position: u64) -> u64 {
        match self {
            Self::Log(log) => log.cursor_after(position),
            Self::Matched(matched, topics) => {
                let index = matched.entries.partition_point(|entry| entry.position <= position);
                let mut kept = matched.entries.range(index..);
                kept.find(|entry| entry.entry(topics).is_some())
                    .map_or(matched.end, |entry| entry.number)
            }
        }
    }

    /// The positions of all that is kept from `cursor` on.
    pub(super) fn positions_from(self, cursor: u64, into: &mut Vec<u64>) {
        match self {
            Self::Log(log) => into.extend(log.from(cursor).map(|entry| entry.position)),
            Self::Matched(matched, topics) => {
                into.extend(matched.kept_from(topics, cursor).map(|(_, entry)| entry.position));
            }
        }
    }

    /// The position of the newest event that is kept no more; 0 if there never was one.
    pub(super) fn lost_through(self) -> u64 {
        match self {
            Self::Log(log) => log.lost_through(),
            Self::Matched(matched, _) => matched.lost_through,
        }
    }

    /// The position of the oldest kept event that brought this id.
    pub(super) fn find(self, id: &EventId) -> Option<u64> {
        match self {
            Self::Log(log) => log.find(id),
            Self::Matched(matched, topics) => matched.find(topics, id),
        }
    }
}

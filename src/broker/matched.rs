//! The events of all topics that match a pattern, in their order, as references into the topics'
//! logs.

use super::arena::{Arena, Key};
use super::log::{Entry, Log};
use super::names::{TopicName, TopicPattern};
use super::state::TopicState;
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
    /// No event after this position is lost, which is to say none from this number on. What is gone
    /// from there on, a newer event has superseded in a compact log; of what is gone before,
    /// nobody remembers whether it was.
    lost_through: u64,
    lost_end: u64,
    /// The size of all events.
    bytes: u64,
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
    /// How many bytes came before it.
    before: u64,
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
            for entry in log.from(log.start()) {
                let (position, cursor, before) =
                    (entry.position, entry.number, entry.size() as u64);
                entries.push(Reference { position, number: 0, topic, cursor, before });
                own_ids.extend(entry.own_id().cloned().map(|id| (id, entry.position)));
            }
        }
        entries.sort_unstable_by_key(|entry| entry.position);
        let mut bytes = 0;
        for (entry, number) in entries.iter_mut().zip(0..) {
            entry.number = number;
            let size = core::mem::replace(&mut entry.before, bytes);
            bytes += size;
        }
        let end = entries.len() as u64;
        let lost_end = entries.partition_point(|entry| entry.position <= lost_through) as u64;
        let entries = entries.into();
        let mut new =
            Self { pattern, entries, end, lost_through, lost_end, bytes, own_ids, room: 0 };
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
        self.entries.push_back(Reference {
            position,
            number,
            topic: key,
            cursor,
            before: self.bytes,
        });
        self.bytes += entry.size() as u64;
        self.own_ids.extend(entry.own_id().cloned().map(|id| (id, position)));
    }

    /// Takes note of an event that no topic keeps.
    pub(super) fn miss(&mut self, position: u64) {
        self.end += 1;
        self.lost_through = self.lost_through.max(position);
        self.lost_end = self.end;
    }

    /// Takes note that a topic keeps nothing through `position`.
    pub(super) fn trim(&mut self, topics: &Topics, position: u64) {
        // A topic that is new here keeps nothing either through what others lost before it.
        if position > self.lost_through
            && let Ok(index) = self.entries.binary_search_by_key(&position, |one| one.position)
        {
            self.lost_through = position;
            self.lost_end = self.entries[index].number + 1;
        }
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
    ) -> impl DoubleEndedIterator<Item = (u64, &'a Entry)> {
        self.entries
            .range(self.index_of(cursor)..)
            .filter_map(|entry| Some((entry.number, entry.entry(topics)?)))
    }

    /// The numbers and topics of all that is kept from `cursor` on.
    pub(super) fn names_from<'a>(
        &'a self,
        topics: &'a Topics,
        cursor: u64,
    ) -> impl Iterator<Item = (u64, &'a TopicName)> {
        let kept = self.entries.range(self.index_of(cursor)..);
        kept.filter(|entry| entry.entry(topics).is_some())
            .filter_map(|entry| Some((entry.number, topics.get(entry.topic)?.name.as_ref()?)))
    }

    /// How many events from `cursor` to `end` are lost.
    fn lost(&self, topics: &Topics, cursor: u64, end: u64) -> u64 {
        let end = end.min(self.lost_end);
        if cursor >= end {
            return 0;
        }
        let kept = self.kept_from(topics, cursor).take_while(|(number, _)| *number < end);
        end - cursor - kept.count() as u64
    }

    // Out of the way of those who have no patterns.
    #[inline(never)]
    fn next<'a>(&'a self, topics: &'a Topics, cursor: u64) -> Option<(u64, &'a Entry)> {
        self.kept_from(topics, cursor).next()
    }

    #[inline(never)]
    fn is_plain(&self, topics: &Topics, cursor: u64) -> bool {
        match self.end.saturating_sub(cursor) {
            0 => true,
            1 => cursor >= self.lost_end && self.next(topics, cursor).is_some(),
            _ => false,
        }
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

/// What becomes of an event in a [run](View::run).
pub(super) enum Take {
    Taken,
    /// It need not be delivered.
    Spared,
    /// It has no room any more.
    Full,
}

/// What came of a [run](View::run).
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) is_full: bool,
    pub(super) taken: usize,
    /// How many events were spared, or passed that were superseded and are gone.
    pub(super) coalesced: u64,
}

/// Events of a source: the numbers of the first and the last that are there, and how many bytes came
/// before the first and through the last, also of what is gone in between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) before: u64,
    pub(super) through: u64,
}

/// What a session's cursor goes through: a log, or what matches a pattern.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Log(&'a Log),
    Matched(&'a Matched, &'a Topics),
}

impl<'a> View<'a> {
    /// What is at `cursor`, or the first that is there after what has been superseded, with its
    /// number; `None` at the end, and for what is lost.
    #[inline]
    pub(super) fn get(self, cursor: u64) -> Option<(u64, &'a Entry)> {
        let (number, entry) = match self {
            Self::Log(log) => log.next(cursor).map(|entry| (entry.number, entry))?,
            Self::Matched(matched, topics) => matched.next(topics, cursor)?,
        };
        (number == cursor || !self.may_be_lost(cursor)).then_some((number, entry))
    }

    /// The first that is there from `cursor` on, with its number.
    pub(super) fn from(self, cursor: u64) -> Option<(u64, &'a Entry)> {
        self.find_from(cursor, |_, _| true)
    }

    /// The first that is there from `cursor` on and `is_wanted`, with its number.
    pub(super) fn find_from(
        self,
        cursor: u64,
        mut is_wanted: impl FnMut(u64, &Entry) -> bool,
    ) -> Option<(u64, &'a Entry)> {
        self.all_from(cursor).find(|(number, entry)| is_wanted(*number, entry))
    }

    /// The last that is there from `cursor` on and `is_wanted`.
    pub(super) fn find_last_from(
        self,
        cursor: u64,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> Option<&'a Entry> {
        self.all_from(cursor).map(|(_, entry)| entry).rfind(|entry| is_wanted(entry))
    }

    /// Lets `take` have the events from `cursor` on while their positions are below, and moves the
    /// cursor. Nothing that is lost is passed.
    #[inline]
    pub(super) fn run(
        self,
        cursor: &mut u64,
        below: u64,
        mut take: impl FnMut(u64, &Entry) -> Take,
    ) -> Run {
        let mut run = Run { is_full: false, taken: 0, coalesced: 0 };
        let mut next = *cursor;
        for (number, entry) in self.all_from(next) {
            if entry.position >= below || (number > next && self.may_be_lost(next)) {
                break;
            }
            match take(number, entry) {
                Take::Full => {
                    run.is_full = true;
                    break;
                }
                Take::Taken => {
                    run.taken += 1;
                    run.coalesced += number - next;
                }
                Take::Spared => run.coalesced += number + 1 - next,
            }
            next = number + 1;
        }
        *cursor = next;
        run
    }

    /// All that is there from `cursor` on, each with its number.
    #[inline]
    fn all_from(self, cursor: u64) -> impl DoubleEndedIterator<Item = (u64, &'a Entry)> {
        match self {
            Self::Log(log) => Either::Log(log.from(cursor).map(|entry| (entry.number, entry))),
            Self::Matched(matched, topics) => Either::Matched(matched.kept_from(topics, cursor)),
        }
    }

    /// How many events from `cursor` to `end` are lost.
    pub(super) fn lost(self, cursor: u64, end: u64) -> u64 {
        match self {
            Self::Log(log) => log.start().min(end).saturating_sub(cursor),
            Self::Matched(matched, topics) => matched.lost(topics, cursor, end),
        }
    }

    /// Whether nothing from `cursor` on needs a look, but to be delivered: no more than one event
    /// is there, and nothing is missing.
    #[inline]
    pub(super) fn is_plain(self, cursor: u64) -> bool {
        match self {
            // The newest event is there, and nothing supersedes it.
            Self::Log(log) => cursor >= log.start() && log.end() <= cursor.saturating_add(1),
            Self::Matched(matched, topics) => matched.is_plain(topics, cursor),
        }
    }

    /// Whether a log has what is at `cursor`, or nothing more is to come. Of a pattern, which may
    /// miss anything in between, it is not known.
    pub(super) fn begins_at(self, cursor: u64) -> bool {
        match self {
            Self::Log(log) => cursor >= log.end() || log.get(cursor).is_some(),
            Self::Matched(..) => false,
        }
    }

    /// Whether some events may be superseded by others.
    #[inline]
    pub(super) const fn may_be_superseded(self) -> bool {
        match self {
            Self::Log(log) => log.is_labelled(),
            Self::Matched(..) => true,
        }
    }

    /// Whether what had this number is lost.
    pub(super) fn is_lost(self, number: u64) -> bool {
        self.may_be_lost(number) && self.from(number).is_none_or(|(first, _)| first != number)
    }

    fn may_be_lost(self, cursor: u64) -> bool {
        match self {
            Self::Log(log) => cursor < log.start(),
            Self::Matched(matched, _) => cursor < matched.lost_end,
        }
    }

    /// What is there from `cursor` on and before `limit`; `None` if nothing is.
    pub(super) fn span(self, cursor: u64, limit: u64) -> Option<Span> {
        let (first, _) = self.from(cursor)?;
        let (last, before, through) = match self {
            Self::Log(log) => {
                let (last, through) = log.last_before(limit)?;
                (last, log.bytes_before(first), through)
            }
            Self::Matched(matched, topics) => {
                let mut entries = matched.entries.range(..matched.index_of(limit)).rev();
                let last = entries.find_map(|one| Some((one, one.entry(topics)?)));
                let before = matched.entries.get(matched.index_of(first))?.before;
                last.map(|(one, entry)| (one.number, before, one.before + entry.size() as u64))?
            }
        };
        (first <= last).then_some(Span { first, last, before, through })
    }

    /// The first cursor before which so many bytes came, or more.
    pub(super) fn cursor_at(self, bytes: u64) -> u64 {
        match self {
            Self::Log(log) => log.cursor_at(bytes),
            Self::Matched(matched, _) => {
                let index = matched.entries.partition_point(|entry| entry.before < bytes);
                matched.entries.get(index).map_or(matched.end, |entry| entry.number)
            }
        }
    }

    /// The position of the newest event; 0 if there never was one.
    pub(super) fn last_position(self) -> u64 {
        match self {
            Self::Log(log) => log.last_position(),
            Self::Matched(matched, _) => {
                let newest = matched.entries.back().map_or(0, |entry| entry.position);
                newest.max(matched.lost_through)
            }
        }
    }

    /// The cursor of the oldest event.
    pub(super) fn start(self) -> u64 {
        match self {
            Self::Log(log) => log.first(),
            Self::Matched(matched, topics) => {
                matched.kept_from(topics, 0).next().map_or(matched.end, |(number, _)| number)
            }
        }
    }

    /// The cursor of the next event to come.
    #[inline]
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

    /// How many events are kept from `cursor` on.
    pub(super) fn count_from(self, cursor: u64) -> u64 {
        match self {
            Self::Log(log) => log.count_from(cursor),
            Self::Matched(matched, topics) => matched.kept_from(topics, cursor).count() as u64,
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

/// One of two iterators, so that what is done with the items is there once.
enum Either<L, M> {
    Log(L),
    Matched(M),
}

impl<T, L: Iterator<Item = T>, M: Iterator<Item = T>> Iterator for Either<L, M> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Log(entries) => entries.next(),
            Self::Matched(entries) => entries.next(),
        }
    }
}

impl<T, L, M> DoubleEndedIterator for Either<L, M>
where
    L: DoubleEndedIterator<Item = T>,
    M: DoubleEndedIterator<Item = T>,
{
    fn next_back(&mut self) -> Option<T> {
        match self {
            Self::Log(entries) => entries.next_back(),
            Self::Matched(entries) => entries.next_back(),
        }
    }
}

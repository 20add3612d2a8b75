//! What a session's cursor goes through: a log, or what matches a pattern.

use super::channel::Channel;
use super::log::{Entry, Log};
use super::matched::Matched;
use crate::broker::arena::Arena;
use crate::broker::names::TopicName;
use crate::event::EventId;
use alloc::vec::Vec;

#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Log(&'a Log),
    Matched(&'a Matched, &'a Arena<Channel>),
}

/// What becomes of an event in a [run](View::run).
pub(crate) enum Take {
    Taken,
    /// It is the last that has room.
    TakenLast,
    /// It is passed and not delivered.
    Superseded,
    /// It has no room any more.
    Full,
}

/// What came of a [run](View::run).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    is_full: bool,
    taken: usize,
    superseded: u64,
}

impl Run {
    /// Returns whether an event had no room.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns how many events were taken.
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }

    /// Returns how many superseded events were passed, those included that are gone.
    pub(crate) const fn superseded(&self) -> u64 {
        self.superseded
    }
}

/// A stretch of events: from the first to the last that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    first: u64,
    last: u64,
    bytes: u64,
    /// How many bytes came through the last one.
    through: u64,
}

impl Span {
    /// Returns the number of the first event.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of the last event.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// Returns the size of its events, also of those that are gone in between.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how many bytes were published to the channel through the last event, on the scale
    /// of [`View::cursor_at`].
    pub(crate) const fn through(&self) -> u64 {
        self.through
    }
}

impl<'a> View<'a> {
    /// Returns the event at `cursor`, or the first that is there after superseded ones, with its
    /// number; `None` at the end, and for what is lost.
    #[inline]
    pub(crate) fn get(self, cursor: u64) -> Option<(u64, &'a Entry)> {
        let (number, entry) = match self {
            Self::Log(log) => log.next(cursor).map(|entry| (entry.number(), entry))?,
            Self::Matched(matched, channels) => matched.next(channels, cursor)?,
        };
        (number == cursor || !self.may_be_lost(cursor)).then_some((number, entry))
    }

    /// Returns the first event that is there from `cursor` on, with its number.
    pub(crate) fn from(self, cursor: u64) -> Option<(u64, &'a Entry)> {
        self.find_from(cursor, |_, _| true)
    }

    /// Returns the first event that is there from `cursor` on and `is_wanted`, with its number.
    pub(crate) fn find_from(
        self,
        cursor: u64,
        mut is_wanted: impl FnMut(u64, &Entry) -> bool,
    ) -> Option<(u64, &'a Entry)> {
        self.all_from(cursor).find(|(number, entry)| is_wanted(*number, entry))
    }

    /// Returns the last event that is there from `cursor` on and `is_wanted`.
    pub(crate) fn find_last_from(
        self,
        cursor: u64,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> Option<&'a Entry> {
        self.all_from(cursor).map(|(_, entry)| entry).rfind(|entry| is_wanted(entry))
    }

    /// Lets `take` have the events from `cursor` on while their positions are below, and moves the
    /// cursor. Nothing that is lost is passed.
    #[inline]
    pub(crate) fn run(
        self,
        cursor: &mut u64,
        below: u64,
        mut take: impl FnMut(u64, &Entry) -> Take,
    ) -> Run {
        let mut run = Run { is_full: false, taken: 0, superseded: 0 };
        let mut next = *cursor;
        for (number, entry) in self.all_from(next) {
            if entry.position() >= below || (number > next && self.may_be_lost(next)) {
                break;
            }
            match take(number, entry) {
                Take::Full => {
                    run.is_full = true;
                    break;
                }
                Take::Taken => {
                    run.taken += 1;
                    run.superseded += number - next;
                }
                Take::TakenLast => {
                    run.taken += 1;
                    run.superseded += number - next;
                    next = number + 1;
                    run.is_full = true;
                    break;
                }
                Take::Superseded => run.superseded += number + 1 - next,
            }
            next = number + 1;
        }
        *cursor = next;
        run
    }

    /// Returns all that is there from `cursor` on, each with its number.
    #[inline]
    fn all_from(self, cursor: u64) -> impl DoubleEndedIterator<Item = (u64, &'a Entry)> {
        match self {
            Self::Log(log) => Either::Log(log.from(cursor).map(|entry| (entry.number(), entry))),
            Self::Matched(matched, channels) => {
                Either::Matched(matched.kept_from(channels, cursor))
            }
        }
    }

    /// Returns how many events from `cursor` to `end` are lost.
    pub(crate) fn lost(self, cursor: u64, end: u64) -> u64 {
        match self {
            Self::Log(log) => log.start().min(end).saturating_sub(cursor),
            Self::Matched(matched, channels) => matched.lost(channels, cursor, end),
        }
    }

    /// Returns whether nothing from `cursor` on needs a look, but to be delivered: no more than one
    /// event is there, and nothing is missing.
    #[inline]
    pub(crate) fn is_plain(self, cursor: u64) -> bool {
        match self {
            // The newest event is there, and nothing supersedes it.
            Self::Log(log) => cursor >= log.start() && log.end() <= cursor.saturating_add(1),
            Self::Matched(matched, channels) => matched.is_plain(channels, cursor),
        }
    }

    /// Returns whether a log has the event at `cursor`, or nothing more is to come. Of a pattern,
    /// which may miss anything in between, it is not known.
    pub(crate) fn begins_at(self, cursor: u64) -> bool {
        match self {
            Self::Log(log) => cursor >= log.end() || log.get(cursor).is_some(),
            Self::Matched(..) => false,
        }
    }

    /// Returns whether some events may be superseded by others.
    #[inline]
    pub(crate) const fn may_be_superseded(self) -> bool {
        match self {
            Self::Log(log) => log.is_labelled(),
            Self::Matched(..) => true,
        }
    }

    /// Returns whether the event that had this number is lost.
    pub(crate) fn is_lost(self, number: u64) -> bool {
        self.may_be_lost(number) && self.from(number).is_none_or(|(first, _)| first != number)
    }

    fn may_be_lost(self, cursor: u64) -> bool {
        match self {
            Self::Log(log) => cursor < log.start(),
            Self::Matched(matched, _) => cursor < matched.lost_end(),
        }
    }

    /// Returns what is there from `cursor` on and before `limit`; `None` if nothing is.
    pub(crate) fn span(self, cursor: u64, limit: u64) -> Option<Span> {
        let (first, _) = self.from(cursor)?;
        let (before, (last, through)) = match self {
            Self::Log(log) => (log.bytes_before(first), log.last_before(limit)?),
            Self::Matched(matched, channels) => {
                (matched.bytes_before(first), matched.last_before(channels, limit)?)
            }
        };
        (first <= last).then(|| Span { first, last, bytes: through - before, through })
    }

    /// Returns the first cursor before which so many bytes came, or more.
    pub(crate) fn cursor_at(self, bytes: u64) -> u64 {
        match self {
            Self::Log(log) => log.cursor_at(bytes),
            Self::Matched(matched, _) => matched.cursor_at(bytes),
        }
    }

    /// Returns the position of the newest event; 0 if there never was one.
    pub(crate) fn last_position(self) -> u64 {
        match self {
            Self::Log(log) => log.last_position(),
            Self::Matched(matched, _) => matched.last_position(),
        }
    }

    /// Returns the cursor of the oldest event that is there.
    pub(crate) fn start(self) -> u64 {
        match self {
            Self::Log(log) => log.first(),
            Self::Matched(matched, channels) => {
                matched.next(channels, 0).map_or(matched.end(), |(number, _)| number)
            }
        }
    }

    /// Returns the cursor of the next event to come.
    #[inline]
    pub(crate) fn end(self) -> u64 {
        match self {
            Self::Log(log) => log.end(),
            Self::Matched(matched, _) => matched.end(),
        }
    }

    /// Returns the cursor of the first event after `position`.
    pub(crate) fn cursor_after(self, position: u64) -> u64 {
        match self {
            Self::Log(log) => log.cursor_after(position),
            Self::Matched(matched, channels) => matched.cursor_after(channels, position),
        }
    }

    /// Returns how many events are there from `cursor` on.
    pub(crate) fn count_from(self, cursor: u64) -> u64 {
        match self {
            Self::Log(log) => log.count_from(cursor),
            Self::Matched(matched, channels) => matched.kept_from(channels, cursor).count() as u64,
        }
    }

    /// Adds the positions of all that is there from `cursor` on.
    pub(crate) fn positions_from(self, cursor: u64, into: &mut Vec<u64>) {
        into.extend(self.all_from(cursor).map(|(_, entry)| entry.position()));
    }

    /// Returns the positions of all that is there, the newest first.
    pub(crate) fn last_positions(self) -> impl Iterator<Item = u64> + use<'a> {
        self.all_from(self.start()).rev().map(|(_, entry)| entry.position())
    }

    /// Returns the position of the newest event that is lost; 0 if there never was one.
    pub(crate) fn lost_through(self) -> u64 {
        match self {
            Self::Log(log) => log.lost_through(),
            Self::Matched(matched, _) => matched.lost_through(),
        }
    }

    /// Returns how many events after `position` are lost; `None` if that is not known.
    pub(crate) fn lost_after(self, position: u64) -> Option<u64> {
        match self {
            Self::Log(log) => log.lost_after(position),
            Self::Matched(matched, _) => (position >= matched.lost_through()).then_some(0),
        }
    }

    /// Returns the position of the oldest kept event that brought this id.
    pub(crate) fn find(self, id: &EventId) -> Option<u64> {
        match self {
            Self::Log(log) => log.find(id),
            Self::Matched(matched, channels) => matched.find(channels, id),
        }
    }

    /// Returns the numbers of what is there from `cursor` on, of the topics that are wanted.
    /// `name` is that of a log's own topic.
    pub(crate) fn numbers_from(
        self,
        cursor: u64,
        name: Option<&TopicName>,
        is_wanted: impl Fn(&TopicName) -> bool,
    ) -> Vec<u64> {
        match self {
            Self::Log(log) if name.is_some_and(&is_wanted) => {
                log.from(cursor).map(Entry::number).collect()
            }
            Self::Log(_) => Vec::new(),
            Self::Matched(matched, channels) => {
                let names = matched.names_from(channels, cursor);
                names.filter(|(_, name)| is_wanted(name)).map(|(number, _)| number).collect()
            }
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

//! A channel's log: at once the delivery queue of its sessions and the buffer for replay.
//!
//! Entries have running numbers, which never change. A session keeps the number of the next entry
//! that it is to get, its cursor. Trimming moves nothing, and what a session has lost is a
//! subtraction:
//!
//! ```text
//!   number        12    13    14    15    16    17    18
//!   entry       (gone)(gone)  ▓     ▓     ▓     ▓
//!                 ▲           ▲                       ▲
//!              cursor       start                    end
//!                 └── lost ───┘
//! ```
//!
//! Only a compact log has gaps in between: a superseded entry first loses its frame, so that taking
//! it from the middle moves nothing; once too many entries are without a frame, they are removed
//! together.

mod ages;
mod labels;
mod room;

pub(crate) use room::Margin;

use self::ages::{AGED, Ages};
use self::labels::{Labelled, Labels};
use super::lost::Lost;
use crate::broker::clock::{Tick, ticks};
use crate::broker::config::Retention;
use crate::broker::sequence::Published;
use crate::encode::Frame;
use crate::event::EventId;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::cmp::Reverse;

/// What a log keeps: how many bytes, and the position of its oldest event, which no other log has.
pub(crate) type Footprint = (usize, Reverse<u64>);

#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The first and the last have frames.
    entries: VecDeque<Entry>,
    /// The number after the newest lost entry.
    start: u64,
    /// The number of the next entry to come.
    end: u64,
    /// The size of the entries that are there.
    bytes: usize,
    /// The position of the newest lost entry.
    lost_through: u64,
    /// `None` while nothing is gone and nothing was old when it came.
    past: Option<Box<Past>>,
    labelled: Option<Box<Labelled>>,
}

/// What most logs do without.
#[derive(Debug, Default)]
struct Past {
    /// `None` while nothing is gone.
    lost: Option<Lost>,
    /// Of the entries that are kept.
    ages: Ages,
}

#[derive(Debug)]
pub(crate) struct Entry {
    position: u64,
    number: u64,
    /// `None` once compaction has taken it.
    frame: Option<Frame>,
    at: Tick,
    /// How many bytes came before it, counted from some entry that was kept when it came.
    before: u64,
    /// The position of the next entry with its key, or [`NEWEST`].
    superseded_at: u64,
    labels: Option<Box<Labels>>,
}

/// The position of no entry: nothing has superseded this one yet.
const NEWEST: u64 = u64::MAX;

/// An event that is to be appended.
#[derive(Debug)]
pub(crate) struct NewEntry {
    position: u64,
    frame: Frame,
    labels: Option<Box<Labels>>,
    age: Tick,
}

impl NewEntry {
    pub(crate) fn of(published: &Published) -> Self {
        let labels = Labels::of(published);
        Self { position: published.position(), frame: published.frame().clone(), labels, age: 0 }
    }

    /// Says how old the event is already.
    pub(crate) const fn aged(mut self, age: Tick) -> Self {
        self.age = age;
        self
    }

    /// Returns what it takes to keep the event, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.frame.chunk().len()
    }

    /// Makes an event of this text, with this key if it is not empty.
    #[cfg(test)]
    pub(crate) fn sample(position: u64, text: &str, key: &str) -> Self {
        let labels = Labels::new(None, crate::event_key::EventKey::new(key).ok());
        let frame = Frame::new(&crate::event::Event::new(alloc::string::String::from(text)));
        Self { position, frame, labels, age: 0 }
    }

    /// Gives the event an id of its own.
    #[cfg(test)]
    pub(crate) fn with_own_id(mut self, id: &'static str) -> Self {
        self.labels = Labels::new(Some(EventId::new(id).unwrap()), None);
        self
    }
}

impl Log {
    /// Makes a log whose events through the position `lost_through` may have existed and are gone.
    pub(crate) fn new(lost_through: u64) -> Self {
        Self { lost_through, ..Self::default() }
    }

    /// Appends an event, whose position is greater than any before it, and drops what is beyond
    /// the retention.
    pub(crate) fn push(&mut self, now: Tick, new: NewEntry, retention: &Retention) {
        let NewEntry { position, frame, labels, age } = new;
        let (number, before) = (self.end, self.bytes_ever());
        if age >= AGED {
            self.note_age(now, number, age);
        }
        self.bytes += frame.chunk().len();
        if let Some(labels) = &labels {
            self.label(number, position, labels);
        }
        self.end += 1;
        let (frame, superseded_at) = (Some(frame), NEWEST);
        let entry = Entry { position, number, frame, at: now, before, superseded_at, labels };
        self.entries.push_back(entry);
        self.trim(now, retention);
    }

    /// Drops what is beyond the retention.
    pub(crate) fn trim(&mut self, now: Tick, retention: &Retention) {
        if let Some(labelled) = &mut self.labelled {
            labelled.set_compact(retention.compact);
        }
        while self.len() > retention.events.get() || self.bytes > retention.bytes.get() {
            self.trim_oldest();
        }
        self.trim_aged(now, retention);
    }

    /// Drops what is older than the retention's age.
    pub(crate) fn trim_aged(&mut self, now: Tick, retention: &Retention) {
        while self.next_expiry(retention).is_some_and(|at| at <= now) {
            self.trim_front();
        }
    }

    /// Drops what `cursor` has passed.
    pub(crate) fn trim_delivered(&mut self, cursor: u64) {
        // Nobody has lost it, so that it is not counted.
        while self.entries.front().is_some_and(|entry| entry.number < cursor) {
            self.pop_front();
        }
    }

    /// Drops the entry that is to go first: the oldest superseded one of a compact log, or else
    /// the oldest one.
    pub(crate) fn trim_oldest(&mut self) {
        let first = self.entries.front().map(|entry| entry.number);
        match self.compact().and_then(|labelled| labelled.superseded().next()) {
            Some(number) if Some(number) != first => self.take(number),
            _ => self.trim_front(),
        }
    }

    fn trim_front(&mut self) {
        let lost_before = self.lost_through;
        if let Some(spared) = self.pop_front() {
            let position = self.lost_through;
            let lost = self.lost_mut(lost_before);
            if spared { lost.spare() } else { lost.push(position) }
        }
    }

    /// Removes the oldest entry. Returns whether it was a superseded one of a compact log, which is
    /// no loss; `None` if there is no entry.
    fn pop_front(&mut self) -> Option<bool> {
        let entry = self.entries.pop_front()?;
        let is_spared = self.compact().is_some() && entry.is_superseded();
        self.unlabel(&entry);
        self.bytes -= entry.size();
        if !is_spared {
            self.start = entry.number + 1;
            self.lost_through = entry.position;
        }
        while self.entries.front().is_some_and(|entry| entry.frame.is_none()) {
            self.entries.pop_front();
            if let Some(labelled) = &mut self.labelled {
                labelled.remove_taken();
            }
        }
        let first = self.first();
        if let Some(past) = &mut self.past {
            past.ages.forget(first);
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(8);
            self.labelled = None;
        }
        Some(is_spared)
    }

    /// Notes how old an entry is that is about to come. It is no older than the one before it, so that
    /// the oldest one is always the next to go.
    #[cold]
    fn note_age(&mut self, now: Tick, number: u64, age: Tick) {
        let age = self.entries.back().map_or(age, |before| age.min(self.age_of(before, now)));
        if age >= AGED {
            self.past.get_or_insert_default().ages.push(number, age);
        }
    }

    /// Returns what is known of what is gone, where nothing was through this position until now.
    fn lost_mut(&mut self, through: u64) -> &mut Lost {
        let past = self.past.get_or_insert_default();
        past.lost.get_or_insert_with(|| Lost::new(through))
    }

    fn lost(&self) -> Option<&Lost> {
        self.past.as_ref()?.lost.as_ref()
    }

    /// Returns how old an entry is.
    fn age_of(&self, entry: &Entry, now: Tick) -> Tick {
        now.saturating_sub(entry.at).saturating_add(self.age_at_first(entry.number))
    }

    /// Returns how old the entry of this number was when it came.
    fn age_at_first(&self, number: u64) -> Tick {
        self.past.as_ref().map_or(0, |past| past.ages.of(number))
    }

    /// Takes a superseded entry from between two others.
    fn take(&mut self, number: u64) {
        self.lost_mut(self.lost_through).spare();
        let index = self.index(number);
        if let Some(entry) = self.entries.get_mut(index) {
            self.bytes -= entry.size();
            entry.frame = None;
            let entry = Entry { labels: entry.labels.take(), frame: None, ..*entry };
            self.unlabel(&entry);
        }
        let kept = self.len();
        if self.labelled.as_mut().is_some_and(|labelled| labelled.take(kept)) {
            self.entries.retain(|entry| entry.frame.is_some());
        }
    }

    fn label(&mut self, number: u64, position: u64, labels: &Labels) {
        let labelled = self.labelled.get_or_insert_default();
        if let Some(older) = labelled.insert(number, position, labels) {
            let index = self.index(older);
            if let Some(entry) = self.entries.get_mut(index) {
                entry.superseded_at = position;
            }
        }
    }

    fn unlabel(&mut self, entry: &Entry) {
        if let Some(labelled) = &mut self.labelled
            && let Some(labels) = &entry.labels
        {
            labelled.remove(entry.number, entry.position, labels);
        }
    }

    /// Returns what is known of labels, if superseded entries go first.
    fn compact(&self) -> Option<&Labelled> {
        self.labelled.as_deref().filter(|labelled| labelled.is_compact())
    }

    /// Returns when the oldest entry will be too old.
    pub(crate) fn next_expiry(&self, retention: &Retention) -> Option<Tick> {
        let age = retention.age?;
        let front = self.entries.front()?;
        let age = ticks(age);
        // What is too old when it comes is kept for a moment, in which those get it who listen.
        let left = age.saturating_sub(self.age_at_first(front.number)).max(AGED.min(age));
        Some(front.at.saturating_add(left))
    }

    /// Returns the entry with this number, if it is there.
    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        let entry = self.entries.get(self.index(number))?;
        (entry.number == number && entry.frame.is_some()).then_some(entry)
    }

    /// Returns the first entry from `cursor` on that is there.
    #[inline]
    pub(crate) fn next(&self, cursor: u64) -> Option<&Entry> {
        let entry = self.entries.get(self.index(cursor))?;
        if entry.frame.is_some() { Some(entry) } else { self.from(cursor).next() }
    }

    /// Returns the entries from `cursor` on that are there.
    pub(crate) fn from(&self, cursor: u64) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.range(self.index(cursor)..).filter(|entry| entry.frame.is_some())
    }

    /// Returns the cursor after the newest entry that is lost.
    ///
    /// A superseded entry that went from a compact log is not lost, unless a newer one is: then it
    /// is not known any more which of the older ones were superseded.
    pub(crate) const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the cursor of the next entry to come.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the cursor of the first entry that is there.
    pub(crate) fn first(&self) -> u64 {
        self.entries.front().map_or(self.end, |entry| entry.number)
    }

    /// Returns the cursor of the first entry after `position` that is there.
    pub(crate) fn cursor_after(&self, position: u64) -> u64 {
        let index = self.entries.partition_point(|entry| entry.position <= position);
        let mut after = self.entries.range(index..).filter(|entry| entry.frame.is_some());
        after.next().map_or(self.end, |entry| entry.number)
    }

    /// Returns how many entries are there from `cursor` on.
    pub(crate) fn count_from(&self, cursor: u64) -> u64 {
        if self.is_dense() && self.taken() == 0 {
            (self.entries.len() - self.index(cursor)) as u64
        } else {
            self.from(cursor).count() as u64
        }
    }

    /// Returns the number of the last entry before `limit` that is there, and how many bytes came
    /// through it.
    pub(crate) fn last_before(&self, limit: u64) -> Option<(u64, u64)> {
        let before = self.entries.range(..self.index(limit));
        let last = before.rev().find(|entry| entry.frame.is_some())?;
        Some((last.number, last.before + last.size() as u64))
    }

    /// Returns how many bytes came before the entry that is first from `cursor` on.
    pub(crate) fn bytes_before(&self, cursor: u64) -> u64 {
        self.from(cursor).next().map_or(self.bytes_ever(), |entry| entry.before)
    }

    /// Returns the first cursor before which so many bytes came, or more.
    pub(crate) fn cursor_at(&self, bytes: u64) -> u64 {
        let index = self.entries.partition_point(|entry| entry.before < bytes);
        self.entries.get(index).map_or(self.end, |entry| entry.number)
    }

    /// Returns whether entries have keys or ids of their own.
    pub(crate) const fn is_labelled(&self) -> bool {
        self.labelled.is_some()
    }

    /// Returns the position of the newest entry that is lost; 0 if there never was one.
    pub(crate) const fn lost_through(&self) -> u64 {
        self.lost_through
    }

    /// Returns how many events after `position` are lost; `None` if that is not known.
    pub(crate) fn lost_after(&self, position: u64) -> Option<u64> {
        match self.lost() {
            Some(lost) => lost.after(position),
            None => (position >= self.lost_through).then_some(0),
        }
    }

    /// Returns whether each number that is missing is that of a lost event.
    pub(crate) fn is_counted(&self) -> bool {
        self.lost().is_none_or(|lost| !lost.has_spared())
    }

    /// Returns the position of the oldest kept event that brought this id.
    pub(crate) fn find(&self, id: &EventId) -> Option<u64> {
        self.labelled.as_ref()?.find(id)
    }

    /// Returns what the log keeps; `None` if that is nothing.
    pub(crate) fn footprint(&self) -> Option<Footprint> {
        self.entries.front().map(|entry| (self.bytes, Reverse(entry.position)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the position of the newest event, kept or lost; 0 if there never was one.
    pub(crate) fn last_position(&self) -> u64 {
        self.entries.back().map_or(self.lost_through, |entry| entry.position)
    }

    /// Returns how many entries are there.
    fn len(&self) -> usize {
        self.entries.len() - self.taken()
    }

    fn taken(&self) -> usize {
        self.labelled.as_ref().map_or(0, |labelled| labelled.taken())
    }

    /// Returns the size of all entries, on the scale of [`Entry::before`].
    fn bytes_ever(&self) -> u64 {
        self.entries.back().map_or(0, |entry| entry.before + entry.size() as u64)
    }

    /// Returns whether no number is missing between `start` and `end`.
    fn is_dense(&self) -> bool {
        self.end - self.start == self.entries.len() as u64
    }

    /// Returns where the first entry from `cursor` on stands.
    #[inline]
    fn index(&self, cursor: u64) -> usize {
        if self.is_dense() {
            let index = usize::try_from(cursor.saturating_sub(self.start)).unwrap_or(usize::MAX);
            index.min(self.entries.len())
        } else {
            self.entries.partition_point(|entry| entry.number < cursor)
        }
    }
}

impl Entry {
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Returns when it was published.
    pub(crate) const fn at(&self) -> Tick {
        self.at
    }

    /// Returns what goes out; `None` if compaction has taken it.
    pub(crate) const fn frame(&self) -> Option<&Frame> {
        self.frame.as_ref()
    }

    pub(crate) fn own_id(&self) -> Option<&EventId> {
        self.labels.as_ref()?.own_id()
    }

    /// Returns whether an event that was published no later than the position `through` has
    /// superseded this one.
    pub(crate) const fn is_superseded_by(&self, through: u64) -> bool {
        self.is_superseded() && self.superseded_at <= through
    }

    const fn is_superseded(&self) -> bool {
        self.superseded_at != NEWEST
    }

    /// Returns its encoded size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| frame.chunk().len())
    }
}

#[cfg(test)]
mod tests {
    use super::labels::TAKEN;
    use super::*;
    use alloc::vec::Vec;
    use core::num::NonZeroUsize;
    use core::time::Duration;

    const NO_LIMIT: Retention = Retention {
        events: NonZeroUsize::MAX,
        bytes: NonZeroUsize::MAX,
        age: None,
        compact: false,
    };
    const COMPACT: Retention =
        Retention { events: NonZeroUsize::new(3).unwrap(), compact: true, ..NO_LIMIT };

    /// Appends at the positions 10, 20 and so on, each event at the time of its position.
    fn log(keys: &[&str], retention: &Retention) -> Log {
        let mut log = Log::new(0);
        for (key, position) in keys.iter().zip((10..).step_by(10)) {
            log.push(position, NewEntry::sample(position, "x", key), retention);
        }
        log
    }

    fn kept(log: &Log) -> Vec<u64> {
        log.from(0).map(Entry::number).collect()
    }

    fn size() -> usize {
        NewEntry::sample(0, "x", "").size()
    }

    #[test]
    fn numbers_stay_and_what_is_lost_is_known_when_the_oldest_go() {
        let log = log(&[""; 5], &Retention { events: 2.try_into().unwrap(), ..NO_LIMIT });
        assert_eq!(kept(&log), [3, 4]);
        assert_eq!((log.start(), log.first(), log.end()), (3, 3, 5));
        assert_eq!((log.lost_through(), log.last_position()), (30, 50));
        assert_eq!((log.lost_after(9), log.lost_after(10)), (Some(3), Some(2)));
        assert!(log.is_counted());
        assert!(log.get(2).is_none() && log.get(5).is_none());
        assert_eq!(log.next(0).map(Entry::number), Some(3));
        assert!(log.next(5).is_none());
    }

    #[test]
    fn a_log_of_no_events_stands_where_its_topic_was() {
        let log = Log::new(70);
        assert!(log.is_empty() && log.footprint().is_none());
        assert_eq!((log.lost_through(), log.last_position()), (70, 70));
        assert_eq!((log.lost_after(69), log.lost_after(70)), (None, Some(0)));
        assert_eq!((log.cursor_after(0), log.count_from(0), log.cursor_at(0)), (0, 0, 0));
        assert_eq!(log.last_before(9), None);
    }

    #[test]
    fn bytes_and_ages_are_limits_to_the_last_one() {
        let bytes = Retention { bytes: (2 * size()).try_into().unwrap(), ..NO_LIMIT };
        assert_eq!(kept(&log(&[""; 2], &bytes)), [0, 1]);
        assert_eq!(kept(&log(&[""; 3], &bytes)), [1, 2]);
        let aged = Retention { age: Some(Duration::from_nanos(15)), ..NO_LIMIT };
        let mut log = log(&[""; 2], &aged);
        assert_eq!(log.next_expiry(&aged), Some(25));
        log.trim_aged(24, &aged);
        assert_eq!(kept(&log), [0, 1]);
        log.trim_aged(25, &aged);
        assert_eq!(kept(&log), [1]);
        log.trim_aged(35, &aged);
        assert!(log.is_empty());
        assert_eq!((log.start(), log.end(), log.next_expiry(&aged)), (2, 2, None));
    }

    #[test]
    fn what_was_delivered_goes_up_to_the_cursor() {
        let mut log = log(&[""; 3], &NO_LIMIT);
        log.trim_delivered(2);
        assert_eq!((kept(&log), log.footprint()), (alloc::vec![2], Some((size(), Reverse(30)))));
    }

    #[test]
    fn a_position_between_two_events_leads_to_the_later_one() {
        let log = log(&[""; 3], &NO_LIMIT);
        assert_eq!((log.cursor_after(9), log.cursor_after(10), log.cursor_after(19)), (0, 1, 1));
        assert_eq!((log.cursor_after(30), log.count_from(1), log.count_from(9)), (3, 2, 0));
    }

    #[test]
    fn bytes_are_counted_through_what_is_gone() {
        let log = log(&[""; 4], &Retention { events: 2.try_into().unwrap(), ..NO_LIMIT });
        let size = size() as u64;
        let before = log.bytes_before(2);
        assert_eq!(log.bytes_before(3), before + size);
        assert_eq!(log.last_before(4), Some((3, before + 2 * size)));
        assert_eq!(log.last_before(2), None);
        assert_eq!((log.cursor_at(before), log.cursor_at(before + 1)), (2, 3));
        assert_eq!(log.cursor_at(before + size + 1), 4);
    }

    #[test]
    fn a_newer_event_of_the_same_key_supersedes_the_one_before_it_alone() {
        let log = log(&["a", "b", "a", "", "a"], &NO_LIMIT);
        let superseded = |number, through| log.get(number).unwrap().is_superseded_by(through);
        assert!(superseded(0, 30) && !superseded(0, 29), "by the event at 30");
        assert!(superseded(2, 50) && !superseded(2, 49));
        assert!(!superseded(1, u64::MAX) && !superseded(3, u64::MAX) && !superseded(4, u64::MAX));
    }

    #[test]
    fn a_compact_log_lets_superseded_events_go_first_also_from_between() {
        let log = log(&["a", "b", "b", "c"], &COMPACT);
        assert_eq!(kept(&log), [0, 2, 3]);
        assert_eq!((log.start(), log.lost_through()), (0, 0), "nothing is lost by that");
        assert_eq!((log.lost_after(0), log.is_counted()), (Some(0), false));
        assert_eq!(log.next(1).map(Entry::number), Some(2));
        assert!(log.get(1).is_none());
        assert_eq!((log.cursor_after(10), log.count_from(0), log.count_from(1)), (2, 3, 2));
    }

    #[test]
    fn where_nothing_is_superseded_the_oldest_goes_and_counts_as_lost() {
        let log = log(&["a", "b", "b", "c", "d"], &COMPACT);
        assert_eq!(kept(&log), [2, 3, 4], "first the superseded 1, then 0");
        assert_eq!((log.start(), log.lost_through()), (1, 10));
    }

    #[test]
    fn a_superseded_event_at_the_front_is_no_loss_in_a_compact_log_alone() {
        let keys = ["a", "a", "b", "c"];
        assert_eq!(log(&keys, &COMPACT).lost_through(), 0);
        assert_eq!(log(&keys, &COMPACT).first(), 1);
        let plain = Retention { compact: false, ..COMPACT };
        assert_eq!(log(&keys, &plain).lost_through(), 10);
    }

    #[test]
    fn entries_without_a_frame_are_removed_once_they_are_too_many() {
        let mut keys = alloc::vec!["first"];
        keys.extend(["a"; 2 * TAKEN]);
        let log = log(&keys, &COMPACT);
        assert_eq!(kept(&log), [0, 2 * TAKEN as u64 - 1, 2 * TAKEN as u64]);
        assert!(log.entries.len() <= 3 + TAKEN + 3, "{}", log.entries.len());
        // Numbers are found though many are missing.
        assert_eq!(log.next(1).map(Entry::number), Some(2 * TAKEN as u64 - 1));
        assert_eq!(log.count_from(1), 2);
        assert_eq!(log.bytes, 3 * size());
    }

    #[test]
    fn an_id_of_its_own_leads_to_the_oldest_event_that_brought_it() {
        let mut log = Log::new(0);
        for position in [10, 20, 30] {
            log.push(0, NewEntry::sample(position, "x", "").with_own_id("same"), &NO_LIMIT);
        }
        let id = EventId::new("same").unwrap();
        assert_eq!(log.find(&id), Some(10));
        log.trim_oldest();
        assert_eq!(log.find(&id), Some(20));
        assert_eq!(log.find(&EventId::new("other").unwrap()), None);
        log.trim_delivered(3);
        assert!(log.find(&id).is_none() && !log.is_labelled());
    }
}

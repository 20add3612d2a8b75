//! A topic's log: at once the delivery queue of its sessions and the buffer for replay.

use super::clock::{Tick, ticks};
use super::config::Retention;
use super::names::EventKey;
use super::retained::Footprint;
use crate::encode::Frame;
use crate::event::EventId;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::cmp::Reverse;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: u64,
    pub(super) number: u64,
    /// `None` once compaction has taken it.
    frame: Option<Frame>,
    pub(super) at: Tick,
    /// How many bytes came before it, counted from some entry that was kept when it came.
    before: u64,
    /// The position of the next entry with its key, or [`NEWEST`].
    superseded_at: u64,
    labels: Option<Box<Labels>>,
}

/// The position of no entry: nothing has superseded this one yet.
const NEWEST: u64 = u64::MAX;

/// What few events bring.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) own_id: Option<EventId>,
    pub(super) key: Option<EventKey>,
}

/// Entries are known by a running number, which a session keeps as its cursor: it stays right
/// however much is trimmed, and the distance to `start` is exactly what a laggard has lost.
///
/// Only a compact log has gaps in its numbers: first an entry without a frame, so that taking one
/// from the middle moves nothing, and no entry once there are too many of those.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The first and the last have frames.
    entries: VecDeque<Entry>,
    start: u64,
    end: u64,
    bytes: usize,
    lost_through: u64,
    labelled: Option<Box<Labelled>>,
    compact: bool,
}

/// What a log knows of the labels of its entries.
#[derive(Debug, Default)]
struct Labelled {
    own_ids: BTreeSet<(EventId, u64)>,
    newest: BTreeMap<EventKey, u64>,
    /// The numbers of entries that are superseded and still there.
    superseded: BTreeSet<u64>,
    /// How many entries have no frame.
    taken: usize,
}

/// How many entries without a frame are always put up with.
const TAKEN: usize = 32;

impl Log {
    /// A log of a topic that may have had events before: all through `lost_through`.
    pub(super) fn new(lost_through: u64) -> Self {
        Self { lost_through, ..Self::default() }
    }

    /// `position` is greater than any before it.
    pub(super) fn push(
        &mut self,
        now: Tick,
        position: u64,
        frame: Frame,
        labels: Option<Box<Labels>>,
        retention: &Retention,
    ) {
        let (number, before) = (self.end, self.bytes_ever());
        self.bytes += frame.chunk().len();
        if let Some(labels) = &labels {
            self.label(number, position, labels);
        }
        self.end += 1;
        self.entries.push_back(Entry {
            position,
            number,
            frame: Some(frame),
            at: now,
            before,
            superseded_at: NEWEST,
            labels,
        });
        self.trim(now, retention);
    }

    /// Drops what is beyond the retention.
    pub(super) fn trim(&mut self, now: Tick, retention: &Retention) {
        self.compact = retention.compact;
        while self.len() > retention.events || self.bytes > retention.bytes {
            self.trim_oldest();
        }
        self.trim_aged(now, retention);
    }

    /// Drops what is older than the retention's age.
    pub(super) fn trim_aged(&mut self, now: Tick, retention: &Retention) {
        while self.next_expiry(retention).is_some_and(|at| at <= now) {
            self.trim_front();
        }
    }

    /// Drops what `cursor` has passed.
    pub(super) fn trim_delivered(&mut self, cursor: u64) {
        while self.entries.front().is_some_and(|entry| entry.number < cursor) {
            self.trim_front();
        }
    }

    /// Drops the entry that is to go first.
    pub(super) fn trim_oldest(&mut self) {
        let first = self.entries.front().map(|entry| entry.number);
        if self.compact
            && let Some(labelled) = &mut self.labelled
            && let Some(&number) = labelled.superseded.first()
            && Some(number) != first
        {
            self.take(number);
        } else {
            self.trim_front();
        }
    }

    fn trim_front(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.unlabel(&entry);
        self.bytes -= entry.size();
        if !(self.compact && entry.is_superseded()) {
            self.start = entry.number + 1;
            self.lost_through = entry.position;
        }
        while self.entries.front().is_some_and(|entry| entry.frame.is_none()) {
            self.entries.pop_front();
            if let Some(labelled) = &mut self.labelled {
                labelled.taken -= 1;
            }
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(8);
            self.labelled = None;
        }
    }

    /// Takes a superseded entry from between two others.
    fn take(&mut self, number: u64) {
        let index = self.index(number);
        let Some(entry) = self.entries.get_mut(index) else { return };
        self.bytes -= entry.size();
        entry.frame = None;
        let entry = Entry { labels: entry.labels.take(), frame: None, ..*entry };
        self.unlabel(&entry);
        let kept = self.len();
        if let Some(labelled) = &mut self.labelled {
            labelled.taken += 1;
            if labelled.taken > kept + TAKEN {
                labelled.taken = 0;
                self.entries.retain(|entry| entry.frame.is_some());
            }
        }
    }

    fn label(&mut self, number: u64, position: u64, labels: &Labels) {
        let labelled = self.labelled.get_or_insert_default();
        if let Some(id) = &labels.own_id {
            labelled.own_ids.insert((id.clone(), position));
        }
        if let Some(key) = &labels.key
            && let Some(older) = labelled.newest.insert(key.clone(), number)
        {
            labelled.superseded.insert(older);
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
            if let Some(id) = &labels.own_id {
                labelled.own_ids.remove(&(id.clone(), entry.position));
            }
            if entry.is_superseded() {
                labelled.superseded.remove(&entry.number);
            } else if let Some(key) = &labels.key {
                labelled.newest.remove(key);
            }
        }
    }

    /// When the oldest entry will be too old.
    pub(super) fn next_expiry(&self, retention: &Retention) -> Option<Tick> {
        let age = retention.age?;
        self.entries.front().map(|entry| entry.at.saturating_add(ticks(age)))
    }

    /// What is at `cursor`, if it is there.
    pub(super) fn get(&self, cursor: u64) -> Option<&Entry> {
        let entry = self.entries.get(self.index(cursor))?;
        (entry.number == cursor && entry.frame.is_some()).then_some(entry)
    }

    /// The first entry from `cursor` on that is there.
    #[inline]
    pub(super) fn next(&self, cursor: u64) -> Option<&Entry> {
        let entry = self.entries.get(self.index(cursor))?;
        if entry.frame.is_some() { Some(entry) } else { self.from(cursor).next() }
    }

    /// The entries from `cursor` on that are there.
    pub(super) fn from(&self, cursor: u64) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.range(self.index(cursor)..).filter(|entry| entry.frame.is_some())
    }

    /// The cursor after the newest entry that is lost.
    ///
    /// A superseded one that went from a compact log is not lost, unless a newer one is: nobody
    /// remembers then which they were.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// The cursor of the next entry to come.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The cursor of the first entry that is there.
    pub(super) fn first(&self) -> u64 {
        self.entries.front().map_or(self.end, |entry| entry.number)
    }

    /// The cursor of the first entry after `position` that is there.
    pub(super) fn cursor_after(&self, position: u64) -> u64 {
        let index = self.entries.partition_point(|entry| entry.position <= position);
        let mut after = self.entries.range(index..).filter(|entry| entry.frame.is_some());
        after.next().map_or(self.end, |entry| entry.number)
    }

    /// How many entries are there from `cursor` on.
    pub(super) fn count_from(&self, cursor: u64) -> u64 {
        if self.is_dense() && self.taken() == 0 {
            (self.entries.len() - self.index(cursor)) as u64
        } else {
            self.from(cursor).count() as u64
        }
    }

    /// The last entry before `limit` that is there, and how many bytes came through it.
    pub(super) fn last_before(&self, limit: u64) -> Option<(u64, u64)> {
        let before = self.entries.range(..self.index(limit));
        let last = before.rev().find(|entry| entry.frame.is_some())?;
        Some((last.number, last.before + last.size() as u64))
    }

    /// How many bytes came before the entry that is first from `cursor` on.
    pub(super) fn bytes_before(&self, cursor: u64) -> u64 {
        self.from(cursor).next().map_or(self.bytes_ever(), |entry| entry.before)
    }

    /// The first cursor before which so many bytes came, or more.
    pub(super) fn cursor_at(&self, bytes: u64) -> u64 {
        let index = self.entries.partition_point(|entry| entry.before < bytes);
        self.entries.get(index).map_or(self.end, |entry| entry.number)
    }

    /// Whether entries have keys or ids of their own.
    pub(super) const fn is_labelled(&self) -> bool {
        self.labelled.is_some()
    }

    /// The position of the newest entry that is kept no more; 0 if there never was one.
    pub(super) const fn lost_through(&self) -> u64 {
        self.lost_through
    }

    /// The position of the oldest kept event that brought this id.
    pub(super) fn find(&self, id: &EventId) -> Option<u64> {
        let own_ids = &self.labelled.as_ref()?.own_ids;
        let (found, position) = own_ids.range((id.clone(), 0)..).next()?;
        (found == id).then_some(*position)
    }

    /// `None` if nothing is kept.
    pub(super) fn footprint(&self) -> Option<Footprint> {
        self.entries.front().map(|entry| (self.bytes, Reverse(entry.position)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn last_position(&self) -> u64 {
        self.entries.back().map_or(self.lost_through, |entry| entry.position)
    }

    /// How many entries are there.
    fn len(&self) -> usize {
        self.entries.len() - self.taken()
    }

    fn taken(&self) -> usize {
        self.labelled.as_ref().map_or(0, |labelled| labelled.taken)
    }

    /// The size of all entries, on the scale of [`Entry::before`].
    fn bytes_ever(&self) -> u64 {
        self.entries.back().map_or(0, |entry| entry.before + entry.size() as u64)
    }

    fn is_dense(&self) -> bool {
        self.end - self.start == self.entries.len() as u64
    }

    /// Where the first entry from `cursor` on is.
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
    /// What goes out; `None` if compaction has taken it.
    pub(super) const fn frame(&self) -> Option<&Frame> {
        self.frame.as_ref()
    }

    pub(super) fn own_id(&self) -> Option<&EventId> {
        self.labels.as_ref()?.own_id.as_ref()
    }

    /// Whether one that was published no later than the one at the position `through` has
    /// superseded it.
    pub(super) const fn is_superseded_by(&self, through: u64) -> bool {
        self.is_superseded() && self.superseded_at <= through
    }

    const fn is_superseded(&self) -> bool {
        self.superseded_at != NEWEST
    }

    /// In bytes, encoded.
    pub(super) fn size(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| frame.chunk().len())
    }
}

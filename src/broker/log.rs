//! A topic's log: at once the delivery queue of its sessions and the buffer for replay.

use super::clock::{Tick, ticks};
use super::config::Retention;
use crate::encode::Frame;
use crate::event::EventId;
use alloc::collections::{BTreeSet, VecDeque};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: u64,
    pub(super) frame: Frame,
    at: Tick,
    pub(super) own_id: Option<EventId>,
}

/// Entries are known by a running number, which a session keeps as its cursor: it stays right
/// however much is trimmed, and the distance to `start` is exactly what a laggard has lost.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    start: u64,
    bytes: usize,
    lost_through: u64,
    own_ids: BTreeSet<(EventId, u64)>,
}

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
        own_id: Option<EventId>,
        retention: &Retention,
    ) {
        self.bytes += frame.chunk().len();
        if let Some(id) = &own_id {
            self.own_ids.insert((id.clone(), position));
        }
        self.entries.push_back(Entry { position, frame, at: now, own_id });
        self.trim(now, retention);
    }

    /// Drops what is beyond the retention.
    pub(super) fn trim(&mut self, now: Tick, retention: &Retention) {
        while self.entries.len() > retention.events || self.bytes > retention.bytes {
            self.trim_oldest();
        }
        self.trim_aged(now, retention);
    }

    /// Drops what is older than the retention's age.
    pub(super) fn trim_aged(&mut self, now: Tick, retention: &Retention) {
        while self.next_expiry(retention).is_some_and(|at| at <= now) {
            self.trim_oldest();
        }
    }

    /// Drops what `cursor` has passed.
    pub(super) fn trim_delivered(&mut self, cursor: u64) {
        while self.start < cursor && !self.entries.is_empty() {
            self.trim_oldest();
        }
    }

    fn trim_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.start += 1;
            self.bytes -= entry.frame.chunk().len();
            self.lost_through = entry.position;
            if let Some(id) = entry.own_id {
                self.own_ids.remove(&(id, entry.position));
            }
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(8);
        }
    }

    /// When the oldest entry will be too old.
    pub(super) fn next_expiry(&self, retention: &Retention) -> Option<Tick> {
        let age = retention.age?;
        self.entries.front().map(|entry| entry.at.saturating_add(ticks(age)))
    }

    pub(super) fn get(&self, cursor: u64) -> Option<&Entry> {
        let index = cursor.checked_sub(self.start)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The entries from `cursor` on.
    pub(super) fn from(&self, cursor: u64) -> impl Iterator<Item = &Entry> {
        let index = usize::try_from(cursor.saturating_sub(self.start)).unwrap_or(usize::MAX);
        self.entries.range(index.min(self.entries.len())..)
    }

    /// The cursor of the oldest entry.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// The cursor of the next entry to come.
    pub(super) fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// The cursor of the first entry after `position`.
    pub(super) fn cursor_after(&self, position: u64) -> u64 {
        self.start + self.entries.partition_point(|entry| entry.position <= position) as u64
    }

    /// The position of the newest entry that is kept no more; 0 if there never was one.
    pub(super) const fn lost_through(&self) -> u64 {
        self.lost_through
    }

    /// The position of the oldest kept event that brought this id.
    pub(super) fn find(&self, id: &EventId) -> Option<u64> {
        let (found, position) = self.own_ids.range((id.clone(), 0)..).next()?;
        (found == id).then_some(*position)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn last_position(&self) -> u64 {
        self.entries.back().map_or(self.lost_through, |entry| entry.position)
    }
}

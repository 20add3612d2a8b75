//! Who waits for what of the log that is older than memory, and what of it is there: [`Backfills`].
//!
//! ```text
//!   sessions wait after      12   12   15            40
//!                             └────┴────┤             │
//!   one read under way     12 ──────────►             │      at most 8
//!                          ┌────────────┬───────┐     ▼
//!   chunks, by their start │ 10 ── 31   │ 31 ── 52    │      the last used 32 MiB
//!                          └────────────┴───────┘
//! ```
//!
//! A chunk serves every session that stands in it, so that it does not matter where in it each session begins.

mod chunk;
mod drive;

pub(super) use drive::DriveBackfills;

use crate::broker::{Backfilled, SessionId, Stretch};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Weak;
use alloc::vec::Vec;

/// How many reads are under way at most.
const READS: usize = 8;

/// How many bytes of chunks are kept for those who come later. The one that was used least recently
/// goes first.
const CACHED_BYTES: usize = 32 << 20;

/// How many chunks are kept for those who come later, however small they are.
const CACHED_CHUNKS: usize = 4_096;

/// How many bytes of chunks there are at most, together with those that sessions have not taken
/// yet. Beyond that nothing is read, so that sessions resume from memory.
const BYTES: usize = 256 << 20;

/// By how many positions a place may lie behind that of a read under way for it to be waited for
/// what that brings: it most likely has the place in it.
const NEAR: u64 = 1_024;

/// What the backfill of a realm has done, and how much there is in it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillCounters {
    /// How many sessions were older than memory.
    pub sessions: u64,
    /// How often a session was brought a part of what it missed.
    pub served: u64,
    /// How many of these had to wait for no read of their own: another had it read.
    pub hits: u64,
    /// How many reads of the engine there were.
    pub reads: u64,
    /// How many bytes these brought, as they are sent to sessions.
    pub read_bytes: u64,
    /// How many sessions resumed from memory since nothing could be read for them.
    pub failed: u64,
    /// How many sessions wait for a read now.
    pub waiting: u64,
    /// How many bytes of chunks are kept now for those who come later.
    pub cached_bytes: u64,
}

/// Owns who waits, and what was read.
#[derive(Debug, Default)]
pub(super) struct Backfills {
    chunks: BTreeMap<u64, Chunk>,
    /// The starts of the cached chunks, by their last use.
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    cached_bytes: usize,
    /// By the position after which they are to go on.
    waiting: BTreeMap<u64, Vec<SessionId>>,
    /// After which positions reads are under way.
    reading: BTreeSet<u64>,
    served: VecDeque<(SessionId, Option<Backfilled>)>,
    counters: BackfillCounters,
}

#[derive(Debug)]
struct Chunk {
    through: u64,
    size: usize,
    read: Weak<Stretch>,
    /// While it is cached: by its last use.
    cached: Option<(u64, Backfilled)>,
}

impl Backfills {
    /// Counts a session that is older than memory.
    pub(super) const fn begin(&mut self) {
        self.counters.sessions += 1;
    }

    /// Lets a session have what comes after a position, now or when it was read.
    pub(super) fn want(&mut self, session: SessionId, after: u64) {
        if let Some(read) = self.find(after) {
            self.counters.hits += 1;
            self.served.push_back((session, Some(read)));
        } else {
            self.waiting.entry(after).or_default().push(session);
        }
    }

    /// Returns whether nobody waits, and nothing is to be handed over.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.served.is_empty() && self.reading.is_empty()
    }

    /// Returns after which position is to be read next.
    pub(super) fn poll_read(&mut self) -> Option<u64> {
        if self.reading.len() >= READS || self.waiting.is_empty() {
            return None;
        }
        if self.bytes() > BYTES {
            self.fail_waiting();
            return None;
        }
        let reading = &self.reading;
        let is_near = |after: u64| {
            let before = reading.range(..=after).next_back();
            before.is_some_and(|before| after - before <= NEAR)
        };
        let after = self.waiting.keys().copied().find(|after| !is_near(*after))?;
        self.reading.insert(after);
        self.counters.reads += 1;
        Some(after)
    }

    /// Takes what was read after a position; `None`: it could not be read.
    pub(super) fn handle_read(&mut self, after: u64, read: Option<Backfilled>) {
        if !self.reading.remove(&after) {
            return;
        }
        // A page that leads nowhere would be read again and again.
        let Some(read) = read.filter(|read| read.start() <= after && read.through() > after) else {
            let failed = self.waiting.remove(&after).unwrap_or_default();
            self.fail(failed);
            return;
        };
        self.counters.read_bytes +=
            read.published().iter().map(|one| one.frame().len() as u64).sum::<u64>();
        let behind = self.waiting.split_off(&read.start());
        let mut is_own = true;
        for (after, sessions) in behind {
            if after >= read.through() {
                self.waiting.insert(after, sessions);
                continue;
            }
            for session in sessions {
                // The first of them is the one for which it was read.
                self.counters.hits += u64::from(!core::mem::take(&mut is_own));
                self.served.push_back((session, Some(read.clone())));
            }
        }
        self.keep(read);
    }

    /// Returns which session gets what next; `None` for what: nothing could be read for it.
    pub(super) fn poll_served(&mut self) -> Option<(SessionId, Option<Backfilled>)> {
        let served = self.served.pop_front()?;
        match &served.1 {
            Some(_) => self.counters.served += 1,
            None => self.counters.failed += 1,
        }
        Some(served)
    }

    /// Lets all who wait have nothing, and gives up what is read.
    pub(super) fn fail_all(&mut self) {
        self.reading.clear();
        self.fail_waiting();
    }

    fn fail_waiting(&mut self) {
        for (_, sessions) in core::mem::take(&mut self.waiting) {
            self.fail(sessions);
        }
    }

    /// Returns whether a read after this position is under way.
    pub(super) fn is_reading(&self, after: u64) -> bool {
        self.reading.contains(&after)
    }

    pub(super) fn counters(&self) -> BackfillCounters {
        BackfillCounters {
            waiting: self.waiting.values().map(Vec::len).sum::<usize>() as u64,
            cached_bytes: self.cached_bytes as u64,
            ..self.counters
        }
    }

    fn fail(&mut self, sessions: Vec<SessionId>) {
        self.served.extend(sessions.into_iter().map(|session| (session, None)));
    }

    /// Returns the chunk in which a position stands, if it is still there.
    fn find(&mut self, after: u64) -> Option<Backfilled> {
        let (&start, chunk) = self.chunks.range_mut(..=after).next_back()?;
        if chunk.through <= after {
            return None;
        }
        let read = Backfilled::found(&chunk.read)?;
        if let Some((used, _)) = &mut chunk.cached {
            self.uses += 1;
            self.by_use.remove(used);
            *used = self.uses;
            self.by_use.insert(self.uses, start);
        }
        Some(read)
    }

    /// Keeps what was read for those who come later.
    fn keep(&mut self, read: Backfilled) {
        let (start, through, size) = (read.start(), read.through(), read.size() + OVERHEAD);
        self.evict(start);
        self.chunks.retain(|_, chunk| chunk.read.strong_count() > 0);
        self.uses += 1;
        self.by_use.insert(self.uses, start);
        self.cached_bytes += size;
        let (watched, cached) = (read.watched(), Some((self.uses, read)));
        self.chunks.insert(start, Chunk { through, size, read: watched, cached });
        while self.cached_bytes > CACHED_BYTES || self.by_use.len() > CACHED_CHUNKS {
            let Some((_, &oldest)) = self.by_use.first_key_value() else { break };
            self.evict(oldest);
        }
    }

    /// Leaves a chunk to the sessions that have it.
    fn evict(&mut self, start: u64) {
        if let Some(chunk) = self.chunks.get_mut(&start)
            && let Some((used, _)) = chunk.cached.take()
        {
            self.by_use.remove(&used);
            self.cached_bytes -= chunk.size;
        }
    }

    /// Returns how many bytes of chunks there are, cached or with sessions.
    fn bytes(&self) -> usize {
        let live = self.chunks.values().filter(|chunk| chunk.read.strong_count() > 0);
        live.map(|chunk| chunk.size).sum()
    }
}

/// About how many bytes a chunk takes beside its events.
const OVERHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Audience, Epoch, EventIds, Published, Sequencer};
    use crate::event::Event;

    fn session(number: u32) -> SessionId {
        SessionId::new(alloc::format!("0-{number}-1")).unwrap()
    }

    fn events(start: u64, through: u64, size: usize) -> Backfilled {
        let mut sequencer = Sequencer::new(Epoch(1), start, EventIds::Assigned);
        let event = Event::new("x".repeat(size));
        let one = |_| sequencer.publish(Audience::Everyone, &event);
        let published: Vec<Published> = (start..through).map(one).collect();
        Backfilled::new(start, start, through, published)
    }

    fn served(backfills: &mut Backfills) -> Vec<(SessionId, Option<u64>)> {
        core::iter::from_fn(|| backfills.poll_served())
            .map(|(session, read)| (session, read.map(|read| read.start())))
            .collect()
    }

    #[test]
    fn one_read_is_for_all_who_stand_in_it_also_for_those_who_come_later() {
        let mut all = Backfills::default();
        for number in 0..100 {
            all.want(session(number), 12);
        }
        all.want(session(100), 15);
        assert_eq!((all.poll_read(), all.poll_read()), (Some(12), None));
        assert_eq!(served(&mut all), []);
        all.handle_read(12, Some(events(10, 31, 1)));
        let got = served(&mut all);
        assert_eq!(got.len(), 101);
        assert!(got.iter().all(|(_, start)| *start == Some(10)));
        all.want(session(101), 30);
        assert_eq!(served(&mut all), [(session(101), Some(10))]);
        all.want(session(102), 31);
        assert_eq!((served(&mut all), all.poll_read()), (alloc::vec![], Some(31)));
        let BackfillCounters { reads, hits, served, .. } = all.counters();
        assert_eq!((reads, hits, served), (2, 101, 102));
    }

    #[test]
    fn no_more_than_eight_are_read_at_a_time_and_none_beside_another_that_brings_it() {
        let mut all = Backfills::default();
        for number in 0..20 {
            all.want(session(number), u64::from(number) * 10_000);
        }
        let first: Vec<u64> = core::iter::from_fn(|| all.poll_read()).collect();
        assert_eq!(first.len(), 8);
        all.handle_read(first[0], Some(events(0, 10, 1)));
        assert_eq!((all.poll_read(), all.poll_read()), (Some(80_000), None));
        // What the read under way did not bring is read then.
        let mut all = Backfills::default();
        all.want(session(0), 5);
        assert_eq!(all.poll_read(), Some(5));
        all.want(session(1), 50);
        assert_eq!(all.poll_read(), None);
        all.handle_read(5, Some(events(5, 50, 1)));
        assert_eq!(all.poll_read(), Some(50));
    }

    #[test]
    fn what_cannot_be_read_is_said_to_those_who_wait_for_it() {
        let mut all = Backfills::default();
        all.want(session(0), 5);
        all.want(session(1), 9_000);
        assert_eq!((all.poll_read(), all.poll_read()), (Some(5), Some(9_000)));
        all.handle_read(5, None);
        assert_eq!(served(&mut all), [(session(0), None)]);
        // It leads no further.
        all.handle_read(9_000, Some(events(9_000, 9_000, 1)));
        assert_eq!(served(&mut all), [(session(1), None)]);
        all.want(session(2), 5);
        all.want(session(3), 7);
        assert_eq!(all.poll_read(), Some(5));
        all.fail_all();
        assert_eq!(served(&mut all), [(session(2), None), (session(3), None)]);
        // Its answer comes too late.
        all.handle_read(5, Some(events(5, 6, 1)));
        assert_eq!((served(&mut all), all.counters().cached_bytes), (alloc::vec![], 0));
        assert_eq!(all.counters().failed, 4);
    }

    #[test]
    fn the_chunk_that_was_used_least_recently_goes_and_is_found_while_a_session_has_it() {
        let mut all = Backfills::default();
        let read = |all: &mut Backfills, start: u64| {
            all.want(session(0), start);
            if all.poll_read().is_some() {
                all.handle_read(start, Some(events(start, start + 9, 1 << 20)));
            }
            all.poll_served().and_then(|(_, read)| read)
        };
        let first = read(&mut all, 0);
        read(&mut all, 10);
        read(&mut all, 20);
        assert_eq!(all.counters().reads, 3);
        read(&mut all, 0);
        assert_eq!(all.counters().reads, 3);
        // The one after 10 was used least recently: 4 chunks have no room.
        read(&mut all, 30);
        assert!(all.counters().cached_bytes <= CACHED_BYTES as u64);
        read(&mut all, 10);
        assert_eq!(all.counters().reads, 5);
        read(&mut all, 40);
        read(&mut all, 50);
        read(&mut all, 60);
        let before = all.counters().reads;
        read(&mut all, 0);
        assert_eq!(all.counters().reads, before, "a session has it");
        drop(first);
        read(&mut all, 0);
        assert_eq!(all.counters().reads, before + 1);
    }

    #[test]
    fn nothing_more_is_read_where_sessions_hold_too_much() {
        let mut all = Backfills::default();
        let mut held = Vec::new();
        for chunk in 0..40 {
            all.want(session(chunk), u64::from(chunk) * 10_000);
            while let Some(after) = all.poll_read() {
                all.handle_read(after, Some(events(after, after + 8, 1 << 20)));
            }
            held.extend(core::iter::from_fn(|| all.poll_served()));
        }
        let failed = held.iter().filter(|(_, read)| read.is_none()).count();
        assert!((5..10).contains(&failed), "{failed}");
        held.clear();
        all.want(session(0), 900_000);
        assert_eq!(all.poll_read(), Some(900_000));
    }

    #[test]
    fn small_chunks_are_not_kept_without_number() {
        let mut all = Backfills::default();
        for after in 0..2 * CACHED_CHUNKS as u64 {
            all.want(session(0), after * 10_000);
            let after = all.poll_read().unwrap();
            all.handle_read(after, Some(events(after, after + 1, 0)));
            all.poll_served();
        }
        assert_eq!((all.by_use.len(), all.chunks.len()), (CACHED_CHUNKS, CACHED_CHUNKS + 1));
    }
}

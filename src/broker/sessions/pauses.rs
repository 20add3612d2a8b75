//! Pauses of the driver, which are not the fault of those whom it did not look at.
//!
//! A driver that calls long after the deadline that it was promised did not sleep until then: its
//! process was stopped, its machine was suspended, or its thread did something else. What peers took
//! meanwhile is not known yet. So a silence during which there was a pause counts anew from the end
//! of the pause, for each session when its own deadline comes, and no session is looked at before:
//!
//! ```text
//!   asked    stopped            goes on              has stalled
//!   ──┬─────────╫═══════════════════╫────────────────────┬──►
//!     └─ stall timeout ──┘ (slept through)
//!                                   └── stall timeout ───┘
//! ```
//!
//! One silence is forgiven so [`PARDONS`] times. So a peer that is gone comes to its end also where
//! the driver is late each time, or is stopped again and again.

use super::session::Session;
use crate::broker::arena::Key;
use crate::broker::clock::{Tick, ticks};
use alloc::collections::BTreeMap;
use core::time::Duration;

/// By how much a driver that slept may be late. A busy machine delays a timer by less, and against a
/// stall timeout it is short.
const LATE: Tick = ticks(Duration::from_millis(250));

/// How many pauses one silence is forgiven.
pub(crate) const PARDONS: u8 = 4;

#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// When the last pause ended; 0 before the first.
    ended_at: Tick,
    /// The sessions that were forgiven a pause and have been silent since, or were taken for silent
    /// last. Few sessions ever are.
    pardoned: BTreeMap<Key, Pardon>,
}

#[derive(Clone, Copy, Debug)]
struct Pardon {
    /// The end of the last pause that was forgiven. The silence still goes on as long as the session
    /// was not asked later,
    from: Tick,
    /// nor at the same time: what a driver polls first when it goes on is polled at the end of the
    /// pause.
    poll: u32,
    count: u8,
}

impl Pauses {
    /// Returns when the last pause ended; 0 before the first.
    pub(super) const fn ended_at(&self) -> Tick {
        self.ended_at
    }

    /// Returns whether so much time went by between two calls that it may have been a pause.
    #[inline]
    pub(super) const fn is_long(before: Tick, now: Tick) -> bool {
        now - before > LATE
    }

    /// Sees whether there was a pause between two calls, where the driver was to call no later than
    /// `promised`.
    pub(super) fn note(&mut self, before: Tick, now: Tick, promised: Tick) {
        if now.saturating_sub(promised.max(before)) > LATE {
            self.ended_at = now;
        }
    }

    /// Returns from when on a session's silence counts that began `since`.
    pub(super) fn counts_from(&self, key: Key, session: &Session, since: Tick) -> Tick {
        if since < self.ended_at && self.count(key, session) < PARDONS {
            self.ended_at
        } else {
            since
        }
    }

    /// Forgives a session whose silence began `since` the last pause, as a sign of life at the end of
    /// it. Returns whether it did.
    pub(super) fn pardon(&mut self, key: Key, session: &mut Session, since: Tick) -> bool {
        if self.counts_from(key, session, since) == since {
            return false;
        }
        let count = self.count(key, session) + 1;
        self.pardoned.insert(key, Pardon { from: self.ended_at, poll: session.poll(), count });
        session.handle_progress(self.ended_at);
        true
    }

    /// Forgets a session that is gone.
    #[inline]
    pub(super) fn forget(&mut self, key: Key) {
        if !self.pardoned.is_empty() {
            self.pardoned.remove(&key);
        }
    }

    fn count(&self, key: Key, session: &Session) -> u8 {
        let is_silent =
            |one: &&Pardon| one.from == session.polled_at() && one.poll == session.poll();
        self.pardoned.get(&key).filter(is_silent).map_or(0, |pardon| pardon.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::arena::Arena;
    use alloc::vec::Vec;

    fn one() -> (Arena<Session>, Key) {
        let mut sessions = Arena::new();
        let key = sessions.insert(Session::new(0, None, Vec::new()));
        (sessions, key)
    }

    #[test]
    fn a_call_that_is_late_for_its_deadline_ends_a_pause() {
        let (sessions, key) = one();
        let session = sessions.get(key).unwrap();
        let mut pauses = Pauses::default();
        for (before, now, promised) in [
            (0, 100 * LATE, 100 * LATE),
            (0, 101 * LATE, 100 * LATE),
            (0, 100 * LATE, Tick::MAX),
            // Who calls all the time and never about a deadline is not stopped.
            (100 * LATE, 101 * LATE, 0),
        ] {
            pauses.note(before, now, promised);
            assert_eq!(pauses.counts_from(key, session, 0), 0, "{before} {now} {promised}");
        }
        pauses.note(0, 101 * LATE + 1, 100 * LATE);
        assert_eq!(pauses.counts_from(key, session, 5), 101 * LATE + 1);
    }

    #[test]
    fn what_began_after_a_pause_is_not_forgiven() {
        let (mut sessions, key) = one();
        let mut pauses = Pauses::default();
        pauses.note(0, 10 * LATE, LATE);
        let session = sessions.get_mut(key).unwrap();
        assert!(!pauses.pardon(key, session, 10 * LATE));
        assert!(pauses.pardon(key, session, 10 * LATE - 1));
        assert_eq!(session.polled_at(), 10 * LATE);
    }

    #[test]
    fn a_silence_is_forgiven_four_pauses_and_a_new_one_begins_anew() {
        let (mut sessions, key) = one();
        let session = sessions.get_mut(key).unwrap();
        let (mut pauses, mut now) = (Pauses::default(), 0);
        let mut pardon = |session: &mut Session, pauses: &mut Pauses| {
            now += 10 * LATE;
            pauses.note(now - 10 * LATE, now, 0);
            let since = session.polled_at();
            pauses.pardon(key, session, since)
        };
        for _ in 0..PARDONS {
            assert!(pardon(session, &mut pauses));
        }
        assert!(!pardon(session, &mut pauses));
        session.begin_poll(session.polled_at());
        assert!(pardon(session, &mut pauses));
        pauses.forget(key);
        assert!(pauses.pardoned.is_empty());
    }
}

//! When a peer that takes nothing is given up: the logic, without a clock.

use std::time::{Duration, Instant};

/// How late a deadline may be looked at before it says nothing about the peer. A process that was
/// stopped finds its timers due before it has looked at its sockets.
const LATE: Duration = Duration::from_secs(1);

/// As good as for ever, and no time that cannot be added to another.
pub(crate) const LONGEST: Duration = Duration::from_secs(1 << 30);

/// The time for which bytes have been waiting for room while the peer took nothing.
#[derive(Debug)]
pub(crate) struct Stall {
    time: Duration,
    deadline: Option<Instant>,
}

impl Stall {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time: time.min(LONGEST), deadline: None }
    }

    /// Records that the peer took something, or that nothing waits any more.
    pub(crate) const fn handle_progress(&mut self) {
        self.deadline = None;
    }

    /// Records that bytes wait. Returns whether the peer is to be given up.
    pub(crate) fn handle_blocked(&mut self, now: Instant) -> bool {
        let deadline = *self.deadline.get_or_insert(now + self.time);
        if now > deadline + LATE {
            self.deadline = Some(now + LATE);
            return false;
        }
        deadline <= now
    }

    /// Shortens the time from now on, also for bytes that wait already.
    pub(crate) fn hurry(&mut self, now: Instant, time: Duration) {
        self.time = self.time.min(time);
        self.deadline = self.deadline.map(|deadline| deadline.min(now + self.time));
    }

    /// Returns when to call [`handle_blocked`](Self::handle_blocked) again; `None` while nothing waits.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_time_of_any_length_is_a_time() {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let (now, mut stall) = (Instant::now(), Stall::new(time));
            assert_eq!(stall.handle_blocked(now), time.is_zero());
            stall.hurry(now, Duration::MAX);
            assert_eq!(stall.poll_timeout(), Some(now + time.min(LONGEST)));
        }
    }

    #[test]
    fn bytes_that_wait_for_the_whole_time_are_too_much() {
        let (now, mut stall) = (Instant::now(), Stall::new(SECOND * 10));
        assert_eq!(stall.poll_timeout(), None);
        assert!(!stall.handle_blocked(now));
        assert!(!stall.handle_blocked(now + SECOND * 9));
        assert_eq!(stall.poll_timeout(), Some(now + SECOND * 10));
        assert!(stall.handle_blocked(now + SECOND * 10));
    }

    #[test]
    fn each_progress_begins_the_time_anew() {
        let (now, mut stall) = (Instant::now(), Stall::new(SECOND * 10));
        assert!(!stall.handle_blocked(now));
        stall.handle_progress();
        assert_eq!(stall.poll_timeout(), None);
        assert!(!stall.handle_blocked(now + SECOND * 11));
        assert!(stall.handle_blocked(now + SECOND * 21));
    }

    #[test]
    fn a_deadline_that_was_slept_through_is_not_the_peers_silence() {
        let (now, mut stall) = (Instant::now(), Stall::new(SECOND * 10));
        assert!(!stall.handle_blocked(now));
        assert!(!stall.handle_blocked(now + SECOND * 100));
        assert_eq!(stall.poll_timeout(), Some(now + SECOND * 101));
        assert!(stall.handle_blocked(now + SECOND * 101));
    }

    #[test]
    fn a_hurry_shortens_also_what_waits_and_never_lengthens() {
        let (now, mut stall) = (Instant::now(), Stall::new(SECOND * 10));
        assert!(!stall.handle_blocked(now));
        stall.hurry(now + SECOND, SECOND * 3);
        assert_eq!(stall.poll_timeout(), Some(now + SECOND * 4));
        stall.hurry(now + SECOND, SECOND * 30);
        assert_eq!(stall.poll_timeout(), Some(now + SECOND * 4));
        assert!(stall.handle_blocked(now + SECOND * 4));
    }
}

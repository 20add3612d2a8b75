//! Deadlines of what an engine is to answer.

use core::time::Duration;
use std::time::Instant;

/// By how much a deadline is missed that was slept through, and how much longer the engine then has.
/// Its answer may have come meanwhile, and not have been looked at.
const GRACE: Duration = Duration::from_secs(1);

/// When something has to have come, at the latest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// `None` where the platform cannot express it, which is as good as never.
    at: Option<Instant>,
    had_grace: bool,
}

impl Deadline {
    pub(super) fn after(now: Instant, wait: Duration) -> Self {
        Self { at: now.checked_add(wait), had_grace: false }
    }

    pub(super) const fn at(self) -> Option<Instant> {
        self.at
    }

    /// Returns whether it has passed. One that was slept through is put off, once.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let Some(at) = self.at.filter(|at| *at <= now) else { return false };
        if self.had_grace || now.duration_since(at) < GRACE {
            return true;
        }
        *self = Self { had_grace: true, ..Self::after(now, GRACE) };
        false
    }
}

/// Returns whether a time has come.
pub(super) fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;

    const WAIT: Duration = Duration::from_secs(5);

    #[test]
    fn a_deadline_is_over_at_its_time_and_not_before() {
        let now = base_instant();
        let mut deadline = Deadline::after(now, WAIT);
        assert!(!deadline.is_over(now + WAIT - Duration::from_nanos(1)));
        assert!(deadline.is_over(now + WAIT));
    }

    #[test]
    fn a_deadline_that_was_slept_through_is_put_off_once() {
        let now = base_instant();
        let mut deadline = Deadline::after(now, WAIT);
        let woke = now + WAIT + GRACE;
        assert!(!deadline.is_over(woke));
        assert_eq!(deadline.at(), Some(woke + GRACE));
        assert!(!deadline.is_over(woke), "the same time again changes nothing");
        assert!(deadline.is_over(woke + 2 * GRACE + WAIT));
    }

    #[test]
    fn a_time_that_no_platform_has_is_never() {
        let mut deadline = Deadline::after(base_instant(), Duration::MAX);
        assert_eq!((deadline.at(), deadline.is_over(base_instant())), (None, false));
    }
}

//! The client's clock and the deadlines that run on it.

use core::mem;
use core::time::Duration;
use std::time::Instant;

/// What time it is, when the phase at hand is to end, and when the client's life is.
///
/// Silence is a fault of the peer's only while the driver reads, which it does not while messages
/// wait for the caller. Messages are polled without a time, so that the moment when reading went on
/// is known only roughly, at the next input. If that comes long after a deadline, the caller may
/// have had the thread all the time, and the peer's bytes may lie unread: the deadline is
/// set anew. If it comes on time, the driver slept until then, and there was silence.
///
/// A deadline that is told late for any other reason was slept through: the process was stopped,
/// or the machine slept. Bytes that came meanwhile lie unread, and a timer often fires before the
/// socket is looked at. So there is a grace in which bytes count. It is given again if it is slept
/// through too, each time for a longer delay alone: a driver that tells the time at long intervals
/// is always late, and notices a dead peer all the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    now: Option<Instant>,
    phase: Option<Instant>,
    life: Option<Instant>,
    /// The phase's deadline came while nothing was read.
    paused: bool,
    /// Reading went on since the last input.
    unblocked: bool,
    /// How many graces the phase has been given in a row.
    graces: u32,
}

impl Deadlines {
    /// Takes the caller's `now`; one that lies before an earlier one changes nothing. Says whether
    /// it is the first.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        let is_first = self.now.is_none();
        self.now = Some(self.now.map_or(now, |before| before.max(now)));
        is_first
    }

    /// The time of the last input.
    pub(super) const fn now(&self) -> Option<Instant> {
        self.now
    }

    /// A time from now; `None` for never, as which also counts what no `Instant` can express.
    pub(super) fn after(&self, duration: Option<Duration>) -> Option<Instant> {
        self.now?.checked_add(duration?)
    }

    pub(super) fn set_life(&mut self, at: Option<Instant>) {
        self.life = at;
    }

    pub(super) fn set(&mut self, at: Option<Instant>) {
        self.phase = at;
        self.paused = false;
        self.unblocked = false;
        self.graces = 0;
    }

    /// Whether the phase's deadline, which has come, came so long ago that nobody can have listened
    /// since.
    pub(super) fn was_slept_through(&self) -> bool {
        let allowed = LATE.saturating_mul(LATER.saturating_pow(self.graces));
        match (self.phase, self.now) {
            (Some(at), Some(now)) => now.saturating_duration_since(at) > allowed,
            _ => false,
        }
    }

    /// Sets the phase's deadline anew, for one that was slept through.
    pub(super) fn grant(&mut self, grace: Duration) {
        self.phase = self.after(Some(grace));
        self.graces = self.graces.saturating_add(1);
    }

    /// Makes the phase's deadline come no later than this.
    pub(super) fn shorten(&mut self, at: Option<Instant>) {
        self.phase = [self.phase, at].into_iter().flatten().min();
    }

    pub(super) fn is_due(&self) -> bool {
        Self::has_come(self.phase, self.now)
    }

    pub(super) fn is_life_over(&self) -> bool {
        Self::has_come(self.life, self.now)
    }

    pub(super) fn pause(&mut self) {
        self.phase = None;
        self.paused = true;
    }

    pub(super) fn unblock(&mut self) {
        self.unblocked = true;
    }

    /// Whether silence is to be counted anew, asked at each input; `idle` is how much is allowed.
    pub(super) fn take_stale(&mut self, idle: Option<Duration>) -> bool {
        let (Some(now), true) = (self.now, mem::take(&mut self.unblocked)) else { return false };
        let is_late = match (self.phase, idle) {
            (Some(at), Some(idle)) => now.saturating_duration_since(at) > idle / ON_TIME,
            _ => false,
        };
        self.paused || is_late
    }

    /// When the next input is due at the latest.
    pub(super) fn next(&self) -> Option<Instant> {
        let to_go_on = if self.paused && self.unblocked { self.now } else { None };
        [self.phase, self.life, to_go_on].into_iter().flatten().min()
    }

    fn has_come(at: Option<Instant>, now: Option<Instant>) -> bool {
        matches!((at, now), (Some(at), Some(now)) if at <= now)
    }
}

/// The part of a time by which its end may be told late and still counts as told on time.
const ON_TIME: u32 = 8;

/// By how much a timer that nothing holds up may be late: three times the grain of the coarsest
/// clock in use, which is 16 ms.
const LATE: Duration = Duration::from_millis(50);

/// How many times later a deadline must be told for each further grace.
const LATER: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;

    #[test]
    fn each_further_grace_takes_a_longer_delay_so_that_late_drivers_come_to_an_end() {
        let mut now = base_instant();
        let mut deadlines = Deadlines::default();
        deadlines.advance(now);
        deadlines.set(deadlines.after(Some(Duration::from_secs(90))));
        let mut graces = 0;
        loop {
            now += Duration::from_secs(60);
            deadlines.advance(now);
            if !deadlines.is_due() {
                continue;
            }
            if !deadlines.was_slept_through() {
                break;
            }
            deadlines.grant(Duration::from_secs(20));
            graces += 1;
        }
        assert_eq!(graces, 4, "a driver that tells the time once a minute");
    }
}

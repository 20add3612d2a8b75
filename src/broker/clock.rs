//! The broker's time: nanoseconds since it was made, which never go back.

use core::time::Duration;
use std::time::Instant;

/// A point in time that takes half the room of an `Instant`.
pub(super) type Tick = u64;

#[derive(Debug)]
pub(super) struct Clock {
    base: Instant,
    now: Tick,
}

impl Clock {
    pub(super) const fn new(base: Instant) -> Self {
        Self { base, now: 0 }
    }

    /// Takes the caller's `now`; one that lies before an earlier one changes nothing.
    pub(super) fn advance(&mut self, now: Instant) -> Tick {
        self.now = self.now.max(self.tick(now));
        self.now
    }

    pub(super) const fn now(&self) -> Tick {
        self.now
    }

    /// A time that lies before the first is the first.
    pub(super) fn tick(&self, instant: Instant) -> Tick {
        ticks(instant.saturating_duration_since(self.base))
    }

    /// `None` for a time that the platform cannot express, which is as good as never.
    pub(super) fn instant(&self, tick: Tick) -> Option<Instant> {
        self.base.checked_add(Duration::from_nanos(tick))
    }
}

/// Saturates at 584 years.
#[inline]
pub(super) fn ticks(duration: Duration) -> Tick {
    // What every poll asks for: as an `u128` it would cost several times as much.
    let whole = duration.as_secs().checked_mul(1_000_000_000);
    let all = whole.and_then(|whole| whole.checked_add(duration.subsec_nanos().into()));
    all.unwrap_or(Tick::MAX)
}

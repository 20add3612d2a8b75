//! The broker's time: nanoseconds since it was made, which never go back.

use core::time::Duration;
use std::time::Instant;

/// A point in time that takes half the room of an `Instant`.
pub(crate) type Tick = u64;

/// A deadline that is not set.
pub(crate) const NEVER: Tick = Tick::MAX;

#[derive(Debug)]
pub(crate) struct Clock {
    base: Instant,
    now: Tick,
}

impl Clock {
    pub(crate) const fn new(base: Instant) -> Self {
        Self { base, now: 0 }
    }

    /// Takes the caller's `now`, and returns the present time. A `now` that lies before an earlier
    /// one changes nothing.
    pub(crate) fn advance(&mut self, now: Instant) -> Tick {
        self.now = self.now.max(self.tick(now));
        self.now
    }

    pub(crate) const fn now(&self) -> Tick {
        self.now
    }

    /// Returns the tick of a time. A time before the first is the first.
    pub(crate) fn tick(&self, instant: Instant) -> Tick {
        ticks(instant.saturating_duration_since(self.base))
    }

    /// Returns the time of a tick; `None` if the platform cannot express it, which is as good as
    /// never.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        self.base.checked_add(Duration::from_nanos(tick))
    }
}

/// Returns how many ticks a duration is; it saturates at 584 years.
#[inline]
pub(crate) const fn ticks(duration: Duration) -> Tick {
    // Every poll asks for this, and as an `u128` it would cost several times as much.
    let whole = duration.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(duration.subsec_nanos() as Tick)
}

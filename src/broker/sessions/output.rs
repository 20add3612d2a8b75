//! Since when a session has output that its driver has not asked for.
//!
//! ```text
//!   polled, gets all ──► no output known ──► since the first: a list that was handed over, or
//!         ▲                                  something of its own
//!         └──────────── polled ◄──────────────────┘
//! ```
//!
//! The stall timeout counts from the first output, or from a later sign of life.

use crate::broker::clock::{NEVER, Tick};
use crate::broker::topics::HandOver;

#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// When the driver last asked for output, or the peer last took something.
    asked_at: Tick,
    /// [`NEVER`] while there is none, or it was not seen yet.
    since: Tick,
    /// How many waiting lists had been handed over when the session last began to wait. What it
    /// left on those tells nothing any more.
    waits_after: u64,
}

impl Output {
    /// Makes that of a session that may have output, and whose driver knows.
    pub(super) const fn new(now: Tick) -> Self {
        Self { asked_at: now, since: 0, waits_after: 0 }
    }

    /// Returns when the last sign of life was.
    pub(super) const fn asked_at(&self) -> Tick {
        self.asked_at
    }

    /// Records a sign of life: a poll, or that the peer took something.
    #[inline]
    pub(super) const fn asked(&mut self, now: Tick) {
        self.asked_at = now;
    }

    /// Records that there may be more, which the driver knows.
    #[inline]
    pub(super) const fn may_be_more(&mut self) {
        self.since = 0;
    }

    /// Records that there is none, and that none of the lists handed over so far tells of any.
    #[inline]
    pub(super) const fn wait_anew(&mut self, hand_overs: u64) {
        self.since = NEVER;
        self.waits_after = hand_overs;
    }

    /// Records that there is some since then at the latest.
    #[inline]
    pub(super) fn begin(&mut self, since: Tick) {
        self.since = self.since.min(since);
    }

    /// Returns whether there is some, as far as is known.
    #[inline]
    pub(super) const fn is_known(&self) -> bool {
        self.since != NEVER
    }

    /// Returns whether a list that was handed over tells nothing of this session any more.
    #[inline]
    pub(super) const fn is_before(&self, by: HandOver) -> bool {
        by.number() < self.waits_after
    }

    /// Returns from when on the stall timeout counts, where there is output.
    #[inline]
    pub(super) fn counts_from(&self) -> Option<Tick> {
        self.is_known().then(|| self.since.max(self.asked_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_counts_from_the_first_output_or_from_a_later_sign_of_life() {
        let mut output = Output::new(100);
        assert_eq!(output.counts_from(), Some(100), "its driver is about to poll");
        output.wait_anew(0);
        assert_eq!((output.counts_from(), output.is_known()), (None, false));
        output.begin(130);
        output.begin(120);
        output.begin(140);
        assert_eq!(output.counts_from(), Some(120));
        output.asked(125);
        assert_eq!(output.counts_from(), Some(125));
        output.may_be_more();
        assert_eq!(output.counts_from(), Some(125));
    }
}

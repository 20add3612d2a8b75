//! What the tests share: a clock that only moves when it is told to.

use std::time::Instant;

/// Some instant, from which a test counts.
///
/// An `Instant` has no other constructor. Nothing depends on which one it is,
/// so that a test is the same at each run.
#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant; read once")]
pub(crate) fn base_instant() -> Instant {
    Instant::now()
}

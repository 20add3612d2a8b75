//! The first instant of tests and of virtual time, in one place, since a clock is read for it.

use std::time::Instant;

/// Returns an instant from which virtual time counts. Nothing depends on which one it is: an `Instant` has
/// no other constructor.
#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant")]
pub(crate) fn base_instant() -> Instant {
    Instant::now()
}

//! What the test programs share: seeded numbers, virtual time, and drivers of the machines that use
//! no socket.
#![allow(dead_code, reason = "each program uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[cfg(feature = "broker")]
pub(crate) mod broker;
#[cfg(feature = "client")]
pub(crate) mod client;
pub(crate) mod decoder;
pub(crate) mod naive_decoder;
pub(crate) mod random;
#[cfg(feature = "http1")]
pub(crate) mod received;
#[cfg(any(feature = "feed", feature = "broker"))]
pub(crate) mod time;

use std::time::Instant;

/// Some instant, from which a test counts.
///
/// An `Instant` has no other constructor. Nothing depends on which one it is,
/// so that a test is the same at each run.
#[expect(clippy::disallowed_methods, reason = "the only way to make an Instant; read once")]
pub(crate) fn base_instant() -> Instant {
    Instant::now()
}

/// The seed of a random test: `SANSSE_SEED`, or `default`.
pub(crate) fn seed(default: u64) -> u64 {
    number("SANSSE_SEED").unwrap_or(default)
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

//! Answers to one reader: the machine, and the body for an HTTP stack of one's own, in virtual time
//! and without a socket.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(feature = "broker")]

#[path = "../kit/mod.rs"]
mod kit;

mod body;
mod extremes;
mod writer;

use std::time::Duration;

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

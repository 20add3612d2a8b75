//! The client machine, in memory and in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(feature = "client")]

#[path = "../kit/mod.rs"]
mod kit;

mod behaviour;
mod machine;
mod random;

//! What is fuzzed: each target is a plain function of some bytes, which panics where a promise is
//! broken. `fuzz/` calls them from libFuzzer, the test from a seeded loop.
#![allow(dead_code, unreachable_pub, reason = "each program uses its part")]
#![allow(clippy::unwrap_used, reason = "a target fails by it")]

#[path = "../../kit/mod.rs"]
pub mod kit;
#[path = "../../kit/naive_broker/mod.rs"]
mod naive_broker;

#[cfg(feature = "cluster")]
pub mod batch;
pub mod broker;
pub mod cursor;
pub mod decoder;
pub mod http1_client;
pub mod http1_server;
mod input;
pub mod log_record;
pub mod pattern;

//! What is fuzzed: each target is a plain function of some bytes, which panics where a promise is
//! broken. `fuzz/` calls them from libFuzzer, `tests/fuzzing.rs` from a seeded loop.
#![allow(dead_code, unreachable_pub, reason = "each program uses its part")]
#![allow(clippy::unwrap_used, reason = "a target fails by it")]

#[path = "../common/broker.rs"]
mod common;
#[path = "../broker_model/mod.rs"]
mod histories;
#[path = "../http1_client/received.rs"]
mod received;
#[path = "../streams/mod.rs"]
mod streams;

pub mod broker;
pub mod cursor;
pub mod decoder;
pub mod http1_client;
pub mod http1_server;
mod input;
pub mod pattern;

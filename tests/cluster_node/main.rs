//! The machine of a realm's node: what it asks of the log, what the answers mean, and what publishers
//! and shards are told, each behaviour by an example in virtual time.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../kit/mod.rs"]
mod kit;

mod appending;
mod extremes;
mod failures;
mod joining;
mod reading;
mod shutting_down;
mod stage;

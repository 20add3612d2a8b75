//! The broker machine, by subject, in memory and in virtual time.
#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../kit/mod.rs"]
mod kit;

mod absent;
mod ahead;
mod backfill;
mod contract;
mod counters;
mod deadlines;
mod delivery;
mod drain;
mod extremes;
mod lag;
mod leases;
mod limits;
mod logs_outside;
mod notices;
mod pauses;
mod permission;
mod presence;
mod presence_changes;
mod price;
mod ready;
mod replay;
mod resume;
mod shards;
#[cfg(feature = "signed")]
mod signed;
mod slow_peers;
mod time;
mod topics;
mod topics_finite;
mod topics_live;
mod waiting;

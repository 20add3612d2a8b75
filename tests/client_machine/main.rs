//! The client machine beyond the table of connection behaviour, by subject, in memory and in virtual
//! time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(feature = "client")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/client.rs"]
mod driver;

mod attempts;
mod one_shot;
mod policy;
mod redirects;
mod refusals;
mod requests;
mod timeouts;

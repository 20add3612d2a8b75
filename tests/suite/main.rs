//! One set of scenarios, written once and run on every runtime: tokio on one thread and on
//! several, smol, async-std, a hand-written executor, and a network in memory with virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![allow(clippy::duplicate_mod, reason = "the rows are lived on each platform")]
#![cfg(all(feature = "feed", feature = "serve"))]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/client.rs"]
mod driver;
#[path = "../common/network/mod.rs"]
mod network;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/random.rs"]
mod random;
#[allow(dead_code, reason = "not every target uses all of it")]
#[path = "../hub/time.rs"]
mod time;
#[path = "../common/watched.rs"]
mod watched;

mod life;
mod platform;
mod reader;
mod tokio_runtime;

/// All scenarios, as tests of a platform.
macro_rules! scenarios {
    ($platform:ty) => {};
}

mod memory;
mod tokio_current_thread;
mod tokio_multi_thread;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A listener of the system's, on a free address or on a given one.
fn bind(address: Option<SocketAddr>) -> TcpListener {
    TcpListener::bind(address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())).unwrap()
}

//! One set of scenarios, written once and run on every runtime: tokio on one thread and on
//! several, smol, async-std, a hand-written executor, and a network in memory with virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![allow(clippy::duplicate_mod, reason = "the rows are lived on each platform")]
#![cfg(all(feature = "feed", feature = "serve"))]

#[path = "../common/bad_input.rs"]
mod bad_input_kit;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/cutting.rs"]
mod cutting;
#[path = "../common/client.rs"]
mod driver;
#[path = "../common/network/mod.rs"]
mod network;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/shared.rs"]
mod shared;
#[allow(dead_code, reason = "not every target uses all of it")]
#[path = "../hub/time.rs"]
mod time;
#[path = "../common/watched.rs"]
mod watched;

/// All scenarios, as tests of a platform. In brackets stands with how many of the platform's seeds.
macro_rules! scenarios {
    ($platform:ty) => {
        scenarios! { $platform:
            streams[20]: connect, broadcast, per_client_send;
            losses[20]: resume_after_cut, restart_with_the_same_hub, restart_with_a_new_epoch;
            endings[20]: drain, cancel_a_client_by_drop, cancel_a_wait_by_drop,
                cancel_readers_of_a_feed_by_drop, cancel_a_session_by_drop,
                cancel_a_server_by_drop, cancel_a_hub_by_drop, cancel_a_read_by_drop;
            crowds[1]: slow_reader, a_thousand_clients;
            bad_input[2]: bad_input;
        }

        #[test]
        fn bad_input_takes_little_memory() {
            crate::bad_input::bad_input_takes_little_memory::<$platform>();
        }
    };
    ($platform:ty: $($subject:ident[$seeds:literal]: $($scenario:ident),*;)*) => { $($(
        #[test]
        fn $scenario() {
            for seed in <$platform as crate::platform::Platform>::seeds().take($seeds) {
                <$platform as crate::platform::Platform>::run(
                    seed,
                    crate::$subject::$scenario::<$platform>,
                );
            }
        }
    )*)* };
}

mod async_std;
mod bad_input;
mod crowds;
mod endings;
mod life;
mod losses;
mod memory;
mod own_executor;
mod platform;
mod reader;
mod service;
mod smol;
mod streams;
mod tokio_current_thread;
mod tokio_multi_thread;
mod tokio_runtime;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A listener of the system's, on a free address or on a given one.
fn bind(address: Option<SocketAddr>) -> TcpListener {
    TcpListener::bind(address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())).unwrap()
}

/// Whether so many files may be open at a time, as far as a system tells.
fn has_open_files(count: u64) -> bool {
    let Ok(limits) = std::fs::read_to_string("/proc/self/limits") else { return true };
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(u64::MAX);
    soft >= count
}

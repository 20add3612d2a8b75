//! nginx, HAProxy and Caddy between our server and its readers, with the configuration files of
//! `examples/proxies`.
//!
//! Each test prints rows of the table in `src/guide/behind_proxies.rs`, which `--nocapture` shows.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real proxies need sockets, threads and a clock"
)]

mod combinations;
mod compression;
mod curl;
mod cutting;
mod http2;
mod leaving;
mod origin;
mod prompt;
mod proxy;
mod reader;
mod restart;
mod silence;
mod slow;
mod upstream;

use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::{Instant, sleep};

/// For all that one test waits for.
const ALL: Duration = Duration::from_secs(30);

/// Those that measure short times have the machine for themselves; the others share it.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Waits until something is so; returns after how long it was.
async fn until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < ALL, "not in {ALL:?}: {what}");
        sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

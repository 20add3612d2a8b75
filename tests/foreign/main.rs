//! Peers of other authors, in other languages: their servers for our client, and their clients for
//! our server. `tests/foreign/install` installs them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real peers need sockets, threads and a clock"
)]

#[cfg(unix)]
#[path = "../programs/browser.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "each program of tests uses its part")]
mod browser;
mod clients;
#[cfg(unix)]
mod pages;
mod program;
mod refusals;
mod servers;
#[cfg(unix)]
mod table;

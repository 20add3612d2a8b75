//! Peers of other authors, in other languages: their servers for our client, and their clients for
//! our server. `tests/foreign/install` installs them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real peers need sockets, threads and a clock"
)]

mod clients;
mod program;
mod refusals;
mod servers;

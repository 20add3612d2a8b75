//! HTTP as this library speaks it: which requests ask for a stream, and HTTP/1.1 by bytes.
#![cfg(feature = "http")]

#[path = "../kit/mod.rs"]
mod kit;

#[cfg(feature = "http1")]
mod client;
#[cfg(feature = "http1")]
mod extremes;
mod heads;
#[cfg(feature = "http1")]
mod server;

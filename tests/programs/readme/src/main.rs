//! The server of the README, at the address that is the first argument.

include!(concat!(env!("OUT_DIR"), "/server.rs"));

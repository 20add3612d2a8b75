//! A broker driven by bytes as operations: all that comes out is what a naive model says.

use super::naive_broker::{self, History};

/// The bytes are a configuration and what is done to a broker of it, one step after the other.
pub fn run(bytes: &[u8]) {
    let history = History::of(bytes);
    if let Err(failure) = naive_broker::run(&history) {
        panic!("{failure}\n{:?}\n{}", history.config, history.lines());
    }
}

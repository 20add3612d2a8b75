//! The rows of the table of connection behaviour, by their numbers, each driven through a peer in
//! memory and in virtual time.
//!
//! The table is what the standard says, so that [`Policy::standard`] is what is tested, and the
//! default policy as well wherever it is not meant to differ.
//!
//! [`Policy::standard`]: sansse::client::Policy::standard

mod rows;
mod steps;

use crate::kit::client::{Answer, Life};
use bytes::Bytes;
use http::Request;
use sansse::client::ClientConfig;

/// A life of the machine alone. On each runtime the same ones are lived over sockets.
fn live(config: ClientConfig, answers: impl IntoIterator<Item = Answer>) -> Life {
    Life::new(config, answers)
}

fn live_with(
    request: Request<Bytes>,
    config: ClientConfig,
    answers: impl IntoIterator<Item = Answer>,
) -> Life {
    Life::with(request, config, answers)
}

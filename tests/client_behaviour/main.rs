//! The rows of the table of connection behaviour, by their numbers, each driven through a peer in
//! memory and in virtual time.
//!
//! The table is what the standard says, so that [`Policy::standard`] is what is tested, and the
//! default policy as well wherever it is not meant to differ.
//!
//! [`Policy::standard`]: sansse::client::Policy::standard
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(feature = "client")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/client.rs"]
mod driver;

mod a_request;
mod b_response;
mod c_redirects;
mod d_loss;
mod e_last_event_id;
mod f_closing;
mod g_beyond;
mod steps;

use bytes::Bytes;
use driver::{Answer, Life};
use http::Request;
use sansse::client::ClientConfig;

/// A life of the machine alone. The suite lives the same ones over sockets.
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

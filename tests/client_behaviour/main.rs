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

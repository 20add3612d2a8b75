//! The rows of the table of connection behaviour, lived by an [`EventSource`](sansse::EventSource)
//! over this platform's sockets.

#[path = "../client_behaviour/a_request.rs"]
mod a_request;
#[path = "../client_behaviour/b_response.rs"]
mod b_response;
#[path = "../client_behaviour/c_redirects.rs"]
mod c_redirects;
#[path = "../client_behaviour/d_loss.rs"]
mod d_loss;
#[path = "../client_behaviour/e_last_event_id.rs"]
mod e_last_event_id;
#[path = "../client_behaviour/f_closing.rs"]
mod f_closing;
#[path = "../client_behaviour/g_beyond.rs"]
mod g_beyond;

use super::This;
use crate::driver::{Answer, Life, URL, get};
use bytes::Bytes;
use http::Request;
use sansse::client::ClientConfig;

fn live(config: ClientConfig, answers: impl IntoIterator<Item = Answer>) -> Life {
    live_with(get(URL), config, answers)
}

fn live_with(
    request: Request<Bytes>,
    config: ClientConfig,
    answers: impl IntoIterator<Item = Answer>,
) -> Life {
    crate::life::live::<This>(request, config, answers.into_iter().collect())
}

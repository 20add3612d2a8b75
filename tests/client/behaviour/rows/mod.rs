//! Rows of the table that are about whole lives. Who includes this says how one is lived.

mod a_request;
mod b_response;
mod c_redirects;
mod d_loss;
mod e_last_event_id;
mod f_closing;
mod g_beyond;

use super::{live, live_with};

//! Rows of the table that are about whole lives. The module that includes them says how a life is
//! lived: by the machine alone, or over sockets.

mod a_request;
mod b_response;
mod c_redirects;
mod d_loss;
mod e_last_event_id;
mod f_closing;
mod g_beyond;

use super::{live, live_with};

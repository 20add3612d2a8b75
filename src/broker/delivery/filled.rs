//! What a poll of a session gives.

use crate::broker::event::EndReason;
use crate::encode::Frame;

/// What a session has to transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// The next frame of its event stream.
    Frame(&'a Frame),
    /// Nothing more, ever. The stream is to be ended as
    /// [`EndReason::stream_end`](crate::broker::EndReason::stream_end) says, and the connection
    /// closed.
    ///
    /// Every further poll of the session gives this again. The reason is told once; `None` where it
    /// was, and for an id that is no session's.
    Ended(Option<EndReason>),
}

/// How a batch was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// With as much as the limit allows. There may be more.
    More,
    /// With all there is, which may be nothing. The session is parked, as after `None` from
    /// [`Broker::poll_transmit`](crate::broker::Broker::poll_transmit).
    All,
    /// With nothing: there will be no more, as [`Transmit::Ended`] says.
    Ended(Option<EndReason>),
}

//! What a poll of a session gives.

use crate::broker::event::EndReason;
use crate::encode::Frame;

/// What a session has to transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// The next frame of its event stream.
    Frame(&'a Frame),
    /// Nothing more, ever. The stream is to be ended in good order and the connection closed.
    ///
    /// The reason is told once; `None` where it was, and for an id that is no session's.
    End(Option<EndReason>),
}

/// Why a batch holds no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEnd {
    /// The limit is reached; there may be more.
    Full,
    /// There is no more now: the session is parked, as after `None` from
    /// [`crate::broker::Broker::poll_transmit`].
    Parked,
    /// There will be no more, as [`Transmit::End`] says; the batch is empty.
    End(Option<EndReason>),
}

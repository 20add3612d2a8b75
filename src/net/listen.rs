//! How connections are accepted.

use super::{Failure, Socket};
use core::task::{Context, Poll};

/// What accepts connections.
pub trait Listener: Send {
    /// A connection.
    type Socket: Socket;

    /// What is known of a peer that connects, such as a `SocketAddr`. The handler finds it among
    /// the extensions of each request.
    type Peer: Clone + Send + Sync + 'static;

    /// Returns the next connection. An error is not the end: accepting goes on after a moment.
    #[expect(clippy::type_complexity, reason = "a pair, as the standard library's `accept` gives")]
    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Self::Socket, Self::Peer), Failure>>;
}

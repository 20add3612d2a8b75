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

    /// Returns how many files the process may have open at a time, where each connection is one. A
    /// server [accepts](crate::serve::Server::with_max_connections) fewer connections than that.
    /// Default `None`: not known, or without a limit.
    fn max_open_files(&self) -> Option<u64> {
        None
    }
}

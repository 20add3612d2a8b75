//! A server's connections.

use crate::socket::TlsSocket;
use rustls::{ServerConfig, ServerConnection};
use sansse::net::{Failure, FailureKind, Listener};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What the server speaks, as ALPN calls it (RFC 7301, 6).
const HTTP_1_1: &[u8] = b"http/1.1";
const HTTP_1_0: &[u8] = b"http/1.0";

/// A [`Listener`] that secures what another accepts.
///
/// The handshake is a part of reading and writing, so that it holds up nobody else, and the
/// server's time for a request head holds for it.
pub struct TlsListener<L> {
    listener: L,
    config: Arc<ServerConfig>,
}

impl<L> TlsListener<L> {
    /// Secures what `listener` accepts, as `config` says: that of
    /// [`server_config`](crate::server_config), or any. Its ALPN protocols are replaced by
    /// `http/1.1` and `http/1.0`, which are spoken.
    pub fn new(listener: L, config: impl Into<Arc<ServerConfig>>) -> Self {
        let mut config = config.into();
        if config.alpn_protocols != [HTTP_1_1, HTTP_1_0] {
            Arc::make_mut(&mut config).alpn_protocols = vec![HTTP_1_1.to_vec(), HTTP_1_0.to_vec()];
        }
        Self { listener, config }
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Socket = TlsSocket<L::Socket>;
    type Peer = L::Peer;

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Self::Socket, Self::Peer), Failure>> {
        let (socket, peer) = ready!(self.listener.poll_accept(context))?;
        let session = ServerConnection::new(self.config.clone())
            .map_err(|error| Failure::caused_by(FailureKind::Unsupported, error))?;
        Poll::Ready(Ok((TlsSocket::new(socket, session.into()), peer)))
    }

    fn max_open_files(&self) -> Option<u64> {
        self.listener.max_open_files()
    }
}

impl<L: fmt::Debug> fmt::Debug for TlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

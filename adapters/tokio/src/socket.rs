//! tokio's connections, and what accepts them.

use sansse::net::{Failure, FailureKind, Listener, Socket};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A TCP connection.
#[derive(Debug)]
pub struct TokioSocket(TcpStream);

impl TokioSocket {
    /// Makes a connection on which what is written goes out at once (`TCP_NODELAY`).
    pub fn new(stream: TcpStream) -> Self {
        // A peer that is gone already shows soon enough.
        let _ = stream.set_nodelay(true);
        Self(stream)
    }
}

impl Socket for TokioSocket {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer)).map_err(closed)?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        Pin::new(&mut self.0).poll_write(context, bytes).map_err(closed)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Pin::new(&mut self.0).poll_shutdown(context).map_err(closed)
    }

    fn reset(&mut self) {
        // It fails on a connection that is broken already.
        let _ = socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }
}

/// Accepts TCP connections for a [`Server`](sansse::serve::Server).
#[derive(Debug)]
pub struct TokioAcceptor {
    listener: TcpListener,
    unacknowledged_time: Option<Duration>,
}

impl TokioAcceptor {
    /// Makes what accepts the connections of `listener`.
    pub const fn new(listener: TcpListener) -> Self {
        Self { listener, unacknowledged_time: Some(Duration::from_secs(60)) }
    }

    /// Sets after how long a connection is given up whose peer acknowledges nothing that was sent.
    /// Default 60 s; `None` leaves the system's own time, often 15 minutes. With heartbeats this
    /// finds a peer that vanished without a word, since a heartbeat is something sent. It is
    /// `TCP_USER_TIMEOUT` (RFC 5482), of 1 ms to almost 25 days, and has an effect on Linux, Android
    /// and Fuchsia.
    ///
    /// Linux counts a peer that answers, but takes nothing for this time, as such too: a longer
    /// stall timeout of the broker needs a longer time here.
    pub const fn with_unacknowledged_time(mut self, time: Option<Duration>) -> Self {
        self.unacknowledged_time = time;
        self
    }
}

impl Listener for TokioAcceptor {
    type Socket = TokioSocket;
    type Peer = SocketAddr;

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(TokioSocket, SocketAddr), Failure>> {
        let (stream, peer) = ready!(self.listener.poll_accept(context))
            .map_err(|error| Failure::caused_by(FailureKind::Connect, error))?;
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
        if let Some(time) = self.unacknowledged_time {
            // A peer that is gone already shows soon enough.
            let time = sansse_common::unacknowledged_time(time);
            let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(time));
        }
        Poll::Ready(Ok((TokioSocket::new(stream), peer)))
    }

    fn max_open_files(&self) -> Option<u64> {
        sansse_common::max_open_files()
    }
}

fn closed(error: io::Error) -> Failure {
    Failure::caused_by(FailureKind::Closed, error)
}

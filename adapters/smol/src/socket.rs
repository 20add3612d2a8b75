//! async-io's connections, and what accepts them.

use async_io::Async;
use sansse::net::{Failure, FailureKind, Listener, Socket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A TCP connection.
#[derive(Debug)]
pub struct SmolSocket {
    stream: Async<TcpStream>,
    /// Something may have come. While it is false, the reactor is asked, which costs no system
    /// call.
    may_read: bool,
}

impl SmolSocket {
    /// Makes a connection on which what is written goes out at once (`TCP_NODELAY`).
    pub fn new(stream: Async<TcpStream>) -> Self {
        // A peer that is gone already shows soon enough.
        let _ = stream.get_ref().set_nodelay(true);
        Self { stream, may_read: true }
    }
}

impl Socket for SmolSocket {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        loop {
            if !self.may_read {
                ready!(self.stream.poll_readable(context)).map_err(closed)?;
                self.may_read = true;
            }
            match self.stream.get_ref().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_read = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result.map_err(closed)),
            }
        }
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        loop {
            match self.stream.get_ref().write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_writable(context)).map_err(closed)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result.map_err(closed)),
            }
        }
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(self.stream.get_ref().shutdown(Shutdown::Write).map_err(closed))
    }

    fn reset(&mut self) {
        // It fails on a connection that is broken already.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Accepts TCP connections for a [`Server`](sansse::serve::Server).
#[derive(Debug)]
pub struct SmolAcceptor {
    listener: Async<TcpListener>,
    unacknowledged_time: Option<Duration>,
}

impl SmolAcceptor {
    /// Makes what accepts the connections of `listener`.
    ///
    /// # Errors
    ///
    /// The system's, where it has no more room for what it is to watch.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        let listener = Async::new(listener)?;
        Ok(Self { listener, unacknowledged_time: Some(Duration::from_secs(60)) })
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

impl Listener for SmolAcceptor {
    type Socket = SmolSocket;
    type Peer = SocketAddr;

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(SmolSocket, SocketAddr), Failure>> {
        loop {
            match self.listener.get_ref().accept().and_then(|(io, at)| Ok((Async::new(io)?, at))) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.listener.poll_readable(context)).map_err(not_accepted)?;
                }
                Err(error) => return Poll::Ready(Err(not_accepted(error))),
                Ok((stream, peer)) => {
                    self.prepare(&stream);
                    return Poll::Ready(Ok((SmolSocket::new(stream), peer)));
                }
            }
        }
    }

    fn max_open_files(&self) -> Option<u64> {
        sansse_common::max_open_files()
    }
}

impl SmolAcceptor {
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android", target_os = "fuchsia")),
        expect(clippy::unused_self, unused_variables, reason = "the option is of some systems")
    )]
    fn prepare(&self, stream: &Async<TcpStream>) {
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
        if let Some(time) = self.unacknowledged_time {
            // A peer that is gone already shows soon enough.
            let time = sansse_common::unacknowledged_time(time);
            let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(time));
        }
    }
}

fn closed(error: io::Error) -> Failure {
    Failure::caused_by(FailureKind::Closed, error)
}

fn not_accepted(error: io::Error) -> Failure {
    Failure::caused_by(FailureKind::Connect, error)
}

//! A TLS session over a socket.

use crate::fault;
use rustls::Connection;
use sansse::net::{Failure, FailureKind, Socket};
use std::fmt;
use std::io::{self, Read, Write};
use std::task::{Context, Poll, Waker, ready};

/// A secured connection, of either side.
///
/// Nothing is taken for writing before all that was taken earlier has left, so that what it holds
/// is bounded by one write, of at most 64 KiB, and a peer that does not read is felt.
///
/// A client's that is dropped says `close_notify` if there is room for it, since a client owes that
/// whenever it closes (RFC 9112, 9.8). A server's does not: it has said so by
/// [`poll_shutdown`](Socket::poll_shutdown) if what it sent is complete, and otherwise is not to
/// say so.
pub struct TlsSocket<S: Socket> {
    // Sessions are large, and what becomes a task is moved about.
    state: Box<State<S>>,
}

/// A connection that is secured, or that was not to be.
#[derive(Debug)]
pub enum MaybeTls<S: Socket> {
    /// For `http`.
    Plain(S),
    /// For `https`.
    Tls(TlsSocket<S>),
}

struct State<S: Socket> {
    socket: S,
    session: Connection,
    /// Why nothing can be read any more. A write that fails is none: the peer may have said why.
    failed: Option<Failure>,
    has_read: bool,
    is_shut: bool,
}

/// How often a socket is read for one that asks, before others have their turn: a peer can send any
/// number of records that hold nothing.
const TURN: usize = 32;

impl<S: Socket> TlsSocket<S> {
    pub(crate) fn new(socket: S, session: Connection) -> Self {
        let state = State { socket, session, failed: None, has_read: false, is_shut: false };
        Self { state: Box::new(state) }
    }

    /// Ready when the handshake is done and this side's part of it has left.
    pub(crate) fn poll_secure(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.state.poll_handshake(context))?;
        self.poll_flush(context)
    }
}

impl<S: Socket> Socket for TlsSocket<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let state = &mut *self.state;
        let length = ready!(state.poll_until(context, |session| {
            // Not having anything and the end of the connection are told apart by the socket.
            session.reader().read(buffer).ok()
        }))?;
        state.has_read = true;
        Poll::Ready(Ok(length))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        let state = &mut *self.state;
        ready!(state.poll_handshake(context))?;
        ready!(state.poll_transmit(context))?;
        if state.is_shut {
            return Poll::Ready(Err(closed(&"the connection was shut down for writing")));
        }
        // It leaves with the next call of any kind; a task that writes flushes before it waits.
        Poll::Ready(state.session.writer().write(bytes).map_err(|error| closed(&error)))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.state.poll_transmit(context))?;
        self.state.socket.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let state = &mut *self.state;
        // Inside the handshake there is nothing yet that could be taken for complete.
        if !state.is_shut && !state.session.is_handshaking() {
            state.session.send_close_notify();
        }
        state.is_shut = true;
        ready!(state.poll_transmit(context))?;
        state.socket.poll_shutdown(context)
    }

    fn reset(&mut self) {
        self.state.socket.reset();
    }
}

impl<S: Socket> State<S> {
    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll_until(context, |session| (!session.is_handshaking()).then_some(()))
    }

    /// Reads and writes until `get` has something.
    fn poll_until<T>(
        &mut self,
        context: &mut Context<'_>,
        mut get: impl FnMut(&mut Connection) -> Option<T>,
    ) -> Poll<Result<T, Failure>> {
        if let Some(failure) = &self.failed {
            return Poll::Ready(Err(failure.clone()));
        }
        let mut is_at_end = false;
        for _ in 0..TURN {
            // Reading has answers of its own, such as those of the handshake.
            let transmitted = self.poll_transmit(context);
            if let Some(value) = get(&mut self.session) {
                return Poll::Ready(Ok(value));
            }
            if is_at_end {
                return Poll::Ready(Err(self.fail(self.cut_off())));
            }
            match (self.poll_receive(context), transmitted) {
                (Poll::Ready(Ok(length)), _) => is_at_end = length == 0,
                (Poll::Ready(Err(failure)), _) => return Poll::Ready(Err(self.fail(failure))),
                (Poll::Pending, Poll::Ready(Err(failure))) => return Poll::Ready(Err(failure)),
                (Poll::Pending, _) => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes all that the session has to be written.
    fn poll_transmit(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while self.session.wants_write() {
            ready!(self.poll_io(context, |session, io| session.write_tls(io)))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads for the session; ready with 0 at the end, whether that is a proper one or not.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, Failure>> {
        let length = ready!(self.poll_io(context, |session, io| session.read_tls(io)))?;
        match self.session.process_new_packets() {
            Ok(_) => Poll::Ready(Ok(length)),
            Err(error) => {
                // The alert, by which the peer learns why; there is no second chance for it.
                let _ = self.poll_transmit(context);
                Poll::Ready(Err(match self.session {
                    Connection::Client(_) if self.session.is_handshaking() => {
                        fault::of_handshake(&error)
                    }
                    _ => closed(&error),
                }))
            }
        }
    }

    fn poll_io(
        &mut self,
        context: &mut Context<'_>,
        step: impl FnOnce(&mut Connection, &mut Io<'_, '_, S>) -> io::Result<usize>,
    ) -> Poll<Result<usize, Failure>> {
        let mut io = Io { socket: &mut self.socket, context, failure: None };
        match step(&mut self.session, &mut io) {
            Ok(length) => Poll::Ready(Ok(length)),
            Err(error) => match io.failure {
                Some(failure) => Poll::Ready(Err(failure)),
                None if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                None => Poll::Ready(Err(closed(&error))),
            },
        }
    }

    fn cut_off(&self) -> Failure {
        if self.session.is_handshaking() {
            return closed(&"the peer closed the connection in the handshake");
        }
        // Before anything came, there is nothing that could be cut off.
        let kind = if self.has_read { FailureKind::Truncated } else { FailureKind::Closed };
        Failure::new(kind).with_detail("the peer closed the connection without close_notify")
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.failed.insert(failure).clone()
    }
}

impl<S: Socket> Drop for State<S> {
    fn drop(&mut self) {
        if matches!(self.session, Connection::Client(_)) && !self.session.is_handshaking() {
            self.session.send_close_notify();
            // Nobody is there any more to be woken.
            let _ = self.poll_transmit(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// The socket as a session wants it, for one call.
struct Io<'a, 'b, S> {
    socket: &'a mut S,
    context: &'a mut Context<'b>,
    /// What the socket failed of, which an `io::Error` could not hold.
    failure: Option<Failure>,
}

impl<S> Io<'_, '_, S> {
    fn outcome(&mut self, result: Poll<Result<usize, Failure>>) -> io::Result<usize> {
        match result {
            Poll::Ready(Ok(length)) => Ok(length),
            Poll::Ready(Err(failure)) => {
                self.failure = Some(failure);
                Err(io::ErrorKind::Other.into())
            }
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: Socket> Read for Io<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.socket.poll_read(self.context, buffer);
        self.outcome(result)
    }
}

impl<S: Socket> Write for Io<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut result = self.socket.poll_write(self.context, bytes);
        if matches!(result, Poll::Ready(Ok(0))) {
            // Asking again would get the same answer, for ever.
            result = Poll::Ready(Err(FailureKind::Closed.into()));
        }
        self.outcome(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn closed(error: &dyn fmt::Display) -> Failure {
    Failure::caused_by(FailureKind::Closed, error)
}

impl<S: Socket> fmt::Debug for TlsSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSocket").finish_non_exhaustive()
    }
}

impl<S: Socket> Socket for MaybeTls<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        match self {
            Self::Plain(socket) => socket.poll_read(context, buffer),
            Self::Tls(socket) => socket.poll_read(context, buffer),
        }
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        match self {
            Self::Plain(socket) => socket.poll_write(context, bytes),
            Self::Tls(socket) => socket.poll_write(context, bytes),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::Plain(socket) => socket.poll_flush(context),
            Self::Tls(socket) => socket.poll_flush(context),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::Plain(socket) => socket.poll_shutdown(context),
            Self::Tls(socket) => socket.poll_shutdown(context),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Plain(socket) => socket.reset(),
            Self::Tls(socket) => socket.reset(),
        }
    }
}

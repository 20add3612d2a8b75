//! The socket of an event stream, with the end that the stream deserves.

use crate::broker::StreamEnd;
use crate::encode::Framing;
use crate::http1::EmptyLines;
use crate::net::{Failure, FailureKind, Socket, Timer};
use alloc::boxed::Box;
use bytes::{Buf, Bytes};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

/// How long a clean end of a stream may wait for room.
///
/// Its peer has taken all that came before. If it does not take these few bytes, the stream looks
/// cut off, and nothing else is lost.
const END_TIME: Duration = Duration::from_secs(5);

/// How long a plain stream rests before the reset that shows that it is cut off.
///
/// A reset may overtake what was written right before it. What the peer takes meanwhile is safe.
const REST_TIME: Duration = Duration::from_secs(1);

/// A connection that carries an event stream.
///
/// However it is dropped, the peer takes the stream for complete only if
/// a clean [`Closing`] was ready. A chunked stream shows that by its last chunk. The end of
/// a plain one is that of the connection, which is therefore reset where the stream is not complete.
pub(super) struct Wire<S: Socket> {
    io: S,
    framing: Framing,
    empty_lines: EmptyLines,
    is_complete: bool,
}

impl<S: Socket> Wire<S> {
    pub(super) fn new(io: S, framing: Framing) -> Self {
        Self { io, framing, empty_lines: EmptyLines::default(), is_complete: false }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    /// Ready when the peer is gone; with `true` when it has sent what it must not. Empty lines behind
    /// its request are read over.
    pub(super) fn poll_peer(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let mut junk = [0; 16];
        loop {
            match ready!(self.io.poll_read(context, &mut junk)) {
                Ok(length @ 1..) if self.empty_lines.take(&junk[..length]) => {}
                Ok(1..) => return Poll::Ready(true),
                Ok(0) | Err(_) => return Poll::Ready(false),
            }
        }
    }

    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        self.io.poll_write(context, bytes)
    }

    /// Writes until `bytes` is empty.
    pub(super) fn poll_write_all(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut Bytes,
    ) -> Poll<Result<(), Failure>> {
        while !bytes.is_empty() {
            match ready!(self.io.poll_write(context, bytes))? {
                0 => return Poll::Ready(Err(FailureKind::Closed.into())),
                written => bytes.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.io.poll_flush(context)
    }

    /// Ends the connection in good order, once all is written that ends the stream.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.io.poll_shutdown(context))?;
        self.is_complete = true;
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.framing == Framing::Plain && !self.is_complete {
            self.io.reset();
        }
    }
}

/// The end of a stream that is under way, after all that came before was written.
pub(super) struct Closing {
    end: StreamEnd,
    /// What is left of the bytes that end it.
    last: Bytes,
    /// Until when it waits: for room, or for the peer.
    patience: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Closing {
    /// Begins to end a stream; `last` is what ends a complete one.
    pub(super) fn new(timer: &impl Timer, last: &'static [u8], end: StreamEnd) -> Self {
        let (last, time) = match end {
            StreamEnd::Clean => (last, END_TIME),
            StreamEnd::Cut => (&b""[..], REST_TIME),
        };
        let patience = timer.sleep_until(timer.now() + time);
        Self { end, last: Bytes::from_static(last), patience }
    }

    /// Ready when the connection is to be dropped.
    pub(super) fn poll<S: Socket>(
        &mut self,
        wire: &mut Wire<S>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut result = match self.end {
            StreamEnd::Clean => wire.poll_write_all(context, &mut self.last),
            StreamEnd::Cut => wire.poll_flush(context),
        };
        if let Poll::Ready(Ok(())) = result {
            result = match (self.end, wire.framing) {
                (StreamEnd::Clean, _) => wire.poll_end(context),
                (StreamEnd::Cut, Framing::Chunked) => return Poll::Ready(Ok(())),
                (StreamEnd::Cut, Framing::Plain) => Poll::Pending,
            };
        }
        if result.is_pending() {
            ready!(self.patience.as_mut().poll(context));
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        result
    }
}

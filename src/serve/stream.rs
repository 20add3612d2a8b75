//! The long part of a connection: an event stream.
//!
//! There may be very many of these at a time, so the future is small and keeps no buffer: what is
//! pending is joined in a buffer of the thread's, goes out in one write, and what the write did
//! not take goes back to the broker, but for the rest of one frame.

use super::counters::ServerCounters;
use crate::broker::{Batch, Filled};
use crate::encode::Framing;
use crate::http1::EmptyLines;
use crate::hub::Session;
use crate::net::{Failure, FailureKind, Runtime, Socket};
use alloc::boxed::Box;
use bytes::{Buf, Bytes};
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::thread_local;

/// How many bytes go out in one write.
///
/// A write costs the same from one to some sixteen small events; beyond 64 KiB nothing is gained
/// and the buffer leaves the cache.
const BATCH: usize = 64 << 10;

/// How long the end of a stream may wait for room.
///
/// Its peer has taken all that came before. If it does not take these few bytes, the stream looks
/// cut off, and nothing else is lost.
const END_TIME: Duration = Duration::from_secs(5);

/// After how many writes a stream that still has more to write lets other tasks run.
const TURN: usize = 16;

thread_local! {
    static PENDING: RefCell<Batch> = const { RefCell::new(Batch::new(Framing::Chunked)) };
}

pub(super) struct EventStream<S, R> {
    runtime: R,
    io: S,
    session: Session,
    framing: Framing,
    empty_lines: EmptyLines,
    /// In a box, since most streams at most times have none.
    rest: Option<Box<Rest>>,
    counters: ServerCounters,
}

/// What is to be written before there is anything else.
enum Rest {
    /// The rest of one frame, at which a write stopped.
    Frame(Bytes),
    /// The end of the stream, and until when it may wait.
    End(Bytes, Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<S: Socket, R: Runtime> EventStream<S, R> {
    pub(super) fn new(
        runtime: R,
        io: S,
        session: Session,
        framing: Framing,
        counters: ServerCounters,
    ) -> Self {
        let empty_lines = EmptyLines::default();
        Self { runtime, io, session, framing, empty_lines, rest: None, counters }
    }

    /// Ready when the peer is gone, or has sent what it must not.
    fn poll_peer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut junk = [0; 16];
        loop {
            match ready!(self.io.poll_read(context, &mut junk)) {
                Ok(length @ 1..) if self.empty_lines.take(&junk[..length]) => {}
                Ok(1..) => {
                    self.counters.junk_after_stream();
                    return Poll::Ready(());
                }
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Writes what is to be written first; says whether that was the end of the stream.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        let is_end = match self.rest.as_deref_mut() {
            None => return Poll::Ready(Ok(false)),
            Some(Rest::Frame(bytes)) => {
                let before = bytes.len();
                let result = poll_write_all(&mut self.io, context, bytes);
                if !bytes.is_empty() && bytes.len() < before {
                    self.session.handle_progress();
                }
                if result.is_pending() {
                    // The broker is not polled for output meanwhile, so that this alone notices
                    // the end of the session.
                    ready!(self.session.poll_ended(context));
                    return Poll::Ready(Err(FailureKind::Closed.into()));
                }
                ready!(result)?;
                false
            }
            Some(Rest::End(bytes, patience)) => {
                let mut result = poll_write_all(&mut self.io, context, bytes);
                if let Poll::Ready(Ok(())) = result {
                    result = self.io.poll_shutdown(context);
                }
                if result.is_pending() {
                    ready!(patience.as_mut().poll(context));
                    return Poll::Ready(Err(FailureKind::Closed.into()));
                }
                ready!(result)?;
                true
            }
        };
        self.rest = None;
        Poll::Ready(Ok(is_end))
    }

    /// Writes what is pending; ready with an error, or when the stream has ended.
    fn poll_events(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        PENDING.with_borrow_mut(|batch| {
            batch.reset(self.framing);
            for _ in 0..TURN {
                if ready!(self.poll_rest(context))? {
                    return Poll::Ready(Ok(()));
                }
                let Poll::Ready(filled) = self.session.poll_batch(context, BATCH, batch) else {
                    return self.poll_flush(context);
                };
                if let Filled::Ended(_) = filled {
                    let patience = self.runtime.sleep_until(self.runtime.now() + END_TIME);
                    let end = Bytes::from_static(self.framing.end());
                    self.rest = Some(Box::new(Rest::End(end, patience)));
                    continue;
                }
                let written = match self.io.poll_write(context, batch.as_slice()) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                if written < batch.len() {
                    let bytes = self.session.handle_partial_write(batch, written);
                    self.rest = Some(Box::new(Rest::Frame(bytes)));
                } else if filled == Filled::All {
                    return self.poll_flush(context);
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// For a stream that has nothing to do but wait; ready with an error only.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self.io.poll_flush(context) {
            Poll::Ready(Err(failure)) => Poll::Ready(Err(failure)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

fn poll_write_all(
    io: &mut impl Socket,
    context: &mut Context<'_>,
    bytes: &mut Bytes,
) -> Poll<Result<(), Failure>> {
    while !bytes.is_empty() {
        match ready!(io.poll_write(context, bytes))? {
            0 => return Poll::Ready(Err(FailureKind::Closed.into())),
            written => bytes.advance(written),
        }
    }
    Poll::Ready(Ok(()))
}

impl<S: Socket, R: Runtime> Future for EventStream<S, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.poll_peer(context).is_ready() {
            return Poll::Ready(());
        }
        // An error of a write is the end of the connection, as its reset is.
        self.poll_events(context).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_little_room_for_there_will_be_many() {
        // With it and a socket of 32 bytes a task of tokio's takes 256 bytes, which are rounded up
        // to a multiple of 128.
        assert!(size_of::<EventStream<(), ()>>() <= 88, "{}", size_of::<EventStream<(), ()>>());
    }
}

//! The long part of a connection: an event stream.
//!
//! There may be very many of these at a time, so the future is small and keeps no buffer: what is
//! pending is joined in a buffer of the thread's, goes out in one write, and what the write did
//! not take goes back to the broker, but for the rest of one frame.

use super::open::{Holding, Open};
use super::wire::{Closing, Wire};
use crate::broker::{Batch, Filled, StreamEnd};
use crate::encode::Framing;
use crate::hub::Session;
use crate::net::{Failure, FailureKind, Runtime, Socket};
use alloc::boxed::Box;
use bytes::Bytes;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::thread_local;

/// How many bytes go out in one write.
///
/// A write costs the same from one to some sixteen small events; beyond 64 KiB nothing is gained
/// and the buffer leaves the cache.
const BATCH: usize = 64 << 10;

/// After how many writes a stream that still has more to write lets other tasks run.
const TURN: usize = 16;

thread_local! {
    static PENDING: RefCell<Batch> = const { RefCell::new(Batch::new(Framing::Chunked)) };
}

pub(super) struct EventStream<S: Socket, R> {
    runtime: R,
    wire: Wire<S>,
    session: Session,
    /// In a box, since most streams at most times have none.
    rest: Option<Box<Rest>>,
    open: Open,
}

/// What is to be written before there is anything else.
enum Rest {
    Frame(Half),
    End(Closing),
}

/// The rest of one frame, at which a write stopped.
struct Half {
    /// Before the bytes, as it says. It is made when they have to wait.
    holding: Option<Holding>,
    bytes: Bytes,
    /// How many bytes of memory they keep.
    kept: usize,
}

impl<S: Socket, R: Runtime> EventStream<S, R> {
    pub(super) fn new(runtime: R, wire: Wire<S>, session: Session, open: Open) -> Self {
        Self { runtime, wire, session, rest: None, open }
    }

    /// Writes what is to be written first; says whether that was the end of the stream.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        let is_end = match self.rest.as_deref_mut() {
            None => return Poll::Ready(Ok(false)),
            Some(Rest::Frame(Half { holding, bytes, kept })) => {
                let before = bytes.len();
                let result = self.wire.poll_write_all(context, bytes);
                if !bytes.is_empty() && bytes.len() < before {
                    self.session.handle_progress();
                }
                if result.is_pending() {
                    if self.open.poll_gives_way(holding, bytes, *kept, context).is_ready() {
                        self.session.give_way();
                        self.open.counters().stream_given_up();
                        return Poll::Ready(Err(FailureKind::Closed.into()));
                    }
                    // The broker is not polled for output meanwhile, so that this alone notices
                    // the end of the session.
                    ready!(self.session.poll_ended(context));
                    return Poll::Ready(Err(FailureKind::Closed.into()));
                }
                ready!(result)?;
                false
            }
            Some(Rest::End(closing)) => {
                ready!(closing.poll(&mut self.wire, context))?;
                true
            }
        };
        self.rest = None;
        Poll::Ready(Ok(is_end))
    }

    /// Writes what is pending; ready with an error, or when the stream has ended.
    fn poll_events(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        PENDING.with_borrow_mut(|batch| {
            batch.reset(self.wire.framing());
            for _ in 0..TURN {
                if ready!(self.poll_rest(context))? {
                    return Poll::Ready(Ok(()));
                }
                let Poll::Ready(filled) = self.session.poll_batch(context, BATCH, batch) else {
                    return self.poll_flush(context);
                };
                let end = match filled {
                    Ok(Filled::More | Filled::All) => None,
                    Ok(Filled::Ended(_)) => Some(StreamEnd::Clean),
                    Err(_) => Some(StreamEnd::Cut),
                };
                if let Some(end) = end {
                    let closing = Closing::new(&self.runtime, self.wire.framing().end(), end);
                    self.rest = Some(Box::new(Rest::End(closing)));
                    continue;
                }
                let written = match self.wire.poll_write(context, batch.as_slice()) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                if written < batch.len() {
                    let bytes = self.session.handle_partial_write(batch, written);
                    let kept = batch.kept_by(&bytes);
                    let half = Half { holding: None, bytes, kept };
                    self.rest = Some(Box::new(Rest::Frame(half)));
                } else if filled == Ok(Filled::All) {
                    return self.poll_flush(context);
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// For a stream that has nothing to do but wait; ready with an error only.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self.wire.poll_flush(context) {
            Poll::Ready(Err(failure)) => Poll::Ready(Err(failure)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Socket, R: Runtime> Future for EventStream<S, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(is_junk) = self.wire.poll_peer(context) {
            if is_junk {
                self.open.counters().junk_after_stream();
            }
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
        // With a socket of 32 bytes a task of tokio's takes 256 bytes, which are rounded up to a
        // multiple of 128. The socket here is a pointer of two words.
        let size = size_of::<EventStream<Box<dyn Socket>, ()>>() - size_of::<Box<dyn Socket>>();
        assert!(size <= 96, "{size}");
    }
}

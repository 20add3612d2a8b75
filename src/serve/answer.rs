//! The long part of a connection whose answer is a stream of the application's.

use super::open::{Holding, Open};
use super::phase::{Phase, Watcher};
use super::wire::{Closing, Wire};
use crate::answer::{AnswerDriver, AnswerEnd, AnswerStream, Output};
use crate::net::{Runtime, Socket};
use alloc::sync::Arc;
use bytes::{Buf, Bytes};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

/// After how many writes an answer that still has more to write lets other tasks run.
const TURN: usize = 16;

pub(super) struct AnswerConnection<S: Socket, R> {
    runtime: R,
    wire: Wire<S>,
    driver: AnswerDriver,
    /// Of `rest`, and before it.
    holding: Option<Holding>,
    /// What is being written.
    rest: Bytes,
    /// How many bytes of memory it keeps.
    kept: usize,
    closing: Option<Closing>,
    watcher: Arc<Watcher>,
    open: Open,
}

impl<S: Socket, R: Runtime> AnswerConnection<S, R> {
    pub(super) fn new(
        runtime: R,
        wire: Wire<S>,
        stream: AnswerStream,
        watcher: Arc<Watcher>,
        open: Open,
    ) -> Self {
        let driver = AnswerDriver::new(stream, runtime.now(), wire.framing());
        let (holding, rest, kept) = (None, Bytes::new(), 0);
        Self { runtime, wire, driver, holding, rest, kept, closing: None, watcher, open }
    }

    /// Ready when the connection is over.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURN {
            if let Some(closing) = &mut self.closing {
                return closing.poll(&mut self.wire, context).map(drop);
            }
            match self.poll_write(context) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {
                    let Self { open, holding, rest, kept, .. } = self;
                    if open.poll_gives_way(holding, rest, *kept, context).is_ready() {
                        open.counters().stream_given_up();
                        return Poll::Ready(());
                    }
                    ready!(self.driver.poll_stalled(context, &self.runtime));
                    self.open.counters().stalled_answer();
                    return Poll::Ready(());
                }
            }
            let Poll::Ready(output) = self.driver.poll_output(context, &self.runtime) else {
                return match self.wire.poll_flush(context) {
                    Poll::Ready(Err(_)) => Poll::Ready(()),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                };
            };
            match output {
                Output::Bytes(bytes) => {
                    self.kept = bytes.len();
                    self.rest = bytes;
                }
                Output::End(end) => {
                    match end {
                        AnswerEnd::Complete => {}
                        AnswerEnd::Failed => self.open.counters().failed_answer(),
                        AnswerEnd::Stalled => self.open.counters().stalled_answer(),
                    }
                    self.driver.report(end);
                    // The machine has given the bytes that end the stream.
                    self.closing = Some(Closing::new(&self.runtime, b"", end.stream_end()));
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is to be written; ready with `None` when the connection is broken.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        while !self.rest.is_empty() {
            match ready!(self.wire.poll_write(context, &self.rest)) {
                Ok(written @ 1..) => {
                    self.rest.advance(written);
                    self.driver.handle_written(self.runtime.now(), written);
                }
                Ok(0) | Err(_) => return Poll::Ready(None),
            }
        }
        self.holding = None;
        Poll::Ready(Some(()))
    }
}

impl<S: Socket, R: Runtime> Future for AnswerConnection<S, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.watcher.poll(context) == Phase::Aborting {
            return Poll::Ready(());
        }
        if let Poll::Ready(is_junk) = self.wire.poll_peer(context) {
            if is_junk {
                self.open.counters().junk_after_stream();
            }
            return Poll::Ready(());
        }
        self.poll_answer(context)
    }
}

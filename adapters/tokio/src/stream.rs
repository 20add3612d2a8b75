//! The long part of a connection: an event stream.
//!
//! There may be very many of these at a time, so the future is small and keeps no buffer: what is
//! pending is joined in a buffer of the thread's, goes out in one write, and what the write did
//! not take goes back to the broker, but for the rest of one frame.

use crate::counters::Counters;
use bytes::{Buf, Bytes};
use sansse::broker::{Batch, FrameForm};
use sansse::http1::Framing;
use sansse::hub::{Pending, Session};
use std::cell::RefCell;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

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

/// After how many writes a stream that has ever more to write lets others have their turn.
const TURN: usize = 16;

thread_local! {
    static PENDING: RefCell<Batch> = const { RefCell::new(Batch::new(FrameForm::Chunk)) };
}

pub(crate) struct EventStream {
    io: TcpStream,
    session: Session,
    framing: Framing,
    /// In a box, since most streams at most times have none.
    rest: Option<Box<Rest>>,
    counters: Counters,
}

/// What a write stopped at.
struct Rest {
    /// The rest of one frame, or of the end of the stream.
    bytes: Bytes,
    /// Until when it may wait, where it is the end of the stream.
    ending: Option<Pin<Box<Sleep>>>,
}

impl EventStream {
    pub(crate) fn new(
        io: TcpStream,
        session: Session,
        framing: Framing,
        counters: Counters,
    ) -> Self {
        Self { io, session, framing, rest: None, counters }
    }

    /// Ready when the peer is gone, or has sent what it must not.
    fn poll_peer(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut junk = [0; 16];
        while ready!(self.io.poll_read_ready(context)).is_ok() {
            match self.io.try_read(&mut junk) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    self.counters.junk_after_stream();
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    /// Writes what a write stopped at; says whether that was the end of the stream.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(Ok(false)) };
        loop {
            if self.io.poll_write_ready(context)?.is_pending() {
                // Nobody else would notice that the session is over.
                match &mut rest.ending {
                    None => ready!(self.session.poll_ended(context)),
                    Some(sleep) => ready!(sleep.as_mut().poll(context)),
                }
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            let written = try_write(&self.io, &rest.bytes)?;
            rest.bytes.advance(written);
            if rest.bytes.is_empty() {
                let is_end = rest.ending.is_some();
                self.rest = None;
                return Poll::Ready(Ok(is_end));
            }
            if written > 0 && rest.ending.is_none() {
                self.session.handle_progress();
            }
        }
    }

    /// Writes what is pending; ready with an error, or when the stream has ended.
    fn poll_events(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let form = match self.framing {
            Framing::Chunked => FrameForm::Chunk,
            Framing::UntilClose => FrameForm::Payload,
        };
        PENDING.with_borrow_mut(|batch| {
            batch.reset(form);
            for _ in 0..TURN {
                if ready!(self.poll_rest(context))? {
                    return Poll::Ready(Ok(()));
                }
                let pending = ready!(self.session.poll_batch(context, BATCH, batch));
                if pending == Pending::Ended {
                    let end = self.framing.end();
                    let written = try_write(&self.io, end)?;
                    if written == end.len() {
                        return Poll::Ready(Ok(()));
                    }
                    let bytes = Bytes::from_static(&end[written..]);
                    let ending = Some(Box::pin(sleep(END_TIME)));
                    self.rest = Some(Box::new(Rest { bytes, ending }));
                    continue;
                }
                let written = try_write(&self.io, batch.as_slice())?;
                if written < batch.len() {
                    let bytes = self.session.handle_partial_write(batch, written);
                    self.rest = Some(Box::new(Rest { bytes, ending: None }));
                } else if pending == Pending::All {
                    return Poll::Pending;
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }
}

fn try_write(io: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match io.try_write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

impl Future for EventStream {
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
        // With it a task takes 256 bytes, of which the runtime rounds up to a multiple of 128.
        assert!(size_of::<EventStream>() <= 120, "{}", size_of::<EventStream>());
    }
}

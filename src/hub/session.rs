//! What a connection has of its session: a stream of frames, or of batches.

use super::Inner;
use crate::broker::{Batch, EndReason, Filled, Opened, Resumption, SessionId, Transmit};
use crate::encode::Frame;
use alloc::sync::Arc;
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;

/// An open session of a [`Hub`](super::Hub). Dropping it closes the session.
///
/// It is a [`Stream`] of [`Frame`]s, which ends when the session does;
/// [`end_reason`](Self::end_reason) then says why. An application that writes to a socket itself
/// takes many frames for one write by [`poll_batch`](Self::poll_batch).
pub struct Session {
    pub(super) hub: Arc<Inner>,
    opened: Opened,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    NotYet,
    Came(Option<EndReason>),
}

impl Session {
    pub(super) fn new(hub: Arc<Inner>, opened: Opened) -> Self {
        Self { hub, opened, end: End::NotYet }
    }

    /// Returns the session's id.
    pub fn id(&self) -> SessionId {
        self.opened.session
    }

    /// Returns how its resumption went.
    pub fn resumption(&self) -> Resumption {
        self.opened.resumption
    }

    /// Returns why it ended; `None` until a poll has returned the end.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end.reason()
    }

    /// Puts what is pending into `batch`, up to about `limit` bytes, for one write.
    ///
    /// [`Filled::All`]: the batch holds everything. The task is woken when there is more. If the
    /// write takes the whole batch, there is no need to poll before that. `Pending`: there is
    /// nothing now, and the task is woken when there is.
    pub fn poll_batch(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        batch: &mut Batch,
    ) -> Poll<Filled> {
        let (id, end) = (self.opened.session, &mut self.end);
        self.hub.with(id.shard().into(), |shard, now| {
            match shard.broker.poll_transmit_batch(now, id, limit, batch) {
                Filled::More => Poll::Ready(Filled::More),
                Filled::All => {
                    shard.set_waker(id, context.waker());
                    if batch.is_empty() { Poll::Pending } else { Poll::Ready(Filled::All) }
                }
                Filled::Ended(reason) => {
                    end.come(reason);
                    Poll::Ready(Filled::Ended(end.reason()))
                }
            }
        })
    }

    /// Takes back the rest of the newest batch, of which a write took `written` bytes.
    ///
    /// Returns the rest of the one frame at which the write stopped. It must be written before the
    /// next batch.
    pub fn handle_partial_write(&mut self, batch: &Batch, written: usize) -> Bytes {
        let id = self.opened.session;
        self.hub.with(id.shard().into(), |shard, now| {
            shard.broker.handle_partial_write(now, id, batch, written)
        })
    }

    /// Records that the peer took some bytes of what
    /// [`handle_partial_write`](Self::handle_partial_write) returned, so that it has not stalled.
    pub fn handle_progress(&mut self) {
        let id = self.opened.session;
        self.hub.with(id.shard().into(), |shard, now| shard.broker.handle_progress(now, id));
    }

    /// Is ready when the session has ended, without a poll for its output. Poll this while a write
    /// waits for a peer that takes nothing.
    pub fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (id, end) = (self.opened.session, &mut self.end);
        self.hub.with(id.shard().into(), |shard, now| {
            if shard.broker.session(id).is_open() {
                shard.set_waker(id, context.waker());
                return Poll::Pending;
            }
            if let Some(Transmit::Ended(reason)) = shard.broker.poll_transmit(now, id) {
                end.come(reason);
            }
            Poll::Ready(())
        })
    }
}

impl End {
    const fn reason(self) -> Option<EndReason> {
        match self {
            Self::NotYet => None,
            Self::Came(reason) => reason,
        }
    }

    /// Records the end. The broker tells the reason once, so that a later end must not replace it.
    fn come(&mut self, reason: Option<EndReason>) {
        if !matches!(self, Self::Came(Some(_))) {
            *self = Self::Came(reason);
        }
    }
}

impl Stream for Session {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        let Self { hub, opened, end } = &mut *self;
        let id = opened.session;
        hub.with(id.shard().into(), |shard, now| match shard.broker.poll_transmit(now, id) {
            Some(Transmit::Frame(frame)) => Poll::Ready(Some(frame.clone())),
            Some(Transmit::Ended(reason)) => {
                end.come(reason);
                Poll::Ready(None)
            }
            None => {
                shard.set_waker(id, context.waker());
                Poll::Pending
            }
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let id = self.opened.session;
        let waker = self.hub.with(id.shard().into(), |shard, now| {
            shard.broker.handle_disconnect(now, id);
            shard.take_waker(id)
        });
        // Dropping a waker may run any code, so that no lock is held here.
        drop(waker);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("opened", &self.opened)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

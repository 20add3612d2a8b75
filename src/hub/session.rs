//! What a connection has of its session: a stream of frames, or of batches.

use super::Inner;
use crate::broker::{Batch, EndReason, Filled, Opened, Resumption, SessionId, StreamEnd, Transmit};
use crate::encode::Frame;
use crate::fault::Fault;
#[cfg(feature = "http-body")]
use crate::net::Rest;
#[cfg(feature = "http-body")]
use alloc::boxed::Box;
use alloc::sync::Arc;
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
#[cfg(feature = "http-body")]
use core::task::ready;
use core::task::{Context, Poll};
use futures_core::Stream;

/// An open session of a [`Hub`](super::Hub). Dropping it closes the session.
///
/// It is a [`Stream`] of [`Frame`]s, and ends when the session does. A session that has got all that
/// it will ever get ends by `None`. Any other ends by an error, [`Cut`], so that the body of which
/// it is the stream ends by an error too, and the peer is told that something is missing.
/// [`end_reason`](Self::end_reason) says why in either case. An application that writes to a socket
/// itself takes many frames for one write by [`poll_batch`](Self::poll_batch).
///
/// With the feature `http-body` it is the body of a response as well, which joins what is pending.
/// An HTTP stack takes that rather than the stream.
pub struct Session {
    pub(super) hub: Arc<Inner>,
    opened: Opened,
    end: End,
}

/// The end of a stream that is not complete: the session lost something, may get no more, or has to
/// come back for more. A body that carries the stream must end by an error, not in good order.
///
/// Which ends of a session are cuts is said by [`EndReason::stream_end`] and by
/// [`HubBuilder::with_early_end`](super::HubBuilder::with_early_end).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    reason: Option<EndReason>,
}

#[derive(Debug)]
enum End {
    NotYet,
    Came(Option<EndReason>),
    /// The body rests before its error.
    #[cfg(feature = "http-body")]
    Resting(Option<EndReason>, Box<Rest>),
    /// The stream has told it.
    Told(Option<EndReason>),
}

impl Session {
    pub(super) fn new(hub: Arc<Inner>, opened: Opened) -> Self {
        Self { hub, opened, end: End::NotYet }
    }

    /// Returns the session's id.
    pub fn id(&self) -> SessionId {
        self.opened.session
    }

    /// Returns how its resumption went. Of one that was opened as
    /// [waiting](Resumption::Waiting), [`BrokerEvent::SessionResumed`](crate::broker::BrokerEvent)
    /// tells that later.
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
    /// write takes the whole batch, there is no need to poll before that. [`Filled::Ended`]: the
    /// stream is complete, and is to be ended in good order. `Pending`: there is nothing now, and
    /// the task is woken when there is.
    ///
    /// # Errors
    ///
    /// [`Cut`]: the stream has ended and is not complete. The connection is to be closed without the
    /// [end](crate::Framing::end) of the stream. Every further call returns the end again.
    pub fn poll_batch(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
        batch: &mut Batch,
    ) -> Poll<Result<Filled, Cut>> {
        let (id, end) = (self.opened.session, &mut self.end);
        let early_end = self.hub.early_end;
        self.hub.with(id.shard().into(), |shard, now| {
            match shard.broker.poll_transmit_batch(now, id, limit, batch) {
                Filled::More => Poll::Ready(Ok(Filled::More)),
                Filled::All => {
                    shard.set_waker(id, context.waker());
                    if batch.is_empty() { Poll::Pending } else { Poll::Ready(Ok(Filled::All)) }
                }
                Filled::Ended(reason) => {
                    end.come(reason);
                    Poll::Ready(end.outcome(early_end).map(|()| Filled::Ended(end.reason())))
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

    /// Ends the session, since the bytes that its connection holds are needed for others: those of
    /// [`handle_partial_write`](Self::handle_partial_write), which the peer does not take. The
    /// reason is [`EndReason::GaveWay`]. The connection is to be closed without the
    /// [end](crate::Framing::end) of the stream; the peer comes back, and is told what it has missed.
    pub fn give_way(&mut self) {
        let id = self.opened.session;
        self.hub.with(id.shard().into(), |shard, now| shard.broker.give_way(now, id));
        self.end.come(Some(EndReason::GaveWay));
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
    const fn reason(&self) -> Option<EndReason> {
        match self {
            Self::NotYet => None,
            Self::Came(reason) | Self::Told(reason) => *reason,
            #[cfg(feature = "http-body")]
            Self::Resting(reason, _) => *reason,
        }
    }

    /// Says whether the stream is complete. An end without a reason is none that is known to be
    /// good.
    const fn outcome(&self, early_end: StreamEnd) -> Result<(), Cut> {
        match self.reason() {
            Some(reason) if matches!(reason.stream_end(early_end), StreamEnd::Clean) => Ok(()),
            reason => Err(Cut { reason }),
        }
    }

    /// Records the end. The broker tells the reason once, so that a later end must not replace it.
    fn come(&mut self, reason: Option<EndReason>) {
        if self.reason().is_none() {
            *self = Self::Came(reason);
        }
    }
}

impl Stream for Session {
    type Item = Result<Frame, Cut>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { hub, opened, end } = &mut *self;
        if matches!(end, End::Told(_)) {
            return Poll::Ready(None);
        }
        let id = opened.session;
        let early_end = hub.early_end;
        hub.with(id.shard().into(), |shard, now| match shard.broker.poll_transmit(now, id) {
            Some(Transmit::Frame(frame)) => Poll::Ready(Some(Ok(frame.clone()))),
            Some(Transmit::Ended(reason)) => {
                end.come(reason);
                let outcome = end.outcome(early_end);
                *end = End::Told(end.reason());
                Poll::Ready(outcome.err().map(Err))
            }
            None => {
                shard.set_waker(id, context.waker());
                Poll::Pending
            }
        })
    }
}

/// With the feature `http-body`: the body of a response, for hyper, axum and whatever takes a body.
///
/// Frames that are pending together are joined, up to 64 KiB, since an HTTP stack writes few buffers
/// at a time. One that is alone, or of 16 KiB and more, is handed over as it is. A stack polls the
/// body only while it has room for more, so that a peer that takes nothing meets the session's
/// [policy](crate::broker::Lag). The stack itself keeps the connection of such a peer for as long as
/// it likes: put a write deadline around its sockets, such as that of `sansse-axum`.
///
/// A stream that is not complete ends by a [`Cut`], of which a stack makes an aborted chunked coding,
/// or `RST_STREAM`. The body waits 100 ms before that, since stacks drop what they have not written
/// yet when a body fails. [`is_end_stream`](http_body::Body::is_end_stream) is true once the end was
/// given, and there is no size hint. Dropping the body closes the session.
///
/// ```
/// # fn example(hub: &sansse::Hub) -> Result<(), Box<dyn std::error::Error>> {
/// use sansse::broker::SessionConfig;
/// use sansse::http::ResponseHead;
///
/// let head = ResponseHead::new().response(&http::HeaderMap::new());
/// let session = hub.open(SessionConfig::new())?;
/// let response = head.map(|()| session);
/// # fn send(_: http::Response<impl http_body::Body>) {}
/// send(response);
/// # Ok(()) }
/// ```
#[cfg(feature = "http-body")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-body")))]
impl http_body::Body for Session {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        if matches!(this.end, End::NotYet | End::Came(_)) {
            let filled = super::body::with_batch(|batch| {
                let filled = ready!(this.poll_batch(context, super::body::BATCH, batch));
                Poll::Ready(filled.map(|filled| match filled {
                    Filled::More | Filled::All => Some(batch.take_bytes()),
                    Filled::Ended(_) => None,
                }))
            });
            let reason = this.end.reason();
            match ready!(filled) {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(http_body::Frame::data(bytes)))),
                Ok(None) => this.end = End::Told(reason),
                Err(_) => this.end = End::Resting(reason, Box::new(Rest::new(&*this.hub.timer))),
            }
        }
        if let End::Resting(reason, rest) = &mut this.end {
            ready!(rest.poll(context, &*this.hub.timer));
            let reason = *reason;
            this.end = End::Told(reason);
            return Poll::Ready(Some(Err(Cut { reason })));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::Told(_))
    }
}

impl Cut {
    /// Returns why the session ended; `None` where somebody else was told.
    pub const fn reason(self) -> Option<EndReason> {
        self.reason
    }

    /// Returns whose fault it is.
    pub const fn fault(self) -> Fault {
        match self.reason {
            Some(
                EndReason::Lagged { .. }
                | EndReason::Stalled
                | EndReason::LeaseExpired
                | EndReason::Revoked,
            ) => Fault::Peer,
            Some(EndReason::Evicted | EndReason::GaveWay) => Fault::Limit,
            Some(EndReason::Disconnected) => Fault::Transport,
            _ => Fault::State,
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event stream is cut off")?;
        self.reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl core::error::Error for Cut {}

impl Drop for Session {
    fn drop(&mut self) {
        let id = self.opened.session;
        let waker = self.hub.with(id.shard().into(), |shard, now| {
            shard.broker.handle_disconnect(now, id);
            shard.take_waker(id)
        });
        // Dropping a waker may run any code, so that no lock is held here.
        self.hub.let_go(waker);
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

//! One connection: requests and plain answers first, then perhaps an event stream.

use crate::counters::Counters;
use crate::stream::EventStream;
use crate::time::now;
use bytes::{Buf, Bytes};
use http::{Request, Response};
use sansse::http1::{Framing, RespondError, Server as Machine};
use sansse::hub::{Answer, Session};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout_at;

/// How far the server's shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Aborting,
}

/// The future of a connection.
///
/// An enum by hand, so that a stream takes the room of a stream alone: all that the exchange
/// before it needed is freed when it begins.
pub(crate) enum Connection {
    Exchange(Pin<Box<dyn Future<Output = Option<EventStream>> + Send>>),
    Stream(EventStream),
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Exchange(exchange) => match ready!(exchange.as_mut().poll(context)) {
                    Some(stream) => *self = Self::Stream(stream),
                    None => return Poll::Ready(()),
                },
                Self::Stream(stream) => return Pin::new(stream).poll(context),
            }
        }
    }
}

/// The requests of a connection, up to one that is answered by an event stream.
pub(crate) struct Exchange {
    pub(crate) io: TcpStream,
    /// From the acceptance: a socket whose peer is gone no longer knows it.
    pub(crate) peer: SocketAddr,
    pub(crate) machine: Machine,
    pub(crate) counters: Counters,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Exchange {
    /// Answers requests; gives the event stream that one of them asked for.
    pub(crate) async fn run<H, F, A>(self, handler: H) -> Option<EventStream>
    where
        H: Fn(Request<Bytes>) -> F,
        F: Future<Output = A>,
        A: Into<Answer>,
    {
        unless_aborted(self.phase.clone(), self.answer(handler)).await.flatten()
    }

    /// Says the one thing that it has to say to a connection that is too many.
    pub(crate) async fn refuse(self, response: Response<Bytes>) {
        unless_aborted(self.phase.clone(), self.say(response)).await;
    }

    async fn answer<H, F, A>(mut self, handler: H) -> Option<EventStream>
    where
        H: Fn(Request<Bytes>) -> F,
        F: Future<Output = A>,
        A: Into<Answer>,
    {
        loop {
            self.write().await?;
            if self.has_ended() {
                return None;
            }
            let Some(mut request) = self.machine.poll_request() else {
                self.wait().await;
                continue;
            };
            self.counters.request();
            request.extensions_mut().insert(self.peer);
            match handler(request).await.into() {
                // The machine refuses only what it cannot send, and then the connection ends.
                Answer::Response(response) => self.machine.respond(now(), response).ok()?,
                Answer::Stream(head, session) => match self.machine.respond_stream(now(), head) {
                    Ok(framing) => return self.stream(session, framing).await,
                    // The peer is at fault, and the machine has answered.
                    Err(RespondError::Closed(_)) => {}
                    Err(_) => return None,
                },
            }
        }
    }

    async fn say(mut self, response: Response<Bytes>) {
        if self.machine.refuse(now(), response).is_err() {
            return;
        }
        while self.write().await.is_some() && !self.has_ended() {
            self.wait().await;
        }
    }

    async fn stream(mut self, session: Session, framing: Framing) -> Option<EventStream> {
        self.write().await?;
        self.counters.stream();
        Some(EventStream::new(self.io, session, framing, self.counters))
    }

    /// Shuts the writing side when it is time to; says whether the connection is over.
    fn has_ended(&mut self) -> bool {
        if let Some(reason) = self.machine.close_reason() {
            self.counters.closed(reason);
            return true;
        }
        if self.machine.wants_shutdown() {
            // Again and again does no harm.
            let _ = socket2::SockRef::from(&self.io).shutdown(std::net::Shutdown::Write);
        }
        false
    }

    /// Writes all that the machine has; `None` if the connection is over.
    async fn write(&mut self) -> Option<()> {
        while let Some(mut bytes) = self.machine.poll_transmit(now()) {
            while !bytes.is_empty() {
                let deadline = self.machine.poll_timeout();
                if let Some(ready) = before(deadline, self.io.writable()).await {
                    ready.ok()?;
                } else {
                    self.machine.handle_timeout(now());
                    if self.has_ended() {
                        return None;
                    }
                }
                match self.io.try_write(&bytes) {
                    Ok(written) => bytes.advance(written),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return None,
                }
            }
        }
        Some(())
    }

    /// Waits for bytes, for a deadline of the machine or for the shutdown.
    async fn wait(&mut self) {
        let deadline = self.machine.poll_timeout();
        let wants_data = self.machine.wants_data();
        let happened = {
            let mut changed = pin!(self.phase.changed());
            let io = &self.io;
            before(
                deadline,
                poll_fn(|context| {
                    // First, since a peer that never stops asking is no reason to stay.
                    if changed.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Happened::PhaseChanged);
                    }
                    if wants_data && io.poll_read_ready(context).is_ready() {
                        return Poll::Ready(Happened::Readable);
                    }
                    Poll::Pending
                }),
            )
            .await
        };
        match happened {
            None => self.machine.handle_timeout(now()),
            Some(Happened::Readable) => self.read(),
            Some(Happened::PhaseChanged) => {
                if *self.phase.borrow_and_update() != Phase::Serving {
                    self.machine.drain(now());
                }
            }
        }
    }

    /// The buffer is on the stack and not held across an await, so that a connection that waits
    /// has none.
    fn read(&mut self) {
        let mut buffer = [0; 8 << 10];
        match self.io.try_read(&mut buffer) {
            Ok(length @ 1..) => self.machine.handle_data(now(), &buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A reset is an end too, after which the machine knows what there is to count.
            Ok(0) | Err(_) => self.machine.handle_eof(now()),
        }
    }
}

enum Happened {
    Readable,
    PhaseChanged,
}

/// The future's output; `None` when the server gives up what is under way, whatever that waits
/// for. A server that was dropped has no more phases, and is no more.
async fn unless_aborted<F: Future>(
    mut phase: watch::Receiver<Phase>,
    future: F,
) -> Option<F::Output> {
    let aborted = async { drop(phase.wait_for(|phase| *phase == Phase::Aborting).await) };
    unless(pin!(aborted), future).await
}

/// The future's output; `None` when `end` comes first.
pub(crate) async fn unless<F: Future>(
    mut end: Pin<&mut impl Future<Output = ()>>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// The future's output; `None` when the deadline comes first.
async fn before<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline.into(), future).await.ok(),
        None => Some(future.await),
    }
}

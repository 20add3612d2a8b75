//! One connection: requests and plain answers first, then perhaps an event stream.

use super::answer::AnswerConnection;
use super::counters::ServerCounters;
use super::door::Door;
use super::finish::Finish;
use super::open::{Holding, Open};
use super::phase::{Phase, Watcher};
use super::stream::EventStream;
use super::wire::Wire;
use crate::answer::AnswerStream;
use crate::encode::Framing;
use crate::http1::{RespondError, ServerConnection as Machine};
use crate::hub::{Answer, Lacking, Session};
use crate::net::{Runtime, Socket, Timer};
use alloc::boxed::Box;
use alloc::sync::Arc;
use bytes::{Buf, Bytes};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use http::{Method, Request};
use std::time::Instant;

/// How long a connection that is too many has to say what it wants. A peer that is there for it sends
/// its request with the connection, or right behind it.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// Gives the stream that a request asked for.
type Answering<S, R> = Pin<Box<dyn Future<Output = Option<Connection<S, R>>> + Send>>;

/// The future of a connection.
///
/// An enum by hand, so that a stream takes the room of a stream alone: all that the exchange
/// before it needed is freed when it begins.
pub(super) enum Connection<S: Socket, R> {
    Exchange(Answering<S, R>),
    Stream(EventStream<S, R>),
    /// In a box, since it is larger, and has a box for its events anyway.
    Answer(Box<AnswerConnection<S, R>>),
}

impl<S: Socket, R: Runtime> Future for Connection<S, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Exchange(exchange) => match ready!(exchange.as_mut().poll(context)) {
                    Some(stream) => *self = stream,
                    None => return Poll::Ready(()),
                },
                Self::Stream(stream) => return Pin::new(stream).poll(context),
                Self::Answer(answer) => return Pin::new(answer).poll(context),
            }
        }
    }
}

/// What an event stream consists of.
enum Body {
    Session(Session),
    Events(AnswerStream),
}

/// The requests of a connection, up to one that is answered by an event stream.
///
/// It is in a box, since a future has room for what it calls with once for each call.
pub(super) struct Exchange<S, R> {
    runtime: R,
    io: S,
    machine: Machine,
    counters: ServerCounters,
    door: Arc<Door>,
    watcher: Arc<Watcher>,
    /// The last phase that the machine was told of.
    phase: Phase,
    is_shut: bool,
    /// Whether the peer's side of the connection has ended, properly or not.
    has_peer_left: bool,
    /// Of what the machine holds, and of the request that the handler has.
    holding: Option<Holding>,
    /// How many bytes the body of that request has; `None` while the handler has none.
    handed_out: Option<usize>,
    /// The last to go, so that whatever waits for this finds all else gone. A connection that is too
    /// many has none.
    open: Option<Open>,
}

impl<S: Socket, R: Runtime> Exchange<S, R> {
    pub(super) fn new(
        runtime: R,
        io: S,
        machine: Machine,
        counters: ServerCounters,
        door: Arc<Door>,
        watcher: Arc<Watcher>,
    ) -> Box<Self> {
        let phase = Phase::Serving;
        Box::new(Self {
            runtime,
            io,
            machine,
            counters,
            door,
            watcher,
            phase,
            is_shut: false,
            has_peer_left: false,
            holding: None,
            handed_out: None,
            open: None,
        })
    }

    /// Answers requests; gives the stream that one of them asked for.
    pub(super) async fn run<P, H, F, A>(
        mut self: Box<Self>,
        open: Open,
        peer: P,
        handler: H,
    ) -> Option<Connection<S, R>>
    where
        P: Clone + Send + Sync + 'static,
        H: Fn(Request<Bytes>) -> F,
        F: Future<Output = A>,
        A: Into<Answer>,
    {
        self.open = Some(open);
        unless_aborted(self.watcher.clone(), self.answer(peer, handler)).await.flatten()
    }

    /// Says the one thing that it has to say to a connection that is too many.
    pub(super) async fn refuse(self: Box<Self>) {
        unless_aborted(self.watcher.clone(), self.say_too_many()).await;
    }

    async fn answer<P, H, F, A>(
        mut self: Box<Self>,
        peer: P,
        handler: H,
    ) -> Option<Connection<S, R>>
    where
        P: Clone + Send + Sync + 'static,
        H: Fn(Request<Bytes>) -> F,
        F: Future<Output = A>,
        A: Into<Answer>,
    {
        loop {
            self.write().await?;
            if self.has_ended() {
                return None;
            }
            self.count_held();
            let Some(mut request) = self.machine.poll_request() else {
                self.wait().await;
                continue;
            };
            if let Err(foreign) = self.door.check(&request) {
                self.counters.foreign();
                self.machine.respond(self.runtime.now(), foreign.response()).ok()?;
                continue;
            }
            self.counters.request();
            request.extensions_mut().insert(peer.clone());
            let finish = Finish::default();
            request.extensions_mut().insert(finish.clone());
            let is_head = *request.method() == Method::HEAD;
            self.handed_out = Some(request.body().len());
            self.count_held();
            let answer = self.unless_left(handler(request), &finish).await?.into();
            self.handed_out = None;
            self.count_held();
            let now = self.runtime.now();
            let (head, body) = match answer {
                // The machine refuses only what it cannot send, and then the connection ends.
                Answer::Response(response) => {
                    self.machine.respond(now, response).ok()?;
                    continue;
                }
                Answer::Stream(head, session) => (head, Body::Session(session)),
                Answer::Events(head, events) => (head, Body::Events(events)),
            };
            if is_head {
                // All that a HEAD request asks for, whatever the handler made of it.
                self.machine.respond(now, head.map(|()| Bytes::new())).ok()?;
                continue;
            }
            match self.machine.respond_stream(now, head) {
                Ok(framing) => return self.stream(body, framing).await,
                // The peer is at fault, and the machine has answered.
                Err(RespondError::Closed(_)) => {}
                Err(_) => return None,
            }
        }
    }

    async fn say_too_many(mut self: Box<Self>) {
        let runtime = self.runtime.clone();
        let patience = runtime.now() + REFUSAL_TIME;
        loop {
            if self.write().await.is_none() || self.has_ended() {
                return;
            }
            if self.machine.request_head().is_some()
                || before(&runtime, Some(patience), self.wait()).await.is_none()
            {
                break;
            }
        }
        let response = self.door.no_room(&self.machine, Lacking::Connections);
        // An error is that the connection is about to end already.
        let _ = self.machine.refuse(runtime.now(), response);
        while self.write().await.is_some() && !self.has_ended() {
            self.wait().await;
        }
    }

    async fn stream(mut self: Box<Self>, body: Body, framing: Framing) -> Option<Connection<S, R>> {
        self.write().await?;
        self.counters.stream();
        let open = self.open?;
        let wire = Wire::new(self.io, framing);
        Some(match body {
            Body::Session(session) => {
                Connection::Stream(EventStream::new(self.runtime, wire, session, open))
            }
            Body::Events(events) => {
                let answer = AnswerConnection::new(self.runtime, wire, events, self.watcher, open);
                Connection::Answer(Box::new(answer))
            }
        })
    }

    /// Says whether the connection is over.
    fn has_ended(&self) -> bool {
        let reason = self.machine.close_reason();
        if let Some(reason) = reason {
            self.counters.closed(reason);
        }
        reason.is_some()
    }

    /// Writes all that the machine has; `None` if the connection is over.
    async fn write(&mut self) -> Option<()> {
        while let Some(bytes) = self.machine.poll_transmit(self.runtime.now()) {
            self.write_all(bytes).await?;
        }
        self.in_time(|this, context| this.io.poll_flush(context)).await?.ok()
    }

    async fn write_all(&mut self, mut bytes: Bytes) -> Option<()> {
        // Where others have it too, the application keeps it, and this costs nothing.
        let kept = if bytes.is_unique() { bytes.len() } else { 0 };
        // Dropped before the bytes, as it says.
        let mut holding = None;
        while !bytes.is_empty() {
            let write = |this: &mut Self, context: &mut Context<'_>| {
                let written = this.io.poll_write(context, &bytes);
                if written.is_pending()
                    && let Some(open) = &this.open
                    && open.poll_gives_way(&mut holding, &bytes, kept, context).is_ready()
                {
                    this.counters.answer_given_up();
                    return Poll::Ready(Ok(0));
                }
                written
            };
            match self.in_time(write).await? {
                Ok(written @ 1..) => bytes.advance(written),
                Ok(0) | Err(_) => return None,
            }
        }
        Some(())
    }

    /// What `poll` gives; `None` if the connection is over before.
    async fn in_time<T>(
        &mut self,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        loop {
            let deadline = self.machine.poll_timeout();
            let timer = self.runtime.clone();
            let result = poll_fn(|context| poll(self, context));
            if let Some(result) = before(&timer, deadline, result).await {
                return Some(result);
            }
            self.machine.handle_timeout(self.runtime.now());
            if self.has_ended() {
                return None;
            }
        }
    }

    /// Waits for bytes, for a deadline of the machine or for the shutdown.
    async fn wait(&mut self) {
        let runtime = self.runtime.clone();
        let deadline = self.machine.poll_timeout();
        let happened = poll_fn(|context| self.poll_peer(context));
        if before(&runtime, deadline, happened).await.is_none() {
            self.machine.handle_timeout(runtime.now());
        }
    }

    /// What a handler's future gives; `None` when its peer is gone before, and it is not to be
    /// finished anyway.
    async fn unless_left<F: Future>(&mut self, handler: F, finish: &Finish) -> Option<F::Output> {
        let mut handler = pin!(handler);
        poll_fn(|context| {
            // First, so that what is answered at once is answered to the one who asked.
            if let Poll::Ready(answer) = handler.as_mut().poll(context) {
                return Poll::Ready(Some(answer));
            }
            loop {
                if self.has_peer_left && !finish.is_asked() {
                    self.counters.abandoned();
                    return Poll::Ready(None);
                }
                // Requests that are pipelined come in meanwhile, as far as there is room for them.
                ready!(self.poll_peer(context));
            }
        })
        .await
    }

    /// Ready when the machine was told something.
    fn poll_peer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // First, since a peer that never stops asking is no reason to stay.
        let phase = self.watcher.poll(context);
        if phase != self.phase {
            self.phase = phase;
            self.machine.drain(self.runtime.now());
            return Poll::Ready(());
        }
        if self.handed_out.is_none()
            && let Some(holding) = &mut self.holding
            && holding.poll_gives_way(context).is_ready()
        {
            self.give_way();
            return Poll::Ready(());
        }
        if self.machine.wants_shutdown() && !self.is_shut {
            self.is_shut = self.io.poll_shutdown(context).is_ready();
        }
        if !self.machine.wants_data() {
            return Poll::Pending;
        }
        // On the stack and not held across an await, so that a connection that waits has none.
        let mut buffer = [0; 8 << 10];
        let read = ready!(self.io.poll_read(context, &mut buffer));
        let now = self.runtime.now();
        if let Ok(length @ 1..) = read {
            self.machine.handle_data(now, &buffer[..length]);
            self.count_held();
        } else {
            // A reset is an end too, after which the machine knows what there is to count.
            self.has_peer_left = true;
            self.machine.handle_eof(now);
        }
        Poll::Ready(())
    }

    /// Counts what is held of requests.
    fn count_held(&mut self) {
        if let Some(open) = &self.open {
            let bytes = self.handed_out.unwrap_or(0) + self.machine.held();
            open.hold(&mut self.holding, bytes, self.handed_out.is_some());
        }
    }

    /// Lets go of a request that is not complete.
    fn give_way(&mut self) {
        self.holding = None;
        let response = self.door.no_room(&self.machine, Lacking::Memory);
        // An error is that the connection is about to end already.
        if self.machine.refuse(self.runtime.now(), response).is_ok() {
            self.counters.request_given_up();
        }
    }
}

/// The future's output; `None` when the server gives up what is under way, whatever that waits
/// for.
async fn unless_aborted<F: Future>(watcher: Arc<Watcher>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match watcher.poll(context) {
        Phase::Aborting => Poll::Ready(None),
        Phase::Serving | Phase::Draining => future.as_mut().poll(context).map(Some),
    })
    .await
}

/// The future's output; `None` when `end` comes first.
pub(super) async fn unless<F: Future>(
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
pub(super) async fn before<F: Future>(
    timer: &impl Timer,
    deadline: Option<Instant>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            // A sleep may end early.
            if deadline <= timer.now() {
                return Poll::Ready(None);
            }
            ready!(sleep.get_or_insert_with(|| timer.sleep_until(deadline)).as_mut().poll(context));
            sleep = None;
        }
    })
    .await
}

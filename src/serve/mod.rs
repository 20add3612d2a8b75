//! A small HTTP/1.1 server over any runtime's sockets: event streams and plain answers on one
//! port.
//!
//! An adapter brings the two things that it takes: a [`Runtime`], which tells the time and spawns
//! tasks, and a [`Listener`], which accepts connections as [`Socket`]s. An application with an HTTP
//! stack needs none of this: there a [`Session`](crate::hub::Session) goes into the body of a
//! response.
//!
//! # Many tabs
//!
//! Over HTTP/1.1 a browser opens six connections to one host, for all its tabs together. Six tabs
//! with an `EventSource` each leave none for anything else, and a seventh waits until one of them
//! is closed. There are two ways out. A proxy in front that speaks HTTP/2 lets a browser have some
//! hundred streams. Or the tabs share one stream: `shared-event-source.js`, in the project's
//! `examples/live/src/page`, is an `EventSource` of which one tab has the connection, and it may be
//! taken as it is.

mod answer;
mod connection;
mod counters;
mod door;
mod finish;
mod phase;
mod stream;
mod wire;

pub use counters::{ServerCounters, ServerCountersSnapshot};
pub use finish::finish_anyway;

use crate::http::Hosts;
use crate::http1::{ServerConnection as Machine, ServerConnectionConfig};
use crate::hub::{Answer, Hub};
use crate::net::{Listener, Runtime, Socket};
use alloc::boxed::Box;
use alloc::sync::Arc;
use bytes::Bytes;
use connection::{Connection, Exchange, before, unless};
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use counters::Open;
use door::Door;
use http::Request;
use phase::{Phase, Phases};

/// A small HTTP/1.1 server: event streams and plain answers on one port.
///
/// The handler is called for each request, with its whole body, and answers it: with an event
/// stream, mostly by [`Hub::accept`], or with any response. The request carries the listener's
/// [`Peer`](Listener::Peer) among its extensions.
///
/// # Peers that leave
///
/// A handler whose peer has left works for nobody. The server notices it while the handler waits,
/// by the proper end of the connection as well as by a reset, and drops the handler's future. A
/// handler that is to be finished nevertheless asks for it: [`finish_anyway`].
///
/// A peer that ends its own side of the connection, and would still read, counts as one that has
/// left: the two look the same, and the second is what happens. Browsers and HTTP libraries never
/// end one side alone. A peer that does gets the answers that are ready at once, and those of
/// handlers that asked to be finished.
///
/// What a peer sends behind its request waits for its turn. Where that is more than [a
/// head](ServerConnectionConfig::with_max_head_size) may have, nothing more is read before the
/// answer, and the peer's leaving is noticed later.
///
/// # Several listeners
///
/// Clones serve on several listeners at a time. They share what is counted, and so the limit on
/// connections. The shutdown of each waits for the connections of all.
#[derive(Clone, Debug)]
pub struct Server<R> {
    runtime: R,
    hub: Hub,
    http: ServerConnectionConfig,
    hosts: Option<Hosts>,
    max_connections: u64,
    shutdown_time: Duration,
    counters: ServerCounters,
}

/// How many connections that are too many may be told so at a time; more are just closed.
const MAX_REFUSALS: usize = 256;

/// How long accepting rests after an error such as too many open files, which only others' closing
/// can mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl<R: Runtime> Server<R> {
    /// Makes a server on `runtime` whose shutdown closes `hub`.
    pub fn new(runtime: R, hub: Hub) -> Self {
        Self {
            runtime,
            hub,
            http: ServerConnectionConfig::default(),
            hosts: None,
            max_connections: 10_000,
            shutdown_time: Duration::from_secs(10),
            counters: ServerCounters::default(),
        }
    }

    /// Sets the limits on requests: sizes and times.
    pub fn with_http(mut self, config: ServerConnectionConfig) -> Self {
        self.http = config;
        self
    }

    /// Answers requests for these hosts alone, and of pages of their own origin, of the origins given
    /// there, or of those that the hub's [`Cors`](crate::http::Cors) lets read. Any other gets 403,
    /// and the handler does not see it. Default: all requests are answered.
    ///
    /// A server on this machine or inside a network, which relies on who can reach it, needs this:
    /// any page that somebody there opens can ask it too. [`Hosts`] says how.
    ///
    /// ```
    /// use sansse::Hub;
    /// use sansse::http::Hosts;
    /// use sansse::net::Runtime;
    /// use sansse::serve::Server;
    ///
    /// /// A server that is asked by its address, or as `localhost`.
    /// fn server<R: Runtime>(runtime: R, hub: Hub) -> Server<R> {
    ///     Server::new(runtime, hub).with_hosts(Hosts::new())
    /// }
    /// ```
    pub fn with_hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Sets how many connections may be open at a time. Default 10,000, which is below the usual
    /// limit of open files: running out of those is worse.
    ///
    /// One more is told to come back later, at a time that the hub
    /// [gives out](crate::hub::Hub::retry_after), and closed. It is told so by a stream if its
    /// request is a GET that accepts `text/event-stream` by name, as every `EventSource` says it,
    /// and the hub [refuses by stream](crate::hub::RefuseBy); otherwise by 503 with `Retry-After`.
    /// The peer has 2 s to send its request. At most 256 connections are told at a time; more are just
    /// closed, which an `EventSource` takes for a network error, and comes back.
    pub fn with_max_connections(mut self, connections: u64) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets how long a shutdown waits for what is under way; `Duration::MAX` for as long as it takes.
    /// Default 10 s, which is what most process supervisors grant.
    pub fn with_shutdown_time(mut self, time: Duration) -> Self {
        self.shutdown_time = time;
        self
    }

    /// Returns a view of what the server counts.
    pub fn counters(&self) -> ServerCounters {
        self.counters.clone()
    }

    /// Serves until `shutdown` is ready, and then shuts down. The server then accepts no more and
    /// closes the hub, so that each stream gets what was published and then its end. Requests that
    /// are under way are answered. All that may take the shutdown time at most.
    ///
    /// Each connection is a task of the runtime. Dropping the future is no shutdown: nothing more
    /// is accepted and connections end after the answer that is under way, but the hub stays open
    /// and event streams go on.
    pub async fn serve<L, H, F, A>(
        self,
        mut listener: L,
        shutdown: impl Future<Output = ()>,
        handler: H,
    ) where
        L: Listener,
        H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = A> + Send + 'static,
        A: Into<Answer> + 'static,
    {
        let phases = Phases::default();
        let door = Arc::new(Door::new(self.hub.clone(), self.hosts));
        let refusals = Arc::new(());
        let mut shutdown = pin!(shutdown);
        loop {
            let accept = poll_fn(|context| listener.poll_accept(context));
            let Some(accepted) = unless(shutdown.as_mut(), accept).await else { break };
            let Ok((io, peer)) = accepted else {
                self.counters.accept_error();
                let pause = self.runtime.sleep_until(self.runtime.now() + ACCEPT_PAUSE);
                if unless(shutdown.as_mut(), pause).await.is_none() {
                    break;
                }
                continue;
            };
            self.counters.accepted();
            let is_too_many = self.counters.open() >= self.max_connections;
            let http = if is_too_many {
                // It is answered before its body is read, however large that is.
                self.http.with_max_body_size(usize::MAX)
            } else {
                self.http
            };
            let now = self.runtime.now();
            let mut machine = Machine::new(now, http);
            machine.set_time_of_day(now, self.runtime.time_of_day());
            let exchange = Exchange::new(
                self.runtime.clone(),
                io,
                machine,
                self.counters.clone(),
                door.clone(),
                Arc::new(phases.watch()),
            );
            if is_too_many {
                self.counters.refused();
                if Arc::strong_count(&refusals) <= MAX_REFUSALS {
                    let permit = refusals.clone();
                    self.runtime.spawn(async move {
                        exchange.refuse().await;
                        drop(permit);
                    });
                }
            } else {
                let open = self.counters.opened();
                let exchange = Box::pin(exchange.run(peer, handler.clone()));
                let connection = Connection::Exchange(exchange);
                self.runtime.spawn(Counted { connection, open });
            }
        }
        drop(listener);
        self.hub.close();
        phases.enter(Phase::Draining);
        let gone = poll_fn(|context| self.counters.poll_gone(context));
        // A time beyond what an `Instant` can hold never comes.
        let patience = self.runtime.now().checked_add(self.shutdown_time);
        if before(&self.runtime, patience, gone).await.is_none() {
            self.hub.abort();
            phases.enter(Phase::Aborting);
        }
    }
}

/// A connection that counts as open while it exists, also if its handler panics.
struct Counted<S: Socket, R> {
    connection: Connection<S, R>,
    #[expect(dead_code, reason = "it works by being dropped")]
    open: Open,
}

impl<S: Socket, R: Runtime> Future for Counted<S, R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(context)
    }
}

//! A small HTTP/1.1 server over any runtime's sockets: event streams and plain answers on one
//! port.
//!
//! An adapter brings the two things that it takes: a [`Runtime`], which tells the time and spawns
//! tasks, and a [`Listener`], which accepts connections as [`Socket`](crate::net::Socket)s. An
//! application with an HTTP stack needs none of this: there a [`Session`](crate::hub::Session) goes
//! into the body of a response.
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
mod budget;
mod connection;
mod counters;
mod door;
mod finish;
#[cfg(feature = "metrics")]
mod metrics;
mod open;
mod phase;
mod stream;
#[cfg(feature = "tracing")]
mod trace;
mod wire;

pub use counters::{ServerCounters, ServerCountersSnapshot};
pub use finish::finish_anyway;

use crate::http::Hosts;
use crate::http1::{ServerConnection as Machine, ServerConnectionConfig};
use crate::hub::{Answer, Hub};
use crate::net::{Failure, Listener, Runtime};
use alloc::boxed::Box;
use alloc::sync::Arc;
use budget::PeerKey;
use bytes::Bytes;
use connection::{Connection, Exchange, before, unless};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::time::Duration;
use door::Door;
use http::Request;
use open::Open;
use phase::{Phase, Phases};
use std::time::Instant;

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
/// # What it holds
///
/// What a peer sends is held until it is whole, and what a peer does not take until it does. For each
/// connection that has a limit: of a [head](ServerConnectionConfig::with_max_head_size), of a
/// [body](ServerConnectionConfig::with_max_body_size), of an event. For all together it is
/// [`with_max_held_bytes`](Self::with_max_held_bytes), beyond which the largest give way.
///
/// # Several listeners
///
/// Clones serve on several listeners at a time. They share what is counted, and so the limits on
/// connections and on what is held. The shutdown of each waits for the connections of all.
#[derive(Clone, Debug)]
pub struct Server<R> {
    runtime: R,
    hub: Hub,
    http: ServerConnectionConfig,
    hosts: Option<Hosts>,
    /// `None`: as many as there is room for.
    max_connections: Option<u64>,
    shutdown_time: Duration,
    counters: ServerCounters,
}

/// How many connections may be open at a time, where nothing is set and the process may have enough
/// files.
const MAX_CONNECTIONS: u64 = 10_000;

/// How many connections that are too many may be told so at a time; more are just closed.
const MAX_REFUSALS: usize = 256;

/// How often it is logged, at most, that accepting fails.
#[cfg(feature = "tracing")]
const ACCEPT_LOG_TIME: Duration = Duration::from_secs(10);

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
            max_connections: None,
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

    /// Sets how many connections may be open at a time. Default: three quarters of the files that the
    /// process may open, and 10,000 at most; 10,000 where the [listener](Listener::max_open_files)
    /// does not know of a limit on files. Running out of those is worse, for the application as well.
    /// A quarter is left for its own files, and for connections that are told that they are too many.
    /// [`max_connections`](ServerCountersSnapshot::max_connections) is the value in force.
    ///
    /// One more is told to come back later, at a time that the hub
    /// [gives out](crate::hub::Hub::retry_after), and closed. It is told so by a stream if its
    /// request is a GET that accepts `text/event-stream` by name, as every `EventSource` says it,
    /// and the hub [refuses by stream](crate::hub::RefuseBy); otherwise by 503 with `Retry-After`.
    /// The peer has 2 s to send its request. At most 256 connections are told at a time, and at most a
    /// sixteenth of the files; more are just closed, which an `EventSource` takes for a network
    /// error, and comes back.
    pub fn with_max_connections(mut self, connections: u64) -> Self {
        self.max_connections = Some(connections);
        self
    }

    /// Sets how many bytes may be held for the peers of all connections together; any number. It holds
    /// for all clones of the server. Default 67,108,864 (64 MiB), which a machine of 512 MiB has to
    /// spare: 64 of the largest bodies, or the rest of 16 events of 4 MiB.
    ///
    /// When it is more, the *peer* that holds most gives way, by the connection of its that holds
    /// most; and so on until it is no more than this. Of two that are equal, the one that has held
    /// longer gives way. A peer is an address where the listener's [`Peer`](Listener::Peer) is a
    /// [`SocketAddr`](core::net::SocketAddr) or an [`IpAddr`](core::net::IpAddr), of IPv6 the first 64
    /// bits of one; otherwise it is a connection. Behind a proxy all connections are of one peer, and
    /// the largest connection gives way.
    ///
    /// | What counts | From when | How it gives way |
    /// | --- | --- | --- |
    /// | a request that is not complete | its first byte | 503 with `Retry-After`, and the connection is closed |
    /// | a request that the handler has | it is complete | not at all: it counts until the answer |
    /// | the rest of an event that the peer does not take | the write that waits | its stream is cut, and its session ends by [`GaveWay`](crate::broker::EndReason::GaveWay); the peer comes back, and is told what it has missed |
    /// | the rest of what an [answer](crate::answer) has written | the write that waits | its stream is cut |
    /// | the rest of any other answer, unless the application keeps the same [`Bytes`] too | the write that waits | the connection is closed |
    ///
    /// Up to 4 KiB of one connection do not count. An event that many wait to take counts once, and
    /// for each of their peers a part of it. Nobody gives way who holds all that is held, so that an
    /// answer or an event that is larger than this reaches a peer; but with others beside it, the
    /// larger ones give way. A request body may have this size at most: a larger one is answered
    /// with 413.
    ///
    /// What the logs of the hub keep is not part of it: for that there is
    /// [`BrokerLimits`](crate::broker::BrokerLimits).
    pub fn with_max_held_bytes(self, bytes: usize) -> Self {
        self.counters.budget().set_limit(bytes);
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
        let (max_connections, max_refusals) = room(self.max_connections, listener.max_open_files());
        self.counters.set_max_connections(max_connections);
        let held_bytes = self.counters.budget().limit();
        let http = self.http.with_body_size_at_most(held_bytes);
        #[cfg(feature = "tracing")]
        trace::serving(max_connections, listener.max_open_files(), held_bytes);
        let mut failing = Failing::default();
        let mut shutdown = pin!(shutdown);
        loop {
            let accept = poll_fn(|context| listener.poll_accept(context));
            let Some(accepted) = unless(shutdown.as_mut(), accept).await else { break };
            let (io, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(failure) => {
                    self.counters.accept_error();
                    failing.log(self.runtime.now(), &failure);
                    let pause = self.runtime.sleep_until(self.runtime.now() + ACCEPT_PAUSE);
                    if unless(shutdown.as_mut(), pause).await.is_none() {
                        break;
                    }
                    continue;
                }
            };
            let number = self.counters.accepted();
            let is_too_many = self.counters.open() >= max_connections;
            // Such a one is answered before its body is read, however large that is.
            let http = if is_too_many { http.with_max_body_size(usize::MAX) } else { http };
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
                if Arc::strong_count(&refusals) <= max_refusals {
                    let permit = refusals.clone();
                    self.runtime.spawn(async move {
                        exchange.refuse().await;
                        drop(permit);
                    });
                }
            } else {
                let open = Open::new(self.counters.clone(), PeerKey::of(&peer, number));
                let exchange = Box::pin(exchange.run(open, peer, handler.clone()));
                self.runtime.spawn(Connection::Exchange(exchange));
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

/// How many connections may be open at a time, and how many beside them be told that they are too
/// many.
fn room(connections: Option<u64>, open_files: Option<u64>) -> (u64, usize) {
    let files = open_files.unwrap_or(u64::MAX);
    let connections = connections.unwrap_or_else(|| (files / 4 * 3).clamp(1, MAX_CONNECTIONS));
    let refusals = usize::try_from(files / 16).unwrap_or(usize::MAX).clamp(1, MAX_REFUSALS);
    (connections, refusals)
}

/// Keeps the log from filling up while accepting fails.
#[derive(Debug, Default)]
struct Failing {
    #[cfg(feature = "tracing")]
    since: u64,
    #[cfg(feature = "tracing")]
    next: Option<Instant>,
}

impl Failing {
    #[cfg(feature = "tracing")]
    fn log(&mut self, now: Instant, failure: &Failure) {
        self.since += 1;
        if self.next.is_none_or(|next| next <= now) {
            trace::accept_failed(failure, core::mem::take(&mut self.since));
            self.next = now.checked_add(ACCEPT_LOG_TIME);
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "there is no log")]
    fn log(&mut self, _: Instant, _: &Failure) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_limit_on_connections_leaves_files_to_the_application() {
        assert_eq!(room(None, None), (10_000, 256));
        assert_eq!(room(None, Some(1 << 20)), (10_000, 256));
        assert_eq!(room(None, Some(1024)), (768, 64));
        assert_eq!(room(None, Some(256)), (192, 16));
        // What is set is meant.
        assert_eq!(room(Some(5_000), Some(1024)), (5_000, 64));
        for files in 0..2_000 {
            let (connections, refusals) = room(None, Some(files));
            assert!(connections >= 1 && refusals >= 1);
            assert!(files < 8 || connections + refusals as u64 <= files - files / 8, "{files}");
        }
    }
}

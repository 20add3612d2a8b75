//! The accept loop: how many connections, and how it ends.

use crate::connection::{Connection, Exchange, Phase, unless};
use crate::counters::Counters;
use crate::time::now;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use sansse::Hub;
use sansse::http1::{Server as Machine, ServerConfig};
use sansse::hub::Answer;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Serves with the defaults of [`Server`], for ever.
pub async fn serve<H, F, A>(listener: TcpListener, hub: Hub, handler: H)
where
    H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = A> + Send + 'static,
    A: Into<Answer> + 'static,
{
    Server::new(hub).serve(listener, pending(), handler).await;
}

/// A small HTTP/1.1 server: event streams and plain answers on one port.
///
/// The handler is called for each request, with its whole body, and answers it: with an event
/// stream, mostly by [`Hub::accept`], or with any response. The request carries the peer's
/// [`SocketAddr`](std::net::SocketAddr) among its extensions.
///
/// Clones are for serving on several listeners at a time: they share what is counted, and so the
/// limit on connections, and the shutdown of each waits for the connections of all.
#[derive(Clone, Debug)]
pub struct Server {
    hub: Hub,
    http: ServerConfig,
    max_connections: u64,
    shutdown_time: Duration,
    unacknowledged_time: Option<Duration>,
    counters: Counters,
    /// Told when the last connection is gone; shared by clones, as what they count is.
    all_gone: Arc<Notify>,
}

/// How many connections that are too many may be told so at a time; more are just closed.
const MAX_REFUSALS: usize = 256;

/// How long accepting rests after an error such as too many open files, which only others' closing
/// can mend.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What those who are too many are told to wait, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

impl Server {
    /// A server whose shutdown closes `hub`.
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            http: ServerConfig::default(),
            max_connections: 10_000,
            shutdown_time: Duration::from_secs(10),
            unacknowledged_time: Some(Duration::from_secs(60)),
            counters: Counters::default(),
            all_gone: Arc::default(),
        }
    }

    /// The limits on requests: sizes and times.
    pub fn with_http(mut self, config: ServerConfig) -> Self {
        self.http = config;
        self
    }

    /// How many connections may be open at a time; one more is answered 503 with `Retry-After`.
    /// Default 10,000: below the usual limit of open files on a server, which is worse to meet.
    pub fn with_max_connections(mut self, connections: u64) -> Self {
        self.max_connections = connections;
        self
    }

    /// How long a shutdown waits for what is under way. Default 10 s, which is what most process
    /// supervisors grant.
    pub fn with_shutdown_time(mut self, time: Duration) -> Self {
        self.shutdown_time = time;
        self
    }

    /// After how long a connection is given up whose peer acknowledges nothing that was sent
    /// (`TCP_USER_TIMEOUT`, RFC 5482; on Linux, Android and Fuchsia; elsewhere the system's own
    /// time holds, often 15 minutes). Default 60 s. With heartbeats this finds a peer that vanished
    /// without a word, since a heartbeat is something sent. `None`: the system's own.
    ///
    /// Linux counts a peer that answers, but takes nothing for this time, as such too: a longer
    /// stall timeout of the broker needs a longer time here.
    pub fn with_unacknowledged_time(mut self, time: Option<Duration>) -> Self {
        self.unacknowledged_time = time;
        self
    }

    /// A view of what the server counts.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Serves until `shutdown` is ready, and then shuts down: it accepts no more, closes the hub,
    /// so that each stream gets what was published and then its end, lets requests that are under
    /// way be answered, and waits for all that for the shutdown time at most.
    ///
    /// Each connection is a task on the current runtime.
    pub async fn serve<H, F, A>(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        handler: H,
    ) where
        H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = A> + Send + 'static,
        A: Into<Answer> + 'static,
    {
        let (phase, watcher) = watch::channel(Phase::Serving);
        let refusals = Arc::new(());
        let mut shutdown = pin!(shutdown);
        while let Some(accepted) = unless(shutdown.as_mut(), listener.accept()).await {
            let Ok((io, peer)) = accepted else {
                self.counters.accept_error();
                if unless(shutdown.as_mut(), sleep(ACCEPT_PAUSE)).await.is_none() {
                    break;
                }
                continue;
            };
            self.counters.accepted();
            self.prepare(&io);
            let exchange = Exchange {
                io,
                peer,
                machine: Machine::new(now(), self.http),
                counters: self.counters.clone(),
                phase: watcher.clone(),
            };
            if self.counters.open() < self.max_connections {
                let guard = Guard::new(self.counters.clone(), self.all_gone.clone());
                let exchange = exchange.run(handler.clone());
                tokio::spawn(Guarded {
                    connection: Connection::Exchange(Box::pin(exchange)),
                    guard,
                });
            } else {
                self.counters.refused();
                if Arc::strong_count(&refusals) <= MAX_REFUSALS {
                    let permit = refusals.clone();
                    tokio::spawn(async move {
                        exchange.refuse(too_many()).await;
                        drop(permit);
                    });
                }
            }
        }
        drop(listener);
        self.hub.close();
        phase.send_replace(Phase::Draining);
        let gone = async {
            loop {
                let notified = self.all_gone.notified();
                if self.counters.open() == 0 {
                    return;
                }
                notified.await;
            }
        };
        if timeout(self.shutdown_time, gone).await.is_err() {
            self.hub.abort();
            phase.send_replace(Phase::Aborting);
        }
    }

    /// Sets what can be set; a peer that is gone already shows soon enough.
    fn prepare(&self, io: &TcpStream) {
        // Events are to go out when they are published, not when more follow.
        let _ = io.set_nodelay(true);
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
        if let Some(time) = self.unacknowledged_time {
            let _ = socket2::SockRef::from(io).set_tcp_user_timeout(Some(time));
        }
    }
}

fn too_many() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Too many connections.\n"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}

/// A connection that counts as open while it exists, also if its handler panics.
struct Guarded {
    connection: Connection,
    #[expect(dead_code, reason = "it works by being dropped")]
    guard: Guard,
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.connection).poll(context)
    }
}

struct Guard {
    counters: Counters,
    all_gone: Arc<Notify>,
}

impl Guard {
    fn new(counters: Counters, all_gone: Arc<Notify>) -> Self {
        counters.opened();
        Self { counters, all_gone }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.counters.gone() {
            self.all_gone.notify_waiters();
        }
    }
}

//! What a server does for event streams: [`ServeStreams`], [`Streams`].

use crate::deadline;
use actix_http::body::MessageBody;
use actix_http::{Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory};
use actix_web::dev::AppConfig;
use actix_web::{Error, HttpServer, rt};
use sansse::Hub;
use sansse::broker::Drain;
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

/// Over which time streams end at a shutdown, by default.
const OVER: Duration = Duration::from_secs(1);
/// How long after that readers may still take what they have not got.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a peer may take nothing, by default.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// As good as for ever, in seconds, and no time that cannot be added to another.
const LONGEST: u64 = 1 << 30;

/// A server of actix-web that carries event streams, so that they neither outlive the server nor their
/// readers. It is there for every [`HttpServer`]:
///
/// ```no_run
/// use actix_web::{App, HttpServer, web};
/// use sansse_actix::ServeStreams;
/// # async fn events() -> &'static str { "" }
///
/// # #[actix_web::main]
/// # async fn main() -> std::io::Result<()> {
/// let hub = sansse_actix::hub();
/// let streams = web::Data::new(hub.clone());
/// HttpServer::new(move || {
///     App::new().app_data(streams.clone()).route("/events", web::to(events))
/// })
/// .serve_streams(hub)
/// .bind(("127.0.0.1", 8080))?
/// .run()
/// .await
/// # }
/// ```
pub trait ServeStreams {
    /// Sets what event streams need of a server, of which actix-web's defaults have nothing:
    ///
    /// - At Ctrl-C and SIGTERM the [hub](Streams) is [drained](Streams::with_drain) and the server
    ///   stops. All streams end within 3 s, and their readers come back later. By its defaults,
    ///   actix-web would give up all connections at Ctrl-C, and wait for 30 s at SIGTERM.
    /// - What has not ended 3 s after that is given up, whatever it is (`shutdown_timeout`).
    /// - A peer that takes nothing for [60 s](Streams::with_write_deadline) although bytes wait for it
    ///   loses its connection, where the system can do that.
    /// - A peer that leaves closes its session at once (`h1_allow_half_closed(false)`), and not after
    ///   two heartbeats.
    /// - What is written to a TCP connection goes out at once (`tcp_nodelay`).
    ///
    /// Call it before `bind` and `listen`: those settle what is done to new connections
    /// (`on_connect`). A setting that the server sets after this one takes its place.
    ///
    /// A server that is stopped by its `ServerHandle` drains no hub. Streams then end without a word
    /// when the 3 s are over. Have the handle's caller call [`Hub::drain`] first, or wait for it by
    /// [`Streams::with_signal`].
    ///
    /// ```
    /// use actix_web::{App, HttpServer};
    /// use sansse_actix::ServeStreams;
    ///
    /// # fn example(hub: sansse::Hub) {
    /// // The same for several servers.
    /// let one = HttpServer::new(App::new).serve_streams(&hub);
    /// let other = HttpServer::new(App::new).serve_streams(&hub);
    /// # }
    /// ```
    fn serve_streams(self, streams: impl Into<Streams>) -> Self;
}

impl<F, I, S, B> ServeStreams for HttpServer<F, I, S, B>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    fn serve_streams(self, streams: impl Into<Streams>) -> Self {
        let Streams { hubs, drain, longest, write_deadline, signal } = streams.into();
        let stop = async move {
            signal.await;
            for hub in &hubs {
                // It fails where the application has closed or drained the hub itself.
                let _ = hub.drain(drain.clone());
            }
        };
        let whole_seconds = longest.as_secs().saturating_add((longest.subsec_nanos() > 0).into());
        self.h1_allow_half_closed(false)
            .tcp_nodelay(true)
            .shutdown_timeout(whole_seconds.min(LONGEST))
            .shutdown_signal(stop)
            .on_connect(move |io, _| {
                if let Some(stream) = io.downcast_ref::<rt::net::TcpStream>() {
                    // It fails on a connection that is broken already.
                    let _ = deadline::set(stream, write_deadline);
                }
            })
    }
}

/// The event streams of a server: of which hubs, and how they end. For
/// [`serve_streams`](ServeStreams::serve_streams), which also takes a [`Hub`] alone.
///
/// ```
/// use actix_web::{App, HttpServer};
/// use sansse_actix::{ServeStreams, Streams};
/// use std::time::Duration;
///
/// # fn example(hub: sansse::Hub) {
/// let streams = Streams::new(hub).with_write_deadline(Some(Duration::from_secs(20)));
/// let server = HttpServer::new(App::new).serve_streams(streams);
/// # }
/// ```
#[must_use = "it is for a server"]
pub struct Streams {
    hubs: Vec<Hub>,
    drain: Drain,
    longest: Duration,
    write_deadline: Option<Duration>,
    signal: Signal,
}

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Streams {
    /// Makes the streams of a hub, with the defaults.
    ///
    /// ```
    /// # fn example(hub: sansse::Hub) {
    /// let streams = sansse_actix::Streams::new(hub);
    /// # }
    /// ```
    pub fn new(hub: Hub) -> Self {
        Self {
            hubs: vec![hub],
            drain: Drain::new(OVER).with_patience(PATIENCE),
            longest: OVER + PATIENCE,
            write_deadline: Some(WRITE_DEADLINE),
            signal: Box::pin(stopped()),
        }
    }

    /// Adds another hub.
    ///
    /// ```
    /// # fn example(hub: sansse::Hub, other: sansse::Hub) {
    /// let streams = sansse_actix::Streams::new(hub).with_hub(other);
    /// # }
    /// ```
    pub fn with_hub(mut self, hub: Hub) -> Self {
        self.hubs.push(hub);
        self
    }

    /// Sets how streams end when the server stops, and after how long all connections are given up
    /// that are there still: the drain's period and its patience. actix-web looks once a second, and
    /// counts whole seconds, of which this gets the next. Default: over 1 s, with 2 s of patience, so
    /// that a supervisor that waits 5 s is content.
    ///
    /// ```
    /// # fn example(hub: sansse::Hub) {
    /// use sansse::broker::Drain;
    /// use sansse_actix::Streams;
    /// use std::time::Duration;
    ///
    /// let [over, patience] = [20, 5].map(Duration::from_secs);
    /// let drain = Drain::new(over).with_patience(patience);
    /// let streams = Streams::new(hub).with_drain(drain, over + patience);
    /// # }
    /// ```
    pub fn with_drain(mut self, drain: Drain, longest: Duration) -> Self {
        self.drain = drain;
        self.longest = longest;
        self
    }

    /// Sets how long a peer may take nothing although bytes wait for it; `None`: as long as the system
    /// lets it. Default 60 s, as long as a [hub](sansse::broker::SessionDefaults::stall_timeout) waits
    /// by default. It concerns all responses on connections of plain TCP. For those of TLS,
    /// [set it on the listener](crate::set_write_deadline).
    ///
    /// ```
    /// # fn example(hub: sansse::Hub) {
    /// use sansse_actix::Streams;
    /// use std::time::Duration;
    ///
    /// let streams = Streams::new(hub).with_write_deadline(Some(Duration::from_secs(20)));
    /// # }
    /// ```
    pub const fn with_write_deadline(mut self, time: Option<Duration>) -> Self {
        self.write_deadline = time;
        self
    }

    /// Sets what stops the server, in place of Ctrl-C and SIGTERM.
    ///
    /// ```
    /// # fn example(hub: sansse::Hub) {
    /// use sansse_actix::Streams;
    ///
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let streams = Streams::new(hub).with_signal(async { drop(stopped.await) });
    /// // Some time later:
    /// let _ = stop.send(());
    /// # }
    /// ```
    pub fn with_signal(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Box::pin(signal);
        self
    }
}

impl From<Hub> for Streams {
    fn from(hub: Hub) -> Self {
        Self::new(hub)
    }
}

impl From<&Hub> for Streams {
    fn from(hub: &Hub) -> Self {
        Self::new(hub.clone())
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("hubs", &self.hubs)
            .field("drain", &self.drain)
            .field("longest", &self.longest)
            .field("write_deadline", &self.write_deadline)
            .finish_non_exhaustive()
    }
}

/// Waits for Ctrl-C, or for what stops a service: SIGTERM. A signal that cannot be listened for ends
/// the process as it always does.
async fn stopped() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminations) => drop(terminations.recv().await),
        Err(_) => pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    pending().await
}

//! What accepts connections for `axum::serve`: [`Listener`].

use crate::WriteDeadline;
use sansse::Hub;
use sansse::broker::Drain;
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::watch;

/// Accepts connections for `axum::serve`, so that event streams neither outlive the server nor their
/// readers.
///
/// - When the server stops to accept, as it does at a graceful shutdown, the [hub](Self::with_hub) is
///   [drained](Self::with_drain): all streams end within 4 s, and their readers come back later.
///   Without this, `with_graceful_shutdown` waits for as long as anybody reads.
/// - A peer that takes nothing for [60 s](Self::with_write_deadline) although bytes wait for it is
///   given up, and its connection reset. From a shutdown on that is 4 s at most.
/// - From a shutdown on, a peer to which nothing goes out for 4 s is given up too, whatever it still
///   owes: the rest of a request, or an answer by HTTP/2. Otherwise axum would wait for it.
/// - What is written to a TCP connection goes out at once (`TCP_NODELAY`).
///
/// ```no_run
/// use axum::Router;
/// use sansse_axum::Listener;
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let hub = sansse_axum::hub();
/// let listener = Listener::bind("127.0.0.1:8080").await?.with_hub(hub.clone());
/// # let routes: Router = Router::new();
/// axum::serve(listener, routes)
///     .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
///     .await
/// # }
/// ```
///
/// For `ConnectInfo<SocketAddr>` of axum, add `.tap_io(|_| ())` of `axum::serve::ListenerExt`: axum
/// knows the address of such a listener, and of no other but its own.
pub struct Listener<L: axum::serve::Listener = TcpListener> {
    listener: L,
    write_deadline: Option<Duration>,
    prepare: Option<fn(&L::Io)>,
    reset: Option<fn(&L::Io)>,
    closing: Closing,
}

/// What is done when the listener is dropped.
struct Closing {
    hubs: Vec<Hub>,
    drain: Drain,
    longest: Duration,
    hurry: watch::Sender<Option<Duration>>,
}

/// Over which time streams end at a shutdown, by default.
const OVER: Duration = Duration::from_secs(1);
/// How long after that readers may still take what they have not got.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a peer may take nothing, by default.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`].
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// let listener = sansse_axum::Listener::bind("127.0.0.1:8080").await?;
    /// # Ok(()) }
    /// ```
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::new)
    }

    /// Accepts the connections of a listener that is there.
    ///
    /// ```
    /// # fn example(listener: std::net::TcpListener) -> std::io::Result<()> {
    /// listener.set_nonblocking(true)?;
    /// let listener = tokio::net::TcpListener::from_std(listener)?;
    /// let listener = sansse_axum::Listener::new(listener);
    /// # Ok(()) }
    /// ```
    pub fn new(listener: TcpListener) -> Self {
        let mut listener = Self::around(listener);
        // Each fails on a connection that is broken already.
        listener.prepare = Some(|stream: &TcpStream| drop(stream.set_nodelay(true)));
        listener.reset = Some(|stream| {
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        });
        listener
    }
}

impl<L: axum::serve::Listener> Listener<L> {
    /// Accepts the connections of any other listener for axum, such as of a Unix socket or with TLS.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn example() -> std::io::Result<()> {
    /// let socket = tokio::net::UnixListener::bind("/run/events.sock")?;
    /// let listener = sansse_axum::Listener::around(socket);
    /// # Ok(()) }
    /// ```
    pub fn around(listener: L) -> Self {
        let closing = Closing {
            hubs: Vec::new(),
            drain: Drain::new(OVER).with_patience(PATIENCE),
            longest: OVER + PATIENCE,
            hurry: watch::Sender::new(None),
        };
        Self { listener, write_deadline: Some(WRITE_DEADLINE), prepare: None, reset: None, closing }
    }

    /// Adds a hub whose streams end when the server stops to accept.
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// let hub = sansse_axum::hub();
    /// let listener = sansse_axum::Listener::bind("127.0.0.1:8080").await?.with_hub(hub.clone());
    /// # Ok(()) }
    /// ```
    pub fn with_hub(mut self, hub: Hub) -> Self {
        self.closing.hubs.push(hub);
        self
    }

    /// Sets how streams end when the server stops to accept, and how long that takes at most: the
    /// drain's period and its patience. From then on, peers that take nothing, and peers to which
    /// nothing goes out, are given up after that time. Default: over 1 s, with 3 s of patience, so that a supervisor that waits 5 s is content.
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use sansse::broker::Drain;
    /// use std::time::Duration;
    ///
    /// let [over, patience] = [20, 5].map(Duration::from_secs);
    /// let listener = sansse_axum::Listener::bind("127.0.0.1:8080")
    ///     .await?
    ///     .with_hub(sansse_axum::hub())
    ///     .with_drain(Drain::new(over).with_patience(patience), over + patience);
    /// # Ok(()) }
    /// ```
    pub fn with_drain(mut self, drain: Drain, longest: Duration) -> Self {
        self.closing.drain = drain;
        self.closing.longest = longest;
        self
    }

    /// Sets how long a peer may take nothing although bytes wait for it; `None`: for ever. Default
    /// 60 s, as long as a [hub](sansse::broker::SessionDefaults::stall_timeout) waits by default. It
    /// concerns all responses of the server.
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use std::time::Duration;
    ///
    /// let listener = sansse_axum::Listener::bind("127.0.0.1:8080")
    ///     .await?
    ///     .with_write_deadline(Some(Duration::from_secs(20)));
    /// # Ok(()) }
    /// ```
    pub const fn with_write_deadline(mut self, time: Option<Duration>) -> Self {
        self.write_deadline = time;
        self
    }
}

impl<L: axum::serve::Listener> axum::serve::Listener for Listener<L> {
    type Io = WriteDeadline<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, L::Addr) {
        let (io, address) = self.listener.accept().await;
        if let Some(prepare) = self.prepare {
            prepare(&io);
        }
        let time = self.write_deadline.unwrap_or(Duration::MAX);
        let mut io = WriteDeadline::new(io, time).with_hurry(self.closing.hurry.subscribe());
        if let Some(reset) = self.reset {
            io = io.on_expiry(reset);
        }
        (io, address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.hurry.send_replace(Some(self.longest));
        for hub in &self.hubs {
            // It fails where the application has closed or drained the hub itself.
            let _ = hub.drain(self.drain.clone());
        }
    }
}

impl<L: axum::serve::Listener + fmt::Debug> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("listener", &self.listener)
            .field("write_deadline", &self.write_deadline)
            .finish_non_exhaustive()
    }
}

//! A client's connections as a test sees them: where they lead, what is read, which are held.

use sansse::net::{Connector, Failure, FailureKind, Socket, Target};
use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

/// What there is to be seen of all connections of a client.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    connections: Arc<Mutex<Vec<Watched>>>,
}

/// A connection that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// How many bytes the client has read.
    pub(crate) read: u64,
    /// How often it asked for bytes.
    pub(crate) asked: u64,
    /// Whether the client holds it, or waits for it.
    pub(crate) is_held: bool,
}

/// Where a connection leads, whatever the URL says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// To the peer of the test.
    Peer,
    /// To where nobody listens.
    Nobody,
    /// Nowhere, for a reason that a connector can have without a network.
    Failure(FailureKind),
}

/// A connector whose connections lead to the peer of the test, and are watched.
pub(crate) struct Watching<C> {
    connector: C,
    peer: SocketAddr,
    watch: Watch,
    /// Of the next connections; all others lead to the peer.
    routes: Mutex<VecDeque<Route>>,
}

pub(crate) struct WatchedSocket<S> {
    socket: S,
    held: Held,
}

impl Watch {
    /// How many connections were asked for.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn connection(&self, number: usize) -> Option<Watched> {
        self.lock().get(number).cloned()
    }

    /// How many bytes were read of a connection.
    pub(crate) fn read(&self, number: usize) -> u64 {
        self.connection(number).map_or(0, |connection| connection.read)
    }

    /// How many connections the client holds, or waits for.
    pub(crate) fn held(&self) -> usize {
        self.lock().iter().filter(|connection| connection.is_held).count()
    }

    /// What changes whenever the client has read something or let go of a connection.
    pub(crate) fn progress(&self) -> (usize, u64, usize) {
        let read = self.lock().iter().map(|connection| connection.read).sum();
        (self.count(), read, self.held())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.connections.lock().unwrap()
    }
}

impl<C> Watching<C> {
    pub(crate) fn new(connector: C, peer: SocketAddr) -> Self {
        Self { connector, peer, watch: Watch::default(), routes: Mutex::default() }
    }

    pub(crate) fn with_routes(self, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.lock().unwrap().extend(routes);
        self
    }

    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

impl<C: Connector> Connector for Watching<C> {
    type Socket = WatchedSocket<C::Socket>;

    fn connect(
        &self,
        mut target: Target,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        let watched = Watched { read: 0, asked: 0, is_held: true };
        self.watch.lock().push(watched);
        let held = Held { watch: self.watch.clone(), number: self.watch.count() - 1 };
        let route = self.routes.lock().unwrap().pop_front().unwrap_or(Route::Peer);
        let port = match route {
            Route::Peer => self.peer.port(),
            // Below those that a system gives out by itself.
            Route::Nobody | Route::Failure(_) => 1,
        };
        (target.host, target.port) = (Ipv4Addr::LOCALHOST.to_string(), port);
        // Those who speak no TLS would refuse it, and the peer of a test speaks none.
        target.secure = false;
        let connecting = self.connector.connect(target);
        async move {
            if let Route::Failure(kind) = route {
                return Err(kind.into());
            }
            Ok(WatchedSocket { socket: connecting.await?, held })
        }
    }
}

/// Says when nobody holds a connection, or waits for it, any more.
struct Held {
    watch: Watch,
    number: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.watch.lock()[self.number].is_held = false;
    }
}

impl<S: Socket> Socket for WatchedSocket<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let read = self.socket.poll_read(context, buffer);
        let mut connections = self.held.watch.lock();
        let connection = &mut connections[self.held.number];
        connection.asked += 1;
        if let Poll::Ready(Ok(length)) = read {
            connection.read += length as u64;
        }
        read
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        self.socket.poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.socket.poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.socket.poll_shutdown(context)
    }

    fn reset(&mut self) {
        self.socket.reset();
    }
}

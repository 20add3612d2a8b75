//! A network in memory that is as narrow as one likes.

use super::PATIENCE;
use sansse::net::{Connector, Failure, FailureKind, Listener, Socket, Target};
use sansse_tls::{MaybeTls, Tls, TlsListener, TlsSocket, rustls};
use std::collections::VecDeque;
use std::future::{Future, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::time::timeout;

/// One end of a connection. Dropping it closes the connection, without a word of TLS.
pub(crate) struct MemorySocket {
    reads: Arc<Mutex<Direction>>,
    writes: Arc<Mutex<Direction>>,
}

#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    /// The most bytes that one call moves.
    step: usize,
    capacity: usize,
    is_closed: bool,
    is_reset: bool,
    waiting: Vec<Waker>,
}

impl Direction {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// A connection whose calls move at most `step` bytes, and that holds at most `capacity` in each
/// direction.
pub(crate) fn pipe(step: usize, capacity: usize) -> (MemorySocket, MemorySocket) {
    let direction = || Arc::new(Mutex::new(Direction { step, capacity, ..Direction::default() }));
    let (there, back) = (direction(), direction());
    let near = MemorySocket { reads: back.clone(), writes: there.clone() };
    (near, MemorySocket { reads: there, writes: back })
}

impl Socket for MemorySocket {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut direction = self.reads.lock().unwrap();
        let length = buffer.len().min(direction.step).min(direction.bytes.len());
        if length == 0 && !direction.is_closed {
            direction.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        if length == 0 && direction.is_reset {
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        for (into, byte) in buffer.iter_mut().zip(direction.bytes.drain(..length)) {
            *into = byte;
        }
        direction.wake();
        Poll::Ready(Ok(length))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut direction = self.writes.lock().unwrap();
        if direction.is_closed {
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        let room = direction.capacity - direction.bytes.len();
        let length = bytes.len().min(direction.step).min(room);
        if length == 0 {
            direction.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        direction.bytes.extend(&bytes[..length]);
        direction.wake();
        Poll::Ready(Ok(length))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut direction = self.writes.lock().unwrap();
        direction.is_closed = true;
        direction.wake();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self) {
        self.writes.lock().unwrap().is_reset = true;
    }
}

impl Drop for MemorySocket {
    fn drop(&mut self) {
        for direction in [&self.reads, &self.writes] {
            let mut direction = direction.lock().unwrap();
            direction.is_closed = true;
            direction.wake();
        }
    }
}

/// Gives one connection, and then refuses.
pub(crate) struct MemoryConnector(Mutex<Option<MemorySocket>>);

impl MemoryConnector {
    pub(crate) fn new(socket: MemorySocket) -> Self {
        Self(Mutex::new(Some(socket)))
    }
}

impl Connector for MemoryConnector {
    type Socket = MemorySocket;

    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<MemorySocket, Failure>> + Send + 'static {
        assert!(!target.secure, "securing is not for the connector inside");
        ready(self.0.lock().unwrap().take().ok_or(FailureKind::Connect.into()))
    }
}

/// Accepts one connection, and then none.
pub(crate) struct MemoryListener(pub(crate) Option<MemorySocket>);

impl Listener for MemoryListener {
    type Socket = MemorySocket;
    type Peer = ();

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<Result<(MemorySocket, ()), Failure>> {
        self.0.take().map_or(Poll::Pending, |socket| Poll::Ready(Ok((socket, ()))))
    }
}

/// The client's end, once the handshake is done.
pub(crate) async fn secure(
    socket: MemorySocket,
    config: rustls::ClientConfig,
) -> Result<TlsSocket<MemorySocket>, Failure> {
    secure_to("https://localhost/", socket, config).await
}

pub(crate) async fn secure_to(
    url: &str,
    socket: MemorySocket,
    config: rustls::ClientConfig,
) -> Result<TlsSocket<MemorySocket>, Failure> {
    let target = Target::of(&url.parse().unwrap()).unwrap();
    match Tls::new(MemoryConnector::new(socket), config).connect(target).await? {
        MaybeTls::Tls(socket) => Ok(socket),
        MaybeTls::Plain(_) => panic!("it is to be secured"),
    }
}

/// The server's end, which has done nothing yet.
pub(crate) async fn accept(
    socket: MemorySocket,
    config: rustls::ServerConfig,
) -> TlsSocket<MemorySocket> {
    let mut listener = TlsListener::new(MemoryListener(Some(socket)), config);
    poll_fn(|context| listener.poll_accept(context)).await.unwrap().0
}

pub(crate) async fn read(socket: &mut impl Socket, most: usize) -> Result<Vec<u8>, Failure> {
    let mut buffer = vec![0; most];
    let reading = poll_fn(|context| socket.poll_read(context, &mut buffer));
    let length = timeout(PATIENCE, reading).await.expect("something comes, or the end")?;
    buffer.truncate(length);
    Ok(buffer)
}

/// All up to the end, and how that was.
pub(crate) async fn read_to_end(socket: &mut impl Socket) -> (Vec<u8>, Result<(), Failure>) {
    let mut all = Vec::new();
    loop {
        match read(socket, 4096).await {
            Ok(bytes) if bytes.is_empty() => return (all, Ok(())),
            Ok(bytes) => all.extend(bytes),
            Err(failure) => return (all, Err(failure)),
        }
    }
}

/// Does not flush.
pub(crate) async fn write(socket: &mut impl Socket, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let written = poll_fn(|context| socket.poll_write(context, bytes)).await?;
        assert!(written > 0);
        bytes = &bytes[written..];
    }
    Ok(())
}

pub(crate) async fn flush(socket: &mut impl Socket) -> Result<(), Failure> {
    poll_fn(|context| socket.poll_flush(context)).await
}

pub(crate) async fn shut_down(socket: &mut impl Socket) -> Result<(), Failure> {
    poll_fn(|context| socket.poll_shutdown(context)).await
}

//! A network in memory with a clock of its own, and the executor that lives in it: when every task
//! waits, the clock jumps to the next moment at which something happens.
//!
//! The same seed gives the same run: delays, how bytes are split, and in which order tasks have
//! their turn. The seed is printed when a run fails.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod executor;
mod pipe;

use crate::kit::base_instant;
use crate::kit::random::Random;
use executor::Executor;
use pipe::{End, Pipe};
use sansse::net::{Connector, Failure, FailureKind, Target};
use sansse::{Timer, net};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the network does to what is sent through it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// How long bytes are under way, at least and at most.
    pub(crate) latency: (Duration, Duration),
    /// How many bytes may be under way or unread in one direction.
    pub(crate) capacity: usize,
    /// Whether reads bring as many bytes as chance has it, and not all that there are.
    pub(crate) splits: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: (Duration::from_millis(1), Duration::from_millis(20)),
            capacity: 64 << 10,
            splits: true,
        }
    }
}

/// A network, with its clock and its tasks. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Network {
    state: Arc<Mutex<State>>,
    executor: Executor,
    base: Instant,
}

struct State {
    now: Instant,
    random: Random,
    conditions: Conditions,
    /// What is to happen, by when and in which order it was arranged.
    agenda: BTreeMap<(Instant, u64), Due>,
    next: u64,
    ports: BTreeMap<u16, Backlog>,
    connections: BTreeMap<u64, Connection>,
    /// After how many bytes for the client each of the next connections breaks.
    cuts: VecDeque<Option<u64>>,
    is_silent: bool,
    sleeps_begun: u64,
}

enum Due {
    Sleep(Waker),
    /// Bytes, or the end, arrive at a side of a connection.
    Arrival(u64, Side),
}

#[derive(Default)]
struct Backlog {
    connections: VecDeque<u64>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// One pipe to each side.
struct Connection {
    to_client: Pipe,
    to_server: Pipe,
    client: SocketAddr,
}

/// Accepts connections of a [`Network`].
pub(crate) struct Listener {
    network: Network,
    port: u16,
}

/// One end of a connection. Dropped with bytes unread it resets the connection, as TCP does.
pub(crate) struct Socket {
    network: Network,
    connection: u64,
    side: Side,
    /// Whether it resets the connection in any case.
    is_reset: bool,
}

impl Network {
    pub(crate) fn new(seed: u64, conditions: Conditions) -> Self {
        let base = base_instant();
        let state = State {
            now: base,
            random: Random(seed),
            conditions,
            agenda: BTreeMap::new(),
            next: 0,
            ports: BTreeMap::new(),
            connections: BTreeMap::new(),
            cuts: VecDeque::new(),
            is_silent: false,
            sleeps_begun: 0,
        };
        let executor = Executor::new(seed);
        Self { state: Arc::new(Mutex::new(state)), executor, base }
    }

    /// Runs a future and all that it spawns, until it is ready. Then everything is dropped.
    ///
    /// # Panics
    ///
    /// When everybody waits and nothing is to happen any more.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.executor.block_on(future, || self.pass_time())
    }

    /// The time since the network was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.lock().now - self.base
    }

    /// How many sleeps were begun so far.
    pub(crate) fn sleeps_begun(&self) -> u64 {
        self.lock().sleeps_begun
    }

    /// How often a task was polled so far.
    pub(crate) fn polls(&self) -> u64 {
        self.executor.polls()
    }

    /// Listens on a port, or on a free one.
    pub(crate) fn listen(&self, address: Option<SocketAddr>) -> (Listener, SocketAddr) {
        let mut state = self.lock();
        let port = address.map_or_else(
            || (49_152..u16::MAX).find(|port| !state.ports.contains_key(port)).unwrap(),
            |address| address.port(),
        );
        let taken = state.ports.insert(port, Backlog::default());
        assert!(taken.is_none(), "the port is in use");
        drop(state);
        (Listener { network: self.clone(), port }, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The next connection breaks when this many bytes were sent to its client; `None` for one
    /// that is left in peace.
    pub(crate) fn cut_next_after(&self, bytes: Option<u64>) {
        self.lock().cuts.push_back(bytes);
    }

    /// Nothing gets through any more, and nobody is told; or everything does again that is sent
    /// from now on.
    pub(crate) fn be_silent(&self, is_silent: bool) {
        self.lock().is_silent = is_silent;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Moves the clock to the next moment at which something happens; says whether there is one.
    fn pass_time(&self) -> bool {
        let mut state = self.lock();
        let Some((&(at, _), _)) = state.agenda.first_key_value() else { return false };
        state.now = state.now.max(at);
        let mut wakers = Vec::new();
        while let Some(entry) = state.agenda.first_entry()
            && entry.key().0 <= at
        {
            match entry.remove() {
                Due::Sleep(waker) => wakers.push(waker),
                Due::Arrival(connection, side) => {
                    wakers.extend(state.pipe_to(connection, side).and_then(Pipe::take_reader));
                }
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        true
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn delay(&mut self) -> Duration {
        let (least, most) = self.conditions.latency;
        let spread = usize::try_from((most - least).as_nanos()).unwrap();
        least + Duration::from_nanos(self.random.below(spread + 1) as u64)
    }

    /// The pipe that leads to this side.
    fn pipe_to(&mut self, connection: u64, side: Side) -> Option<&mut Pipe> {
        let connection = self.connections.get_mut(&connection)?;
        Some(match side {
            Side::Client => &mut connection.to_client,
            Side::Server => &mut connection.to_server,
        })
    }

    fn arrange(&mut self, at: Instant, due: Due) -> (Instant, u64) {
        let key = (at, self.number());
        self.agenda.insert(key, due);
        key
    }

    /// Sends the end to a side, after what is on its way there.
    fn send_end(&mut self, connection: u64, side: Side, end: End) {
        let at = self.now + self.delay();
        let is_silent = self.is_silent;
        let Some(pipe) = self.pipe_to(connection, side) else { return };
        if let Some(at) = pipe.end(at, end, is_silent) {
            self.arrange(at, Due::Arrival(connection, side));
        }
    }

    /// Breaks a connection: both sides are told, after what was sent before.
    fn break_off(&mut self, connection: u64) {
        for side in [Side::Client, Side::Server] {
            self.send_end(connection, side, End::Reset);
        }
    }

    /// A connection to a port, if somebody listens there; and whom to tell.
    fn connect(&mut self, port: u16) -> Option<(u64, Option<Waker>)> {
        self.ports.get(&port)?;
        let cut = self.cuts.pop_front().flatten();
        let number = self.number();
        let capacity = self.conditions.capacity;
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, (number % 30_000) as u16 + 1));
        let to_client = Pipe::new(capacity, cut);
        let to_server = Pipe::new(capacity, None);
        self.connections.insert(number, Connection { to_client, to_server, client });
        let backlog = self.ports.get_mut(&port)?;
        backlog.connections.push_back(number);
        Some((number, backlog.waker.take()))
    }
}

impl Timer for Network {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.lock().sleeps_begun += 1;
        Box::pin(Sleep { network: self.clone(), deadline, key: None })
    }
}

struct Sleep {
    network: Network,
    deadline: Instant,
    key: Option<(Instant, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let network = self.network.clone();
        let mut state = network.lock();
        if let Some(key) = self.key.take() {
            state.agenda.remove(&key);
        }
        if self.deadline <= state.now {
            return Poll::Ready(());
        }
        self.key = Some(state.arrange(self.deadline, Due::Sleep(context.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.network.lock().agenda.remove(&key);
        }
    }
}

impl net::Runtime for Network {
    /// The time of the network, from the beginning of 2020 on.
    fn time_of_day(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_577_836_800) + (self.now() - self.base)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(Box::pin(task));
    }
}

impl Connector for Network {
    type Socket = Socket;

    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<Socket, Failure>> + Send + 'static {
        let network = self.clone();
        async move {
            // There and back again, before anybody knows.
            let (at, is_silent) = {
                let mut state = network.lock();
                (state.now + state.delay() + state.delay(), state.is_silent)
            };
            if is_silent {
                std::future::pending::<()>().await;
            }
            network.sleep_until(at).await;
            let connected = network.lock().connect(target.port);
            let Some((connection, waker)) = connected else {
                return Err(Failure::new(FailureKind::Connect).with_detail("nobody listens"));
            };
            waker.into_iter().for_each(Waker::wake);
            Ok(Socket { network, connection, side: Side::Client, is_reset: false })
        }
    }
}

impl net::Listener for Listener {
    type Socket = Socket;
    type Peer = SocketAddr;

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Socket, SocketAddr), Failure>> {
        let mut state = self.network.lock();
        let backlog = state.ports.get_mut(&self.port).unwrap();
        let Some(connection) = backlog.connections.pop_front() else {
            backlog.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        let peer = state.connections[&connection].client;
        let network = self.network.clone();
        Poll::Ready(Ok((Socket { network, connection, side: Side::Server, is_reset: false }, peer)))
    }
}

impl Drop for Listener {
    /// Tells the peers that were not accepted yet.
    fn drop(&mut self) {
        let mut state = self.network.lock();
        let Some(backlog) = state.ports.remove(&self.port) else { return };
        for connection in backlog.connections {
            state.break_off(connection);
        }
    }
}

impl Socket {
    const fn other_side(&self) -> Side {
        match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

impl net::Socket for Socket {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut state = self.network.lock();
        let limit = if state.conditions.splits {
            1 + state.random.below(buffer.len())
        } else {
            buffer.len()
        };
        let now = state.now;
        let pipe = state.pipe_to(self.connection, self.side).unwrap();
        let read = pipe.poll_read(context, now, &mut buffer[..limit]);
        let writer = if read.is_ready() { pipe.take_writer() } else { None };
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        read
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        let (connection, side) = (self.connection, self.other_side());
        let mut state = self.network.lock();
        let (at, is_silent) = (state.now + state.delay(), state.is_silent);
        let pipe = state.pipe_to(connection, side).unwrap();
        let written = pipe.poll_write(context, at, bytes, is_silent);
        let (arrival, is_cut) = (pipe.last_arrival(), pipe.is_cut());
        if let (Poll::Ready(Ok(_)), Some(arrival)) = (&written, arrival) {
            state.arrange(arrival, Due::Arrival(connection, side));
        }
        if is_cut {
            state.break_off(connection);
        }
        written
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.network.lock().send_end(self.connection, self.other_side(), End::Proper);
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self) {
        self.is_reset = true;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let (connection, side) = (self.connection, self.other_side());
        let mut state = self.network.lock();
        let is_read = state.pipe_to(connection, self.side).is_some_and(Pipe::abandon);
        let is_proper = is_read && !self.is_reset;
        state.send_end(connection, side, if is_proper { End::Proper } else { End::Reset });
        let waker = state.pipe_to(connection, self.side).and_then(Pipe::take_writer);
        let is_over = state
            .connections
            .get(&connection)
            .is_some_and(|pipes| pipes.to_client.is_abandoned() && pipes.to_server.is_abandoned());
        if is_over {
            state.connections.remove(&connection);
        }
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

//! An executor of your own: what the library asks of it, and a whole one with a timer.
//!
//! A hub asks for a [`Timer`]: a clock, and a sleep. The future that comes with the hub is spawned
//! once, as any other task:
//!
//! ```
//! use sansse::{Hub, Timer, broker::{BrokerConfig, Epoch}};
//! use std::{future::Future, pin::Pin, time::Instant};
//! # mod my_executor {
//! #     pub async fn sleep_until(_: std::time::Instant) {}
//! #     pub fn spawn(_: impl std::future::Future<Output = ()> + Send + 'static) {}
//! # }
//!
//! struct Clock;
//!
//! impl Timer for Clock {
//!     fn now(&self) -> Instant {
//!         Instant::now()
//!     }
//!     fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
//!         Box::pin(my_executor::sleep_until(deadline))
//!     }
//! }
//!
//! // Another number in each life of the process, so that old event ids are recognised.
//! let (hub, drive) = Hub::new(Clock, BrokerConfig::new(Epoch(0x5eed)))?;
//! my_executor::spawn(drive);
//! # Ok::<(), sansse::broker::ConfigError>(())
//! ```
//!
//! # What is asked for
//!
//! | You want | You bring |
//! | --- | --- |
//! | a [`Hub`](crate::Hub) | a [`Timer`], and one task for its [`Drive`](crate::hub::Drive) |
//! | an [`EventSource`](crate::EventSource) | a `Timer`, and a [`Transport`](crate::Transport) such as [`feed::Http1`](crate::feed::Http1) over a [`Connector`](crate::net::Connector). It works while it is polled, and needs no task |
//! | a [`Feed`](crate::Feed) | the same, and one task for its [`FeedDriver`](crate::feed::FeedDriver) |
//! | a [`Server`](crate::serve::Server) | a [`Runtime`]: a timer, the time of day and `spawn`; and a [`Listener`](crate::net::Listener) |
//! | sockets for the last three | [`Socket`](crate::net::Socket), over non-blocking sockets that wake a task |
//!
//! - Tasks are `Send + 'static`, since handles to a hub may be used from any thread. An executor of
//!   one thread is fine.
//! - Wakers are called from whichever thread publishes, with no lock of the hub held.
//! - A sleep may end early: the sleeper compares the clock. One that ends late delays heartbeats and
//!   deadlines by as much, and does no other harm. A driver that is more than 250 ms late has
//!   [paused](crate::broker#pauses), and nobody is ended for the silence of that time.
//! - A task that is spawned is polled to its end. Dropping the `Drive` before that [closes the
//!   hub](crate::hub::Drive).
//! - Where only the executor is your own, and sockets may be async-io's, `sansse-smol` brings
//!   everything but `spawn`: `SmolRuntime::new(move |task| executor.spawn(task))`. The program
//!   `examples/own_executor` serves and reads in this way.
//!
//! # A whole one
//!
//! This executor runs tasks on the thread that calls `run`, and sleeps no longer than the first
//! deadline. It is all that a hub, a server or a client needs beside sockets.
//!
//! ```
//! use sansse::{Event, Hub, Timer, net::Runtime};
//! use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig};
//! use std::collections::BTreeMap;
//! use std::future::{Future, poll_fn};
//! use std::pin::Pin;
//! use std::sync::{Arc, Mutex};
//! use std::task::{Context, Poll, Wake, Waker};
//! use std::thread::{self, Thread};
//! use std::time::{Duration, Instant, SystemTime};
//!
//! type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
//!
//! #[derive(Clone)]
//! struct Executor(Arc<(Thread, Mutex<State>)>);
//!
//! #[derive(Default)]
//! struct State {
//!     ready: Vec<Arc<Task>>,
//!     sleeping: BTreeMap<(Instant, u64), Waker>,
//!     sleeps: u64,
//! }
//!
//! /// A task; nothing is left of it once it has ended.
//! struct Task(Executor, Mutex<Option<Boxed>>);
//!
//! impl Wake for Task {
//!     fn wake(self: Arc<Self>) {
//!         let executor = self.0.clone();
//!         executor.0.1.lock().unwrap().ready.push(self);
//!         executor.0.0.unpark();
//!     }
//! }
//!
//! impl Executor {
//!     fn new() -> Self {
//!         Self(Arc::new((thread::current(), Mutex::default())))
//!     }
//!
//!     /// Runs tasks on the thread that made this, for as long as `goes_on` says.
//!     fn run(&self, mut goes_on: impl FnMut() -> bool) {
//!         while goes_on() {
//!             let mut state = self.0.1.lock().unwrap();
//!             let later = state.sleeping.split_off(&(Instant::now(), u64::MAX));
//!             let due = std::mem::replace(&mut state.sleeping, later);
//!             let next = state.sleeping.keys().next().map(|(deadline, _)| *deadline);
//!             let ready = std::mem::take(&mut state.ready);
//!             drop(state); // Wakers and tasks may call the executor.
//!             if due.is_empty() && ready.is_empty() {
//!                 match next {
//!                     Some(next) => thread::park_timeout(next - Instant::now()),
//!                     None => thread::park(),
//!                 }
//!             }
//!             due.into_values().for_each(Waker::wake);
//!             for task in ready {
//!                 let waker = task.clone().into();
//!                 let mut future = task.1.lock().unwrap();
//!                 if let Some(running) = &mut *future
//!                     && running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
//!                 {
//!                     *future = None;
//!                 }
//!             }
//!         }
//!     }
//! }
//!
//! impl Timer for Executor {
//!     fn now(&self) -> Instant {
//!         Instant::now()
//!     }
//!
//!     fn sleep_until(&self, deadline: Instant) -> Boxed {
//!         let executor = self.clone();
//!         let number = {
//!             let mut state = self.0.1.lock().unwrap();
//!             state.sleeps += 1;
//!             state.sleeps
//!         };
//!         Box::pin(poll_fn(move |context| {
//!             if deadline <= Instant::now() {
//!                 return Poll::Ready(());
//!             }
//!             let waker = context.waker().clone();
//!             executor.0.1.lock().unwrap().sleeping.insert((deadline, number), waker);
//!             executor.0.0.unpark(); // This deadline may be the first.
//!             Poll::Pending
//!         }))
//!     }
//! }
//!
//! impl Runtime for Executor {
//!     fn time_of_day(&self) -> SystemTime {
//!         SystemTime::now()
//!     }
//!
//!     fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
//!         Arc::new(Task(self.clone(), Mutex::new(Some(Box::pin(future))))).wake();
//!     }
//! }
//!
//! let executor = Executor::new();
//! let (hub, drive) = Hub::new(executor.clone(), BrokerConfig::new(Epoch(0x5eed)))?;
//! executor.spawn(drive);
//! // A heartbeat each 20 ms shows that time passes.
//! let config = SessionConfig::new().with_heartbeat(Some(Duration::from_millis(20)));
//! let mut session = hub.open(config)?;
//! let read = Arc::new(Mutex::new(Vec::new()));
//! let written = read.clone();
//! executor.spawn(async move {
//!     use futures_util::StreamExt;
//!     while let Some(Ok(frame)) = session.next().await {
//!         written.lock().unwrap().extend_from_slice(frame.as_ref());
//!     }
//! });
//! hub.publish(Audience::Everyone, &Event::new("hello"))?;
//! let has = |text: &[u8]| read.lock().unwrap().windows(text.len()).any(|part| part == text);
//! executor.run(|| !has(b"data: hello\n\n:\n:\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A sleep that is dropped leaves its waker until its deadline, which wakes a task once for nothing.
//! For many connections, let sleeps remove themselves when they are dropped, as the adapters' do.
//!
//! # Sockets
//!
//! [`Socket`](crate::net::Socket) has five methods, most of which pass a call on: read
//! `adapters/tokio/src/socket.rs`. Three things are easily missed:
//!
//! - Turn Nagle's algorithm off (`TCP_NODELAY`), or each event waits for an acknowledgement.
//! - [`reset`](crate::net::Socket::reset) is for an answer whose end is the end of the connection, and
//!   which is not complete. It sets `SO_LINGER` to zero; without it the reader takes a part for the
//!   whole.
//! - Where the system can, give up a peer that acknowledges nothing (`TCP_USER_TIMEOUT`). With
//!   heartbeats this finds a peer that vanished without a word; the system's own time for that is
//!   often 15 minutes.
//!
//! # No executor at all
//!
//! The machines are driven by a loop. It has four steps: hand in what happened, take what comes out,
//! ask for the next deadline, wait for whichever comes first. `examples/blocking` reads a stream over
//! std's sockets in this way, and [`client`](crate::client) shows the loop. A
//! [`Broker`](crate::broker::Broker) has the same shape:
//!
//! | Step | Client | Broker |
//! | --- | --- | --- |
//! | what happened | `handle_response`, `handle_data`, `handle_eof`, `handle_failure` | `open`, `publish`, `handle_disconnect` |
//! | what comes out | `poll_event`, `poll_request` | `poll_ready` with `poll_transmit`, `poll_event` |
//! | the next deadline | `poll_timeout` | `poll_timeout` |
//! | when it has come | `handle_timeout` | `handle_timeout` |
//!
//! # Next
//!
//! - [An HTTP stack of your own](super::own_http_stack): what to do with a session.
//! - [Testing](super::testing): the runtime whose time passes when it is told to.
//! - [Choosing a layer](super::choosing_a_layer): whether a hub is what you need.
//!
//! [`Timer`]: crate::Timer
//! [`Runtime`]: crate::net::Runtime

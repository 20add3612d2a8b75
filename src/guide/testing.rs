//! Testing without sockets: handlers, clients that reconnect, and what happens after an hour, in no
//! time.
//!
//! With the feature `testing` there is a runtime whose time passes when it is told to, and a reader of
//! what a session gets. A test of a handler needs nothing else:
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use sansse::broker::{BrokerConfig, ClientId, Epoch, SessionConfig};
//! use sansse::net::Runtime;
//! use sansse::testing::{SessionReader, VirtualRuntime};
//! use sansse::{Event, Hub, hub::Answer};
//!
//! /// What is to be tested: it greets the user whom a query names.
//! async fn handler(hub: Hub, request: http::Request<()>) -> Answer {
//!     let user = request.uri().query().unwrap_or_default().to_owned();
//!     let Ok(user) = ClientId::new(user) else {
//!         return http::Response::builder().status(401).body("who?".into()).unwrap().into();
//!     };
//!     let answer = hub.accept(&request, SessionConfig::new().with_client(user.clone()));
//!     let _ = hub.publish(user.clone(), &Event::new(format!("hello {user}")));
//!     answer
//! }
//!
//! let runtime = VirtualRuntime::new();
//! let (hub, drive) = Hub::new(runtime.clone(), BrokerConfig::new(Epoch(1)))?;
//! runtime.spawn(drive);
//!
//! let request = http::Request::get("/events?alice").body(())?;
//! let answer = runtime.run(handler(hub.clone(), request)).expect("it waits for nothing");
//! let (head, mut alice) = SessionReader::of(answer).expect("it is a stream");
//! assert_eq!(head.headers()["content-type"], "text/event-stream");
//! assert_eq!(alice.messages()[0].data, "hello alice");
//!
//! let nobody = handler(hub, http::Request::get("/events").body(())?);
//! let Some(Answer::Response(refusal)) = runtime.run(nobody) else { panic!("it is no stream") };
//! assert_eq!(refusal.status(), 401);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! cargo add sansse --dev --features testing
//! ```
//!
//! # Time
//!
//! [`VirtualRuntime::advance`] moves the clock, and stops at the end of each sleep, in order. So what is
//! due after 15 s happens at 15 s, however slow the machine is. A reader that is not asked is a peer that
//! takes nothing; one that is dropped is a peer that leaves.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use sansse::broker::{Audience, BrokerConfig, EndReason, Epoch, SessionConfig};
//! use sansse::net::Runtime;
//! use sansse::testing::{SessionReader, VirtualRuntime};
//! use sansse::{Event, Hub};
//! use std::time::Duration;
//!
//! let runtime = VirtualRuntime::new();
//! let (hub, drive) = Hub::new(runtime.clone(), BrokerConfig::new(Epoch(1)))?;
//! runtime.spawn(drive);
//! let mut reader = SessionReader::new(hub.open(SessionConfig::new())?);
//! let stuck = hub.open(SessionConfig::new())?;
//! let ended = hub.ended(stuck.id());
//!
//! hub.publish(Audience::Everyone, &Event::new("news"))?;
//! assert_eq!(reader.messages().len(), 1);
//! for _ in 0..4 {
//!     runtime.advance(Duration::from_secs(15));
//!     assert_eq!(reader.comments(), [""], "a heartbeat");
//! }
//! // The other one took nothing for a minute.
//! assert_eq!(runtime.run(ended), Some(Some(EndReason::Stalled)));
//! assert!(!reader.is_over());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A client that reconnects, and a network in memory
//!
//! A [`Transport`] carries the requests of an [`EventSource`]. One that calls the handler is a network
//! without sockets: both ends are the real ones, and the test decides what breaks and when.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use bytes::Bytes;
//! use futures_util::{StreamExt, stream};
//! use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig, SessionId};
//! use sansse::client::ClientConfig;
//! use sansse::hub::Answer;
//! use sansse::net::{Failure, FailureKind, Runtime};
//! use sansse::testing::VirtualRuntime;
//! use sansse::{Event, EventSource, Hub, SourceEvent, Transport};
//! use std::future::{Future, ready};
//! use std::sync::{Arc, Mutex};
//!
//! /// Leads to the handler, which here is the hub itself, and notes the session that it opened.
//! #[derive(Clone)]
//! struct Network {
//!     hub: Hub,
//!     session: Arc<Mutex<Option<SessionId>>>,
//! }
//!
//! impl Transport for Network {
//!     type Body = stream::BoxStream<'static, Result<Bytes, Failure>>;
//!
//!     fn send(
//!         &self,
//!         request: http::Request<Bytes>,
//!     ) -> impl Future<Output = Result<http::Response<Self::Body>, Failure>> + Send + 'static {
//!         ready(Ok(match self.hub.accept(&request, SessionConfig::new()) {
//!             Answer::Stream(head, session) => {
//!                 *self.session.lock().unwrap() = Some(session.id());
//!                 let broken = |cut| Failure::caused_by(FailureKind::Truncated, cut);
//!                 head.map(|()| {
//!                     session.map(move |frame| Ok(frame.map_err(broken)?.payload())).boxed()
//!                 })
//!             }
//!             Answer::Response(whole) => whole.map(|bytes| stream::iter([Ok(bytes)]).boxed()),
//!             Answer::Events(..) => unreachable!("`accept` never gives it"),
//!         }))
//!     }
//! }
//!
//! let runtime = VirtualRuntime::new();
//! let (hub, drive) = Hub::new(runtime.clone(), BrokerConfig::new(Epoch(1)))?;
//! runtime.spawn(drive);
//! let network = Network { hub: hub.clone(), session: Arc::default() };
//! let url = "http://server/events";
//! let config = ClientConfig::new(7);
//! let mut source = EventSource::new(network.clone(), runtime.clone(), url, config);
//! let say = |text: &'static str| hub.publish(Audience::Everyone, &Event::new(text));
//!
//! assert!(matches!(runtime.run(source.next()).flatten(), Some(SourceEvent::Open(_))));
//! say("one")?;
//! let message = runtime.run(source.next()).flatten();
//! assert!(matches!(message, Some(SourceEvent::Message(it)) if it.data == "one"));
//!
//! // The connection is lost, and something is published meanwhile.
//! hub.close_session(network.session.lock().unwrap().expect("it was opened"));
//! let lost = runtime.run(source.next()).flatten();
//! let Some(SourceEvent::Retrying { wait, .. }) = lost else { panic!("{lost:?}") };
//! say("two")?;
//! assert!(runtime.run(source.next()).is_none(), "it waits");
//! runtime.advance(wait);
//! assert!(matches!(runtime.run(source.next()).flatten(), Some(SourceEvent::Open(_))));
//! let message = runtime.run(source.next()).flatten();
//! assert!(matches!(message, Some(SourceEvent::Message(it)) if it.data == "two"), "not lost");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - A refused connection is a `send` that gives [`FailureKind::Connect`]; a server that falls silent is a
//!   body that is pending for ever.
//! - An application of your own reads by its own code: give that the transport, or a
//!   [`Feed`](crate::Feed) around the source whose driver the runtime spawns.
//! - For the bytes of HTTP as well, implement [`Socket`], [`Connector`] and [`Listener`] over a pair of
//!   byte queues. The [`Server`](crate::serve::Server) then serves on the `VirtualRuntime`, and
//!   [`feed::Http1`](crate::feed::Http1) asks it. The library's own tests do so; a program that is not
//!   about HTTP need not.
//! - With axum, a router is a service: [axum](super::axum#without-sockets).
//!
//! # The machines by hand
//!
//! Below the hub nothing is needed, for a machine has no clock, and time is an argument:
//!
//! ```
//! use sansse::client::{Client, ClientConfig, ClientEvent};
//! use sansse::feed::IntoRequest;
//! # let now = std::time::Instant::now();
//!
//! let mut client = Client::new("http://server/events".into_request(), ClientConfig::new(7));
//! let (attempt, _) = client.poll_request(now).expect("it asks at once");
//! let head = http::Response::builder().header("content-type", "text/event-stream").body(())?;
//! client.handle_response(now, attempt, &head);
//! client.handle_data(now, attempt, b"id: 41\ndata: one\n\n");
//! client.handle_eof(now, attempt);
//!
//! assert!(matches!(client.poll_event(), Some(ClientEvent::Open(_))));
//! assert!(matches!(client.poll_event(), Some(ClientEvent::Message(it)) if it.data() == "one"));
//! let Some(ClientEvent::Retrying { wait, .. }) = client.poll_event() else { panic!() };
//! assert!(client.poll_request(now).is_none(), "not yet");
//! let later = now + wait;
//! assert_eq!(client.poll_timeout(), Some(later));
//! client.handle_timeout(later);
//! let (_, request) = client.poll_request(later).expect("now");
//! assert_eq!(request.headers()["last-event-id"], "41");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same seed gives the same waits, so that a failure can be seen again. What a server's own code
//! sends is read by a [`Decoder`](crate::Decoder), or by [`messages`](crate::messages()).
//!
//! # A fault in production as a test
//!
//! With the feature `record`, [`HubBuilder::record`] writes each call of a hub's brokers as text. A
//! [`Record`](crate::record) makes the same calls again, with the same outputs, byte for byte. It holds
//! everything that was published: keep it as safe as that.
//!
//! # Next
//!
//! - [An executor of your own](super::own_executor): the seam that the virtual runtime stands in.
//! - [Resuming](super::resuming): which outcomes are worth a test.
//! - [Slow readers](super::slow_readers): what else happens to a reader that takes nothing.
//!
//! [`VirtualRuntime::advance`]: crate::testing::VirtualRuntime::advance
//! [`Transport`]: crate::Transport
//! [`EventSource`]: crate::EventSource
//! [`FailureKind::Connect`]: crate::net::FailureKind::Connect
//! [`Socket`]: crate::net::Socket
//! [`Connector`]: crate::net::Connector
//! [`Listener`]: crate::net::Listener
//! [`HubBuilder::record`]: crate::hub::HubBuilder::record

//! Which part of the library to take: a table by what you have, and the smallest program of each part.
//!
//! On tokio, and with nothing else that serves HTTP, this is a whole server. Broadcast, replay,
//! heartbeats, limits and the treatment of slow readers are on by default:
//!
//! ```no_run
//! use sansse::{Event, broker::{Audience, SessionConfig}};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = sansse_tokio::hub();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let streams = hub.clone();
//! tokio::spawn(sansse_tokio::serve(listener, hub.clone(), move |request| {
//!     let answer = streams.accept(&request, SessionConfig::new());
//!     async { answer }
//! }));
//! hub.publish(Audience::Everyone, &Event::new("hello"))?;
//! # Ok(()) }
//! ```
//!
//! # The table
//!
//! | You have | You want | Take |
//! | --- | --- | --- |
//! | tokio | a server of event streams | `sansse-tokio`, as above |
//! | smol, async-std, or async-io on any executor | the same | `sansse-smol` |
//! | axum | a stream in a handler | `sansse-axum`: [axum](super::axum) |
//! | hyper, or a stack that takes an `http-body` | a stream as the body of a response | a [hub](#the-hub) and [`into_response`](crate::hub::Answer::into_response): [an HTTP stack of your own](super::own_http_stack) |
//! | another HTTP stack | the same | a [hub](#the-hub); a session is a `Stream` of frames |
//! | an executor of your own | a server, or a client | [`serve`](#the-server), [`feed`](#the-client): [an executor of your own](super::own_executor) |
//! | a stream of events for one reader, such as a model's answer | to send it | [`Answer::stream`](crate::hub::Answer::stream): [language models](super::language_models) |
//! | tokio or smol | to read streams that go on | [`feed`](#the-client) |
//! | reqwest | the same | `sansse-reqwest`: [from reqwest-eventsource](super::from_reqwest_eventsource) |
//! | the body of a response, or any stream of bytes | its messages | [`messages`](#messages-of-one-response) |
//! | threads and blocking sockets | to read a stream | the [client machine](#the-machines) and [`http1`](crate::http1) |
//! | a simulation, or several processes for one stream | full control over time and order | the [broker machine](#the-machines) |
//! | bytes, and perhaps no `std` | to encode or decode | the [codec](#the-codec) |
//!
//! Each part contains the ones below it, and hides none: a program that has taken a hub can still
//! encode a frame by hand.
//!
//! ```text
//!   adapters          a runtime's clock, tasks, sockets    sansse-tokio, -smol, -axum, …
//!   serve     feed    loops over any runtime's sockets     Server, EventSource, Feed
//!   hub               the broker behind futures            Hub, Session
//!   broker  client    machines: time goes in               Broker, Client
//!   codec             bytes                                Event, Frame, Decoder
//! ```
//!
//! # The codec
//!
//! No feature, `alloc` alone: build with `default-features = false`. [`Frame`](crate::Frame) is an event
//! encoded once. [`Decoder`](crate::Decoder) takes bytes in any split.
//!
//! ```
//! use sansse::{Decoder, Event, Frame, Step, event_id, event_type};
//!
//! let event = Event::new("5 °C").with_type(event_type!("weather")).with_id(event_id!("7"));
//! let frame = Frame::new(&event);
//! assert_eq!(frame.payload(), "id: 7\nevent: weather\ndata: 5 °C\n\n");
//!
//! let mut decoder = Decoder::new();
//! for byte in frame.payload() {
//!     decoder.handle_data(&[byte]);
//! }
//! assert_eq!(decoder.poll_step(), Some(Step::Message));
//! assert_eq!(decoder.message().data(), "5 °C");
//! ```
//!
//! # The machines
//!
//! A [`Broker`](crate::broker::Broker) is the bookkeeping of a server, and a
//! [`Client`](crate::client::Client) is an `EventSource`. Both are plain values: time is an argument,
//! and nothing is spawned, locked or slept. Take one where you write the loop yourself: in a
//! simulation, in a program without async, or where several processes share one numbering by a
//! [`Sequencer`](crate::broker::Sequencer).
//!
//! ```
//! use sansse::Event;
//! use sansse::broker::{Audience, Broker, BrokerConfig, Epoch, SessionConfig, Transmit};
//! # let now = std::time::Instant::now();
//!
//! let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
//! let session = broker.open(now, SessionConfig::new())?.session;
//! broker.publish(now, Audience::Everyone, &Event::new("hello"))?;
//! let mut written = String::new();
//! while let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) {
//!     written += std::str::from_utf8(frame.as_ref())?;
//! }
//! assert!(written.ends_with("id: beef-1\ndata: hello\n\n"));
//! // Then the loop waits for this, or for an input.
//! assert!(broker.poll_timeout().is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The loop around a client is in the documentation of [`client`](crate::client); the program
//! `examples/blocking` is one over blocking sockets.
//!
//! # The hub
//!
//! A [`Hub`](crate::Hub) shares a broker among tasks. Publishing is a plain call, a
//! [`Session`](crate::hub::Session) is a stream of frames, and time passes in one future that is
//! spawned once. It needs a [`Timer`](crate::Timer), and no other part of a runtime.
//!
//! ```
//! use futures_util::StreamExt;
//! use sansse::{Event, Hub, broker::{Audience, BrokerConfig, SessionConfig}};
//!
//! # smol::block_on(async {
//! let config = BrokerConfig::new(sansse_smol::random_epoch());
//! let (hub, drive) = Hub::new(sansse_smol::SmolTimer, config)?;
//! smol::spawn(drive).detach();
//!
//! let session = hub.open(SessionConfig::new())?;
//! hub.publish(Audience::Everyone, &Event::new("hello"))?;
//! hub.close();
//! let frames: Vec<_> = session.filter_map(async |frame| frame.ok()).collect().await;
//! assert!(frames.last().is_some_and(|frame| frame.payload().ends_with(b"data: hello\n\n")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # The server
//!
//! A [`Server`](crate::serve::Server) speaks HTTP/1.1 over any runtime's sockets. Take it where
//! there is no HTTP stack, or where a stack of one's own would serve nothing but streams. This is what
//! `sansse_tokio::serve` does, with a shutdown and a limit:
//!
//! ```no_run
//! use sansse::{broker::SessionConfig, serve::Server};
//! use sansse_tokio::{TokioAcceptor, TokioRuntime};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = sansse_tokio::hub();
//! let streams = hub.clone();
//! let listener = TokioAcceptor::new(tokio::net::TcpListener::bind("127.0.0.1:8080").await?);
//! let stop = async { drop(tokio::signal::ctrl_c().await) };
//! let server = Server::new(TokioRuntime, hub).with_max_connections(20_000);
//! server.serve(listener, stop, move |request| {
//!     let answer = streams.accept(&request, SessionConfig::new());
//!     async { answer }
//! })
//! .await;
//! # Ok(()) }
//! ```
//!
//! # The client
//!
//! An [`EventSource`](crate::EventSource) is one stream through all its connections, for one reader.
//! A [`Feed`](crate::Feed) shares it among several. Both reconnect, back off and resume, and say what
//! is missing.
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() {
//! let mut events = sansse_tokio::feed("http://127.0.0.1:8080/").subscribe();
//! while let Some(event) = events.next().await {
//!     match event {
//!         sansse::FeedEvent::Message(message) => println!("{}", message.data),
//!         told => eprintln!("{told}"),
//!     }
//! }
//! # }
//! ```
//!
//! # Messages of one response
//!
//! [`messages`](crate::messages()) reads a response that somebody else's HTTP client has brought. It
//! neither connects nor comes back.
//!
//! ```
//! # smol::block_on(async {
//! let chunks = [Ok::<_, std::io::Error>("data: one\n\nda"), Ok("ta: two\n\n")];
//! let body = smol::stream::iter(chunks);
//! let mut messages = sansse::messages(body);
//! assert_eq!(messages.next().await.unwrap()?.data, "one");
//! assert_eq!(messages.next().await.unwrap()?.data, "two");
//! # Ok::<(), sansse::MessageError<std::io::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Next
//!
//! - [An HTTP stack of your own](super::own_http_stack), [an executor of your
//!   own](super::own_executor): what they have to do.
//! - [Testing](super::testing): any of these without a socket.
//! - [Operating](super::operating): limits, metrics and deploys.

//! From axum's `Sse`: what became of each name, and what to do with a `broadcast` channel.
//!
//! For a stream of your own to one reader, two lines change. Heartbeats come without being asked for, and
//! no string makes an event panic:
//!
//! ```
//! use futures_util::{Stream, stream};
//! use sansse::Event; // before: axum::response::sse::Event
//! use sansse_axum::Sse; // before: axum::response::sse::Sse
//! use std::convert::Infallible;
//!
//! async fn words() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
//!     let words = ["Once ", "upon ", "a time"];
//!     Sse::new(stream::iter(words.map(|word| Ok(Event::new(word)))))
//! }
//! ```
//!
//! # Each name
//!
//! | axum | here |
//! | --- | --- |
//! | `Sse::new(stream)` | `sansse_axum::Sse::new(stream)`. The error has to implement `Display` |
//! | `Sse::keep_alive(KeepAlive::default())`, `KeepAlive::new()` | on by default, every 15 s |
//! | `KeepAlive::interval(time)` | `Sse::with_heartbeat(Some(time))`; `None` for no heartbeats |
//! | `KeepAlive::text(text)`, `KeepAlive::event(event)` | an empty comment. A [hub](crate::Hub) sends an event in its place, which a page can see, by [`with_heartbeat_event`](crate::broker::SessionConfig::with_heartbeat_event) |
//! | `Event::default()`, then `.data(text)`: panics on a second `data` | [`Event::new`](crate::Event::new) |
//! | `Event::json_data(value)` | [`Event::json`](crate::Event::json), with the feature `serde` |
//! | `Event::into_data_writer()`, `EventDataWriter` | write into a `String`, and give it to `Event::new` |
//! | `Event::event(name)`: panics on a line end | [`with_type`](crate::Event::with_type), of an [`EventType`](crate::EventType) that was checked: [`event_type!`](crate::event_type) for a literal |
//! | `Event::id(id)`: panics on a line end or NUL | [`with_id`](crate::Event::with_id), of an [`EventId`](crate::EventId): [`event_id!`](crate::event_id) for a literal |
//! | `Event::retry(time)`: panics on a second `retry` | [`with_retry`](crate::Event::with_retry), or [`Event::retry_only`](crate::Event::retry_only) |
//! | `Event::comment(text)`: panics on a line end | [`Event::comment`](crate::Event::comment), or [`with_comment`](crate::Event::with_comment) beside data |
//! | `Event::DEFAULT_KEEP_ALIVE` | [`Event::heartbeat`](crate::Event::heartbeat) |
//! | an error of the stream: the connection breaks off | an event of the type `error`, and then the response is cut: [`answer`](crate::answer) |
//! | `Cache-Control: no-cache` | the same with `no-transform`, and `X-Accel-Buffering: no`: [`ResponseHead`](crate::http::ResponseHead) |
//! | the header `Last-Event-ID`, read by hand | the extractor `sansse_axum::LastEventId`; a [`Hub`](crate::Hub) reads it itself |
//! | a `broadcast` channel and a `BroadcastStream` | a [`Hub`](crate::Hub), [below](#from-a-broadcast-channel) |
//!
//! `?` of a name that comes from elsewhere replaces what panicked before:
//!
//! ```
//! use sansse::{Event, EventId, EventType};
//!
//! fn event(name: String, id: String, text: String) -> Result<Event, sansse::FieldError> {
//!     Ok(Event::new(text).with_type(EventType::new(name)?).with_id(EventId::new(id)?))
//! }
//! assert!(event("price".into(), "7".into(), "two\nlines".into()).is_ok());
//! assert!(event("price\n".into(), "7".into(), String::new()).is_err());
//! ```
//!
//! # From a `broadcast` channel
//!
//! A channel of tokio's drops events for a receiver that lags, and a page that reconnects misses what was
//! sent meanwhile. The page is told of neither. A hub keeps a log, replays from the reader's last event id,
//! and tells each gap:
//!
//! ```
//! use axum::{Router, extract::State, routing::{get, post}};
//! use sansse::{Event, Hub, broker::{Audience, SessionConfig}};
//! use sansse_axum::{EventStream, StreamRequest};
//!
//! // before: Sse::new(BroadcastStream::new(sender.subscribe()).map(..)).keep_alive(..)
//! async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
//!     stream.open(&hub, SessionConfig::new())
//! }
//!
//! // before: sender.send(text), which fails where nobody listens
//! async fn say(State(hub): State<Hub>, text: String) {
//!     let _ = hub.publish(Audience::Everyone, &Event::new(text)); // It fails at a shutdown.
//! }
//!
//! # fn routes() -> Router {
//! let hub = sansse_axum::hub();
//! Router::new().route("/events", get(events)).route("/say", post(say)).with_state(hub)
//! # }
//! ```
//!
//! | with the channel | with the hub |
//! | --- | --- |
//! | `channel(capacity)` | [`Retention`](crate::broker::Retention): 8,192 events, 4 MiB, 5 minutes |
//! | `RecvError::Lagged(n)` | a [policy](crate::broker::LagPolicy), and a notice to the page |
//! | a channel for each room | a [topic](crate::broker::SessionConfig::with_topic), or a pattern |
//! | a map from user to senders | [`with_client`](crate::broker::SessionConfig::with_client), and `hub.publish(client, ..)` reaches all tabs |
//! | a guard that is dropped with the stream, to know who is there | [`Hub::ended`](crate::Hub::ended), [`HubBuilder::on_event`](crate::hub::HubBuilder::on_event), [`Hub::presence_page`](crate::Hub::presence_page) |
//! | `with_graceful_shutdown` that waits for ever | `sansse_axum::Listener`, or [`Hub::drain`](crate::Hub::drain) |
//!
//! Both kinds of stream may stand in one router, and axum's own `Sse` beside them: change one handler at a
//! time.
//!
//! # Next
//!
//! - [axum](super::axum): a whole server, who gets what, and its end.
//! - [Language models](super::language_models): answers to one reader.
//! - [Resuming](super::resuming): what a page gets that comes back.

//! [`sansse`] in axum: event streams as three-line handlers, which broadcast, resume, end with the
//! server, and do not keep the connections of peers that take nothing.
//!
//! ```no_run
//! use axum::Router;
//! use axum::extract::State;
//! use axum::routing::{any, post};
//! use sansse::broker::{Audience, SessionConfig};
//! use sansse::{Event, Hub};
//! use sansse_axum::{EventStream, Listener, StreamRequest};
//!
//! async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
//!     stream.open(&hub, SessionConfig::new())
//! }
//!
//! async fn say(State(hub): State<Hub>, text: String) {
//!     // It fails once the server shuts down.
//!     let _ = hub.publish(Audience::Everyone, &Event::new(text));
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let hub = sansse_axum::hub();
//! let listener = Listener::bind("127.0.0.1:8080").await?.with_hub(hub.clone());
//! let routes = Router::new().route("/events", any(events)).route("/say", post(say));
//! axum::serve(listener, routes.with_state(hub))
//!     .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
//!     .await
//! # }
//! ```
//!
//! - [`StreamRequest`] is a request for an event stream, as an extractor; [`EventStream`] its answer.
//! - [`LastEventId`] is where the peer's stream broke off.
//! - [`Sse`] is a stream of one's own for one reader, in place of `axum::response::sse::Sse`.
//! - [`EventService`] is a whole route as a `tower_service::Service`, which plain hyper takes too.
//! - [`Listener`] is for `axum::serve`. It ends the streams when the server shuts down, and gives up
//!   peers that take nothing. [`WriteDeadline`] is its half for any other server.
//!
//! When not to use it: a server that has nothing but event streams is smaller with `sansse-tokio`
//! alone, and uses less of the machine.
//!
//! # Heads and pages of other origins
//!
//! The head of the streams is the hub's, as
//! [`with_response_head`](sansse::hub::HubBuilder::with_response_head) sets it, or a
//! [`ResponseHead`](sansse::http::ResponseHead) among the request's extensions:
//!
//! ```
//! use axum::{Extension, Router, routing::any};
//! use sansse::Hub;
//! use sansse::http::{Cors, ResponseHead};
//! # use sansse_axum::{EventStream, StreamRequest};
//! # use axum::extract::State;
//! # async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
//! #     stream.open(&hub, Default::default())
//! # }
//!
//! # fn example() -> Result<Router<Hub>, sansse::http::OriginError> {
//! let head = ResponseHead::new().with_cors(Cors::origins(["https://app.example"])?);
//! // `any`, since a preflight is an OPTIONS request, which `get` would refuse.
//! let routes = Router::new().route("/events", any(events)).layer(Extension(head));
//! # Ok(routes) }
//! ```
//!
//! `tower_http::cors::CorsLayer` does as well; then leave CORS out of the head.
//!
//! # Layers in front
//!
//! | Layer | What happens to a stream |
//! | --- | --- |
//! | `CompressionLayer` | nothing: its default leaves out event streams. With a predicate of one's own, leave out `text/event-stream`; gzip holds events back |
//! | `TimeoutLayer` | nothing: it ends with the head, which is there at once |
//! | `RequestBodyTimeoutLayer` | nothing |
//! | `ResponseBodyTimeoutLayer` | it ends a stream that rests longer than the timeout; heartbeats come every 15 s |
//! | `CatchPanicLayer` | it answers a handler that panics by 500. A stream that [`Sse`] polls and that panics ends its connection, without a clean end |
//! | `TraceLayer` | a failure is logged where a stream is cut, such as at each drain, as an error of the body |
//! | one that collects a body before it hands it on, for a digest, a rewrite, or a log | nothing ever comes: a stream has no end. Nobody can tell that it is there; leave out the route, or responses of `text/event-stream` |
//!
//! # Connections without a request
//!
//! A connection that sends nothing, or half of a request, stays open for as long as its peer likes:
//! `axum::serve` has no time for that, and no limit on connections. Of hyper, `header_read_timeout`
//! ends those that have begun a head. Where strangers reach the server, put a proxy in front that has
//! both, or take the server of [`sansse_tokio`], which has them by default.
//!
//! # HTTP/1.0
//!
//! A cut shows as an aborted chunked coding, and in HTTP/2 as `RST_STREAM`. A peer by HTTP/1.0 sees
//! but the end of the connection, which hyper makes in good order. The [notice](sansse::Notice) at the
//! end of a stream tells them what has happened. In nginx set `proxy_http_version 1.1`.
//!
//! # HTTP/2
//!
//! With axum's feature `http2`, streams share connections. A peer that takes nothing of one stream by
//! its window, and reads the connection, keeps that stream open after the hub has ended its session:
//! hyper asks the body for nothing until the window opens. It costs the stream and at most 64 KiB.
//! `max_concurrent_streams` bounds them for each connection, which is 200 by default.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod deadline;
#[cfg(feature = "serve")]
mod listener;
mod request;
mod response;
mod service;
mod stall;

pub use deadline::WriteDeadline;
#[cfg(feature = "serve")]
#[cfg_attr(docsrs, doc(cfg(feature = "serve")))]
pub use listener::Listener;
pub use request::{LastEventId, StreamRejection, StreamRequest};
pub use response::{EventStream, Sse};
pub use sansse_tokio::{TokioRuntime, hub, random_epoch, spawn_hub};
pub use service::EventService;

/// The README's programs, compiled with the tests.
#[cfg(all(doctest, feature = "serve"))]
#[doc = include_str!("../README.md")]
struct Readme;

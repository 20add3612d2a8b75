//! Event streams in axum, by `sansse-axum`.
//!
//! A handler takes a `StreamRequest` and opens it on a [`Hub`](crate::Hub). Whatever the answer is, the
//! stream or the plain response in its place, it is an `EventStream`:
//!
//! ```no_run
//! use axum::{Router, extract::State, routing::{any, post}};
//! use sansse::{Event, Hub, broker::{Audience, SessionConfig}};
//! use sansse_axum::{EventStream, Listener, StreamRequest};
//!
//! async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
//!     stream.open(&hub, SessionConfig::new())
//! }
//!
//! async fn say(State(hub): State<Hub>, text: String) {
//!     let _ = hub.publish(Audience::Everyone, &Event::new(text)); // It fails at a shutdown.
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
//! # Who gets what
//!
//! Extractors of your own come first, and say which session it is to be. A publish names an audience:
//! everyone, a topic, a client with all its tabs, or one session.
//!
//! ```
//! use axum::extract::{FromRequestParts, State};
//! use axum::http::{StatusCode, request::Parts};
//! use sansse::Hub;
//! use sansse::broker::{ClientId, SessionConfig};
//! use sansse_axum::{EventStream, StreamRequest};
//!
//! /// A user whose session cookie was good.
//! struct User(ClientId);
//!
//! impl<S: Sync> FromRequestParts<S> for User {
//!     type Rejection = StatusCode;
//!
//!     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
//!         # fn user_of(_: &Parts) -> Option<String> { None }
//!         let name = user_of(parts).ok_or(StatusCode::UNAUTHORIZED)?;
//!         ClientId::new(name).map(Self).map_err(|_| StatusCode::UNAUTHORIZED)
//!     }
//! }
//!
//! async fn events(
//!     State(hub): State<Hub>,
//!     User(client): User,
//!     stream: StreamRequest,
//! ) -> EventStream {
//!     stream.open(&hub, SessionConfig::new().with_client(client))
//! }
//! ```
//!
//! An `EventSource` takes a 401 for final. A page that is to come back after a login opens a new one.
//!
//! # The end of the server
//!
//! `with_graceful_shutdown` waits for all requests, and a stream is a request that does not end. The
//! `Listener` drains its hubs when axum lets go of it, which is when the shutdown begins. With a
//! listener of another kind, drain the hub in the future that axum waits for:
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (hub, routes) = (sansse_axum::hub(), axum::Router::new());
//! use sansse::broker::Drain;
//! use std::time::Duration;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let shutdown = async move {
//!     drop(tokio::signal::ctrl_c().await);
//!     // It fails if it was drained before.
//!     let _ = hub.drain(Drain::new(Duration::from_secs(2)));
//! };
//! axum::serve(listener, routes).with_graceful_shutdown(shutdown).await?;
//! # Ok(()) }
//! ```
//!
//! The streams are cut, so that every reader comes back; see
//! [`with_early_end`](crate::hub::HubBuilder::with_early_end).
//!
//! # Peers that take nothing
//!
//! hyper, which is below axum, asks a body for nothing while its peer takes nothing. The hub ends the
//! session of such a peer, and the connection would stay for as long as the peer likes. The `Listener`
//! gives it up after 60 s, by a `WriteDeadline` around the connection. For a server on hyper itself,
//! or a listener of your own, put one around each connection. How fast a page may be outrun before
//! that, and what happens then, is the session's [lag](crate::broker::Lag).
//!
//! # From axum's `Sse`
//!
//! A stream of your own for one reader is `sansse_axum::Sse`. What became of each name, and of a `broadcast`
//! channel, is in [a guide of its own](super::from_axum_sse).
//!
//! # Without sockets
//!
//! A router is a service, so that a test needs no server. The body is the session:
//!
//! ```
//! use axum::{Router, body::Body, extract::State, http::Request, routing::get};
//! use http_body_util::BodyExt;
//! use sansse::{Event, Hub, broker::{Audience, SessionConfig}};
//! use sansse_axum::{EventStream, StreamRequest};
//! use tower::ServiceExt;
//!
//! async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
//!     stream.open(&hub, SessionConfig::new())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = sansse_axum::hub();
//! let routes = Router::new().route("/events", get(events)).with_state(hub.clone());
//! let response = routes.oneshot(Request::get("/events").body(Body::empty())?).await?;
//! hub.publish(Audience::Everyone, &Event::new("hello"))?;
//! let mut body = response.into_body();
//! let frame = body.frame().await.expect("it goes on")?;
//! let text = String::from_utf8(frame.into_data().expect("data").into())?;
//! assert!(text.ends_with("data: hello\n\n"));
//! # Ok(()) }
//! ```
//!
//! What layers in front do to a stream, how pages of other origins are let in, and what HTTP/1.0 and
//! HTTP/2 mean for streams is in the documentation of `sansse-axum`.
//!
//! # Next
//!
//! - [Behind proxies](super::behind_proxies): what is in front of the server.
//! - [Operating](super::operating): health, metrics, limits and deploys.
//! - [Resuming](super::resuming): what a page gets that comes back.

//! [`sansse`] in actix-web: event streams as three-line handlers, which broadcast, resume, end with
//! the server, and do not keep the connections of peers that take nothing.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use sansse::broker::{Audience, SessionConfig};
//! use sansse::{Event, Hub};
//! use sansse_actix::{EventStream, ServeStreams, StreamRequest};
//!
//! async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
//!     stream.open(&hub, SessionConfig::new())
//! }
//!
//! async fn say(hub: web::Data<Hub>, text: String) -> &'static str {
//!     // It fails once the server shuts down.
//!     let _ = hub.publish(Audience::Everyone, &Event::new(text));
//!     "said\n"
//! }
//!
//! #[actix_web::main]
//! async fn main() -> std::io::Result<()> {
//!     // One hub for all workers, so it is made out here.
//!     let hub = sansse_actix::hub();
//!     let data = web::Data::new(hub.clone());
//!     HttpServer::new(move || {
//!         App::new()
//!             .app_data(data.clone())
//!             .route("/events", web::to(events))
//!             .route("/say", web::post().to(say))
//!     })
//!     .serve_streams(hub)
//!     .bind(("127.0.0.1", 8080))?
//!     .run()
//!     .await
//! }
//! ```
//!
//! - [`StreamRequest`] is a request for an event stream, as an extractor; [`EventStream`] its answer.
//! - [`LastEventId`] is where the peer's stream broke off.
//! - [`Sse`] is a stream of one's own for one reader.
//! - [`ServeStreams`] is one line more for an `HttpServer`. It ends the streams when the server stops,
//!   and gives up peers that take nothing.
//!
//! When not to use it: a server that has nothing but event streams is smaller with `sansse-tokio`
//! alone, and uses less of the machine.
//!
//! # Heads and pages of other origins
//!
//! The head of the streams is the hub's, as
//! [`with_response_head`](sansse::hub::HubBuilder::with_response_head) sets it, or a
//! [`ResponseHead`](sansse::http::ResponseHead) in the application's data, for all routes, a scope or
//! one route. A middleware can put another into the request's extensions, which goes first:
//!
//! ```
//! use actix_web::{App, web};
//! use sansse::Hub;
//! use sansse::http::{Cors, ResponseHead};
//! # use sansse_actix::{EventStream, StreamRequest};
//! # async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
//! #     stream.open(&hub, Default::default())
//! # }
//!
//! # fn example() -> Result<(), sansse::http::OriginError> {
//! let head = ResponseHead::new().with_cors(Cors::origins(["https://app.example"])?);
//! // All methods, since a preflight is an OPTIONS request, which `web::get()` would refuse.
//! let route = web::resource("/events").app_data(head).to(events);
//! let app = App::new().service(route);
//! # Ok(()) }
//! ```
//!
//! `actix-cors` does as well; then leave CORS out of the head.
//!
//! # Middleware in front
//!
//! | Middleware | What happens to a stream |
//! | --- | --- |
//! | `Compress` | it is compressed, and each event goes out at once all the same (since actix-http 3.18.12). Each stream then costs an encoder, which is some 200 KiB for gzip and more for others. To leave it out, answer with `.customize().insert_header(ContentEncoding::Identity)` |
//! | one that collects a body before it hands it on | nothing ever comes: a stream has no end. Nobody can tell that it is there; leave out the route |
//! | `Logger` | the line comes when the stream ends |
//! | `Timeout` of `actix-web-lab` | nothing: it ends with the head, which is there at once |
//!
//! actix-web logs a stream that is cut, such as at each drain, as an error: "Response payload stream
//! error". A handler that panics ends its connection without an answer. So does a stream that [`Sse`]
//! polls, without a clean end.
//!
//! # Peers that take nothing
//!
//! The hub ends the session of such a peer after 60 s. Its connection would stay for as long as the
//! peer likes, since a body cannot end a connection for which it is not asked. On Linux and Android,
//! [`serve_streams`](ServeStreams::serve_streams) has the system do that;
//! [`set_write_deadline`] tells how, and what to do with TLS. On other systems, and on Unix sockets, such
//! connections stay, as they do with any response of actix-web. Put a proxy in front there, which has a
//! time of its own for it.
//!
//! # HTTP/1.0
//!
//! A cut shows as an aborted chunked coding, and in HTTP/2 as `RST_STREAM`. A peer by HTTP/1.0 sees
//! but the end of the connection, which is in good order. The [notice](sansse::Notice) at the end of a
//! stream tells them what has happened. In nginx set `proxy_http_version 1.1`.
//!
//! # HTTP/2
//!
//! actix-web learns that a peer has left a stream, or the connection, when it sends something. So a
//! session closes with the next heartbeat, which is after 15 s at most.
//!
//! With its defaults, actix-web ends a connection of HTTP/2 whose peer does not answer a ping within
//! 5 s (`keep_alive`), which those that take nothing do not. A peer that takes nothing of one stream by
//! its window, and reads the connection, keeps that stream open after the hub has ended its session: it
//! costs the stream and at most 64 KiB.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod deadline;
mod head;
mod request;
mod response;
mod server;

pub use body::EventBody;
pub use deadline::set_write_deadline;
pub use request::{LastEventId, StreamRejection, StreamRequest};
pub use response::{EventStream, Sse};
pub use sansse_tokio::{TokioRuntime, hub, random_epoch, spawn_hub};
pub use server::{ServeStreams, Streams};

/// The README's programs, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! HTTP/1.1 as bytes ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)), for those who have no
//! HTTP stack, for either side.
//!
//! # The server
//!
//! Bytes go in, requests come out; answers go in, bytes come out.
//!
//! [`ServerConnection`] is one connection of a server. It reads requests strictly, since
//! what two parties read differently is how requests are smuggled; it answers
//! plain requests one after another; and it ends with the request that is
//! answered by an event stream. From there on the caller writes frames to the
//! socket as [`Framing`](crate::Framing) says, and can drop the machine: a stream that lasts
//! for hours keeps no buffer.
//!
//! ```
//! use bytes::Bytes;
//! use sansse::http::{ResponseHead, accept};
//! use sansse::http1::{ServerConnection, ServerConnectionConfig};
//! use sansse::{Event, Frame};
//! # #[expect(clippy::disallowed_methods)]
//! # let now = std::time::Instant::now();
//!
//! let mut server = ServerConnection::new(now, ServerConnectionConfig::default());
//! server.handle_data(now, b"GET /events HTTP/1.1\r\nHost: example\r\n\r\n");
//!
//! let request = server.poll_request().expect("the request is complete");
//! accept(&request)?;
//! let head = ResponseHead::new().response(request.headers());
//! let framing = server.respond_stream(now, head)?;
//!
//! let mut written = Vec::new();
//! while let Some(bytes) = server.poll_transmit(now) {
//!     written.extend_from_slice(&bytes);
//! }
//! drop(server);
//! written.extend_from_slice(&framing.bytes(&Frame::new(&Event::new("hello"))));
//! written.extend_from_slice(framing.end());
//! assert!(written.ends_with(b"\r\n\r\nd\r\ndata: hello\n\n\r\n0\r\n\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The client
//!
//! A request goes in, bytes come out; bytes go in, and a response comes out as
//! it arrives.
//!
//! [`ClientConnection`] is one exchange on a connection of its own, which is how event
//! streams are read: from the answer on, the connection belongs to the stream.
//! It tells a body that ended from one that was cut off.
//!
//! ```
//! use bytes::Bytes;
//! use sansse::http1::{ClientConnection, ClientConnectionConfig, ResponsePart};
//!
//! let request = http::Request::get("http://example.org/events").body(Bytes::new())?;
//! let mut client = ClientConnection::new(&request, ClientConnectionConfig::default())?;
//! assert_eq!(
//!     client.poll_transmit().expect("the request"),
//!     "GET /events HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n"
//! );
//!
//! client.handle_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
//! client.handle_data(b"d\r\ndata: hello\n\n\r\n0\r\n\r\n");
//! let mut stream = Vec::new();
//! while let Some(part) = client.poll_response() {
//!     match part? {
//!         ResponsePart::Head(head) => assert_eq!(head.status(), 200),
//!         ResponsePart::Data(bytes) => stream.extend_from_slice(&bytes),
//!         ResponsePart::End => assert_eq!(stream, b"data: hello\n\n"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod chunked;
mod client;
mod empty_lines;
mod head;
mod host;
mod outbox;
#[cfg(test)]
mod random;
mod server;

pub use chunked::ChunkedError;
pub use client::{
    ClientConnection, ClientConnectionConfig, InvalidRequest, ResponseError, ResponsePart,
};
#[cfg(feature = "serve")]
pub(crate) use empty_lines::EmptyLines;
pub use server::{
    RefusedRequest, RespondError, ServerCloseReason, ServerConnection, ServerConnectionConfig,
};

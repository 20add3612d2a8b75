//! The heads that event streams need, as types of the [`http`](https://docs.rs/http) crate:
//! which requests ask for a stream, and with what it is answered.
//!
//! [`accept`] judges a request, by an [`AcceptConfig`] if the defaults will not do, [`ResponseHead`] is what every stream is
//! answered with, and [`Cors`] says which pages of other origins may read it.
//! [`Hosts`] says for which names and to which pages a server answers at all.
//! Nothing here knows how bytes travel: the same heads serve HTTP/1.1 and
//! HTTP/2, and any library that speaks the `http` crate's types.
//!
//! ```
//! use sansse::http::{Cors, ResponseHead, accept};
//!
//! let head = ResponseHead::new().with_cors(Cors::any_origin());
//! let request = http::Request::get("/events").header("last-event-id", "7").body(())?;
//!
//! let accepted = accept(&request)?;
//! assert_eq!(accepted.last_event_id().id().map(|id| id.as_str()), Some("7"));
//!
//! let response = head.response(request.headers());
//! assert_eq!(response.headers()["content-type"], "text/event-stream");
//! assert_eq!(response.headers()["access-control-allow-origin"], "*");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accept;
mod accept_config;
mod cors;
mod hosts;
mod rejection;
mod response_head;

#[cfg(feature = "broker")]
pub(crate) use accept::Asked;
pub use accept::{Accepted, Refusal, accept};
pub use accept_config::AcceptConfig;
pub use cors::{Cors, OriginError};
pub use hosts::{ForeignRequest, HostError, Hosts};
pub use rejection::rejection;
pub use response_head::ResponseHead;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// The `Last-Event-ID` header, which the `http` crate does not name.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Whether a header speaks of one connection or of the framing of one message,
/// and so is no business of those who speak of events.
///
/// These are the hop-by-hop fields of RFC 9110, 7.6.1, which HTTP/2 forbids
/// altogether (RFC 9113, 8.2.2), and `Content-Length`.
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    const KEEP_ALIVE: &str = "keep-alive";
    const PROXY_CONNECTION: &str = "proxy-connection";
    *name == header::CONNECTION
        || *name == header::CONTENT_LENGTH
        || *name == header::TRANSFER_ENCODING
        || *name == header::TE
        || *name == header::TRAILER
        || *name == header::UPGRADE
        || name.as_str() == KEEP_ALIVE
        || name.as_str() == PROXY_CONNECTION
}

/// Splits at `separator`, but not inside quoted strings (RFC 9110, 5.6.4).
pub(crate) fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |byte| {
        if escaped {
            escaped = false;
        } else if quoted && *byte == b'\\' {
            escaped = true;
        } else if *byte == b'"' {
            quoted = !quoted;
        } else {
            return !quoted && *byte == separator;
        }
        false
    })
}

/// A short answer in plain text.
pub(crate) fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

//! Answers as bytes: which headers frame them.

use super::date::Date;
use crate::encode::Framing;
use crate::http::is_framing;
use crate::http1::outbox::{Outbox, put_content_length, put_line};
use alloc::vec::Vec;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

/// What the exchange that is answered means for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    /// The request was HEAD: its answer is that to GET without the body.
    pub(super) head_only: bool,
    pub(super) http10: bool,
    pub(super) keep_alive: bool,
}

impl Exchange {
    /// For answers to what was not understood.
    pub(super) const UNKNOWN: Self = Self { head_only: false, http10: false, keep_alive: false };
}

impl Outbox {
    /// RFC 9110, 15.2.1.
    pub(super) fn push_continue(&mut self) {
        self.push_head(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec());
    }

    /// A whole answer. `exchange.keep_alive` says what becomes of the
    /// connection.
    pub(super) fn push_answer(
        &mut self,
        exchange: Exchange,
        response: Response<Bytes>,
        date: Option<Date>,
    ) {
        let (parts, mut body) = response.into_parts();
        let mut out = head_lines(parts.status, &parts.headers, date);
        if !allows_body(parts.status) {
            body = Bytes::new();
        }
        // RFC 9112, 6.3: a response of these two has no body whatever it says,
        // and RFC 9110, 8.6 forbids the first to say anything.
        if parts.status != StatusCode::NO_CONTENT && parts.status != StatusCode::NOT_MODIFIED {
            let of_get = Some(&parts.headers).filter(|_| exchange.head_only && body.is_empty());
            match of_get {
                None => put_content_length(&mut out, body.len()),
                // What the application says that GET would give.
                Some(headers) => {
                    if let Some(length) = headers.get(header::CONTENT_LENGTH) {
                        put_line(&mut out, "content-length", length.as_bytes());
                    }
                }
            }
        }
        match exchange {
            Exchange { keep_alive: false, .. } => put_line(&mut out, "connection", b"close"),
            Exchange { http10: true, .. } => put_line(&mut out, "connection", b"keep-alive"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
        self.push_message(out, if exchange.head_only { Bytes::new() } else { body });
    }

    /// The head of an event stream. It is the last answer of its connection,
    /// and says so.
    pub(super) fn push_stream_head(
        &mut self,
        framing: Framing,
        response: &Response<()>,
        date: Option<Date>,
    ) {
        let mut out = head_lines(response.status(), response.headers(), date);
        if framing == Framing::Chunked {
            put_line(&mut out, "transfer-encoding", b"chunked");
        }
        put_line(&mut out, "connection", b"close");
        out.extend_from_slice(b"\r\n");
        self.push_head(out);
    }
}

/// Whether an answer of this status may have a body (RFC 9110, 15.3.5, 15.3.6
/// and 15.4.5).
pub(super) fn allows_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The status line and the headers that do not frame. The version is ours,
/// whatever that of the request (RFC 9110, 6.2).
fn head_lines(status: StatusCode, headers: &HeaderMap, date: Option<Date>) -> Vec<u8> {
    const USUAL: usize = 256;
    let mut out = Vec::with_capacity(USUAL);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if !is_framing(name) {
            put_line(&mut out, name.as_str(), value.as_bytes());
        }
    }
    if let Some(date) = date
        && !headers.contains_key(header::DATE)
    {
        put_line(&mut out, "date", &date);
    }
    out
}

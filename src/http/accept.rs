//! Which requests ask for an event stream: [`accept`].

use super::hosts::ForeignRequest;
use super::{AcceptConfig, LAST_EVENT_ID, plain_text, split_unquoted};
use crate::event::Event;
use crate::last_event_id::LastEventId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};

/// Judges a request for an event stream.
///
/// What counts is the method, the `Accept` header, and where the stream is to
/// go on. HEAD is judged as GET is, and [told apart](Accepted::is_head_only). `Range` and the conditional headers are ignored, since nothing but
/// a 200 opens a stream.
///
/// The `Last-Event-ID` header is taken where there is one that is not empty;
/// browsers send it when they come back, and know better than the URL that a
/// page began with. Otherwise the query parameters `lastEventId`, `last_event_id` and
/// `evs_last_event_id` are looked at, by which polyfills and libraries that cannot set
/// headers say the same; the last one that is not empty counts, since they
/// append theirs to what the page gave. Several header lines contradict each
/// other and are [`LastEventId::Malformed`].
///
/// [`AcceptConfig::accept`] does the same with other parameters, or for some hosts and origins alone.
///
/// A `LastEventId` among the request's extensions counts as a header line. An
/// HTTP server that is handed control characters in an id can keep them there,
/// as the `http1` module does; a `HeaderValue` cannot hold them.
///
/// # Errors
///
/// [`Refusal`], by the peer's fault; [`Refusal::response`] is what to answer.
pub fn accept<B>(request: &Request<B>) -> Result<Accepted, Refusal> {
    AcceptConfig::DEFAULT.accept(request)
}

/// The parts of a request that say whether it is answered by an event stream, and from where on.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The id that the HTTP server kept, since a header value cannot hold it.
    pub(crate) retained: Option<&'a LastEventId>,
}

impl Asked<'_> {
    /// As [`AcceptConfig::accept`].
    pub(crate) fn accept(self, config: &AcceptConfig) -> Result<Accepted, Refusal> {
        config.check(self).map_err(Refusal::Foreign)?;
        if ![Method::GET, Method::HEAD, Method::POST].contains(self.method) {
            return Err(Refusal::MethodNotAllowed);
        }
        if !admits_event_streams(self.headers) {
            return Err(Refusal::NotAcceptable);
        }
        Ok(Accepted {
            last_event_id: match id_from_headers(self.headers, self.retained) {
                LastEventId::Absent => id_from_query(self.uri, config),
                from_header => from_header,
            },
            padding: asks_for_padding(self.uri),
            head_only: *self.method == Method::HEAD,
        })
    }
}

#[cfg(feature = "serve")]
impl Asked<'_> {
    /// Whether the peer says by name that it reads event streams, as every `EventSource` does
    /// (WHATWG HTML, 9.2.2).
    pub(crate) fn names_event_streams(&self) -> bool {
        matches!(best_range(self.headers).1, Some((BY_NAME, true)))
    }
}

impl<'a, B> From<&'a Request<B>> for Asked<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            retained: request.extensions().get(),
        }
    }
}

/// What a request for an event stream asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    last_event_id: LastEventId,
    padding: bool,
    head_only: bool,
}

impl Accepted {
    /// Returns where the peer's stream broke off, if the peer says so.
    pub fn last_event_id(&self) -> &LastEventId {
        &self.last_event_id
    }

    /// Returns whether the request asks for the head of the stream alone, by HEAD: it is answered
    /// by [`ResponseHead::response`](super::ResponseHead::response) without a body, and no stream is
    /// opened (RFC 9110, 9.3.2).
    pub fn is_head_only(&self) -> bool {
        self.head_only
    }

    /// Returns what the peer wants to be sent before anything else: about 2 KiB of comment, for
    /// polyfills on browsers that hold back the first bytes of a response. They ask for it by a
    /// query parameter `padding` or `evs_preamble`.
    pub fn padding(&self) -> Option<Event> {
        self.padding.then(|| Event::comment(PADDING))
    }

    #[cfg(feature = "broker")]
    pub(crate) fn padding_text(&self) -> Option<&'static str> {
        self.padding.then_some(PADDING)
    }
}

const PADDING: &str = match core::str::from_utf8(&[b' '; 2048]) {
    Ok(spaces) => spaces,
    Err(_) => unreachable!(),
};

/// A request that is none for an event stream, by the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is none of GET, HEAD and POST: 405, with `Allow`.
    MethodNotAllowed,
    /// The `Accept` header rules out `text/event-stream`: 406.
    NotAcceptable,
    /// The request is for another host, or of a page that may not ask: 403. Only with
    /// [`AcceptConfig::with_hosts`].
    Foreign(ForeignRequest),
}

impl Refusal {
    /// Returns the status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Foreign(foreign) => foreign.status(),
        }
    }

    /// Returns the answer: a line of plain text, and `Allow` where the method was wrong.
    pub fn response(self) -> Response<Bytes> {
        let text = match self {
            Self::MethodNotAllowed => "This is an event stream: use GET or POST.\n",
            Self::NotAcceptable => "This is an event stream: accept text/event-stream.\n",
            Self::Foreign(foreign) => return foreign.response(),
        };
        let mut response = plain_text(self.status(), text);
        if self == Self::MethodNotAllowed {
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}

impl From<Refusal> for Response<Bytes> {
    fn from(refusal: Refusal) -> Self {
        refusal.response()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MethodNotAllowed => f.write_str("an event stream is asked for with GET or POST"),
            Self::NotAcceptable => f.write_str("the request does not accept text/event-stream"),
            Self::Foreign(foreign) => foreign.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

fn id_from_headers(headers: &HeaderMap, retained: Option<&LastEventId>) -> LastEventId {
    let mut ids = headers
        .get_all(LAST_EVENT_ID)
        .iter()
        .map(|value| LastEventId::from_header(value.as_bytes()))
        .chain(retained.cloned());
    match (ids.next(), ids.next()) {
        (None, _) => LastEventId::Absent,
        (Some(id), None) => id,
        (Some(_), Some(_)) => LastEventId::Malformed,
    }
}

fn id_from_query(uri: &Uri, config: &AcceptConfig) -> LastEventId {
    parameters(uri)
        .filter(|(name, _)| config.is_id_parameter(name))
        .map(|(_, value)| LastEventId::with_limit(&value, LastEventId::MAX_LENGTH))
        .filter(|id| *id != LastEventId::Absent)
        .last()
        .unwrap_or_default()
}

fn asks_for_padding(uri: &Uri) -> bool {
    parameters(uri).any(|(name, _)| matches!(&name[..], b"padding" | b"evs_preamble"))
}

/// The query as `application/x-www-form-urlencoded`, by the URL standard's
/// parser but for its last step: the values stay bytes, so that an id which is
/// no UTF-8 is seen as such and not taken for one with U+FFFD in it.
fn parameters(uri: &Uri) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let query = uri.query().unwrap_or_default().as_bytes();
    query.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(|part| {
        let mut sides = part.splitn(2, |byte| *byte == b'=');
        let mut side = || sides.next().map(decoded).unwrap_or_default();
        (side(), side())
    })
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        out.push(match first {
            b'+' => b' ',
            b'%' => match after {
                [high, low, after @ ..] => match (hex_digit(*high), hex_digit(*low)) {
                    (Some(high), Some(low)) => {
                        rest = after;
                        high << 4 | low
                    }
                    _ => b'%',
                },
                _ => b'%',
            },
            byte => *byte,
        });
    }
    out
}

fn hex_digit(byte: u8) -> Option<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "a digit is at most 15")]
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Content negotiation by RFC 9110, 12.5.1, as far as one type needs it.
///
/// The most specific range that covers `text/event-stream` decides, and rules
/// it out only by a weight of zero; where none covers it, it is ruled out. No
/// header, or one with nothing in it that reads as a range, rules out nothing.
fn admits_event_streams(headers: &HeaderMap) -> bool {
    let (any_range, best) = best_range(headers);
    best.map_or(!any_range, |(_, admitted)| admitted)
}

/// Whether there is any range, and of the one that fits best how closely it does, and whether it
/// admits event streams.
fn best_range(headers: &HeaderMap) -> (bool, Option<(u8, bool)>) {
    let mut any_range = false;
    let mut best: Option<(u8, bool)> = None;
    for value in headers.get_all(header::ACCEPT) {
        for range in split_unquoted(value.as_bytes(), b',') {
            let mut parts = split_unquoted(range, b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            if name.is_empty() {
                continue;
            }
            any_range = true;
            let Some(specificity) = specificity(name) else { continue };
            let admitted = !parts.any(is_zero_weight);
            best = best.max(Some((specificity, admitted)));
        }
    }
    (any_range, best)
}

/// The specificity of the range that names the type.
const BY_NAME: u8 = 2;

/// How closely a media range fits `text/event-stream`; `None` if it does not
/// cover it. A lone `*` is what old Java clients send for `*/*`.
fn specificity(range: &[u8]) -> Option<u8> {
    let is = |text: &str| range.eq_ignore_ascii_case(text.as_bytes());
    if is("text/event-stream") {
        Some(BY_NAME)
    } else if is("text/*") {
        Some(1)
    } else if is("*/*") || is("*") {
        Some(0)
    } else {
        None
    }
}

fn is_zero_weight(parameter: &[u8]) -> bool {
    let mut sides = parameter.splitn(2, |byte| *byte == b'=');
    let mut side = || sides.next().unwrap_or_default().trim_ascii();
    let (name, value) = (side(), side());
    name.eq_ignore_ascii_case(b"q")
        && value.contains(&b'0')
        && value.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn admits(accept: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(header::ACCEPT, HeaderValue::from_static(line));
        }
        admits_event_streams(&headers)
    }

    #[test]
    fn the_most_specific_range_decides_whatever_the_order() {
        assert!(admits(&["*/*;q=0, text/event-stream"]));
        assert!(admits(&["text/event-stream, */*;q=0"]));
        assert!(!admits(&["text/event-stream;q=0, */*"]));
        assert!(!admits(&["*/*", "text/*;q=0.0"]));
        assert!(admits(&["text/*;q=0", "text/event-stream;q=0.001"]));
    }

    #[test]
    fn a_weight_is_zero_in_any_spelling_and_nothing_else_is() {
        for zero in ["q=0", "Q=0", "q=0.", "q=0.000", " q = 0 ", "q=00"] {
            assert!(!admits(&[String::leak(alloc::format!("text/event-stream;{zero}"))]), "{zero}");
        }
        for other in ["q=1", "q=0.001", "q=.2", "q=", "q=x", "q", "level=0", "q=-1"] {
            assert!(
                admits(&[String::leak(alloc::format!("text/event-stream;{other}"))]),
                "{other}"
            );
        }
    }

    #[test]
    fn separators_inside_quoted_strings_separate_nothing() {
        assert!(!admits(&[r#"text/html;a="\", text/event-stream, ""#]));
        assert!(!admits(&[r#"text/event-stream;a=";,";q=0"#]));
    }

    #[test]
    fn what_is_no_range_rules_nothing_out_and_lets_nothing_in() {
        assert!(admits(&[]));
        assert!(admits(&[""]));
        assert!(admits(&[" , ,"]));
        assert!(!admits(&["text/event-stream-foobar"]));
        assert!(!admits(&["*/event-stream"]));
        assert!(admits(&["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"]));
        assert!(admits(&["TEXT/Event-Stream"]));
    }

    #[test]
    fn percent_signs_that_escape_nothing_are_kept() {
        assert_eq!(decoded(b"a%2Bb+c%zz%4"), b"a+b c%zz%4");
        assert_eq!(decoded(b"%E2%80%A6%ff"), b"\xe2\x80\xa6\xff");
    }
}

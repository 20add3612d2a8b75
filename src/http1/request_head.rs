//! The head of a request: where it ends, what it says, and whether it may say so.

use super::error::RequestError;
use super::limits::HeadLimits;
use crate::http::LAST_EVENT_ID;
use crate::last_event_id::LastEventId;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, Request, Uri, Version};

/// How many empty lines before a request are read over. One is what RFC 9112,
/// 2.2 asks for, because of old clients that sent it behind a body.
pub(super) const MAX_EMPTY_LINES: u8 = 2;

/// The search for the end of a head, which looks at each byte once, however
/// they arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    searched: usize,
    lines: usize,
}

impl Search {
    /// How many bytes of `buffer` are the head, its blank line included;
    /// `None` if it goes on. `buffer` begins with the request line and has
    /// only grown since the last call.
    ///
    /// What is wrong is found at a certain byte, and by the first such byte,
    /// so that it does not matter how the bytes arrived.
    pub(super) fn end(
        &mut self,
        buffer: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<usize>, RequestError> {
        let within_limit = &buffer[..buffer.len().min(limits.size)];
        while let Some(offset) = memchr::memchr(b'\n', &within_limit[self.searched..]) {
            let end = self.searched + offset + 1;
            self.searched = end;
            let lines = &within_limit[..end];
            if lines.ends_with(b"\r\n\r\n") {
                return Ok(Some(end));
            }
            if !lines.ends_with(b"\r\n") {
                return Err(RequestError::BareLineFeed);
            }
            self.lines += 1;
            if self.lines > limits.headers.saturating_add(1) {
                return Err(RequestError::TooManyHeaders);
            }
        }
        self.searched = within_limit.len();
        if within_limit.len() == limits.size { Err(RequestError::HeadTooLarge) } else { Ok(None) }
    }

    /// How many header lines were seen.
    fn headers(self) -> usize {
        self.lines.saturating_sub(1)
    }
}

/// A request head that may be acted upon.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) request: Request<()>,
    pub(super) body: BodyLength,
    /// The peer waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// The peer does not mind another exchange on the connection.
    pub(super) keep_alive: bool,
}

/// How the end of a request body is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    Known(u64),
    Chunked,
}

/// Reads a complete head, whose end `search` found.
///
/// Values are copied out of it, so that an application which keeps one for as
/// long as a stream lasts does not keep the whole head.
pub(super) fn parse(head: &[u8], search: Search) -> Result<RequestHead, RequestError> {
    match parse_fields(head, search) {
        Err(RequestError::HeaderValue) => {
            let (rest, id) = without_last_event_id(head).ok_or(RequestError::HeaderValue)?;
            let mut parsed = parse_fields(&rest, search)?;
            parsed.request.extensions_mut().insert(id);
            Ok(parsed)
        }
        outcome => outcome,
    }
}

fn parse_fields(head: &[u8], search: Search) -> Result<RequestHead, RequestError> {
    let mut fields = vec![httparse::EMPTY_HEADER; search.headers()];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(RequestError::Syntax),
        Err(error) => return Err(request_error(error, head)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(RequestError::Syntax);
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| RequestError::Syntax)?;
    let uri = target_uri(&method, target.as_bytes())?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| RequestError::HeaderName)?;
        let value = HeaderValue::from_bytes(field.value.trim_ascii());
        let value = value.map_err(|_| RequestError::HeaderValue)?;
        headers.try_append(name, value).map_err(|_| RequestError::TooManyHeaders)?;
    }
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    check_host(&mut headers, &uri, version)?;

    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = version;
    *request.headers_mut() = headers;
    Ok(RequestHead {
        body: body_length(request.headers(), version)?,
        expects_continue: expects_continue(request.headers(), version)?,
        keep_alive: keeps_alive(request.headers(), version),
        request,
    })
}

/// The forms of RFC 9112, 3.2: a path; a whole URL, as proxies get it and
/// every server must take it; and `*`, for OPTIONS.
fn target_uri(method: &Method, target: &[u8]) -> Result<Uri, RequestError> {
    if *method == Method::CONNECT {
        return Err(RequestError::Connect);
    }
    // A fragment is never sent, and the `http` crate would quietly drop it.
    if target.contains(&b'#') {
        return Err(RequestError::Target);
    }
    let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(target));
    let uri = uri.map_err(|_| RequestError::Target)?;
    let fits = match target {
        [b'/', ..] => true,
        b"*" => *method == Method::OPTIONS,
        _ => {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        }
    };
    if fits { Ok(uri) } else { Err(RequestError::Target) }
}

/// RFC 9112, 3.2 and 3.2.2: exactly one `Host` on HTTP/1.1; and where the
/// target names a host itself, it takes the place of the header.
fn check_host(headers: &mut HeaderMap, uri: &Uri, version: Version) -> Result<(), RequestError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let valid = match (hosts.next(), hosts.next()) {
        (None, _) => version == Version::HTTP_10,
        (Some(host), None) => {
            host.is_empty()
                || Authority::try_from(host.as_bytes())
                    .is_ok_and(|authority| !authority.as_str().contains('@'))
        }
        (Some(_), Some(_)) => false,
    };
    if !valid {
        return Err(RequestError::Host);
    }
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::try_from(authority.as_str());
        headers.insert(header::HOST, host.map_err(|_| RequestError::Target)?);
    }
    Ok(())
}

fn body_length(headers: &HeaderMap, version: Version) -> Result<BodyLength, RequestError> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(length), None) => Some(number(length.as_bytes())?),
        (Some(_), Some(_)) => return Err(RequestError::ContentLength),
    };
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(BodyLength::Known(length.unwrap_or(0))),
        _ if version == Version::HTTP_10 => Err(RequestError::CodingOnHttp10),
        _ if length.is_some() => Err(RequestError::LengthAndCoding),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(BodyLength::Chunked)
        }
        _ => Err(RequestError::TransferCoding),
    }
}

/// Digits only: no sign, no list, no white space inside.
fn number(digits: &[u8]) -> Result<u64, RequestError> {
    if digits.is_empty() {
        return Err(RequestError::ContentLength);
    }
    digits
        .iter()
        .try_fold(0_u64, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(RequestError::ContentLength)
}

/// RFC 9110, 10.1.1, by which HTTP/1.0 cannot expect anything.
fn expects_continue(headers: &HeaderMap, version: Version) -> Result<bool, RequestError> {
    let mut expected = headers.get_all(header::EXPECT).iter();
    if version == Version::HTTP_10 {
        return Ok(false);
    }
    match (expected.next(), expected.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(RequestError::Expectation),
    }
}

/// RFC 9112, 9.3.
fn keeps_alive(headers: &HeaderMap, version: Version) -> bool {
    if has_connection_option(headers, "close") {
        return false;
    }
    version != Version::HTTP_10 || has_connection_option(headers, "keep-alive")
}

/// Whether `Connection` lists this option (RFC 9110, 7.6.1).
pub(super) fn has_connection_option(headers: &HeaderMap, option: &str) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

fn request_error(error: httparse::Error, head: &[u8]) -> RequestError {
    match error {
        httparse::Error::HeaderName => RequestError::HeaderName,
        httparse::Error::HeaderValue => RequestError::HeaderValue,
        httparse::Error::TooManyHeaders => RequestError::TooManyHeaders,
        httparse::Error::Version if names_a_version(head) => RequestError::Version,
        _ => RequestError::Syntax,
    }
}

/// Whether all that is wrong with the request line is the version that it names.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ').skip(2);
    matches!((parts.next(), parts.next()),
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// A head without its `Last-Event-ID` lines, and what they said.
///
/// Event ids may hold control characters, and browsers send them back as they
/// are. RFC 9110, 5.5 lets a recipient retain them, but a `HeaderValue` cannot,
/// and to refuse the request would end the stream for good. So the id takes
/// another way to [`accept`](crate::http::accept), as an extension of the
/// request. What no id can hold, CR and NUL, stays an error.
fn without_last_event_id(head: &[u8]) -> Option<(Vec<u8>, LastEventId)> {
    let mut rest = Vec::with_capacity(head.len());
    let mut id = None;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (name, value) = line.split_at(colon);
        let Some(value) = value.strip_prefix(b":").and_then(|value| value.strip_suffix(b"\r\n"))
        else {
            rest.extend_from_slice(line);
            continue;
        };
        if !name.eq_ignore_ascii_case(LAST_EVENT_ID.as_str().as_bytes()) {
            rest.extend_from_slice(line);
        } else if value.contains(&b'\r') || value.contains(&0) {
            return None;
        } else if id.is_none() {
            id = Some(LastEventId::from_header(value));
        } else {
            id = Some(LastEventId::Malformed);
        }
    }
    Some((rest, id?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { size: 40, headers: 2 };

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_split() {
        let head = b"GET / HTTP/1.1\r\na: b\r\nc:\r\n\r\nrest";
        for step in 1..head.len() {
            let mut search = Search::default();
            let mut length = 0;
            let end = loop {
                length = (length + step).min(head.len());
                if let Some(end) = search.end(&head[..length], LIMITS).unwrap() {
                    break end;
                }
                assert_eq!(search.searched, length, "no byte is looked at twice");
            };
            assert_eq!((end, search.headers()), (head.len() - 4, 2), "in steps of {step}");
        }
    }

    #[test]
    fn a_head_of_exactly_the_limit_fits() {
        let head = b"GET /234567890123456789012 HTTP/1.1\r\n\r\n";
        let limits = |size| HeadLimits { size, headers: 0 };
        assert_eq!(Search::default().end(head, limits(head.len())), Ok(Some(head.len())));
        let error = Search::default().end(head, limits(head.len() - 1));
        assert_eq!(error, Err(RequestError::HeadTooLarge));
    }

    #[test]
    fn the_first_bad_byte_decides_what_is_wrong() {
        let error = |head: &[u8]| Search::default().end(head, LIMITS).unwrap_err();
        assert_eq!(
            error(b"GET\n 456789012345678901234567890123456789"),
            RequestError::BareLineFeed
        );
        assert_eq!(
            error(b"GET 456789012345678901234567890123456789\n"),
            RequestError::HeadTooLarge
        );
        assert_eq!(error(b"G\r\na:\r\nb:\r\nc:\r\n"), RequestError::TooManyHeaders);
    }

    #[test]
    fn a_length_is_digits_that_fit_64_bits() {
        assert_eq!(number(b"18446744073709551615"), Ok(u64::MAX));
        for text in ["", "+1", "-1", "1,1", "1 1", "0x1", "18446744073709551616", "1."] {
            assert_eq!(number(text.as_bytes()), Err(RequestError::ContentLength), "{text}");
        }
    }
}

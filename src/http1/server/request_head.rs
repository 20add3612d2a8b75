//! The head of a request: what it says, and whether it may say so.

use super::error::RefusedRequest;
use crate::http::LAST_EVENT_ID;
use crate::http1::head::{
    Search, content_length, field_error, has_connection_option, header_map, without_fields,
};
use crate::http1::host::is_host;
use crate::last_event_id::LastEventId;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Uri, Version};

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
pub(super) fn parse(head: &[u8], search: Search) -> Result<RequestHead, RefusedRequest> {
    match parse_fields(head, search) {
        Err(RefusedRequest::HeaderValue) => {
            let (rest, id) = without_last_event_id(head).ok_or(RefusedRequest::HeaderValue)?;
            let mut parsed = parse_fields(&rest, search)?;
            parsed.request.extensions_mut().insert(id);
            Ok(parsed)
        }
        outcome => outcome,
    }
}

fn parse_fields(head: &[u8], search: Search) -> Result<RequestHead, RefusedRequest> {
    let mut fields = vec![httparse::EMPTY_HEADER; search.headers()];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(RefusedRequest::Syntax),
        Err(error) => return Err(request_error(error, head)),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(RefusedRequest::Syntax);
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| RefusedRequest::Syntax)?;
    let uri = target_uri(&method, target.as_bytes())?;
    let mut headers = header_map(parsed.headers)?;
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
fn target_uri(method: &Method, target: &[u8]) -> Result<Uri, RefusedRequest> {
    if *method == Method::CONNECT {
        return Err(RefusedRequest::Connect);
    }
    // A fragment is never sent, and the `http` crate would quietly drop it.
    if target.contains(&b'#') {
        return Err(RefusedRequest::Target);
    }
    let uri = Uri::from_maybe_shared(Bytes::copy_from_slice(target));
    let uri = uri.map_err(|_| RefusedRequest::Target)?;
    let fits = match target {
        [b'/', ..] => true,
        b"*" => *method == Method::OPTIONS,
        _ => {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| is_host(authority.as_str().as_bytes()))
        }
    };
    if fits { Ok(uri) } else { Err(RefusedRequest::Target) }
}

/// RFC 9112, 3.2 and 3.2.2: exactly one `Host` on HTTP/1.1, which is empty where the target has no
/// host; and where the target names a host itself, it takes the place of the header.
fn check_host(headers: &mut HeaderMap, uri: &Uri, version: Version) -> Result<(), RefusedRequest> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let valid = match (hosts.next(), hosts.next()) {
        (None, _) => version == Version::HTTP_10,
        (Some(host), None) => host.is_empty() || is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
    };
    if !valid {
        return Err(RefusedRequest::Host);
    }
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::try_from(authority.as_str());
        headers.insert(header::HOST, host.map_err(|_| RefusedRequest::Target)?);
    }
    Ok(())
}

fn body_length(headers: &HeaderMap, version: Version) -> Result<BodyLength, RefusedRequest> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(length), None) => {
            Some(content_length(length.as_bytes()).ok_or(RefusedRequest::ContentLength)?)
        }
        (Some(_), Some(_)) => return Err(RefusedRequest::ContentLength),
    };
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(BodyLength::Known(length.unwrap_or(0))),
        _ if version == Version::HTTP_10 => Err(RefusedRequest::CodingOnHttp10),
        _ if length.is_some() => Err(RefusedRequest::LengthAndCoding),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(BodyLength::Chunked)
        }
        _ => Err(RefusedRequest::TransferCoding),
    }
}

/// RFC 9110, 10.1.1, by which HTTP/1.0 cannot expect anything.
fn expects_continue(headers: &HeaderMap, version: Version) -> Result<bool, RefusedRequest> {
    let mut expected = headers.get_all(header::EXPECT).iter();
    if version == Version::HTTP_10 {
        return Ok(false);
    }
    match (expected.next(), expected.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(RefusedRequest::Expectation),
    }
}

/// RFC 9112, 9.3.
fn keeps_alive(headers: &HeaderMap, version: Version) -> bool {
    if has_connection_option(headers, "close") {
        return false;
    }
    version != Version::HTTP_10 || has_connection_option(headers, "keep-alive")
}

fn request_error(error: httparse::Error, head: &[u8]) -> RefusedRequest {
    match field_error(error) {
        Some(error) => error.into(),
        None if error == httparse::Error::Version && names_a_version(head) => {
            RefusedRequest::Version
        }
        None => RefusedRequest::Syntax,
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
    let mut id = None;
    let mut is_possible = true;
    let rest = without_fields(head, |name, value| {
        if !name.eq_ignore_ascii_case(LAST_EVENT_ID.as_str().as_bytes()) {
            return false;
        }
        is_possible &= !value.contains(&b'\r') && !value.contains(&0);
        id = Some(match id {
            None => LastEventId::from_header(value),
            Some(_) => LastEventId::Malformed,
        });
        true
    });
    Some((rest, id.filter(|_| is_possible)?))
}

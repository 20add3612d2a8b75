//! A request as bytes.

use super::error::InvalidRequest;
use crate::http::{LAST_EVENT_ID, is_framing};
use crate::http1::host::is_host;
use crate::http1::outbox::{Outbox, put_content_length, put_line};
use crate::last_event_id::LastEventId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Uri};

/// Whom a request is written for.
#[derive(Clone, Copy)]
pub(super) enum Reader<'a> {
    Server,
    /// With what it asks for as `Proxy-Authorization`.
    Proxy(Option<&'a HeaderValue>),
}

/// How much a request's head takes, as a rule.
const USUAL: usize = 512;

/// A request for a tunnel (RFC 9110, 9.3.6). `host` is a name or an address, which an IPv6 address
/// is without brackets.
pub(super) fn write_connect(
    host: &str,
    port: u16,
    credentials: Option<&HeaderValue>,
) -> Result<Outbox, InvalidRequest> {
    // Its zone means something on this machine only (RFC 6874, 3).
    let host = host.split('%').next().unwrap_or_default();
    let target =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    if !is_host(target.as_bytes()) || host.is_empty() {
        return Err(InvalidRequest::Host);
    }
    let mut out = Vec::with_capacity(USUAL);
    out.extend_from_slice(b"CONNECT ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    put_line(&mut out, "host", target.as_bytes());
    if let Some(credentials) = credentials {
        put_line(&mut out, "proxy-authorization", credentials.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    let mut outbox = Outbox::default();
    outbox.push_message(out, Bytes::new());
    Ok(outbox)
}

pub(super) fn write(
    request: &Request<Bytes>,
    reader: Reader<'_>,
) -> Result<Outbox, InvalidRequest> {
    let (method, body) = (request.method(), request.body());
    if *method == Method::CONNECT || (*method == Method::TRACE && !body.is_empty()) {
        return Err(InvalidRequest::Method);
    }
    let mut out = Vec::with_capacity(USUAL);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    if matches!(reader, Reader::Proxy(_)) {
        put_origin(&mut out, request.uri())?;
    }
    put_target(&mut out, method, request.uri())?;
    out.extend_from_slice(b" HTTP/1.1\r\n");
    put_host(&mut out, request.uri(), request.headers())?;
    if let Reader::Proxy(Some(credentials)) = reader {
        put_line(&mut out, "proxy-authorization", credentials.as_bytes());
    }
    for (name, value) in request.headers() {
        let is_replaced =
            *name == header::PROXY_AUTHORIZATION && matches!(reader, Reader::Proxy(Some(_)));
        if !is_ours(name) && !is_replaced {
            put_line(&mut out, name.as_str(), value.as_bytes());
        }
    }
    if let Some(LastEventId::Id(id)) = request.extensions().get()
        && !request.headers().contains_key(LAST_EVENT_ID)
    {
        // It has no CR and no LF, so that it stays within its line.
        put_line(&mut out, LAST_EVENT_ID.as_str(), id.as_str().as_bytes());
    }
    if !body.is_empty() || has_meaningful_body(method) {
        put_content_length(&mut out, body.len());
    }
    out.extend_from_slice(b"connection: close\r\n\r\n");
    let mut outbox = Outbox::default();
    outbox.push_message(out, body.clone());
    Ok(outbox)
}

/// Whether a header is written here, or not at all. `Expect` would ask for a
/// 100 that is not waited for.
fn is_ours(name: &HeaderName) -> bool {
    *name == header::HOST || *name == header::EXPECT || is_framing(name)
}

/// Whether the absence of a body says something, and so has to be said
/// (RFC 9110, 8.6).
fn has_meaningful_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// What stands before the path in the absolute form (RFC 9112, 3.2.2), which a proxy goes by,
/// whatever `Host` says.
fn put_origin(out: &mut Vec<u8>, url: &Uri) -> Result<(), InvalidRequest> {
    let scheme = url.scheme_str().ok_or(InvalidRequest::Target)?;
    let host = host(url)?;
    for part in [scheme, "://", &host] {
        out.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// The origin form, or `*` (RFC 9112, 3.2). What is not ASCII is
/// percent-encoded (RFC 3986, 2.1), which the `http` crate leaves to others.
fn put_target(out: &mut Vec<u8>, method: &Method, url: &Uri) -> Result<(), InvalidRequest> {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    match target.as_bytes().first() {
        Some(b'/') => {}
        Some(b'?') => out.push(b'/'),
        Some(b'*') if target == "*" && *method == Method::OPTIONS => {}
        _ => return Err(InvalidRequest::Target),
    }
    for byte in target.bytes() {
        if byte.is_ascii_graphic() {
            out.push(byte);
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |value: u8| DIGITS[usize::from(value & 0xf)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]);
        }
    }
    Ok(())
}

fn put_host(out: &mut Vec<u8>, url: &Uri, headers: &HeaderMap) -> Result<(), InvalidRequest> {
    let mut given = headers.get_all(header::HOST).iter();
    match (given.next(), given.next()) {
        (None, _) => put_line(out, "host", host(url)?.as_bytes()),
        (Some(host), None) if is_host(host.as_bytes()) => put_line(out, "host", host.as_bytes()),
        _ => return Err(InvalidRequest::Host),
    }
    Ok(())
}

/// What `Host` says of a URL (RFC 9110, 7.2), without a port that goes without
/// saying.
fn host(url: &Uri) -> Result<String, InvalidRequest> {
    let authority = url.authority().ok_or(InvalidRequest::Host)?;
    if authority.as_str().contains('@') {
        return Err(InvalidRequest::Userinfo);
    }
    let host = authority.host();
    let usual_port = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Some(80),
        Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
        _ => None,
    };
    let port = match authority.as_str().strip_prefix(host) {
        _ if host.is_empty() => return Err(InvalidRequest::Host),
        Some("" | ":") => None,
        _ => Some(authority.port_u16().ok_or(InvalidRequest::Host)?),
    };
    // The zone of an IPv6 address means something on this machine only
    // (RFC 6874, 3).
    let host = match host.split_once('%') {
        Some((address, _zone)) => format!("{address}]"),
        None => String::from(host),
    };
    Ok(match port {
        Some(port) if Some(port) != usual_port => format!("{host}:{port}"),
        _ => host,
    })
}

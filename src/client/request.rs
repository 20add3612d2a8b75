//! The request of an attempt, and what redirects make of it.

use super::error::RequestError;
use super::location::{has_valid_authority, is_same_origin};
use crate::event::EventId;
use crate::http::{LAST_EVENT_ID, is_framing};
use crate::last_event_id::LastEventId;
use crate::net::{basic_credentials, take_userinfo};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};

/// A request but for its last event ID and the headers that are renewed.
#[derive(Clone)]
pub(super) struct Route {
    parts: Parts,
    body: Bytes,
}

impl Route {
    /// Takes the caller's request, and the last event ID out of it.
    pub(super) fn new(request: Request<Bytes>) -> (Self, Result<Option<EventId>, RequestError>) {
        let (mut parts, body) = request.into_parts();
        let last_event_id = last_event_id(&parts);
        remove_what_is_not_the_callers(&mut parts.headers);
        parts.extensions.remove::<LastEventId>();
        let mut route = Self { parts, body };
        let checked = route.check().and_then(|()| route.move_credentials()).and(last_event_id);
        (route, checked)
    }

    pub(super) fn url(&self) -> &Uri {
        &self.parts.uri
    }

    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Whether the request does nothing twice when it is sent twice (RFC 9110, 9.2.1).
    pub(super) fn is_safe(&self) -> bool {
        self.parts.method.is_safe() && self.body.is_empty()
    }

    /// The request, with headers that replace those of the same name.
    pub(super) fn request(&self, renewed: &HeaderMap, last_event_id: &str) -> Request<Bytes> {
        let mut request = Request::from_parts(self.parts.clone(), self.body.clone());
        let headers = request.headers_mut();
        // Replaces what has the same name.
        headers.extend(renewed.clone());
        for (name, value) in DEFAULTS {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        match HeaderValue::from_bytes(last_event_id.as_bytes()) {
            _ if last_event_id.is_empty() => {}
            Ok(value) => _ = headers.insert(LAST_EVENT_ID, value),
            // An id with control characters does not fit into a header. A driver that writes
            // headers itself finds it here. With another, the stream goes on from where the server
            // thinks best, which is better than not at all.
            Err(_) => {
                let id = LastEventId::with_limit(last_event_id.as_bytes(), usize::MAX);
                request.extensions_mut().insert(id);
            }
        }
        request
    }

    /// The method after a redirect with this status.
    pub(super) fn method_after(&self, status: StatusCode) -> Method {
        let method = &self.parts.method;
        let becomes_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
            StatusCode::SEE_OTHER => true,
            _ => false,
        };
        if becomes_get { Method::GET } else { method.clone() }
    }

    /// Whether a redirect with this status would bring the body to another origin.
    pub(super) fn leaves_with_body(&self, status: StatusCode, target: &Uri) -> bool {
        !self.body.is_empty()
            && self.method_after(status) == self.parts.method
            && !is_same_origin(&self.parts.uri, target)
    }

    /// Goes where a redirect leads (Fetch, "HTTP-redirect fetch").
    pub(super) fn redirect(&mut self, status: StatusCode, target: Uri, renewed: &mut HeaderMap) {
        let method = self.method_after(status);
        let becomes_get = method != self.parts.method;
        if becomes_get {
            self.parts.method = method;
            self.body = Bytes::new();
        }
        let leaves_origin = !is_same_origin(&self.parts.uri, &target);
        for headers in [&mut self.parts.headers, renewed] {
            if becomes_get {
                for name in &OF_THE_BODY {
                    headers.remove(name);
                }
            }
            if leaves_origin {
                remove_what_is_for_one_origin(headers);
            }
        }
        self.parts.uri = target;
    }

    /// Puts the credentials of the URL where they belong (RFC 9110, 4.2.4), unless the caller has
    /// put others there.
    fn move_credentials(&mut self) -> Result<(), RequestError> {
        let Some((url, userinfo)) = take_userinfo(&self.parts.uri) else { return Ok(()) };
        self.parts.uri = url;
        if !userinfo.is_empty() && !self.parts.headers.contains_key(header::AUTHORIZATION) {
            let credentials = basic_credentials(&userinfo).ok_or(RequestError::Userinfo)?;
            self.parts.headers.insert(header::AUTHORIZATION, credentials);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), RequestError> {
        let url = &self.parts.uri;
        match url.scheme() {
            None => return Err(RequestError::Url),
            Some(scheme) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => {
                return Err(RequestError::Scheme);
            }
            Some(_) => {}
        }
        if !has_valid_authority(url) {
            return Err(RequestError::Url);
        }
        if self.parts.method == Method::CONNECT || self.parts.method == Method::HEAD {
            return Err(RequestError::Method);
        }
        Ok(())
    }
}

/// What is sent unless the caller says otherwise.
///
/// No coding is asked for, since the client undoes none, and some proxies compress unless they are
/// told not to. A name lets operators find out what troubles their servers.
const DEFAULTS: [(HeaderName, &str); 4] = [
    (header::ACCEPT, "text/event-stream"),
    (header::ACCEPT_ENCODING, "identity"),
    (header::CACHE_CONTROL, "no-cache"),
    (header::USER_AGENT, concat!("sansse/", env!("CARGO_PKG_VERSION"))),
];

/// Takes out what speaks of one connection, and the last event ID, which is the client's to set.
pub(super) fn remove_what_is_not_the_callers(headers: &mut HeaderMap) {
    remove(headers, |name, _| is_framing(name) || *name == LAST_EVENT_ID);
}

fn remove_what_is_for_one_origin(headers: &mut HeaderMap) {
    remove(headers, |name, value| {
        value.is_sensitive()
            || *name == header::AUTHORIZATION
            || *name == header::COOKIE
            || *name == header::PROXY_AUTHORIZATION
            || *name == header::HOST
    });
}

/// The headers that speak of a request's body (Fetch, "request-body-header name").
const OF_THE_BODY: [HeaderName; 4] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
];

fn remove(headers: &mut HeaderMap, is_meant: impl Fn(&HeaderName, &HeaderValue) -> bool) {
    let meant: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| is_meant(name, value))
        .map(|(name, _)| name.clone())
        .collect();
    for name in meant {
        headers.remove(name);
    }
}

/// What the request says of the last event, in a header or in what a server read in its place.
fn last_event_id(parts: &Parts) -> Result<Option<EventId>, RequestError> {
    let mut values = parts.headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else {
        return match parts.extensions.get::<LastEventId>() {
            Some(LastEventId::Id(id)) => Ok(Some(id.clone())),
            Some(LastEventId::Malformed) => Err(RequestError::LastEventId),
            Some(LastEventId::Absent) | None => Ok(None),
        };
    };
    let text = core::str::from_utf8(value.as_bytes().trim_ascii());
    match (text.map(|text| EventId::new(String::from(text))), values.next()) {
        (Ok(Ok(id)), None) => Ok(Some(id)),
        _ => Err(RequestError::LastEventId),
    }
}

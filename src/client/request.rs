//! The request of an attempt, and what redirects make of it.

use super::error::RequestError;
use super::location::{has_userinfo, has_valid_authority, is_same_origin};
use crate::event::EventId;
use crate::http::{LAST_EVENT_ID, is_framing};
use crate::last_event_id::LastEventId;
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
        let last_event_id = last_event_id(&parts.headers, parts.extensions.remove());
        remove_what_is_not_the_callers(&mut parts.headers);
        let route = Self { parts, body };
        let checked = route.check().and(last_event_id);
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
        let defaults = [(header::ACCEPT, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        for (name, value) in defaults {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        // An id with control characters does not fit into a `HeaderValue`, but into a header
        // (WHATWG HTML, 9.2.4). A transport that can write it finds it beside the headers.
        if last_event_id.is_empty() {
            return request;
        }
        if let Ok(value) = HeaderValue::from_bytes(last_event_id.as_bytes()) {
            headers.insert(LAST_EVENT_ID, value);
        } else if let Ok(id) = EventId::new(last_event_id) {
            request.extensions_mut().insert(LastEventId::Id(id));
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
        if has_userinfo(url) {
            return Err(RequestError::Userinfo);
        }
        if self.parts.method == Method::CONNECT || self.parts.method == Method::HEAD {
            return Err(RequestError::Method);
        }
        Ok(())
    }
}

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

fn last_event_id(
    headers: &HeaderMap,
    beside: Option<LastEventId>,
) -> Result<Option<EventId>, RequestError> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else {
        return match beside {
            None | Some(LastEventId::Absent) => Ok(None),
            Some(LastEventId::Id(id)) => Ok(Some(id)),
            Some(LastEventId::Malformed) => Err(RequestError::LastEventId),
        };
    };
    let text = core::str::from_utf8(value.as_bytes().trim_ascii());
    match (text.map(|text| EventId::new(String::from(text))), values.next()) {
        (Ok(Ok(id)), None) => Ok(Some(id)),
        _ => Err(RequestError::LastEventId),
    }
}

//! From an HTTP request to an event stream, or to the plain response in its place.

use super::{Hub, Session};
use crate::broker::{ComesBack, OpenError, SessionConfig};
use crate::fault::Fault;
use crate::http::{Asked, ResponseHead, plain_text};
use alloc::format;
use bytes::Bytes;
use core::time::Duration;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode, Uri};

/// An HTTP request's answer: an event stream, or a plain response.
#[derive(Debug)]
pub enum Answer {
    /// An event stream: its head, and the session that is its body.
    Stream(http::Response<()>, Session),
    /// Anything else.
    Response(http::Response<Bytes>),
}

impl From<http::Response<Bytes>> for Answer {
    fn from(response: http::Response<Bytes>) -> Self {
        Self::Response(response)
    }
}

impl Hub {
    /// Answers a request for an event stream, with the head that the hub was
    /// [built with](super::HubBuilder::with_response_head).
    ///
    /// This negotiates, takes the last event id from the request, opens the session and makes the
    /// head. The last event id of the request replaces that of `config`.
    ///
    /// A request that gets no stream gets a plain response, which the pages that may read the
    /// stream can read as well:
    ///
    /// | Status | When |
    /// | --- | --- |
    /// | 204 | the request is a CORS preflight; or every topic that it asks for has [ended](Self::end_topic) and nothing is left of it, so that an `EventSource` stops asking |
    /// | 400 | the session asks for more topics than [one may have](crate::broker::BrokerLimits::topics_per_session) |
    /// | 403 | the session asks for a topic that is not permitted to it, or its lease is over |
    /// | 405 | the method is neither GET nor POST |
    /// | 406 | the `Accept` header rules event streams out |
    /// | 429 | the client or its address has as many sessions as it may have; with `Retry-After` |
    /// | 500 | `config` cannot hold, which is the application's fault |
    /// | 503 | the hub has no room, or is closed; with `Retry-After` |
    ///
    /// There are two more forms. [`accept_with`](Self::accept_with) is for a stream with a head of
    /// its own, such as one more header or other origins. [`accept_parts`](Self::accept_parts) is
    /// for a handler that no longer has the whole request.
    pub fn accept<B>(&self, request: &http::Request<B>, config: SessionConfig) -> Answer {
        self.answer(request.into(), config, &self.inner.head)
    }

    /// Answers a request for an event stream with a head of this call's own, in place of the
    /// hub's. Otherwise as [`accept`](Self::accept).
    pub fn accept_with<B>(
        &self,
        request: &http::Request<B>,
        config: SessionConfig,
        head: &ResponseHead,
    ) -> Answer {
        self.answer(request.into(), config, head)
    }

    /// Answers a request that a framework has taken apart, with the hub's head. Otherwise as
    /// [`accept`](Self::accept).
    ///
    /// This looks at the method, the query of `uri` and the headers. It does not see a
    /// [`LastEventId`](crate::LastEventId) among the request's extensions. Only the `serve` module
    /// puts one there, and its handlers have the whole request.
    pub fn accept_parts(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        config: SessionConfig,
    ) -> Answer {
        let asked = Asked { method, uri, headers, retained: None };
        self.answer(asked, config, &self.inner.head)
    }

    fn answer(&self, asked: Asked<'_>, config: SessionConfig, head: &ResponseHead) -> Answer {
        let headers = asked.headers;
        // First, since a preflight is an OPTIONS request, which asks for no stream.
        if let Some(preflight) =
            head.cors().and_then(|cors| cors.preflight_of(asked.method, headers))
        {
            return preflight.into();
        }
        let accepted = match asked.accept() {
            Ok(accepted) => accepted,
            Err(refusal) => return head.refusal(headers, refusal).into(),
        };
        let mut config = config.with_last_event_id(accepted.last_event_id().clone());
        if let Some(padding) = accepted.padding_text() {
            config = config.with_opening_comment(padding);
        }
        match self.inner.open(config) {
            Ok(session) => Answer::Stream(head.response(headers), session),
            Err(error) => {
                let mut response = unavailable(error, self.retry_after(&error));
                head.apply_cors(headers, response.headers_mut());
                response.into()
            }
        }
    }
}

fn unavailable(error: OpenError, retry_after: Option<Duration>) -> http::Response<Bytes> {
    if error == OpenError::TopicsEnded {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let status = match (error.fault(), error.comes_back()) {
        (Fault::Caller, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (Fault::Peer, _) if matches!(error, OpenError::TooManyTopicsOfSession { .. }) => {
            StatusCode::BAD_REQUEST
        }
        (Fault::Peer, _) => StatusCode::FORBIDDEN,
        (_, ComesBack::AfterMinimum) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = plain_text(status, format!("{error}\n"));
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
    }
    response
}

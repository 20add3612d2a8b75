//! From an HTTP request to an event stream, or to the plain response in its place.

use super::{Hub, Session};
use crate::answer::AnswerStream;
use crate::broker::{OpenError, SessionConfig};
use crate::encode::Frame;
use crate::event::Event;
use crate::http::{Asked, ResponseHead};
use crate::last_event_id::LastEventId;
use bytes::Bytes;
use core::fmt;
use futures_core::Stream;
use http::header::HeaderMap;
use http::{Method, Uri};

/// An HTTP request's answer: an event stream, or a plain response.
#[derive(Debug)]
pub enum Answer {
    /// An event stream: its head, and the session that is its body.
    Stream(http::Response<()>, Session),
    /// An answer to one reader: its head, and the events that are its body. No
    /// [`accept`](Hub::accept) gives it.
    Events(http::Response<()>, AnswerStream),
    /// Anything else: a whole body, such as that of a page, of an error, or of the stream that says
    /// [come back](super::RefuseBy::Stream).
    Response(http::Response<Bytes>),
}

impl Answer {
    /// Answers one reader with these events, one after the other as fast as the reader takes them;
    /// see [`answer`](crate::answer).
    ///
    /// The head is that of an event stream, [`ResponseHead::new`]. For another one, such as for
    /// pages of other origins, make the [`Events`](Self::Events) by hand. What the request accepts
    /// is not looked at: [`http::accept`](crate::http::accept) does that.
    pub fn stream<E: fmt::Display>(
        events: impl Stream<Item = Result<Event, E>> + Send + 'static,
    ) -> Self {
        AnswerStream::new(events).into()
    }
}

impl From<AnswerStream> for Answer {
    fn from(events: AnswerStream) -> Self {
        Self::Events(ResponseHead::new().response(&HeaderMap::new()), events)
    }
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
    /// This negotiates, finds out where the stream is to go on, opens the session and makes the
    /// head.
    ///
    /// # Where the stream goes on
    ///
    /// The first of these that says something:
    ///
    /// 1. the application, by
    ///    [`with_last_event_id`](SessionConfig::with_last_event_id) of `config`;
    /// 2. the `Last-Event-ID` header, which browsers send when they come back;
    /// 3. the query parameters `lastEventId`, `last_event_id` and `evs_last_event_id`, the last one
    ///    that is not empty, or [others](crate::http::AcceptConfig::with_id_parameters).
    ///
    /// What is [absent](LastEventId::Absent) or empty says nothing; what is
    /// [malformed](LastEventId::Malformed) does. So a place that the application sets holds whatever
    /// the peer says, also when a browser comes back with a newer one. An application that knows a
    /// place for the first connection alone, such as a bookmark, sets it where the peer says none:
    ///
    /// ```
    /// # use sansse::{EventId, LastEventId};
    /// # use sansse::broker::SessionConfig;
    /// # fn session(request: &http::Request<()>, bookmark: EventId) -> SessionConfig {
    /// let accepted = sansse::http::accept(request);
    /// match accepted.as_ref().map(|accepted| accepted.last_event_id()) {
    ///     Ok(LastEventId::Absent) => {
    ///         SessionConfig::new().with_last_event_id(LastEventId::Id(bookmark))
    ///     }
    ///     _ => SessionConfig::new(),
    /// }
    /// # }
    /// ```
    ///
    /// # Answers that are no streams
    ///
    /// A request by HEAD is answered with the head that GET would get, and opens no session.
    ///
    /// A request that gets no stream for now gets one that says when to come back: status 200, and
    /// a body that ends at once. [`RefuseBy`](super::RefuseBy) says when, and how to have a status
    /// instead. It is a [`Answer::Response`] as well.
    ///
    /// Any other gets a plain response, which the pages that may read the stream can read too:
    ///
    /// | Status | When |
    /// | --- | --- |
    /// | 204 | the request is a CORS preflight; or every topic that it asks for has [ended](Self::end_topic) and nothing is left of it, so that an `EventSource` stops asking; or an [event](SessionConfig::with_event_when_over) in its place |
    /// | 400 | the session asks for more [topics](crate::broker::BrokerLimits::topics_per_session) than one may have |
    /// | 403 | the request is for another host, or of a page that [may not ask](crate::http::AcceptConfig::with_hosts); the session asks for a topic that is not permitted to it, or its lease is over |
    /// | 405 | the method is none of GET, HEAD and POST |
    /// | 406 | the `Accept` header rules event streams out |
    /// | 429 | for POST, or by [`RefuseBy::Status`](super::RefuseBy::Status): the client or its address has as many sessions as it may have; with `Retry-After` |
    /// | 500 | `config` cannot hold, which is the application's fault |
    /// | 503 | for POST, or by `RefuseBy::Status`: the hub has no room, drains or is closed; with `Retry-After` |
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
    /// [`LastEventId`] among the request's extensions. Only the `serve` module
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
        let accepted = match asked.accept(&self.inner.accept) {
            Ok(accepted) => accepted,
            Err(refusal) => return head.refusal(headers, refusal).into(),
        };
        let mut config = config;
        if *config.last_event_id() == LastEventId::Absent {
            config = config.with_last_event_id(accepted.last_event_id().clone());
        }
        if let Some(padding) = accepted.padding_text() {
            config = config.with_opening_comment(padding);
        }
        let when_over = config.take_event_when_over();
        let notices = config.notices().clone().or(self.inner.notices.clone());
        let opened = if accepted.is_head_only() {
            self.inner.check_open(&config).map(|()| None)
        } else {
            self.inner.open(config).map(Some)
        };
        match opened {
            Ok(Some(session)) => Answer::Stream(head.response(headers), session),
            Ok(None) => head.response(headers).map(|()| Bytes::new()).into(),
            Err(error) => {
                let when_over = when_over.filter(|_| error == OpenError::TopicsEnded);
                let Some(event) = when_over else {
                    return self.inner.refuse(&asked, head, error, notices.as_ref()).into();
                };
                let body = Frame::new(&event).payload();
                let body = if accepted.is_head_only() { Bytes::new() } else { body };
                head.response(headers).map(|()| body).into()
            }
        }
    }
}

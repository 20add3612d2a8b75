//! How a peer that gets no stream for now is told so: by a stream that says come back, or by a
//! status.

use super::Hub;
use super::shards::{Inner, lock};
use crate::broker::{ComesBack, OpenError};
use crate::encode::Frame;
use crate::event::{Event, EventType};
use crate::fault::Fault;
use crate::http::{Asked, ResponseHead, plain_text};
use crate::notice::{Notice, RefusalReason};
use alloc::format;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};

/// How requests for a stream are refused that are to come back.
///
/// A refusal is temporary where the hub is full, drains or is closed for a restart, where a client
/// or an address has as many sessions as it may have, and where a server has as many
/// [connections](crate::serve::Server::with_max_connections) as it may have. All other refusals are
/// final, and are always statuses.
///
/// | Who asks | What it needs |
/// | --- | --- |
/// | an `EventSource`, in a browser or elsewhere | [`Stream`](Self::Stream): any status but 200 closes it for good ([WHATWG HTML, 9.2.2](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model)) |
/// | the [client](crate::client) of this library | either |
/// | a page that reads streams by `fetch`, and shows itself that the server is busy | [`Status`](Self::Status); or `Stream`, if it looks for the [notice](crate::Notice) and comes back when a stream ends |
/// | `curl --retry`, a load balancer's probe, a client library for another service | `Status` |
///
/// Requests by POST always get the status. No `EventSource` sends them, and who does may take the
/// end of a stream for the end of an answer. Requests by HEAD get the head of what GET would get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefuseBy {
    /// By a stream: 200, the reason as a comment, the time after which to come back as
    /// `retry`, the notice [`refused`](crate::Notice::Refused), and the end. It is the default,
    /// since it is what browsers need, and nobody else is harmed for good.
    ///
    /// ```text
    /// : the broker lets its sessions go
    /// retry: 5000
    /// event: sansse-notice
    /// data: {"stream":"refused","replayed":0,"lost":0,"reason":"draining"}
    /// ```
    ///
    /// Where [notices](crate::broker::SessionDefaults::notices) are turned off, it is the comment and
    /// the time alone.
    ///
    /// An `EventSource` keeps the time that it was told, also for connections that it loses much
    /// later. Therefore each stream of such a hub begins with a reconnection time:
    /// [`Reconnect::retry`](crate::broker::Reconnect::retry), or 3 s where that is not set.
    #[default]
    Stream,
    /// By status, with `Retry-After`: 429 for a client or an address that has as many sessions as it
    /// may have, and 503 for all else.
    Status,
}

/// What streams are told as their reconnection time where nothing is set: as browsers have it.
pub(super) const USUAL_RETRY: Duration = Duration::from_secs(3);

/// What a server has no more of.
#[cfg(feature = "serve")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lacking {
    Connections,
    Memory,
}

/// What a peer that is refused is told.
pub(super) struct Refusal<'a> {
    error: &'a dyn fmt::Display,
    status: StatusCode,
    reason: RefusalReason,
    /// When it is to come back; `None` if the refusal is final.
    after: Option<Duration>,
}

impl<'a> Refusal<'a> {
    pub(super) fn new(error: &'a OpenError, after: Option<Duration>) -> Self {
        Self { error, status: status_of(*error), reason: reason_of(*error), after }
    }

    /// Returns the answer to this request, which the pages that may read a stream can read.
    pub(super) fn answer(
        &self,
        asked: &Asked<'_>,
        by: RefuseBy,
        head: &ResponseHead,
        notices: Option<&EventType>,
    ) -> Response<Bytes> {
        if let Some(after) = self.after
            && by == RefuseBy::Stream
            && *asked.method != Method::POST
        {
            return head.response(asked.headers).map(|()| self.stream(after, notices));
        }
        let mut response = match self.status {
            StatusCode::NO_CONTENT => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = self.status;
                response
            }
            status => plain_text(status, format!("{}\n", self.error)),
        };
        if let Some(after) = self.after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        head.apply_cors(asked.headers, response.headers_mut());
        response
    }

    /// Returns the whole stream that says come back.
    fn stream(&self, after: Duration, notices: Option<&EventType>) -> Bytes {
        let event = match notices {
            Some(event_type) => {
                Notice::Refused { reason: self.reason }.to_event(event_type).with_retry(after)
            }
            None => Event::retry_only(after),
        };
        Frame::new(&event.with_comment(format!("{}", self.error))).payload()
    }
}

fn status_of(error: OpenError) -> StatusCode {
    match (error, error.fault(), error.comes_back()) {
        (OpenError::TopicsEnded, ..) => StatusCode::NO_CONTENT,
        (OpenError::TooManyTopicsOfSession { .. }, ..) => StatusCode::BAD_REQUEST,
        (_, Fault::Caller, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (_, Fault::Peer, _) => StatusCode::FORBIDDEN,
        (.., ComesBack::AfterMinimum) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn reason_of(error: OpenError) -> RefusalReason {
    match error {
        OpenError::Closed => RefusalReason::Closed,
        OpenError::Draining => RefusalReason::Draining,
        OpenError::Joining => RefusalReason::Joining,
        OpenError::TooManySessionsOfClient { .. }
        | OpenError::TooManySubscriptionsOfClient { .. } => RefusalReason::Client,
        OpenError::TooManySessionsFromAddress { .. }
        | OpenError::TooManySubscriptionsFromAddress { .. } => RefusalReason::Address,
        // What else is temporary is a limit of the broker's.
        _ => RefusalReason::Full,
    }
}

impl Inner {
    /// Answers a request for a stream that was refused, with this head.
    pub(super) fn refuse(
        &self,
        asked: &Asked<'_>,
        head: &ResponseHead,
        error: OpenError,
        notices: Option<&EventType>,
    ) -> Response<Bytes> {
        Refusal::new(&error, self.retry_after(error)).answer(asked, self.refuse_by, head, notices)
    }

    pub(super) fn retry_after(&self, error: OpenError) -> Option<Duration> {
        lock(&self.returns).retry_after(self.timer.now(), error)
    }
}

impl Hub {
    /// Answers a request whose session the application could not [open](Self::open), as
    /// [`accept`](Self::accept) does. It is for applications that open sessions by themselves.
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, SessionConfig};
    /// use sansse::hub::HubBuilder;
    ///
    /// let (hub, _drive) = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef))).build(timer)?;
    /// hub.close();
    /// let request = http::Request::get("/events").body(())?;
    /// let error = hub.open(SessionConfig::new()).unwrap_err();
    /// let response = hub.refusal(&request, &error);
    /// assert_eq!(response.status(), 200);
    /// assert!(response.body().starts_with(b": the broker is closed\nretry: 5000\n"));
    /// # Ok(()) }
    /// ```
    pub fn refusal<B>(&self, request: &Request<B>, error: &OpenError) -> Response<Bytes> {
        self.inner.refuse(&request.into(), &self.inner.head, *error, self.inner.notices.as_ref())
    }

    /// Answers what is asked of a server without room for it, as far as it is known. Peers come
    /// back in turn with those that were refused for other reasons.
    #[cfg(feature = "serve")]
    pub(crate) fn refuse_for(
        &self,
        lacking: Lacking,
        asked: Option<&Asked<'_>>,
    ) -> Response<Bytes> {
        let (inner, head) = (&self.inner, &self.inner.head);
        if let Some(asked) = asked
            && let Some(preflight) =
                head.cors().and_then(|cors| cors.preflight_of(asked.method, asked.headers))
        {
            return preflight;
        }
        let (error, reason): (&'static str, _) = match lacking {
            Lacking::Connections => ("too many connections", RefusalReason::Connections),
            Lacking::Memory => ("too much is held for those who ask", RefusalReason::Full),
        };
        let refusal = Refusal {
            error: &error,
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason,
            after: inner.retry_after(OpenError::TooManySessions),
        };
        // Whether the handler would have answered by a stream is not known, but whether the peer
        // reads one is: an `EventSource` says so.
        let by = match asked {
            Some(asked) if asked.names_event_streams() => inner.refuse_by,
            _ => RefuseBy::Status,
        };
        let unknown = &Request::new(());
        let unknown = unknown.into();
        refusal.answer(asked.unwrap_or(&unknown), by, head, inner.notices.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn text(error: OpenError, notices: Option<&EventType>) -> String {
        let refusal = Refusal::new(&error, Some(Duration::from_secs(7)));
        String::from_utf8(refusal.stream(Duration::from_secs(7), notices).to_vec()).unwrap()
    }

    #[test]
    fn the_stream_says_why_and_when_to_come_back() {
        let notices = Notice::EVENT_TYPE;
        for (error, reason) in [
            (OpenError::Closed, "closed"),
            (OpenError::Draining, "draining"),
            (OpenError::Joining, "joining"),
            (OpenError::TooManySessions, "full"),
            (OpenError::TooManyTopics, "full"),
            (OpenError::UnreadEvents, "full"),
            (OpenError::TooManySessionsOfClient { limit: 1 }, "client"),
            (OpenError::TooManySessionsFromAddress { limit: 1 }, "address"),
            (OpenError::TooManySubscriptionsOfClient { limit: 1 }, "client"),
            (OpenError::TooManySubscriptionsFromAddress { limit: 1 }, "address"),
        ] {
            assert_ne!(error.comes_back(), ComesBack::Never);
            let expected = format!(
                ": {error}\nretry: 7000\nevent: sansse-notice\n\
                 data: {{\"stream\":\"refused\",\"replayed\":0,\"lost\":0,\"reason\":\"{reason}\"}}\n\n"
            );
            assert_eq!(text(error, Some(&notices)), expected);
        }
    }

    #[test]
    fn without_notices_it_is_the_reason_and_the_time() {
        assert_eq!(text(OpenError::Closed, None), ": the broker is closed\nretry: 7000\n\n");
    }
}

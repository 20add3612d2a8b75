//! Requests for event streams, as extractors.

use crate::EventStream;
use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Request, Uri};
use sansse::Hub;
use sansse::broker::SessionConfig;
use sansse::http::{LAST_EVENT_ID, ResponseHead, accept, rejection};
use std::convert::Infallible;
use std::future::ready;

/// A request for an event stream, as an extractor. The request's body is still there for another.
///
/// ```
/// use axum::extract::{Path, State};
/// use sansse::Hub;
/// use sansse::broker::{SessionConfig, TopicName};
/// use sansse_axum::{EventStream, StreamRequest};
///
/// async fn room(
///     State(hub): State<Hub>,
///     Path(room): Path<String>,
///     stream: StreamRequest,
/// ) -> Result<EventStream, http::StatusCode> {
///     let topic = TopicName::new(room).map_err(|_| http::StatusCode::NOT_FOUND)?;
///     Ok(stream.open(&hub, SessionConfig::new().with_topic(topic)))
/// }
/// ```
///
/// A request that asks for no stream is [rejected](StreamRejection) before the handler runs. One of a
/// page of another origin is [answered](Self::open) by the hub, which knows who may read it, unless
/// there is a [`ResponseHead`] among the request's extensions.
#[derive(Debug)]
pub struct StreamRequest {
    /// What decides about the answer, of the request without its body.
    request: Request<()>,
    head: Option<ResponseHead>,
}

impl StreamRequest {
    /// Opens a session and answers with its stream, as [`Hub::accept`] does, whose documentation
    /// tells what the answers are that are no streams.
    ///
    /// ```
    /// use axum::extract::State;
    /// use sansse::{Hub, broker::SessionConfig};
    /// use sansse_axum::{EventStream, StreamRequest};
    ///
    /// async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
    ///     stream.open(&hub, SessionConfig::new())
    /// }
    /// ```
    pub fn open(self, hub: &Hub, config: SessionConfig) -> EventStream {
        EventStream::from(match &self.head {
            Some(head) => hub.accept_with(&self.request, config, head),
            None => hub.accept(&self.request, config),
        })
    }

    /// Returns where the peer's stream broke off, as [`LastEventId`] does.
    ///
    /// ```
    /// use axum::extract::State;
    /// use sansse::{Event, Hub, LastEventId, broker::SessionConfig};
    /// use sansse_axum::{EventStream, StreamRequest};
    ///
    /// /// Only those who come for the first time are welcomed.
    /// async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
    ///     let is_new = stream.last_event_id() == LastEventId::Absent;
    ///     let stream = stream.open(&hub, SessionConfig::new());
    ///     if is_new && let Some(session) = stream.session_id() {
    ///         let _ = hub.publish(session, &Event::new("welcome"));
    ///     }
    ///     stream
    /// }
    /// ```
    pub fn last_event_id(&self) -> sansse::LastEventId {
        last_event_id(self.request.uri(), self.request.headers())
    }
}

impl<S: Sync> FromRequestParts<S> for StreamRequest {
    type Rejection = StreamRejection;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, StreamRejection>> + Send {
        ready(Self::of(parts))
    }
}

impl StreamRequest {
    fn of(parts: &Parts) -> Result<Self, StreamRejection> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        request.uri_mut().clone_from(&parts.uri);
        request.headers_mut().clone_from(&parts.headers);
        let head = parts.extensions.get::<ResponseHead>().cloned();
        match rejection(&request, head.as_ref()) {
            Some(answer) => Err(StreamRejection(Box::new(answer))),
            None => Ok(Self { request, head }),
        }
    }
}

/// The answer to a request that asks for no event stream: 405, 406, or that to a CORS preflight.
///
/// ```
/// use axum::response::{Html, IntoResponse, Response};
/// use sansse_axum::{EventStream, StreamRejection, StreamRequest};
/// # use axum::extract::State;
/// # use sansse::{Hub, broker::SessionConfig};
///
/// /// A browser that opens the address itself gets a page.
/// async fn events(
///     State(hub): State<Hub>,
///     stream: Result<StreamRequest, StreamRejection>,
/// ) -> Response {
///     match stream {
///         Ok(stream) => stream.open(&hub, SessionConfig::new()).into_response(),
///         Err(rejection) if rejection.status() == 406 => Html("<p>a stream").into_response(),
///         Err(rejection) => rejection.into_response(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StreamRejection(Box<http::Response<Bytes>>);

impl StreamRejection {
    /// Returns the status of the answer: 405, 406, or 204 for a preflight.
    ///
    /// ```
    /// # fn example(rejection: sansse_axum::StreamRejection) {
    /// if rejection.status() == http::StatusCode::NOT_ACCEPTABLE {
    ///     println!("somebody does not want events");
    /// }
    /// # }
    /// ```
    pub fn status(&self) -> http::StatusCode {
        self.0.status()
    }
}

impl IntoResponse for StreamRejection {
    fn into_response(self) -> Response {
        self.0.map(Body::from)
    }
}

/// Where the peer's stream broke off, by the `Last-Event-ID` header or the query, as an extractor
/// that never fails. It is for [`Sse`](crate::Sse), and for streams that are read from somewhere
/// else; a [hub](sansse::Hub) resumes by itself.
///
/// ```
/// use sansse::Event;
/// use sansse_axum::{LastEventId, Sse};
/// # use futures_core::Stream;
/// # use std::io::Error;
///
/// # fn rows_after(_: sansse::LastEventId) -> impl Stream<Item = Result<Event, Error>> + Send + 'static {
/// #     futures_util::stream::empty()
/// # }
/// async fn rows(LastEventId(id): LastEventId) -> Sse<impl Stream<Item = Result<Event, Error>>> {
///     Sse::new(rows_after(id))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(pub sansse::LastEventId);

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> impl Future<Output = Result<Self, Infallible>> + Send {
        ready(Ok(Self(last_event_id(&parts.uri, &parts.headers))))
    }
}

fn last_event_id(uri: &Uri, headers: &HeaderMap) -> sansse::LastEventId {
    let mut request = Request::new(());
    request.uri_mut().clone_from(uri);
    for value in headers.get_all(LAST_EVENT_ID) {
        request.headers_mut().append(LAST_EVENT_ID, HeaderValue::clone(value));
    }
    // A GET that accepts everything is never refused.
    accept(&request).map_or_else(|_| sansse::LastEventId::Absent, |it| it.last_event_id().clone())
}

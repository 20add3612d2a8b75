//! Requests for event streams, as extractors.

use crate::EventStream;
use crate::head;
use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use bytes::Bytes;
use http::Request;
use sansse::Hub;
use sansse::broker::SessionConfig;
use sansse::http::{ResponseHead, accept, rejection};
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};

/// A request for an event stream, as an extractor. The request's body is still there for another.
///
/// ```
/// use actix_web::{Responder, Result, error::ErrorNotFound, web};
/// use sansse::Hub;
/// use sansse::broker::{SessionConfig, TopicName};
/// use sansse_actix::{EventStream, StreamRequest};
///
/// async fn room(
///     hub: web::Data<Hub>,
///     room: web::Path<String>,
///     stream: StreamRequest,
/// ) -> Result<EventStream> {
///     let topic = TopicName::new(room.into_inner()).map_err(ErrorNotFound)?;
///     Ok(stream.open(&hub, SessionConfig::new().with_topic(topic)))
/// }
/// ```
///
/// A request that asks for no stream is [rejected](StreamRejection) before the handler runs. So give
/// it a route for all methods, as `web::to` makes; `web::get()` would answer a CORS preflight by 405.
/// One of a page of another origin is [answered](Self::open) by the hub, which knows who may read it,
/// unless there is a [`ResponseHead`] in the request's extensions or the app's data.
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
    /// use actix_web::web;
    /// use sansse::{Hub, broker::SessionConfig};
    /// use sansse_actix::{EventStream, StreamRequest};
    ///
    /// async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
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
    /// use actix_web::web;
    /// use sansse::{Event, Hub, LastEventId, broker::SessionConfig};
    /// use sansse_actix::{EventStream, StreamRequest};
    ///
    /// /// Only those who come for the first time are welcomed.
    /// async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
    ///     let is_new = stream.last_event_id() == LastEventId::Absent;
    ///     let stream = stream.open(&hub, SessionConfig::new());
    ///     if is_new && let Some(session) = stream.session_id() {
    ///         let _ = hub.publish(session, &Event::new("welcome"));
    ///     }
    ///     stream
    /// }
    /// ```
    pub fn last_event_id(&self) -> sansse::LastEventId {
        last_event_id(&self.request)
    }

    fn of(from: &HttpRequest) -> Result<Self, StreamRejection> {
        let request = head::request(from);
        let of_the_request = from.extensions().get::<ResponseHead>().cloned();
        let head = of_the_request.or_else(|| from.app_data::<ResponseHead>().cloned());
        match rejection(&request, head.as_ref()) {
            Some(answer) => Err(StreamRejection(Box::new(answer))),
            None => Ok(Self { request, head }),
        }
    }
}

impl FromRequest for StreamRequest {
    type Error = StreamRejection;
    type Future = Ready<Result<Self, StreamRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// The answer to a request that asks for no event stream: 405, 406, or that to a CORS preflight.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
/// use sansse::{Hub, broker::SessionConfig};
/// use sansse_actix::{StreamRejection, StreamRequest};
///
/// /// A browser that opens the address itself gets a page.
/// async fn events(
///     hub: web::Data<Hub>,
///     request: HttpRequest,
///     stream: Result<StreamRequest, StreamRejection>,
/// ) -> HttpResponse {
///     match stream {
///         Ok(stream) => {
///             let stream = stream.open(&hub, SessionConfig::new());
///             stream.respond_to(&request).map_into_boxed_body()
///         }
///         Err(rejection) if rejection.status_code() == 406 => {
///             HttpResponse::Ok().content_type("text/html").body("<p>a stream")
///         }
///         Err(rejection) => rejection.error_response(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StreamRejection(Box<http::Response<Bytes>>);

impl fmt::Display for StreamRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request asks for no event stream: {}", self.0.status())
    }
}

impl std::error::Error for StreamRejection {}

impl ResponseError for StreamRejection {
    /// Returns the status of the answer: 405, 406, or 204 for a preflight.
    fn status_code(&self) -> StatusCode {
        head::status(self.0.status())
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        head::response(&self.0, BoxBody::new(self.0.body().clone()))
    }
}

/// Where the peer's stream broke off, by the `Last-Event-ID` header or the query, as an extractor
/// that never fails. It is for [`Sse`](crate::Sse), and for streams that are read from somewhere
/// else; a [hub](sansse::Hub) resumes by itself.
///
/// ```
/// use sansse::Event;
/// use sansse_actix::{LastEventId, Sse};
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

impl FromRequest for LastEventId {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(last_event_id(&head::request(request)))))
    }
}

fn last_event_id(from: &Request<()>) -> sansse::LastEventId {
    let mut request = Request::new(());
    request.uri_mut().clone_from(from.uri());
    for value in from.headers().get_all(sansse::http::LAST_EVENT_ID) {
        request.headers_mut().append(sansse::http::LAST_EVENT_ID, value.clone());
    }
    // A GET that accepts everything is never refused.
    accept(&request).map_or_else(|_| sansse::LastEventId::Absent, |it| it.last_event_id().clone())
}

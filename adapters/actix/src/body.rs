//! Bodies of responses: [`EventBody`].

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use http_body::Body;
use sansse::hub::{BodyError, ResponseBody};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of an [`EventStream`](crate::EventStream)'s response. Dropping it closes the session.
///
/// A stream that is not complete ends with an error, which actix-web makes an aborted chunked coding,
/// and in HTTP/2 `RST_STREAM`.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, Responder, web};
/// use sansse::{Hub, broker::SessionConfig};
/// use sansse_actix::{EventBody, StreamRequest};
///
/// async fn events(
///     hub: web::Data<Hub>,
///     request: HttpRequest,
///     stream: StreamRequest,
/// ) -> HttpResponse<EventBody> {
///     let mut response = stream.open(&hub, SessionConfig::new()).respond_to(&request);
///     response.head_mut().set_camel_case_headers(true);
///     response
/// }
/// ```
pub struct EventBody {
    body: ResponseBody,
    /// Whether not even the length of a body is told.
    head_only: bool,
}

impl EventBody {
    pub(crate) const fn new(body: ResponseBody) -> Self {
        Self { body, head_only: false }
    }

    /// For the answer to a request by HEAD.
    pub(crate) fn head_only() -> Self {
        Self { head_only: true, ..Self::new(ResponseBody::from(Bytes::new())) }
    }
}

impl MessageBody for EventBody {
    type Error = BodyError;

    fn size(&self) -> BodySize {
        match self.body.size_hint().exact() {
            _ if self.head_only => BodySize::None,
            Some(length) => BodySize::Sized(length),
            None => BodySize::Stream,
        }
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            // actix-http would take a piece without bytes for a clean end.
            if let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventBody").field(&self.body).finish()
    }
}

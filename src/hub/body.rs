//! Answers as responses of an HTTP stack of one's own, by `http_body`.

use super::{Answer, Cut, Session};
use crate::answer::{AnswerBody, AnswerError};
use crate::broker::Batch;
use crate::fault::Fault;
use crate::net::Timer;
use alloc::boxed::Box;
use bytes::Bytes;
use core::cell::Cell;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use std::thread_local;

/// How many bytes a body hands over at once, as the server of [`serve`](crate::serve) writes them.
pub(super) const BATCH: usize = 64 << 10;

thread_local! {
    static JOINED: Cell<Option<Box<Batch>>> = const { Cell::new(None) };
}

/// Lends the thread's batch. Where it is lent already, which takes a poll inside of a poll, or where
/// the thread ends, there is a new one.
pub(super) fn with_batch<R>(use_it: impl FnOnce(&mut Batch) -> R) -> R {
    let kept = JOINED.try_with(Cell::take).ok().flatten();
    let mut batch = kept.unwrap_or_else(|| Box::new(Batch::for_bodies()));
    let result = use_it(&mut batch);
    let _ = JOINED.try_with(|kept| kept.set(Some(batch)));
    result
}

impl Answer {
    /// Returns the response for an HTTP stack that takes an `http_body::Body`: hyper, and what is
    /// built on it.
    ///
    /// `timer` is for the heartbeats of an [`Events`](Self::Events), such as the adapter's
    /// `TokioRuntime`. Dropping the body closes the session, or drops the events.
    ///
    /// ```
    /// # fn example(hub: &sansse::Hub, timer: impl sansse::Timer, request: &http::Request<()>) {
    /// use sansse::broker::SessionConfig;
    ///
    /// let response = hub.accept(request, SessionConfig::new()).into_response(timer);
    /// # fn send(_: http::Response<impl http_body::Body>) {}
    /// send(response);
    /// # }
    /// ```
    pub fn into_response(self, timer: impl Timer) -> Response<ResponseBody> {
        match self {
            Self::Stream(head, session) => head.map(|()| ResponseBody::from(session)),
            Self::Events(head, events) => head.map(|()| ResponseBody::from(events.body(timer))),
            Self::Response(response) => {
                let is_head_of_stream = is_head_of_stream(&response);
                response.map(|bytes| match bytes {
                    _ if is_head_of_stream => ResponseBody(Kind::HeadOfStream),
                    bytes => ResponseBody::from(bytes),
                })
            }
        }
    }
}

/// Whether this is what a request by HEAD gets for a stream. Its body is empty, and that of the answer
/// to GET is not: a `Content-Length` of 0 would say so of both (RFC 9110, 8.6).
fn is_head_of_stream(response: &Response<Bytes>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    response.body().is_empty() && content_type.is_some_and(|value| value == "text/event-stream")
}

/// The body of an [answer's response](Answer::into_response), whichever answer it is.
///
/// ```
/// use bytes::Bytes;
/// use http_body::Body;
/// use sansse::hub::ResponseBody;
///
/// let body = ResponseBody::from(Bytes::from("not here\n"));
/// assert_eq!(body.size_hint().exact(), Some(9));
/// ```
pub struct ResponseBody(Kind);

enum Kind {
    Stream(Session),
    Events(Box<AnswerBody>),
    Whole(Bytes),
    /// Nothing, of no length that could be told.
    HeadOfStream,
}

impl ResponseBody {
    /// Returns the session that is the body, such as for its [`id`](Session::id); `None` for any other
    /// body.
    ///
    /// ```
    /// # fn example(hub: &sansse::Hub) -> Result<(), sansse::broker::OpenError> {
    /// use sansse::broker::SessionConfig;
    /// use sansse::hub::ResponseBody;
    ///
    /// let session = hub.open(SessionConfig::new())?;
    /// let id = session.id();
    /// let body = ResponseBody::from(session);
    /// assert_eq!(body.session().map(|session| session.id()), Some(id));
    /// # Ok(()) }
    /// ```
    pub const fn session(&self) -> Option<&Session> {
        match &self.0 {
            Kind::Stream(session) => Some(session),
            Kind::Events(_) | Kind::Whole(_) | Kind::HeadOfStream => None,
        }
    }
}

impl From<Session> for ResponseBody {
    fn from(session: Session) -> Self {
        Self(Kind::Stream(session))
    }
}

impl From<AnswerBody> for ResponseBody {
    fn from(events: AnswerBody) -> Self {
        Self(Kind::Events(Box::new(events)))
    }
}

impl From<Bytes> for ResponseBody {
    fn from(whole: Bytes) -> Self {
        Self(Kind::Whole(whole))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Stream(session) => Pin::new(session)
                .poll_frame(context)
                .map(|frame| frame.map(|result| result.map_err(BodyError::Cut))),
            Kind::Events(events) => Pin::new(&mut **events)
                .poll_frame(context)
                .map(|frame| frame.map(|result| result.map_err(BodyError::Answer))),
            Kind::HeadOfStream => Poll::Ready(None),
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(core::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Stream(session) => session.is_end_stream(),
            Kind::Events(events) => events.is_end_stream(),
            Kind::Whole(bytes) => bytes.is_empty(),
            // A stack may take an end that it knows for a length.
            Kind::HeadOfStream => false,
        }
    }

    /// Is exact for a whole body alone.
    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) | Kind::Events(_) | Kind::HeadOfStream => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Stream(session) => f.debug_tuple("Stream").field(session).finish(),
            Kind::Events(events) => f.debug_tuple("Events").field(events).finish(),
            Kind::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Kind::HeadOfStream => f.write_str("HeadOfStream"),
        }
    }
}

/// Why a [body](ResponseBody) ends that is not complete. HTTP stacks make of it an end that does not
/// look like one in good order.
///
/// ```
/// use sansse::hub::BodyError;
///
/// /// What to log when a stack hands on why a response broke off.
/// fn log(error: &BodyError) -> String {
///     format!("{error} ({:?})", error.fault())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The session is [cut off](Cut).
    Cut(Cut),
    /// The answer is [not complete](AnswerError).
    Answer(AnswerError),
}

impl BodyError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Cut(cut) => cut.fault(),
            Self::Answer(error) => error.fault(),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(cut) => cut.fmt(f),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for BodyError {}

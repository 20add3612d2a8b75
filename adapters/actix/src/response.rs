//! Event streams as responders.

use crate::body::EventBody;
use crate::head;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, Responder};
use futures_core::Stream;
use sansse::Event;
use sansse::answer::{AnswerConfig, AnswerStream};
use sansse::broker::SessionId;
use sansse::hub::Answer;
use sansse_tokio::TokioRuntime;
use std::fmt;
use std::time::Duration;

/// The answer to a request for an event stream: the stream, or the plain response in its place.
///
/// It is made by [`StreamRequest::open`](crate::StreamRequest::open), or of any [`Answer`]:
///
/// ```
/// use sansse::{Hub, broker::SessionConfig};
/// use sansse_actix::EventStream;
///
/// /// Of a request that came by some other way.
/// fn events(hub: &Hub, request: &http::Request<()>) -> EventStream {
///     hub.accept(request, SessionConfig::new()).into()
/// }
/// ```
#[derive(Debug)]
#[must_use = "the session closes when this is dropped"]
pub struct EventStream(Answer);

impl EventStream {
    /// Returns the id of the session that is the stream; `None` for a plain response.
    ///
    /// ```
    /// use actix_web::web;
    /// use sansse::{Event, Hub, broker::SessionConfig};
    /// use sansse_actix::{EventStream, StreamRequest};
    ///
    /// async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
    ///     let stream = stream.open(&hub, SessionConfig::new());
    ///     if let Some(session) = stream.session_id() {
    ///         let _ = hub.publish(session, &Event::new("welcome"));
    ///         let ended = hub.ended(session);
    ///         actix_web::rt::spawn(async move { println!("gone: {:?}", ended.await) });
    ///     }
    ///     stream
    /// }
    /// ```
    pub fn session_id(&self) -> Option<SessionId> {
        match &self.0 {
            Answer::Stream(_, session) => Some(session.id()),
            Answer::Events(..) | Answer::Response(_) => None,
        }
    }
}

impl From<Answer> for EventStream {
    fn from(answer: Answer) -> Self {
        Self(answer)
    }
}

impl From<EventStream> for Answer {
    fn from(stream: EventStream) -> Self {
        stream.0
    }
}

impl Responder for EventStream {
    type Body = EventBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<EventBody> {
        let (parts, body) = self.0.into_response(TokioRuntime).into_parts();
        // actix-http would poll the body to its end, and send nothing of it.
        let body = match *request.method() {
            Method::HEAD => EventBody::head_only(),
            _ => EventBody::new(body),
        };
        let mut response = head::response(&http::Response::from_parts(parts, ()), body);
        head::without_chunks(request, &mut response);
        response
    }
}

/// A stream of one's own for one reader, such as the answer of a language model. The events are
/// [`sansse::Event`]s, which cannot panic on a string, and silence is broken by a heartbeat every 15 s
/// without being asked to.
///
/// The stream is polled only while the reader takes what came before. An error of it is told to the
/// reader by an event of the type `error`, and cuts the response off;
/// [`answer`](sansse::answer) tells more.
///
/// ```
/// use futures_util::stream;
/// use sansse::Event;
/// use sansse_actix::Sse;
/// # use futures_core::Stream;
/// # use std::convert::Infallible;
///
/// async fn count() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
///     Sse::new(stream::iter((1..=3).map(|number| Ok(Event::new(number.to_string())))))
/// }
/// ```
#[must_use = "there is no answer before it is returned"]
pub struct Sse<S> {
    events: S,
    config: AnswerConfig,
}

impl<S> Sse<S> {
    /// Makes a response of these events.
    ///
    /// ```
    /// # use sansse::Event;
    /// # use std::convert::Infallible;
    /// let events = futures_util::stream::iter([Ok::<_, Infallible>(Event::new("hello"))]);
    /// let response = sansse_actix::Sse::new(events);
    /// ```
    pub const fn new<E>(events: S) -> Self
    where
        S: Stream<Item = Result<Event, E>>,
    {
        Self { events, config: AnswerConfig::DEFAULT }
    }

    /// Sets after how much silence a heartbeat is sent; `None`: never. Default 15 s.
    ///
    /// ```
    /// # use sansse::Event;
    /// # use std::convert::Infallible;
    /// # let events = futures_util::stream::iter([Ok::<_, Infallible>(Event::new("hello"))]);
    /// use std::time::Duration;
    ///
    /// let response = sansse_actix::Sse::new(events).with_heartbeat(Some(Duration::from_secs(5)));
    /// ```
    pub const fn with_heartbeat(mut self, heartbeat: Option<Duration>) -> Self {
        self.config = self.config.with_heartbeat(heartbeat);
        self
    }

    /// Sets times and limits. Default [`AnswerConfig::DEFAULT`].
    ///
    /// ```
    /// # use sansse::Event;
    /// # use std::convert::Infallible;
    /// # let events = futures_util::stream::iter([Ok::<_, Infallible>(Event::new("hello"))]);
    /// use sansse::answer::AnswerConfig;
    ///
    /// let response = sansse_actix::Sse::new(events).with_config(AnswerConfig::DEFAULT);
    /// ```
    pub const fn with_config(mut self, config: AnswerConfig) -> Self {
        self.config = config;
        self
    }
}

impl<S, E> Responder for Sse<S>
where
    S: Stream<Item = Result<Event, E>> + Send + 'static,
    E: fmt::Display,
{
    type Body = EventBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<EventBody> {
        let events = AnswerStream::new(self.events).with_config(self.config);
        EventStream(Answer::from(events)).respond_to(request)
    }
}

impl<S> fmt::Debug for Sse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").field("config", &self.config).finish_non_exhaustive()
    }
}

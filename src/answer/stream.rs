//! An answer that polls its own events: [`AnswerStream`], and what drives it.

use super::writer::{AnswerConfig, AnswerEnd, AnswerWriter};
use crate::encode::Framing;
use crate::event::{Event, EventType};
use crate::fault::Fault;
#[cfg(feature = "http-body")]
use crate::net::Rest;
use crate::net::Timer;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use bytes::Bytes;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use std::time::Instant;

/// An answer whose events come from a stream; see the [module](super).
pub struct AnswerStream {
    events: Events,
    config: AnswerConfig,
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, Box<Failed>>> + Send>>;
type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The error of a stream of events: what it says, and what the reader is told.
struct Failed {
    message: String,
    event: Option<Event>,
}

/// The type of the event that tells of a failure, by default.
const ERROR: EventType = crate::event_type!("error");

/// Its data, by default.
const ERROR_DATA: &str =
    r#"{"error":{"type":"server_error","message":"The answer is cut off by an error."}}"#;

impl AnswerStream {
    /// Makes an answer of these events. It is complete when they end.
    ///
    /// An error is the end of the events. The reader is told by an event of the type `error` with
    /// this data:
    ///
    /// ```json
    /// {"error":{"type":"server_error","message":"The answer is cut off by an error."}}
    /// ```
    ///
    /// That is what clients of language models look for. What the error itself says stays on this
    /// side, since it may tell what the reader should not know, such as where an upstream lives and
    /// with which key. [`with_error_event`](Self::with_error_event) tells something else.
    pub fn new<E: fmt::Display>(
        events: impl Stream<Item = Result<Event, E>> + Send + 'static,
    ) -> Self {
        Self::with_error_event(events, |_| Some(Event::new(ERROR_DATA).with_type(ERROR)))
    }

    /// Makes an answer of these events, where `tell` makes the event that tells the reader of an
    /// error; with `None` there is none. Otherwise as [`new`](Self::new).
    ///
    /// ```
    /// use sansse::answer::AnswerStream;
    /// use sansse::{Event, EventType};
    /// # use futures_core::Stream;
    /// # use std::io::Error;
    ///
    /// # fn example(events: impl Stream<Item = Result<Event, Error>> + Send + 'static) {
    /// let answer = AnswerStream::with_error_event(events, |error| {
    ///     let reason = if error.kind() == std::io::ErrorKind::TimedOut { "timeout" } else { "other" };
    ///     Some(Event::new(reason).with_type(EventType::new("failed").ok()?))
    /// });
    /// # }
    /// ```
    pub fn with_error_event<E: fmt::Display>(
        events: impl Stream<Item = Result<Event, E>> + Send + 'static,
        tell: impl FnMut(&E) -> Option<Event> + Send + Unpin + 'static,
    ) -> Self {
        let events = Telling { events: Box::pin(events), tell };
        Self { events: Box::pin(events), config: AnswerConfig::DEFAULT }
    }

    /// Sets times and limits. Default [`AnswerConfig::DEFAULT`].
    pub const fn with_config(mut self, config: AnswerConfig) -> Self {
        self.config = config;
        self
    }

    /// Returns the answer as bytes, for the body of a response in an HTTP stack of one's own. The
    /// head is that of an [event stream](crate::http::ResponseHead).
    ///
    /// The events are polled when the body is, and so only while the stack has room for more. A
    /// stack that polls no more has to notice by itself that its reader takes nothing, or has left,
    /// and drops the body then.
    pub fn body(self, timer: impl Timer) -> AnswerBody {
        let driver = AnswerDriver::new(self, timer.now(), Framing::Plain);
        AnswerBody {
            driver,
            timer: Box::new(timer),
            taken: 0,
            is_over: false,
            #[cfg(feature = "http-body")]
            cut: None,
        }
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Events, of whose errors the reader is told.
struct Telling<S, F> {
    events: Pin<Box<S>>,
    tell: F,
}

impl<S, F, E> Stream for Telling<S, F>
where
    S: Stream<Item = Result<Event, E>>,
    F: FnMut(&E) -> Option<Event> + Unpin,
    E: fmt::Display,
{
    type Item = Result<Event, Box<Failed>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.events.as_mut().poll_next(context));
        Poll::Ready(item.map(|item| {
            item.map_err(|error| {
                let event = (self.tell)(&error);
                Box::new(Failed { message: error.to_string(), event })
            })
        }))
    }
}

/// Why the body of an answer is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The events failed. The reader was told, as was set.
    Failed {
        /// What the error says.
        message: String,
    },
    /// The reader took nothing for the [stall timeout](AnswerConfig::with_stall_timeout).
    Stalled,
}

impl AnswerError {
    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Failed { .. } => Fault::Caller,
            Self::Stalled => Fault::Peer,
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { message } => write!(f, "the answer failed: {message}"),
            Self::Stalled => f.write_str("the reader of the answer took nothing for too long"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// An [answer](AnswerStream) as a stream of bytes, each item as much as was ready at once. It ends
/// by `None` where the answer is complete, and otherwise by an error, which must be the end of the
/// body too.
///
/// With the feature `http-body` it is the body of a response as well. Before an error that one waits
/// 100 ms, as that of a [session](crate::hub::Session) does.
pub struct AnswerBody {
    driver: AnswerDriver,
    timer: Box<dyn Timer>,
    /// How many bytes the newest item had.
    taken: usize,
    is_over: bool,
    /// The error by which the body is to end, and how long it waits before that.
    #[cfg(feature = "http-body")]
    cut: Option<(AnswerError, Rest)>,
}

impl Stream for AnswerBody {
    type Item = Result<Bytes, AnswerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { driver, timer, taken, is_over, .. } = &mut *self;
        if *is_over {
            return Poll::Ready(None);
        }
        // Who asks for more has room for it.
        driver.handle_written(timer.now(), core::mem::take(taken));
        match ready!(driver.poll_output(context, &**timer)) {
            Output::Bytes(bytes) => {
                *taken = bytes.len();
                Poll::Ready(Some(Ok(bytes)))
            }
            Output::End(end) => {
                *is_over = true;
                Poll::Ready(driver.error(end).map(Err))
            }
        }
    }
}

#[cfg(feature = "http-body")]
#[cfg_attr(docsrs, doc(cfg(feature = "http-body")))]
impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, AnswerError>>> {
        if self.cut.is_none() {
            match ready!(self.as_mut().poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Ok(bytes)) => return Poll::Ready(Some(Ok(http_body::Frame::data(bytes)))),
                Some(Err(error)) => {
                    let rest = Rest::new(&*self.timer);
                    self.cut = Some((error, rest));
                }
            }
        }
        let Self { cut, timer, .. } = &mut *self;
        if let Some((_, rest)) = cut {
            ready!(rest.poll(context, &**timer));
        }
        Poll::Ready(cut.take().map(|(error, _)| Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.cut.is_none()
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody")
            .field("driver", &self.driver)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

/// What an answer has for its connection.
pub(crate) enum Output {
    Bytes(Bytes),
    End(AnswerEnd),
}

/// Brings an answer's events and its machine together.
pub(crate) struct AnswerDriver {
    /// `None` after their end, so that what they hold is let go while the rest is written.
    events: Option<Events>,
    writer: AnswerWriter,
    /// What the error of the events says.
    message: String,
    /// A sleep and until when it lasts, which is never later than the machine's deadline.
    sleep: Option<(Instant, Sleep)>,
}

impl AnswerDriver {
    pub(crate) fn new(stream: AnswerStream, now: Instant, framing: Framing) -> Self {
        let writer = AnswerWriter::new(now, framing, stream.config);
        Self { events: Some(stream.events), writer, message: String::new(), sleep: None }
    }

    /// Records that so much more was written of what [`poll_output`](Self::poll_output) gave.
    pub(crate) fn handle_written(&mut self, now: Instant, bytes: usize) {
        self.writer.handle_written(now, bytes);
    }

    /// Ready with what is to be written next, once all before it was.
    pub(crate) fn poll_output<T: Timer + ?Sized>(
        &mut self,
        context: &mut Context<'_>,
        timer: &T,
    ) -> Poll<Output> {
        loop {
            self.poll_events(context, timer);
            if let Some(bytes) = self.writer.poll_transmit() {
                return Poll::Ready(Output::Bytes(bytes));
            }
            if let Some(end) = self.writer.end() {
                return Poll::Ready(Output::End(end));
            }
            ready!(self.poll_timeout(context, timer));
        }
    }

    /// Ready when the answer has ended while a write waits for room. It is the end that comes of
    /// the time alone.
    #[cfg(feature = "serve")]
    pub(crate) fn poll_stalled<T: Timer + ?Sized>(
        &mut self,
        context: &mut Context<'_>,
        timer: &T,
    ) -> Poll<()> {
        while self.writer.end().is_none() {
            ready!(self.poll_timeout(context, timer));
        }
        Poll::Ready(())
    }

    /// Returns why an answer that ended so is not complete; `None` if it is.
    pub(crate) fn error(&mut self, end: AnswerEnd) -> Option<AnswerError> {
        match end {
            AnswerEnd::Complete => None,
            AnswerEnd::Failed => {
                Some(AnswerError::Failed { message: core::mem::take(&mut self.message) })
            }
            AnswerEnd::Stalled => Some(AnswerError::Stalled),
        }
    }

    /// Tells the log of a failure, where there is one.
    #[cfg(feature = "serve")]
    pub(crate) fn report(&mut self, end: AnswerEnd) {
        #[cfg(feature = "tracing")]
        if let Some(error @ AnswerError::Failed { .. }) = self.error(end) {
            tracing::warn!(target: "sansse::answer", "{error}");
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (end, &self.message);
    }

    /// Takes the events that are ready and wanted.
    fn poll_events<T: Timer + ?Sized>(&mut self, context: &mut Context<'_>, timer: &T) {
        while self.writer.wants_event()
            && let Some(events) = &mut self.events
            && let Poll::Ready(item) = events.as_mut().poll_next(context)
        {
            let now = timer.now();
            match item {
                Some(Ok(event)) => {
                    self.writer.handle_event(now, &event);
                    continue;
                }
                Some(Err(failed)) => {
                    self.writer.handle_failure(now, failed.event.as_ref());
                    self.message = failed.message;
                }
                None => self.writer.handle_end(now),
            }
            self.events = None;
        }
    }

    /// Ready when the machine has been told that its deadline has come.
    fn poll_timeout<T: Timer + ?Sized>(
        &mut self,
        context: &mut Context<'_>,
        timer: &T,
    ) -> Poll<()> {
        let Some(deadline) = self.writer.poll_timeout() else { return Poll::Pending };
        loop {
            let now = timer.now();
            if deadline <= now {
                self.writer.handle_timeout(now);
                return Poll::Ready(());
            }
            // Each write moves the deadline, mostly to a later time: a sleep that ends early looks
            // for the next one, which costs less than a sleep for each write.
            let sleep = match &mut self.sleep {
                Some((until, sleep)) if *until <= deadline => sleep,
                sleep => &mut sleep.insert((deadline, timer.sleep_until(deadline))).1,
            };
            ready!(sleep.as_mut().poll(context));
            self.sleep = None;
        }
    }
}

impl fmt::Debug for AnswerDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerDriver").field("writer", &self.writer).finish_non_exhaustive()
    }
}

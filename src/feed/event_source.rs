//! The client behind a stream: one driver for every runtime and every transport.

use super::{IntoRequest, StreamHead, Transport};
use crate::client::secrets::WithoutQuery;
use crate::client::{
    Attempt, Client, ClientConfig, ClientError, ClientEvent, CloseReason, ReadyState,
};
use crate::decode::{DecodeError, OwnedMessage};
use crate::event::EventId;
use crate::net::{Failure, Timer};
use crate::notice::LossReason;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use bytes::Bytes;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_core::Stream;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use std::time::Instant;

/// An event stream that is read, lost, and read on: a [`Client`] with a transport and a timer.
///
/// It is a [`Stream`] of what happens. It works while it is polled, and needs nothing spawned;
/// polling it no more slows the server down. Dropping it drops the connection. The stream ends
/// after [`SourceEvent::Closed`], or at once by [`close`](Self::close).
///
/// For several readers of one stream, or for one type of event alone, put a
/// [`Feed`](super::Feed) around it.
#[must_use = "nothing is sent unless it is polled"]
pub struct EventSource<T: Transport> {
    /// In boxes, since futures that hold a source are moved.
    client: Box<Client>,
    /// What a client is made of that opens the stream again.
    origin: Box<(Request<Bytes>, ClientConfig)>,
    transport: T,
    timer: Box<dyn Timer>,
    connection: Connection<T::Body>,
    headers: Option<HeaderSource>,
    renewing: Option<(Attempt, Renewing)>,
    sleep: Option<Sleep>,
}

/// How often the connection is asked in one poll that brings no event.
const STEPS: usize = 32;

type HeaderSource = Box<dyn Fn(HeadersWanted) -> Renewing + Send>;
type Renewing = Pin<Box<dyn Future<Output = Result<HeaderMap, Failure>> + Send>>;
type Sending<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Failure>> + Send>>;

enum Connection<B> {
    None,
    Sending(Attempt, Sending<B>),
    Reading(Attempt, B),
    /// Its body has ended or failed, and the client knows.
    Over(Attempt),
}

struct Sleep {
    until: Instant,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What happens to an [`EventSource`]; as [`ClientEvent`], with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceEvent {
    /// A stream is open. Reported once for each, before its messages.
    Open(Box<StreamHead>),
    /// A message of the stream.
    Message(OwnedMessage),
    /// A comment line's text. Only if [`ClientConfig::comments`] is on.
    Comment(String),
    /// An event of the stream was lost, since it was beyond a limit; the stream goes on.
    Dropped(DecodeError),
    /// Events are missing before what comes next, as a [notice](crate::Notice) of the server says;
    /// the stream goes on.
    Lost {
        /// How many; `None` if the server does not know. Never 0.
        events: Option<u64>,
        /// Why, by the server's word.
        reason: LossReason,
    },
    /// The attempt is over, and another will be made. Reported once for each loss.
    Retrying {
        /// What happened.
        error: ClientError,
        /// How long is waited, from when it happened.
        wait: Duration,
        /// How many attempts in a row have brought no stable stream.
        attempts: u32,
    },
    /// It has ended, for this reason. Nothing comes after it.
    Closed(CloseReason),
}

/// What [`EventSource::with_headers`] is asked for: the headers of the next attempt.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadersWanted {
    /// The URL that will be asked.
    pub url: Uri,
    /// With which status the server has refused the headers of an attempt before, since the last
    /// stream: one of [`ClientConfig::renewed_statuses`]. A token that is kept is then to be
    /// fetched anew.
    pub refused: Option<StatusCode>,
}

impl fmt::Debug for HeadersWanted {
    /// Leaves out the URL's query, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadersWanted")
            .field("url", &WithoutQuery(&self.url))
            .field("refused", &self.refused)
            .finish()
    }
}

impl<T: Transport> EventSource<T> {
    /// Makes a source of what `request` asks for: a URL, or a whole request. Nothing is sent before
    /// it is polled.
    ///
    /// A request that can never be sent ends the source, by [`SourceEvent::Closed`].
    ///
    /// With [`ClientConfig::renew_headers`] on, headers are to be given by
    /// [`with_headers`](Self::with_headers).
    pub fn new(
        transport: T,
        timer: impl Timer,
        request: impl IntoRequest,
        config: ClientConfig,
    ) -> Self {
        let request = request.into_request();
        Self {
            client: Box::new(Client::new(request.clone(), config.clone())),
            origin: Box::new((request, config)),
            transport,
            timer: Box::new(timer),
            connection: Connection::None,
            headers: None,
            renewing: None,
            sleep: None,
        }
    }

    /// Sets where headers come from that are renewed for each attempt, such as a token. The
    /// function is called with the URL that will be asked, and whether the server has refused the
    /// headers before; a failure is one of the attempt.
    ///
    /// It has an effect only with [`ClientConfig::renew_headers`] on.
    pub fn with_headers<F>(mut self, headers: impl Fn(HeadersWanted) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<HeaderMap, Failure>> + Send + 'static,
    {
        self.headers = Some(Box::new(move |wanted| Box::pin(headers(wanted))));
        self
    }

    /// Returns what happens next; `None` once the source has ended. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<SourceEvent> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns whether there is a stream, as of the last event that came out.
    pub fn state(&self) -> ReadyState {
        self.client.state()
    }

    /// Returns the URL that the source was made with, wherever redirects have led.
    pub fn url(&self) -> &Uri {
        self.client.url()
    }

    /// Returns the reconnection time: what the peer last set, within the bounds of the policy, or
    /// the policy's own.
    pub fn reconnection_time(&self) -> Duration {
        self.client.reconnection_time()
    }

    /// Returns the last event ID string, that of the last message that came out. An application
    /// keeps it in order to go on in another process.
    pub fn last_event_id(&self) -> &str {
        self.client.last_event_id()
    }

    /// Tells that the machine slept, or that the network came back. A wait is cut short, and a
    /// connection has to give a sign of life.
    pub fn wake(&mut self) {
        self.client.wake(self.timer.now());
    }

    /// Drops the connection and asks again at once.
    pub fn restart(&mut self) {
        self.client.restart(self.timer.now());
    }

    /// Ends the source. Nothing more comes, also not what had arrived before.
    pub fn close(&mut self) {
        self.client.close(self.timer.now());
        self.connection = Connection::None;
        self.renewing = None;
        self.sleep = None;
    }

    /// Opens the source again after it has ended, for whatever reason, and goes on after the last
    /// event ID. Does nothing before the end.
    ///
    /// It is a new client of the same request: the back-off, the peer's reconnection time and the
    /// [`total`](crate::client::Timeouts::total) time begin anew.
    pub fn reopen(&mut self) {
        if self.client.close_reason().is_none() {
            return;
        }
        let (request, config) = &mut *self.origin;
        // It holds nothing forbidden, since it was an id before.
        config.last_event_id = EventId::new(self.client.last_event_id().to_owned()).ok();
        // So that the waits are others, and still follow from the seed.
        config.seed = config.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        *self.client = Client::new(request.clone(), config.clone());
        self.connection = Connection::None;
        self.renewing = None;
        self.sleep = None;
    }

    /// Whether there is a connection, or one is being made.
    pub(super) fn is_connected(&self) -> bool {
        self.client.attempt().is_some()
    }

    /// Lets the connection and the time go on behind the event that was last taken: at most one
    /// chunk is read, and no event is taken.
    pub(super) fn poll_behind(&mut self, context: &mut Context<'_>) {
        for _ in 0..STEPS {
            self.drop_what_is_over(None);
            if !self.poll_connection(context) && !self.poll_deadline(context) {
                return;
            }
        }
        context.waker().wake_by_ref();
    }

    /// What the client has to tell. Headers that it wants are asked for here.
    fn next_event(&mut self) -> Option<SourceEvent> {
        loop {
            return Some(match self.client.poll_event()? {
                ClientEvent::Open(stream) => {
                    let mut head = StreamHead::new(stream);
                    // No message of the stream was polled, so that it is still that of the request.
                    head.set_resumed_from(self.client.last_event_id());
                    SourceEvent::Open(head)
                }
                ClientEvent::Message(message) => SourceEvent::Message(message.into_owned()),
                ClientEvent::Comment(text) => SourceEvent::Comment(text.to_owned()),
                ClientEvent::Dropped(error) => SourceEvent::Dropped(error),
                ClientEvent::Lost { events, reason } => SourceEvent::Lost { events, reason },
                ClientEvent::Retrying { error, wait, attempts } => {
                    SourceEvent::Retrying { error: error.clone(), wait, attempts }
                }
                ClientEvent::Closed(reason) => SourceEvent::Closed(reason.clone()),
                ClientEvent::HeadersWanted { attempt, url, refused } => {
                    let renewing = match &self.headers {
                        Some(headers) => headers(HeadersWanted { url: url.clone(), refused }),
                        // Nobody gives any, so that those of the request have to do.
                        None => Box::pin(core::future::ready(Ok(HeaderMap::new()))),
                    };
                    self.renewing = Some((attempt, renewing));
                    continue;
                }
            });
        }
    }

    /// Lets go of what belongs to no attempt that goes on. Before an event is given out, since its
    /// reader may poll no more.
    fn drop_what_is_over(&mut self, event: Option<&SourceEvent>) {
        if self.connection.attempt() != self.client.attempt() {
            self.connection = Connection::None;
        }
        if matches!(event, Some(SourceEvent::Retrying { .. } | SourceEvent::Closed(_))) {
            self.renewing = None;
            self.sleep = None;
        }
    }

    /// Lets the client have what the connection brings. Says whether there was anything.
    fn poll_connection(&mut self, context: &mut Context<'_>) -> bool {
        let now = self.timer.now();
        if let Some((attempt, renewing)) = &mut self.renewing
            && let Poll::Ready(result) = renewing.as_mut().poll(context)
        {
            let attempt = *attempt;
            self.renewing = None;
            match result {
                Ok(headers) => self.client.handle_headers(now, attempt, headers),
                Err(failure) => self.client.handle_failure(now, attempt, failure),
            }
            return true;
        }
        match &mut self.connection {
            Connection::None | Connection::Over(_) => false,
            Connection::Sending(attempt, sending) => {
                let attempt = *attempt;
                match sending.as_mut().poll(context) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(response)) => {
                        let (head, body) = response.into_parts();
                        let head = Response::from_parts(head, ());
                        self.connection = Connection::Reading(attempt, body);
                        self.client.handle_response(now, attempt, &head);
                    }
                    Poll::Ready(Err(failure)) => {
                        self.connection = Connection::Over(attempt);
                        self.client.handle_failure(now, attempt, failure);
                    }
                }
                true
            }
            Connection::Reading(attempt, body) => {
                let attempt = *attempt;
                if !self.client.wants_data() {
                    return false;
                }
                match Pin::new(body).poll_next(context) {
                    Poll::Pending => return false,
                    Poll::Ready(Some(Ok(bytes))) => self.client.handle_data(now, attempt, &bytes),
                    Poll::Ready(Some(Err(failure))) => {
                        self.connection = Connection::Over(attempt);
                        self.client.handle_failure(now, attempt, failure);
                    }
                    Poll::Ready(None) => {
                        self.connection = Connection::Over(attempt);
                        self.client.handle_eof(now, attempt);
                    }
                }
                true
            }
        }
    }

    /// Tells the client of a deadline that has come. Says whether one had.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> bool {
        let Some(until) = self.client.poll_timeout() else {
            self.sleep = None;
            return false;
        };
        let now = self.timer.now();
        if until <= now {
            self.client.handle_timeout(now);
            return true;
        }
        if self.sleep.as_ref().is_none_or(|sleep| sleep.until != until) {
            self.sleep = Some(Sleep { until, future: self.timer.sleep_until(until) });
        }
        let is_over =
            self.sleep.as_mut().is_some_and(|sleep| sleep.future.as_mut().poll(context).is_ready());
        if is_over {
            // The clock decides, when this is called again.
            self.sleep = None;
        }
        is_over
    }
}

impl<T: Transport> Stream for EventSource<T> {
    type Item = SourceEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SourceEvent>> {
        let this = &mut *self;
        for _ in 0..STEPS {
            let event = this.next_event();
            this.drop_what_is_over(event.as_ref());
            if event.is_some() {
                return Poll::Ready(event);
            }
            if this.client.close_reason().is_some() {
                return Poll::Ready(None);
            }
            let now = this.timer.now();
            if let Some((attempt, request)) = this.client.poll_request(now) {
                let sending = Box::pin(this.transport.send(request));
                this.connection = Connection::Sending(attempt, sending);
            }
            // Bytes before time, or a stream that was not silent could be taken for one.
            if !this.poll_connection(context) && !this.poll_deadline(context) {
                return Poll::Pending;
            }
        }
        // Bytes without an event come faster than they are read. They are no silence, but hold up
        // no deadline that comes whatever the peer does, and no other task of this thread.
        this.poll_deadline(context);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B> Connection<B> {
    fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::None => None,
            Self::Sending(attempt, _) | Self::Reading(attempt, _) | Self::Over(attempt) => {
                Some(*attempt)
            }
        }
    }
}

/// Nothing in it is pinned in place: futures are in boxes, and bodies are `Unpin`.
impl<T: Transport> Unpin for EventSource<T> {}

impl<T: Transport> fmt::Debug for EventSource<T> {
    /// Leaves out the URL, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("state", &self.client.state())
            .field("last_event_id", &self.client.last_event_id())
            .finish_non_exhaustive()
    }
}

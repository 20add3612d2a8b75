//! The client of an event stream: the `EventSource` of
//! [WHATWG HTML, 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html), and
//! what production asks for beyond it, as a machine without I/O.
//!
//! [`Client`] is told of response heads, bytes, ends and failures, and says what to ask for, how
//! long to wait, and what has happened. With an HTTP stack and a timer, a loop such as this makes a
//! client of it:
//!
//! ```
//! use bytes::Bytes;
//! use sansse::client::{Client, ClientConfig, ClientEvent};
//! use std::time::{Duration, Instant};
//!
//! # struct Http { reads: Vec<(Vec<u8>, bool)>, sent: u32 }
//! # enum Read { Head(http::Response<()>), Data(Vec<u8>), End, TimedOut }
//! # impl Http {
//! #     fn send(&mut self, request: http::Request<Bytes>) { self.sent += 1; }
//! #     fn drop_connection(&mut self) {}
//! #     fn read(&mut self, body: bool, now: &mut Instant, until: Option<Instant>) -> Read {
//! #         if self.sent == 1 {
//! #             self.sent = 100;
//! #             let head = http::Response::builder().header("content-type", "text/event-stream");
//! #             return Read::Head(head.body(()).unwrap());
//! #         }
//! #         if body && !self.reads.is_empty() { return Read::Data(self.reads.remove(0).0); }
//! #         if body { return Read::End; }
//! #         if self.sent == 101 {
//! #             self.sent = 200;
//! #             return Read::Head(http::Response::builder().status(204).body(()).unwrap());
//! #         }
//! #         *now = until.unwrap();
//! #         Read::TimedOut
//! #     }
//! # }
//! # let mut http = Http { reads: vec![(b"id: 7\nda".to_vec(), false), (b"ta: hello\n\n".to_vec(), false)], sent: 0 };
//! # #[expect(clippy::disallowed_methods)]
//! # let mut now = Instant::now();
//! # let seed = 7;
//! let request = http::Request::get("http://example.org/events").body(Bytes::new())?;
//! let mut client = Client::new(request, ClientConfig::new(seed));
//! let mut received = Vec::new();
//! let mut connection = None;
//!
//! let why = 'life: loop {
//!     while let Some(event) = client.poll_event() {
//!         match event {
//!             ClientEvent::Message(message) => received.push(message.into_owned()),
//!             ClientEvent::Retrying { error, wait, .. } => eprintln!("{error}; again in {wait:?}"),
//!             ClientEvent::Closed(why) => break 'life why.clone(),
//!             _ => {}
//!         }
//!     }
//!     if connection != client.attempt() {
//!         http.drop_connection();
//!         connection = None;
//!     }
//!     if let Some((attempt, request)) = client.poll_request(now) {
//!         http.send(request);
//!         connection = Some(attempt);
//!     }
//!     // Wait for whatever comes first: something of the connection, or the deadline.
//!     let input = http.read(client.wants_data(), &mut now, client.poll_timeout());
//!     match (input, connection) {
//!         (Read::Head(head), Some(attempt)) => client.handle_response(now, attempt, &head),
//!         (Read::Data(bytes), Some(attempt)) => client.handle_data(now, attempt, &bytes),
//!         (Read::End, Some(attempt)) => client.handle_eof(now, attempt),
//!         _ => client.handle_timeout(now),
//!     }
//! };
//! assert_eq!(received[0].data, "hello");
//! assert_eq!(client.last_event_id(), "7");
//! assert_eq!(why, sansse::client::CloseReason::NoContent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the server says of its stream
//!
//! This library's servers say by [notices](crate::Notice) where a stream goes on and what is missing
//! from it. The client takes them out of the stream: [`ClientEvent::Lost`] tells of events that are
//! missing, the last event ID follows the notices' ids, and a server that has
//! [no stream for now](ClientError::Refused) is asked again when it said so. Other servers send
//! none, and nothing is different. [`ClientConfig::notices`] sets their type, or that there are
//! none.
//!
//! # What is left to the driver
//!
//! Names, addresses, TLS, proxies, and HTTP itself. It sends the request as it is, adding what
//! belongs to the connection and to framing (`Host`, `Content-Length`, …), and follows no redirect
//! by itself. If it asks for a compressed body by `Accept-Encoding`, it decodes the body and
//! takes `Content-Encoding` out of the head; the client asks for none.
//!
//! A last event ID can hold control characters, which a
//! [`HeaderValue`](http::HeaderValue) cannot. The request then has no `Last-Event-ID` header, and
//! has the id among its extensions, as [`LastEventId`](crate::LastEventId). A driver that writes
//! headers itself, as [`http1`](crate::http1) does, sends it from there.

mod backoff;
mod config;
mod deadlines;
mod ending;
mod error;
mod event;
mod head;
mod inbox;
mod location;
mod request;
mod response;
pub(crate) mod secrets;
mod state;
mod time;

use self::backoff::Backoff;
use self::deadlines::Deadlines;
use self::ending::{Farewell, Outcome};
use self::inbox::Inbox;
use self::request::{Route, remove_what_is_not_the_callers};
use self::state::{Action, Input, Phase, transition};
use crate::decode::{DecodeError, Step};
use crate::net::{Failure, FailureKind};
use crate::notice::{LossReason, Notice};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::mem;
use core::time::Duration;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use std::time::Instant;

pub use self::config::{
    ClientConfig, NextAttempt, Policy, Reconnection, Redirects, Sentinel, Timeouts,
};
pub use self::error::{
    ClientError, CloseReason, RedirectError, RequestError, Timeout, UnexpectedResponse,
};
pub use self::event::{Attempt, ClientEvent, OpenedStream, ReadyState};

/// The client of one event stream, through all its connections.
///
/// A driver does three things, in any order: it tells the client what comes of the connection and
/// of time (`handle_*`), it polls events until there are none, and it takes a request when there
/// is one. The [module](self) shows it as a loop.
///
/// - What happened to one attempt is told, by [`poll_event`](Self::poll_event), before the next
///   begins. A caller that polls no events holds everything up, and loses nothing.
/// - Times may come early, late, twice or out of order; the latest counts. What comes of another
///   attempt than the present one, and what makes no sense in the state at hand, is ignored.
/// - The connection of any attempt but [`attempt`](Self::attempt) is to be dropped.
pub struct Client {
    config: ClientConfig,
    url: Uri,
    /// With what each attempt begins.
    home: Route,
    /// Where redirects have led the present attempt.
    route: Route,
    /// What was asked before, in the present attempt.
    redirected: Vec<(Method, Uri)>,
    /// The headers that were given for the present attempt.
    renewed: HeaderMap,
    phase: Phase,
    state: ReadyState,
    attempt: Attempt,
    backoff: Backoff,
    deadlines: Deadlines,
    inbox: Inbox,
    /// Headers are wanted, and nobody was told.
    is_asking: bool,
    /// With which status headers were refused, since the last stream.
    refused: Option<StatusCode>,
    /// When the present attempt's stream was opened.
    opened: Option<Instant>,
    /// A byte of that stream has come.
    is_heard: bool,
    /// What is wrong with the answer whose body is collected, and the body.
    refusal: Option<(ClientError, Vec<u8>)>,
    /// What the server has said of the end of the attempt's stream.
    farewell: Option<Farewell>,
    /// How and when the attempt ended.
    outcome: Option<Outcome>,
    ended: Option<Instant>,
    /// The next wait is to be none.
    is_hurried: bool,
    /// When the wait may end at the earliest.
    earliest: Option<Instant>,
    /// What was last reported.
    last_error: Option<ClientError>,
    close_reason: Option<CloseReason>,
}

/// An event without what it lends.
enum Told {
    Open,
    Message,
    Comment,
    Dropped(DecodeError),
    Lost { events: Option<u64>, reason: LossReason },
    HeadersWanted,
    Retrying(Duration),
    Closed,
}

impl Client {
    /// Makes a client for this request: any method but CONNECT and HEAD, an absolute `http` or
    /// `https` URL, any headers, a body.
    ///
    /// `Accept: text/event-stream`, `Accept-Encoding: identity`, `Cache-Control: no-cache` and
    /// `User-Agent: sansse/` with the version are added where the request has no such header. A
    /// `Last-Event-ID` header is where the stream is to go on, unless the configuration says so.
    /// A user name and a password in the URL become an `Authorization` header by the scheme
    /// Basic (RFC 7617), unless the request has such a header. Headers that belong to one
    /// connection or to framing (`Connection`, `Content-Length`, …) are not sent.
    ///
    /// Nothing is sent by this. A request that can never be sent, by the caller's fault, ends the
    /// client: [`poll_event`](Self::poll_event) says so, as [`ClientError::Request`].
    pub fn new(request: Request<Bytes>, config: ClientConfig) -> Self {
        let (home, checked) = Route::new(request);
        let (from_header, error) = match checked {
            Ok(id) => (id, None),
            Err(error) => (None, Some(error)),
        };
        let last_event_id = config.last_event_id.clone().or(from_header);
        let mut client = Self {
            url: home.url().clone(),
            route: home.clone(),
            home,
            redirected: Vec::new(),
            renewed: HeaderMap::new(),
            phase: Phase::Headers,
            state: ReadyState::Connecting,
            attempt: Attempt(0),
            backoff: Backoff::new(config.seed),
            deadlines: Deadlines::default(),
            inbox: Inbox::new(config.limits, last_event_id),
            is_asking: false,
            refused: None,
            opened: None,
            is_heard: false,
            refusal: None,
            farewell: None,
            outcome: None,
            ended: None,
            is_hurried: false,
            earliest: None,
            last_error: None,
            close_reason: None,
            config,
        };
        client.begin_attempt();
        if let Some(error) = error {
            client.phase = Phase::Ending;
            client.is_asking = false;
            client.outcome = Some(Outcome::Lost(ClientError::Request(error)));
        }
        client
    }

    /// Tells that the head of a response came. The body, if the head has one, is not looked at.
    ///
    /// Heads with a status of 1xx but 101 are ignored, so that they may be told or not.
    pub fn handle_response<B>(&mut self, now: Instant, attempt: Attempt, head: &Response<B>) {
        self.advance(now);
        if attempt == self.attempt && self.phase == Phase::Connecting {
            let mut copy = Response::new(());
            *copy.status_mut() = head.status();
            *copy.version_mut() = head.version();
            *copy.headers_mut() = head.headers().clone();
            self.judge_head(copy);
        }
    }

    /// Tells that bytes of the body came. They are copied; a chunk may be empty, and may end
    /// anywhere.
    ///
    /// Bytes that come although [`wants_data`](Self::wants_data) says no are taken as well, up to
    /// [`ClientConfig::max_unread`].
    pub fn handle_data(&mut self, now: Instant, attempt: Attempt, chunk: &[u8]) {
        self.advance(now);
        if attempt != self.attempt || chunk.is_empty() {
            return;
        }
        if self.phase == Phase::Streaming && self.inbox.would_overrun(chunk, self.config.max_unread)
        {
            return self.lose(ClientError::Overrun);
        }
        match self.step(Input::Data) {
            Some(Action::Decode) => {
                self.inbox.push(chunk);
                self.is_heard = true;
                self.listen();
            }
            Some(Action::Collect) => {
                let Some((_, body)) = &mut self.refusal else { return };
                let room = self.config.max_error_body - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() >= room {
                    self.end(Input::Lost, Outcome::Lost(ClientError::EndOfStream));
                }
            }
            _ => {}
        }
    }

    /// Tells that the body is complete: the announced length was reached, the last chunk came, or,
    /// where neither marks the end, the connection was closed.
    ///
    /// A body that breaks off before its announced end is a [`Truncated`](FailureKind::Truncated)
    /// [failure](Self::handle_failure). Before a head came, this counts as
    /// [`Closed`](FailureKind::Closed).
    pub fn handle_eof(&mut self, now: Instant, attempt: Attempt) {
        self.advance(now);
        if attempt == self.attempt {
            if self.phase == Phase::Streaming
                && self.config.one_shot
                && self.config.complete_last_event
            {
                self.inbox.complete_block();
            }
            self.lose(match self.phase {
                Phase::Streaming => ClientError::EndOfStream,
                _ => ClientError::Transport(FailureKind::Closed.into()),
            });
        }
    }

    /// Tells that the attempt failed. Messages that were complete before are still delivered.
    ///
    /// It is also how to answer [`ClientEvent::HeadersWanted`] when there are no headers to be had.
    pub fn handle_failure(&mut self, now: Instant, attempt: Attempt, failure: impl Into<Failure>) {
        self.advance(now);
        if attempt == self.attempt {
            self.lose(ClientError::Transport(failure.into()));
        }
    }

    /// Answers [`ClientEvent::HeadersWanted`], now or later, with headers that replace those of
    /// the request which have the same names.
    ///
    /// They hold for one attempt and its redirects, as far as [`Redirects`] lets them go
    /// along.
    pub fn handle_headers(&mut self, now: Instant, attempt: Attempt, headers: HeaderMap) {
        self.advance(now);
        if attempt == self.attempt && self.step(Input::HeadersGiven).is_some() {
            self.renewed = headers;
            remove_what_is_not_the_callers(&mut self.renewed);
            self.is_asking = false;
            self.deadlines.set(None);
        }
    }

    /// Drops the connection and asks again at once, whatever the reconnection time, the server's
    /// wish and the kind of the request. A lost stream is reported as
    /// [`ClientError::Restarted`]; messages that had come are still delivered. While the client
    /// waits, the wait ends. Does nothing while a request is due anyway, or once closed.
    pub fn restart(&mut self, now: Instant) {
        self.advance(now);
        match transition(self.phase, Input::Restart) {
            Some((Action::End, _)) => {
                self.end(Input::Restart, Outcome::Lost(ClientError::Restarted));
            }
            Some((Action::Hasten, Phase::Waiting)) => self.deadlines.set(self.deadlines.now()),
            Some((Action::Hasten, _)) => self.is_hurried = true,
            _ => {}
        }
    }

    /// Ends the client. Nothing more is reported, also not what had come before; no request is
    /// made. Does nothing once closed.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        if self.step(Input::Close).is_some() {
            self.finish(CloseReason::Requested);
        }
    }

    /// Returns the request to be sent now, if there is one, and the attempt that it is.
    ///
    /// The connection of an earlier attempt, if the driver has one still, is not needed any more;
    /// it may serve for this request, if HTTP allows it.
    ///
    /// The last event id is in the header `Last-Event-ID`. One with control characters, which a
    /// `HeaderValue` cannot hold, is a [`LastEventId`](crate::LastEventId) among the request's
    /// extensions instead; the `http1` module writes it as the header, as browsers do.
    ///
    /// `None` while nothing is to be sent. That can change by [`poll_event`](Self::poll_event),
    /// since a request goes out only when all that was before it is told, by
    /// [`handle_timeout`](Self::handle_timeout), when a wait is over, by
    /// [`handle_response`](Self::handle_response), when it redirects, and by
    /// [`handle_headers`](Self::handle_headers).
    pub fn poll_request(&mut self, now: Instant) -> Option<(Attempt, Request<Bytes>)> {
        self.advance(now);
        self.step(Input::Taken)?;
        self.deadlines.set(self.deadlines.after(self.config.policy.timeouts.response));
        let request = self.route.request(&self.renewed, self.inbox.last_event_id());
        Some((self.attempt, request))
    }

    /// Returns what happened, in its order.
    ///
    /// `None` when all is told. Any other call but the polls can change that. A driver that waits
    /// while there are events waits for itself.
    pub fn poll_event(&mut self) -> Option<ClientEvent<'_>> {
        Some(match self.next_event()? {
            Told::Open => ClientEvent::Open(OpenedStream {
                attempt: self.attempt,
                url: self.route.url(),
                head: self.inbox.head()?,
            }),
            Told::Message => ClientEvent::Message(self.inbox.message()),
            Told::Comment => ClientEvent::Comment(self.inbox.comment()),
            Told::Dropped(error) => ClientEvent::Dropped(error),
            Told::Lost { events, reason } => ClientEvent::Lost { events, reason },
            Told::HeadersWanted => {
                let (url, refused) = (self.route.url(), self.refused);
                ClientEvent::HeadersWanted { attempt: self.attempt, url, refused }
            }
            Told::Retrying(wait) => ClientEvent::Retrying {
                error: self.last_error.as_ref()?,
                wait,
                attempts: self.backoff.attempts(),
            },
            Told::Closed => ClientEvent::Closed(self.close_reason.as_ref()?),
        })
    }

    /// Returns whether the driver is to read the body of the present attempt. While it is not,
    /// messages wait to be polled. The driver then leaves the bytes where they are, so that the
    /// server is slowed down.
    ///
    /// Not asked for heads: those are always wanted.
    pub fn wants_data(&self) -> bool {
        match self.phase {
            Phase::Streaming => self.inbox.is_drained(),
            Phase::Refused => true,
            _ => false,
        }
    }

    /// Returns the attempt whose connection is wanted. A driver drops the connection of any other,
    /// and of all when this is `None`: the client has closed, restarted, been redirected, or lost
    /// patience or interest.
    pub fn attempt(&self) -> Option<Attempt> {
        match self.phase {
            Phase::Connecting | Phase::Streaming | Phase::Refused => Some(self.attempt),
            _ => None,
        }
    }

    /// Returns whether there is a stream, as of the last event that was polled.
    pub fn state(&self) -> ReadyState {
        self.state
    }

    /// Returns the URL that the client was made with, wherever redirects have led; without the user
    /// name and the password, if it had them.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// Returns the last event ID string: that of the last message that was polled, or of a notice
    /// or a block without data that came before the next; empty if there is none. The next request
    /// sends it.
    /// An application keeps it in order to go on in another process.
    pub fn last_event_id(&self) -> &str {
        self.inbox.last_event_id()
    }

    /// Returns the reconnection time: what the peer last set, within the bounds of the policy, or
    /// the policy's own.
    pub fn reconnection_time(&self) -> Duration {
        self.config.policy.reconnection.base(self.inbox.reconnection_time())
    }

    /// Returns why the client is closed; `None` while it is not.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.close_reason.as_ref()
    }

    /// The only place where the phase changes, but for requests that are refused at once.
    fn step(&mut self, input: Input) -> Option<Action> {
        let (action, next) = transition(self.phase, input)?;
        self.phase = next;
        Some(action)
    }

    fn begin_attempt(&mut self) {
        self.route = self.home.clone();
        self.redirected.clear();
        self.renewed.clear();
        self.attempt = Attempt(self.attempt.0 + 1);
        self.backoff.begin_attempt();
        self.opened = None;
        self.farewell = None;
        self.is_hurried = false;
        if self.config.renew_headers {
            self.is_asking = true;
            self.deadlines.set(self.deadlines.after(self.config.policy.timeouts.headers));
        } else {
            self.step(Input::HeadersGiven);
            self.deadlines.set(None);
        }
    }

    fn next_event(&mut self) -> Option<Told> {
        if self.inbox.poll_open() {
            self.state = ReadyState::Open;
            return Some(Told::Open);
        }
        if mem::take(&mut self.is_asking) {
            return Some(Told::HeadersWanted);
        }
        let is_blocked = !self.inbox.is_drained();
        while let Some(step) = self.inbox.poll_step() {
            match step {
                Step::Message => match &self.config.sentinel {
                    Some(Sentinel::Data(data)) if self.inbox.message().data() == *data => {
                        self.finish_stream();
                    }
                    Some(Sentinel::EventType(event_type))
                        if self.inbox.message().event_type() == event_type.as_str() =>
                    {
                        self.finish_stream();
                        return Some(Told::Message);
                    }
                    _ => match self.notice() {
                        None => return Some(Told::Message),
                        Some(notice) => {
                            if let Some(lost) = self.handle_notice(notice) {
                                return Some(lost);
                            }
                        }
                    },
                },
                Step::Comment if self.config.comments => return Some(Told::Comment),
                // The decoder keeps the time that was set.
                Step::Comment | Step::Retry(_) => {}
                Step::Error(error) => return Some(Told::Dropped(error)),
            }
        }
        match self.phase {
            Phase::Streaming if is_blocked => self.deadlines.unblock(),
            Phase::Ending => return Some(self.settle()),
            _ => {}
        }
        None
    }

    /// Reads the message at hand, if it is a notice.
    fn notice(&self) -> Option<Notice> {
        let event_type = self.config.notices.as_ref()?;
        let message = self.inbox.message();
        if message.event_type() != event_type.as_str() {
            return None;
        }
        Notice::parse(message.data())
    }

    fn handle_notice(&mut self, notice: Notice) -> Option<Told> {
        match notice {
            Notice::Gap { lost, reason, .. } => {
                return Some(Told::Lost { events: lost, reason });
            }
            Notice::Ending => self.farewell = Some(Farewell::Ending),
            Notice::Refused { reason } => self.farewell = Some(Farewell::Refused(reason)),
            Notice::Live | Notice::Kept { .. } | Notice::Complete { .. } | Notice::Place => {}
        }
        None
    }

    fn finish_stream(&mut self) {
        self.inbox.skip_rest();
        self.end(Input::Sentinel, Outcome::Finished);
    }
}

impl fmt::Debug for Client {
    /// Leaves out URLs, headers and bodies, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("phase", &self.phase)
            .field("state", &self.state)
            .field("attempt", &self.attempt)
            .field("attempts_without_stable_stream", &self.backoff.attempts())
            .field("last_event_id", &self.last_event_id())
            .finish_non_exhaustive()
    }
}

//! One connection of an HTTP/1.1 server: [`ServerConnection`].

mod answer;
mod body;
mod config;
mod date;
mod error;
mod request_head;
mod state;
#[cfg(test)]
mod tests;

use self::answer::{Exchange, allows_body};
use self::body::Body;
use self::date::{Date, TimeOfDay};
use self::state::{BodyProgress, HeadProgress, Intake, State};
use super::empty_lines::{EmptyLines, MAX_EMPTY_LINES};
use super::head::{Search, has_connection_option};
use super::outbox::Outbox;
use crate::encode::Framing;
use crate::http::plain_text;
use alloc::boxed::Box;
use alloc::format;
use bytes::{Buf, Bytes, BytesMut};
use core::fmt;
use core::mem;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use std::time::{Instant, SystemTime};

pub use self::config::ServerConnectionConfig;
pub use self::error::{RefusedRequest, RespondError, ServerCloseReason};

/// One connection of an HTTP/1.1 server, without the connection.
///
/// What arrives goes to [`handle_data`](Self::handle_data) and
/// [`handle_eof`](Self::handle_eof). [`poll_request`](Self::poll_request) gives
/// a request when it is complete, body included; [`respond`](Self::respond) or
/// [`respond_stream`](Self::respond_stream) answers it; and
/// [`poll_transmit`](Self::poll_transmit) gives what is to be written. A driver
/// is a loop over these:
///
/// 1. write everything that `poll_transmit` gives;
/// 2. if [`close_reason`](Self::close_reason) says so, drop the connection;
/// 3. if [`wants_shutdown`](Self::wants_shutdown), shut down the writing side,
///    once;
/// 4. if there is a request, answer it, and start again;
/// 5. wait until bytes arrive, if [`wants_data`](Self::wants_data), or until
///    [`poll_timeout`](Self::poll_timeout).
///
/// No order of calls is forbidden: one that makes no sense has no effect or
/// is a typed error.
///
/// # What it accepts
///
/// Requests by RFC 9112, read strictly. A line ends with CRLF; a header has no
/// white space before its colon and no continuation; the length of a body is
/// said once and in one way; `Host` is there once; the target is a path, a
/// whole URL (which then names the host, RFC 9112, 3.2.2) or, for OPTIONS, `*`.
/// Up to two empty lines before a request are read over, and as many behind that of
/// an event stream (RFC 9112, 2.2). What is not accepted
/// is answered as [`RefusedRequest::status`] says, and the connection is closed.
/// `Upgrade` is left to the application to see, and not acted upon.
///
/// Whether the peer sends a request at once or byte by byte makes no
/// difference to what comes out, and little to what it costs.
///
/// # Pipelining
///
/// Requests that a peer sends without waiting for answers come out one by
/// one: the next when the answer to the one before has been taken by
/// `poll_transmit`. Until then up to one head's limit of bytes waits here, and
/// then `wants_data` is false: leave the rest in the socket, where the peer
/// feels it.
///
/// An event stream is the last answer of its connection. Bytes behind its
/// request are junk: if they are there before the answer, it is a 400, and if
/// they come after it, the connection is closed; in either case by
/// [`ServerCloseReason::BytesAfterStreamRequest`].
pub struct ServerConnection {
    config: ServerConnectionConfig,
    state: State,
    deadline: Option<Instant>,
    inbox: BytesMut,
    outbox: Outbox,
    time_of_day: Option<TimeOfDay>,
    after_stream: EmptyLines,
    eof: bool,
    draining: bool,
}

impl ServerConnection {
    /// Makes the machine for a connection that was accepted at `now`.
    pub fn new(now: Instant, config: ServerConnectionConfig) -> Self {
        let mut server = Self {
            config,
            state: State::Idle { new: true },
            deadline: None,
            inbox: BytesMut::new(),
            outbox: Outbox::default(),
            time_of_day: None,
            after_stream: EmptyLines::default(),
            eof: false,
            draining: false,
        };
        server.enter(now, State::Idle { new: true });
        server
    }

    /// Tells the time of day at `now`, once. From then on every answer has a `Date`, those that the
    /// machine gives by itself included; that of later answers follows from the `now` of each call.
    /// An answer that brings a `Date` of its own keeps it.
    ///
    /// Default: no `Date`, as [RFC 9110, 6.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1)
    /// asks of a server without a clock. The time between two calls is that of the caller's clock, so
    /// that a clock of day which is set meanwhile shows on the next connection.
    pub fn set_time_of_day(&mut self, now: Instant, time_of_day: SystemTime) {
        self.time_of_day = Some(TimeOfDay::new(now, time_of_day));
    }

    /// Takes bytes that arrived, all of them.
    ///
    /// Hand in what one read gave, of some KiB: what one call brings is held
    /// until it has been used. Call it only while
    /// [`wants_data`](Self::wants_data); bytes that find no room close the
    /// connection ([`ServerCloseReason::Overrun`]).
    pub fn handle_data(&mut self, now: Instant, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        match self.state.intake() {
            Intake::Discard => {}
            Intake::Junk if self.after_stream.take(data) => {}
            Intake::Junk => self.close(ServerCloseReason::BytesAfterStreamRequest),
            Intake::Parse | Intake::Wait if !self.wants_data() => {
                self.close(ServerCloseReason::Overrun);
            }
            Intake::Parse | Intake::Wait => {
                self.inbox.extend_from_slice(data);
                self.advance(now);
            }
        }
        // What came late but made the request complete is not turned away.
        self.handle_timeout(now);
    }

    /// Tells that the peer has ended its side of the connection.
    ///
    /// Requests that are complete are still answered, since a peer may close
    /// one side only. An event stream is over, though: its peers do not.
    pub fn handle_eof(&mut self, now: Instant) {
        if mem::replace(&mut self.eof, true) {
            return;
        }
        match self.state {
            State::Streaming => self.close(ServerCloseReason::PeerClosed),
            State::Lingering(reason) => self.close(reason),
            _ => self.advance(now),
        }
    }

    /// Lets time pass: call it when [`poll_timeout`](Self::poll_timeout) is
    /// reached. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        let reason = self.state.timeout_reason();
        match mem::replace(&mut self.state, State::Closed(reason)) {
            State::Body(progress) => {
                let late = plain_text(StatusCode::REQUEST_TIMEOUT, format!("{reason}\n"));
                self.answer_and_close(now, progress.exchange, late, reason);
            }
            _ => self.close(reason),
        }
    }

    /// Returns the method, the target and the headers of the request that is under way or waits in
    /// [`poll_request`](Self::poll_request): for a decision that needs no body, such as what a
    /// connection that is too many is [told](Self::refuse).
    ///
    /// `None`: no head is complete, or the request was taken. It may change after `handle_data` and
    /// `poll_request`, and after `poll_transmit` when requests are pipelined.
    pub fn request_head(&self) -> Option<(&Method, &Uri, &HeaderMap)> {
        match &self.state {
            State::Body(progress) => Some(head_of(&progress.request)),
            State::Ready(request, _) => Some(head_of(request)),
            _ => None,
        }
    }

    /// Returns the next complete request, with its body. The content-coding, if any, is left on it.
    ///
    /// `None`: there is none. It may change after `handle_data`, and after
    /// `poll_transmit` when requests are pipelined.
    pub fn poll_request(&mut self) -> Option<Request<Bytes>> {
        let State::Ready(_, exchange) = self.state else { return None };
        match mem::replace(&mut self.state, State::Answering(exchange)) {
            State::Ready(request, _) => Some(*request),
            _ => None,
        }
    }

    /// Answers the request that `poll_request` gave.
    ///
    /// `Content-Length` is set here. What else belongs to the connection or to
    /// framing (RFC 9110, 7.6.1) is dropped from the headers given, but for two
    /// things: `Connection: close` is heeded, and so is `Content-Length` in
    /// the answer to HEAD where no body is given. The answer to HEAD, and one
    /// with status 204, 205 or 304, goes without the body. `Date` is added where
    /// the [time of day](Self::set_time_of_day) was told.
    ///
    /// # Errors
    ///
    /// [`RespondError`]; but for [`RespondError::Closed`], by the caller's
    /// fault.
    pub fn respond(&mut self, now: Instant, response: Response<Bytes>) -> Result<(), RespondError> {
        let exchange = self.answerable(response.status())?;
        let nothing_follows = self.eof && self.inbox.is_empty();
        if self.draining {
            self.answer_and_close(now, exchange, response, ServerCloseReason::Drained);
        } else if !exchange.keep_alive
            || nothing_follows
            || has_connection_option(response.headers(), "close")
        {
            self.answer_and_close(now, exchange, response, ServerCloseReason::Finished);
        } else {
            self.outbox.push_answer(exchange, response, self.date(now));
            self.enter(now, State::Writing);
        }
        Ok(())
    }

    /// Answers the request that `poll_request` gave with the head of an event
    /// stream, which `poll_transmit` gives at once, before the first event.
    ///
    /// The rest is written by the caller, framed as the result says. When the
    /// head has been taken, the machine has nothing more to do and can be
    /// dropped; the caller then sees to it that bytes which arrive, and the
    /// peer's end, end the stream. Headers that belong to the connection or to
    /// framing are dropped from those given.
    ///
    /// # Errors
    ///
    /// [`RespondError`]: in particular [`RespondError::NoBody`] for a HEAD
    /// request, and [`RespondError::Closed`] where the peer has ended its side
    /// already, or sent more than the request, which is answered here.
    pub fn respond_stream(
        &mut self,
        now: Instant,
        response: Response<()>,
    ) -> Result<Framing, RespondError> {
        let exchange = self.answerable(response.status())?;
        if exchange.head_only || !allows_body(response.status()) {
            return Err(RespondError::NoBody);
        }
        if self.eof {
            self.close(ServerCloseReason::PeerClosed);
            return Err(RespondError::Closed(ServerCloseReason::PeerClosed));
        }
        if !self.after_stream.take(&mem::take(&mut self.inbox)) {
            let reason = ServerCloseReason::BytesAfterStreamRequest;
            let refusal = plain_text(StatusCode::BAD_REQUEST, format!("{reason}\n"));
            self.answer_and_close(now, exchange, refusal, reason);
            return Err(RespondError::Closed(reason));
        }
        let framing = if exchange.http10 { Framing::Plain } else { Framing::Chunked };
        self.outbox.push_stream_head(framing, &response, self.date(now));
        self.enter(now, State::Streaming);
        Ok(framing)
    }

    /// Answers whatever the peer has sent or will send, and closes. It is for connections that are
    /// too many; [`request_head`](Self::request_head) says what is known of what they ask for.
    ///
    /// # Errors
    ///
    /// [`RespondError::NoRequest`] if an answer is under way already,
    /// [`RespondError::Informational`], or [`RespondError::Closed`].
    pub fn refuse(&mut self, now: Instant, response: Response<Bytes>) -> Result<(), RespondError> {
        if response.status().is_informational() {
            return Err(RespondError::Informational);
        }
        let exchange = match &self.state {
            State::Idle { .. } | State::Head(_) => exchange_of(&self.inbox),
            State::Body(progress) => progress.exchange,
            State::Ready(_, exchange) | State::Answering(exchange) => *exchange,
            State::Writing | State::Streaming => return Err(RespondError::NoRequest),
            State::Closing(reason) | State::Lingering(reason) | State::Closed(reason) => {
                return Err(RespondError::Closed(*reason));
            }
        };
        self.answer_and_close(now, exchange, response, ServerCloseReason::Refused);
        Ok(())
    }

    /// Takes no further request. A connection that is idle is closed now, and one with a request on
    /// it after the answer, which tells the peer.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.advance(now);
    }

    /// Returns what is to be written next.
    ///
    /// `None`: nothing; and what was taken before is held to be written, so
    /// write it before you ask again. It may change after any `handle_*`,
    /// `respond`, `respond_stream`, `refuse` and `drain`.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.outbox.is_empty() {
            match self.state {
                State::Writing => {
                    self.enter(now, State::Idle { new: false });
                    self.advance(now);
                }
                State::Closing(reason) => self.shut_down(now, reason),
                State::Streaming => self.deadline = None,
                _ => {}
            }
        }
        self.outbox.pop()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due.
    ///
    /// `None`: never, as it stands. It may change after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns whether bytes of the peer are wanted. If not, leave them in the socket. It may
    /// change after `poll_request` and `poll_transmit`.
    pub fn wants_data(&self) -> bool {
        match self.state {
            State::Closed(_) => false,
            _ if self.eof => false,
            _ => self.state.intake() != Intake::Wait || self.inbox.len() < self.config.head.size,
        }
    }

    /// Returns whether everything is written and the writing side of the connection is to be shut
    /// down, while the peer has a last chance to read.
    pub fn wants_shutdown(&self) -> bool {
        matches!(self.state, State::Lingering(_))
    }

    /// Returns why the connection is to be dropped now.
    ///
    /// `None`: it is not. It may change after every other call; what was said
    /// once stays.
    pub fn close_reason(&self) -> Option<ServerCloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns how many bytes it holds in its buffers: of a request that is not whole or not taken
    /// yet, of what came behind it, and of an answer. It is for a limit that several connections
    /// have together; [`refuse`](Self::refuse) lets go of a request.
    pub fn held(&self) -> usize {
        let of_request = match &self.state {
            State::Body(progress) => progress.body.held(),
            State::Ready(request, _) => request.body().len(),
            _ => 0,
        };
        self.inbox.capacity() + self.outbox.held() + of_request
    }

    fn answerable(&self, status: StatusCode) -> Result<Exchange, RespondError> {
        match &self.state {
            State::Answering(_) if status.is_informational() => Err(RespondError::Informational),
            State::Answering(exchange) => Ok(*exchange),
            state => Err(state.end().map_or(RespondError::NoRequest, RespondError::Closed)),
        }
    }

    /// Goes as far as the bytes at hand allow.
    fn advance(&mut self, now: Instant) {
        loop {
            let moved = match mem::replace(&mut self.state, State::Writing) {
                State::Idle { new } => Ok(self.begin_request(now, new)),
                State::Head(progress) => self.read_head(now, progress),
                State::Body(progress) => self.read_body(now, progress),
                state => {
                    self.state = state;
                    return;
                }
            };
            match moved {
                Ok(true) => {}
                Ok(false) => return,
                Err((exchange, error)) => return self.fail(now, exchange, error),
            }
        }
    }

    fn begin_request(&mut self, now: Instant, new: bool) -> bool {
        if self.draining {
            self.shut_down(now, ServerCloseReason::Drained);
            return false;
        }
        if self.inbox.is_empty() {
            self.state = State::Idle { new };
            if self.eof {
                self.close(ServerCloseReason::PeerClosed);
            }
            return false;
        }
        let head = State::Head(HeadProgress::default());
        if new {
            // The first head has its time from the acceptance on.
            self.state = head;
        } else {
            self.enter(now, head);
        }
        true
    }

    fn read_head(&mut self, now: Instant, mut progress: HeadProgress) -> Moved {
        while progress.search == Search::default() && self.inbox.starts_with(b"\r\n") {
            self.inbox.advance(2);
            progress.empty_lines += 1;
            if progress.empty_lines > MAX_EMPTY_LINES {
                return Err((Exchange::UNKNOWN, RefusedRequest::EmptyLines));
            }
        }
        let starts_with_return = self.inbox[..] == *b"\r";
        let unknown = |error| (exchange_of(&self.inbox), error);
        // A TLS hello, for one, has no end that would be worth the wait.
        if self.inbox.first().is_some_and(|first| !matches!(first, b'\r' | b'\n' | b' '..=b'~')) {
            return Err(unknown(RefusedRequest::Syntax));
        }
        let end = if starts_with_return {
            None
        } else {
            let end = progress.search.end(&self.inbox, self.config.head);
            if progress.search.has_bare_line_feed() {
                return Err(unknown(RefusedRequest::BareLineFeed));
            }
            end.map_err(|error| unknown(error.into()))?
        };
        let Some(end) = end else {
            self.state = State::Head(progress);
            if self.eof {
                let reason = if self.inbox.is_empty() {
                    ServerCloseReason::PeerClosed
                } else {
                    ServerCloseReason::Truncated
                };
                self.close(reason);
            }
            return Ok(false);
        };
        let head = request_head::parse(&self.inbox[..end], progress.search).map_err(unknown)?;
        self.inbox.advance(end);
        let exchange = Exchange {
            head_only: *head.request.method() == Method::HEAD,
            http10: head.request.version() == Version::HTTP_10,
            keep_alive: head.keep_alive,
        };
        let body = Body::new(head.body, self.config.max_body_size);
        let body = body.map_err(|error| (exchange, error))?;
        if head.expects_continue && !body.is_complete() {
            self.outbox.push_continue();
        }
        let progress = BodyProgress { request: head.request, exchange, body };
        self.enter(now, State::Body(Box::new(progress)));
        Ok(true)
    }

    fn read_body(&mut self, now: Instant, mut progress: Box<BodyProgress>) -> Moved {
        let read = progress.body.take_from(&mut self.inbox);
        read.map_err(|error| (progress.exchange, error))?;
        if progress.body.is_complete() {
            if self.inbox.is_empty() {
                // No buffer is kept while the application works on its answer,
                // the peer is idle after it, or a stream lasts.
                self.inbox = BytesMut::new();
            }
            let BodyProgress { request, exchange, body } = *progress;
            let request = request.map(|()| body.into_bytes());
            self.enter(now, State::Ready(Box::new(request), exchange));
            return Ok(true);
        }
        self.state = State::Body(progress);
        if self.eof {
            self.close(ServerCloseReason::Truncated);
        }
        Ok(false)
    }

    fn fail(&mut self, now: Instant, exchange: Exchange, error: RefusedRequest) {
        let response = plain_text(error.status(), format!("{error}\n"));
        self.answer_and_close(now, exchange, response, ServerCloseReason::BadRequest(error));
    }

    fn answer_and_close(
        &mut self,
        now: Instant,
        exchange: Exchange,
        response: Response<Bytes>,
        reason: ServerCloseReason,
    ) {
        self.inbox = BytesMut::new();
        let exchange = Exchange { keep_alive: false, ..exchange };
        self.outbox.push_answer(exchange, response, self.date(now));
        self.enter(now, State::Closing(reason));
    }

    /// Everything is written. A connection that were dropped now could take
    /// the answer with it, if bytes of the peer are still on their way.
    fn shut_down(&mut self, now: Instant, reason: ServerCloseReason) {
        if self.eof {
            self.close(reason);
        } else {
            self.enter(now, State::Lingering(reason));
        }
    }

    fn close(&mut self, reason: ServerCloseReason) {
        self.state = State::Closed(reason);
        self.deadline = None;
        self.inbox = BytesMut::new();
        self.outbox = Outbox::default();
    }

    fn date(&self, now: Instant) -> Option<Date> {
        self.time_of_day.and_then(|time| time.date(now))
    }

    fn enter(&mut self, now: Instant, state: State) {
        self.deadline = state.time(&self.config).and_then(|time| now.checked_add(time));
        self.state = state;
    }
}

impl fmt::Debug for ServerConnection {
    /// Without the bytes, which may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConnection")
            .field("state", &self.state)
            .field("deadline", &self.deadline)
            .field("waiting", &self.inbox.len())
            .finish_non_exhaustive()
    }
}

/// Whether a step got further than the bytes at hand, or what is wrong with them.
type Moved = Result<bool, (Exchange, RefusedRequest)>;

fn head_of<B>(request: &Request<B>) -> (&Method, &Uri, &HeaderMap) {
    (request.method(), request.uri(), request.headers())
}

/// As much as matters of a request whose head is no good.
fn exchange_of(head: &[u8]) -> Exchange {
    Exchange { head_only: head.starts_with(b"HEAD "), ..Exchange::UNKNOWN }
}

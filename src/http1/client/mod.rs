//! One exchange of an HTTP/1.1 client: [`ClientConnection`].

mod config;
mod error;
mod request;
mod response_head;
mod state;
#[cfg(test)]
mod tests;

use self::request::Reader;
use self::response_head::{body_reader, check_start};
use self::state::{HeadProgress, State};
use super::body::BodyReader;
use super::outbox::Outbox;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};
use core::fmt;
use core::mem;
use http::{HeaderValue, Method, Request, Response, StatusCode};

pub use self::config::ClientConnectionConfig;
pub use self::error::{InvalidRequest, ResponseError};

/// One exchange of an HTTP/1.1 client, without the connection.
///
/// [`new`](Self::new) takes the request, and
/// [`poll_transmit`](Self::poll_transmit) gives what is to be written. What
/// arrives goes to [`handle_data`](Self::handle_data) and
/// [`handle_eof`](Self::handle_eof), and [`poll_response`](Self::poll_response)
/// gives the response as it comes: its head as soon as it is complete, its body
/// in pieces, its end. A driver is a loop over these:
///
/// 1. take all that `poll_response` gives; after the end, or an error, drop the
///    connection;
/// 2. write what `poll_transmit` gives, and read meanwhile, if
///    [`wants_data`](Self::wants_data): a server may answer before it has read
///    all, and then refuse the rest. A write that fails is therefore the end
///    only when there is nothing to be read either.
///
/// No order of calls is forbidden. There is no time in this: how long to wait
/// for what is for those who know why they ask, such as the client of an event
/// stream.
///
/// # What it sends
///
/// An HTTP/1.1 request, whatever the version that is set in it. Headers go out
/// as they are given, but for those that speak of the connection or of framing
/// (RFC 9110, 7.6.1), and for `Expect`, since no 100 is waited for: these are
/// dropped. Added are
///
/// - `Host`, where the request has none, from the URL: with the port, if it is
///   not the scheme's own, and without the zone of an IPv6 address;
/// - `Content-Length`, if there is a body, or if the method is POST, PUT or
///   PATCH, which have one as a rule;
/// - `Last-Event-ID`, where the request has none, from the [`LastEventId`](crate::LastEventId)
///   among its extensions, which is where an id with control characters is;
/// - `Connection: close`, since nothing follows on the connection, and a server
///   need not keep it open after a plain answer (RFC 9112, 9.6).
///
/// The target is the URL's path and query, or `*`, which goes with OPTIONS. To a proxy it is the
/// whole URL.
/// What is not ASCII in it is percent-encoded.
///
/// # What it accepts
///
/// Responses by RFC 9112, of HTTP/1.1 and HTTP/1.0. What breaks the rules is a
/// [`ResponseError`], told after all that was good before it; nothing is
/// guessed. In particular:
///
/// - A line ends with CRLF, or with LF alone (RFC 9112, 2.2), in the head and
///   in the chunked coding, where spaces may stand behind the size of a chunk.
///   Small servers write so, and `curl` reads it. On a connection that serves
///   one exchange nothing can be smuggled by it.
/// - A header has no white space before its colon. A header that is continued
///   on the next line is joined, as RFC 9112, 5.2 asks of user agents.
/// - Values may hold any bytes beyond ASCII. A header whose value holds a
///   control character is dropped, as no `HeaderValue` can hold it; with NUL
///   or a lone CR, or in a header that says where the body ends, it is an error.
/// - Interim responses (1xx) are read over, up to a limit. 101 is an error.
/// - The body ends as the head says: by chunks, by length, or with the
///   connection, and in only one of these ways. Several `Content-Length` that
///   say the same are one. `identity`, which RFC 9112 no longer knows, is no
///   coding at all; others than `chunked` are an error.
/// - The answer to HEAD, and one with status 204 or 304, has no body, whatever
///   its headers say.
/// - Trailer fields and chunk extensions are read over, up to a limit.
///
/// `Content-Encoding` is left to the caller to see, and the body as it came:
/// who did not ask for a coding, by `Accept-Encoding`, can take one for a fault.
/// So are redirects, and `Upgrade`.
///
/// Whether the peer sends its response at once or byte by byte makes no
/// difference to what comes out, but for how a body is cut into pieces.
pub struct ClientConnection {
    config: ClientConnectionConfig,
    /// The request is HEAD or CONNECT: the response has no body, whatever it says.
    head_only: bool,
    state: State,
    outbox: Outbox,
    /// What came of a head that goes on.
    inbox: BytesMut,
    /// What was not polled yet, in the order of these fields.
    head: Option<Box<Response<()>>>,
    content: Vec<u8>,
    has_ended: bool,
    error: Option<ResponseError>,
}

/// A part of a response, in the order in which they come.
#[derive(Clone, Debug)]
pub enum ResponsePart {
    /// The head of the final response. It comes once.
    Head(Response<()>),
    /// A piece of the body, never empty, and without transfer coding. It may
    /// hold on to as much memory as came with it in one call of
    /// [`ClientConnection::handle_data`].
    Data(Bytes),
    /// The response is complete.
    ///
    /// Only [`ResponseError::ExcessBytes`] may follow, where the peer sent more
    /// than it had announced: poll once more to find out. Those who do not care
    /// may ignore such bytes (RFC 9112, 6.3).
    End,
}

impl ClientConnection {
    /// Makes an exchange that begins with this request.
    ///
    /// The body is not copied, unless it is small.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`], by the caller's fault.
    pub fn new(
        request: &Request<Bytes>,
        config: ClientConnectionConfig,
    ) -> Result<Self, InvalidRequest> {
        let outbox = request::write(request, Reader::Server)?;
        Ok(Self::with(outbox, *request.method() == Method::HEAD, config))
    }

    /// Makes an exchange with a proxy, which is asked for what `request` asks for: its target is the
    /// whole URL (RFC 9112, 3.2.2). `credentials` are sent as `Proxy-Authorization`, in place of any
    /// that the request has.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`], by the caller's fault.
    pub fn through_proxy(
        request: &Request<Bytes>,
        credentials: Option<&HeaderValue>,
        config: ClientConnectionConfig,
    ) -> Result<Self, InvalidRequest> {
        let outbox = request::write(request, Reader::Proxy(credentials))?;
        Ok(Self::with(outbox, *request.method() == Method::HEAD, config))
    }

    /// Makes an exchange that asks a proxy for a tunnel to a host (CONNECT; RFC 9110, 9.3.6).
    /// `credentials` are sent as `Proxy-Authorization`.
    ///
    /// The exchange is over with the head of the response: no part of the body comes out. Where the
    /// status is one of success (2xx), the connection is the tunnel from there on. Bytes that came
    /// with the head are [`ExcessBytes`](ResponseError::ExcessBytes), since the host has been told
    /// nothing yet that it could answer.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Host`] for a host that is none. An IPv6 address stands without brackets.
    pub fn connect(
        host: &str,
        port: u16,
        credentials: Option<&HeaderValue>,
        config: ClientConnectionConfig,
    ) -> Result<Self, InvalidRequest> {
        Ok(Self::with(request::write_connect(host, port, credentials)?, true, config))
    }

    fn with(outbox: Outbox, head_only: bool, config: ClientConnectionConfig) -> Self {
        Self {
            config,
            head_only,
            state: State::Head(HeadProgress::default()),
            outbox,
            inbox: BytesMut::new(),
            head: None,
            content: Vec::new(),
            has_ended: false,
            error: None,
        }
    }

    /// Returns what is to be written next.
    ///
    /// `None`: nothing, since all was taken, or since the response is complete
    /// and the rest of the request not wanted any more. It does not change
    /// again.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// Takes bytes that arrived, all of them.
    ///
    /// Hand in what one read gave, of some KiB: what one call brings is held
    /// until it is polled. Call it while [`wants_data`](Self::wants_data); what
    /// comes at other times is taken as well, up to
    /// [`ClientConnectionConfig::with_max_unread`].
    pub fn handle_data(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        match mem::replace(&mut self.state, State::Closed) {
            State::Head(progress) => {
                self.inbox.extend_from_slice(data);
                self.read_head(progress);
            }
            State::Body(_) if self.is_overrun_by(data) => self.fail(ResponseError::Overrun),
            State::Body(reader) => self.read_body(reader, data),
            State::Complete => self.fail(ResponseError::ExcessBytes),
            State::Closed => {}
        }
    }

    /// Tells that the peer has ended its side of the connection, properly.
    ///
    /// A connection that was reset did not, and over TLS one that was closed
    /// without `close_notify` did not either (RFC 9112, 9.8): those are errors
    /// of the transport, after which the exchange is over without this.
    pub fn handle_eof(&mut self) {
        match mem::replace(&mut self.state, State::Closed) {
            State::Head(_) if self.inbox.is_empty() => self.fail(ResponseError::NoResponse),
            State::Head(_) => self.fail(ResponseError::TruncatedHead),
            State::Body(BodyReader::UntilClose) => self.complete(State::Closed),
            State::Body(_) => self.fail(ResponseError::TruncatedBody),
            State::Complete | State::Closed => {}
        }
    }

    /// Returns the next part of the response, as far as it came, or why there will be no other.
    ///
    /// `None`: nothing new came. It may change after `handle_data` and
    /// `handle_eof`, but not after an error.
    pub fn poll_response(&mut self) -> Option<Result<ResponsePart, ResponseError>> {
        if let Some(head) = self.head.take() {
            return Some(Ok(ResponsePart::Head(*head)));
        }
        if !self.content.is_empty() {
            return Some(Ok(ResponsePart::Data(mem::take(&mut self.content).into())));
        }
        if mem::take(&mut self.has_ended) {
            return Some(Ok(ResponsePart::End));
        }
        self.error.take().map(Err)
    }

    /// Returns whether bytes of the peer are wanted. If not, leave them in the socket, where the
    /// peer feels it. It may change after `poll_response`.
    ///
    /// It stays true after the end of the response, for those who want to know
    /// whether something follows. Others need not wait for it.
    pub fn wants_data(&self) -> bool {
        let waits = self.head.is_some() || !self.content.is_empty() || self.has_ended;
        !waits && !matches!(self.state, State::Closed)
    }

    fn is_overrun_by(&self, data: &[u8]) -> bool {
        let waiting = self.content.len();
        waiting > 0 && waiting.saturating_add(data.len()) > self.config.max_unread
    }

    fn read_head(&mut self, mut progress: HeadProgress) {
        match self.final_head(&mut progress) {
            Ok(None) => self.state = State::Head(progress),
            Ok(Some((head, reader))) => {
                self.head = Some(Box::new(head));
                let behind = mem::take(&mut self.inbox);
                self.read_body(reader, &behind);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Takes heads up to the final one; `None` if that is not complete.
    fn final_head(
        &mut self,
        progress: &mut HeadProgress,
    ) -> Result<Option<(Response<()>, BodyReader)>, ResponseError> {
        loop {
            check_start(&self.inbox[..self.inbox.len().min(self.config.head.size)])?;
            let Some(end) = progress.search.end(&self.inbox, self.config.head)? else {
                return Ok(None);
            };
            let response = response_head::parse(&mut self.inbox[..end], progress.search)?;
            self.inbox.advance(end);
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Err(ResponseError::SwitchingProtocols);
            }
            if !response.status().is_informational() {
                let reader = body_reader(&response, self.head_only)?;
                return Ok(Some((response, reader)));
            }
            if progress.interim == self.config.max_interim_responses {
                return Err(ResponseError::TooManyInterim);
            }
            *progress = HeadProgress { interim: progress.interim + 1, ..HeadProgress::default() };
        }
    }

    fn read_body(&mut self, mut reader: BodyReader, mut data: &[u8]) {
        while !data.is_empty() && !reader.is_complete() {
            let step = match reader.step(data) {
                Ok(step) => step,
                Err(error) => return self.fail(ResponseError::Chunked(error)),
            };
            let content = &data[step.content];
            if self.content.is_empty() && !content.is_empty() {
                self.content.reserve(data.len());
            }
            self.content.extend_from_slice(content);
            data = &data[step.consumed..];
        }
        if !reader.is_complete() {
            self.state = State::Body(reader);
            return;
        }
        self.complete(State::Complete);
        if !data.is_empty() {
            self.fail(ResponseError::ExcessBytes);
        }
    }

    fn complete(&mut self, state: State) {
        self.has_ended = true;
        self.close(state);
    }

    fn fail(&mut self, error: ResponseError) {
        self.error = Some(error);
        self.close(State::Closed);
    }

    /// Nothing is written any more, and no head is read.
    fn close(&mut self, state: State) {
        self.state = state;
        self.inbox = BytesMut::new();
        self.outbox = Outbox::default();
    }

    /// The bytes in buffers of its own.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.inbox.capacity() + self.content.capacity()
    }
}

impl fmt::Debug for ClientConnection {
    /// Without the bytes, which may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnection")
            .field("state", &self.state)
            .field("waiting", &(self.inbox.len() + self.content.len()))
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

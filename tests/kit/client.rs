//! A client with its driver and its network, in memory and in virtual time.

use super::base_instant;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use sansse::client::{
    Attempt, Client, ClientConfig, ClientError, ClientEvent, CloseReason, Policy, ReadyState,
};
use sansse::net::FailureKind;
use sansse::{DecodeError, LastEventId, LossReason, OwnedMessage};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(crate) const URL: &str = "http://example.org/events";

pub(crate) fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

pub(crate) fn standard() -> ClientConfig {
    let mut config = ClientConfig::new(1);
    config.policy = Policy::standard();
    config
}

/// Both policies, for what does not depend on them.
pub(crate) fn both() -> [ClientConfig; 2] {
    [standard(), ClientConfig::new(1)]
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What was reported, with the state at that time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Open { url: String, head: HeaderMap },
    Message(OwnedMessage),
    Comment(String),
    Dropped(DecodeError),
    Lost { events: Option<u64>, reason: LossReason },
    HeadersWanted { attempt: Attempt, url: String, refused: Option<StatusCode> },
    Retrying { error: ClientError, wait: Duration, attempts: u32 },
    Closed(CloseReason),
}

impl From<ClientEvent<'_>> for Seen {
    fn from(event: ClientEvent<'_>) -> Self {
        match event {
            ClientEvent::Open(opened) => {
                Self::Open { url: opened.url.to_string(), head: opened.head.headers().clone() }
            }
            ClientEvent::Message(message) => Self::Message(message.into_owned()),
            ClientEvent::Comment(text) => Self::Comment(text.to_owned()),
            ClientEvent::Dropped(error) => Self::Dropped(error),
            ClientEvent::Lost { events, reason } => Self::Lost { events, reason },
            ClientEvent::HeadersWanted { attempt, url, refused } => {
                Self::HeadersWanted { attempt, url: url.to_string(), refused }
            }
            ClientEvent::Retrying { error, wait, attempts } => {
                Self::Retrying { error: error.clone(), wait, attempts }
            }
            ClientEvent::Closed(reason) => Self::Closed(reason.clone()),
            _ => panic!("an event that the tests do not know: {event:?}"),
        }
    }
}

impl Seen {
    /// In short: `open`, the data of a message, or what happened.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Open { .. } => "open".into(),
            Self::Message(message) => format!("data {}", message.data),
            Self::Comment(text) => format!("comment {text}"),
            Self::Dropped(error) => format!("dropped: {error}"),
            Self::Lost { .. } => "lost".into(),
            Self::HeadersWanted { .. } => "headers wanted".into(),
            Self::Retrying { .. } => "retrying".into(),
            Self::Closed(_) => "closed".into(),
        }
    }
}

/// A client, moved step by step.
pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self::with(get(URL), config)
    }

    pub(crate) fn with(request: Request<Bytes>, config: ClientConfig) -> Self {
        let start = base_instant();
        Self { client: Client::new(request, config), start, now: start }
    }

    /// One whose stream is open, with the event polled.
    pub(crate) fn open(config: ClientConfig) -> (Self, Attempt) {
        let mut bench = Self::new(config);
        let attempt = bench.reopen();
        (bench, attempt)
    }

    pub(crate) fn reopen(&mut self) -> Attempt {
        let (attempt, _) = self.request();
        self.accept(attempt);
        assert_eq!(self.shorts(), ["open"]);
        attempt
    }

    /// Takes the request that is due.
    #[track_caller]
    pub(crate) fn request(&mut self) -> (Attempt, Request<Bytes>) {
        self.client.poll_request(self.now).expect("a request is due")
    }

    #[track_caller]
    pub(crate) fn no_request(&mut self) {
        let request = self.client.poll_request(self.now);
        assert!(request.is_none(), "no request is due: {request:?}");
    }

    pub(crate) fn accept(&mut self, attempt: Attempt) {
        self.respond(attempt, &stream_head());
    }

    pub(crate) fn respond(&mut self, attempt: Attempt, head: &Response<()>) {
        self.client.handle_response(self.now, attempt, head);
    }

    pub(crate) fn data(&mut self, attempt: Attempt, bytes: impl AsRef<[u8]>) {
        self.client.handle_data(self.now, attempt, bytes.as_ref());
    }

    pub(crate) fn end(&mut self, attempt: Attempt) {
        self.client.handle_eof(self.now, attempt);
    }

    pub(crate) fn fail(&mut self, attempt: Attempt, kind: FailureKind) {
        self.client.handle_failure(self.now, attempt, kind);
    }

    pub(crate) fn event(&mut self) -> Option<Seen> {
        self.client.poll_event().map(Seen::from)
    }

    pub(crate) fn events(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.event()).collect()
    }

    pub(crate) fn shorts(&mut self) -> Vec<String> {
        self.events().iter().map(Seen::short).collect()
    }

    /// Polls what there is, of which the last is why the client tries again.
    #[track_caller]
    pub(crate) fn retrying(&mut self) -> (ClientError, Duration) {
        match self.events().pop() {
            Some(Seen::Retrying { error, wait, .. }) => (error, wait),
            other => panic!("it does not try again: {other:?}"),
        }
    }

    /// Polls what there is, of which the last is why the client has ended.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> CloseReason {
        let last = self.events().pop();
        assert_eq!(self.client.state(), ReadyState::Closed);
        match last {
            Some(Seen::Closed(reason)) => reason,
            other => panic!("it has not ended: {other:?}"),
        }
    }

    /// How long until the client wants to be told the time.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.client.poll_timeout().map(|at| at.saturating_duration_since(self.now))
    }

    /// Sleeps until the client's deadline, and tells it so.
    #[track_caller]
    pub(crate) fn sleep(&mut self) -> Duration {
        let wait = self.timeout().expect("there is a deadline");
        self.pass(wait);
        wait
    }

    /// Lets time pass, and tells of it once.
    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now += duration;
        self.client.handle_timeout(self.now);
    }
}

/// The head of a good stream.
pub(crate) fn stream_head() -> Response<()> {
    head(200, &[("content-type", "text/event-stream")])
}

pub(crate) fn head(status: u16, headers: &[(&str, &str)]) -> Response<()> {
    let mut head = Response::builder().status(status);
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        head = head.header(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    head.body(()).unwrap()
}

/// What the peer does with one request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: Option<Response<()>>,
    pub(crate) body: Vec<Vec<u8>>,
    pub(crate) end: End,
}

/// What comes after the body, or in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Proper,
    Failure(FailureKind),
    Never,
}

impl Answer {
    /// A good stream of these bytes, which ends properly.
    pub(crate) fn stream(body: impl AsRef<[u8]>) -> Self {
        Self::of(stream_head(), body)
    }

    pub(crate) fn of(head: Response<()>, body: impl AsRef<[u8]>) -> Self {
        Self { head: Some(head), body: vec![body.as_ref().to_vec()], end: End::Proper }
    }

    /// No stream, but with everything else that one has.
    pub(crate) fn status(status: u16) -> Self {
        Self::of(head(status, &[("content-type", "text/event-stream")]), "data: never\n\n")
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::of(head(status, &[("location", location)]), "")
    }

    /// No response at all.
    pub(crate) fn none(kind: FailureKind) -> Self {
        Self { head: None, body: Vec::new(), end: End::Failure(kind) }
    }

    /// Breaks off where it would end.
    pub(crate) fn cut(mut self, kind: FailureKind) -> Self {
        self.end = End::Failure(kind);
        self
    }

    /// Goes on in silence where it would end.
    pub(crate) fn held(mut self) -> Self {
        self.end = End::Never;
        self
    }

    /// Comes in chunks of this size.
    pub(crate) fn in_chunks_of(mut self, size: usize) -> Self {
        self.body = self.body.concat().chunks(size).map(<[u8]>::to_vec).collect();
        self
    }
}

/// A client's life against a peer that follows a script.
#[derive(Debug, Default)]
pub(crate) struct Life {
    pub(crate) seen: Vec<Seen>,
    /// The state when each was reported.
    pub(crate) states: Vec<ReadyState>,
    pub(crate) requests: Vec<Request<Bytes>>,
    /// When each request was made.
    pub(crate) times: Vec<Duration>,
    pub(crate) url: String,
    pub(crate) reconnection_time: Duration,
}

impl Life {
    pub(crate) fn new(config: ClientConfig, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with(get(URL), config, answers)
    }

    /// Runs until the client has ended, or has made a request for which the script has no answer,
    /// or is held by one. The driver sleeps exactly as long as it is told.
    pub(crate) fn with(
        request: Request<Bytes>,
        config: ClientConfig,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let mut bench = Bench::with(request, config);
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        let mut life = Self::default();
        life.run(&mut bench, &mut answers);
        life.url = bench.client.url().to_string();
        life.reconnection_time = bench.client.reconnection_time();
        life
    }

    fn run(&mut self, bench: &mut Bench, answers: &mut VecDeque<Answer>) {
        for _ in 0..10_000 {
            self.poll(bench);
            if bench.client.state() == ReadyState::Closed {
                bench.no_request();
                assert_eq!((bench.client.poll_timeout(), bench.client.attempt()), (None, None));
                return;
            }
            if let Some((attempt, request)) = bench.client.poll_request(bench.now) {
                self.requests.push(request);
                self.times.push(bench.now - bench.start);
                let Some(answer) = answers.pop_front() else { return };
                if !self.play(bench, attempt, answer) {
                    return;
                }
            } else {
                bench.sleep();
            }
        }
        panic!("there is no end to it: {self:?}");
    }

    /// Plays an answer, and says whether it has an end.
    fn play(&mut self, bench: &mut Bench, attempt: Attempt, answer: Answer) -> bool {
        if let Some(head) = &answer.head {
            bench.respond(attempt, head);
            self.poll(bench);
        }
        for chunk in answer.body {
            if bench.client.attempt() == Some(attempt) && bench.client.wants_data() {
                bench.data(attempt, chunk);
                self.poll(bench);
            }
        }
        match answer.end {
            End::Proper => bench.end(attempt),
            End::Failure(kind) => bench.fail(attempt, kind),
            End::Never => return bench.client.attempt() != Some(attempt),
        }
        true
    }

    fn poll(&mut self, bench: &mut Bench) {
        while let Some(seen) = bench.event() {
            self.seen.push(seen);
            self.states.push(bench.client.state());
        }
    }

    pub(crate) fn shorts(&self) -> Vec<String> {
        self.seen.iter().map(Seen::short).collect()
    }

    pub(crate) fn messages(&self) -> Vec<&OwnedMessage> {
        let mut messages = Vec::new();
        for seen in &self.seen {
            if let Seen::Message(message) = seen {
                messages.push(message);
            }
        }
        messages
    }

    /// Why it ended, if it did.
    pub(crate) fn close_reason(&self) -> Option<&CloseReason> {
        match self.seen.last() {
            Some(Seen::Closed(reason)) => Some(reason),
            _ => None,
        }
    }

    /// The `Last-Event-ID` of each request, or the id that no header holds.
    pub(crate) fn ids(&self) -> Vec<Option<&[u8]>> {
        self.requests
            .iter()
            .map(|request| {
                let header = request.headers().get("last-event-id").map(HeaderValue::as_bytes);
                let carried = request.extensions().get::<LastEventId>();
                assert!(header.is_none() || carried.is_none(), "there is one id");
                let carried = carried.and_then(LastEventId::id);
                header.or(carried.map(|id| id.as_str().as_bytes()))
            })
            .collect()
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.requests.iter().map(|request| request.uri().to_string()).collect()
    }

    /// The time from one request to the next.
    pub(crate) fn gaps(&self) -> Vec<Duration> {
        self.times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }
}

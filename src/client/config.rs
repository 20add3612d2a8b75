//! What can be set about a client, with defaults and their reasons.

use crate::decode::Limits;
use crate::event::{EventId, EventType};
use crate::notice::Notice;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::time::Duration;
use http::StatusCode;

/// How a [`Client`](super::Client) behaves.
///
/// ```
/// use sansse::client::{ClientConfig, Policy, Sentinel};
///
/// # let seed = 7;
/// let mut like_a_browser = ClientConfig::new(seed);
/// like_a_browser.policy = Policy::standard();
///
/// let mut chat_completion = ClientConfig::answer(seed);
/// chat_completion.sentinel = Some(Sentinel::Data("[DONE]".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct ClientConfig {
    /// From which the waits between attempts are drawn. Give each client another, such as a random
    /// number: clients with the same seed come back at the same time.
    pub seed: u64,
    /// What is retried, how long is waited, and where a redirect may lead. Default
    /// [`Policy::default`].
    pub policy: Policy,
    /// The last event ID to start with, as if it had been received: the first request sends it,
    /// and events without an id carry it. Default `None`: that of the request's `Last-Event-ID`
    /// header, if it has one.
    pub last_event_id: Option<EventId>,
    /// How long a line and an event may be. Default [`Limits::DEFAULT`].
    pub limits: Limits,
    /// How many bytes may wait unread in the client when a further chunk comes. Default 16 MiB,
    /// which only a driver reaches that disregards
    /// [`wants_data`](super::Client::wants_data); then the client ends, with
    /// [`ClientError::Overrun`](super::ClientError::Overrun). One chunk is taken whatever its size.
    pub max_unread: usize,
    /// How much of the body of an answer that is no stream is kept for the report. Default 8 KiB,
    /// the usual error in JSON or HTML. With 0 the report does not wait for a body.
    pub max_error_body: usize,
    /// Whether comments are reported. Default no: they are keep-alives to most.
    pub comments: bool,
    /// Whether the caller is asked for headers before each attempt, by
    /// [`ClientEvent::HeadersWanted`](super::ClientEvent::HeadersWanted), so that a token can be
    /// fetched anew. Default no.
    pub renew_headers: bool,
    /// The statuses that say that the headers of a request are good no more, where
    /// [`renew_headers`](Self::renew_headers) is on. Default 401 alone (RFC 9110, 15.5.2). Add 403
    /// for servers that answer so to a token that has expired.
    ///
    /// After such an answer the client asks for headers once more, at once, and makes one attempt
    /// with them, whatever the method of the request: the server has refused it and done nothing.
    /// Another such answer is the end, unless [`Policy::retried_statuses`] has the status too. When
    /// a stream opens, all this is forgotten.
    pub renewed_statuses: Vec<StatusCode>,
    /// Whether a request that is not safe by its method, or has a body, may be sent again when the
    /// server may have acted on it. Default no: it may make the server do something twice.
    ///
    /// Always sent again are
    ///
    /// - requests by GET, OPTIONS and TRACE without a body,
    /// - any request that cannot have left, because no connection came about,
    /// - any request that was answered in a way that says that it was not accepted: 425 (RFC 8470,
    ///   5.2), 429 (RFC 6585, 4), 529, by which providers of models say that they are overloaded,
    ///   and 503 with a `Retry-After` (RFC 9110, 15.6.4). A 503 without one may come from a proxy
    ///   that lost its server in the middle of the request,
    /// - any request that the caller [restarts](super::Client::restart).
    ///
    /// A redirect is no repetition: the server has not acted on the request, and says where it
    /// belongs.
    pub repeatable: bool,
    /// Whether the stream ends by itself and is read once, as the answer of a language model is.
    /// Default no; [`answer`](Self::answer) sets it, with all else that fits such streams.
    ///
    /// Attempts are made until a stream opens, as far as the request may be sent again (see
    /// [`repeatable`](Self::repeatable)) and the [`policy`](Self::policy) goes. When the stream
    /// ends, so does the client: with [`Finished`](super::CloseReason::Finished) where the
    /// [`sentinel`](Self::sentinel) came, or where none is set and the body ended properly and not
    /// inside an event. Any other end is [`ClientError::Truncated`](super::ClientError::Truncated).
    pub one_shot: bool,
    /// Whether the proper end of a [`one_shot`](Self::one_shot) stream's body completes an event
    /// that has no blank line after it. Default no: the standard drops such an event (WHATWG HTML,
    /// 9.2.6), since nothing tells one that is whole from one that was cut off by a server that
    /// failed. Turn it on for a server that leaves the last blank line out.
    pub complete_last_event: bool,
    /// The type of the server's [notices](crate::Notice), which say where the stream goes on and
    /// what is missing. They are taken out of the stream and never delivered as messages: events
    /// that are missing come as [`ClientEvent::Lost`](super::ClientEvent::Lost). Default
    /// [`Notice::EVENT_TYPE`](crate::Notice::EVENT_TYPE), as of this library's servers. `None`: no
    /// type is that of notices, so that all messages are delivered.
    ///
    /// A message of this type that is no notice is delivered. Streams of servers that send no
    /// notices are read as ever.
    pub notices: Option<EventType>,
    /// The message that ends the stream for good, with
    /// [`Finished`](super::CloseReason::Finished); what comes after it is dropped. Default `None`.
    ///
    /// Where [`one_shot`](Self::one_shot) is off, a stream that is lost before the sentinel is
    /// resumed as usual.
    pub sentinel: Option<Sentinel>,
}

impl ClientConfig {
    /// Makes the default configuration, with this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            policy: Policy::default(),
            last_event_id: None,
            limits: Limits::DEFAULT,
            max_unread: 16 << 20,
            max_error_body: 8 << 10,
            comments: false,
            renew_headers: false,
            renewed_statuses: Vec::from([StatusCode::UNAUTHORIZED]),
            repeatable: false,
            one_shot: false,
            complete_last_event: false,
            notices: Some(Notice::EVENT_TYPE),
            sentinel: None,
        }
    }

    /// Makes the configuration for an answer that is streamed once, such as that of a language
    /// model to a POST, with this seed.
    ///
    /// It is [`one_shot`](Self::one_shot), and differs from the default in this:
    ///
    /// | | here | why |
    /// | --- | --- | --- |
    /// | [`Timeouts::response`] | 10 min | some servers and gateways send the head when the model has begun to answer, and those that reason think for minutes |
    /// | [`Timeouts::first_byte`], [`Timeouts::idle`] | 5 min | models pause to think or to use a tool, and not every server sends keep-alives meanwhile |
    /// | [`Timeouts::wake`] | none | a stream may be silent in good health for as long as that; an answer that is given up cannot be resumed |
    /// | [`Reconnection::initial`] | 1 s | somebody waits |
    /// | [`Policy::max_waiting`] | 5 min | nobody waits for ever |
    ///
    /// A request that the server has not accepted is sent again, after the time that `Retry-After`
    /// asks for, even by POST: [`repeatable`](Self::repeatable) says which answers count as such. Each
    /// wait is told, as [`ClientEvent::Retrying`](super::ClientEvent::Retrying). Where the waits
    /// would take more than 5 minutes in all, the client ends at once, with
    /// [`CloseReason::WaitTooLong`](super::CloseReason::WaitTooLong). What may have been accepted
    /// is not sent again.
    pub fn answer(seed: u64) -> Self {
        let mut config = Self::new(seed);
        config.one_shot = true;
        config.policy.max_waiting = Some(Duration::from_secs(300));
        config.policy.reconnection.initial = Duration::from_secs(1);
        let timeouts = &mut config.policy.timeouts;
        timeouts.response = Some(Duration::from_secs(600));
        timeouts.first_byte = Some(Duration::from_secs(300));
        timeouts.idle = Some(Duration::from_secs(300));
        timeouts.wake = None;
        config
    }
}

/// A message that ends the stream for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sentinel {
    /// Exactly this data, such as `[DONE]`, whatever the type. The message is not delivered, since
    /// it is none of the application's kind.
    Data(Cow<'static, str>),
    /// This type, such as `message_stop`, whatever the data. The message is delivered.
    EventType(EventType),
}

/// What is retried, how long is waited, and where a redirect may lead.
///
/// The default is for production. [`Policy::standard`] is what the standard says, and no more.
/// They differ in this:
///
/// | | default | [`standard`](Self::standard) |
/// | --- | --- | --- |
/// | [`retried_statuses`](Self::retried_statuses) | 408, 425, 429, 500, 502, 503, 504, 520 to 527, 529, 530 | none: any status but 200 and the redirects is the end |
/// | [`Reconnection::retry_after`] | honoured | not looked at |
/// | [`Reconnection::max_backoff`] | waits are spread, and double up to 60 s while attempts fail | each wait is the reconnection time itself |
/// | [`Reconnection::floor`] | `retry: 0` is taken as 500 ms | `retry: 0` is 0 |
/// | [`Reconnection::max_asked`] | the peer can ask for at most one hour | it can ask for any time |
/// | [`Reconnection::stable_after`] | back-off ends when a stream has been open for 5 s | it would end at the first good answer |
/// | [`Redirects::detect_loops`] | a redirect to what was asked already ends the chain | only the limit ends it |
/// | [`Redirects::allow_body_elsewhere`] | a body goes to no other origin | it goes along with a 307 or 308 |
/// | [`Redirects::next_attempt`] | the original URL is asked again | the URL to which a stream's redirects led is asked |
/// | [`Timeouts::response`] | 30 s | none |
/// | [`Timeouts::idle`] | 90 s | none |
/// | [`Timeouts::wake`] | 20 s | none |
///
/// Both reconnect when a stream ends or breaks, when no response comes, when redirects do not come
/// to an end; both stop for good at 204, at any other type than `text/event-stream`, and
/// at a redirect that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// The statuses after which another attempt is made. Default 408, 425, 429, 500, 502, 503 and
    /// 504: those that by their meaning pass, or that deploys and proxies answer with for a
    /// while. So do 520 to 527 and 530, by which Cloudflare says what ails the server behind it,
    /// and 529, by which providers of models say that they are overloaded. 200 opens a stream, 204 is the end and redirects are followed, whatever stands here.
    pub retried_statuses: Vec<StatusCode>,
    /// How long is waited between attempts.
    pub reconnection: Reconnection,
    /// Where a redirect may lead.
    pub redirects: Redirects,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How many attempts may be made in a row without a stable stream, before the client gives up
    /// with [`TooManyAttempts`](super::CloseReason::TooManyAttempts). Default `None`: any number,
    /// as in the standard; back-off makes them rare. 0 is taken as 1.
    pub max_attempts: Option<u32>,
    /// How long may be waited between attempts, all waits since the last stable stream together.
    /// Before a wait that would take longer, the client ends, with
    /// [`WaitTooLong`](super::CloseReason::WaitTooLong). Default `None`: any time, as in the
    /// standard.
    pub max_waiting: Option<Duration>,
}

impl Policy {
    /// Returns what the standard says
    /// ([WHATWG HTML, 9.2.2](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model)
    /// and 9.2.3), and no more. How it differs from the default is said [above](Self).
    ///
    /// Nothing notices a peer that is silently gone, as nothing in the standard does.
    pub const fn standard() -> Self {
        Self {
            retried_statuses: Vec::new(),
            reconnection: Reconnection {
                initial: Reconnection::INITIAL,
                floor: Duration::ZERO,
                max_backoff: None,
                max_asked: None,
                stable_after: Duration::ZERO,
                retry_after: false,
            },
            redirects: Redirects {
                limit: Redirects::LIMIT,
                detect_loops: false,
                allow_insecure: false,
                allow_body_elsewhere: true,
                next_attempt: NextAttempt::Target,
            },
            timeouts: Timeouts {
                headers: Timeouts::HEADERS,
                response: None,
                first_byte: None,
                idle: None,
                wake: None,
                error_body: Timeouts::ERROR_BODY,
                total: None,
            },
            max_attempts: None,
            max_waiting: None,
        }
    }
}

/// The statuses that are retried by default.
const PASSING: [u16; 17] =
    [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, OVERLOADED, 530];

/// By this, providers of language models say that they have no room for a request.
pub(super) const OVERLOADED: u16 = 529;

impl Default for Policy {
    fn default() -> Self {
        let retried = PASSING.iter().filter_map(|status| StatusCode::from_u16(*status).ok());
        Self {
            retried_statuses: retried.collect(),
            reconnection: Reconnection::default(),
            redirects: Redirects::default(),
            timeouts: Timeouts::default(),
            max_attempts: None,
            max_waiting: None,
        }
    }
}

/// How long is waited between attempts.
///
/// The reconnection time is that of the last valid `retry` of any stream, or
/// [`initial`](Self::initial). A wait is never shorter, but for [`max_asked`](Self::max_asked) and
/// for [`Client::restart`](super::Client::restart).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnection {
    /// The reconnection time before the peer sets one. Default 3 s, as in browsers. With zero, a
    /// lost stream is asked for again at once.
    pub initial: Duration,
    /// What a shorter `retry` of the peer is raised to. Default 500 ms, so that no server can make
    /// its clients come back without pause.
    pub floor: Duration,
    /// How far waits grow while attempts fail; `None` if they do not, and are not spread either.
    /// Default 60 s.
    ///
    /// A wait is drawn evenly from the reconnection time up to a ceiling: twice that time at first,
    /// and twice as much for each further attempt in a row that brings no stable stream,
    /// until the ceiling is this long. Twice the reconnection time it may always be.
    pub max_backoff: Option<Duration>,
    /// The longest time that the peer can ask for by `retry` or `Retry-After`; more is taken as
    /// this. `None`: any time. Default one hour: a mistake of a server is not to outlast its
    /// mending by days.
    pub max_asked: Option<Duration>,
    /// How long a stream must have been open for the attempts before it to be forgotten. Default
    /// 5 s: a server that accepts and then fails is as little to be pressed as one that refuses.
    /// Set it to zero for servers that end each stream soon, on purpose.
    pub stable_after: Duration,
    /// Whether a retried answer's `Retry-After` (RFC 9110, 10.2.3) makes the wait longer. Default
    /// yes.
    ///
    /// A date in it is compared with the answer's own `Date` (RFC 9110, 6.6.1), since the client
    /// knows no time of day, and the peer's clock need not be right. Without a `Date`, a date says
    /// nothing.
    pub retry_after: bool,
}

impl Reconnection {
    const INITIAL: Duration = Duration::from_secs(3);

    /// The reconnection time, given what the peer set it to.
    pub(super) fn base(&self, retry: Option<Duration>) -> Duration {
        match retry {
            Some(retry) => self.cap(retry.max(self.floor)),
            None => self.initial,
        }
    }

    pub(super) fn cap(&self, asked: Duration) -> Duration {
        self.max_asked.map_or(asked, |most| asked.min(most))
    }
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            initial: Self::INITIAL,
            floor: Duration::from_millis(500),
            max_backoff: Some(Duration::from_secs(60)),
            max_asked: Some(Duration::from_secs(3600)),
            stable_after: Duration::from_secs(5),
            retry_after: true,
        }
    }
}

/// Where a redirect may lead: 301, 302, 303, 307 and 308 with a `Location`.
///
/// 307 and 308 keep method and body; 303, and 301 and 302 after POST, turn into a GET without body
/// (Fetch, "HTTP-redirect fetch"). What is for one origin does not go to another: at the first
/// URL of another scheme, host or port, `Authorization`, `Cookie`, `Proxy-Authorization` and
/// every header with a value that [is sensitive](http::HeaderValue::is_sensitive) are left
/// out, and stay out for the rest of the chain. `http` and `https` of one host are two origins. Mark what else is secret, such as an API key
/// in a header of its own, by [`set_sensitive`](http::HeaderValue::set_sensitive). `Host` goes
/// nowhere else either; `Last-Event-ID` goes along.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirects {
    /// How many are followed in one attempt. Default 20, as in Fetch. One more is an error after
    /// which the client tries again; with 0 none is followed, and the first is the end.
    pub limit: u8,
    /// Whether a redirect to a request of the same chain is an error at once, and not only when
    /// the limit is reached. Default yes: the client has no cookies that could make a difference.
    pub detect_loops: bool,
    /// Whether `https` may lead to `http`. Default no: the stream would be readable on the way.
    pub allow_insecure: bool,
    /// Whether a 307 or 308 may lead to another origin with the request's body, which these keep.
    /// Default no: what was written for one server, such as a question with all that was said before
    /// it, would go to another one that nobody named. The redirect is then an
    /// [error](super::RedirectError::Body), since a request without its body is none. Browsers and
    /// curl send the body along.
    pub allow_body_elsewhere: bool,
    /// Which URL a later attempt asks. Default [`NextAttempt::Original`].
    pub next_attempt: NextAttempt,
}

impl Redirects {
    const LIMIT: u8 = 20;
}

impl Default for Redirects {
    fn default() -> Self {
        Self {
            limit: Self::LIMIT,
            detect_loops: true,
            allow_insecure: false,
            allow_body_elsewhere: false,
            next_attempt: NextAttempt::Original,
        }
    }
}

/// Which URL is asked after a stream that a redirect led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextAttempt {
    /// The one that the client was made with: where it leads today is for its server to say.
    #[default]
    Original,
    /// The one that the stream came from, with what the redirects made of method, body and headers,
    /// as the standard has it. It holds from the opening of the stream on, for good.
    Target,
}

/// How long things may take; `None` for ever. Zero is a time that is up at once.
///
/// Silence counts only while the client [wants data](super::Client::wants_data). A deadline that
/// was slept through, because the process was stopped or the machine slept, is no silence: what
/// [`handle_timeout`](super::Client::handle_timeout) is told more than 50 ms late gives the peer
/// [`wake`](Self::wake) from then on, or as long as the deadline was, if that is shorter. Only
/// [`total`](Self::total) is up whatever happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From asking the caller for headers to getting them. Default 30 s. After it the attempt
    /// counts as failed.
    pub headers: Option<Duration>,
    /// From handing out a request to the head of its response: resolving, connecting, sending and
    /// the server's thinking together. Default 30 s. Each redirect has the time anew.
    pub response: Option<Duration>,
    /// From a stream's head to the first byte of its body. Default `None`: as
    /// [`idle`](Self::idle), which holds as well.
    pub first_byte: Option<Duration>,
    /// From one byte of a stream to the next. Any byte counts, of a comment too. Default 90 s:
    /// proxies cut what is silent for 60 s, so that servers that are heard through them say
    /// something more often.
    pub idle: Option<Duration>,
    /// From [`Client::wake`](super::Client::wake) to a sign of life of the connection at hand.
    /// Default 20 s: servers that send keep-alives send them about every 15 s. With `None`,
    /// `Client::wake` sets no deadline, and one that was slept through is set anew by 20 s.
    pub wake: Option<Duration>,
    /// From the head of an answer that is no stream to the end of what is reported of its body.
    /// Default 2 s; what has come by then is reported.
    pub error_body: Option<Duration>,
    /// The client's whole life, from the first time that it is told. Default `None`. After it the
    /// client ends.
    pub total: Option<Duration>,
}

impl Timeouts {
    const HEADERS: Option<Duration> = Some(Duration::from_secs(30));
    const ERROR_BODY: Option<Duration> = Some(Duration::from_secs(2));
    pub(super) const WAKE: Duration = Duration::from_secs(20);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            headers: Self::HEADERS,
            response: Some(Duration::from_secs(30)),
            first_byte: None,
            idle: Some(Duration::from_secs(90)),
            wake: Some(Self::WAKE),
            error_body: Self::ERROR_BODY,
            total: None,
        }
    }
}

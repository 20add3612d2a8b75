//! The states of a connection, and what each of them means to the peer's bytes and to time.

use super::answer::Exchange;
use super::body::Body;
use super::config::ServerConnectionConfig;
use super::error::ServerCloseReason;
use crate::http1::head::Search;
use alloc::boxed::Box;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use http::Request;

/// Where a connection stands.
///
/// ```text
/// Idle ──► Head ──► Body ──► Ready ──► Answering ──► Writing ──► Idle
///                                          │  └────► Streaming
///  (an error, a refusal, the last answer)  ▼
///   from any of these ─────────────────► Closing ──► Lingering ──► Closed
/// ```
///
/// | State | Left by | Bytes of the peer | Lasts at most | then |
/// | --- | --- | --- | --- | --- |
/// | `Idle` | a byte | begin a request | idle time; head time if new | closed |
/// | `Head` | the blank line | are the head | head time | closed, counted as slow |
/// | `Body` | its end | are the body | body time | 408 |
/// | `Ready` | `poll_request` | wait, up to the head limit | | |
/// | `Answering` | `respond` | wait, up to the head limit | | |
/// | `Writing` | `poll_transmit` with nothing left | wait, up to the head limit | write time | closed |
/// | `Streaming` | the end of the peer's side | are junk: closed | write time, for the head | closed |
/// | `Closing` | `poll_transmit` with nothing left | are discarded | write time | closed |
/// | `Lingering` | the end of the peer's side | are discarded | linger time | closed |
/// | `Closed` | nothing | are discarded | | |
pub(super) enum State {
    Idle { new: bool },
    Head(HeadProgress),
    Body(Box<BodyProgress>),
    Ready(Box<Request<Bytes>>, Exchange),
    Answering(Exchange),
    Writing,
    Streaming,
    Closing(ServerCloseReason),
    Lingering(ServerCloseReason),
    Closed(ServerCloseReason),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadProgress {
    pub(super) search: Search,
    pub(super) empty_lines: u8,
}

pub(super) struct BodyProgress {
    pub(super) request: Request<()>,
    pub(super) exchange: Exchange,
    pub(super) body: Body,
}

/// What becomes of bytes that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// They are parsed at once.
    Parse,
    /// They belong to a later request and wait.
    Wait,
    Discard,
    /// There must not be any.
    Junk,
}

impl State {
    pub(super) fn intake(&self) -> Intake {
        match self {
            Self::Idle { .. } | Self::Head(_) | Self::Body(_) => Intake::Parse,
            Self::Ready(..) | Self::Answering(_) | Self::Writing => Intake::Wait,
            Self::Streaming => Intake::Junk,
            Self::Closing(_) | Self::Lingering(_) | Self::Closed(_) => Intake::Discard,
        }
    }

    /// How long the state may last.
    pub(super) fn time(&self, config: &ServerConnectionConfig) -> Option<Duration> {
        match self {
            Self::Idle { new: true } | Self::Head(_) => Some(config.head_time),
            Self::Idle { new: false } => Some(config.idle_time),
            Self::Body(_) => Some(config.body_time),
            Self::Writing | Self::Streaming | Self::Closing(_) => Some(config.write_time),
            Self::Lingering(_) => Some(config.linger_time),
            Self::Ready(..) | Self::Answering(_) | Self::Closed(_) => None,
        }
    }

    /// Why the connection is closed when that time is over.
    pub(super) fn timeout_reason(&self) -> ServerCloseReason {
        match self {
            Self::Idle { new: true } | Self::Head(_) => ServerCloseReason::HeadTimeout,
            Self::Idle { new: false } => ServerCloseReason::IdleTimeout,
            Self::Body(_) => ServerCloseReason::BodyTimeout,
            Self::Ready(..) | Self::Answering(_) | Self::Writing | Self::Streaming => {
                ServerCloseReason::WriteTimeout
            }
            // What began the end stays the reason for it.
            Self::Closing(reason) | Self::Lingering(reason) | Self::Closed(reason) => *reason,
        }
    }

    /// Why the connection is closing or closed; `None` while it is neither.
    pub(super) fn end(&self) -> Option<ServerCloseReason> {
        match self {
            Self::Closing(reason) | Self::Lingering(reason) | Self::Closed(reason) => Some(*reason),
            _ => None,
        }
    }
}

impl fmt::Debug for State {
    /// Without what the peer sent, which may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle { .. } => f.write_str("Idle"),
            Self::Head(_) => f.write_str("Head"),
            Self::Body(_) => f.write_str("Body"),
            Self::Ready(..) => f.write_str("Ready"),
            Self::Answering(_) => f.write_str("Answering"),
            Self::Writing => f.write_str("Writing"),
            Self::Streaming => f.write_str("Streaming"),
            Self::Closing(reason) => f.debug_tuple("Closing").field(reason).finish(),
            Self::Lingering(reason) => f.debug_tuple("Lingering").field(reason).finish(),
            Self::Closed(reason) => f.debug_tuple("Closed").field(reason).finish(),
        }
    }
}

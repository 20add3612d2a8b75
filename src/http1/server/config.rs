//! What one connection of a server may take and for how long: [`ServerConnectionConfig`].

use crate::http1::head::HeadLimits;
use core::time::Duration;

/// The limits of one connection.
///
/// Every limit is finite unless it is set otherwise. A duration that an
/// `Instant` cannot be moved by, such as [`Duration::MAX`], is no limit.
///
/// What a connection holds is at most a head, or a body, and what a single
/// call of [`handle_data`](super::ServerConnection::handle_data) brought beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConnectionConfig {
    pub(super) head: HeadLimits,
    pub(super) max_body_size: usize,
    pub(super) head_time: Duration,
    pub(super) body_time: Duration,
    pub(super) idle_time: Duration,
    pub(super) write_time: Duration,
    pub(super) linger_time: Duration,
}

impl ServerConnectionConfig {
    /// The defaults; the setters say what they are and why.
    pub const DEFAULT: Self = Self {
        head: HeadLimits::DEFAULT,
        max_body_size: 1024 * 1024,
        head_time: Duration::from_secs(10),
        body_time: Duration::from_secs(30),
        idle_time: Duration::from_secs(30),
        write_time: Duration::from_secs(30),
        linger_time: Duration::from_secs(2),
    };

    /// Sets the largest request head in bytes, from the first of the request line to the end of the
    /// blank line. A larger one is answered with 431.
    ///
    /// Default 16,384: most heads take less than 1,000 bytes, and browsers
    /// send cookies of up to some thousand.
    pub const fn with_max_head_size(mut self, bytes: usize) -> Self {
        self.head.size = bytes;
        self
    }

    /// Sets the largest number of header lines in a request. More are answered with 431. A `Host`
    /// that the target alone names is not counted.
    ///
    /// Default 100: browsers send about 20, proxies add a few.
    pub const fn with_max_headers(mut self, lines: usize) -> Self {
        self.head.headers = lines;
        self
    }

    /// Sets the largest request body in bytes, without its coding. A larger one, or one that says
    /// it will be, is answered with 413.
    ///
    /// Default 1,048,576: enough to publish any sensible event. What all connections hold together
    /// is for the server to limit, as
    /// [`Server::with_max_held_bytes`](../serve/struct.Server.html#method.with_max_held_bytes) does.
    pub const fn with_max_body_size(mut self, bytes: usize) -> Self {
        self.max_body_size = bytes;
        self
    }

    /// Makes the largest request body no larger than this.
    #[cfg(feature = "serve")]
    pub(crate) fn with_body_size_at_most(mut self, bytes: usize) -> Self {
        self.max_body_size = self.max_body_size.min(bytes);
        self
    }

    /// Sets how long a request head may take: on a new connection from its acceptance, later from
    /// the first byte of the request. A slower one is closed without an answer.
    ///
    /// Default 10 s: a head is one packet or two, and a peer that needs longer
    /// is holding the connection rather than using it.
    pub const fn with_head_time(mut self, time: Duration) -> Self {
        self.head_time = time;
        self
    }

    /// Sets how long a request body may take, from the end of its head. A slower one is answered
    /// with 408.
    ///
    /// Default 30 s: the largest body at 35 kB/s. It is for the whole body, so that no byte that
    /// comes late makes it longer.
    pub const fn with_body_time(mut self, time: Duration) -> Self {
        self.body_time = time;
        self
    }

    /// Sets how long a connection may be idle between two requests, before it is closed.
    ///
    /// Default 30 s: long enough for the next action of somebody who is at it,
    /// short enough that idle connections do not use up a connection limit.
    pub const fn with_idle_time(mut self, time: Duration) -> Self {
        self.idle_time = time;
        self
    }

    /// Sets how long it may take to write an answer, or the head of an event stream, before the
    /// connection is closed.
    ///
    /// Default 30 s: a peer that has not read it by then does not read. It
    /// runs from the answer to the next call of
    /// [`poll_transmit`](super::ServerConnection::poll_transmit) that says `None`, and so
    /// works for those who watch the timeout while they write.
    pub const fn with_write_time(mut self, time: Duration) -> Self {
        self.write_time = time;
        self
    }

    /// Sets how long the peer has to close its side, after the last answer was written and our side
    /// was shut down.
    ///
    /// Default 2 s: some round trips. Without this time an answer can be lost
    /// because the peer was still sending (RFC 9112, 9.6).
    pub const fn with_linger_time(mut self, time: Duration) -> Self {
        self.linger_time = time;
        self
    }
}

impl Default for ServerConnectionConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

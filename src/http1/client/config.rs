//! How much one exchange of a client may take: [`ClientConnectionConfig`].

use crate::http1::head::HeadLimits;

/// The limits of one exchange.
///
/// What an exchange holds is at most a response head, what was not polled of
/// the body, and what a single call of
/// [`handle_data`](super::ClientConnection::handle_data) brought. Bodies are handed on as
/// they come, and have no limit here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConnectionConfig {
    pub(super) head: HeadLimits,
    pub(super) max_interim_responses: usize,
    pub(super) max_unread: usize,
}

impl ClientConnectionConfig {
    /// The defaults; the setters say what they are and why.
    pub const DEFAULT: Self =
        Self { head: HeadLimits::DEFAULT, max_interim_responses: 16, max_unread: 1024 * 1024 };

    /// Sets the largest response head in bytes, from the first of the status line to the end of the
    /// blank line. A larger one is
    /// [`ResponseError::HeadTooLarge`](super::ResponseError::HeadTooLarge).
    ///
    /// Default 16,384: most heads take less than 1,000 bytes, and cookies or
    /// security policies make some of them some thousand.
    pub const fn with_max_head_size(mut self, bytes: usize) -> Self {
        self.head.size = bytes;
        self
    }

    /// Sets the largest number of header lines in a response. More are
    /// [`ResponseError::TooManyHeaders`](super::ResponseError::TooManyHeaders).
    ///
    /// Default 100: servers send about 20, proxies add a few.
    pub const fn with_max_headers(mut self, lines: usize) -> Self {
        self.head.headers = lines;
        self
    }

    /// Sets how many interim responses, those with a status of 1xx, are read over before the final
    /// one. More are [`ResponseError::TooManyInterim`](super::ResponseError::TooManyInterim).
    ///
    /// Default 16: there is one 100, if any, some 103, and a 102 each time a
    /// slow server wants to be waited for.
    pub const fn with_max_interim_responses(mut self, responses: usize) -> Self {
        self.max_interim_responses = responses;
        self
    }

    /// Sets how many bytes of a body may wait to be polled. If more come while some wait, the
    /// exchange ends with [`ResponseError::Overrun`](super::ResponseError::Overrun). What one call
    /// brings is taken whatever its size, if nothing waits.
    ///
    /// Default 1,048,576, which a driver that heeds
    /// [`wants_data`](super::ClientConnection::wants_data) never comes near.
    pub const fn with_max_unread(mut self, bytes: usize) -> Self {
        self.max_unread = bytes;
        self
    }
}

impl Default for ClientConnectionConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

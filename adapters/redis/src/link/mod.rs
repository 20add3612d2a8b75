//! One connection as a machine: bytes in, bytes out, deadlines. It owns the request that is under
//! way, and what has come of its replies.
//!
//! ```text
//!            ┌──────────────────────────── Link ─────────────────────────────┐
//!  Commands ─▶ request ──▶ output ────────────────────────▶ bytes to the peer
//!  replies  ◀─ poll_answer ◀── as many replies as commands ◀── handle_bytes
//!            └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! A link that has failed stays so, and its owner drops the connection: a reply that was read by
//! half must never be taken for one to the next request.

mod command;
mod handshake;
mod refusal;

pub(crate) use command::{Commands, number, word};
pub(crate) use handshake::{Credentials, Handshake, Server, auth, check_auth, check_master};
pub(crate) use refusal::{Refusal, accepted};

use bytes::{Buf, Bytes, BytesMut};
use resp_rs::ParseError;
use resp_rs::resp2::{Frame, parse_frame};
use sansse::cluster::{LogError, LogErrorKind};
use sansse::net::Failure;
use std::mem;
use std::time::Instant;

/// The longest answer that is taken, in bytes, all replies of a request together.
pub(crate) const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The longest answer to a request whose replies are short by nature, in bytes.
pub(crate) const MAX_SHORT_ANSWER: usize = 256 * 1024;

/// One connection to an engine, as a machine.
pub(crate) struct Link {
    output: Bytes,
    input: BytesMut,
    replies: Vec<Frame>,
    state: State,
}

enum State {
    Idle,
    Asking {
        /// How many replies there will be.
        wanted: usize,
        /// How many bytes they may have that have not come yet.
        room: usize,
        deadline: Instant,
    },
    Answered,
    Failed(LogError),
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            output: Bytes::new(),
            input: BytesMut::new(),
            replies: Vec::new(),
            state: State::Idle,
        }
    }

    /// Sends commands, of which there is one at least. The replies are awaited until `deadline`,
    /// and may have `max_answer` bytes. The answer to the request before has been polled.
    pub(crate) fn request(&mut self, commands: Commands, max_answer: usize, deadline: Instant) {
        match self.state {
            State::Idle => {}
            State::Failed(_) => return,
            State::Asking { .. } | State::Answered => {
                return self.fail(malformed("a request came before the answer to the last one"));
            }
        }
        self.state = State::Asking { wanted: commands.count(), room: max_answer, deadline };
        self.output = commands.into_bytes();
        // What has come unasked is no answer.
        if !self.input.is_empty() {
            self.fail(malformed("it says what nobody has asked for"));
        }
    }

    /// Returns what is to be written; empty if nothing is.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Takes note that so many bytes of [`output`](Self::output) were written.
    pub(crate) fn handle_written(&mut self, length: usize) {
        self.output.advance(length.min(self.output.len()));
    }

    /// Takes bytes that have come.
    pub(crate) fn handle_bytes(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Asking { room, .. } if *room >= bytes.len() => *room -= bytes.len(),
            State::Asking { .. } => return self.fail(malformed("its answer is too long")),
            State::Failed(_) => return,
            State::Idle | State::Answered => {
                return self.fail(malformed("it says what nobody has asked for"));
            }
        }
        self.input.extend_from_slice(bytes);
        self.read();
    }

    /// Takes note that the peer has closed the connection. Where it has said why, as a master that
    /// becomes a replica does to a read that waits, that is the reason.
    pub(crate) fn handle_end(&mut self) {
        let error = match self.replies.iter().find(|reply| reply.is_error()) {
            // Without its words, which can be those of a login.
            Some(Frame::Error(said)) => LogError::new(Refusal::of(said).into_error().kind())
                .with_detail("the connection was closed with an error"),
            _ => unreachable("the connection was closed"),
        };
        self.fail(error);
    }

    /// Takes note that the connection has failed.
    pub(crate) fn handle_failure(&mut self, failure: &Failure) {
        self.fail(unreachable(failure.to_string()));
    }

    /// Takes note of the time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.fail(unreachable("no answer came in time"));
        }
    }

    /// Returns until when an answer is awaited; `None` if none is.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Asking { deadline, .. } => Some(deadline),
            _ => None,
        }
    }

    /// Returns the replies to the request, once, in the order of its commands. `None` until they
    /// are all there; bytes, an end, a failure and a deadline may change that. A failure is
    /// returned each time.
    pub(crate) fn poll_answer(&mut self) -> Option<Result<Vec<Frame>, LogError>> {
        match &self.state {
            State::Answered => {
                self.state = State::Idle;
                Some(Ok(mem::take(&mut self.replies)))
            }
            State::Failed(error) => Some(Err(error.clone())),
            State::Idle | State::Asking { .. } => None,
        }
    }

    fn read(&mut self) {
        while let State::Asking { wanted, .. } = self.state {
            if self.replies.len() == wanted {
                if !self.input.is_empty() {
                    return self.fail(malformed("it says what nobody has asked for"));
                }
                self.state = State::Answered;
                return;
            }
            let bytes = mem::take(&mut self.input).freeze();
            match parse_frame(bytes.clone()) {
                Ok((reply, rest)) => {
                    drop(bytes);
                    self.replies.push(reply);
                    // Copied where a reply borrows from the same bytes: what follows a reply that
                    // is long is short, since there is one such reply in a request.
                    self.input = rest.try_into_mut().unwrap_or_else(|rest| rest.as_ref().into());
                }
                Err(ParseError::Incomplete) => {
                    // Nothing else has a share in the bytes, so that nothing is copied.
                    self.input = bytes.into();
                    return;
                }
                Err(error) => {
                    let detail = format!("its answer is no RESP, as Redis speaks it: {error}");
                    return self.fail(malformed(detail));
                }
            }
        }
    }

    fn fail(&mut self, error: LogError) {
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Failed(error);
        }
        self.output = Bytes::new();
        self.input = BytesMut::new();
        self.replies = Vec::new();
    }
}

pub(crate) fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> LogError {
    LogError::new(LogErrorKind::Malformed).with_detail(detail)
}

pub(crate) fn unreachable(detail: impl Into<std::borrow::Cow<'static, str>>) -> LogError {
    LogError::new(LogErrorKind::Unreachable).with_detail(detail)
}

#[cfg(test)]
mod tests;

//! What time does to a client: silence, waits that are over, and its end.

use super::Client;
use super::config::Timeouts;
use super::ending::Outcome;
use super::error::{ClientError, Timeout};
use super::state::{Action, Input, Phase};
use core::time::Duration;
use std::time::Instant;

impl Client {
    /// Tells the time, for which [`poll_timeout`](Self::poll_timeout) asks. At other times it does
    /// nothing.
    ///
    /// Tell of bytes that have come before telling of a time that is past, or a stream that was
    /// not silent may be taken for one.
    ///
    /// A deadline that is told more than 50 ms late was slept through, and is no sign of the peer's
    /// silence: bytes may have come while nobody could read. The peer then has
    /// [`Timeouts::wake`] from now, within which bytes count. This holds for every deadline but
    /// that of [`Timeouts::total`], which counts whatever anybody did.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        if self.deadlines.is_life_over() {
            let over = ClientError::Timeout(Timeout::Total);
            self.end(Input::LifeOver, Outcome::Lost(over));
        }
        if !self.deadlines.is_due() {
            return;
        }
        let timeouts = &self.config.policy.timeouts;
        let timeout = match self.phase {
            Phase::Streaming if !self.inbox.is_drained() => return self.deadlines.pause(),
            Phase::Streaming if self.is_heard => Timeout::Idle,
            Phase::Streaming => match (timeouts.first_byte, timeouts.idle) {
                (Some(first), Some(idle)) if first <= idle => Timeout::FirstByte,
                (Some(_), None) => Timeout::FirstByte,
                _ => Timeout::Idle,
            },
            Phase::Headers => Timeout::Headers,
            Phase::Waiting => {
                if self.step(Input::Deadline).is_some() {
                    self.begin_attempt();
                }
                return;
            }
            _ => Timeout::Response,
        };
        if self.deadlines.was_slept_through() {
            let grace = self.grace(timeout);
            if !grace.is_zero() {
                return self.deadlines.grant(grace);
            }
        }
        self.end(Input::Deadline, Outcome::Lost(ClientError::Timeout(timeout)));
    }

    /// Tells that the machine slept, or that the network came back or changed.
    ///
    /// A wait ends as soon as the reconnection time and the server's wish allow, and the attempts
    /// that failed are forgotten. A connection is given
    /// [`Timeouts::wake`] for a sign of life.
    pub fn wake(&mut self, now: Instant) {
        self.advance(now);
        match self.step(Input::Wake) {
            Some(Action::Probe) if self.inbox.is_drained() => {
                let at = self.deadlines.after(self.config.policy.timeouts.wake);
                self.deadlines.shorten(at);
            }
            Some(Action::Hasten) => {
                self.backoff.reset();
                if self.phase == Phase::Waiting {
                    self.deadlines.shorten(self.earliest);
                }
            }
            _ => {}
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called at the latest.
    ///
    /// `None` while nothing depends on time. Any call that takes `&mut self` can change it. It is
    /// as cheap as a comparison.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            // What comes next depends on the caller alone, who polls events or not.
            Phase::Ending | Phase::Closed => None,
            _ => self.deadlines.next(),
        }
    }

    pub(super) fn advance(&mut self, now: Instant) {
        if self.deadlines.advance(now) {
            let timeouts = &self.config.policy.timeouts;
            self.deadlines.set_life(self.deadlines.after(timeouts.total));
            if self.phase == Phase::Headers {
                self.deadlines.set(self.deadlines.after(timeouts.headers));
            }
        }
        let idle = self.config.policy.timeouts.idle;
        if self.deadlines.take_stale(idle) && self.phase == Phase::Streaming {
            self.listen();
        }
    }

    /// Gives the peer the idle time from now.
    pub(super) fn listen(&mut self) {
        self.deadlines.set(self.deadlines.after(self.config.policy.timeouts.idle));
    }

    /// The time that is given for a deadline that was slept through: never more than there was.
    fn grace(&self, timeout: Timeout) -> Duration {
        let timeouts = &self.config.policy.timeouts;
        let whole = match (self.phase, timeout) {
            (Phase::Refused, _) => timeouts.error_body,
            (_, Timeout::Headers) => timeouts.headers,
            (_, Timeout::FirstByte) => timeouts.first_byte,
            (_, Timeout::Idle) => timeouts.idle,
            (_, Timeout::Response | Timeout::Total) => timeouts.response,
        };
        let grace = timeouts.wake.unwrap_or(Timeouts::WAKE);
        whole.map_or(grace, |whole| whole.min(grace))
    }
}

//! How an attempt ends, and whether another follows.

use super::backoff::Wait;
use super::error::{ClientError, CloseReason, RedirectError, Timeout};
use super::response::{retry_after, was_not_accepted};
use super::state::{Action, Input};
use super::{Client, ReadyState, Told};
use crate::notice::RefusalReason;
use alloc::boxed::Box;
use core::time::Duration;
use http::StatusCode;

/// What a notice has said of the end of a stream, or in place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    Ending,
    Refused(RefusalReason),
}

/// How an attempt ended.
pub(super) enum Outcome {
    Lost(ClientError),
    NoContent,
    Finished,
}

impl Client {
    pub(super) fn lose(&mut self, error: ClientError) {
        self.end(Input::Lost, Outcome::Lost(error));
    }

    /// Ends the attempt. What came of it can still be polled, and then the outcome counts.
    pub(super) fn end(&mut self, input: Input, outcome: Outcome) {
        let Some(Action::End) = self.step(input) else { return };
        let refusal = self.refusal.take();
        self.outcome = Some(match (refusal, input) {
            // That the body ended, or was cut off, is no news beside what the head said.
            (Some((error, body)), Input::Lost | Input::Deadline) => {
                Outcome::Lost(error.with_body(body.into()))
            }
            _ => outcome,
        });
        self.ended = self.deadlines.now();
        self.deadlines.set(None);
        self.is_asking = false;
        self.inbox.end();
    }

    /// Decides how to go on, once all that came of the attempt is polled.
    pub(super) fn settle(&mut self) -> Told {
        let stable_after = self.config.policy.reconnection.stable_after;
        if let (Some(opened), Some(ended)) = (self.opened, self.ended)
            && ended.saturating_duration_since(opened) >= stable_after
        {
            self.backoff.reset();
        }
        if self.farewell == Some(Farewell::Ending) {
            self.backoff.reset();
        }
        let decision = match self.outcome.take() {
            Some(Outcome::Lost(error)) => self.decide(self.in_view_of_farewell(error)),
            Some(Outcome::NoContent) => Err(CloseReason::NoContent),
            Some(Outcome::Finished) | None => Err(CloseReason::Finished),
        };
        match decision.and_then(|error| Ok((self.next_wait(&error)?, error))) {
            Ok((wait, error)) => {
                self.begin_wait(wait);
                self.last_error = Some(error);
                Told::Retrying(wait.whole)
            }
            Err(reason) => {
                self.step(Input::GiveUp);
                self.finish(reason);
                Told::Closed
            }
        }
    }

    /// What a loss is to be called where the server has said before that there is no stream, or that
    /// it is about to end. An answer that is read once ends as its body does, whatever was said.
    fn in_view_of_farewell(&self, error: ClientError) -> ClientError {
        match (self.farewell, &error) {
            (_, ClientError::Restarted | ClientError::Timeout(Timeout::Total)) => error,
            (Some(Farewell::Refused(reason)), _) => ClientError::Refused(reason),
            (Some(Farewell::Ending), ClientError::Transport(_)) if !self.config.one_shot => {
                ClientError::EndOfStream
            }
            _ => error,
        }
    }

    /// Whether to try again after this.
    fn decide(&mut self, error: ClientError) -> Result<ClientError, CloseReason> {
        if error == ClientError::Restarted {
            return Ok(error);
        }
        let renewal = self.renewal_after(&error);
        let is_refused = matches!(error, ClientError::Refused(_));
        if self.config.one_shot && self.opened.is_some() && !is_refused {
            let is_end = error == ClientError::EndOfStream
                && self.config.sentinel.is_none()
                && !self.inbox.is_inside_block();
            return Err(if is_end {
                CloseReason::Finished
            } else {
                CloseReason::Failed(ClientError::Truncated(Box::new(error)))
            });
        }
        if renewal.is_none() {
            if !self.is_retried(&error) {
                return Err(CloseReason::Failed(error));
            }
            if !self.may_repeat_after(&error) {
                return Err(CloseReason::NotRepeatable(error));
            }
        }
        if renewal.is_some() {
            // The server is well, so that what it refused is no failure of it.
            self.backoff.forget_attempt();
        }
        let attempts = self.backoff.attempts();
        match self.config.policy.max_attempts {
            Some(most) if renewal.is_none() && attempts >= most.max(1) => {
                Err(CloseReason::TooManyAttempts { attempts, error })
            }
            _ => {
                self.refused = renewal.or(self.refused);
                self.is_hurried |= renewal.is_some();
                Ok(error)
            }
        }
    }

    /// The status that says that other headers are needed, if they were not renewed for it already.
    fn renewal_after(&self, error: &ClientError) -> Option<StatusCode> {
        match error {
            ClientError::Status(answer) if self.config.renew_headers && self.refused.is_none() => {
                let statuses = &self.config.renewed_statuses;
                Some(answer.status).filter(|status| statuses.contains(status))
            }
            _ => None,
        }
    }

    fn is_retried(&self, error: &ClientError) -> bool {
        let policy = &self.config.policy;
        match error {
            ClientError::Transport(failure) => !failure.kind().is_lasting(),
            ClientError::Timeout(timeout) => *timeout != Timeout::Total,
            ClientError::EndOfStream
            | ClientError::Refused(_)
            | ClientError::Restarted
            | ClientError::Redirect(RedirectError::Loop, _) => true,
            ClientError::Status(answer) => policy.retried_statuses.contains(&answer.status),
            ClientError::Redirect(RedirectError::TooMany, _) => policy.redirects.limit > 0,
            ClientError::Redirect(..)
            | ClientError::Request(_)
            | ClientError::Truncated(_)
            | ClientError::ContentType(_)
            | ClientError::ContentEncoding(_)
            | ClientError::Overrun => false,
        }
    }

    fn may_repeat_after(&self, error: &ClientError) -> bool {
        let is_unsent = self.opened.is_none()
            && self.redirected.is_empty()
            && match error {
                ClientError::Transport(failure) => failure.kind().is_before_request(),
                ClientError::Timeout(timeout) => *timeout == Timeout::Headers,
                ClientError::Status(answer) => was_not_accepted(answer),
                _ => false,
            };
        let is_refused = matches!(error, ClientError::Refused(_));
        self.home.is_safe() || self.config.repeatable || is_unsent || is_refused
    }

    /// How long is waited after this, if so long may be waited.
    fn next_wait(&mut self, error: &ClientError) -> Result<Wait, CloseReason> {
        if self.is_hurried || *error == ClientError::Restarted {
            return Ok(Wait { earliest: Duration::ZERO, whole: Duration::ZERO });
        }
        let policy = &self.config.policy;
        let rules = &policy.reconnection;
        let retry_after = match error {
            ClientError::Status(answer) if rules.retry_after => retry_after(&answer.headers),
            _ => None,
        };
        let told = self.inbox.reconnection_time();
        let wait = match self.farewell {
            Some(_) => self.backoff.wait_as_told(rules, told),
            None => self.backoff.wait(rules, told, retry_after),
        };
        if self.backoff.allow(wait.whole, policy.max_waiting) {
            Ok(wait)
        } else {
            Err(CloseReason::WaitTooLong { wait: wait.whole, error: error.clone() })
        }
    }

    fn begin_wait(&mut self, wait: Wait) {
        self.step(Input::Retry);
        self.state = ReadyState::Connecting;
        let after = |wait| self.ended.and_then(|ended| ended.checked_add(wait));
        self.earliest = after(wait.earliest);
        self.deadlines.set(after(wait.whole));
    }

    pub(super) fn finish(&mut self, reason: CloseReason) {
        self.state = ReadyState::Closed;
        self.close_reason = Some(reason);
        self.inbox.clear();
        self.is_asking = false;
        self.outcome = None;
        self.refusal = None;
    }
}

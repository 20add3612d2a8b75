//! What a response head does: it opens a stream, leads elsewhere, or is refused.

use super::config::NextAttempt;
use super::ending::Outcome;
use super::error::{ClientError, RedirectError, UnexpectedResponse};
use super::location::is_https;
use super::response::{Judgement, has_body, judge, redirect_target};
use super::state::Input;
use super::{Attempt, Client};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Uri};

impl Client {
    pub(super) fn judge_head(&mut self, head: Response<()>) {
        match judge(head.status(), head.headers()) {
            Judgement::Interim => {}
            Judgement::Stream => {
                self.step(Input::Accepted);
                self.inbox.open(head);
                self.opened = self.deadlines.now();
                self.is_heard = false;
                self.refused = None;
                let timeouts = &self.config.policy.timeouts;
                self.deadlines.set(self.deadlines.after(timeouts.idle));
                self.deadlines.shorten(self.deadlines.after(timeouts.first_byte));
                if self.config.policy.redirects.next_attempt == NextAttempt::Target {
                    self.home = self.route.clone();
                }
            }
            Judgement::NoContent => self.end(Input::Lost, Outcome::NoContent),
            Judgement::Redirect => match self.judge_redirect(head.status(), head.headers()) {
                Ok(target) => {
                    self.step(Input::Redirected);
                    self.redirected.push((self.route.method().clone(), self.route.url().clone()));
                    self.route.redirect(head.status(), target, &mut self.renewed);
                    self.attempt = Attempt(self.attempt.0 + 1);
                    self.deadlines.set(None);
                }
                Err(error) => {
                    let answer = self.answer(head);
                    self.lose(ClientError::Redirect(error, answer));
                }
            },
            Judgement::Refuse(why) => {
                let has_body = has_body(head.status(), head.headers());
                let error = why(self.answer(head));
                if has_body && self.config.max_error_body > 0 {
                    self.step(Input::Rejected);
                    self.refusal = Some((error, Vec::new()));
                    let timeout = self.config.policy.timeouts.error_body;
                    self.deadlines.set(self.deadlines.after(timeout));
                } else {
                    self.lose(error);
                }
            }
        }
    }

    fn answer(&self, head: Response<()>) -> Box<UnexpectedResponse> {
        let (parts, ()) = head.into_parts();
        Box::new(UnexpectedResponse {
            url: self.route.url().clone(),
            status: parts.status,
            headers: parts.headers,
            body: Bytes::new(),
        })
    }

    /// Where a redirect leads, if it may.
    fn judge_redirect(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Uri, RedirectError> {
        let rules = &self.config.policy.redirects;
        let url = self.route.url();
        let target = redirect_target(url, headers)?;
        if is_https(url) && !is_https(&target) && !rules.allow_insecure {
            return Err(RedirectError::Insecure);
        }
        if self.route.leaves_with_body(status, &target) && !rules.allow_body_elsewhere {
            return Err(RedirectError::Body);
        }
        if self.redirected.len() >= usize::from(rules.limit) {
            return Err(RedirectError::TooMany);
        }
        let method = self.route.method_after(status);
        let mut asked = self.redirected.iter().map(|(method, url)| (method, url));
        let present = (self.route.method(), url);
        if rules.detect_loops
            && (present == (&method, &target) || asked.any(|asked| asked == (&method, &target)))
        {
            return Err(RedirectError::Loop);
        }
        Ok(target)
    }
}

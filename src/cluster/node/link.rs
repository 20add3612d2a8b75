//! What is asked of the engine, in which order, and since when: [`Link`].
//!
//! ```text
//!              ┌───────────────── failed ◄────────────────┐
//!              ▼                                          │
//!          Waiting ── time ──► Greeting ── hello ──► Serving
//!                                  ▲                      │
//!                                  └──── something lost ──┘
//! ```

use super::backoff::Backoff;
use super::deadline::{Deadline, is_due};
use super::request::RequestId;
use std::time::Instant;

/// What may be asked beside a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Hello,
    Append,
    Head,
}

/// A read that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) since: Instant,
}

/// Owns which requests are under way, and when the engine is asked again.
#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    /// Whether the engine failed, and has not served since.
    is_down: bool,
    has_greeted: bool,
    backoff: Backoff,
    asks: Line<Asked>,
    reads: Line<Reading>,
    /// Until when nothing is read, after an answer that came too soon.
    rests_until: Option<Instant>,
    last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until this time nothing is asked.
    Waiting(Option<Instant>),
    /// A hello is to be said, or is under way, and nothing else.
    Greeting,
    Serving,
    /// Nothing is asked any more.
    Over,
}

/// One request after the other.
#[derive(Debug)]
struct Line<T> {
    under_way: Option<(RequestId, Deadline, T)>,
    /// Given up, and not told yet. The next one has to wait until it is told, since the driver has
    /// one request of a line at a time.
    given_up: Option<RequestId>,
}

impl Link {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self {
            phase: Phase::Greeting,
            is_down: false,
            has_greeted: false,
            backoff,
            asks: Line::new(),
            reads: Line::new(),
            rests_until: None,
            last: 0,
        }
    }

    /// Returns whether the engine failed and has not served since. Before the first hello is
    /// answered nobody knows that yet.
    pub(super) const fn is_down(&self) -> bool {
        self.is_down
    }

    pub(super) const fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    /// Returns whether a hello can be said now.
    pub(super) const fn wants_hello(&self) -> bool {
        matches!(self.phase, Phase::Greeting) && self.asks.is_free() && self.reads.is_free()
    }

    /// Returns whether something but a hello can be asked now.
    pub(super) const fn can_ask(&self) -> bool {
        self.is_serving() && self.asks.is_free()
    }

    pub(super) const fn can_read(&self) -> bool {
        self.is_serving() && self.reads.is_free() && self.rests_until.is_none()
    }

    pub(super) fn ask(&mut self, asked: Asked, deadline: Deadline) -> RequestId {
        self.last += 1;
        self.asks.begin(RequestId(self.last), deadline, asked)
    }

    pub(super) fn read(&mut self, reading: Reading, deadline: Deadline) -> RequestId {
        self.last += 1;
        self.reads.begin(RequestId(self.last), deadline, reading)
    }

    /// Takes what was asked under this id, if its answer is still wanted.
    pub(super) fn take_asked(&mut self, id: RequestId) -> Option<Asked> {
        self.asks.take(id)
    }

    /// Takes the read with this id, if its answer is still wanted.
    pub(super) fn take_read(&mut self, id: RequestId) -> Option<Reading> {
        self.reads.take(id)
    }

    /// Returns what is under way beside a read.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.asks.under_way.as_ref().map(|(_, _, asked)| *asked)
    }

    /// The hello was answered. Returns whether it was the first.
    pub(super) const fn greeted(&mut self) -> bool {
        self.phase = Phase::Serving;
        self.is_down = false;
        !core::mem::replace(&mut self.has_greeted, true)
    }

    /// A read was answered.
    pub(super) const fn has_read(&mut self) {
        self.backoff.reset();
    }

    /// Reads nothing for as long as the shortest back-off: an engine that does not wait would
    /// be asked without end.
    pub(super) fn rest(&mut self, now: Instant) {
        self.rests_until = now.checked_add(self.backoff.least());
    }

    pub(super) fn give_up_read(&mut self) {
        self.reads.give_up();
    }

    /// Says hello again, though nothing failed.
    pub(super) fn greet_again(&mut self) {
        self.give_up();
        self.phase = Phase::Greeting;
    }

    /// The engine failed.
    pub(super) fn fail(&mut self, now: Instant) {
        self.give_up();
        self.is_down = true;
        self.phase = Phase::Waiting(now.checked_add(self.backoff.wait()));
    }

    pub(super) fn finish(&mut self) {
        self.give_up();
        self.phase = Phase::Over;
    }

    fn give_up(&mut self) {
        self.asks.give_up();
        self.reads.give_up();
        self.rests_until = None;
    }

    #[cfg(feature = "record")]
    pub(super) const fn has_given_up(&self) -> bool {
        self.asks.given_up.is_some() || self.reads.given_up.is_some()
    }

    pub(super) fn poll_given_up(&mut self) -> Option<RequestId> {
        self.asks.given_up.take().or_else(|| self.reads.given_up.take())
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let waiting = match self.phase {
            Phase::Waiting(until) => until,
            _ => None,
        };
        let answers = [self.asks.deadline(), self.reads.deadline()];
        answers.into_iter().chain([waiting, self.rests_until]).flatten().min()
    }

    /// Returns whether an answer is overdue. Where only a time was waited for, it is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        if let Phase::Waiting(until) = self.phase
            && is_due(until, now)
        {
            self.phase = Phase::Greeting;
        }
        self.rests_until.take_if(|until| *until <= now);
        self.asks.is_overdue(now) || self.reads.is_overdue(now)
    }
}

impl<T> Line<T> {
    const fn new() -> Self {
        Self { under_way: None, given_up: None }
    }

    const fn is_free(&self) -> bool {
        self.under_way.is_none() && self.given_up.is_none()
    }

    fn begin(&mut self, id: RequestId, deadline: Deadline, what: T) -> RequestId {
        self.under_way = Some((id, deadline, what));
        id
    }

    fn take(&mut self, id: RequestId) -> Option<T> {
        self.under_way.take_if(|(under_way, ..)| *under_way == id).map(|(_, _, what)| what)
    }

    fn give_up(&mut self) {
        if let Some((id, ..)) = self.under_way.take() {
            self.given_up = Some(id);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.under_way.as_ref().and_then(|(_, deadline, _)| deadline.at())
    }

    fn is_overdue(&mut self, now: Instant) -> bool {
        self.under_way.as_mut().is_some_and(|(_, deadline, _)| deadline.is_over(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;
    use core::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn link() -> (Link, Instant) {
        (Link::new(Backoff::new(7, SECOND, SECOND)), base_instant())
    }

    #[test]
    fn nothing_is_asked_beside_a_hello() {
        let (mut link, now) = link();
        assert!(link.wants_hello() && !link.can_ask() && !link.can_read());
        let hello = link.ask(Asked::Hello, Deadline::after(now, SECOND));
        assert!(!link.wants_hello() && !link.can_ask() && !link.can_read());
        assert_eq!(link.take_asked(hello), Some(Asked::Hello));
        link.greeted();
        assert!(link.can_ask() && link.can_read() && !link.is_down());
    }

    #[test]
    fn what_is_given_up_has_to_be_told_before_another_takes_its_place() {
        let (mut link, now) = link();
        link.greeted();
        let append = link.ask(Asked::Append, Deadline::after(now, SECOND));
        let reading = Reading { since: now };
        let read = link.read(reading, Deadline::after(now, 2 * SECOND));
        assert!(!link.handle_timeout(now) && link.handle_timeout(now + SECOND));
        link.fail(now + SECOND);
        assert_eq!((link.take_asked(append), link.take_read(read)), (None, None));
        assert!(link.next_timeout().is_some_and(|at| at <= now + 2 * SECOND));
        assert!(!link.handle_timeout(now + 2 * SECOND));
        assert!(!link.wants_hello());
        assert_eq!((link.poll_given_up(), link.poll_given_up()), (Some(append), Some(read)));
        assert_eq!(link.poll_given_up(), None);
        assert!(link.wants_hello() && link.is_down());
    }
}

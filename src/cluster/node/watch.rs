//! Whether the node reads from the engine to which it appends, and all of it: [`Watch`].
//!
//! A connection to a master that was demoted stays open and silent, and a reader whose log was
//! flushed waits for ever. So a node that has read nothing for a while asks for the head:
//!
//! | the head is | what it means | what is done |
//! | --- | --- | --- |
//! | before what is known here | the engine has lost something | hello, hence a cut |
//! | later than what was read, and the log begins later as well | what is between is gone | a cut |
//! | later than what was read, and was so a check ago | the read goes elsewhere | fail, hence hello |

use super::deadline::is_due;
use crate::cluster::Head;
use core::time::Duration;
use std::time::Instant;

/// Owns what the engine has told of its positions, and when it is asked next.
#[derive(Debug)]
pub(super) struct Watch {
    every: Duration,
    /// The newest position that the engine told this node of.
    known: u64,
    /// The last position of the newest batch that this node appended.
    appended: u64,
    /// When the head is wanted; `None` while it is, or while the engine does not serve.
    next: Option<Instant>,
    wants_head: bool,
    /// A position that the engine has and this node has not read, and since when.
    unread: Option<(u64, Instant)>,
}

/// What is read takes its time to come, so that no time at all would make an enemy of each engine.
const LEAST: Duration = Duration::from_millis(10);

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    AllIsWell,
    /// All up to this position is gone.
    Gone(u64),
    /// The engine has lost something.
    Lost,
    /// What is read is not what the engine has.
    ReadsElsewhere,
}

impl Watch {
    pub(super) fn new(every: Duration, known: u64) -> Self {
        let every = every.max(LEAST);
        Self { every, known, appended: 0, next: None, wants_head: false, unread: None }
    }

    pub(super) const fn known(&self) -> u64 {
        self.known
    }

    pub(super) const fn last_appended(&self) -> u64 {
        self.appended
    }

    pub(super) const fn wants_head(&self) -> bool {
        self.wants_head
    }

    /// The engine serves.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.wants_head, self.unread) = (false, None);
        self.next = now.checked_add(self.every);
    }

    /// The engine does not serve any more.
    pub(super) const fn end(&mut self) {
        (self.next, self.wants_head, self.unread) = (None, false, None);
    }

    /// The engine has told of a position, where the node has read up to `cursor`.
    pub(super) fn told(&mut self, now: Instant, position: u64, cursor: u64) {
        self.known = self.known.max(position);
        if position > cursor && self.unread.is_none_or(|(unread, _)| unread <= cursor) {
            self.unread = Some((position, now));
        }
    }

    /// A batch of this node was appended, up to this position.
    pub(super) fn appended(&mut self, now: Instant, position: u64, cursor: u64) {
        self.appended = position;
        self.told(now, position, cursor);
    }

    /// Something was read, up to this position.
    pub(super) fn read(&mut self, now: Instant, position: u64) {
        self.known = self.known.max(position);
        if !self.wants_head {
            self.next = now.checked_add(self.every);
        }
    }

    pub(super) const fn asked_head(&mut self) {
        self.wants_head = false;
    }

    /// The head was answered, where the node has read up to `cursor`.
    pub(super) fn judge(&mut self, now: Instant, head: Head, cursor: u64) -> Finding {
        self.next = now.checked_add(self.every);
        if head.position < self.known {
            return Finding::Lost;
        }
        if head.start > cursor {
            return Finding::Gone(head.start);
        }
        let is_old = |since| now.saturating_duration_since(since) >= self.every;
        if self.unread.is_some_and(|(unread, since)| unread > cursor && is_old(since)) {
            return Finding::ReadsElsewhere;
        }
        self.told(now, head.position, cursor);
        Finding::AllIsWell
    }

    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if is_due(self.next, now) {
            (self.next, self.wants_head) = (None, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;

    const EVERY: Duration = Duration::from_secs(5);

    fn head(start: u64, position: u64) -> Head {
        Head { start, position }
    }

    #[test]
    fn the_head_is_wanted_when_nothing_was_read_for_a_while() {
        let now = base_instant();
        let mut watch = Watch::new(EVERY, 0);
        watch.handle_timeout(now + EVERY);
        assert!(!watch.wants_head(), "the engine does not serve yet");
        watch.begin(now);
        watch.read(now + EVERY / 2, 3);
        watch.handle_timeout(now + EVERY);
        assert!(!watch.wants_head());
        watch.handle_timeout(now + EVERY / 2 + EVERY);
        assert_eq!((watch.wants_head(), watch.next_timeout()), (true, None));
    }

    #[test]
    fn a_head_before_what_is_known_is_a_loss() {
        let now = base_instant();
        let mut watch = Watch::new(EVERY, 7);
        watch.begin(now);
        assert_eq!(watch.judge(now, head(0, 7), 7), Finding::AllIsWell);
        assert_eq!(watch.judge(now, head(0, 6), 7), Finding::Lost);
        // Also of what was appended and not yet read.
        watch.told(now, 9, 7);
        assert_eq!(watch.judge(now, head(0, 8), 7), Finding::Lost);
    }

    #[test]
    fn a_position_that_stays_unread_means_that_the_read_goes_elsewhere() {
        let now = base_instant();
        let mut watch = Watch::new(EVERY, 7);
        watch.begin(now);
        watch.told(now, 8, 7);
        assert_eq!(watch.judge(now + EVERY / 2, head(0, 8), 7), Finding::AllIsWell);
        assert_eq!(watch.judge(now + EVERY, head(0, 8), 8), Finding::AllIsWell, "it was read");
        watch.told(now + EVERY, 10, 8);
        assert_eq!(watch.judge(now + 2 * EVERY, head(0, 10), 8), Finding::ReadsElsewhere);
    }

    #[test]
    fn an_engine_has_some_milliseconds_to_let_read_what_it_has() {
        let now = base_instant();
        let mut watch = Watch::new(Duration::ZERO, 7);
        watch.begin(now);
        watch.told(now, 8, 7);
        assert_eq!(watch.next_timeout(), Some(now + LEAST));
        assert_eq!(watch.judge(now + LEAST / 2, head(0, 8), 7), Finding::AllIsWell);
        assert_eq!(watch.judge(now + LEAST, head(0, 8), 7), Finding::ReadsElsewhere);
    }

    #[test]
    fn what_lies_before_the_start_of_the_log_will_not_be_read() {
        let now = base_instant();
        let mut watch = Watch::new(EVERY, 7);
        watch.begin(now);
        assert_eq!(watch.judge(now, head(9, 9), 7), Finding::Gone(9));
    }
}

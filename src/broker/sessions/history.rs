//! What a session gets from a log outside before what is in memory: [`History`].
//!
//! ```text
//!                     read page by page, and then delivered
//!   last event id   ┌──────────┬──────────┬──────┐
//!        12         │ 13 ── 19 │ 20 ── 26 │ … 29 │    memory: 30 ── 31 …
//!                   └──────────┴──────────┴──────┘
//!                             ▲ passed     ▲ through
//! ```
//!
//! Pages are shared by all sessions that get something of them, so that a session keeps no list of
//! its events: it looks at each once when the page comes, and once more when it goes out.

use crate::broker::backfilled::Backfilled;
use crate::broker::names::{ClientId, TopicFilter, TopicName};
use crate::broker::sequence::{Audience, Published};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

/// What one of a session's subscriptions hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    Everyone,
    Topics(TopicFilter),
    Client(ClientId),
}

/// How much one session gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) events: u64,
    pub(crate) bytes: usize,
    /// How many ends of topics are remembered.
    pub(crate) ends: usize,
}

/// What was read for a session, until it has got it.
#[derive(Debug)]
pub(crate) struct History {
    hears: Vec<(u32, Hears)>,
    pages: VecDeque<Backfilled>,
    /// Where it began.
    after: u64,
    /// Events up to this position are delivered, or left out.
    passed: u64,
    /// The last position that was read.
    through: u64,
    /// Of events after `passed`.
    count: u64,
    bytes: usize,
    /// How many were left out since there were too many.
    left_out: u64,
    /// Whether nothing is missing but what was left out.
    is_whole: bool,
    /// The topics whose ends were read, the newest last.
    ended: VecDeque<TopicName>,
    has_ended: BTreeSet<TopicName>,
    /// Positions of what was published to a topic after its end, which reaches nobody.
    void: Vec<u64>,
    /// Whether all of it was handed over. Some may come back.
    is_over: bool,
}

impl Hears {
    fn is_heard(&self, audience: &Audience) -> bool {
        match (self, audience) {
            (Self::Everyone, Audience::Everyone) => true,
            (Self::Topics(TopicFilter::Topic(own)), Audience::Topic(name)) => own == name,
            (Self::Topics(TopicFilter::Pattern(own)), Audience::Topic(name)) => own.matches(name),
            (Self::Client(own), Audience::Client(id)) => own == id,
            // Sessions of several nodes, and of earlier lives, have the same ids.
            _ => false,
        }
    }
}

impl History {
    /// Begins after a position, for subscriptions with these numbers.
    pub(crate) const fn new(after: u64, hears: Vec<(u32, Hears)>) -> Self {
        Self {
            hears,
            pages: VecDeque::new(),
            after,
            passed: after,
            through: after,
            count: 0,
            bytes: 0,
            left_out: 0,
            is_whole: true,
            ended: VecDeque::new(),
            has_ended: BTreeSet::new(),
            void: Vec::new(),
            is_over: false,
        }
    }

    /// Returns the position after which it began.
    pub(crate) const fn after(&self) -> u64 {
        self.after
    }

    /// Returns the last position that was read.
    pub(crate) const fn through(&self) -> u64 {
        self.through
    }

    /// Leaves all out again that was read.
    pub(crate) fn give_up(&mut self) {
        self.pages.clear();
        self.through = self.after;
    }

    /// Returns how many events there are for the session.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns how many there are not since there were too many; `None` if others are missing as
    /// well.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.is_whole.then_some(self.left_out)
    }

    /// Takes what was read after the last position, up to `last`, which is the newest one here.
    /// `has_ended` says of a topic and a position whether the topic is known to have ended before.
    /// Returns whether it comes further by this.
    pub(crate) fn take(
        &mut self,
        page: &Backfilled,
        last: u64,
        bounds: Bounds,
        has_ended: impl Fn(&TopicName, u64) -> bool,
    ) -> bool {
        let (before, through) = (self.through, page.through().min(last));
        if through <= before {
            return false;
        }
        // Which is no less than where it starts.
        self.is_whole &= page.whole_from() <= before;
        let (count, mut heard) = (self.count, 0);
        for published in page.after(before) {
            let position = published.position();
            if position > through {
                break;
            }
            if !self.is_heard(published) {
                continue;
            }
            if let Audience::Topic(name) = published.audience() {
                if published.is_end() {
                    self.note_end(name, bounds.ends);
                    continue;
                }
                if self.has_ended.contains(name) || has_ended(name, position) {
                    self.void.push(position);
                    continue;
                }
            }
            self.count += 1;
            self.bytes += published.frame().len();
            heard += Backfilled::size_of(published);
        }
        self.through = through;
        if self.count > count {
            // A page of which it hears little is not to be kept as a whole.
            let is_thin = heard.saturating_mul(4) < page.size();
            let has_earlier = page.start() < before && !self.pages.is_empty();
            let overlaps = has_earlier || through < page.through();
            let page = if is_thin || overlaps {
                let is_new = |position| position > before && position <= through;
                page.filtered(|one| is_new(one.position()) && self.is_heard(one))
            } else {
                page.clone()
            };
            self.pages.push_back(page);
        }
        self.leave_out(bounds);
        true
    }

    /// Leaves out the oldest events where there are too many.
    fn leave_out(&mut self, bounds: Bounds) {
        while self.count > bounds.events || self.bytes > bounds.bytes {
            let Some(oldest) = self.next() else { break };
            let (position, length) = (oldest.position(), oldest.frame().len());
            self.passed = position;
            self.count -= 1;
            self.bytes -= length;
            self.left_out += 1;
            self.let_go();
        }
    }

    fn note_end(&mut self, name: &TopicName, limit: usize) {
        if self.has_ended.insert(name.clone()) {
            self.ended.push_back(name.clone());
        }
        if self.ended.len() > limit
            && let Some(oldest) = self.ended.pop_front()
        {
            self.has_ended.remove(&oldest);
        }
    }

    fn is_heard(&self, published: &Published) -> bool {
        self.hears.iter().any(|(_, one)| one.is_heard(published.audience()))
    }

    fn is_due(&self, published: &Published) -> bool {
        !published.is_end()
            && published.position() <= self.through
            && self.is_heard(published)
            && self.void.binary_search(&published.position()).is_err()
    }

    fn pending(&self) -> impl Iterator<Item = &Published> {
        let pages = self.pages.iter().flat_map(|page| page.after(self.passed));
        pages.filter(|published| self.is_due(published))
    }

    /// Returns what goes out next.
    pub(crate) fn next(&self) -> Option<&Published> {
        self.pending().next()
    }

    /// Returns the last that goes out.
    pub(crate) fn last(&self) -> Option<&Published> {
        let newest = |page: &'_ Backfilled| -> Option<usize> {
            let events = page.after(self.passed);
            events.iter().rposition(|published| self.is_due(published))
        };
        self.pages.iter().rev().find_map(|page| page.after(self.passed).get(newest(page)?))
    }

    /// Passes the next event, which is at this position.
    pub(crate) const fn pass(&mut self, position: u64) {
        self.passed = position;
        self.count = self.count.saturating_sub(1);
    }

    /// Records that all of it was handed over.
    pub(crate) const fn end(&mut self) {
        self.is_over = true;
    }

    /// Returns whether there is more to hand over.
    pub(crate) const fn is_pending(&self) -> bool {
        !self.is_over
    }

    /// Takes back the event at this position, and all after it.
    pub(crate) const fn take_back(&mut self, position: u64) {
        self.passed = position.saturating_sub(1);
        self.count += 1;
        self.is_over = false;
    }

    /// Gives back the pages of which all has been taken.
    pub(crate) fn let_go(&mut self) {
        while self.pages.front().is_some_and(|page| page.after(self.passed).is_empty()) {
            self.pages.pop_front();
        }
        let passed = self.void.partition_point(|position| *position <= self.passed);
        self.void.drain(..passed);
    }

    /// Leaves out what only this subscription hears, which is gone.
    pub(super) fn forget(&mut self, number: u32) {
        let before = self.hears.len();
        self.hears.retain(|(one, _)| *one != number);
        if self.hears.len() < before {
            self.count = self.pending().count() as u64;
            self.bytes = self.pending().map(|one| one.frame().len()).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sequence::{Epoch, EventIds, Sequencer};
    use crate::event::Event;

    const BOUNDS: Bounds = Bounds { events: 100, bytes: 1 << 20, ends: 2 };

    fn name(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    /// Events at the next positions, each for everyone, a topic, or the end of a topic.
    fn page(start: u64, to: &[&str]) -> Backfilled {
        let mut sequencer = Sequencer::new(Epoch(1), start, EventIds::Assigned);
        let published: Vec<Published> = to
            .iter()
            .map(|to| match to.split_at(1) {
                ("-", topic) => sequencer.end_topic(name(topic)),
                ("*", _) => sequencer.publish(Audience::Everyone, &Event::new("x")),
                _ => sequencer.publish(name(to).into(), &Event::new("x")),
            })
            .collect();
        Backfilled::new(start, start, start + to.len() as u64, published)
    }

    fn hears(filters: &[&str]) -> Vec<(u32, Hears)> {
        let one = |filter: &&str| match *filter {
            "" => Hears::Everyone,
            filter => Hears::Topics(TopicFilter::new(filter).unwrap()),
        };
        (0..).zip(filters.iter().map(one)).collect()
    }

    fn take(history: &mut History, page: &Backfilled) -> bool {
        history.take(page, u64::MAX, BOUNDS, |_, _| false)
    }

    fn positions(history: &History) -> Vec<u64> {
        history.pending().map(Published::position).collect()
    }

    #[test]
    fn it_is_what_the_subscriptions_hear_after_the_place_each_once() {
        let mut history = History::new(2, hears(&["", "a/*", "a/1"]));
        assert!(take(&mut history, &page(0, &["*", "*", "*", "a/1", "b"])));
        assert!(take(&mut history, &page(5, &["a/2", "*"])));
        assert_eq!((positions(&history), history.count()), (alloc::vec![3, 4, 6, 7], 4));
        assert_eq!(history.missing(), Some(0));
        // A topic goes, which the pattern still matches, and then the pattern.
        history.forget(2);
        assert_eq!(history.count(), 4);
        history.forget(1);
        assert_eq!((positions(&history), history.count()), (alloc::vec![3, 7], 2));
        assert_eq!(history.last().map(Published::position), Some(7));
    }

    #[test]
    fn a_page_leads_no_further_than_this_broker_and_none_leads_back() {
        let mut history = History::new(0, hears(&[""]));
        let both = page(0, &["*", "*"]);
        assert!(history.take(&both, 1, BOUNDS, |_, _| false));
        assert_eq!((positions(&history), history.through()), (alloc::vec![1], 1));
        assert!(!history.take(&both, 1, BOUNDS, |_, _| false));
        assert!(take(&mut history, &both));
        assert_eq!((positions(&history), history.through()), (alloc::vec![1, 2], 2));
    }

    #[test]
    fn a_hole_is_none_to_those_who_stand_behind_it() {
        let holed = Backfilled::new(0, 3, 5, page(3, &["*", "*"]).published().to_vec());
        for (after, missing) in [(2, None), (3, Some(0)), (4, Some(0))] {
            let mut history = History::new(after, hears(&[""]));
            take(&mut history, &holed);
            assert_eq!(history.missing(), missing, "{after}");
        }
        let mut history = History::new(0, hears(&[""]));
        take(&mut history, &page(1, &["*"]));
        assert_eq!(history.missing(), None, "the page begins too late");
    }

    #[test]
    fn the_newest_are_kept_of_too_many() {
        let mut history = History::new(0, hears(&[""]));
        let bounds = Bounds { events: 2, ..BOUNDS };
        history.take(&page(0, &["*", "*", "*"]), 9, bounds, |_, _| false);
        history.take(&page(3, &["*"]), 9, bounds, |_, _| false);
        assert_eq!((positions(&history), history.missing()), (alloc::vec![3, 4], Some(2)));
        let bounds = Bounds { bytes: history.bytes - 1, ..BOUNDS };
        history.take(&page(4, &["b"]), 9, bounds, |_, _| false);
        assert_eq!((positions(&history), history.missing()), (alloc::vec![4], Some(3)));
    }

    #[test]
    fn nothing_is_left_of_what_came_to_a_topic_after_its_end_while_that_is_remembered() {
        let mut history = History::new(0, hears(&["*"]));
        take(&mut history, &page(0, &["a", "-a", "a", "-b", "-c", "a", "c"]));
        assert_eq!(positions(&history), [1, 6]);
        let mut history = History::new(0, hears(&["*"]));
        let known = |topic: &TopicName, position| topic.as_str() == "a" && position > 1;
        history.take(&page(0, &["a", "a", "b"]), 9, BOUNDS, known);
        assert_eq!((positions(&history), history.count()), (alloc::vec![1, 3], 2));
    }

    #[test]
    fn what_was_handed_over_may_come_back_until_it_is_let_go() {
        let mut history = History::new(0, hears(&[""]));
        take(&mut history, &page(0, &["*", "*", "*"]));
        for position in 1..=3 {
            assert_eq!(history.next().map(Published::position), Some(position));
            history.pass(position);
        }
        assert!(history.next().is_none());
        history.end();
        assert!(!history.is_pending());
        history.take_back(3);
        history.take_back(2);
        assert!(history.is_pending());
        assert_eq!((positions(&history), history.count()), (alloc::vec![2, 3], 2));
        history.let_go();
        assert_eq!(positions(&history), [2, 3]);
    }

    #[test]
    fn a_page_of_which_little_is_heard_is_not_kept() {
        let everything = page(0, &["a", "b", "b", "b", "b", "b", "b", "b", "b", "b"]);
        let mut history = History::new(0, hears(&["a"]));
        take(&mut history, &everything);
        assert_eq!(history.pages[0].published().len(), 1);
        let mut history = History::new(0, hears(&["b"]));
        take(&mut history, &everything);
        assert_eq!(history.pages[0].published().len(), 10);
        let mut history = History::new(0, hears(&["c"]));
        assert!(take(&mut history, &everything));
        assert!(history.pages.is_empty());
    }
}

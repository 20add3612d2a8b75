//! What happens to a session that is behind: where it stands in one channel, and how far its cursor
//! moves.
//!
//! A session is behind by losses (events that are gone before it got them) or beyond the bounds of
//! its [`Lag`]. What happens then is the policy's. With a bound of three events, and the cursor at
//! 3:
//!
//! ```text
//!   number             1  2  3  4  5  6  7  8  9
//!   kept               ·  ·  ·  ·  a  b  a  c  d        a, b, c, d: keys
//!                            ▲        ╳                 ╳: superseded by 7
//!                          cursor
//!   Close              ends: 3 and 4 are lost
//!   SkipToOldest       goes on with 7: 3 to 6 are lost
//!   SkipToNewest       goes on with what comes after 9: 3 to 9 are lost
//!   KeepNewestPerKey   goes on with 6: 3 and 4 are lost, and 5 was superseded
//! ```
//!
//! With `KeepNewestPerKey` and a bound, superseded events are passed only beyond that bound.

use crate::broker::config::{Lag, LagPolicy};
use crate::broker::sessions::{Backlog, Ending, Session};
use crate::broker::topics::{Entry, Topics, View};

/// Where a session is in one of its channels.
pub(crate) struct Standing<'a> {
    cursor: u64,
    view: View<'a>,
    lag: Lag,
    supersession: Supersession,
    /// How many of the lost events after the cursor are counted already.
    known: u64,
    replayed_through: u64,
    /// What is excluded: neither delivered nor lost.
    backlog: Option<&'a Backlog>,
}

/// How far a session's cursor is moved, and past what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    cursor: u64,
    lost: u64,
    superseded: u64,
    gone: u64,
}

/// What a session need not get of one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supersession {
    lag: Lag,
    /// Before which number, and through which position, it gets anything.
    limit: u64,
    through: u64,
}

/// Returns the lag that holds for a session in a channel: its own, or the channel's, or the usual
/// one.
pub(crate) fn lag_of(session: &Session, channel: u32, topics: &Topics, usual: &Lag) -> Lag {
    session.lag().unwrap_or_else(|| *topics.lag(channel).unwrap_or(usual))
}

impl<'a> Standing<'a> {
    /// Looks where a session stands by one of its subscriptions.
    pub(crate) fn new(
        session: &'a Session,
        number: u32,
        topics: &'a Topics,
        usual: &Lag,
    ) -> Option<Self> {
        let subscription = session.subscription(number)?;
        let lag = lag_of(session, subscription.channel(), topics, usual);
        Some(Self {
            cursor: subscription.cursor(),
            view: topics.view(subscription.channel())?,
            lag,
            supersession: Supersession::new(lag, session, number),
            known: session.extras().gone(number),
            replayed_through: session.extras().replayed_through(),
            backlog: session.extras().backlog(number),
        })
    }

    /// Returns whether the session ends for being here.
    pub(crate) fn is_to_close(&self) -> bool {
        self.lag.policy == LagPolicy::Close && self.is_too_far()
    }

    fn end(&self) -> u64 {
        self.view.end().min(self.supersession.limit)
    }

    /// Returns how many events it can no longer get and has not been counted as missing.
    pub(crate) fn missing(&self) -> u64 {
        self.lost_from(self.cursor).saturating_sub(self.known)
    }

    fn lost_from(&self, cursor: u64) -> u64 {
        let lost = self.view.lost(cursor, self.supersession.limit);
        let excluded = self.excluded(cursor, self.supersession.limit);
        lost - excluded.filter(|number| self.view.is_lost(*number)).count() as u64
    }

    fn excluded(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        self.backlog.into_iter().flat_map(move |backlog| backlog.between(start, end))
    }

    fn is_too_far(&self) -> bool {
        self.missing() > 0 || self.is_beyond_bounds()
    }

    fn is_beyond_bounds(&self) -> bool {
        // A session that met its policy for what is replayed would learn no place by that: it would
        // come back from the same one, and meet the policy again.
        let cursor = match self.replayed_through {
            0 => self.cursor,
            through => self.cursor.max(self.view.cursor_after(through)),
        };
        self.lag.is_bounded() && self.supersession.is_beyond(self.view, cursor)
    }

    /// Returns the step to the next event that the session is to get.
    pub(crate) fn step(&self) -> Step {
        let mut target = self.cursor;
        if self.is_too_far() {
            target = match self.lag.policy {
                LagPolicy::SkipToNewest => self.end(),
                LagPolicy::SkipToOldest if self.is_beyond_bounds() => self.oldest_within(),
                _ => target,
            };
        }
        let target = target.min(self.end()).max(self.cursor);
        let lost_after = self.lost_from(target);
        let skipped = target - self.cursor - self.excluded(self.cursor, target).count() as u64;
        let lost = (skipped + lost_after).saturating_sub(self.known);
        let keeps_newest = self.lag.policy == LagPolicy::KeepNewestPerKey;
        let first = self.view.find_from(target, |number, entry| {
            let is_superseded = keeps_newest && self.supersession.holds(self.view, number, entry);
            let is_excluded = self.backlog.is_some_and(|backlog| backlog.excludes(number));
            !is_superseded && !is_excluded
        });
        let first = first.map_or(self.end(), |(number, _)| number.min(self.end()));
        let cursor = first.max(target);
        let gone = self.lost_from(cursor);
        let passed = cursor - target - self.excluded(target, cursor).count() as u64;
        let superseded = passed.saturating_sub(lost_after.saturating_sub(gone));
        Step { cursor, lost, superseded, gone }
    }

    /// Returns the oldest event that is there and not beyond the bounds.
    fn oldest_within(&self) -> u64 {
        let Some(span) = self.view.span(self.cursor, self.supersession.limit) else {
            return self.cursor;
        };
        let after = span.last() + 1;
        let events = self.lag.events.map_or(0, |events| after.saturating_sub(events.get() as u64));
        let bytes = self.lag.bytes.map(|bytes| span.through().saturating_sub(bytes.get() as u64));
        let bytes = bytes.map_or(0, |before| self.view.cursor_at(before));
        // One event is within any bounds.
        let target = events.max(bytes).min(span.last());
        if target <= span.first() {
            return self.cursor;
        }
        self.view.from(target).map_or(target, |(number, _)| number)
    }

    /// Returns the position before that of the first event from `cursor` on, or else the newest
    /// one's.
    pub(crate) fn position_before(&self, cursor: u64) -> u64 {
        let first = self.view.from(cursor);
        first.map_or_else(|| self.view.last_position(), |(_, entry)| entry.position() - 1)
    }
}

impl Step {
    /// Returns where the cursor is to stand.
    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns how many events are lost by it, and were not counted before.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns how many events it passes that need not be delivered.
    pub(crate) const fn superseded(&self) -> u64 {
        self.superseded
    }

    /// Returns how many events after the cursor are lost, and counted now.
    pub(crate) const fn gone(&self) -> u64 {
        self.gone
    }
}

impl Supersession {
    fn new(lag: Lag, session: &Session, number: u32) -> Self {
        let through = session.ending().map_or(u64::MAX, Ending::through);
        Self { lag, limit: session.extras().limit(number), through }
    }

    /// Returns what a session need not get by one of its subscriptions, if that may be anything.
    pub(crate) fn of(session: &Session, number: u32, topics: &Topics, usual: &Lag) -> Option<Self> {
        let channel = session.subscription(number)?.channel();
        if !topics.view(channel)?.may_be_superseded() {
            return None;
        }
        let lag = lag_of(session, channel, topics, usual);
        (lag.policy == LagPolicy::KeepNewestPerKey).then(|| Self::new(lag, session, number))
    }

    /// Returns whether the session need not get this event.
    pub(crate) fn holds(&self, view: View<'_>, number: u64, entry: &Entry) -> bool {
        entry.is_superseded_by(self.through)
            && (!self.lag.is_bounded() || self.is_beyond(view, number))
    }

    /// Returns whether more than one event, and more than the bounds allow, was published from the
    /// first at `cursor` to the last that is there.
    fn is_beyond(&self, view: View<'_>, cursor: u64) -> bool {
        view.span(cursor, self.limit).is_some_and(|span| {
            let events = span.last() - span.first();
            events > 0
                && (self.lag.events.is_some_and(|bound| events >= bound.get() as u64)
                    || self.lag.bytes.is_some_and(|bound| span.bytes() > bound.get() as u64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::config::{BrokerConfig, Retention};
    use crate::broker::sequence::Epoch;
    use crate::broker::sessions::Subscription;
    use crate::broker::topics::{NewEntry, ReadyQueue};

    /// A channel to which events with these keys were published, at the positions from 1 on, and
    /// which keeps the last `kept` of them.
    fn topics(keys: &[&str], kept: usize) -> Topics {
        let mut config = BrokerConfig::new(Epoch(1));
        config.retention = Retention { events: kept.try_into().unwrap(), ..config.retention };
        let (mut topics, mut ready) = (
            Topics::new(&config.limits, config.retention, config.private_retention),
            ReadyQueue::default(),
        );
        for (key, position) in keys.iter().zip(1..) {
            let everyone = topics.everyone();
            let new = NewEntry::sample(position, "x", key);
            topics.append(0, everyone, new, &mut ready).unwrap();
        }
        topics
    }

    fn session(topics: &Topics, cursor: u64) -> Session {
        let subscription = Subscription::new(topics.everyone(), cursor);
        Session::new(0, None, alloc::vec![subscription])
    }

    fn standing<'a>(session: &'a Session, topics: &'a Topics, lag: &Lag) -> Standing<'a> {
        Standing::new(session, 0, topics, lag).unwrap()
    }

    /// Where the session at `cursor` goes on, how many it lost, and how many were superseded.
    fn step(keys: &[&str], kept: usize, cursor: u64, lag: Lag) -> (u64, u64, u64) {
        let topics = topics(keys, kept);
        let session = session(&topics, cursor);
        let step = standing(&session, &topics, &lag).step();
        (step.cursor(), step.lost(), step.superseded())
    }

    /// As in the picture, but numbers count from 0.
    const KEYS: [&str; 9] = ["", "", "", "", "a", "b", "a", "c", "d"];

    #[test]
    fn each_policy_goes_on_where_the_picture_says() {
        use LagPolicy::{KeepNewestPerKey, SkipToNewest, SkipToOldest};
        let with_bound = |policy| Lag::new(policy).with_events(3.try_into().unwrap());
        assert_eq!(step(&KEYS, 5, 2, with_bound(SkipToOldest)), (6, 4, 0));
        assert_eq!(step(&KEYS, 5, 2, with_bound(SkipToNewest)), (9, 7, 0));
        assert_eq!(step(&KEYS, 5, 2, with_bound(KeepNewestPerKey)), (5, 2, 1));
        assert_eq!(step(&KEYS, 5, 2, SkipToOldest.into()), (4, 2, 0), "the rest is kept");
    }

    #[test]
    fn a_bound_of_events_holds_to_the_last_one_and_a_single_event_is_within_any() {
        let lag = Lag::new(LagPolicy::SkipToOldest).with_events(2.try_into().unwrap());
        assert_eq!(step(&[""; 2], 9, 0, lag), (0, 0, 0));
        assert_eq!(step(&[""; 3], 9, 0, lag), (1, 1, 0));
        let none = Lag::new(LagPolicy::SkipToOldest).with_bytes(1.try_into().unwrap());
        assert_eq!(step(&[""; 3], 9, 2, none), (2, 0, 0));
        assert_eq!(step(&[""; 3], 9, 1, none), (2, 1, 0));
    }

    #[test]
    fn a_bound_of_bytes_holds_to_the_last_one() {
        let size = NewEntry::sample(1, "x", "").size();
        let lag =
            |bytes: usize| Lag::new(LagPolicy::SkipToOldest).with_bytes(bytes.try_into().unwrap());
        assert_eq!(step(&[""; 3], 9, 0, lag(3 * size)), (0, 0, 0));
        assert_eq!(step(&[""; 3], 9, 0, lag(3 * size - 1)), (1, 1, 0));
    }

    #[test]
    fn closing_is_for_what_is_lost_or_beyond_the_bounds() {
        let close = Lag::new(LagPolicy::Close);
        let bounded = close.with_events(2.try_into().unwrap());
        for (kept, cursor, lag, closes) in [
            (3, 0, close, false),
            (2, 0, close, true),
            (2, 1, close, false),
            (3, 1, bounded, false),
            (3, 0, bounded, true),
        ] {
            let topics = topics(&[""; 3], kept);
            let session = session(&topics, cursor);
            let standing = standing(&session, &topics, &lag);
            assert_eq!(standing.is_to_close(), closes, "{kept} kept, from {cursor}, {lag:?}");
        }
    }

    #[test]
    fn what_was_counted_as_gone_is_not_counted_again() {
        let topics = topics(&[""; 5], 2);
        let mut session = session(&topics, 0);
        session.extras_mut().set_gone(0, 2);
        let close = Lag::new(LagPolicy::Close);
        assert_eq!(standing(&session, &topics, &close).missing(), 1);
        session.extras_mut().set_gone(0, 3);
        assert!(!standing(&session, &topics, &close).is_to_close());
    }

    #[test]
    fn what_is_replayed_is_within_any_bounds_and_what_comes_after_is_not() {
        let topics = topics(&[""; 6], 9);
        let mut session = session(&topics, 0);
        let lag = Lag::new(LagPolicy::Close).with_events(2.try_into().unwrap());
        assert!(standing(&session, &topics, &lag).is_to_close());
        session.extras_mut().set_replayed_through(4);
        assert!(!standing(&session, &topics, &lag).is_to_close(), "two came after the fourth");
        session.extras_mut().set_replayed_through(3);
        assert!(standing(&session, &topics, &lag).is_to_close());
    }

    #[test]
    fn what_is_excluded_is_neither_lost_nor_delivered() {
        let topics = topics(&[""; 5], 3);
        let mut session = session(&topics, 0);
        session.extras_mut().exclude(0, alloc::vec![0, 2, 3]);
        let step = standing(&session, &topics, &Lag::new(LagPolicy::SkipToOldest)).step();
        // Of 0 and 1, which are gone, 1 was for it; of what is kept, 4.
        assert_eq!((step.cursor(), step.lost(), step.superseded()), (4, 1, 0));
    }

    #[test]
    fn an_event_is_superseded_only_beyond_the_bound_and_only_by_what_the_session_gets() {
        let keeps = Lag::new(LagPolicy::KeepNewestPerKey);
        let topics = topics(&["a", "b", "a"], 9);
        let session = session(&topics, 0);
        let view = topics.view(topics.everyone()).unwrap();
        let spares = |lag| {
            Supersession::of(&session, 0, &topics, &lag)
                .map(|supersession| supersession.holds(view, 0, view.get(0).unwrap().1))
        };
        assert_eq!(spares(keeps), Some(true));
        assert_eq!(spares(keeps.with_events(2.try_into().unwrap())), Some(true));
        assert_eq!(spares(keeps.with_events(3.try_into().unwrap())), Some(false));
        assert_eq!(spares(Lag::new(LagPolicy::SkipToOldest)), None);
    }

    #[test]
    fn the_position_before_the_next_event_is_that_of_no_older_one() {
        let topics = topics(&[""; 5], 2);
        let session = session(&topics, 0);
        let standing = standing(&session, &topics, &Lag::new(LagPolicy::SkipToOldest));
        assert_eq!((standing.position_before(0), standing.position_before(4)), (3, 4));
        assert_eq!(standing.position_before(5), 5, "nothing is there");
    }
}

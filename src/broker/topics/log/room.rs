//! How much room a log has: how far behind its readers are, and what one event more would push out.
//!
//! ```text
//!   number     12   13   14   15   16   17
//!               ▲              ▲              ▲
//!            reader      within half        end
//!               └── behind by 6 events ──────┘
//! ```

use super::{Log, NewEntry};
use crate::broker::config::{Pace, Retention};

/// By how many events and bytes readers may be behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Margin {
    events: u64,
    bytes: u64,
}

impl Margin {
    /// Returns the bound of this pace in a log that keeps so much: no more than half of that.
    pub(crate) fn new(pace: &Pace, retention: &Retention, most_bytes: usize) -> Self {
        let within = |own: Option<core::num::NonZeroUsize>, kept: usize| {
            let half = kept / 2;
            own.map_or(half, |own| own.get().min(half)) as u64
        };
        let bytes = retention.bytes.get().min(most_bytes);
        Self {
            events: within(pace.events, retention.events.get()),
            bytes: within(pace.bytes, bytes),
        }
    }

    /// Returns half of it.
    pub(crate) const fn half(self) -> Self {
        Self { events: self.events / 2, bytes: self.bytes / 2 }
    }
}

impl Log {
    /// Returns whether a reader that has got everything through this position is within the bound.
    pub(crate) fn is_within(&self, through: u64, margin: Margin) -> bool {
        let cursor = self.cursor_after(through);
        let bytes = self.bytes_ever() - self.bytes_before(cursor);
        self.end() - cursor <= margin.events && bytes <= margin.bytes
    }

    /// Returns through which position a reader has to have got everything, to be within the bound.
    pub(crate) fn place_within(&self, margin: Margin) -> u64 {
        let by_events = self.end().saturating_sub(margin.events);
        let cursor = match self.bytes_ever().saturating_sub(margin.bytes) {
            0 => by_events,
            bytes => by_events.max(self.cursor_at(bytes)),
        };
        let next = self.from(cursor).next();
        next.map_or_else(|| self.last_position(), |entry| entry.position() - 1)
    }

    /// Returns the cursor after the entry that would be lost if the log gave one up; `None` if that
    /// is superseded.
    pub(crate) fn lost_when_it_gives_way(&self) -> Option<u64> {
        match self.compact().and_then(|labelled| labelled.superseded().next()) {
            Some(_) => None,
            None => self.entries.front().map(|entry| entry.number + 1),
        }
    }

    /// Returns the cursor after the newest entry that would be lost if this event were appended now,
    /// because there are too many events or bytes; `None` if none would be.
    pub(crate) fn lost_by(&self, new: &NewEntry, retention: &Retention) -> Option<u64> {
        let mut events = (self.len() + 1).saturating_sub(retention.events.get());
        let mut bytes = (self.bytes + new.size()).saturating_sub(retention.bytes.get());
        let mut gives_up = |size: usize| {
            let is_too_much = events > 0 || bytes > 0;
            events = events.saturating_sub(1);
            bytes = bytes.saturating_sub(size);
            is_too_much
        };
        // What the event itself supersedes may go as well.
        let labelled = self.labelled.as_ref().filter(|_| retention.compact);
        let key = new.labels.as_ref().and_then(|labels| labels.key());
        let older = labelled.and_then(|labelled| labelled.newest(key?));
        if let Some(labelled) = labelled {
            let superseded = labelled.superseded().chain(older);
            for number in superseded {
                let size = self.get(number).map_or(0, super::Entry::size);
                if !gives_up(size) {
                    return None;
                }
            }
        }
        let is_lost_when_it_goes = |entry: &&super::Entry| {
            labelled.is_none() || !(entry.is_superseded() || Some(entry.number) == older)
        };
        let entries = self.from(0).filter(is_lost_when_it_goes);
        entries.take_while(|entry| gives_up(entry.size())).last().map(|entry| entry.number + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroUsize;

    fn retention(events: usize, bytes: usize, compact: bool) -> Retention {
        Retention {
            events: NonZeroUsize::new(events).unwrap(),
            bytes: NonZeroUsize::new(bytes).unwrap(),
            age: None,
            compact,
        }
    }

    /// Events with these keys, at the positions 10, 20, and so on, each of the same size.
    fn log(keys: &[&str], retention: &Retention) -> Log {
        let mut log = Log::new(0);
        for (key, number) in keys.iter().zip(1..) {
            log.push(0, NewEntry::sample(10 * number, "x", key), retention);
        }
        log
    }

    fn size() -> usize {
        NewEntry::sample(1, "x", "").size()
    }

    fn bound(events: u64, bytes: u64) -> Margin {
        Margin { events, bytes }
    }

    #[test]
    fn a_bound_is_half_of_what_is_kept_unless_less_is_asked_for() {
        let retention = retention(100, 1_000, false);
        let of = |pace| Margin::new(&pace, &retention, 600);
        assert_eq!(of(Pace::new()), bound(50, 300));
        let asked = |number: usize| NonZeroUsize::new(number).unwrap();
        assert_eq!(of(Pace::new().with_events(asked(7))), bound(7, 300));
        assert_eq!(of(Pace::new().with_events(asked(51)).with_bytes(asked(9))), bound(50, 9));
        assert_eq!(bound(7, 301).half(), bound(3, 150));
    }

    #[test]
    fn a_reader_is_behind_by_what_came_after_its_place() {
        let log = log(&["", "", "", ""], &retention(9, 9_000, false));
        let bytes = size() as u64;
        assert!(log.is_within(40, bound(0, 0)), "it has all");
        assert!(log.is_within(20, bound(2, 2 * bytes)));
        assert!(!log.is_within(20, bound(1, 9_000)));
        assert!(!log.is_within(20, bound(9, 2 * bytes - 1)));
        assert!(log.is_within(25, bound(2, 9_000)), "between two events of this log");
    }

    #[test]
    fn the_place_within_a_bound_is_the_first_that_is() {
        let log = log(&["", "", "", ""], &retention(9, 9_000, false));
        let bytes = size() as u64;
        for (bound, place) in [
            (bound(9, 9_000), 9),
            (bound(3, 9_000), 19),
            (bound(0, 9_000), 40),
            (bound(9, 2 * bytes), 29),
            (bound(9, 2 * bytes - 1), 39),
            (bound(9, 0), 40),
        ] {
            assert_eq!(log.place_within(bound), place, "{bound:?}");
            assert!(log.is_within(place, bound), "{bound:?}");
        }
    }

    #[test]
    fn one_event_more_pushes_out_the_oldest_and_a_large_one_several() {
        let three = retention(3, 4 * size(), false);
        let new = |text: &str| NewEntry::sample(99, text, "");
        assert_eq!(log(&["", ""], &three).lost_by(&new("x"), &three), None);
        assert_eq!(log(&["", "", ""], &three).lost_by(&new("x"), &three), Some(1));
        let large = "x".repeat(2 * size());
        assert_eq!(log(&["", "", ""], &three).lost_by(&new(&large), &three), Some(2));
    }

    #[test]
    fn what_is_superseded_in_a_compact_log_goes_first_and_is_not_lost() {
        let (compact, plain) = (retention(3, 9_000, true), retention(3, 9_000, false));
        let new = |key| NewEntry::sample(99, "x", key);
        for (keys, key, compact_loses, plain_loses) in [
            (["a", "a", "b"], "", None, Some(1)),
            (["a", "b", "c"], "", Some(1), Some(1)),
            (["a", "b", "c"], "b", None, Some(1)),
            (["a", "b", "c"], "d", Some(1), Some(1)),
        ] {
            assert_eq!(
                log(&keys, &compact).lost_by(&new(key), &compact),
                compact_loses,
                "{keys:?}"
            );
            assert_eq!(log(&keys, &plain).lost_by(&new(key), &plain), plain_loses, "{keys:?}");
        }
    }

    #[test]
    fn what_would_be_lost_is_what_is_lost_then() {
        for compact in [false, true] {
            let retention = retention(4, 5 * size(), compact);
            // All ways to publish six events with two keys, or none, and then a small or a large one.
            for ways in 0..3_usize.pow(7) {
                let mut rest = ways;
                let keys = [(); 7].map(|()| {
                    let key = ["", "a", "b"][rest % 3];
                    rest /= 3;
                    key
                });
                for text in ["x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"] {
                    let mut log = log(&keys[..6], &retention);
                    let new = NewEntry::sample(99, text, keys[6]);
                    let (before, expected) = (log.start(), log.lost_by(&new, &retention));
                    log.push(0, new, &retention);
                    let lost = (log.start() > before).then(|| log.start());
                    assert_eq!(expected, lost, "{compact} {keys:?} {text}");
                }
            }
        }
    }
}

//! How a session begins: at which place in each of its channels, and what it is told first.
//!
//! A last event id names a position, and a position names a place in each channel. Whether
//! something between is missing is a comparison with the position of the newest event that each
//! channel has lost:
//!
//! ```text
//!   id 17      everyone   lost through 12   18 …     complete
//!     │        "news"     lost through 20   21 …     a gap: something up to 20 may be missing
//! ```

use crate::broker::config::{OnGap, SessionConfig, StartAt};
use crate::broker::event::Resumption;
use crate::broker::sequence::{EventIds, IdMeaning, Sequencer};
use crate::broker::topics::View;
use crate::encode::Frame;
use crate::event::{Event, EventId};
use crate::last_event_id::LastEventId;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

/// What a session asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    last_event_id: &'a LastEventId,
    start: &'a StartAt,
    on_gap: OnGap,
    unseen: u64,
}

/// Where a session's cursors stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    cursors: Vec<u64>,
    gone: Vec<(u32, u64)>,
}

/// What a last event id comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Now,
    Oldest,
    Last(u64),
    After(u64),
    Ahead,
    Unknown,
    OtherEpoch,
    Forged,
}

impl<'a> Wish<'a> {
    /// Asks to go on after a last event id, or for `start` where there is none. `unseen` is the
    /// newest position that other shards gave and this one never saw.
    pub(crate) const fn new(
        last_event_id: &'a LastEventId,
        start: &'a StartAt,
        on_gap: OnGap,
        unseen: u64,
    ) -> Self {
        Self { last_event_id, start, on_gap, unseen }
    }
}

impl Places {
    fn new<'a>(views: &[View<'a>], place: impl Fn(View<'a>) -> u64) -> Self {
        let cursors: Vec<u64> = views.iter().map(|view| place(*view)).collect();
        let gone = views.iter().zip(&cursors).map(|(view, &cursor)| view.lost(cursor, u64::MAX));
        let gone = (0..).zip(gone).filter(|(_, gone)| *gone > 0).collect();
        Self { cursors, gone }
    }

    /// Returns the cursors, in the order of the channels.
    pub(crate) fn cursors(&self) -> &[u64] {
        &self.cursors
    }

    /// Returns for channels of patterns, by their numbers, how many events after the cursor are
    /// lost: the outcome tells of them.
    pub(crate) fn gone(&self) -> &[(u32, u64)] {
        &self.gone
    }

    fn zip<'a>(&'a self, views: &'a [View<'a>]) -> impl Iterator<Item = (View<'a>, u64)> {
        views.iter().copied().zip(self.cursors.iter().copied())
    }

    /// Returns how many events there are after the cursors; each once, though several patterns
    /// match it.
    fn replayed(&self, views: &[View<'_>]) -> u64 {
        if views.iter().any(|view| matches!(view, View::Matched(..))) {
            let mut positions = Vec::new();
            for (view, cursor) in self.zip(views) {
                view.positions_from(cursor, &mut positions);
            }
            positions.sort_unstable();
            positions.dedup();
            return positions.len() as u64;
        }
        self.zip(views).map(|(view, cursor)| view.count_from(cursor)).sum()
    }

    /// Returns the newest of what is replayed and is such.
    fn last<'a>(
        &'a self,
        views: &'a [View<'a>],
        is_such: impl Fn(&Frame) -> bool,
    ) -> Option<&'a Frame> {
        let newest = self.zip(views).filter_map(|(view, cursor)| {
            view.find_last_from(cursor, |entry| entry.frame().is_some_and(&is_such))
        });
        newest.max_by_key(|entry| entry.position())?.frame()
    }
}

/// Returns how a session resumes in these channels, and where.
pub(crate) fn resume(
    views: &[View<'_>],
    wish: Wish<'_>,
    sequencer: &Sequencer,
) -> (Resumption, Places) {
    let wanted = wanted(views, wish, sequencer);
    let oldest = || Places::new(views, View::start);
    let newest = || Places::new(views, View::end);
    let on_gap = || match wish.on_gap {
        OnGap::ReplayKept => oldest(),
        OnGap::StartNow => newest(),
    };
    let mut is_gap = true;
    let places = match wanted {
        Wanted::Oldest => oldest(),
        Wanted::Last(count) => match oldest_of_last(views, count) {
            Some(position) => Places::new(views, |view| view.cursor_after(position - 1)),
            None => newest(),
        },
        Wanted::Now | Wanted::Forged => newest(),
        Wanted::After(position) => {
            is_gap =
                wish.unseen > position || views.iter().any(|view| view.lost_through() > position);
            if is_gap && wish.on_gap == OnGap::StartNow {
                newest()
            } else {
                Places::new(views, |view| view.cursor_after(position))
            }
        }
        // Otherwise an id of nonsense would gain what a forged place does not.
        Wanted::Unknown if sequencer.is_signing() => newest(),
        Wanted::Unknown | Wanted::Ahead | Wanted::OtherEpoch => on_gap(),
    };
    let replayed = places.replayed(views);
    let resume = match wanted {
        Wanted::Oldest => Resumption::Oldest { replayed },
        Wanted::Last(_) => Resumption::Last { replayed },
        Wanted::Now => Resumption::Live,
        Wanted::Forged => Resumption::Forged,
        Wanted::Unknown => Resumption::UnknownId { replayed },
        Wanted::Ahead => Resumption::Ahead { replayed },
        Wanted::OtherEpoch => Resumption::OtherEpoch { replayed },
        Wanted::After(_) if is_gap => Resumption::Gap { replayed },
        Wanted::After(_) => Resumption::Complete { replayed },
    };
    (resume, places)
}

fn wanted(views: &[View<'_>], wish: Wish<'_>, sequencer: &Sequencer) -> Wanted {
    let id = match (wish.last_event_id, wish.start) {
        (LastEventId::Malformed, _) => return Wanted::Unknown,
        (LastEventId::Id(id), _) | (_, StartAt::After(id)) if !id.as_str().is_empty() => id,
        (_, StartAt::Oldest) => return Wanted::Oldest,
        (_, StartAt::Last(count)) => return Wanted::Last(*count),
        _ => return Wanted::Now,
    };
    // Where topics share an id, the oldest place loses nothing.
    let own = views.iter().filter_map(|view| view.find(id)).min();
    own.map_or_else(|| wanted_position(id, sequencer), Wanted::After)
}

/// Returns the position of the oldest of the last `count` events that are kept in these channels;
/// `None` if there are none, or none are wanted.
fn oldest_of_last(views: &[View<'_>], count: u64) -> Option<u64> {
    // Each of them is among the last of its channel. The number is cut down by what is there.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut positions: Vec<u64> =
        views.iter().flat_map(|view| view.last_positions().take(count)).collect();
    positions.sort_unstable_by(|one, other| other.cmp(one));
    // What several patterns match is one event.
    positions.dedup();
    positions.truncate(count);
    positions.last().copied()
}

fn wanted_position(id: &EventId, sequencer: &Sequencer) -> Wanted {
    match sequencer.meaning_of(id) {
        IdMeaning::At(epoch, _) if epoch != sequencer.epoch() => Wanted::OtherEpoch,
        IdMeaning::At(_, position) if position > sequencer.last() => Wanted::Ahead,
        IdMeaning::At(_, position) => Wanted::After(position),
        IdMeaning::Unknown => Wanted::Unknown,
        IdMeaning::Forged => Wanted::Forged,
    }
}

/// Returns whether what is replayed ends with something that brings no id, as a comment does. A
/// peer that gets that last is to be told its place, or it would come back for the same when its
/// topics have ended.
pub(crate) fn ends_without_id(views: &[View<'_>], places: &Places, sequencer: &Sequencer) -> bool {
    sequencer.ids() == EventIds::Assigned
        && places.last(views, |_| true).is_some_and(|frame| !has_field(frame, b"id: "))
}

/// Returns whether a session whose topics have all ended is to be let in all the same: something
/// is left for it, or it is to be told that something may be missing.
pub(crate) fn is_anything_left(
    views: &[View<'_>],
    resume: Resumption,
    places: &Places,
    sequencer: &Sequencer,
) -> bool {
    match sequencer.ids() {
        EventIds::Assigned => resume.replayed() > 0 || resume.may_miss(),
        // There is no place to tell the peer, so that without an event it would come back for ever.
        EventIds::Own => places.last(views, |frame| has_field(frame, b"data: ")).is_some(),
    }
}

fn has_field(frame: &Frame, field: &[u8]) -> bool {
    frame.as_ref().split(|byte| *byte == b'\n').any(|line| line.starts_with(field))
}

/// Returns what a session gets before any event; `None` if there is nothing to say.
///
/// It tells the peer its place wherever no event will do so at once. Without that, a peer that
/// connects, loses the connection before the first event and comes back would miss what was
/// published between, and neither side would know.
pub(crate) fn opening(
    config: &SessionConfig,
    resume: Resumption,
    retry: Option<Duration>,
    sequencer: &Sequencer,
) -> Option<Frame> {
    let is_placed = resume.replayed() > 0 || matches!(resume, Resumption::Complete { .. });
    let id = (!is_placed && sequencer.ids() == EventIds::Assigned)
        .then(|| sequencer.id_of(sequencer.last()));
    let announcement = config.announcement().map(|event_type| {
        let (outcome, replayed) = (resume.as_str(), resume.replayed());
        Event::new(format!(r#"{{"outcome":"{outcome}","replayed":{replayed}}}"#))
            .with_type(event_type.clone())
    });
    let comment = config.opening_comment().cloned();
    if announcement.is_none() && comment.is_none() && retry.is_none() && id.is_none() {
        return None;
    }
    let mut event = announcement.unwrap_or_else(Event::empty);
    if let Some(comment) = comment {
        event = event.with_comment(comment);
    }
    if let Some(retry) = retry {
        event = event.with_retry(retry);
    }
    Some(Frame::with_id(&event, id.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::config::Retention;
    use crate::broker::sequence::Epoch;
    use crate::broker::topics::{Log, NewEntry};
    use core::num::NonZeroUsize;

    const RETENTION: Retention = Retention {
        events: NonZeroUsize::new(2).unwrap(),
        bytes: NonZeroUsize::MAX,
        age: None,
        compact: false,
    };

    fn log(positions: &[u64]) -> Log {
        let mut log = Log::new(0);
        for &position in positions {
            log.push(0, NewEntry::sample(position, "x", ""), &RETENTION);
        }
        log
    }

    fn sequencer() -> Sequencer {
        Sequencer::new(Epoch(1), 9, EventIds::Assigned)
    }

    /// Resumes in a channel that keeps what is at 5 and 9 and has lost what was at 3, and in one
    /// that keeps what is at 4 and 7 and has lost nothing.
    fn resumed(id: &LastEventId, change: impl Fn(&mut Wish<'_>)) -> (Resumption, Vec<u64>) {
        let logs = [log(&[3, 5, 9]), log(&[4, 7])];
        let views = logs.each_ref().map(View::Log);
        let mut wish = Wish::new(id, &StartAt::Now, OnGap::ReplayKept, 0);
        change(&mut wish);
        let (resume, places) = resume(&views, wish, &sequencer());
        (resume, places.cursors().to_vec())
    }

    fn after(id: &str) -> (Resumption, Vec<u64>) {
        resumed(&LastEventId::from_header(id.as_bytes()), |_| {})
    }

    #[test]
    fn the_newest_lost_position_is_the_edge_between_complete_and_gap() {
        assert_eq!(after("1-3"), (Resumption::Complete { replayed: 4 }, alloc::vec![1, 0]));
        assert_eq!(after("1-2"), (Resumption::Gap { replayed: 4 }, alloc::vec![1, 0]));
    }

    #[test]
    fn one_position_leads_to_a_place_in_each_channel() {
        assert_eq!(after("1-5"), (Resumption::Complete { replayed: 2 }, alloc::vec![2, 1]));
        assert_eq!(after("1-9"), (Resumption::Complete { replayed: 0 }, alloc::vec![3, 2]));
    }

    #[test]
    fn a_position_that_was_not_given_yet_and_another_epoch_lead_to_the_oldest() {
        assert_eq!(after("1-10"), (Resumption::Ahead { replayed: 4 }, alloc::vec![1, 0]));
        assert_eq!(after("2-5"), (Resumption::OtherEpoch { replayed: 4 }, alloc::vec![1, 0]));
        assert_eq!(after("no place"), (Resumption::UnknownId { replayed: 4 }, alloc::vec![1, 0]));
    }

    #[test]
    fn without_an_id_the_start_decides_and_an_empty_id_is_none() {
        for id in [LastEventId::Absent, LastEventId::from_header(b"")] {
            assert_eq!(resumed(&id, |_| {}), (Resumption::Live, alloc::vec![3, 2]));
            let oldest = resumed(&id, |wish| wish.start = &StartAt::Oldest);
            assert_eq!(oldest, (Resumption::Oldest { replayed: 4 }, alloc::vec![1, 0]));
        }
    }

    #[test]
    fn the_last_events_are_those_of_all_channels_together() {
        let logs = [log(&[3, 5, 9]), log(&[4, 7])];
        let views = logs.each_ref().map(View::Log);
        let last = |count| {
            let start = StartAt::Last(count);
            let wish = Wish::new(&LastEventId::Absent, &start, OnGap::ReplayKept, 0);
            let (resume, places) = resume(&views, wish, &sequencer());
            (resume, places.cursors)
        };
        // Kept are 5 and 9 in one channel, 4 and 7 in the other.
        for (count, replayed, cursors) in
            [(0, 0, [3, 2]), (1, 1, [2, 2]), (2, 2, [2, 1]), (3, 3, [1, 1]), (4, 4, [1, 0])]
        {
            assert_eq!(last(count), (Resumption::Last { replayed }, cursors.to_vec()));
        }
        assert_eq!(last(u64::MAX), last(4), "there are no more");
    }

    #[test]
    fn a_gap_may_be_answered_by_a_start_now() {
        let id = LastEventId::from_header(b"1-2");
        let newest = resumed(&id, |wish| wish.on_gap = OnGap::StartNow);
        assert_eq!(newest, (Resumption::Gap { replayed: 0 }, alloc::vec![3, 2]));
        let id = LastEventId::from_header(b"1-3");
        let newest = resumed(&id, |wish| wish.on_gap = OnGap::StartNow);
        assert_eq!(newest.0, Resumption::Complete { replayed: 4 });
    }

    #[test]
    fn a_position_that_this_shard_never_saw_is_a_gap_to_those_from_before_it() {
        let id = LastEventId::from_header(b"1-5");
        let unseen = |position| resumed(&id, |wish| wish.unseen = position).0;
        assert_eq!(unseen(5), Resumption::Complete { replayed: 2 });
        assert_eq!(unseen(6), Resumption::Gap { replayed: 2 });
    }

    #[test]
    fn an_id_that_events_of_several_channels_brought_leads_to_the_oldest_of_them() {
        let mut logs = [log(&[]), log(&[])];
        for (log, position) in logs.iter_mut().zip([6, 4]) {
            log.push(0, NewEntry::sample(position, "x", "").with_own_id("mine"), &RETENTION);
        }
        let views = logs.each_ref().map(View::Log);
        let id = LastEventId::from_header(b"mine");
        let wish = Wish::new(&id, &StartAt::Now, OnGap::ReplayKept, 0);
        let (resume, _) = resume(&views, wish, &sequencer());
        assert_eq!(resume, Resumption::Complete { replayed: 1 }, "of the later event alone");
    }

    #[test]
    fn the_end_of_a_replay_is_looked_for_in_all_channels() {
        let comment = |position: u64| {
            let event = Event::empty().with_comment("only a comment");
            let mut sequencer = Sequencer::new(Epoch(1), position - 1, EventIds::Assigned);
            NewEntry::of(&sequencer.publish(crate::broker::sequence::Audience::Everyone, &event))
        };
        let text = |position: u64| {
            let mut sequencer = Sequencer::new(Epoch(1), position - 1, EventIds::Assigned);
            let event = Event::new("text");
            NewEntry::of(&sequencer.publish(crate::broker::sequence::Audience::Everyone, &event))
        };
        for (last, expected) in [(comment(8), true), (text(8), false)] {
            let mut logs = [log(&[]), log(&[])];
            logs[0].push(0, last, &RETENTION);
            logs[1].push(0, text(5), &RETENTION);
            logs[1].push(0, comment(6), &RETENTION);
            let views = logs.each_ref().map(View::Log);
            let places = Places::new(&views, View::start);
            assert_eq!(ends_without_id(&views, &places, &sequencer()), expected);
            let own = Sequencer::new(Epoch(1), 9, EventIds::Own);
            assert!(!ends_without_id(&views, &places, &own), "there are no places then");
            assert!(is_anything_left(&views, Resumption::Live, &places, &own), "the text at 5");
        }
    }

    #[test]
    fn nothing_is_said_first_to_a_session_that_knows_its_place() {
        let request = SessionConfig::new();
        let complete = Resumption::Complete { replayed: 0 };
        assert_eq!(opening(&request, complete, None, &sequencer()), None);
        let frame = opening(&request, Resumption::Live, None, &sequencer()).unwrap();
        assert_eq!(frame.payload(), "id: 1-9\n\n");
    }
}

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

use crate::broker::config::{OnGap, OnUnknownId, StartAt};
use crate::broker::event::Resumption;
use crate::broker::sequence::{IdMeaning, Published, Sequencer};
use crate::broker::sessions::{History, Subscription};
use crate::broker::topics::View;
use crate::encode::Frame;
use crate::event::EventId;
use crate::last_event_id::LastEventId;
use crate::notice::{LossReason, Notice};
use alloc::vec::Vec;

/// What a session asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    last_event_id: &'a LastEventId,
    start: &'a StartAt,
    on_gap: OnGap,
    on_unknown_id: OnUnknownId,
    unseen: u64,
    history: Option<&'a History>,
}

/// How a session begins, or one of its later subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    resumption: Resumption,
    places: Places,
    notice: Notice,
    place: Option<u64>,
    open_at: Option<u64>,
    has_history: bool,
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
    Last,
    After(u64),
    Ahead(u64),
    Unknown,
    Malformed,
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
        let (on_unknown_id, history) = (OnUnknownId::StartAnew, None);
        Self { last_event_id, start, on_gap, on_unknown_id, unseen, history }
    }

    /// Goes on after what was read of a log outside, as if that were in memory.
    pub(crate) const fn with_history(mut self, history: Option<&'a History>) -> Self {
        self.history = history;
        self
    }

    /// Decides what is got for an id that leads nowhere. Otherwise [`OnUnknownId::StartAnew`].
    pub(crate) const fn with_unknown_id(mut self, on_unknown_id: OnUnknownId) -> Self {
        self.on_unknown_id = on_unknown_id;
        self
    }

    /// Returns whether something that was published after this position is kept no more.
    fn is_gap_after(&self, position: u64, views: &[View<'_>]) -> bool {
        self.unseen > position || views.iter().any(|view| view.lost_through() > position)
    }

    /// Returns how many events are missing for a session that knows all up to this position, and
    /// gets `replayed` of those after it; `None` if that is not known.
    fn lost_after(&self, position: u64, views: &[View<'_>], replayed: u64) -> Option<u64> {
        if self.unseen > position {
            return None;
        }
        let gone = views.iter().map(|view| view.lost_after(position)).sum::<Option<u64>>()?;
        let kept = Places::new(views, |view| view.cursor_after(position)).replayed(views);
        Some(gone + kept.saturating_sub(replayed)).filter(|lost| *lost > 0)
    }
}

impl Beginning {
    pub(crate) const fn resumption(&self) -> Resumption {
        self.resumption
    }

    pub(crate) const fn places(&self) -> &Places {
        &self.places
    }

    /// Returns what the peer is told of it.
    pub(crate) const fn notice(&self) -> Notice {
        self.notice
    }

    /// Returns from where a peer is to resume that got nothing but the notice. `None`: from where
    /// it did this time.
    pub(crate) const fn place(&self) -> Option<u64> {
        self.place
    }

    /// Returns the position that the last event id names, where that was not given out here yet.
    pub(crate) const fn ahead(&self) -> Option<u64> {
        if let Resumption::Ahead { .. } = self.resumption { self.open_at } else { None }
    }

    /// Returns the position after which something is missing in memory.
    pub(crate) const fn older(&self) -> Option<u64> {
        if let Resumption::Gap { .. } = self.resumption { self.open_at } else { None }
    }

    /// Returns whether the session gets what was read for it.
    pub(crate) const fn has_history(&self) -> bool {
        self.has_history
    }

    /// Leaves open how the session begins, until that is decided.
    #[cold]
    pub(crate) fn wait(&mut self) {
        self.resumption = Resumption::Waiting;
        self.places.cursors.fill(Subscription::NOWHERE);
        self.places.gone.clear();
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

    /// Returns whether there are events after the cursors.
    pub(crate) fn is_replayed(&self, views: &[View<'_>]) -> bool {
        self.first_position(views).is_some()
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

    /// Returns the position of the oldest of what is replayed.
    fn first_position(&self, views: &[View<'_>]) -> Option<u64> {
        let first = self.zip(views).filter_map(|(view, cursor)| view.from(cursor));
        first.map(|(_, entry)| entry.position()).min()
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
pub(crate) fn resume(views: &[View<'_>], wish: Wish<'_>, sequencer: &Sequencer) -> Beginning {
    // The event by whose id a place was found may be gone meanwhile.
    let after = |history: &History| Wanted::After(history.after());
    let wanted = wish.history.map_or_else(|| wanted(views, wish, sequencer), after);
    let oldest = || Places::new(views, View::start);
    let newest = || Places::new(views, View::end);
    let after = |position| Places::new(views, |view| view.cursor_after(position));
    // What a session gets that brings no id.
    let anew = || match wish.start {
        StartAt::Now => newest(),
        StartAt::Oldest => oldest(),
        StartAt::Last(count) => {
            oldest_of_last(views, *count).map_or_else(newest, |position| after(position - 1))
        }
        StartAt::After(id) => match place_of(id, views, sequencer) {
            Wanted::After(position) => after(position),
            _ => newest(),
        },
    };
    let (mut is_gap, mut history) = (true, None);
    let places = match wanted {
        Wanted::Now | Wanted::Oldest | Wanted::Last => anew(),
        Wanted::Forged => newest(),
        Wanted::After(position) => {
            let through = wish.history.map_or(position, History::through);
            is_gap = wish.is_gap_after(through, views)
                || wish.history.is_some_and(|history| history.missing() != Some(0));
            if is_gap && wish.on_gap == OnGap::StartNow {
                newest()
            } else {
                history = wish.history;
                after(through)
            }
        }
        // Otherwise an id of nonsense would gain what a forged place does not.
        Wanted::Unknown | Wanted::Malformed if sequencer.is_signing() => anew(),
        Wanted::Unknown | Wanted::Malformed | Wanted::Ahead(_) | Wanted::OtherEpoch => {
            match wish.on_unknown_id {
                OnUnknownId::StartAnew => anew(),
                OnUnknownId::ReplayKept => oldest(),
            }
        }
    };
    let replayed = places.replayed(views) + history.map_or(0, History::count);
    let gap = |lost, reason| Notice::Gap { replayed, lost, reason };
    let (resumption, notice) = match wanted {
        Wanted::Oldest => (Resumption::Oldest { replayed }, Notice::Kept { replayed }),
        Wanted::Last => (Resumption::Last { replayed }, Notice::Kept { replayed }),
        Wanted::Now => (Resumption::Live, Notice::Live),
        Wanted::Forged => (Resumption::Forged, gap(None, LossReason::ForgedId)),
        Wanted::Unknown => (Resumption::UnknownId { replayed }, gap(None, LossReason::UnknownId)),
        Wanted::Malformed => {
            (Resumption::UnknownId { replayed }, gap(None, LossReason::MalformedId))
        }
        Wanted::Ahead(_) => (Resumption::Ahead { replayed }, gap(None, LossReason::Ahead)),
        Wanted::OtherEpoch => (Resumption::OtherEpoch { replayed }, gap(None, LossReason::Restart)),
        Wanted::After(position) if is_gap => {
            let lost = match (wish.history, history) {
                (None, _) => wish.lost_after(position, views, replayed),
                (_, Some(history)) if !wish.is_gap_after(history.through(), views) => {
                    history.missing()
                }
                _ => None,
            };
            (Resumption::Gap { replayed }, gap(lost, LossReason::Retention))
        }
        Wanted::After(_) => (Resumption::Complete { replayed }, Notice::Complete { replayed }),
    };
    let first = history.and_then(History::next).map(Published::position);
    let first = first.or_else(|| places.first_position(views));
    let before_replay = first.map(|first| first.saturating_sub(1));
    let place = match (before_replay, wanted) {
        (None, _) => Some(sequencer.last()),
        (Some(_), Wanted::After(position)) if !is_gap => Some(position),
        // It asked for no more than what is kept, and by a place it might be told that something
        // is missing before that.
        (Some(before), Wanted::Oldest | Wanted::Last) if wish.is_gap_after(before, views) => None,
        (Some(before), _) => Some(before),
    };
    let open_at = match wanted {
        Wanted::Ahead(position) | Wanted::After(position) => Some(position),
        _ => None,
    };
    let has_history = history.is_some();
    Beginning { resumption, places, notice, place, open_at, has_history }
}

fn wanted(views: &[View<'_>], wish: Wish<'_>, sequencer: &Sequencer) -> Wanted {
    let id = match (wish.last_event_id, wish.start) {
        (LastEventId::Malformed, _) => return Wanted::Malformed,
        (LastEventId::Id(id), _) | (_, StartAt::After(id)) if !id.as_str().is_empty() => id,
        (_, StartAt::Oldest) => return Wanted::Oldest,
        (_, StartAt::Last(_)) => return Wanted::Last,
        _ => return Wanted::Now,
    };
    place_of(id, views, sequencer)
}

fn place_of(id: &EventId, views: &[View<'_>], sequencer: &Sequencer) -> Wanted {
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
        IdMeaning::At(_, position) if position > sequencer.last() => Wanted::Ahead(position),
        IdMeaning::At(_, position) => Wanted::After(position),
        IdMeaning::Unknown => Wanted::Unknown,
        IdMeaning::Forged => Wanted::Forged,
    }
}

/// Returns whether what is replayed ends with something that brings no id that every peer keeps, as
/// a comment does. A peer that gets that last is to be told its place, or it would come back for
/// the same when its topics have ended.
pub(crate) fn ends_without_id(views: &[View<'_>], places: &Places) -> bool {
    places.last(views, |_| true).is_some_and(has_no_id)
}

/// Returns whether a frame brings no id that every peer keeps.
pub(crate) fn has_no_id(frame: &Frame) -> bool {
    !(has_field(frame, b"id: ") && has_field(frame, b"data: "))
}

/// Returns whether a session whose topics have all ended is to be let in all the same: something
/// is left for it, or it is to be told that something may be missing. `tells_places` says whether
/// it is told its place.
pub(crate) fn is_anything_left(
    views: &[View<'_>],
    beginning: &Beginning,
    tells_places: bool,
) -> bool {
    if tells_places {
        beginning.resumption.replayed() > 0 || beginning.resumption.may_miss()
    } else {
        // Without an event it would learn nothing, so that it would come back for ever.
        beginning.places.last(views, |frame| has_field(frame, b"data: ")).is_some()
    }
}

fn has_field(frame: &Frame, field: &[u8]) -> bool {
    frame.as_ref().split(|byte| *byte == b'\n').any(|line| line.starts_with(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::config::Retention;
    use crate::broker::sequence::{Epoch, EventIds};
    use crate::broker::topics::{Log, NewEntry};
    use crate::event::Event;
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
    fn resumed<'a>(id: &'a LastEventId, change: impl Fn(&mut Wish<'a>)) -> (Resumption, Vec<u64>) {
        let logs = [log(&[3, 5, 9]), log(&[4, 7])];
        let views = logs.each_ref().map(View::Log);
        let mut wish = Wish::new(id, &StartAt::Now, OnGap::ReplayKept, 0);
        change(&mut wish);
        let beginning = resume(&views, wish, &sequencer());
        (beginning.resumption(), beginning.places().cursors().to_vec())
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
    fn an_id_that_leads_nowhere_gets_what_a_newcomer_gets() {
        let starts = [
            (StartAt::Now, 0, [3, 2]),
            (StartAt::Last(1), 1, [2, 2]),
            (StartAt::Oldest, 4, [1, 0]),
            (StartAt::After(EventId::new("1-7").unwrap()), 1, [2, 2]),
            (StartAt::After(EventId::new("1-99").unwrap()), 0, [3, 2]),
        ];
        for (start, replayed, cursors) in &starts {
            let (replayed, cursors) = (*replayed, cursors.to_vec());
            for (id, resumption) in [
                ("1-10", Resumption::Ahead { replayed }),
                ("2-5", Resumption::OtherEpoch { replayed }),
                ("no place", Resumption::UnknownId { replayed }),
                ("a\0b", Resumption::UnknownId { replayed }),
            ] {
                let id = LastEventId::from_header(id.as_bytes());
                let anew = resumed(&id, |wish| wish.start = start);
                assert_eq!(anew, (resumption, cursors.clone()), "{id:?}, {start:?}");
                let kept = resumed(&id, |wish| {
                    (wish.start, wish.on_unknown_id) = (start, OnUnknownId::ReplayKept);
                });
                assert_eq!(kept, (resumption.with_replayed(4), alloc::vec![1, 0]), "{id:?}");
            }
        }
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
            let beginning = resume(&views, wish, &sequencer());
            (beginning.resumption, beginning.places.cursors)
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
        let resumption = resume(&views, wish, &sequencer()).resumption();
        assert_eq!(resumption, Resumption::Complete { replayed: 1 }, "of the later event alone");
    }

    #[test]
    fn the_end_of_a_replay_is_looked_for_in_all_channels() {
        let comment = |position: u64| {
            let event = Event::comment("only a comment");
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
            let (id, oldest) = (LastEventId::Absent, StartAt::Oldest);
            let wish = Wish::new(&id, &oldest, OnGap::ReplayKept, 0);
            let beginning = resume(&views, wish, &sequencer());
            assert_eq!(ends_without_id(&views, beginning.places()), expected);
            assert!(is_anything_left(&views, &beginning, true));
            assert!(is_anything_left(&views, &beginning, false), "the text at 5");
        }
    }

    #[test]
    fn a_comment_alone_is_left_only_for_a_peer_that_is_told_its_place() {
        let mut sequencer = Sequencer::new(Epoch(1), 4, EventIds::Assigned);
        let everyone = crate::broker::sequence::Audience::Everyone;
        let comment = NewEntry::of(&sequencer.publish(everyone, &Event::comment("c")));
        let mut log = log(&[3]);
        log.push(0, comment, &RETENTION);
        let views = [View::Log(&log)];
        let id = LastEventId::from_header(b"1-3");
        let wish = Wish::new(&id, &StartAt::Now, OnGap::ReplayKept, 0);
        let beginning = resume(&views, wish, &sequencer);
        assert!(is_anything_left(&views, &beginning, true));
        assert!(!is_anything_left(&views, &beginning, false), "it would come back for ever");
    }

    /// What is told to a session that resumes as in [`resumed`], and its place.
    fn told(id: &str, change: impl Fn(&mut Wish<'_>)) -> (Notice, Option<u64>) {
        let logs = [log(&[3, 5, 9]), log(&[4, 7])];
        let views = logs.each_ref().map(View::Log);
        let id = LastEventId::from_header(id.as_bytes());
        let mut wish = Wish::new(&id, &StartAt::Now, OnGap::ReplayKept, 0);
        change(&mut wish);
        let beginning = resume(&views, wish, &sequencer());
        (beginning.notice(), beginning.place())
    }

    fn gap(replayed: u64, lost: Option<u64>, reason: LossReason) -> Notice {
        Notice::Gap { replayed, lost, reason }
    }

    #[test]
    fn a_peer_that_got_nothing_of_a_replay_resumes_before_it() {
        assert_eq!(told("1-3", |_| {}), (Notice::Complete { replayed: 4 }, Some(3)));
        assert_eq!(told("1-9", |_| {}), (Notice::Complete { replayed: 0 }, Some(9)));
        assert_eq!(told("", |_| {}), (Notice::Live, Some(9)));
        let lost = gap(4, Some(1), LossReason::Retention);
        assert_eq!(told("1-2", |_| {}), (lost, Some(3)), "from there on nothing is missing");
        assert_eq!(told("2-5", |_| {}), (gap(0, None, LossReason::Restart), Some(9)));
        let oldest = |wish: &mut Wish<'_>| wish.start = &StartAt::Oldest;
        assert_eq!(told("2-5", oldest), (gap(4, None, LossReason::Restart), Some(3)));
    }

    #[test]
    fn what_is_kept_begins_at_a_place_only_if_nothing_is_missing_from_there_on() {
        let oldest = |wish: &mut Wish<'_>| wish.start = &StartAt::Oldest;
        assert_eq!(told("", oldest), (Notice::Kept { replayed: 4 }, Some(3)));
        // Of the first, what was at 6 is lost, and the other keeps what is at 4.
        let logs = [log(&[6, 8, 9]), log(&[4, 7])];
        let views = logs.each_ref().map(View::Log);
        let start = StartAt::Oldest;
        let wish = Wish::new(&LastEventId::Absent, &start, OnGap::ReplayKept, 0);
        let beginning = resume(&views, wish, &sequencer());
        assert_eq!(beginning.notice(), Notice::Kept { replayed: 4 });
        assert_eq!(beginning.place(), None, "or a gap would be told in vain");
    }

    #[test]
    fn what_is_kept_and_not_replayed_is_missing_too() {
        let now = |wish: &mut Wish<'_>| wish.on_gap = OnGap::StartNow;
        assert_eq!(told("1-2", now), (gap(0, Some(5), LossReason::Retention), Some(9)));
        assert_eq!(told("2-2", now), (gap(0, None, LossReason::Restart), Some(9)));
    }

    #[test]
    fn how_many_are_missing_is_told_only_where_it_is_known() {
        let unseen = |wish: &mut Wish<'_>| wish.unseen = 6;
        assert_eq!(told("1-5", unseen).0, gap(2, None, LossReason::Retention));
        for (id, reason) in [
            ("no place", LossReason::UnknownId),
            ("a\0b", LossReason::MalformedId),
            ("1-10", LossReason::Ahead),
        ] {
            assert_eq!(told(id, |_| {}).0, gap(0, None, reason), "{id:?}");
        }
    }
}

//! What a session has only at times: how it begins and ends, what it replays, and what it lost.
//!
//! ```text
//!     Extras ──► nothing                      most sessions, most of the time
//!            └─► a box, while something is in it
//! ```

use super::ahead::Ahead;
use super::history::History;
use crate::broker::config::{Lag, Setting, StartAt};
use crate::broker::event::EndReason;
use crate::encode::Frame;
use crate::event::EventType;
use crate::notice::LossReason;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What most sessions do without, most of the time.
#[derive(Debug, Default)]
pub(crate) struct Extras(Option<Box<Content>>);

#[derive(Debug, Default)]
struct Content {
    /// What goes out before any event.
    opening: Option<Frame>,
    /// What is missing from what later subscriptions replay.
    late_gap: Option<LateGap>,
    /// The subscription to the session's own channel.
    own: Option<u32>,
    /// While its place is not decided yet: what it asked for.
    ahead: Option<Box<Ahead>>,
    /// What was read for it of a log outside, which goes out before what is in memory.
    history: Option<Box<History>>,
    /// Set when the session is to end as soon as it has what was published before.
    ending: Option<Box<Ending>>,
    /// What is replayed with exceptions.
    backlogs: Vec<Backlog>,
    /// What was replayed brought ids from before the session's place, which it is to be told when
    /// there is nothing else.
    is_place_due: bool,
    /// Through which position it was replayed events, while it has not got them all: those are
    /// within any bounds. 0 if none were, or where no bound can be set.
    replayed_through: u64,
    /// By the number of the subscription: how many lost events after its cursor are counted
    /// already. None of these is 0.
    gone: Vec<(u32, u64)>,
    lag: Option<Box<LagState>>,
    /// Whether a publisher waits for it.
    is_awaited: bool,
    /// Whether publishers no longer wait for it, since it took nothing for too long.
    is_passed_over: bool,
    /// Through which positions something may be lost to all, of which it is to be told.
    cuts: VecDeque<u64>,
}

/// How many cuts a session is told one by one that takes nothing meanwhile. Then the newest ones are
/// told as one, at the last of their places.
const CUTS: usize = 8;

/// What only sessions have that are behind, or that chose a lag of their own.
#[derive(Debug, Default)]
struct LagState {
    /// Its own lag, where that has bounds.
    lag: Option<Lag>,
    /// By which type of event it is told of its place and of losses, where it chose that.
    notices: Setting<EventType>,
    /// What it is to be told.
    loss: Option<Loss>,
    /// How many superseded events its newest batch passed, of which a part may be taken back.
    uncounted: u64,
}

/// Events that a session did not get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    before: u64,
    lost: Option<u64>,
    /// Whether some of them are lost by a pattern, by which an event may be lost that is lost by
    /// another subscription as well.
    by_pattern: bool,
}

/// What is missing from what later subscriptions replay, which is told before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateGap {
    pub(crate) replayed: u64,
    /// `None` if that is not known.
    pub(crate) lost: Option<u64>,
    /// Of the first of them.
    pub(crate) reason: LossReason,
}

/// How a session ends that gets the rest first. Nothing published later is for it, so that it
/// cannot fall behind by that either.
#[derive(Debug)]
pub(crate) struct Ending {
    reason: EndReason,
    /// The last position that it gets.
    through: u64,
    /// The position from which its peer is to resume that has got everything.
    place: u64,
    /// By the number of the subscription, where its channel ended then.
    limits: Vec<u64>,
    /// What it gets after all that.
    last_words: Option<Frame>,
}

/// What a late subscription to a pattern replays, without the topics that the session had before.
#[derive(Debug)]
pub(crate) struct Backlog {
    subscription: u32,
    /// By their numbers from the cursor on, the events of topics to which it had subscribed before.
    excluded: VecDeque<u64>,
}

impl Extras {
    /// Returns whether there is anything.
    #[inline]
    pub(crate) const fn is_any(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(crate) fn set_opening(&mut self, opening: Frame) {
        self.content_mut().opening = Some(opening);
    }

    pub(crate) fn take_opening(&mut self) -> Option<Frame> {
        let opening = self.0.as_deref_mut()?.opening.take();
        self.tidy();
        opening
    }

    /// Returns whether something goes out before any event.
    pub(super) fn has_first_words(&self) -> bool {
        self.content().is_some_and(|content| content.opening.is_some())
            || self.has_late_gap()
            || self.history().is_some_and(History::is_pending)
    }

    /// Adds to what is missing from what later subscriptions replay.
    pub(crate) fn add_late_gap(&mut self, gap: LateGap) {
        let content = self.content_mut();
        content.late_gap = Some(match content.late_gap {
            None => gap,
            Some(earlier) => LateGap {
                replayed: earlier.replayed.saturating_add(gap.replayed),
                lost: sum(earlier.lost, gap.lost),
                reason: earlier.reason,
            },
        });
    }

    pub(crate) fn has_late_gap(&self) -> bool {
        self.content().is_some_and(|content| content.late_gap.is_some())
    }

    pub(crate) fn take_late_gap(&mut self) -> Option<LateGap> {
        let gap = self.0.as_deref_mut()?.late_gap.take();
        self.tidy();
        gap
    }

    /// Records that the session is to be told its place when there is nothing else.
    pub(crate) fn owe_place(&mut self) {
        self.content_mut().is_place_due = true;
    }

    /// Returns whether the session is to be told its place; once.
    pub(crate) fn take_place_due(&mut self) -> bool {
        let Some(content) = &mut self.0 else { return false };
        let is_due = core::mem::take(&mut content.is_place_due);
        self.tidy();
        is_due
    }

    /// Adds to what the session is to be told that it lost.
    pub(crate) fn add_loss(&mut self, more: Loss) {
        let through = self.ending().map_or(u64::MAX, |ending| ending.through);
        let more = Loss { before: more.before.min(through), ..more };
        let state = self.lag_state_mut();
        state.loss = Some(state.loss.map_or(more, |loss| loss.and(more)));
    }

    pub(crate) fn loss(&self) -> Option<Loss> {
        self.lag_state()?.loss
    }

    pub(crate) fn take_loss(&mut self) -> Option<Loss> {
        let loss = self.0.as_deref_mut()?.lag.as_mut()?.loss.take();
        self.tidy();
        loss
    }

    /// Records that something up to this position may be lost, of which the session is to be told
    /// when it has got what came before.
    pub(crate) fn add_cut(&mut self, through: u64) {
        let cuts = &mut self.content_mut().cuts;
        if cuts.len() == CUTS {
            cuts.pop_back();
        }
        cuts.push_back(through);
    }

    /// Returns through which position something may be lost, of which the session is to be told
    /// first.
    #[inline]
    pub(crate) fn cut(&self) -> Option<u64> {
        self.content()?.cuts.front().copied()
    }

    /// As [`cut`](Self::cut); once.
    pub(crate) fn take_cut(&mut self) -> Option<u64> {
        let cut = self.0.as_deref_mut()?.cuts.pop_front();
        self.tidy();
        cut
    }

    /// Returns by which type of event the session is told of its place and of losses; `None` where
    /// it is told nothing. `usual` is what holds for sessions that chose nothing.
    pub(crate) fn notices<'a>(&'a self, usual: Option<&'a EventType>) -> Option<&'a EventType> {
        self.lag_state().map_or(usual, |state| state.notices.as_ref().or(usual))
    }

    /// Returns the lag that the session chose for itself, where that has bounds.
    pub(crate) fn lag(&self) -> Option<Lag> {
        self.lag_state()?.lag
    }

    /// Sets the lag that the session chose for itself, where that has bounds, and by which type of
    /// event it is told of its place and of losses.
    pub(super) fn set_choices(&mut self, lag: Option<Lag>, notices: Setting<EventType>) {
        if lag.is_some() || !notices.is_default() {
            let state = self.lag_state_mut();
            (state.lag, state.notices) = (lag, notices);
        }
    }

    /// Sets how many events the newest batch passed that need not be delivered: they are counted
    /// when nothing of it can be taken back any more.
    pub(crate) fn set_uncounted(&mut self, count: u64) {
        if count > 0 {
            self.lag_state_mut().uncounted = count;
        }
    }

    pub(crate) fn take_uncounted(&mut self) -> u64 {
        let state = self.0.as_deref_mut().and_then(|content| content.lag.as_mut());
        let count = state.map_or(0, |state| core::mem::take(&mut state.uncounted));
        if count > 0 {
            self.tidy();
        }
        count
    }

    /// Returns the number of the subscription to the session's own channel.
    pub(super) fn own(&self) -> Option<u32> {
        self.content()?.own
    }

    pub(super) fn set_own(&mut self, number: u32) {
        self.content_mut().own = Some(number);
    }

    /// Forgets what belongs to a subscription that is gone.
    pub(super) fn forget(&mut self, number: u32) {
        self.set_gone(number, 0);
        if let Some(content) = &mut self.0 {
            if let Some(ahead) = &mut content.ahead {
                ahead.forget(number);
            }
            if let Some(history) = &mut content.history {
                history.forget(number);
            }
            content.backlogs.retain(|backlog| backlog.subscription != number);
            self.tidy();
        }
    }

    /// Returns whether its place is not decided yet.
    #[inline]
    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead().is_some()
    }

    /// Returns what it asked for, while its place is not decided yet.
    pub(super) fn ahead(&self) -> Option<&Ahead> {
        self.content()?.ahead.as_deref()
    }

    pub(super) fn ahead_mut(&mut self) -> Option<&mut Ahead> {
        self.0.as_deref_mut()?.ahead.as_deref_mut()
    }

    pub(crate) fn set_ahead(&mut self, ahead: Ahead) {
        self.content_mut().ahead = Some(Box::new(ahead));
    }

    pub(super) fn take_ahead(&mut self) -> Option<Box<Ahead>> {
        let ahead = self.0.as_deref_mut()?.ahead.take();
        self.tidy();
        ahead
    }

    /// Returns what was read for it, and not handed over for good.
    #[inline]
    pub(crate) fn history(&self) -> Option<&History> {
        self.content()?.history.as_deref()
    }

    pub(crate) fn history_mut(&mut self) -> Option<&mut History> {
        self.0.as_deref_mut()?.history.as_deref_mut()
    }

    pub(crate) fn set_history(&mut self, history: Box<History>) {
        self.content_mut().history = Some(history);
    }

    /// Gives back what cannot come back any more of what was read for it.
    pub(crate) fn let_history_go(&mut self) {
        let Some(history) = self.history_mut() else { return };
        history.let_go();
        if !history.is_pending()
            && let Some(content) = &mut self.0
        {
            content.history = None;
            self.tidy();
        }
    }

    /// Lets a subscription that was made while the session is ahead be decided with the others.
    pub(crate) fn add_late(&mut self, number: u32, start: StartAt) {
        if let Some(ahead) = self.0.as_deref_mut().and_then(|content| content.ahead.as_mut()) {
            ahead.add_late(number, start);
        }
    }

    /// Returns how the session ends, if it is to.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.content()?.ending.as_deref()
    }

    /// Lets the session have what there is up to `limits`, and then its end.
    pub(super) fn set_ending(&mut self, ending: Ending) {
        self.content_mut().ending = Some(Box::new(ending));
    }

    /// Returns up to which number of a channel the session is to get events.
    #[inline]
    pub(crate) fn limit(&self, number: u32) -> u64 {
        self.ending()
            .map_or(u64::MAX, |ending| ending.limits.get(number as usize).copied().unwrap_or(0))
    }

    pub(crate) fn take_last_words(&mut self) -> Option<Frame> {
        self.0.as_deref_mut()?.ending.as_mut()?.last_words.take()
    }

    pub(crate) fn has_backlogs(&self) -> bool {
        self.content().is_some_and(|content| !content.backlogs.is_empty())
    }

    pub(crate) fn backlog(&self, number: u32) -> Option<&Backlog> {
        let backlogs = &self.content()?.backlogs;
        backlogs.iter().find(|backlog| backlog.subscription == number)
    }

    /// Excludes these numbers from what is replayed by a subscription.
    pub(crate) fn exclude(&mut self, number: u32, excluded: Vec<u64>) {
        if !excluded.is_empty() {
            let backlog = Backlog { subscription: number, excluded: excluded.into() };
            self.content_mut().backlogs.push(backlog);
        }
    }

    /// Forgets what a backlog excludes before `cursor`.
    pub(crate) fn pass_backlog(&mut self, number: u32, cursor: u64) {
        let Some(content) = self.0.as_deref_mut().filter(|content| !content.backlogs.is_empty())
        else {
            return;
        };
        for one in content.backlogs.iter_mut().filter(|one| one.subscription == number) {
            let passed = one.excluded.partition_point(|number| *number < cursor);
            one.excluded.drain(..passed);
        }
        content.backlogs.retain(|one| !one.excluded.is_empty());
        self.tidy();
    }

    pub(crate) fn has_gone(&self) -> bool {
        self.content().is_some_and(|content| !content.gone.is_empty())
    }

    /// Returns how many lost events after the subscription's cursor are counted already.
    pub(crate) fn gone(&self, number: u32) -> u64 {
        let gone = self.content().map_or(&[][..], |content| &content.gone);
        gone.iter().find(|(one, _)| *one == number).map_or(0, |(_, count)| *count)
    }

    pub(crate) fn set_gone(&mut self, number: u32, count: u64) {
        if count == 0 && !self.has_gone() {
            return;
        }
        let content = self.content_mut();
        content.gone.retain(|(one, _)| *one != number);
        if count > 0 {
            content.gone.push((number, count));
        }
        self.tidy();
    }

    pub(crate) fn replayed_through(&self) -> u64 {
        self.content().map_or(0, |content| content.replayed_through)
    }

    /// Sets through which position events are replayed, while the session has not got them all;
    /// 0 once it has.
    pub(crate) fn set_replayed_through(&mut self, position: u64) {
        if position != self.replayed_through() {
            self.content_mut().replayed_through = position;
            self.tidy();
        }
    }

    /// Returns whether publishers are to know when it takes something.
    pub(crate) fn is_watched(&self) -> bool {
        self.content().is_some_and(|content| content.is_awaited || content.is_passed_over)
    }

    /// Records whether a publisher waits for the session.
    pub(crate) fn set_awaited(&mut self, is_awaited: bool) {
        if is_awaited || self.is_any() {
            self.content_mut().is_awaited = is_awaited;
            self.tidy();
        }
    }

    /// Records that publishers wait for the session no more, until it takes something.
    pub(crate) fn pass_over(&mut self) {
        self.content_mut().is_passed_over = true;
    }

    /// Returns whether publishers did not wait for the session; once.
    pub(crate) fn take_passed_over(&mut self) -> bool {
        let Some(content) = &mut self.0 else { return false };
        let was_passed_over = core::mem::take(&mut content.is_passed_over);
        self.tidy();
        was_passed_over
    }

    fn lag_state(&self) -> Option<&LagState> {
        self.content()?.lag.as_deref()
    }

    fn lag_state_mut(&mut self) -> &mut LagState {
        self.content_mut().lag.get_or_insert_default()
    }

    fn content(&self) -> Option<&Content> {
        self.0.as_deref()
    }

    fn content_mut(&mut self) -> &mut Content {
        self.0.get_or_insert_default()
    }

    /// Gives the room back when there is nothing in it any more.
    fn tidy(&mut self) {
        if let Some(content) = &mut self.0 {
            if content.lag.as_ref().is_some_and(|state| state.is_empty()) {
                content.lag = None;
            }
            if content.is_empty() {
                self.0 = None;
            }
        }
    }
}

impl Content {
    fn is_empty(&self) -> bool {
        self.opening.is_none()
            && self.late_gap.is_none()
            && self.own.is_none()
            && self.ahead.is_none()
            && self.history.is_none()
            && self.ending.is_none()
            && self.backlogs.is_empty()
            && !self.is_place_due
            && self.replayed_through == 0
            && self.gone.is_empty()
            && self.lag.is_none()
            && !self.is_awaited
            && !self.is_passed_over
            && self.cuts.is_empty()
    }
}

impl LagState {
    fn is_empty(&self) -> bool {
        self.lag.is_none()
            && self.notices.is_default()
            && self.loss.is_none()
            && self.uncounted == 0
    }
}

impl Loss {
    /// Makes the loss of `lost` events, the first of them after the position `before`; `None` if it
    /// is not known how many.
    pub(crate) const fn new(before: u64, lost: Option<u64>, by_pattern: bool) -> Self {
        Self { before, lost, by_pattern }
    }

    /// Returns both losses as one.
    pub(crate) fn and(self, other: Self) -> Self {
        let by_pattern = self.by_pattern || other.by_pattern;
        // By a pattern, the same event may be in both.
        let lost = if by_pattern { None } else { sum(self.lost, other.lost) };
        Self { before: self.before.min(other.before), lost, by_pattern }
    }

    /// Returns the position after which the first event comes that the session gets after the first
    /// hole.
    pub(crate) const fn before(&self) -> u64 {
        self.before
    }

    /// Returns how many events are lost; `None` if that is not known.
    pub(crate) const fn lost(&self) -> Option<u64> {
        self.lost
    }
}

impl Ending {
    /// Makes the end of a session that gets what there is through a position, and before `limits`.
    pub(crate) const fn new(reason: EndReason, through: u64, limits: Vec<u64>) -> Self {
        Self { reason, through, place: through, limits, last_words: None }
    }

    /// Sets from where its peer is to resume, where that is not the last position that it gets.
    pub(super) fn with_place(self, place: u64) -> Self {
        Self { place, ..self }
    }

    /// Sets what it gets after all that.
    pub(super) fn with_last_words(self, last_words: Option<Frame>) -> Self {
        Self { last_words, ..self }
    }

    /// Returns the position from which its peer is to resume that has got everything.
    pub(crate) const fn place(&self) -> u64 {
        self.place
    }

    pub(crate) const fn reason(&self) -> EndReason {
        self.reason
    }

    /// Returns the last position that the session gets.
    #[inline]
    pub(crate) const fn through(&self) -> u64 {
        self.through
    }
}

impl Backlog {
    pub(crate) fn excludes(&self, number: u64) -> bool {
        self.excluded.binary_search(&number).is_ok()
    }

    /// Returns the numbers from `start` to `end` that it excludes.
    pub(crate) fn between(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        let first = self.excluded.partition_point(|number| *number < start);
        self.excluded.range(first..).copied().take_while(move |number| *number < end)
    }
}

fn sum(first: Option<u64>, second: Option<u64>) -> Option<u64> {
    first?.checked_add(second?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_forgets_what_was_passed_and_goes_when_nothing_is_left() {
        let mut extras = Extras::default();
        extras.exclude(0, alloc::vec![3, 5, 8]);
        extras.pass_backlog(0, 5);
        let backlog = extras.backlog(0).unwrap();
        assert!(!backlog.excludes(3) && backlog.excludes(5) && !backlog.excludes(6));
        assert_eq!(backlog.between(5, 8).collect::<Vec<_>>(), [5]);
        extras.pass_backlog(0, 9);
        assert!(!extras.is_any());
    }

    #[test]
    fn losses_add_up_from_the_first_hole_on() {
        let mut extras = Extras::default();
        extras.add_loss(Loss::new(20, Some(3), false));
        extras.add_loss(Loss::new(10, Some(4), false));
        let loss = extras.take_loss().unwrap();
        assert_eq!((loss.before(), loss.lost()), (10, Some(7)));
        assert!(extras.loss().is_none() && !extras.is_any());
    }

    #[test]
    fn what_may_be_counted_twice_is_not_told_as_a_number() {
        let of = |lost, by_pattern| Loss::new(1, lost, by_pattern);
        assert_eq!(of(Some(3), true).lost(), Some(3));
        assert_eq!(of(Some(3), true).and(of(Some(1), false)).lost(), None);
        assert_eq!(of(Some(3), false).and(of(None, false)).lost(), None);
    }

    #[test]
    fn gaps_of_several_late_subscriptions_are_told_as_one() {
        let mut extras = Extras::default();
        let gap = |replayed, lost, reason| LateGap { replayed, lost, reason };
        extras.add_late_gap(gap(2, Some(3), LossReason::Retention));
        extras.add_late_gap(gap(1, Some(4), LossReason::Restart));
        assert!(extras.has_late_gap());
        assert_eq!(extras.take_late_gap(), Some(gap(3, Some(7), LossReason::Retention)));
        assert!(extras.take_late_gap().is_none() && !extras.is_any());
    }

    #[test]
    fn a_session_that_ends_gets_nothing_from_beyond_its_limits() {
        let mut extras = Extras::default();
        assert_eq!(extras.limit(1), u64::MAX);
        extras.set_ending(Ending::new(EndReason::Closed, 9, alloc::vec![4, 6]));
        assert_eq!((extras.limit(0), extras.limit(1), extras.limit(2)), (4, 6, 0));
        extras.add_loss(Loss::new(20, Some(1), false));
        assert_eq!(extras.loss().unwrap().before(), 9);
    }
}

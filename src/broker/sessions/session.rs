//! One session: its places in its channels, what it is still to be told, and how it ends.
//!
//! A session is small, since there are many. What few sessions have, or have only at times, is in a
//! box that is there while something is in it.

use super::subscription::Subscription;
use super::terms::{Lease, Terms};
use crate::broker::arena::Key;
use crate::broker::clock::Tick;
use crate::broker::config::{Lag, LagPolicy, Setting};
use crate::broker::event::EndReason;
use crate::broker::names::{TopicFilter, TopicName};
use crate::broker::topics::{Kind, News, Topics, Waiting};
use crate::encode::Frame;
use crate::event::EventType;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A deadline that is not set.
const NEVER: Tick = Tick::MAX;

#[derive(Debug)]
pub(crate) struct Session {
    client: Option<Key>,
    /// The channel for everyone first, if the session has it, then topics and patterns, then its
    /// client's channel; what is added later comes after these, or in a vacant place.
    subscriptions: Box<[Subscription]>,
    extras: Option<Box<Extras>>,
    terms: Option<Box<Terms>>,
    /// The lag policy that the session chose for itself. The bounds that it chose are in
    /// [`LagState`].
    lag_policy: Option<LagPolicy>,
    phase: Phase,
    /// The ready queue holds an entry that names this session itself: never more than one, also
    /// where a poll was faster and the entry tells nothing any more.
    queued: bool,
    heartbeat_due: bool,
    /// Counts the polls, so that a batch of an earlier one is known as such.
    poll: u32,
    sent_at: Tick,
    polled_at: Tick,
    /// When its timer comes up.
    armed: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has, or may have, output, and its driver knows.
    Ready,
    /// It has output of its own; the ready queue holds an entry that will say so.
    Woken,
    /// It had none when last asked; each of its subscriptions is on its channel's waiting list.
    Parked,
}

/// What most sessions do without, most of the time.
#[derive(Debug, Default)]
struct Extras {
    /// What goes out before any event.
    opening: Option<Frame>,
    /// The subscription to the session's own channel.
    own: Option<u32>,
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
}

/// What only sessions have that are behind, or that chose a lag of their own.
#[derive(Debug, Default)]
struct LagState {
    /// Its own lag, where that has bounds.
    lag: Option<Lag>,
    /// How it is told of losses, where it chose that.
    announcement: Setting<EventType>,
    /// What it is to be told.
    loss: Option<Loss>,
    /// How many superseded events its newest batch passed, of which a part may be taken back.
    uncounted: u64,
}

/// Events that a session did not get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    before: u64,
    lost: u64,
}

/// How a session ends that gets the rest first. Nothing published later is for it, so that it
/// cannot fall behind by that either.
#[derive(Debug)]
pub(crate) struct Ending {
    reason: EndReason,
    /// The last position that it gets.
    through: u64,
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

impl Session {
    pub(crate) fn new(now: Tick, client: Option<Key>, subscriptions: Vec<Subscription>) -> Self {
        Self {
            client,
            subscriptions: subscriptions.into(),
            extras: None,
            terms: None,
            lag_policy: None,
            phase: Phase::Ready,
            queued: false,
            heartbeat_due: false,
            poll: 0,
            sent_at: now,
            polled_at: now,
            armed: NEVER,
        }
    }

    /// Sets how far it may be behind, and how it is told of losses, where that is its own.
    pub(crate) fn set_lag(&mut self, lag: Option<Lag>, announcement: Setting<EventType>) {
        self.lag_policy = lag.map(|lag| lag.policy);
        let lag = lag.filter(Lag::is_bounded);
        if lag.is_some() || !announcement.is_default() {
            let state = self.lag_state_mut();
            (state.lag, state.announcement) = (lag, announcement);
        }
    }

    pub(crate) fn set_terms(&mut self, terms: Option<Box<Terms>>) {
        self.terms = terms;
    }

    #[inline]
    pub(crate) const fn client(&self) -> Option<Key> {
        self.client
    }
}

/// Subscriptions.
impl Session {
    #[inline]
    pub(crate) fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Returns the subscription with this number, unless its place is vacant.
    #[inline]
    pub(crate) fn subscription(&self, number: u32) -> Option<&Subscription> {
        self.subscriptions.get(number as usize).filter(|one| !one.is_vacant())
    }

    #[inline]
    pub(crate) fn subscription_mut(&mut self, number: u32) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(number as usize).filter(|one| !one.is_vacant())
    }

    /// Returns the numbers of its subscriptions, each with its channel.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (u32, u32)> {
        let taken = (0..).zip(&self.subscriptions).filter(|(_, one)| !one.is_vacant());
        taken.map(|(number, one)| (number, one.channel()))
    }

    /// Returns how many numbers its subscriptions take, vacant places included.
    #[inline]
    pub(crate) fn numbers(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "max_topics_per_session is a u32")]
        let numbers = self.subscriptions.len() as u32;
        numbers
    }

    /// Adds a subscription in a vacant place, or at the end. Returns its number.
    ///
    /// What the newest batch moved is no longer known by number then: it cannot be taken back.
    pub(crate) fn add(&mut self, subscription: Subscription) -> u32 {
        let vacant = self.subscriptions.iter().position(Subscription::is_vacant);
        self.forget_batch();
        match vacant
            .and_then(|vacant| self.subscriptions.get_mut(vacant).zip(u32::try_from(vacant).ok()))
        {
            Some((place, number)) => {
                *place = subscription;
                number
            }
            None => self.append(subscription),
        }
    }

    /// Adds the subscription to the session's own channel, at the end, so that a batch under way
    /// stays valid.
    pub(crate) fn add_own(&mut self, subscription: Subscription) {
        let number = self.append(subscription);
        self.extras_mut().own = Some(number);
    }

    fn append(&mut self, subscription: Subscription) -> u32 {
        let number = self.numbers();
        self.change_subscriptions(|all| {
            all.reserve_exact(1);
            all.push(subscription);
        });
        number
    }

    /// Removes a subscription and leaves its place vacant, since the others are known by their
    /// numbers.
    pub(super) fn remove(&mut self, number: u32) -> Option<Subscription> {
        let place = self.subscription_mut(number)?;
        let removed = core::mem::replace(place, Subscription::VACANT);
        self.set_gone(number, 0);
        if let Some(extras) = &mut self.extras {
            extras.backlogs.retain(|backlog| backlog.subscription != number);
            self.tidy();
        }
        if self.subscriptions.last().is_some_and(Subscription::is_vacant) {
            self.change_subscriptions(|all| {
                while all.last().is_some_and(Subscription::is_vacant) {
                    all.pop();
                }
            });
        }
        Some(removed)
    }

    fn change_subscriptions(&mut self, change: impl FnOnce(&mut Vec<Subscription>)) {
        let mut all = core::mem::take(&mut self.subscriptions).into_vec();
        change(&mut all);
        self.subscriptions = all.into();
    }

    /// Returns the subscription to the session's own channel.
    pub(crate) fn own(&self) -> Option<&Subscription> {
        self.subscription(self.extras.as_ref()?.own?)
    }

    /// Returns up to which number of a channel the session is to get events.
    #[inline]
    pub(crate) fn limit(&self, number: u32) -> u64 {
        self.ending()
            .map_or(u64::MAX, |ending| ending.limits.get(number as usize).copied().unwrap_or(0))
    }
}

/// What is replayed with exceptions, and what is gone of it.
impl Session {
    pub(crate) fn has_backlogs(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !extras.backlogs.is_empty())
    }

    pub(crate) fn backlog(&self, number: u32) -> Option<&Backlog> {
        let backlogs = &self.extras.as_ref()?.backlogs;
        backlogs.iter().find(|backlog| backlog.subscription == number)
    }

    /// Excludes these numbers from what is replayed by a subscription.
    pub(crate) fn exclude(&mut self, number: u32, excluded: Vec<u64>) {
        if !excluded.is_empty() {
            let backlog = Backlog { subscription: number, excluded: excluded.into() };
            self.extras_mut().backlogs.push(backlog);
        }
    }

    /// Forgets what a backlog excludes before `cursor`.
    pub(crate) fn pass_backlog(&mut self, number: u32, cursor: u64) {
        let Some(extras) = self.extras.as_mut().filter(|extras| !extras.backlogs.is_empty()) else {
            return;
        };
        for one in extras.backlogs.iter_mut().filter(|one| one.subscription == number) {
            let passed = one.excluded.partition_point(|number| *number < cursor);
            one.excluded.drain(..passed);
        }
        extras.backlogs.retain(|one| !one.excluded.is_empty());
        self.tidy();
    }

    pub(crate) fn has_gone(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !extras.gone.is_empty())
    }

    /// Returns how many lost events after the subscription's cursor are counted already.
    pub(crate) fn gone(&self, number: u32) -> u64 {
        let gone = self.extras.as_ref().map_or(&[][..], |extras| &extras.gone);
        gone.iter().find(|(one, _)| *one == number).map_or(0, |(_, count)| *count)
    }

    pub(crate) fn set_gone(&mut self, number: u32, count: u64) {
        if count == 0 && !self.has_gone() {
            return;
        }
        let extras = self.extras_mut();
        extras.gone.retain(|(one, _)| *one != number);
        if count > 0 {
            extras.gone.push((number, count));
        }
        self.tidy();
    }

    pub(crate) fn replayed_through(&self) -> u64 {
        self.extras.as_ref().map_or(0, |extras| extras.replayed_through)
    }

    /// Sets through which position events are replayed, while the session has not got them all;
    /// 0 once it has.
    pub(crate) fn set_replayed_through(&mut self, position: u64) {
        if position != self.replayed_through() {
            self.extras_mut().replayed_through = position;
            self.tidy();
        }
    }
}

/// What it is to be told.
impl Session {
    /// Returns whether more is to be seen to than cursors.
    #[inline]
    pub(crate) const fn has_extras(&self) -> bool {
        self.extras.is_some()
    }

    pub(crate) fn set_opening(&mut self, opening: Frame) {
        self.extras_mut().opening = Some(opening);
    }

    pub(crate) fn take_opening(&mut self) -> Option<Frame> {
        let opening = self.extras.as_mut()?.opening.take();
        self.tidy();
        opening
    }

    /// Records that the session is to be told its place when there is nothing else.
    pub(crate) fn owe_place(&mut self) {
        self.extras_mut().is_place_due = true;
    }

    /// Returns whether the session is to be told its place; once.
    pub(crate) fn take_place_due(&mut self) -> bool {
        let Some(extras) = &mut self.extras else { return false };
        let is_due = core::mem::take(&mut extras.is_place_due);
        self.tidy();
        is_due
    }

    /// Adds to what the session is to be told that it lost: `more` events, the first of them after
    /// the position `before`.
    pub(crate) fn add_loss(&mut self, before: u64, more: u64) {
        let before = self.ending().map_or(before, |ending| before.min(ending.through));
        let loss = self.lag_state_mut().loss.get_or_insert(Loss { before, lost: 0 });
        loss.lost += more;
        loss.before = loss.before.min(before);
    }

    pub(crate) fn loss(&self) -> Option<Loss> {
        self.lag_state()?.loss
    }

    pub(crate) fn take_loss(&mut self) -> Option<Loss> {
        let loss = self.extras.as_mut()?.lag.as_mut()?.loss.take();
        self.tidy();
        loss
    }

    /// Returns by which type of event the session is told of losses; `None` where it is told
    /// nothing. `usual` is what holds for sessions that chose nothing.
    pub(crate) fn announcement<'a>(
        &'a self,
        usual: Option<&'a EventType>,
    ) -> Option<&'a EventType> {
        self.lag_state().map_or(usual, |state| state.announcement.as_ref().or(usual))
    }

    /// Returns the lag that the session chose for itself.
    pub(crate) fn lag(&self) -> Option<Lag> {
        let policy = self.lag_policy?;
        Some(self.lag_state().and_then(|state| state.lag).unwrap_or(Lag::new(policy)))
    }

    /// Sets how many events the newest batch passed that need not be delivered: they are counted
    /// when nothing of it can be taken back any more.
    pub(crate) fn set_uncounted(&mut self, count: u64) {
        if count > 0 {
            self.lag_state_mut().uncounted = count;
        }
    }

    pub(crate) fn take_uncounted(&mut self) -> u64 {
        let state = self.extras.as_mut().and_then(|extras| extras.lag.as_mut());
        let count = state.map_or(0, |state| core::mem::take(&mut state.uncounted));
        if count > 0 {
            self.tidy();
        }
        count
    }

    fn lag_state(&self) -> Option<&LagState> {
        self.extras.as_ref()?.lag.as_deref()
    }

    fn lag_state_mut(&mut self) -> &mut LagState {
        self.extras_mut().lag.get_or_insert_default()
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Gives the room back when there is nothing in it any more.
    fn tidy(&mut self) {
        if let Some(extras) = &mut self.extras {
            if extras.lag.as_ref().is_some_and(|state| state.is_empty()) {
                extras.lag = None;
            }
            if extras.is_empty() {
                self.extras = None;
            }
        }
    }
}

/// How it ends.
impl Session {
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.extras.as_ref()?.ending.as_deref()
    }

    /// Lets the session have what there is up to `limits`, and then its end.
    pub(super) fn set_ending(
        &mut self,
        reason: EndReason,
        through: u64,
        limits: Vec<u64>,
        last_words: Option<Frame>,
    ) {
        let ending = Ending { reason, through, limits, last_words };
        self.extras_mut().ending = Some(Box::new(ending));
    }

    pub(crate) fn take_last_words(&mut self) -> Option<Frame> {
        self.extras.as_mut()?.ending.as_mut()?.last_words.take()
    }
}

/// Polls and deadlines.
impl Session {
    #[inline]
    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    #[inline]
    pub(super) const fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    pub(super) const fn is_queued(&self) -> bool {
        self.queued
    }

    /// Sets whether the ready queue names the session itself. Returns whether it did.
    pub(super) const fn set_queued(&mut self, queued: bool) -> bool {
        core::mem::replace(&mut self.queued, queued)
    }

    /// Records that the driver asks for output, by which the session has not stalled. Returns the
    /// number of the poll.
    #[inline]
    pub(crate) const fn begin_poll(&mut self, now: Tick) -> u32 {
        self.polled_at = now;
        self.poll = self.poll.wrapping_add(1);
        self.poll
    }

    /// Records that there is something to be taken, or that the peer took something.
    #[inline]
    pub(crate) const fn handle_progress(&mut self, now: Tick) {
        self.polled_at = now;
    }

    /// Waits on the lists of all channels, since there is nothing to send.
    #[inline]
    pub(crate) fn park(&mut self, slot: u32, topics: &mut Topics) {
        self.phase = Phase::Parked;
        for (subscription, number) in self.subscriptions.iter_mut().zip(0..) {
            subscription.wait(Waiting::new(slot, number), topics);
        }
    }

    /// Takes a subscription off a list that was handed over. Returns whether the session was parked
    /// and has something now.
    #[inline]
    pub(super) fn come_off(&mut self, now: Tick, waiting: Waiting, topics: &mut Topics) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(waiting.subscription() as usize) else {
            return false;
        };
        let Some(index) = subscription.index() else { return false };
        let (channel, cursor) = (subscription.channel(), subscription.cursor());
        let news = topics.news(channel, waiting, index, cursor);
        if news == News::Waits {
            return false;
        }
        subscription.come_off();
        if self.phase != Phase::Parked {
            return false;
        }
        if news == News::Nothing || (news == News::Ended && !is_over(self, topics)) {
            // It was polled in the meantime and has already got what this is about.
            if let Some(subscription) = self.subscription_mut(waiting.subscription()) {
                subscription.wait(waiting, topics);
            }
            return false;
        }
        self.phase = Phase::Ready;
        self.polled_at = now;
        true
    }

    /// Returns the number of the newest poll.
    #[inline]
    pub(crate) const fn poll(&self) -> u32 {
        self.poll
    }

    /// Lets no batch be taken back that was handed over before.
    pub(crate) const fn forget_batch(&mut self) {
        self.poll = self.poll.wrapping_add(1);
    }

    /// Records that something goes out. A session that gets output without having waited for its id
    /// knows by that, and may stall.
    #[inline]
    pub(crate) const fn sent(&mut self, now: Tick) {
        self.sent_at = now;
        self.heartbeat_due = false;
        self.phase = Phase::Ready;
    }

    /// Records that what was sent comes back: the session has output, so that it can stall.
    pub(crate) const fn returned(&mut self) {
        self.phase = Phase::Ready;
    }

    pub(crate) const fn is_heartbeat_due(&self) -> bool {
        self.heartbeat_due
    }

    pub(super) const fn owe_heartbeat(&mut self) {
        self.heartbeat_due = true;
    }

    /// Sets when the timer comes up, if that is sooner than before. Returns whether it is.
    #[inline]
    pub(super) const fn arm(&mut self, at: Tick) -> bool {
        let is_sooner = at < self.armed;
        if is_sooner {
            self.armed = at;
        }
        is_sooner
    }

    /// Returns whether the timer that came up is the one that counts, which it does once.
    pub(super) const fn disarm(&mut self, at: Tick) -> bool {
        let is_current = self.armed == at;
        if is_current {
            self.armed = NEVER;
        }
        is_current
    }

    pub(super) const fn is_armed_for(&self, at: Tick) -> bool {
        self.armed == at
    }

    /// Returns when a parked session is to get a heartbeat, or another has stalled, by the
    /// intervals that hold for sessions without their own.
    #[inline]
    pub(super) fn idle_deadline(&self, heartbeat: Tick, stall_timeout: Tick) -> Tick {
        let terms = self.terms.as_ref();
        let (since, own, usual) = match self.phase {
            Phase::Parked => (self.sent_at, terms.and_then(|terms| terms.heartbeat()), heartbeat),
            Phase::Ready | Phase::Woken => {
                (self.polled_at, terms.and_then(|terms| terms.stall_timeout()), stall_timeout)
            }
        };
        since.saturating_add(own.unwrap_or(usual))
    }

    /// Returns when the session is to be looked at because of its terms, or [`Tick::MAX`].
    #[inline]
    pub(super) fn terms_deadline(&self) -> Tick {
        let Some(terms) = &self.terms else { return NEVER };
        let lease = terms.lease();
        if self.ending().is_some() {
            // It grows no older, and the application is not asked about it.
            return lease.until();
        }
        terms.expires_at().min(lease.until()).min(lease.ask_at())
    }

    /// Returns whether the session has the maximum age.
    pub(super) fn is_expired(&self, now: Tick) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.expires_at() <= now)
    }
}

/// Rights.
impl Session {
    /// Returns the address from which it is, if that counts.
    pub(crate) fn address(&self) -> Option<Key> {
        self.terms.as_ref()?.address()
    }

    /// Returns whether it may subscribe to this.
    pub(crate) fn permits(&self, filter: &TopicFilter) -> bool {
        let permission = self.terms.as_ref().and_then(|terms| terms.permission());
        permission.is_none_or(|permission| permission.permits(filter))
    }

    /// Takes a topic out of what it may subscribe to, if that was said. Returns `false` where there
    /// is no room to remember that.
    pub(crate) fn forbid(&mut self, topic: &TopicName, limit: usize) -> bool {
        let permission = self.terms.as_mut().and_then(|terms| terms.permission_mut());
        permission.is_none_or(|permission| permission.revoke(topic, limit))
    }

    /// Returns whether it may listen no more.
    #[inline]
    pub(crate) fn is_lapsed(&self, now: Tick) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.lease().until() <= now)
    }

    /// Returns until when it may listen, if that is limited.
    pub(crate) fn lease_until(&self) -> Option<Tick> {
        let until = self.terms.as_ref()?.lease().until();
        (until != NEVER).then_some(until)
    }

    pub(crate) fn renew_lease(&mut self, lease: Lease) {
        *self.terms.get_or_insert_with(|| Box::new(Terms::new())).lease_mut() = lease;
    }

    /// Records that the application is asked about the lease. Returns until when that lasts.
    pub(super) fn ask_for_lease(&mut self) -> Tick {
        self.terms.as_mut().map_or(NEVER, |terms| {
            terms.lease_mut().asked();
            terms.lease().until()
        })
    }
}

/// Returns whether a session has nothing more to expect: it does without the channel for everyone,
/// and each of its topics has ended. What is for its client, or for it alone, does not keep it.
#[inline]
pub(crate) fn is_over(session: &Session, topics: &Topics) -> bool {
    // Most sessions have it, and it comes first.
    let first = session.subscriptions.first();
    first.is_none_or(|first| first.channel() != topics.everyone())
        && has_only_ended(session, topics)
}

fn has_only_ended(session: &Session, topics: &Topics) -> bool {
    let mut has_any = false;
    for subscription in &session.subscriptions {
        match topics.kind(subscription.channel()) {
            Some(Kind::Named(_)) if topics.has_ended(subscription.channel()) => has_any = true,
            Some(Kind::Everyone | Kind::Named(_) | Kind::Pattern(_)) => return false,
            Some(Kind::Client | Kind::Session) | None => {}
        }
    }
    has_any
}

impl Extras {
    fn is_empty(&self) -> bool {
        self.opening.is_none()
            && self.own.is_none()
            && self.ending.is_none()
            && self.backlogs.is_empty()
            && !self.is_place_due
            && self.replayed_through == 0
            && self.gone.is_empty()
            && self.lag.is_none()
    }
}

impl LagState {
    fn is_empty(&self) -> bool {
        self.lag.is_none()
            && self.announcement.is_default()
            && self.loss.is_none()
            && self.uncounted == 0
    }
}

impl Loss {
    /// Returns the position after which the first event comes that the session gets after the first
    /// hole.
    pub(crate) const fn before(&self) -> u64 {
        self.before
    }

    /// Returns how many events are lost.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }
}

impl Ending {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn session(channels: core::ops::Range<u32>) -> Session {
        Session::new(0, None, channels.map(|channel| Subscription::new(channel, 0)).collect())
    }

    fn channels(session: &Session) -> Vec<(u32, u32)> {
        session.channels().collect()
    }

    #[test]
    fn a_place_that_became_vacant_is_taken_again_and_the_others_keep_their_numbers() {
        let mut session = session(0..3);
        assert!(session.remove(1).is_some() && session.remove(1).is_none());
        assert_eq!(channels(&session), [(0, 0), (2, 2)]);
        assert_eq!(session.add(Subscription::new(7, 0)), 1);
        assert_eq!(channels(&session), [(0, 0), (1, 7), (2, 2)]);
    }

    #[test]
    fn vacant_places_at_the_end_are_given_back() {
        let mut session = session(0..3);
        session.remove(1);
        session.remove(2);
        assert_eq!(session.numbers(), 1);
        assert_eq!(session.add(Subscription::new(7, 0)), 1);
    }

    #[test]
    fn the_own_channel_comes_last_and_lets_a_batch_be_taken_back() {
        let mut session = session(0..3);
        session.remove(1);
        let poll = session.poll();
        session.add_own(Subscription::new(9, 0));
        assert_eq!(channels(&session).last(), Some(&(3, 9)));
        assert_eq!(session.own().map(Subscription::channel), Some(9));
        assert_eq!(session.poll(), poll);
        session.add(Subscription::new(7, 0));
        assert_ne!(session.poll(), poll, "numbers of the newest batch may mean another");
    }

    #[test]
    fn a_subscription_takes_what_was_noted_of_it_along() {
        let mut session = session(0..2);
        session.set_gone(1, 5);
        session.exclude(1, alloc::vec![3, 4]);
        assert!(session.has_gone() && session.has_backlogs());
        session.remove(1);
        assert!(!session.has_extras());
    }

    #[test]
    fn a_backlog_forgets_what_was_passed_and_goes_when_nothing_is_left() {
        let mut session = session(0..1);
        session.exclude(0, alloc::vec![3, 5, 8]);
        session.pass_backlog(0, 5);
        let backlog = session.backlog(0).unwrap();
        assert!(!backlog.excludes(3) && backlog.excludes(5) && !backlog.excludes(6));
        assert_eq!(backlog.between(5, 8).collect::<Vec<_>>(), [5]);
        session.pass_backlog(0, 9);
        assert!(!session.has_extras());
    }

    #[test]
    fn losses_add_up_from_the_first_hole_on() {
        let mut session = session(0..1);
        session.add_loss(20, 3);
        session.add_loss(10, 4);
        let loss = session.take_loss().unwrap();
        assert_eq!((loss.before(), loss.lost()), (10, 7));
        assert!(session.loss().is_none() && !session.has_extras());
    }

    #[test]
    fn a_session_that_ends_gets_nothing_from_beyond_its_limits() {
        let mut session = session(0..2);
        assert_eq!(session.limit(1), u64::MAX);
        session.set_ending(EndReason::Closed, 9, alloc::vec![4, 6], None);
        assert_eq!((session.limit(0), session.limit(1), session.limit(2)), (4, 6, 0));
        session.add_loss(20, 1);
        assert_eq!(session.loss().unwrap().before(), 9);
    }

    #[test]
    fn deadlines_are_those_of_the_phase() {
        let mut session = session(0..1);
        session.begin_poll(100);
        session.sent(100);
        assert_eq!(session.idle_deadline(15, 60), 160);
        session.set_phase(Phase::Parked);
        assert_eq!(session.idle_deadline(15, 60), 115);
        assert_eq!(session.idle_deadline(NEVER, NEVER), NEVER);
        session.set_terms(Terms::new().with_heartbeat(Some(5)).with_expiry(Some(400)).boxed());
        assert_eq!(session.idle_deadline(15, 60), 105);
        assert_eq!(session.terms_deadline(), 400);
        session.set_ending(EndReason::Closed, 0, Vec::new(), None);
        assert_eq!(session.terms_deadline(), NEVER, "it grows no older");
    }

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 80, "{}", size_of::<Session>());
    }
}

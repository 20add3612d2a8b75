//! One session: its places in its channels, its polls and deadlines, and its rights.
//!
//! A session is small, since there are many. What few sessions have, or have only at times, is in a
//! box that is there while something is in it.

use super::extras::{Ending, Extras};
use super::output::Output;
use super::subscription::Subscription;
use super::terms::{Lease, Terms};
use crate::broker::arena::Key;
use crate::broker::clock::Tick;
use crate::broker::config::{Lag, LagPolicy, Setting};
use crate::broker::names::{TopicFilter, TopicName};
use crate::broker::topics::{HandOver, Kind, News, Topics, Waiting};
use crate::event::{Event, EventType};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A deadline that is not set.
const NEVER: Tick = Tick::MAX;

#[derive(Debug)]
pub(crate) struct Session {
    client: Option<Key>,
    /// The channel for everyone first, if the session has it, then topics and patterns, then its
    /// client's channel; what is added later comes after these, or in a vacant place.
    subscriptions: Box<[Subscription]>,
    extras: Extras,
    terms: Option<Box<Terms>>,
    /// The lag policy that the session chose for itself. The bounds that it chose are among its
    /// extras.
    lag_policy: Option<LagPolicy>,
    phase: Phase,
    /// The ready queue holds an entry that names this session itself: never more than one, also
    /// where a poll was faster and the entry tells nothing any more.
    queued: bool,
    heartbeat_due: bool,
    /// Counts the polls, so that a batch of an earlier one is known as such.
    poll: u32,
    sent_at: Tick,
    output: Output,
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

impl Session {
    pub(crate) fn new(now: Tick, client: Option<Key>, subscriptions: Vec<Subscription>) -> Self {
        Self {
            client,
            subscriptions: subscriptions.into(),
            extras: Extras::default(),
            terms: None,
            lag_policy: None,
            phase: Phase::Ready,
            queued: false,
            heartbeat_due: false,
            poll: 0,
            sent_at: now,
            output: Output::new(now),
            armed: NEVER,
        }
    }

    /// Sets how far it may be behind, and by which type of event it is told of its place and of
    /// losses, where that is its own.
    pub(crate) fn set_choices(&mut self, lag: Option<Lag>, notices: Setting<EventType>) {
        self.lag_policy = lag.map(|lag| lag.policy);
        self.extras.set_choices(lag.filter(Lag::is_bounded), notices);
    }

    /// Returns the lag that the session chose for itself.
    pub(crate) fn lag(&self) -> Option<Lag> {
        let policy = self.lag_policy?;
        Some(self.extras.lag().unwrap_or(Lag::new(policy)))
    }

    pub(crate) fn set_terms(&mut self, terms: Option<Box<Terms>>) {
        self.terms = terms;
    }

    #[inline]
    pub(crate) const fn client(&self) -> Option<Key> {
        self.client
    }

    /// Returns what most sessions do without.
    #[inline]
    pub(crate) const fn extras(&self) -> &Extras {
        &self.extras
    }

    pub(crate) const fn extras_mut(&mut self) -> &mut Extras {
        &mut self.extras
    }

    /// Returns whether its place is not decided yet, since its last event id is ahead of this broker,
    /// or what it missed is read. It has no output but heartbeats then.
    #[inline]
    pub(crate) fn is_ahead(&self) -> bool {
        self.extras.is_ahead()
    }

    /// Returns how the session ends, if it is to.
    #[inline]
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.extras.ending()
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
        self.extras.set_own(number);
    }

    /// Moves all cursors but that of its own channel past what there is.
    pub(super) fn pass_all(&mut self, topics: &Topics) {
        let own = self.extras.own();
        for (number, one) in (0..).zip(&mut self.subscriptions) {
            if Some(number) != own && !one.is_vacant() {
                *one.cursor_mut() = topics.end_of(one.channel());
            }
        }
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
        self.extras.forget(number);
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
        self.subscription(self.extras.own()?)
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

    /// Returns when its driver last asked for output, or said that the peer took some.
    pub(super) const fn polled_at(&self) -> Tick {
        self.output.asked_at()
    }

    /// Records that the driver asks for output, by which the session has not stalled. Returns the
    /// number of the poll.
    #[inline]
    pub(crate) const fn begin_poll(&mut self, now: Tick) -> u32 {
        self.output.asked(now);
        self.poll = self.poll.wrapping_add(1);
        self.poll
    }

    /// Records that the peer took something.
    #[inline]
    pub(crate) const fn handle_progress(&mut self, now: Tick) {
        self.output.asked(now);
    }

    /// Waits on the lists of all channels, since there is nothing to send. `hand_overs` is how many
    /// lists were handed over before. Returns how many entries of those tell nothing any more.
    #[inline]
    pub(crate) fn park(&mut self, slot: u32, hand_overs: u64, topics: &mut Topics) -> usize {
        self.phase = Phase::Parked;
        self.wait_anew(hand_overs);
        let mut void = 0;
        for (subscription, number) in self.subscriptions.iter_mut().zip(0..) {
            void += usize::from(subscription.wait(Waiting::new(slot, number), topics));
        }
        void
    }

    /// Has nothing to send, and waits on no list.
    pub(crate) const fn park_alone(&mut self, hand_overs: u64) {
        self.phase = Phase::Parked;
        self.wait_anew(hand_overs);
    }

    /// Records that it has no output, and that none of the lists handed over so far tells of any.
    #[inline]
    pub(super) const fn wait_anew(&mut self, hand_overs: u64) {
        self.output.wait_anew(hand_overs);
    }

    /// Records that it has output since then at the latest.
    #[inline]
    pub(super) fn has_output_since(&mut self, since: Tick) {
        self.output.begin(since);
    }

    /// Returns since when it has output and its driver has not asked for it; `None` without output.
    pub(super) fn silent_since(&self) -> Option<Tick> {
        self.output.counts_from()
    }

    /// Returns whether a session whose place was just decided has output.
    pub(crate) fn has_output(&self, topics: &Topics) -> bool {
        self.extras.has_first_words() || self.has_news(topics)
    }

    /// Returns whether a session that waits has output by one of its channels.
    pub(super) fn has_news(&self, topics: &Topics) -> bool {
        !self.is_ahead()
            && (self.has_events(topics) || self.extras.cut().is_some() || is_over(self, topics))
    }

    /// Returns since when it has had output by this subscription, or by the end of all its topics, as
    /// far as that can still be told.
    pub(super) fn output_since(&self, number: u32, topics: &Topics) -> Option<Tick> {
        if self.is_ahead() {
            return None;
        }
        let end = self.over_since(topics);
        let event = self.subscription(number).and_then(|one| {
            let (_, entry) = topics.view(one.channel())?.get(one.cursor())?;
            Some(entry.at())
        });
        end.into_iter().chain(event).min()
    }

    /// Sees since when it has had output by the end of all its topics, before one more takes that back.
    pub(crate) fn see_end(&mut self, topics: &Topics) {
        if let Some(since) = self.over_since(topics) {
            self.has_output_since(since);
        }
    }

    /// Returns since when it has nothing more to expect for that its topics have ended; `None` where it
    /// has.
    fn over_since(&self, topics: &Topics) -> Option<Tick> {
        let ends = self.channels().filter_map(|(_, channel)| topics.ended_at(channel));
        ends.max().filter(|_| is_over(self, topics))
    }

    /// Returns whether there are events after one of its cursors.
    pub(super) fn has_events(&self, topics: &Topics) -> bool {
        let mut taken = self.subscriptions.iter().filter(|one| !one.is_vacant());
        taken.any(|one| topics.end_of(one.channel()) > one.cursor())
    }

    /// Returns what there is for a subscription on a list that was handed over.
    #[inline]
    fn news_of(&self, waiting: Waiting, by: HandOver, topics: &Topics) -> News {
        match self.subscriptions.get(waiting.subscription() as usize) {
            Some(subscription) if !self.output.is_before(by) => {
                subscription.index().map_or(News::Waits, |index| {
                    let (channel, cursor) = (subscription.channel(), subscription.cursor());
                    topics.news(channel, waiting, index, cursor)
                })
            }
            _ => News::Waits,
        }
    }

    /// Returns whether a subscription on a list that was handed over is still to be looked at.
    pub(super) fn is_awaited(&self, waiting: Waiting, by: HandOver, topics: &Topics) -> bool {
        self.news_of(waiting, by, topics) != News::Waits
    }

    /// Returns since when a session that waited has output by this; `None` if it has none.
    #[inline]
    fn output_by(&self, news: News, by: HandOver, topics: &Topics) -> Option<Tick> {
        match news {
            News::More => Some(by.at()),
            News::Ended => self.over_since(topics),
            News::Waits | News::Nothing => None,
        }
    }

    /// Sees since when the session has output by a subscription on a list that was handed over.
    /// Returns whether that became known by it.
    pub(super) fn see(&mut self, waiting: Waiting, by: HandOver, topics: &Topics) -> bool {
        let since = self.output_by(self.news_of(waiting, by, topics), by, topics);
        since.is_some_and(|since| {
            self.has_output_since(since);
            true
        })
    }

    /// Takes a subscription off a list that was handed over. Returns whether the session was parked
    /// and has something now.
    #[inline]
    pub(super) fn come_off(&mut self, waiting: Waiting, by: HandOver, topics: &Topics) -> bool {
        if self.output.is_before(by) {
            return false;
        }
        let Some(subscription) = self.subscriptions.get_mut(waiting.subscription() as usize) else {
            return false;
        };
        let Some(index) = subscription.index() else { return false };
        let (channel, cursor) = (subscription.channel(), subscription.cursor());
        let since = match topics.news(channel, waiting, index, cursor) {
            News::Waits => return false,
            News::More => {
                subscription.come_off();
                by.at()
            }
            news => {
                let Some(since) = self.output_by(news, by, topics) else {
                    // Its topic has ended, and others have not: there is no more to come by it.
                    return false;
                };
                since
            }
        };
        // Also where its id came out before, for output of its own that came later.
        self.has_output_since(since);
        let was_parked = self.phase == Phase::Parked;
        if was_parked {
            self.phase = Phase::Ready;
        }
        was_parked
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
        self.output.may_be_more();
    }

    /// Records that what was sent comes back: the session has output, so that it can stall.
    pub(crate) const fn returned(&mut self) {
        self.phase = Phase::Ready;
        self.output.may_be_more();
    }

    pub(crate) const fn is_heartbeat_due(&self) -> bool {
        self.heartbeat_due
    }

    /// Returns what a heartbeat is, where this is the usual one; `None` for a comment line.
    pub(crate) fn heartbeat_event<'a>(&'a self, usual: Option<&'a Event>) -> Option<&'a Event> {
        self.terms.as_ref().map_or(usual, |terms| terms.heartbeat_event(usual))
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

    /// Returns when a session without output is to get a heartbeat, or another has stalled, by the
    /// intervals that hold for sessions without their own.
    #[inline]
    pub(super) fn idle_deadline(&self, heartbeat: Tick, stall_timeout: Tick) -> Tick {
        let terms = self.terms.as_ref();
        let (since, own, usual) = match self.output.counts_from() {
            Some(since) => (since, terms.and_then(|terms| terms.stall_timeout()), stall_timeout),
            None => (self.sent_at, terms.and_then(|terms| terms.heartbeat()), heartbeat),
        };
        since.saturating_add(own.unwrap_or(usual))
    }

    /// Returns how long it may take nothing, or [`NEVER`], if that is its own.
    pub(super) fn own_stall_timeout(&self) -> Option<Tick> {
        self.terms.as_ref()?.stall_timeout()
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
    if session.is_ahead() {
        // It is not known yet what it is still to get of them.
        return false;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::event::EndReason;
    use crate::broker::sessions::Ending;

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
        session.extras.set_gone(1, 5);
        session.extras.exclude(1, alloc::vec![3, 4]);
        assert!(session.extras.has_gone() && session.extras.has_backlogs());
        session.remove(1);
        assert!(!session.extras.is_any());
    }

    #[test]
    fn without_output_a_heartbeat_is_due_and_with_output_a_session_may_stall() {
        let mut session = session(0..1);
        session.begin_poll(100);
        session.sent(100);
        assert_eq!(session.idle_deadline(15, 60), 160);
        session.wait_anew(0);
        assert_eq!(session.idle_deadline(15, 60), 115);
        assert_eq!(session.idle_deadline(NEVER, NEVER), NEVER);
        session.set_terms(Terms::new().with_heartbeat(Some(5)).with_expiry(Some(400)).boxed());
        assert_eq!(session.idle_deadline(15, 60), 105);
        assert_eq!(session.terms_deadline(), 400);
        session.extras.set_ending(Ending::new(EndReason::Closed, 0, Vec::new()));
        assert_eq!(session.terms_deadline(), NEVER, "it grows no older");
    }

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 88, "{}", size_of::<Session>());
    }
}

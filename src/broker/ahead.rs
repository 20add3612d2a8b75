//! Sessions whose place is not decided when they are opened: how they resume once it is.

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::config::{StartAt, check_ahead_wait};
use super::delivery::{self, Beginning, Teller, Wish};
use super::names::TopicFilter;
use super::sessions::{Ahead, History, Phase, Session, Subscription};
use super::topics::View;
use super::{Broker, BrokerEvent, ConfigError, SessionConfig};
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

impl Broker {
    /// Sets how long sessions wait, as [`ShardMut::set_ahead_wait`](super::ShardMut) says.
    pub(super) fn set_ahead_wait(
        &mut self,
        now: Instant,
        wait: Option<Duration>,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        check_ahead_wait(wait)?;
        self.config.session.ahead_wait = wait;
        Ok(())
    }

    /// Returns how long sessions wait whose ids are ahead; `None`: they do not.
    #[cfg(feature = "cluster")]
    pub(crate) const fn ahead_wait(&self) -> Option<Duration> {
        self.config.session.ahead_wait
    }

    /// Returns the position for which, or for what is read after which, a session is to wait that
    /// would begin so.
    #[inline]
    pub(super) fn waits_at(&self, beginning: &Beginning) -> Option<u64> {
        let ahead = beginning.ahead().filter(|_| self.config.session.ahead_wait.is_some());
        ahead.or_else(|| beginning.older().filter(|_| self.has_room_to_read()))
    }

    /// Lets a session that was opened wait for the position that its last event id names, or for
    /// what is read after that.
    #[cold]
    pub(super) fn let_wait_for(
        &mut self,
        now: Tick,
        key: Key,
        position: u64,
        config: &SessionConfig,
        retry: Option<Duration>,
    ) {
        let wait = self.config.session.ahead_wait.map_or(0, ticks);
        let (id, start) = (config.last_event_id().clone(), config.start().clone());
        let ahead = Ahead::new(position, now.saturating_add(wait), id, start);
        let opening_comment = config.opening_comment().cloned();
        let ahead = ahead.with_opening(opening_comment, retry);
        let ahead = if position <= self.sequencer.last() {
            self.let_read_for(now, key, ahead)
        } else {
            ahead
        };
        self.sessions.set_ahead(key, ahead);
    }

    /// Decides how those resume whose position has come. To be called whenever the newest position
    /// is another.
    #[inline]
    pub(super) fn note_position(&mut self) {
        if self.sessions.is_any_ahead() {
            self.decide_reached();
        }
    }

    #[cold]
    fn decide_reached(&mut self) {
        while let Some(key) = self.sessions.reached(self.sequencer.last()) {
            self.decide(key);
        }
    }

    /// Decides how those resume that have waited long enough.
    pub(super) fn decide_overdue(&mut self, now: Tick) {
        while let Some(key) = self.sessions.overdue(now) {
            self.give_up_reading(key);
        }
    }

    /// Lets a session resume that was ahead, as if it had been opened now.
    #[cold]
    pub(super) fn decide(&mut self, key: Key) {
        let Some(mut ahead) = self.sessions.take_ahead(key) else { return };
        let history = ahead.take_history();
        let was_read = history.is_some();
        // Nothing was read where nobody could.
        let history = history.filter(|history| history.through() > history.after());
        let Some(session) = self.sessions.get(key) else { return };
        // Those with which it was opened, in their order.
        let is_first = |(number, _): &(u32, u32)| {
            session.subscription(*number).is_some_and(Subscription::is_nowhere)
                && ahead.late().iter().all(|(late, _)| late != number)
        };
        let first: Vec<(u32, u32)> = session.channels().filter(is_first).collect();
        let views: Vec<View<'_>> =
            first.iter().filter_map(|(_, channel)| self.topics.view(*channel)).collect();
        let usual = &self.config.session;
        let wish = Wish::new(ahead.last_event_id(), ahead.start(), usual.on_gap, self.unseen)
            .with_unknown_id(usual.on_unknown_id)
            .with_history(history.as_deref());
        let beginning = delivery::resume(&views, wish, &self.sequencer);
        if !was_read && beginning.older().is_some() && self.has_room_to_read() {
            // Its position has come, and what was published since then went by here.
            drop(views);
            let now = self.clock.now();
            let ahead = self.let_read_for(now, key, *ahead);
            self.sessions.set_ahead(key, ahead);
            return;
        }
        let (resumption, places) = (beginning.resumption(), beginning.places());
        let teller = Teller::of(session, usual.notices.as_ref(), &self.sequencer);
        let opening = teller.opening::<true>(&beginning, ahead.opening_comment(), ahead.retry());
        let is_finite = first.first().is_none_or(|(_, one)| *one != self.topics.everyone());
        let is_place_due = is_finite
            && teller.tells_places()
            && Self::ends_without_id(&views, &beginning, history.as_deref());
        let Some(session) = self.sessions.get_mut(key) else { return };
        for ((number, _), cursor) in first.iter().zip(places.cursors()) {
            set_cursor(session, *number, *cursor);
        }
        for (index, gone) in places.gone() {
            if let Some((number, _)) = first.get(*index as usize) {
                session.extras_mut().set_gone(*number, *gone);
            }
        }
        if let Some(frame) = opening {
            session.extras_mut().set_opening(frame);
        }
        if is_place_due {
            session.extras_mut().owe_place();
        }
        if let Some(history) = history.filter(|_| beginning.has_history()) {
            session.extras_mut().set_history(history);
        }
        if resumption.replayed() > 0 {
            self.bound_replay(key);
        }
        self.owe_place_after_own(key);
        let mut rest = ahead.late();
        while let [(number, start), later @ ..] = rest {
            self.decide_late(key, *number, start, later, ahead.position());
            rest = later;
        }
        self.counters.open(resumption);
        let (session, client) = (self.sessions.id_of(key), self.client_of(key).cloned());
        self.events.push(BrokerEvent::SessionResumed { session, client, resumption });
        self.let_wait(key);
    }

    /// Returns whether what a session is replayed ends with something that brings no id.
    fn ends_without_id(
        views: &[View<'_>],
        beginning: &Beginning,
        history: Option<&History>,
    ) -> bool {
        let places = beginning.places();
        let is_first = || beginning.has_history() && !places.is_replayed(views);
        match history.filter(|_| is_first()).and_then(History::last) {
            Some(last) => delivery::has_no_id(last.frame()),
            None => delivery::ends_without_id(views, places),
        }
    }

    /// Places a subscription that was made while the session was ahead of this position, and before
    /// others.
    fn decide_late(
        &mut self,
        key: Key,
        number: u32,
        start: &StartAt,
        later: &[(u32, StartAt)],
        position: u64,
    ) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(one) = session.subscription(number) else { return };
        if *start == StartAt::Now {
            // What came before its place is not new to it.
            if position <= self.sequencer.last()
                && let Some(view) = self.topics.view(one.channel())
            {
                let cursor = one.cursor().max(view.cursor_after(position));
                if let Some(session) = self.sessions.get_mut(key) {
                    set_cursor(session, number, cursor);
                }
            }
            return;
        }
        let is_before = |(other, _): &(u32, TopicFilter)| {
            *other != number && later.iter().all(|(later, _)| later != other)
        };
        let except = self.filters(session).filter(is_before).map(|(_, filter)| filter);
        let except: Vec<TopicFilter> = except.collect();
        self.begin_late(key, number, start, &except);
    }

    /// Tells a session its place after what was published to it alone while it had none: that
    /// brings ids from before its place.
    pub(super) fn owe_place_after_own(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let has_own =
            session.own().is_some_and(|own| self.topics.end_of(own.channel()) > own.cursor());
        let usual = self.config.session.notices.as_ref();
        if has_own && Teller::of(session, usual, &self.sequencer).tells_places() {
            session.extras_mut().owe_place();
        }
    }

    /// Wakes a session whose place was decided if it has output, and lets it wait for more if not.
    fn let_wait(&mut self, key: Key) {
        let Some(session) = self.sessions.get(key) else { return };
        let channels: Vec<(u32, u32)> = session.channels().collect();
        if session.phase() == Phase::Parked {
            if session.has_output(&self.topics) {
                self.sessions.wake(self.clock.now(), key);
            } else {
                for (number, _) in &channels {
                    self.sessions.wait(key, *number, &mut self.topics);
                }
            }
        }
        // It may be behind those for whom publishers wait.
        for (_, channel) in channels {
            self.note_reader(key, channel);
        }
    }
}

fn set_cursor(session: &mut Session, number: u32, cursor: u64) {
    if let Some(subscription) = session.subscription_mut(number) {
        *subscription.cursor_mut() = cursor;
    }
}

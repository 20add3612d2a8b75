//! Publishers that wait for those who read: what each waits for, how far its wait has come, and the
//! one session for which it waits now.
//!
//! A publisher that has come too far ahead waits until all readers are through a **target**, a
//! position that is fixed when it begins to wait. The readers are looked at one after the other, up
//! to the first that is behind; the rest are looked at when that one has gone on, has ended, or has
//! stalled. Once all are through, the publisher may go on until it is too far ahead of the target:
//!
//! ```text
//!   readers of a topic     s1  s2  s3  s4  s5  s6
//!                           ✓   ✓   ▲ waits for s3, which takes something
//!                           ✓   ✓   ✓   ✓   ✓   ✓     all have got what there was at the target:
//!                                                      none is looked at for the next half bound
//! ```
//!
//! So the cost of looking is shared by many events, each of which goes to all of these readers.

mod readers;
mod wait;

pub use wait::WaitId;
pub(crate) use wait::{Crowd, House};

use super::arena::{Arena, Key};
use super::clock::{Tick, ticks};
use super::config::Pace;
use super::sequence::Audience;
use super::timers::Timers;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use readers::AllReaders;
use wait::{Forgives, Need, Wait};

/// All publishers that wait, and what is known of those for whom they wait.
#[derive(Debug)]
pub(crate) struct Publishers {
    waits: Arena<Wait>,
    /// Those who wait for the same share one wait.
    by_subject: BTreeMap<(Audience, Need), Key>,
    /// Each session for which a wait waits now, with the wait.
    awaited: BTreeSet<(Key, Key)>,
    /// The waits that are over and have not been polled.
    over: VecDeque<Key>,
    timers: Timers,
    readers: AllReaders,
}

impl Publishers {
    pub(crate) fn new() -> Self {
        Self {
            waits: Arena::new(),
            by_subject: BTreeMap::new(),
            awaited: BTreeSet::new(),
            over: VecDeque::new(),
            timers: Timers::default(),
            readers: AllReaders::default(),
        }
    }

    /// Waits until the readers of an audience, whose channel this is, are within the pace. Returns
    /// `None` if they are.
    pub(crate) fn wait_for_readers(
        &mut self,
        now: Tick,
        audience: &Audience,
        crowd: Crowd,
        channel: u32,
        pace: &Pace,
        house: &mut House<'_>,
    ) -> Option<Key> {
        let margin = house.topics.margin(channel, pace);
        if let Crowd::Channels(walk) = &crowd {
            let reached = self.readers.reached(walk.channels(), ticks(pace.patience))?;
            if house.topics.is_within(channel, reached, margin) {
                return None;
            }
            self.readers.follow(walk.channels(), house.sessions);
        } else {
            // They are few, so that each is looked at.
            let place = house.topics.place_within(channel, margin);
            crowd.first_behind(now, place, pace.into(), Forgives::Pauses, house)?;
        }
        let target = house.topics.place_within(channel, margin.half());
        self.wait(now, audience, Need::Pace(*pace), crowd, target, house)
    }

    /// Waits until the slowest session of this crowd, which is no channel's, has taken something.
    /// Returns `None` if there is nothing to be taken. A session that has stalled does not count
    /// where there is a patience.
    pub(crate) fn wait_for_room(
        &mut self,
        now: Tick,
        audience: &Audience,
        crowd: Crowd,
        patience: Tick,
        house: &mut House<'_>,
    ) -> Option<Key> {
        self.wait(now, audience, Need::Room { patience }, crowd, u64::MAX, house)
    }

    fn wait(
        &mut self,
        now: Tick,
        audience: &Audience,
        need: Need,
        crowd: Crowd,
        target: u64,
        house: &mut House<'_>,
    ) -> Option<Key> {
        let subject = (audience.clone(), need);
        if let Some(&wait) = self.by_subject.get(&subject) {
            return Some(wait);
        }
        let wait = self.waits.insert(Wait::new(subject.clone(), crowd, target));
        if !self.go_on(now, wait, house) {
            self.waits.remove(wait);
            return None;
        }
        self.by_subject.insert(subject, wait);
        Some(wait)
    }

    /// Looks for the next session for which the wait is to wait. Returns whether there is one.
    fn go_on(&mut self, now: Tick, key: Key, house: &mut House<'_>) -> bool {
        let Some(wait) = self.waits.get_mut(key) else { return false };
        if let Some(before) = wait.take_laggard() {
            self.awaited.remove(&(before, key));
        }
        let Some((laggard, deadline)) = wait.next_laggard(now, &mut self.readers, house) else {
            return false;
        };
        wait.set_laggard(laggard);
        if wait.arm(deadline) {
            self.timers.push(deadline, key.slot());
            let waits = &self.waits;
            self.timers.compact(waits.len(), |timer| {
                waits.at(timer.slot()).is_some_and(|wait| wait.is_armed_for(timer.at()))
            });
        }
        self.awaited.insert((laggard, key));
        if let Some(session) = house.sessions.get_mut(laggard) {
            session.extras_mut().set_awaited(true);
        }
        true
    }

    fn go_on_or_end(&mut self, now: Tick, wait: Key, house: &mut House<'_>) {
        if !self.go_on(now, wait, house) {
            self.end(wait);
        }
    }

    /// Ends a wait, which comes out of [`poll`](Self::poll).
    fn end(&mut self, key: Key) {
        if let Some(mut wait) = self.waits.remove(key) {
            if let Some(laggard) = wait.take_laggard() {
                self.awaited.remove(&(laggard, key));
            }
            self.by_subject.remove(wait.subject());
            self.over.push_back(key);
        }
    }

    /// Ends all waits.
    pub(crate) fn end_all(&mut self) {
        let all: Vec<Key> = self.waits.keys().collect();
        for wait in all {
            self.end(wait);
        }
    }

    /// Returns the next wait that is over.
    pub(crate) fn poll(&mut self) -> Option<Key> {
        self.over.pop_front()
    }

    /// Returns whether [`poll`](Self::poll) has something.
    #[cfg(feature = "record")]
    pub(crate) fn has_over(&self) -> bool {
        !self.over.is_empty()
    }

    /// Records that a session was opened, or hears one channel more.
    pub(crate) fn join(&mut self, session: Key, channel: u32, house: &House<'_>) {
        self.readers.join(session, channel, house);
    }

    /// Records that a session has ended, or no longer hears these channels.
    pub(crate) fn leave(
        &mut self,
        now: Tick,
        session: Key,
        channels: impl Iterator<Item = u32>,
        house: &mut House<'_>,
    ) {
        self.readers.leave(session, channels);
        for wait in self.waits_for(session) {
            self.go_on_or_end(now, wait, house);
        }
    }

    /// Records that a session was polled, or its peer took something.
    pub(crate) fn handle_progress(&mut self, now: Tick, session: Key, house: &mut House<'_>) {
        let Some(state) = house.sessions.get_mut(session) else { return };
        if state.extras_mut().take_passed_over() {
            self.readers.lower(session, house);
        }
        let waits = self.waits_for(session);
        for &wait in &waits {
            // Those who wait for room try again.
            if self.waits.get(wait).is_some_and(Wait::is_for_room) {
                self.end(wait);
            } else {
                self.go_on_or_end(now, wait, house);
            }
        }
        let is_awaited = self.awaits(session).next().is_some();
        if let Some(state) = house.sessions.get_mut(session) {
            state.extras_mut().set_awaited(is_awaited);
        }
    }

    fn awaits(&self, session: Key) -> impl Iterator<Item = Key> {
        let all = self.awaited.range((session, Key::FIRST)..);
        all.take_while(move |(one, _)| *one == session).map(|(_, wait)| *wait)
    }

    fn waits_for(&self, session: Key) -> Vec<Key> {
        self.awaits(session).collect()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has something to look at.
    pub(crate) fn next_timeout(&self) -> Option<Tick> {
        self.timers.next()
    }

    /// Passes over the sessions that have stalled by now.
    pub(crate) fn handle_timeout(&mut self, now: Tick, house: &mut House<'_>) {
        while let Some(timer) = self.timers.pop_due(now) {
            if let Some(key) = self.waits.key_at(timer.slot())
                && let Some(wait) = self.waits.get_mut(key)
                && wait.disarm(timer.at())
            {
                if house.sessions.has_paused_since(timer.at()) {
                    wait.was_slept_through();
                }
                self.go_on_or_end(now, key, house);
            }
        }
    }
}

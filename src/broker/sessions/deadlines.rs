//! When sessions are to be looked at.
//!
//! A session has one timer, which is never moved: it is looked at when it comes up, and set anew
//! for the true deadline. Each write postpones the heartbeat, and moving a timer at each write
//! would cost more than the write's own bookkeeping.
//!
//! A publish moves no timer either, however many sessions have output by it. The waiting list that
//! it hands over has the time of that. Each list is looked at once: when the session with the
//! shortest stall timeout may have stalled, if the list has not come out of the ready queue by then.

use super::session::Session;
use crate::broker::arena::Arena;
use crate::broker::clock::{NEVER, Tick, ticks};
use crate::broker::config::SessionDefaults;
use crate::broker::timers::{Timer, Timers};
use alloc::collections::BTreeMap;
use core::time::Duration;

#[derive(Debug)]
pub(crate) struct Deadlines {
    timers: Timers,
    /// Of sessions that chose no interval of their own.
    heartbeat: Tick,
    stall_timeout: Tick,
    /// How many sessions have each stall timeout that is their own.
    own_stall_timeouts: BTreeMap<Tick, u32>,
}

impl Deadlines {
    pub(super) fn new(defaults: &SessionDefaults) -> Self {
        Self {
            timers: Timers::default(),
            heartbeat: interval(defaults.heartbeat),
            stall_timeout: interval(defaults.stall_timeout),
            own_stall_timeouts: BTreeMap::new(),
        }
    }

    /// Counts a session that is open from now on.
    pub(super) fn enter(&mut self, session: &Session) {
        if let Some(own) = session.own_stall_timeout() {
            *self.own_stall_timeouts.entry(own).or_default() += 1;
        }
    }

    /// Counts a session that is open no more.
    pub(super) fn leave(&mut self, session: &Session) {
        if let Some(own) = session.own_stall_timeout()
            && let Some(count) = self.own_stall_timeouts.get_mut(&own)
        {
            *count -= 1;
            if *count == 0 {
                self.own_stall_timeouts.remove(&own);
            }
        }
    }

    /// Returns when the first session of a waiting list may have stalled that was handed over at
    /// this time.
    pub(super) fn first_stall(&self, handed_over: Tick) -> Option<Tick> {
        let shortest = self.own_stall_timeouts.keys().next().copied();
        let shortest = shortest.map_or(self.stall_timeout, |own| own.min(self.stall_timeout));
        Some(handed_over.saturating_add(shortest)).filter(|at| *at != NEVER)
    }

    /// Sees to it that the session in this slot is looked at no later than its deadline.
    #[inline]
    pub(crate) fn arm(&mut self, slot: u32, session: &mut Session) {
        let at = self.idle_deadline(session).min(session.terms_deadline());
        if session.arm(at) {
            self.timers.push(at, slot);
        }
    }

    /// Returns when a session without output is to get a heartbeat, or another has stalled.
    #[inline]
    pub(super) fn idle_deadline(&self, session: &Session) -> Tick {
        session.idle_deadline(self.heartbeat, self.stall_timeout)
    }

    pub(super) fn next(&self) -> Option<Tick> {
        self.timers.next()
    }

    pub(super) fn pop_due(&mut self, now: Tick) -> Option<Timer> {
        self.timers.pop_due(now)
    }

    /// Throws void timers away once they are the greater part.
    #[inline]
    pub(super) fn compact(&mut self, sessions: &Arena<Session>) {
        self.timers.compact(sessions.len(), |timer| {
            sessions.at(timer.slot()).is_some_and(|session| session.is_armed_for(timer.at()))
        });
    }
}

fn interval(interval: Option<Duration>) -> Tick {
    interval.map_or(Tick::MAX, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn deadlines() -> Deadlines {
        Deadlines::new(&SessionDefaults {
            heartbeat: Some(Duration::from_nanos(15)),
            stall_timeout: Some(Duration::from_nanos(60)),
            ..SessionDefaults::default()
        })
    }

    #[test]
    fn a_deadline_that_moves_back_leaves_the_timer_where_it_stands() {
        let (mut deadlines, mut session) = (deadlines(), Session::new(0, None, Vec::new()));
        deadlines.arm(3, &mut session);
        session.begin_poll(10);
        deadlines.arm(3, &mut session);
        assert_eq!(deadlines.next(), Some(60));
        let timer = deadlines.pop_due(60).unwrap();
        assert!(session.disarm(timer.at()) && deadlines.next().is_none());
        deadlines.arm(3, &mut session);
        assert_eq!(deadlines.next(), Some(70));
    }

    #[test]
    fn void_timers_do_not_pile_up() {
        let (mut deadlines, mut sessions) = (deadlines(), Arena::new());
        let key = sessions.insert(Session::new(0, None, Vec::new()));
        for _ in 0..1_000 {
            let session = sessions.get_mut(key).unwrap();
            deadlines.arm(key.slot(), session);
            // It is armed anew, as if it had come up.
            session.disarm(60);
            deadlines.compact(&sessions);
        }
        let mut left = 0;
        while deadlines.pop_due(60).is_some() {
            left += 1;
        }
        assert!(left <= 66, "{left}");
    }

    #[test]
    fn a_list_is_looked_at_for_the_shortest_stall_timeout_of_an_open_session() {
        let mut deadlines = deadlines();
        let mut quick = Session::new(0, None, Vec::new());
        quick.set_terms(super::super::Terms::new().with_stall_timeout(Some(5)).boxed());
        let usual = Session::new(0, None, Vec::new());
        deadlines.enter(&usual);
        assert_eq!(deadlines.first_stall(100), Some(160));
        deadlines.enter(&quick);
        deadlines.enter(&quick);
        deadlines.leave(&quick);
        assert_eq!(deadlines.first_stall(100), Some(105));
        deadlines.leave(&quick);
        deadlines.leave(&usual);
        assert_eq!(deadlines.first_stall(100), Some(160));
        deadlines.stall_timeout = NEVER;
        assert_eq!(deadlines.first_stall(100), None);
    }
}

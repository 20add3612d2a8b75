//! What one session is owed: what it is still to get, what it was told of the rest, and what its
//! reader has heard of all that.

use crate::filter::Filter;
use sansse::broker::Lag;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// What the session hears.
    pub(crate) filters: Vec<Filter>,
    /// Whether something that was published may be for several of its subscriptions, or was; then
    /// what it loses is not known exactly.
    pub(crate) overlaps: bool,
    /// How far it may be behind, where it chose that.
    pub(crate) lag: Option<Lag>,
    /// What it has not got yet, and by which of its subscriptions it is to.
    pub(crate) pending: BTreeMap<usize, Vec<Filter>>,
    /// What was sent and the reader has not heard, in the order of sending.
    pub(crate) unheard: Vec<usize>,
    sent: usize,
    /// What it subscribed to while it was open and is replayed: how much was sent before, and what
    /// it is. Before the reader has heard the first id of it, it comes back from where it was.
    replays: Vec<(usize, BTreeSet<usize>)>,
    pub(crate) has_replayed: bool,
    /// From which event on it is not what was replayed.
    pub(crate) live_from: usize,
    /// What it hears is not what it was at the last poll; what that gave is sent all the same.
    pub(crate) is_changed: bool,
    /// Events that it was told, or the server's application was, to be missing.
    pub(crate) excused: BTreeSet<usize>,
    /// What it has lost, once for each subscription that it was for.
    pub(crate) lost: Vec<(usize, Filter)>,
    /// How many of its events were superseded, as the naive record has it; and how many were lost, or
    /// superseded, as the server's application was told.
    pub(crate) superseded: u64,
    pub(crate) told_lost: u64,
    pub(crate) told_superseded: u64,
    /// How many more may have been superseded of subscriptions that ended.
    pub(crate) passed_unnoticed: u64,
    /// What it passed and was not sent, whatever the reason.
    pub(crate) passed: u64,
    /// How many it was told that it has lost, since it began.
    pub(crate) announced: u64,
}

/// An event, and by what it was to come.
pub(crate) type Due = (usize, Vec<Filter>);

/// What one poll came to, before it is known how much of it is written.
#[derive(Debug, Default)]
pub(crate) struct Polled {
    /// The events, in order.
    pub(crate) events: Vec<Due>,
    /// What was passed for good.
    pub(crate) passed: Vec<Due>,
}

impl Owed {
    pub(crate) fn hears(&self, of: impl Fn(&Filter) -> bool) -> bool {
        self.filters.iter().any(of)
    }

    /// It is to get this, by this subscription.
    pub(crate) fn owe(&mut self, event: usize, filter: Filter) {
        self.pending.entry(event).or_default().push(filter);
    }

    /// It subscribes, and these come again.
    pub(crate) fn subscribe(&mut self, filter: Filter, replay: &[usize]) {
        self.filters.push(filter);
        self.is_changed = true;
        self.overlaps |= filter.is_pattern();
        for event in replay {
            self.owe(*event, filter);
            self.excused.remove(event);
        }
        if !replay.is_empty() {
            self.has_replayed = true;
            self.replays.push((self.sent, replay.iter().copied().collect()));
        }
    }

    /// It gets nothing more by this subscription. Says how much that is.
    pub(crate) fn unsubscribe(&mut self, filter: Filter) -> usize {
        self.filters.retain(|one| *one != filter);
        let before = self.pending.len();
        for by in self.pending.values_mut() {
            by.retain(|one| *one != filter);
        }
        self.pending.retain(|_, by| !by.is_empty());
        before - self.pending.len()
    }

    /// What of a subscription it has not got yet.
    pub(crate) fn pending_by(&self, filter: Filter) -> Vec<usize> {
        let by = self.pending.iter().filter(|(_, by)| by.contains(&filter));
        by.map(|(event, _)| *event).collect()
    }

    /// What comes before `event` and was not sent by now never will be.
    pub(crate) fn pass(&mut self, event: usize) -> impl Iterator<Item = Due> + use<> {
        let rest = self.pending.split_off(&event);
        std::mem::replace(&mut self.pending, rest).into_iter()
    }

    /// Of what was polled, so many events are on their way, and the others came back: with them
    /// what their subscriptions had passed after them. Gives what was passed for good.
    pub(crate) fn commit(&mut self, polled: Polled, count: usize) -> Vec<Due> {
        let Polled { mut events, mut passed } = polled;
        let returned = events.split_off(count);
        for (event, _) in events {
            self.unheard.push(event);
            self.sent += 1;
        }
        let comes_back = |(event, by): &Due| {
            let is_before = |(other, others): &Due| {
                other < event && others.iter().any(|filter| by.contains(filter))
            };
            returned.iter().any(is_before)
        };
        let (back, for_good): (Vec<Due>, Vec<Due>) = passed.drain(..).partition(comes_back);
        let passed = returned.iter().map(|_| 0).chain(back.iter().map(|_| 1));
        for ((event, mut by), passed) in returned.iter().chain(&back).cloned().zip(passed) {
            // Unless it was taken away in the meantime.
            by.retain(|filter| self.filters.contains(filter));
            if by.is_empty() {
                self.passed_unnoticed += passed;
            } else {
                self.pending.insert(event, by);
            }
        }
        for (event, _) in &for_good {
            self.excuse(*event);
        }
        for_good
    }

    /// It was told that it does not get this, unless that is on its way from an earlier subscription.
    pub(crate) fn excuse(&mut self, event: usize) {
        if !self.unheard.contains(&event) {
            self.excused.insert(event);
        }
    }

    /// The reader has heard this, which must have been sent next.
    pub(crate) fn hear(&mut self, event: usize, has_id: bool) {
        assert!(self.unheard.first() == Some(&event), "#{event} comes, not {:?}", self.unheard);
        let number = self.sent - self.unheard.len();
        self.unheard.remove(0);
        self.replays.retain(|(sent, replay)| !has_id || number < *sent || !replay.contains(&event));
    }

    /// What comes before `place` and the reader has not heard, though it may come back from there
    /// and will not be sent it then.
    pub(crate) fn missing_before(&self, place: usize) -> Option<usize> {
        let pending = self.pending.range(..place).map(|(event, _)| *event);
        let unheard = self.unheard.iter().copied().filter(|event| *event < place);
        let is_begun = |event: &usize| !self.replays.iter().any(|(_, all)| all.contains(event));
        pending.chain(unheard).find(is_begun)
    }

    /// How much it has lost of what comes before `event` by the same subscriptions.
    pub(crate) fn lost_before(&self, event: usize, by: &[Filter]) -> u64 {
        let before = self.lost.iter().filter(|(lost, of)| *lost < event && by.contains(of));
        before.count() as u64
    }
}

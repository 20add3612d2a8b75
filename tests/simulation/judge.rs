//! Whether a session gets what it is owed, poll by poll: which events it may lose, which are superseded, and what is
//! said of that.

use crate::filter::Filter;
use crate::network::take_blocks;
use crate::owed::{Due, Polled};
use crate::serve::Taken;
use crate::world::World;
use sansse::broker::{EndReason, Filled, Lag, LagPolicy, SessionId};

/// What a session meets when it is polled, as the naive record has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behind {
    /// It is open, and all is known of it.
    is_exact: bool,
    /// What it has told, or was superseded before.
    told_lost: u64,
    /// What it loses, by which of its subscriptions.
    lost: Vec<(usize, Filter)>,
    /// What is superseded before anything else comes, likewise.
    superseded: Vec<(usize, Filter)>,
    /// It ends, and so many events are lost to it.
    closes: Option<u64>,
}

impl World {
    /// What is to be expected of the next poll.
    pub(crate) fn look_behind(&mut self, at: usize, session: SessionId) -> Behind {
        let is_open = self.server.broker(session).session(session).is_open();
        let connection = &self.connections[at];
        let pending = connection.owed.pending.keys().copied().collect();
        self.truths[connection.shard].trim_delivered(at, &pending);
        let is_exact = is_open && !connection.is_timed && !connection.owed.overlaps;
        let mut behind =
            Behind { is_exact, told_lost: connection.owed.told_lost, ..Behind::default() };
        if !is_exact || pending.is_empty() {
            return behind;
        }
        let (mut missing, mut closes) = (0, false);
        for filter in &connection.owed.filters {
            let lag = self.lag_of(at, *filter);
            let due = connection.owed.pending_by(*filter);
            let is_lost = |event: &&usize| self.truth(at).is_lost(**event);
            let gone = due.iter().filter(is_lost).count();
            missing += gone as u64;
            // What is replayed to it is within any bounds.
            let from = due.partition_point(|event| *event < connection.owed.live_from);
            let is_beyond = self.is_beyond(at, lag, &due, from);
            let is_too_far = gone > 0 || is_beyond;
            closes |= is_too_far && lag.policy == LagPolicy::Close;
            let skipped = match lag.policy {
                LagPolicy::SkipToNewest if is_too_far => due.len(),
                LagPolicy::SkipToOldest if is_beyond => self.oldest_within(at, lag, &due),
                _ => 0,
            };
            let lost = due[..skipped].iter().chain(due[skipped..].iter().filter(is_lost));
            behind.lost.extend(lost.map(|event| (*event, *filter)));
            let goes_by = |index: &usize| {
                let is_kept = self.truth(at).is_kept(due[*index]);
                !is_kept || self.is_superseded(at, lag, &due, *index)
            };
            let superseded = (skipped..due.len()).take_while(goes_by).map(|index| due[index]);
            let superseded = superseded.filter(|event| !self.truth(at).is_lost(*event));
            behind.superseded.extend(superseded.map(|event| (event, *filter)));
        }
        behind.closes = closes.then_some(missing);
        behind
    }

    /// Takes note of what a poll gave, and judges it.
    pub(crate) fn take_note(
        &mut self,
        at: usize,
        behind: &Behind,
        bytes: &[u8],
        taken: Taken,
    ) -> Polled {
        self.check_losses(at, behind, taken);
        self.connections[at].owed.is_changed = false;
        self.note(|| {
            let pending: Vec<usize> = self.connections[at].owed.pending.keys().copied().collect();
            format!("connection {at} is polled: {taken:?}, {pending:?} are pending, {behind:?}")
        });
        let mut polled = Polled::default();
        let mut bytes = bytes.to_vec();
        for block in take_blocks(&mut bytes) {
            let is_revoked = self.connections[at].is_revoked;
            assert!(!is_revoked, "something goes out after it was revoked");
            if let Some(event) = block.event {
                let owed = &mut self.connections[at].owed;
                let by = owed.pending.remove(&event);
                let by = by.unwrap_or_else(|| panic!("#{event} is sent, which is not owed"));
                polled.passed.extend(owed.pass(event));
                let has_lost = owed.lost_before(event, &by);
                assert!(
                    !behind.is_exact || has_lost <= owed.announced,
                    "#{event} comes before the loss of {has_lost} events is told"
                );
                assert!(
                    !behind.is_exact || !self.is_due_superseded(at, event, &by),
                    "#{event} is sent, though a newer one superseded it"
                );
                polled.events.push((event, by));
            } else if let Some(id) = &block.id {
                let place = self.truth(at).after(id).expect("a place that there is");
                let owed = &mut self.connections[at].owed;
                polled.passed.extend(owed.pass(place));
            }
            let owed = &mut self.connections[at].owed;
            if let Some(said) = block.said.filter(|said| said.reason.as_deref() == Some("lag")) {
                assert!(owed.announced < owed.told_lost, "told in vain: {said:?}");
                let is_known = said.lost.is_some();
                owed.announced = said.lost.map_or(owed.told_lost, |lost| owed.announced + lost);
                assert!(owed.announced <= owed.told_lost, "more than it has lost: {said:?}");
                self.log.count(if is_known { "loss told" } else { "loss told without a number" });
            }
        }
        assert!(bytes.is_empty(), "a frame is not whole");
        if taken == Taken::Parked {
            let all = self.connections[at].owed.pass(usize::MAX);
            polled.passed.extend(all);
        }
        for due in &polled.passed {
            self.check_passed(at, due);
        }
        polled
    }

    /// A session loses as many events as it is said to, and those that it should.
    fn check_losses(&mut self, at: usize, behind: &Behind, taken: Taken) {
        let owed = &mut self.connections[at].owed;
        let told = owed.told_lost - behind.told_lost;
        if let Taken::End(Some(EndReason::Lagged { lost })) = taken {
            assert!(!behind.is_exact || behind.closes == Some(lost), "{behind:?}");
            if lost == 0 {
                self.log.count("closed for its bounds");
            }
            return;
        }
        if !behind.is_exact {
            if told > 0 {
                self.log.count("skipped by one with patterns");
            }
            return;
        }
        assert!(behind.closes.is_none(), "it is not closed: {behind:?}");
        // What stood after the last frame of a batch may have been superseded with that already, before
        // it was lost.
        let was_superseded = |(event, filter): &&(usize, Filter)| {
            self.scenario.batch.is_some()
                && self.lag_of(at, *filter).policy == LagPolicy::KeepNewestPerKey
                && self.truth(at).superseded_by(*event).is_some()
        };
        let short = usize::try_from((behind.lost.len() as u64).saturating_sub(told)).unwrap();
        let superseded: Vec<_> =
            behind.lost.iter().filter(was_superseded).take(short).copied().collect();
        let (mut behind, all) = (behind.clone(), behind);
        behind.lost.retain(|one| !superseded.contains(one));
        behind.superseded.extend(superseded);
        assert_eq!(told, behind.lost.len() as u64, "{all:?}");
        let owed = &mut self.connections[at].owed;
        owed.lost.extend(&behind.lost);
        owed.superseded += behind.superseded.len() as u64;
        for (event, filter) in behind.lost.iter().chain(&behind.superseded) {
            owed.excuse(*event);
            owed.passed += 1;
            let by = owed.pending.get_mut(event).unwrap();
            by.retain(|one| one != filter);
            if by.is_empty() {
                owed.pending.remove(event);
            }
        }
        for (event, filter) in &behind.superseded {
            self.count_superseded(at, *event);
            if is_bounded(self.lag_of(at, *filter)) {
                self.log.count("superseded while it is behind its bounds");
            }
        }
        if let Some((_, filter)) = behind.lost.first() {
            let lag = self.lag_of(at, *filter);
            let is_within_retention = self.truth(at).is_kept(behind.lost[0].0);
            self.log.count(match (lag.policy, is_within_retention) {
                (LagPolicy::SkipToOldest, false) => "skip to the oldest",
                (LagPolicy::SkipToOldest, true) => "skip to the oldest within the bounds",
                (LagPolicy::SkipToNewest, false) => "skip to the newest",
                (LagPolicy::SkipToNewest, true) => "skip to the newest, beyond the bounds",
                _ => "loss of one who keeps the newest of each key",
            });
        }
    }

    /// So much of what was polled is on its way.
    pub(crate) fn commit(&mut self, at: usize, polled: Polled, count: usize) {
        let count = count.min(polled.events.len());
        let for_good = self.connections[at].owed.commit(polled, count);
        for due in for_good {
            let owed = &mut self.connections[at].owed;
            owed.superseded += due.1.len() as u64;
            owed.passed += 1;
        }
    }

    /// What was passed and is not lost was superseded; and either it is gone for that, or the
    /// session wants it so.
    fn check_passed(&self, at: usize, due: &Due) {
        let (event, by) = due;
        let connection = &self.connections[at];
        let truth = self.truth(at);
        let newer = truth.superseded_by(*event);
        let is_in_time =
            newer.is_some_and(|newer| connection.through.is_none_or(|through| newer < through));
        let lags: Vec<Lag> = by.iter().map(|filter| self.lag_of(at, *filter)).collect();
        let keeps_newest = lags.iter().any(|lag| lag.policy == LagPolicy::KeepNewestPerKey);
        if truth.is_kept(*event) {
            let skips = |lag: &Lag| match lag.policy {
                LagPolicy::SkipToNewest => true,
                LagPolicy::SkipToOldest => is_bounded(*lag),
                _ => false,
            };
            let may_skip = connection.owed.overlaps || connection.is_timed;
            assert!(
                (is_in_time && keeps_newest) || (may_skip && lags.iter().any(skips)),
                "#{event} is passed over"
            );
        } else if !connection.owed.overlaps && !connection.is_timed {
            assert!(newer.is_some() && !truth.is_lost(*event), "#{event} is passed over");
        }
        if is_in_time {
            self.count_superseded(at, *event);
            if lags.iter().any(|lag| is_bounded(*lag)) {
                self.log.count("superseded while it is behind its bounds");
            }
        }
    }

    fn count_superseded(&self, at: usize, event: usize) {
        self.log.count(if self.truth(at).is_kept(event) {
            "superseded by a newer one of its key"
        } else {
            "passed over, as it is gone from a compact log"
        });
    }

    /// Whether a session need not get what came out first.
    fn is_due_superseded(&self, at: usize, event: usize, by: &[Filter]) -> bool {
        let [filter] = by[..] else { return false };
        let mut due = self.connections[at].owed.pending_by(filter);
        due.insert(0, event);
        self.is_superseded(at, self.lag_of(at, filter), &due, 0)
    }

    /// How many of a subscription's events may have been passed with the last batch, after its last
    /// frame, and are counted though the subscription ends before the next.
    pub(crate) fn passed_unnoticed(&self, at: usize, filter: Filter) -> u64 {
        let (due, lag) = (self.connections[at].owed.pending_by(filter), self.lag_of(at, filter));
        let goes_by = |index: &usize| {
            !self.truth(at).is_kept(due[*index]) || self.is_superseded(at, lag, &due, *index)
        };
        (0..due.len()).take_while(goes_by).count() as u64
    }

    /// Whether a session that keeps the newest of each key need not get one of those that are due.
    fn is_superseded(&self, at: usize, lag: Lag, due: &[usize], index: usize) -> bool {
        let through = self.connections[at].through;
        let newer = self.truth(at).superseded_by(due[index]);
        lag.policy == LagPolicy::KeepNewestPerKey
            && newer.is_some_and(|newer| through.is_none_or(|through| newer < through))
            && (!is_bounded(lag) || self.is_beyond(at, lag, due, index))
    }

    /// A session that has nothing more was told of all that it has not got.
    pub(crate) fn check_parked(&mut self, at: usize, session: SessionId) {
        // What came with the last batch is counted at the next poll.
        if self.scenario.batch.is_some() {
            let mut batch = sansse::broker::Batch::new(sansse::broker::Framing::Plain);
            let behind = self.look_behind(at, session);
            let broker = self.server.broker(session);
            let end = broker.poll_transmit_batch(self.now, session, 1_000, &mut batch);
            self.drain_events();
            if !batch.is_empty() || end != Filled::All {
                // Something came in the meantime.
                let taken = match end {
                    Filled::More => Taken::More,
                    Filled::All => Taken::Parked,
                    Filled::Ended(reason) => Taken::End(reason),
                };
                panic!("{taken:?} of a session that was parked: {behind:?}");
            }
        }
        let connection = &self.connections[at];
        let owed = &connection.owed;
        let is_over = self.is_over(connection.shard, &owed.filters);
        assert!(!is_over, "it waits for topics that have ended");
        let told = owed.told_lost + owed.told_superseded;
        assert!(
            told >= owed.passed,
            "it has not got {} events, of which {told} are told",
            owed.passed
        );
        if !connection.is_timed && !owed.overlaps {
            assert_eq!(owed.told_lost, owed.lost.len() as u64);
            let least = owed.superseded;
            let superseded = least..=least + owed.passed_unnoticed;
            assert!(
                superseded.contains(&owed.told_superseded),
                "{superseded:?}, not {}",
                owed.told_superseded
            );
        }
        assert_eq!(owed.announced, owed.told_lost, "what is told to the peer");
    }

    /// A session that ends in good order has all that it is to have.
    pub(crate) fn check_end(&self, at: usize, reason: Option<EndReason>) {
        let connection = &self.connections[at];
        let owed = &connection.owed;
        let is_whole = match reason {
            Some(EndReason::TopicsEnded) => {
                let named = owed.filters.iter().filter(|filter| filter.is_named());
                let truth = self.truth(at);
                let all_ended = named
                    .clone()
                    .all(|filter| matches!(filter, Filter::Topic(topic) if truth.has_ended(topic)));
                let has_broadcast = owed.filters.contains(&Filter::All);
                assert!(!has_broadcast && all_ended && named.count() > 0, "{:?}", owed.filters);
                true
            }
            Some(EndReason::Closed) => true,
            _ => false,
        };
        if is_whole && !connection.is_timed {
            // What it skipped to the newest, and nothing came after.
            let may_skip = |filter: &Filter| {
                self.lag_of(at, *filter).policy != LagPolicy::Close && owed.overlaps
            };
            let rest = owed
                .pending
                .iter()
                .find(|(event, by)| self.truth(at).is_kept(**event) && !by.iter().any(may_skip));
            assert!(rest.is_none(), "it ended without {rest:?}");
        }
    }

    fn lag_of(&self, at: usize, filter: Filter) -> Lag {
        let own = self.connections[at].owed.lag;
        let of_topic = self.scenario.topic_lag.filter(|(topic, _)| filter == Filter::Topic(topic));
        own.or(of_topic.map(|(_, lag)| lag)).unwrap_or(self.server.config.session.lag)
    }

    /// Whether what is due, from this one on, is more than one event and more than the bounds allow.
    fn is_beyond(&self, at: usize, lag: Lag, due: &[usize], from: usize) -> bool {
        let truth = self.truth(at);
        let is_kept = |index: &usize| truth.is_kept(due[*index]);
        let Some(first) = (from..due.len()).find(is_kept) else { return false };
        let last = (first..due.len()).rev().find(is_kept).unwrap();
        let size: usize = due[first..=last].iter().map(|event| truth.events[*event].size).sum();
        first < last
            && (lag.events.is_some_and(|events| last + 1 - first > events.get())
                || lag.bytes.is_some_and(|bytes| size > bytes.get()))
    }

    /// How many of these come before the oldest that is kept and within the bounds.
    fn oldest_within(&self, at: usize, lag: Lag, due: &[usize]) -> usize {
        let truth = self.truth(at);
        let is_kept = |index: &usize| truth.is_kept(due[*index]);
        let Some(first) = (0..due.len()).find(is_kept) else { return 0 };
        let last = (first..due.len()).rev().find(is_kept).unwrap();
        let is_within = |from: &usize| {
            let size: usize = due[*from..=last].iter().map(|event| truth.events[*event].size).sum();
            lag.events.is_none_or(|events| last + 1 - from <= events.get())
                && lag.bytes.is_none_or(|bytes| size <= bytes.get())
        };
        let within = (0..=last).find(is_within).unwrap_or(last);
        if within <= first {
            return 0;
        }
        (within..=last).find(is_kept).unwrap()
    }
}

const fn is_bounded(lag: Lag) -> bool {
    lag.events.is_some() || lag.bytes.is_some()
}

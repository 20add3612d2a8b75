//! What the model does with a session that is behind: each of its sources is a list of what is
//! still to come, of which some may be gone, and some superseded.

use super::model::{LogName, Loss, Member, Model, Pending};
use sansse::broker::*;

/// What a source of a session knows of an event that is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is there, or was superseded and is gone.
    Waiting,
    /// It is gone, and it or a newer one that is gone was not superseded.
    Lost,
    /// As `Lost`, and counted.
    Told,
    /// It is not replayed to who has subscribed to it otherwise.
    Excluded,
}

/// What comes next for a session.
pub(super) enum Next {
    Loss(String),
    Event(Pending),
    Nothing,
}

/// How a source has passed events without delivering them: which, for the time that they are taken
/// back.
pub(super) type Passed = Vec<(Pending, LogName)>;

impl Model {
    pub(super) fn is_here(&self, log: &LogName, position: u64) -> bool {
        let log = self.logs.get(log);
        log.is_some_and(|log| log.kept.iter().any(|kept| kept.position == position))
    }

    fn superseded_at(&self, pending: &Pending) -> Option<u64> {
        let log = self.logs.get(&pending.log)?;
        log.kept.iter().find(|kept| kept.position == pending.position)?.superseded_at
    }

    fn lag_of(&self, member: &Member, source: &LogName) -> Lag {
        let own = match source {
            LogName::Named(_) => self.logs.get(source).and_then(|log| log.lag),
            _ => None,
        };
        member.lag.or(own).unwrap_or(self.config.session.lag)
    }

    /// Lets the session meet its policies. Says what it has lost, if that closes it.
    pub(super) fn meet_lag(&mut self, session: SessionId) -> Result<(), u64> {
        let mut member = self.members.remove(&session).unwrap();
        let sources: Vec<_> = member
            .logs
            .iter()
            .map(|source| (source.clone(), self.lag_of(&member, source)))
            .collect();
        let closes = sources.iter().any(|(source, lag)| {
            let list = member.list(source);
            lag.policy == LagPolicy::Close
                && (untold(&list, source) > 0
                    || self.is_beyond(lag, &list, member.replayed_in(&list)))
        });
        if closes {
            let untold = |source| untold(&member.list(source), source) as u64;
            let lost = sources.iter().map(|(source, _)| untold(source)).sum();
            self.members.insert(session, member);
            return Err(lost);
        }
        let (mut lost, mut superseded, mut losses) = (0, 0, Vec::new());
        for (source, lag) in sources {
            let list = member.list(&source);
            let here = |index: usize| self.is_here(&list[index].log, list[index].position);
            let first_here = |from: usize| (from..list.len()).find(|index| here(*index));
            let is_beyond = self.is_beyond(&lag, &list, member.replayed_in(&list));
            let target = match lag.policy {
                LagPolicy::SkipToNewest if is_beyond || untold(&list, &source) > 0 => list.len(),
                LagPolicy::SkipToOldest if is_beyond => self.oldest_within(&lag, &list),
                _ => 0,
            };
            let (skipped, rest) = list.split_at(target);
            let uncounted = [State::Told, State::Excluded];
            let told = skipped.iter().filter(|one| uncounted.contains(&one.state(&source))).count();
            let new = target - told + untold(rest, &source);
            let is_superseded = |index: usize| {
                lag.policy == LagPolicy::KeepNewestPerKey
                    && self.is_superseded(&member, &lag, &list, index)
            };
            let is_excluded = |index: usize| list[index].state(&source) == State::Excluded;
            let first = (target..list.len())
                .find(|index| here(*index) && !is_superseded(*index) && !is_excluded(*index));
            let first = first.unwrap_or(list.len());
            let passed = list[target..first].iter();
            superseded += passed.filter(|one| one.state(&source) == State::Waiting).count() as u64;
            lost += new as u64;
            if new > 0 {
                let place = first_here(first)
                    .map_or_else(|| self.last_position(&source), |index| list[index].position - 1);
                let by_pattern = matches!(source, LogName::Pattern(_));
                let is_known = match self.logs.get(&source) {
                    Some(log) => !log.has_spared,
                    None => !self.may_compact,
                };
                let lost = is_known.then_some(new as u64);
                losses.push(Loss { before: place, lost, by_pattern });
            }
            let gone: Vec<u64> = list[..first].iter().map(|one| one.position).collect();
            member.forget(&source, |position| gone.contains(&position));
            member.mark(&source, State::Lost, State::Told);
        }
        if member.notices.is_some() {
            for mut more in losses {
                more.before = member.through.map_or(more.before, |at| more.before.min(at));
                member.loss = Some(member.loss.map_or(more, |loss| loss.and(more)));
            }
        }
        self.note_skipped(session, &member, lost);
        self.note_superseded(session, &member, superseded);
        self.members.insert(session, member);
        Ok(())
    }

    fn is_superseded(&self, member: &Member, lag: &Lag, list: &[Pending], index: usize) -> bool {
        let superseded = self.superseded_at(&list[index]);
        superseded.is_some_and(|at| member.through.is_none_or(|through| at <= through))
            && ((lag.events, lag.bytes) == (None, None) || self.is_beyond(lag, list, index))
    }

    fn first_and_last(&self, list: &[Pending], from: usize) -> Option<(usize, usize)> {
        let here = |index: &usize| self.is_here(&list[*index].log, list[*index].position);
        Some(((from..list.len()).find(here)?, (from..list.len()).rev().find(here)?))
    }

    fn is_beyond(&self, lag: &Lag, list: &[Pending], from: usize) -> bool {
        self.first_and_last(list, from).is_some_and(|(first, last)| {
            let size: usize = list[first..=last].iter().map(|one| self.sizes[&one.position]).sum();
            first < last
                && (lag.events.is_some_and(|events| last + 1 - first > events.get())
                    || lag.bytes.is_some_and(|bytes| size > bytes.get()))
        })
    }

    fn oldest_within(&self, lag: &Lag, list: &[Pending]) -> usize {
        let Some((first, last)) = self.first_and_last(list, 0) else { return 0 };
        let is_within = |from: &usize| {
            let size: usize = list[*from..=last].iter().map(|one| self.sizes[&one.position]).sum();
            lag.events.is_none_or(|events| last + 1 - from <= events.get())
                && lag.bytes.is_none_or(|bytes| size <= bytes.get())
        };
        let within = (0..=last).find(is_within).unwrap_or(last);
        if within <= first {
            return 0;
        }
        self.first_and_last(list, within).unwrap().0
    }

    fn last_position(&self, source: &LogName) -> u64 {
        let covered = self.logs.iter().filter(|(name, _)| source.covers(name));
        let newest = covered.filter_map(|(_, log)| log.kept.last().map(|kept| kept.position)).max();
        newest.unwrap_or(0).max(self.lost_through(source))
    }

    /// What goes out next, as the first of a batch or not; it is pending no more, nor what was
    /// passed on the way.
    pub(super) fn next_item(&self, member: &mut Member, passed: &mut Passed) -> Next {
        loop {
            if let Some(next) = self.next_or_superseded(member, passed) {
                return next;
            }
        }
    }

    /// `None` where the next is superseded for a source, and is passed.
    fn next_or_superseded(&self, member: &mut Member, passed: &mut Passed) -> Option<Next> {
        let mut coming = member.pending.iter();
        let next = coming.find(|one| one.first().is_some() && self.is_here(&one.log, one.position));
        let next = next.cloned();
        let is_before_next = |place: u64| next.as_ref().is_none_or(|next| next.position > place);
        if let Some(cut) = member.cuts.first().copied()
            && is_before_next(cut)
            && member.loss.is_none_or(|loss| cut < loss.before)
        {
            member.cuts.remove(0);
            return Some(Next::Loss(self.cut_payload(member, cut)));
        }
        if let Some(Loss { before, lost, .. }) = member.loss
            && is_before_next(before)
        {
            member.loss = None;
            return Some(Next::Loss(self.loss_payload(member, before, lost)));
        }
        let Some(next) = next else { return Some(Next::Nothing) };
        let first = next.first().unwrap();
        let lag = self.lag_of(member, first);
        let list = member.list(first);
        let index = list.iter().position(|one| one.position == next.position).unwrap();
        if lag.policy == LagPolicy::KeepNewestPerKey
            && self.is_superseded(member, &lag, &list, index)
        {
            member.pass(first, next.position + 1, passed);
            return None;
        }
        for (source, _) in next.by.iter().filter(|(_, state)| *state == State::Waiting) {
            member.pass(source, next.position, passed);
            member.forget(source, |position| position == next.position);
        }
        Some(Next::Event(next))
    }

    /// What would go out next, after what need not, and whether a loss comes before it.
    pub(super) fn peek(&self, member: &mut Member, passed: &mut Passed) -> (Option<String>, bool) {
        if member.ahead.is_some() {
            return (None, false);
        }
        let mut after = member.clone();
        let mut passed_then = Vec::new();
        let mut next = None;
        let mut is_stopped = self.has_lost_next(&after);
        while !is_stopped && next.is_none() {
            next = self.next_or_superseded(&mut after, &mut passed_then);
            is_stopped = next.is_none() && self.has_lost_next(&after);
        }
        let next = match next {
            Some(Next::Loss(payload)) => Some(payload),
            Some(Next::Event(pending)) => Some(pending.payload),
            Some(Next::Nothing) | None => None,
        };
        // What is superseded and there goes one by one, and what is gone with what comes after it.
        passed_then.retain(|(one, _)| self.is_here(&one.log, one.position));
        for (one, source) in passed_then {
            member.pass(&source, one.position + 1, passed);
        }
        (next, is_stopped)
    }

    /// Whether something that is lost, or excluded, comes next from one of the sources.
    fn has_lost_next(&self, member: &Member) -> bool {
        let is_here = |one: &Pending| self.is_here(&one.log, one.position);
        member.logs.iter().any(|source| member.has_stopped(source, is_here))
    }

    fn note_skipped(&mut self, session: SessionId, member: &Member, more: u64) {
        if more == 0 {
            return;
        }
        self.tally.counters.lost.skipped += more;
        let earlier = self.events.iter_mut().find_map(|event| match event {
            BrokerEvent::SessionSkipped { session: other, lost, .. } if *other == session => {
                Some(lost)
            }
            _ => None,
        });
        let client = member.client.clone();
        match earlier {
            Some(earlier) => *earlier += more,
            None => self.events.push(BrokerEvent::SessionSkipped { session, client, lost: more }),
        }
    }

    pub(super) fn note_superseded(&mut self, session: SessionId, member: &Member, more: u64) {
        if more == 0 {
            return;
        }
        self.tally.counters.superseded += more;
        let earlier = self.events.iter_mut().find_map(|event| match event {
            BrokerEvent::SessionSuperseded { session: other, superseded, .. }
                if *other == session =>
            {
                Some(superseded)
            }
            _ => None,
        });
        let client = member.client.clone();
        match earlier {
            Some(earlier) => *earlier += more,
            None => {
                self.events.push(BrokerEvent::SessionSuperseded {
                    session,
                    client,
                    superseded: more,
                });
            }
        }
    }

    /// A superseded event is gone; who has lost a newer one from the same source cannot tell.
    pub(super) fn spare(&mut self, position: u64) {
        let sessions: Vec<_> = self.members.keys().copied().collect();
        for session in sessions {
            let mut member = self.members.remove(&session).unwrap();
            for pending in member.pending.iter_mut().filter(|one| one.position == position) {
                for (source, state) in &mut pending.by {
                    if *state == State::Waiting && position <= self.lost_through(source) {
                        *state = State::Lost;
                    }
                }
            }
            self.members.insert(session, member);
        }
    }

    /// Everybody has lost what is gone of a log through this position.
    pub(super) fn lose(&mut self, name: &LogName, position: u64) {
        let logs = &self.logs;
        for member in self.members.values_mut() {
            let covering: Vec<_> =
                member.logs.iter().filter(|log| log.covers(name)).cloned().collect();
            for pending in member.pending.iter_mut().filter(|one| one.position <= position) {
                let log = logs.get(&pending.log);
                if log.is_some_and(|l| l.kept.iter().any(|k| k.position == pending.position)) {
                    continue;
                }
                for (source, state) in &mut pending.by {
                    if *state == State::Waiting && covering.contains(source) {
                        *state = State::Lost;
                    }
                }
            }
        }
    }
}

fn untold(list: &[Pending], source: &LogName) -> usize {
    list.iter().filter(|one| one.state(source) == State::Lost).count()
}

impl Loss {
    /// What was lost by a pattern may be the same.
    fn and(self, other: Self) -> Self {
        let by_pattern = self.by_pattern || other.by_pattern;
        let lost = self.lost.zip(other.lost).filter(|_| !by_pattern);
        let lost = lost.map(|(one, other)| one + other);
        Self { before: self.before.min(other.before), lost, by_pattern }
    }
}

impl Pending {
    /// Whether its frame has such a field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.payload.lines().any(|line| line.starts_with(&format!("{field}: ")))
    }

    /// Through which it is delivered.
    fn first(&self) -> Option<&LogName> {
        let mut waiting = self.by.iter().filter(|(_, state)| *state == State::Waiting);
        waiting.next().map(|(source, _)| source)
    }

    pub(super) fn state(&self, source: &LogName) -> State {
        self.by.iter().find(|(one, _)| one == source).unwrap().1
    }
}

impl Member {
    /// Whether it is to be told of a loss, its own or that of all.
    pub(super) fn has_to_be_told(&self) -> bool {
        self.loss.is_some() || !self.cuts.is_empty()
    }

    /// What is to come from a source.
    pub(super) fn list(&self, source: &LogName) -> Vec<Pending> {
        let is_of = |pending: &&Pending| pending.by.iter().any(|(one, _)| one == source);
        self.pending.iter().filter(is_of).cloned().collect()
    }

    /// How many of these are what was replayed, or come before that.
    fn replayed_in(&self, list: &[Pending]) -> usize {
        list.partition_point(|one| one.position <= self.replayed_through)
    }

    fn has_stopped(&self, source: &LogName, is_here: impl Fn(&Pending) -> bool) -> bool {
        let list = self.list(source);
        let mut coming =
            list.iter().filter(|one| one.state(source) != State::Waiting || is_here(one));
        coming.next().is_some_and(|one| one.state(source) != State::Waiting)
    }

    pub(super) fn has_lost(&self) -> bool {
        self.pending.iter().any(|one| one.by.iter().any(|(_, state)| *state != State::Waiting))
    }

    pub(super) fn forget(&mut self, source: &LogName, is_gone: impl Fn(u64) -> bool) {
        for pending in &mut self.pending {
            if is_gone(pending.position) {
                pending.by.retain(|(one, _)| one != source);
            }
        }
        self.pending.retain(|pending| !pending.by.is_empty());
    }

    fn mark(&mut self, source: &LogName, from: State, to: State) {
        let all = self.pending.iter_mut().flat_map(|pending| &mut pending.by);
        for (_, state) in all.filter(|(one, state)| one == source && *state == from) {
            *state = to;
        }
    }

    /// The source goes on from `position`.
    fn pass(&mut self, source: &LogName, position: u64, passed: &mut Passed) {
        for one in self.list(source).into_iter().filter(|one| one.position < position) {
            if one.state(source) == State::Waiting {
                passed.push((one, source.clone()));
            }
        }
        self.forget(source, |one| one < position);
    }

    /// The source goes back, so that this is to come again.
    pub(super) fn restore(&mut self, pending: &Pending, source: &LogName, state: State) {
        let of = self.logs.clone();
        let place = |name: &LogName| of.iter().position(|one| one == name);
        let index = self.pending.partition_point(|one| one.position < pending.position);
        let is_there = self.pending.get(index).is_some_and(|one| one.position == pending.position);
        if !is_there {
            self.pending.insert(index, Pending { by: Vec::new(), ..pending.clone() });
        }
        let by = &mut self.pending[index].by;
        by.push((source.clone(), state));
        by.sort_by_key(|(name, _)| place(name));
    }
}

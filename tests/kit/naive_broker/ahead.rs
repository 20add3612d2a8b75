//! What the model does with sessions whose last event id is ahead.

use super::lag::State;
use super::model::{LogName, Member, Model, Phase, Wish};
use super::signed::PlaceOf;
use sansse::broker::*;
use std::time::Duration;

/// A session that waits for its position.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    position: u64,
    pub(super) until: Duration,
    wish: Wish,
    retry: Option<Duration>,
    pub(super) late: Vec<Late>,
}

/// What it subscribed to meanwhile, and from where on.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) filter: LogName,
    pub(super) last_event_id: Option<Result<String, ()>>,
    pub(super) newest: Option<u64>,
}

impl Late {
    pub(super) fn is_from_now(&self) -> bool {
        self.last_event_id.is_none() && self.newest.is_none()
    }
}

impl Model {
    /// What a session waits for that is opened with such an id.
    pub(super) fn ahead(
        &self,
        wish: &Wish,
        logs: &[LogName],
        retry: Option<Duration>,
    ) -> Option<Ahead> {
        let until = self.now.saturating_add(self.config.session.ahead_wait?);
        let id = wish.last_event_id.as_ref()?.as_ref().ok()?;
        let PlaceOf::At(epoch, position) = self.place_of(id) else { return None };
        let is_ahead = epoch == self.config.epoch.0 && position > self.last;
        // An event that is kept may have brought the same id.
        let is_placed = self.logs.iter().any(|(name, log)| {
            logs.iter().any(|source| source.covers(name))
                && log.kept.iter().any(|kept| kept.own_id.as_ref() == Some(id))
        });
        let late = Vec::new();
        (is_ahead && !is_placed).then(|| Ahead { position, until, wish: wish.clone(), retry, late })
    }

    /// Decides how those resume whose position has come.
    pub(super) fn note_position(&mut self) {
        self.decide_where(|ahead, last, _| ahead.position <= last);
    }

    /// Decides how those resume that have waited long enough.
    pub(super) fn decide_overdue(&mut self) {
        self.decide_where(|ahead, _, now| ahead.until <= now);
    }

    fn decide_where(&mut self, is_due: impl Fn(&Ahead, u64, Duration) -> bool) {
        for session in self.order.clone() {
            let ahead = self.members[&session].ahead.as_ref();
            if ahead.is_some_and(|ahead| is_due(ahead, self.last, self.now)) {
                self.decide(session);
            }
        }
    }

    fn decide(&mut self, session: SessionId) {
        let ahead = self.members.get_mut(&session).unwrap().ahead.take().unwrap();
        let Ahead { position, wish, retry, late, .. } = *ahead;
        let member = &self.members[&session];
        let is_first = |log: &&LogName| {
            !matches!(log, LogName::Private(_)) && late.iter().all(|late| late.filter != **log)
        };
        let first: Vec<LogName> = member.logs.iter().filter(is_first).cloned().collect();
        let beginning = self.resume(&first, wish.last_event_id.as_ref(), wish.newest);
        let resumption = beginning.resumption;
        let opening = self.opening(&wish, retry, &beginning.said, beginning.place);
        let is_place_due = self.ends_without_id(&wish, &beginning.pending)
            || (self.has_own(session) && self.tells_places(member.notices.as_ref()));
        let last = self.last;
        let member = self.members.get_mut(&session).unwrap();
        member.opening = opening;
        member.place_due |= is_place_due;
        if resumption.replayed() > 0 {
            member.replayed_through = last;
        }
        for pending in &beginning.pending {
            for (source, state) in &pending.by {
                member.restore(pending, source, *state);
            }
        }
        // Its sources are not asked in the order in which it got them.
        self.inexact.insert(session);
        for (index, one) in late.iter().enumerate() {
            self.decide_late(session, one, &late[index + 1..], position);
        }
        self.tally.opened(resumption);
        let client = wish.client.clone();
        self.events.push(BrokerEvent::SessionResumed { session, client, resumption });
        let member = &self.members[&session];
        let has_output = member.opening.is_some()
            || member.late_gap.is_some()
            || !member.pending.is_empty()
            || self.is_over(member);
        if member.phase == Phase::Parked && has_output {
            self.wake(session);
        }
    }

    fn decide_late(&mut self, session: SessionId, late: &Late, later: &[Late], position: u64) {
        let filter = &late.filter;
        if late.is_from_now() {
            if position <= self.last {
                let member = self.members.get_mut(&session).unwrap();
                member.forget(filter, |one| one <= position);
            }
            return;
        }
        let logs = self.members[&session].logs.iter();
        let before = logs.filter(|log| {
            let is_later = later.iter().any(|later| later.filter == **log);
            log.is_filter() && *log != filter && !is_later
        });
        let before: Vec<LogName> = before.cloned().collect();
        self.begin_late(session, filter, late.last_event_id.as_ref(), late.newest, &before);
    }

    /// Whether something was published to this session alone.
    pub(super) fn has_own(&self, session: SessionId) -> bool {
        self.published.values().any(|log| *log == LogName::Private(session))
    }

    /// How many sessions wait.
    pub(super) fn waiting(&self) -> usize {
        self.members.values().filter(|member| member.ahead.is_some()).count()
    }
}

impl Member {
    /// Whether it has a place in what this is: all but what is decided yet.
    pub(super) fn is_placed(&self, source: &LogName) -> bool {
        self.ahead.as_ref().is_none_or(|ahead| {
            let is_now = |late: &Late| late.filter == *source && late.is_from_now();
            matches!(source, LogName::Private(_)) || ahead.late.iter().any(is_now)
        })
    }

    /// Ends the wait of a session that ends: it has all but what is for it alone. Says from where
    /// its peer is to resume.
    pub(super) fn give_up_waiting(&mut self) -> Option<u64> {
        let ahead = self.ahead.take()?;
        let is_own = |(source, _): &(LogName, State)| matches!(source, LogName::Private(_));
        self.pending.retain(|pending| pending.by.iter().any(is_own));
        Some(ahead.position)
    }

    /// A subscription that it had made meanwhile is gone.
    pub(super) fn forget_late(&mut self, filter: &LogName) {
        if let Some(ahead) = &mut self.ahead {
            ahead.late.retain(|late| late.filter != *filter);
        }
    }

    pub(super) fn waits_for(&self) -> Option<u64> {
        Some(self.ahead.as_ref()?.position)
    }
}

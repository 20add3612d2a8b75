//! What the model does when time has passed, and what it waits for.

use super::model::{LogName, Member, Model, Phase};
use sansse::broker::*;
use std::time::Duration;

impl Model {
    pub(crate) fn timeout(&mut self, broker: &Broker) {
        self.timed = self.now;
        let all: Vec<SessionId> = self.members.keys().copied().collect();
        for session in all {
            if !self.lease_due(session, broker) {
                continue;
            }
            let member = self.members.get_mut(&session).unwrap();
            if member.deadline().is_none_or(|at| at > self.now) {
                continue;
            }
            if member.phase == Phase::Parked && member.output_since.is_none() {
                member.heartbeat_due = true;
                self.wake(session);
            } else {
                self.ended_untold.push(session);
                self.ended_ready.push(session);
                self.end(session, EndReason::Stalled, broker);
            }
        }
        let names: Vec<LogName> = self.logs.keys().cloned().collect();
        for name in &names {
            if self.logs.contains_key(name) {
                self.trim_aged(name);
            }
        }
        for log in self.logs.values_mut() {
            if let Some(ended) = &mut log.ended
                && ended.until.is_some_and(|until| until <= self.now)
            {
                ended.is_remembered = false;
            }
        }
        self.release_topics();
        self.decide_overdue();
        self.drain_due(broker);
        self.forget_absent(broker);
    }

    /// Notes who has output that its driver has not asked for.
    pub(crate) fn note_output(&mut self) {
        for session in self.order.clone() {
            let member = &self.members[&session];
            let has_output = match member.phase {
                Phase::Parked => member.has_output(self.is_over(member)),
                Phase::Woken | Phase::Polled => true,
            };
            let (now, member) = (self.now, self.members.get_mut(&session).unwrap());
            match (has_output, member.phase) {
                (false, _) => member.output_since = None,
                (true, Phase::Polled) => {}
                (true, _) => _ = member.output_since.get_or_insert(now),
            }
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let sessions = self.members.values().filter_map(Member::deadline);
        let absent = self
            .guests
            .values()
            .filter_map(|guest| Some(guest.absent_since? + self.config.client_grace));
        let aged = self
            .logs
            .iter()
            .filter_map(|(name, log)| Some((log.kept.first()?, self.retention(name).age?)))
            .map(|(kept, age)| kept.until(age));
        let ended =
            self.logs.values().filter_map(|log| log.ended.filter(|end| end.is_remembered)?.until);
        let terms = self
            .members
            .values()
            .flat_map(|member| [member.expiry(), member.lease, member.asking()])
            .flatten();
        let ahead = self.members.values().filter_map(|member| Some(member.ahead.as_ref()?.until));
        let kept = self.kept.values().map(|since| *since + self.config.client_grace);
        let sessions = sessions.chain(ahead).chain(kept);
        let all = sessions.chain(absent).chain(aged).chain(ended).chain(terms);
        all.chain(self.next_turn()).chain(self.next_patience()).min()
    }
}

impl Member {
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent_at = now;
        self.heartbeat_due = false;
        self.phase = Phase::Polled;
    }

    pub(super) fn has_output(&self, is_over: bool) -> bool {
        self.ahead.is_none() && (!self.pending.is_empty() || is_over)
    }

    pub(super) fn is_to_come_out(&self, is_over: bool) -> bool {
        match self.phase {
            Phase::Parked => self.has_output(is_over),
            Phase::Woken => true,
            Phase::Polled => false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.phase == Phase::Parked && self.output_since.is_none() {
            return Some(self.sent_at.saturating_add(self.heartbeat?));
        }
        let since = self.output_since.map_or(self.polled_at, |since| since.max(self.polled_at));
        Some(since.saturating_add(self.stall_timeout?))
    }
}

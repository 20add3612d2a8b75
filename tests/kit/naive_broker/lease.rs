//! What the model does about leases, and about rights that are taken away.

use super::model::{LogName, Member, Model};
use sansse::broker::*;
use std::time::Duration;

impl Model {
    /// When the application is to be asked about a lease, if it is not over already.
    pub(super) fn ask_at(&self, until: Duration) -> Option<Duration> {
        let left = until.checked_sub(self.now).filter(|left| !left.is_zero())?;
        let half = Duration::from_nanos(u64::try_from(left.as_nanos()).unwrap() / 2);
        Some(until - half.min(self.config.session.lease_lead))
    }

    pub(super) fn renew_lease(
        &mut self,
        session: SessionId,
        until: Duration,
    ) -> Result<(), LeaseError> {
        let now = self.now;
        let member = self.members.get(&session).filter(|member| !member.is_lapsed(now));
        if member.is_none() {
            return Err(LeaseError::UnknownSession);
        }
        let ask_at = self.ask_at(until).ok_or(LeaseError::InThePast)?;
        let member = self.members.get_mut(&session).unwrap();
        (member.lease, member.ask_at) = (Some(until), Some(ask_at));
        Ok(())
    }

    pub(super) fn revoke(
        &mut self,
        client: &ClientId,
        broker: &Broker,
    ) -> Result<usize, RevokeError> {
        if self.drop_kept(client) {
            return Ok(0);
        }
        let guest = self.guests.get(client).ok_or(RevokeError::UnknownClient)?;
        let sessions = guest.sessions.clone();
        for session in &sessions {
            self.ended_untold.push(*session);
            self.ended_ready.push(*session);
            self.end(*session, EndReason::Revoked, broker);
        }
        Ok(sessions.len())
    }

    pub(super) fn revoke_topic(
        &mut self,
        client: &ClientId,
        topic: &TopicName,
        broker: &Broker,
    ) -> Result<usize, RevokeError> {
        if self.kept.contains_key(client) {
            return Ok(0);
        }
        if !self.guests.contains_key(client) {
            return Err(RevokeError::UnknownClient);
        }
        let log = LogName::Named(topic.clone());
        let hears = |name: &LogName| name.covers(&log);
        let sessions = self.guests[client].sessions.clone();
        let mut heard = 0;
        for session in sessions {
            let member = self.members.get_mut(&session).unwrap();
            heard += usize::from(member.logs.iter().any(hears));
            // A pattern is heard as a whole.
            if member.logs.iter().any(|name| hears(name) && *name != log) {
                self.ended_untold.push(session);
                self.ended_ready.push(session);
                self.end(session, EndReason::Revoked, broker);
            } else {
                let had = member.logs.len();
                member.logs.retain(|other| *other != log);
                member.forget_late(&log);
                let is_less = member.logs.len() < had;
                member.pending.retain(|pending| pending.log != log);
                self.inexact.insert(session);
                self.release_topics();
                if is_less && self.is_over(&self.members[&session]) {
                    self.wake(session);
                }
                self.forbid(session, topic, broker);
            }
        }
        Ok(heard)
    }

    /// Does what is due about a session's lease. Says whether it lives on.
    pub(super) fn lease_due(&mut self, session: SessionId, broker: &Broker) -> bool {
        let now = self.now;
        let member = self.members.get_mut(&session).unwrap();
        if member.is_lapsed(now) {
            self.ended_untold.push(session);
            self.ended_ready.push(session);
            self.end(session, EndReason::LeaseExpired, broker);
            return false;
        }
        if member.expiry().is_some_and(|at| at <= now) {
            let words = self.last_words(&self.members[&session], false, None);
            self.finish(session, EndReason::MaxAge);
            self.members.get_mut(&session).unwrap().last_words = words;
        } else if member.asking().is_some_and(|at| at <= now) {
            member.ask_at = None;
            let (client, until) = (member.client.clone(), self.start + member.lease.unwrap());
            self.events.push(BrokerEvent::LeaseExpiring { session, client, until });
        }
        true
    }
}

impl Member {
    pub(super) fn is_lapsed(&self, now: Duration) -> bool {
        self.lease.is_some_and(|until| until <= now)
    }

    /// When the application is to be asked.
    pub(super) fn asking(&self) -> Option<Duration> {
        self.ask_at.filter(|_| self.ending.is_none())
    }
}

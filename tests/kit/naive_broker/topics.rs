//! What the model does about topics that end, and what open sessions subscribe to.

use super::ahead::Late;
use super::lag::State;
use super::model::{Ended, LogName, Member, Model, Pending, Wish};
use super::notice::Words;
use sansse::broker::*;

impl Model {
    pub(super) fn is_over_for(&self, wish: &Wish) -> bool {
        let ended = |name: &TopicName| {
            self.logs.get(&LogName::Named(name.clone())).is_some_and(|log| log.ended.is_some())
        };
        if !wish.topics_only
            || wish.topics.is_empty()
            || !wish.patterns.is_empty()
            || !wish.topics.iter().all(ended)
        {
            return false;
        }
        let mut logs: Vec<_> = wish.topics.iter().cloned().map(LogName::Named).collect();
        logs.extend(wish.client.clone().map(LogName::Client));
        if self.ahead(wish, &logs, None).is_some() {
            return false;
        }
        let beginning = self.resume(&logs, wish.last_event_id.as_ref(), wish.newest);
        let pending = beginning.pending;
        if self.tells_places(self.notices(wish).as_ref()) {
            return pending.is_empty() && !beginning.resumption.may_miss();
        }
        // Nobody tells it a place.
        !pending.iter().any(|one| self.is_here(&one.log, one.position) && one.has("data"))
    }

    /// Whether a session is to be told its place after what is replayed to it.
    pub(super) fn ends_without_id(&self, wish: &Wish, replayed: &[Pending]) -> bool {
        let here = |one: &&Pending| self.is_here(&one.log, one.position);
        wish.topics_only
            && self.tells_places(self.notices(wish).as_ref())
            && replayed.iter().rfind(here).is_some_and(|last| !(last.has("id") && last.has("data")))
    }

    /// Whether all that the session listens to has ended.
    pub(super) fn is_over(&self, member: &Member) -> bool {
        if member.ahead.is_some() {
            return false;
        }
        let mut topics = 0;
        for log in &member.logs {
            match log {
                LogName::Client(_) | LogName::Private(_) => {}
                LogName::Named(_) if self.logs[log].ended.is_some() => topics += 1,
                _ => return false,
            }
        }
        topics > 0
    }

    pub(crate) fn end_topic(&mut self, name: &TopicName) -> Result<u64, PublishError> {
        self.check_addressee(&name.clone().into())?;
        let position = self.last + 1;
        self.apply_end(position, name)?;
        Ok(position)
    }

    pub(crate) fn apply_end(
        &mut self,
        position: u64,
        name: &TopicName,
    ) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        if position <= self.last {
            return Err(PublishError::OutOfOrder { last: self.last });
        }
        match self.check_applied(&name.clone().into()) {
            Ok(()) => {
                let name = LogName::Named(name.clone());
                self.ensure(&name, self.forgotten_topics);
                let until = self.retention(&name).age.map(|age| self.now + age);
                let ended = Ended { position, until, is_remembered: true };
                self.logs.get_mut(&name).unwrap().ended = Some(ended);
                self.forget_ends();
            }
            Err(PublishError::TooManyTopics) => {
                self.forgotten_topics = self.forgotten_topics.max(position);
            }
            Err(error) => return Err(error),
        }
        self.leave_out(position);
        self.last = position;
        self.note_position();
        Ok(())
    }

    fn forget_ends(&mut self) {
        loop {
            let mut ended: Vec<_> = self
                .logs
                .values_mut()
                .filter_map(|log| log.ended.as_mut())
                .filter(|end| end.is_remembered)
                .collect();
            if ended.len() <= self.config.limits.ended_topics as usize {
                break;
            }
            ended.sort_by_key(|ended| ended.position);
            ended[0].is_remembered = false;
        }
        self.release_topics();
    }

    pub(crate) fn subscribe(
        &mut self,
        session: SessionId,
        filter: &LogName,
        last_event_id: Option<&Result<String, ()>>,
        newest: Option<u64>,
    ) -> Result<Resumption, SubscribeError> {
        let member = self.members.get(&session).filter(|member| member.ending.is_none());
        let member = member.ok_or(SubscribeError::UnknownSession)?;
        let before: Vec<_> = member.logs.iter().filter(|log| log.is_filter()).cloned().collect();
        if before.contains(filter) {
            return Ok(Resumption::Live);
        }
        if member.permission.as_ref().is_some_and(|permission| !permission.permits(filter)) {
            return Err(SubscribeError::NotPermitted);
        }
        let limit = self.config.limits.topics_per_session;
        if before.len() >= limit as usize {
            return Err(SubscribeError::TooManyTopicsOfSession { limit });
        }
        self.check_one_name(member, filter)?;
        self.ensure_filter(filter);
        let member = self.members.get_mut(&session).unwrap();
        member.logs.push(filter.clone());
        if let Some(ahead) = &mut member.ahead {
            let (filter, last_event_id) = (filter.clone(), last_event_id.cloned());
            let late = Late { filter, last_event_id, newest };
            let is_from_now = late.is_from_now();
            ahead.late.push(late);
            self.outdate_batch(session);
            return Ok(if is_from_now { Resumption::Live } else { Resumption::Waiting });
        }
        let (resumption, has_output) =
            self.begin_late(session, filter, last_event_id, newest, &before);
        if has_output {
            self.wake(session);
        }
        self.outdate_batch(session);
        Ok(resumption)
    }

    /// Lets an open session have what a subscription begins with, as one that had `before`. Says
    /// how that resumes, and whether it has output by it.
    pub(super) fn begin_late(
        &mut self,
        session: SessionId,
        filter: &LogName,
        last_event_id: Option<&Result<String, ()>>,
        newest: Option<u64>,
        before: &[LogName],
    ) -> (Resumption, bool) {
        let beginning = self.resume(core::slice::from_ref(filter), last_event_id, newest);
        let (resume, mut replay) = (beginning.resumption, beginning.pending);
        let is_here = |pending: &Pending| self.is_here(&pending.log, pending.position);
        let is_excluded = |pending: &Pending| before.iter().any(|log| log.covers(&pending.log));
        for pending in replay.iter_mut().filter(|pending| is_here(pending) && is_excluded(pending))
        {
            pending.by[0].1 = State::Excluded;
        }
        let is_replayed = |pending: &&Pending| is_here(pending) && !is_excluded(pending);
        let replayed = replay.iter().filter(is_replayed).count() as u64;
        if replayed == 0 {
            replay.clear();
        }
        let member = self.members.get_mut(&session).unwrap();
        for pending in replay {
            let state = pending.by[0].1;
            member.restore(&pending, filter, state);
        }
        // In which order its subscriptions are asked is not in which they were made.
        self.inexact.insert(session);
        let member = self.members.get_mut(&session).unwrap();
        let tells_places = member.notices.is_some() && self.config.event_ids == EventIds::Assigned;
        member.place_due |= replayed > 0 && tells_places;
        let is_gap = beginning.said.stream == "gap" && member.notices.is_some();
        if is_gap {
            let said = Words { replayed, ..beginning.said };
            member.late_gap = Some(match member.late_gap.take() {
                Some(earlier) => earlier.and(&said),
                None => said,
            });
        }
        if replayed > 0 {
            member.replayed_through = self.last;
        }
        let has_output = replayed > 0 || is_gap || self.is_over(&self.members[&session]);
        let resumption = match resume {
            Resumption::Live => Resumption::Live,
            Resumption::Oldest { .. } => Resumption::Oldest { replayed },
            Resumption::Last { .. } => Resumption::Last { replayed },
            Resumption::Complete { .. } => Resumption::Complete { replayed },
            Resumption::Gap { .. } => Resumption::Gap { replayed },
            Resumption::UnknownId { .. } => Resumption::UnknownId { replayed },
            Resumption::OtherEpoch { .. } => Resumption::OtherEpoch { replayed },
            Resumption::Ahead { .. } => Resumption::Ahead { replayed },
            Resumption::Forged => Resumption::Forged,
            _ => unreachable!(),
        };
        (resumption, has_output)
    }

    pub(crate) fn unsubscribe(&mut self, session: SessionId, filter: &LogName) -> bool {
        let Some(member) = self.members.get_mut(&session) else { return false };
        let before = member.logs.len();
        member.logs.retain(|log| log != filter);
        if member.logs.len() == before {
            return false;
        }
        member.forget_late(filter);
        for pending in &mut member.pending {
            pending.by.retain(|(log, _)| log != filter);
        }
        member.pending.retain(|pending| !pending.by.is_empty());
        self.inexact.insert(session);
        self.release_topics();
        if self.is_over(&self.members[&session]) {
            self.wake(session);
        }
        self.outdate_batch(session);
        true
    }

    fn outdate_batch(&mut self, session: SessionId) {
        if let Some(batch) = self.batch.as_mut().filter(|batch| batch.session == session) {
            batch.is_current = false;
        }
    }
}

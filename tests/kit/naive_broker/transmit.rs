//! What the model gives to a session, and when its id comes out.

use super::lag::{Next, Passed, State};
use super::model::{LastBatch, LogName, Member, Model, Out, Pending, Phase, chunk};
use super::notice::Words;
use sansse::broker::*;

/// Frames from this size on are handed over alone.
const ALONE: usize = 16 << 10;

impl Model {
    // Polling.

    pub(crate) fn poll(&mut self, session: SessionId, broker: &Broker) -> Out {
        if !self.begin(session, broker) {
            return Out::End;
        }
        let now = self.now;
        let mut member = self.members.remove(&session).unwrap();
        let mut passed = Passed::new();
        let next = match self.take_first_words(&mut member) {
            Some(first_words) => Some(first_words),
            None => match self.deliver_next(&mut member, &mut passed) {
                Next::Loss(payload) => Some(payload),
                Next::Event(pending) => Some(pending.payload),
                Next::Nothing => None,
            },
        };
        self.note_superseded(session, &member, passed.len() as u64);
        self.members.insert(session, member);
        let member = self.members.get_mut(&session).unwrap();
        if let Some(frame) = next {
            member.sent(now);
            return Out::Frame(frame);
        }
        if let Some(frame) = self.place(session) {
            return Out::Frame(frame);
        }
        if let Some(last_words) = self.take_last_words(session) {
            return Out::Frame(last_words);
        }
        if let Some(reason) = self.end_reason(session) {
            self.end(session, reason, broker);
            return Out::End;
        }
        let member = self.members.get_mut(&session).unwrap();
        if member.heartbeat_due {
            member.sent(now);
            self.tally.counters.heartbeats += 1;
            return Out::Frame(":\n".to_owned());
        }
        member.phase = Phase::Parked;
        Out::Parked
    }

    /// Checks a batch that the broker made.
    pub(crate) fn batch(
        &mut self,
        session: SessionId,
        limit: usize,
        form: Framing,
        batch: &Batch,
        end: Filled,
        broker: &Broker,
    ) -> Result<(), String> {
        let written = |payload: &str| match form {
            Framing::Plain => payload.to_owned(),
            Framing::Chunked => chunk(payload),
        };
        // The reason is compared with the events.
        let end = if matches!(end, Filled::Ended(_)) { Filled::Ended(None) } else { end };
        self.batch = None;
        let mut parts: Vec<(String, Option<Pending>)> = Vec::new();
        let mut expected = Filled::Ended(None);
        let (mut next, mut has_holes) = (None, false);
        let mut passed = Passed::new();
        if self.begin(session, broker) {
            let now = self.now;
            let mut member = self.members.remove(&session).unwrap();
            if let Some(first_words) = self.take_first_words(&mut member) {
                parts.push((written(&first_words), None));
            }
            // What is to come first in a batch is in the next one.
            let waits_for_next = member.late_gap.is_some();
            has_holes = member.has_lost();
            while !waits_for_next && parts.len() < batch.frames() {
                let part = match self.deliver_next(&mut member, &mut passed) {
                    Next::Loss(payload) => (written(&payload), None),
                    Next::Event(pending) => (written(&pending.payload), Some(pending)),
                    Next::Nothing => break,
                };
                parts.push(part);
            }
            if !parts.is_empty() {
                member.sent(now);
            }
            let (peeked, is_stopped) =
                if waits_for_next { (None, true) } else { self.peek(&mut member, &mut passed) };
            next = peeked.map(|next| written(&next).len());
            has_holes |= member.has_to_be_told();
            if has_holes {
                self.inexact.insert(session);
            }
            member.passed.clone_from(&passed);
            self.members.insert(session, member);
            let is_ending = self.end_reason(session).is_some();
            let member = self.members.get_mut(&session).unwrap();
            if next.is_some() || ((is_ending || is_stopped) && !parts.is_empty()) {
                // What is left where it stopped is gone, and met by the next poll.
                expected = Filled::More;
            } else if member.place_due && parts.len() == batch.frames() {
                // The place had no room any more.
                expected = Filled::More;
                next = Some(written(&self.place(session).unwrap()).len());
                self.members.get_mut(&session).unwrap().place_due = true;
            } else if is_stopped {
                // What is left is gone, and met by the next poll.
                expected = Filled::More;
            } else if let Some(place) = self.place(session) {
                parts.push((written(&place), None));
                expected = if is_ending { Filled::More } else { Filled::All };
                if !is_ending {
                    self.members.get_mut(&session).unwrap().phase = Phase::Parked;
                }
            } else if let Some(last_words) = self.take_last_words(session) {
                parts.push((written(&last_words), None));
                expected = Filled::More;
            } else if let Some(reason) = self.end_reason(session) {
                self.end(session, reason, broker);
            } else {
                let member = self.members.get_mut(&session).unwrap();
                if parts.is_empty() && member.heartbeat_due {
                    member.sent(now);
                    self.tally.counters.heartbeats += 1;
                    parts.push((written(":\n"), None));
                }
                member.phase = Phase::Parked;
                expected = Filled::All;
            }
        }
        let bytes: String = parts.iter().map(|(bytes, _)| bytes.as_str()).collect();
        if bytes.as_bytes() != batch.as_slice() || parts.len() != batch.frames() || end != expected
        {
            return Err(format!(
                "a batch of {} frames, {end:?}, {:?}\nwhere there are {} frames, {expected:?}, {bytes:?}",
                batch.frames(),
                String::from_utf8_lossy(batch.as_slice()),
                parts.len(),
            ));
        }
        if parts.len() > 1 && bytes.len() > limit {
            return Err(format!("{} bytes in a batch of no more than {limit}", bytes.len()));
        }
        if let Some(next) = next
            && !has_holes
            && bytes.len() + next <= limit
            && next < ALONE
            && !(parts.len() == 1 && bytes.len() >= ALONE)
        {
            return Err(format!("{next} bytes more had room in a batch of {}", bytes.len()));
        }
        self.batch = Some(LastBatch {
            session,
            is_current: self.members.contains_key(&session),
            parts,
            passed,
        });
        Ok(())
    }

    /// What is left to write of the last batch of all; `session` is whose it is said to be.
    pub(crate) fn partial_write(&mut self, session: SessionId, written: usize) -> String {
        let Some(batch) = &mut self.batch else { return String::new() };
        let all: String = batch.parts.iter().map(|(bytes, _)| bytes.as_str()).collect();
        let mut ends = Vec::new();
        for (bytes, _) in &batch.parts {
            ends.push(ends.last().copied().unwrap_or(0) + bytes.len());
        }
        let whole = ends.iter().filter(|end| **end <= written).count();
        let Some(end) = ends.get(whole) else { return String::new() };
        if !self.members.contains_key(&session) {
            return all[written..*end].to_owned();
        }
        if batch.session != session || !batch.is_current {
            return all[written..].to_owned();
        }
        batch.is_current = false;
        // What was for it alone and has made room meanwhile cannot come back.
        let has_made_room = batch.parts[whole + 1..].iter().any(|(_, pending)| {
            pending.as_ref().is_some_and(|one| {
                matches!(one.log, LogName::Private(_) | LogName::Client(_))
                    && self.logs.get(&one.log).is_some_and(|log| one.position <= log.lost_through)
                    && self.members[&session].logs.contains(&one.log)
            })
        });
        if has_made_room {
            return all[written..].to_owned();
        }
        let untouched = batch.parts[whole + 1..].iter().map(|(_, pending)| pending.clone());
        // Neither an opening nor a heartbeat is ever after another.
        let is_place_due = untouched.clone().any(|pending| pending.is_none());
        let untouched: Vec<_> = untouched.flatten().collect();
        for pending in &untouched {
            self.tally.returned(&pending.payload);
        }
        let passed = batch.passed.clone();
        let mut member = self.members.remove(&session).unwrap();
        member.place_due |= is_place_due;
        member.was_taken_back = true;
        let sources: Vec<_> = member.logs.clone();
        for source in sources {
            let of = |pending: &&Pending| pending.by.iter().any(|(one, _)| *one == source);
            let Some(first) = untouched.iter().find(of).map(|pending| pending.position) else {
                continue;
            };
            let again = passed.iter().filter(|(one, by)| *by == source && one.position > first);
            let again = again.map(|(one, _)| one.clone());
            let delivered = untouched.iter().filter(of).cloned();
            for pending in again.chain(delivered) {
                let is_gone = !self.is_here(&pending.log, pending.position);
                let is_lost = is_gone && pending.position <= self.lost_through(&source);
                let state = if is_lost { State::Lost } else { State::Waiting };
                member.restore(&pending, &source, state);
            }
            member.passed.retain(|(one, by)| *by != source || one.position < first);
        }
        self.members.insert(session, member);
        let member = self.members.get_mut(&session).unwrap();
        member.phase = Phase::Polled;
        member.output_since = None;
        all[written..*end].to_owned()
    }

    fn deliver_next(&mut self, member: &mut Member, passed: &mut Passed) -> Next {
        if member.ahead.is_some() {
            return Next::Nothing;
        }
        let next = self.next_item(member, passed);
        if let Next::Event(pending) = &next {
            self.tally.delivered(self.now, pending.position, &pending.payload);
        }
        next
    }

    /// What goes out before anything else.
    fn take_first_words(&self, member: &mut Member) -> Option<String> {
        if let Some(opening) = member.opening.take() {
            return Some(opening);
        }
        let said = member.late_gap.take()?;
        self.notice(member.notices.as_ref(), "", None, &said)
    }

    fn take_last_words(&mut self, session: SessionId) -> Option<String> {
        let now = self.now;
        let member = self.members.get_mut(&session)?;
        let last_words = member.last_words.take()?;
        member.sent(now);
        Some(last_words)
    }

    /// What every poll does first. Says whether the session lives on.
    pub(super) fn begin(&mut self, session: SessionId, broker: &Broker) -> bool {
        if let Some(batch) = self.batch.as_mut().filter(|batch| batch.session == session) {
            batch.is_current = false;
        }
        let Some(member) = self.members.get_mut(&session) else {
            self.told(session);
            return false;
        };
        if member.is_lapsed(self.now) {
            self.end(session, EndReason::LeaseExpired, broker);
            return false;
        }
        member.polled_at = self.now;
        member.output_since = None;
        member.took_at = self.now;
        let passed = core::mem::take(&mut member.passed).len() as u64;
        let member = member.clone();
        self.note_superseded(session, &member, passed);
        let private = LogName::Private(session);
        let waiting: Vec<u64> = member.pending.iter().map(|pending| pending.position).collect();
        let log = self.logs.get_mut(&private).unwrap();
        log.kept.retain(|kept| waiting.contains(&kept.position));
        self.trim_aged(&private);
        if member.ahead.is_some() {
            return true;
        }
        match self.meet_lag(session) {
            Ok(()) => true,
            Err(lost) => {
                self.end(session, EndReason::Lagged { lost }, broker);
                false
            }
        }
    }

    /// Why the session ends once it has everything.
    fn end_reason(&self, session: SessionId) -> Option<EndReason> {
        let member = &self.members[&session];
        member.ending.or_else(|| self.is_over(member).then_some(EndReason::TopicsEnded))
    }

    /// What tells the session its place, if it is to be told.
    fn place(&mut self, session: SessionId) -> Option<String> {
        let (last, now) = (self.last, self.now);
        let member = self.members.get_mut(&session).unwrap();
        if !core::mem::take(&mut member.place_due) {
            return None;
        }
        member.sent(now);
        let position = member.resumes_at.or(member.through).unwrap_or(last);
        let notices = member.notices.clone();
        self.notice(notices.as_ref(), "", Some(position), &Words::new("place", 0))
    }

    pub(crate) fn progress(&mut self, session: SessionId) {
        if let Some(member) = self.members.get_mut(&session) {
            member.polled_at = self.now;
            member.took_at = self.now;
        }
    }

    pub(super) fn wake(&mut self, session: SessionId) {
        let now = self.now;
        if let Some(member) = self.members.get_mut(&session)
            && member.phase == Phase::Parked
        {
            member.phase = Phase::Woken;
            member.output_since.get_or_insert(now);
        }
    }

    /// Checks what `poll_ready` said.
    pub(crate) fn came_out(&mut self, session: Option<SessionId>) -> Result<(), String> {
        let Some(session) = session else {
            let is_over = |member| self.is_over(member);
            let mut waiting =
                self.members.iter().filter(|(_, member)| member.is_to_come_out(is_over(member)));
            let missing = self.ended_ready.first().or(waiting.next().map(|(session, _)| session));
            return match missing {
                Some(session) => Err(format!("the id of {session} did not come out")),
                None => Ok(()),
            };
        };
        if let Some(index) = self.ended_ready.iter().position(|ended| *ended == session) {
            self.ended_ready.remove(index);
            return Ok(());
        }
        let is_over = self.members.get(&session).is_some_and(|member| self.is_over(member));
        let Some(member) = self.members.get_mut(&session) else {
            return Err(format!("the id of {session} came out, which has ended"));
        };
        if !member.is_to_come_out(is_over) {
            return Err(format!("the id of {session} came out, which is {:?}", member.phase));
        }
        member.phase = Phase::Polled;
        Ok(())
    }
}

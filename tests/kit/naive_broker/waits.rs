//! Publishers that wait, in the model: it knows who is behind, and so who may wait for whom. Where
//! the broker may do either, since it looks at readers seldom, the model lets it.

use super::lag::State;
use super::model::{Kept, LogName, Member, Model};
use sansse::broker::*;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct OpenWait {
    id: WaitId,
    audience: Audience,
    /// What is waited for: `None` that somebody takes something.
    pace: Option<Pace>,
    /// Through which position all have to be.
    target: u64,
    /// When somebody began to wait.
    begun: Duration,
}

impl Model {
    /// Checks what the broker said to who wants to wait for readers.
    pub(crate) fn wait_for_readers(
        &mut self,
        audience: &Audience,
        pace: Pace,
        got: Result<Option<WaitId>, PublishError>,
    ) -> Result<(), String> {
        if let Err(error) = self.check_addressee(audience) {
            return super::world::same(&got, &Err(error));
        }
        let name = log_of(audience);
        let kept = self.logs.get(&name).map_or(Vec::new(), |log| log.kept.clone());
        let (events, bytes) = self.margin(&name, &pace);
        match got.map_err(|error| error.to_string())? {
            None => {
                for (session, member) in self.readers(audience) {
                    // One that takes nothing for so long may have been passed over.
                    let counts = member.took_at.saturating_add(pace.patience) > self.now;
                    // By what it has to take, and not by its place: where a pattern has lost the
                    // next event, nothing tells any more of which topic that was, and the place
                    // falls back behind what the session had taken before.
                    let is_due = |one: &&Kept| {
                        let mut due = member.pending.iter();
                        due.any(|due| due.log == name && due.position == one.position)
                    };
                    let behind: Vec<usize> =
                        kept.iter().filter(is_due).map(|one| one.size).collect();
                    let is_beyond = behind.len() > events || behind.iter().sum::<usize>() > bytes;
                    if counts && is_beyond && !member.was_taken_back {
                        return Err(format!("{session} is {} behind, of {events}", behind.len()));
                    }
                }
            }
            Some(id) if self.waits.iter().any(|wait| wait.id == id) => {}
            Some(id) => {
                let last = self.last_of(&name);
                // What is gone from between counts as it did when it was published, and the model
                // does not know how large that was.
                let target = if self.retention(&name).compact {
                    last
                } else {
                    within(&kept, events / 2, bytes / 2, last)
                };
                let (audience, begun) = (audience.clone(), self.now);
                let wait = OpenWait { id, audience, pace: Some(pace), target, begun };
                self.waits.push(wait);
            }
        }
        self.check_waits()
    }

    /// Checks what the broker said to who wants to wait for room.
    pub(crate) fn wait_for_room(
        &mut self,
        audience: &Audience,
        got: Result<Option<WaitId>, PublishError>,
    ) -> Result<(), String> {
        if let Err(error) = self.check_addressee(audience) {
            return super::world::same(&got, &Err(error));
        }
        let name = log_of(audience);
        let is_private = matches!(name, LogName::Client(_) | LogName::Private(_));
        let counts = |member: &Member| self.stalls_at(member, audience, None) > self.now;
        let has_some = |member: &Member| member.place(&name).is_some() && counts(member);
        let waits = is_private && self.readers(audience).any(|(_, member)| has_some(member));
        let id = got.map_err(|error| error.to_string())?;
        if id.is_some() != waits && !self.waits.iter().any(|wait| Some(wait.id) == id) {
            return Err(format!(
                "got {id:?}, where it {} to wait",
                if waits { "is" } else { "is not" }
            ));
        }
        if let Some(id) = id.filter(|id| self.waits.iter().all(|wait| wait.id != *id)) {
            let (audience, target) = (audience.clone(), u64::MAX);
            let begun = self.now;
            self.waits.push(OpenWait { id, audience, pace: None, target, begun });
        }
        Ok(())
    }

    /// Checks a wait that is over.
    pub(crate) fn wait_came_out(&mut self, id: WaitId) -> Result<(), String> {
        let before = self.waits.len();
        self.waits.retain(|wait| wait.id != id);
        if self.waits.len() == before { Err(format!("{id} is no wait")) } else { Ok(()) }
    }

    /// Checks that each wait that is not over waits for somebody.
    pub(crate) fn check_waits(&self) -> Result<(), String> {
        for wait in &self.waits {
            if self.closed || self.over_by(wait).is_none_or(|at| at <= self.timed) {
                return Err(format!("{wait:?} waits for nobody"));
            }
        }
        Ok(())
    }

    /// By when a wait is over though nobody takes anything; `None`: nobody is waited for.
    fn over_by(&self, wait: &OpenWait) -> Option<Duration> {
        let name = log_of(&wait.audience);
        let behind = self
            .readers(&wait.audience)
            .filter(|(_, member)| member.place(&name).is_some_and(|place| place < wait.target));
        behind.map(|(_, member)| self.passed_over_at(member, wait)).max()
    }

    /// When a session is waited for no more that takes nothing. Where its next event was lost while
    /// somebody waited, that is by when the event would have been waited for at the latest.
    fn passed_over_at(&self, member: &Member, wait: &OpenWait) -> Duration {
        let stalls_at = self.stalls_at(member, &wait.audience, wait.pace);
        if self.is_next_kept(member, &wait.audience) {
            return stalls_at;
        }
        // Who waits for room may wait for what was published since.
        let latest = |pace: Pace| wait.begun.saturating_add(pace.patience);
        stalls_at.max(wait.pace.map_or(Duration::MAX, latest))
    }

    fn is_next_kept(&self, member: &Member, audience: &Audience) -> bool {
        let next = member.first_of(&log_of(audience));
        next.is_some_and(|(log, position)| {
            let kept = self.logs.get(&log).map_or(&[][..], |log| &log.kept);
            kept.iter().any(|kept| kept.position == position)
        })
    }

    /// When a wait is to be over, if nobody takes anything before.
    pub(super) fn next_patience(&self) -> Option<Duration> {
        let all = self.waits.iter().filter_map(|wait| self.over_by(wait));
        all.filter(|at| *at < Duration::MAX).min()
    }

    fn stalls_at(&self, member: &Member, audience: &Audience, pace: Option<Pace>) -> Duration {
        let patience = match (pace, audience) {
            (Some(pace), _) => pace.patience,
            (None, Audience::Session(_)) => return Duration::MAX,
            (None, _) => self.config.pace.patience,
        };
        let name = log_of(audience);
        // Each subscription that hears it has a first event of its own, and the last of these counts:
        // the first that is there, unless one before it is lost.
        // For who waits for room, what is lost was there before anything else.
        let firsts = member.firsts_of(&name).filter(|(first, _)| pace.is_some() || *first > 0);
        let at = firsts.filter_map(|(position, log)| {
            self.logs.get(&log)?.kept.iter().find(|kept| kept.position >= position)
        });
        let at = at.map(|kept| kept.at).max().unwrap_or(Duration::ZERO);
        member.polled_at.max(at).saturating_add(patience)
    }

    fn readers(&self, audience: &Audience) -> impl Iterator<Item = (SessionId, &Member)> {
        let name = log_of(audience);
        let is_private = matches!(name, LogName::Private(_));
        let hears = move |member: &&Member| {
            let has_place = is_private || member.ahead.is_none();
            has_place && member.logs.iter().any(|log| log.covers(&name))
        };
        self.members.iter().filter(move |(_, member)| hears(member)).map(|(id, one)| (*id, one))
    }

    /// By how many events and bytes readers may be behind.
    fn margin(&self, name: &LogName, pace: &Pace) -> (usize, usize) {
        let retention = self.retention(name);
        let most = retention.bytes.min(self.config.limits.retained_bytes);
        let within = |own: Option<core::num::NonZeroUsize>, kept: usize| {
            own.map_or(kept / 2, |own| own.get().min(kept / 2))
        };
        (within(pace.events, retention.events.get()), within(pace.bytes, most.get()))
    }

    fn last_of(&self, name: &LogName) -> u64 {
        let log = self.logs.get(name);
        let kept = log.and_then(|log| log.kept.last()).map(|kept| kept.position);
        kept.or(log.map(|log| log.lost_through)).unwrap_or(0)
    }
}

impl Member {
    /// The first event that it has yet to take and that may be of this log, in the log it is in.
    fn first_of(&self, name: &LogName) -> Option<(LogName, u64)> {
        self.firsts_of(name).min().map(|(position, log)| (log, position))
    }

    /// The same by each of its subscriptions.
    fn firsts_of(&self, name: &LogName) -> impl Iterator<Item = (u64, LogName)> {
        let sources = self.logs.iter().filter(|log| log.covers(name));
        sources.filter_map(|source| {
            let first = self.list(source).into_iter().next()?;
            let is_there = first.state(source) == State::Waiting;
            Some((if is_there { first.position } else { 0 }, first.log))
        })
    }

    /// Through which position it has everything of this log; `None`: through all.
    fn place(&self, name: &LogName) -> Option<u64> {
        self.first_of(name).map(|(_, position)| position.saturating_sub(1))
    }
}

fn log_of(audience: &Audience) -> LogName {
    match audience {
        Audience::Everyone => LogName::Broadcast,
        Audience::Topic(name) => LogName::Named(name.clone()),
        Audience::Client(id) => LogName::Client(id.clone()),
        Audience::Session(id) => LogName::Private(*id),
        _ => unreachable!(),
    }
}

/// Through which position a reader has to be, to be behind by no more.
fn within(kept: &[Kept], events: usize, bytes: usize, last: u64) -> u64 {
    let mut within = last;
    let mut sum = 0;
    for (count, one) in kept.iter().rev().enumerate() {
        sum += one.size;
        if count + 1 > events || sum > bytes {
            break;
        }
        within = one.position - 1;
    }
    within
}

//! What the model does about drains, ages and reconnection times.

use super::history::Op;
use super::model::{LogName, Member, Model, Wish};
use sansse::broker::*;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Draining {
    /// When whose turn is, and when it is to come back, in milliseconds.
    turns: Vec<(Duration, SessionId, Option<u128>)>,
    farewell: bool,
    last_call: Option<Duration>,
    lets_topics_end: bool,
}

impl Draining {
    pub(super) fn stop(&mut self) {
        (self.turns, self.last_call) = (Vec::new(), None);
    }
}

impl Model {
    pub(super) fn drain(&mut self, op: &Op, broker: &Broker) -> Result<(), DrainError> {
        let Op::Drain { over, retry, farewell, patience, lets_topics_end } = *op else {
            unreachable!()
        };
        if self.closed {
            return Err(DrainError::Closed);
        }
        if self.drain.is_some() {
            return Err(DrainError::AlreadyDraining);
        }
        let mut order: Vec<SessionId> = self.members.keys().copied().collect();
        for last in (1..order.len()).rev() {
            let other = self.below(last as u64 + 1);
            order.swap(last, usize::try_from(other).unwrap());
        }
        // Those of other shards lie between.
        let shards = u128::from(self.config.shard.of().get());
        let count = order.len() as u128 * shards;
        let first = u128::from(self.config.shard.get());
        let share = |time: Duration, number: u128| {
            Duration::from_nanos(u64::try_from(time.as_nanos() * number / count).unwrap())
        };
        let turns = order.into_iter().zip(0..).map(|(session, number)| {
            let number = number * shards + first;
            let retry = retry.map(|(least, spread)| {
                (least + share(spread, number)).as_nanos().div_ceil(1_000_000)
            });
            (self.now + share(over, number), session, retry)
        });
        let turns = turns.collect();
        let last_call = Some(self.now + over + patience);
        self.drain = Some(Draining { turns, farewell, last_call, lets_topics_end });
        self.note_drained();
        self.drain_due(broker);
        Ok(())
    }

    pub(super) fn note_drained(&mut self) {
        if self.drain.is_some() && self.members.is_empty() {
            self.events.push(BrokerEvent::Drained { shard: self.config.shard.get() });
        }
    }

    pub(super) fn next_turn(&self) -> Option<Duration> {
        let drain = self.drain.as_ref()?;
        let turn = drain.turns.first().map(|(at, ..)| *at);
        turn.or(drain.last_call.filter(|_| !self.members.is_empty()))
    }

    pub(super) fn drain_due(&mut self, broker: &Broker) {
        while self.next_turn().is_some_and(|at| at <= self.now) {
            let drain = self.drain.as_mut().unwrap();
            if drain.turns.is_empty() {
                drain.last_call = None;
                let all: Vec<SessionId> = self.members.keys().copied().collect();
                for session in all {
                    self.ended_untold.push(session);
                    self.ended_ready.push(session);
                    self.end(session, EndReason::Aborted, broker);
                }
                return;
            }
            let (lets_topics_end, farewell) = (drain.lets_topics_end, drain.farewell);
            let (_, session, retry) = drain.turns.remove(0);
            let goes = |member: &Member| {
                let stays = lets_topics_end && !member.logs.contains(&LogName::Broadcast);
                member.ending.is_none() && !stays
            };
            if self.members.get(&session).is_some_and(goes) {
                let words = self.last_words(&self.members[&session], farewell, retry);
                self.finish(session, EndReason::Drained);
                self.members.get_mut(&session).unwrap().last_words = words;
            }
        }
    }

    pub(super) fn expiry(&mut self) -> Option<Duration> {
        let max = self.config.session.max_age?;
        let jitter = u64::try_from(max.jitter().as_nanos()).unwrap();
        Some(self.now + max.age() - Duration::from_nanos(self.below(jitter + 1)))
    }

    /// The reconnection time that a session is told at its start.
    pub(super) fn retry(&mut self, session: SessionId, wish: &Wish) -> Option<Duration> {
        let usual = self.usual_retry(session);
        let limits = &self.config.limits;
        let evicts = |limit: SessionLimit| limit.policy == LimitPolicy::EvictOldest;
        if evicts(limits.sessions)
            || (wish.client.is_some() && evicts(limits.sessions_per_client))
            || (wish.address.is_some() && evicts(limits.sessions_per_address))
        {
            let least = usual.unwrap_or(Duration::from_secs(3)).max(Duration::from_secs(1));
            let more = self.below(u64::try_from(least.as_nanos()).unwrap());
            return Some(least + Duration::from_nanos(more));
        }
        usual
    }

    fn usual_retry(&self, session: SessionId) -> Option<Duration> {
        if !self.config.reconnect.spread_retry {
            return self.config.reconnect.retry;
        }
        let text = session.to_string();
        let slot: u128 = text.split('-').nth(1).unwrap().parse().unwrap();
        let shards = u128::from(self.config.shard.of().get());
        let number = u128::from(self.config.shard.get());
        let after = self.apart(slot) + self.apart(1) / shards * number;
        let after = Duration::from_nanos(u64::try_from(after).unwrap());
        Some(self.config.reconnect.retry.unwrap_or(Duration::from_secs(3)) + after)
    }

    /// When refused peers are told to come back: one after the other, and within minutes.
    pub(super) fn retry_after(&mut self, error: OpenError) -> Option<Duration> {
        let least =
            u64::try_from(self.config.reconnect.retry_after.as_millis().div_ceil(1_000)).unwrap();
        let seconds = match error {
            OpenError::TooManySessionsOfClient { .. }
            | OpenError::TooManySessionsFromAddress { .. }
            | OpenError::TooManySubscriptionsOfClient { .. }
            | OpenError::TooManySubscriptionsFromAddress { .. } => least,
            OpenError::Closed
            | OpenError::Draining
            | OpenError::TooManySessions
            | OpenError::TooManyTopics
            | OpenError::UnreadEvents => self.return_after(least),
            _ => return None,
        };
        Some(Duration::from_secs(seconds))
    }

    /// The least number of seconds after which it is no earlier than for the one before, and there is
    /// room in the time before; those that are told nearly the same count together.
    fn return_after(&mut self, least: u64) -> u64 {
        let (rate, shards) =
            (self.config.reconnect.per_second.get(), u32::from(self.config.shard.of().get()));
        let shard = u32::from(self.config.shard.get());
        let (most, seconds) = if rate < shards {
            (1, u64::from(shards.div_ceil(rate)))
        } else {
            (rate * (shard + 1) / shards - rate * shard / shards, 1)
        };
        let window = Duration::from_secs(seconds);
        let slice = |at: Duration| at.as_nanos() / (window.as_nanos() / 64);
        let mut after = least;
        loop {
            if after > least.max(300) {
                self.returns.clear();
                after = least;
            }
            let at = self.now + Duration::from_secs(after);
            let is_near = |one: &&Duration| {
                let together = self.returns.iter().filter(|other| slice(**other) == slice(**one));
                *together.max().unwrap() + window > at
            };
            let near = self.returns.iter().filter(is_near).count();
            if self.returns.last().is_none_or(|last| at >= *last) && near < most as usize {
                self.returns.push(at);
                return after;
            }
            after += 1;
        }
    }

    /// How far, in nanoseconds, so many who come back to one shard lie apart.
    fn apart(&self, reconnects: u128) -> u128 {
        let shards = u128::from(self.config.shard.of().get());
        let rate = u128::from(self.config.reconnect.per_second.get());
        1_000_000_000 * shards * reconnects / rate
    }

    fn below(&mut self, limit: u64) -> u64 {
        u64::try_from((u128::from(self.random.next()) * u128::from(limit)) >> 64).unwrap()
    }
}

impl Member {
    pub(super) fn expiry(&self) -> Option<Duration> {
        self.expires_at.filter(|_| self.ending.is_none())
    }
}

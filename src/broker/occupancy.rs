//! What the shards of a hub tell each other about their sessions, so that limits hold for all.
//!
//! Whoever opens a session in one shard first asks the others, one after the other, and nobody opens
//! another meanwhile. Sessions end as they like in between, which only makes room: so there are never
//! more than may be, and who is refused is so since there were too many at that time.

use super::Broker;
use super::arena::Key;
use super::config::SessionRequest;
use super::limits::Elsewhere;
use super::names::AddressKey;
use std::time::Instant;

/// What one shard has, where a session is about to be opened in another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupancy {
    sessions: usize,
    from_address: usize,
    last_opened: u64,
    oldest: Option<u64>,
    oldest_from_address: Option<u64>,
}

/// What all shards have but the one in which a session is about to be opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    pub(crate) elsewhere: Elsewhere,
    /// The number of the oldest session that may be evicted, and its shard.
    oldest: Option<(u64, u16)>,
    oldest_from_address: Option<(u64, u16)>,
}

/// The session that is to make room is the oldest of this shard, or the oldest there from this
/// address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) shard: u16,
    pub(crate) address: Option<AddressKey>,
}

impl Census {
    pub(crate) fn add(&mut self, shard: u16, occupancy: Occupancy) {
        let elsewhere = &mut self.elsewhere;
        elsewhere.sessions += occupancy.sessions;
        elsewhere.from_address += occupancy.from_address;
        elsewhere.last_opened = elsewhere.last_opened.max(occupancy.last_opened);
        let older = |one: Option<(u64, u16)>, number: Option<u64>| {
            one.into_iter().chain(number.map(|number| (number, shard))).min()
        };
        self.oldest = older(self.oldest, occupancy.oldest);
        self.oldest_from_address = older(self.oldest_from_address, occupancy.oldest_from_address);
    }
}

impl Broker {
    /// What this shard has, for a request that another one got.
    pub(crate) fn occupancy(&self, request: &SessionRequest) -> Occupancy {
        let address = request.address();
        Occupancy {
            sessions: self.sessions.len(),
            from_address: address.map_or(0, |address| self.sessions_from(address)),
            last_opened: self.opened.last(),
            oldest: self.opened.oldest().map(|(number, _)| number),
            oldest_from_address: address.and_then(|address| self.oldest_from(address, None)),
        }
    }

    /// Which session of another shard has to make room, if the
    /// [normalized](SessionRequest::normalized) request is to be opened here. `None`: none has to,
    /// or the request is refused. There is no more than one.
    pub(crate) fn eviction_for(
        &self,
        now: Instant,
        request: &SessionRequest,
        census: &Census,
    ) -> Option<Eviction> {
        let now = self.clock.now().max(self.clock.tick(now));
        let elsewhere = &census.elsewhere;
        if !elsewhere.has_made_room && self.check_open(now, request, elsewhere).is_err() {
            return None;
        }
        // All of a client's sessions are here.
        let leaving = self.leaving_of_client(request);
        if let Some(address) = request.address() {
            let left = leaving.filter(|key| self.is_from(*key, address));
            let all = self.sessions_from(address) + elsewhere.from_address;
            if all - usize::from(left.is_some()) >= self.config.max_sessions_per_address as usize {
                let shard =
                    where_older(self.oldest_from(address, left), census.oldest_from_address)?;
                return Some(Eviction { shard, address: Some(address.clone()) });
            }
        }
        let all = self.sessions.len() + elsewhere.sessions;
        if all - usize::from(leaving.is_some()) < self.config.max_sessions as usize {
            return None;
        }
        let own = self.opened.oldest().map(|(number, _)| number);
        Some(Eviction { shard: where_older(own, census.oldest)?, address: None })
    }

    /// The client's session that makes room for another one of it.
    fn leaving_of_client(&self, request: &SessionRequest) -> Option<Key> {
        let sessions = &self.client(request.client()?)?.sessions;
        let is_full = sessions.len() >= self.config.max_sessions_per_client as usize;
        sessions.first().filter(|_| is_full).copied()
    }
}

/// The other shard, if the session there is older.
fn where_older(own: Option<u64>, other: Option<(u64, u16)>) -> Option<u16> {
    let (number, shard) = other?;
    own.is_none_or(|own| number < own).then_some(shard)
}

#[cfg(test)]
#[path = "occupancy_tests.rs"]
mod tests;

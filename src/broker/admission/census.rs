//! What the shards of a hub tell each other about their sessions, so that limits hold for all.
//!
//! Before a session is opened in one shard, the others are asked, one after the other. No other
//! session is opened meanwhile. Sessions end at any time in between, which only makes room. So
//! there are never more than may be, and a session that is refused was one too many when it asked.
//!
//! ```text
//!  shard 0, asked     shard 1, asked      shard 2, which opens it
//!  Occupancy ───────► Occupancy ────────► Census ──► Eviction, on shard 0 or 1, or none
//!                                                └─► Elsewhere, for the limits of shard 2
//! ```

use super::super::arena::Key;
use super::super::names::AddressKey;
use super::Admission;

/// What other shards have whose sessions count as well; nothing where there are none.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere {
    sessions: usize,
    /// Of these, how many are from the address of the session to be opened.
    of_address: usize,
    /// The highest number that a session there got.
    last_opened: u64,
    /// One of them was evicted for the session to be opened.
    has_made_room: bool,
}

impl Elsewhere {
    pub(super) const fn sessions(&self) -> usize {
        self.sessions
    }

    pub(super) const fn of_address(&self) -> usize {
        self.of_address
    }

    pub(super) const fn last_opened(&self) -> u64 {
        self.last_opened
    }

    /// Returns whether a session was evicted on another shard to make room. Opening cannot fail
    /// after that.
    pub(crate) const fn has_made_room(&self) -> bool {
        self.has_made_room
    }
}

/// The numbers of one shard, for a session that is about to be opened in another.
#[derive(Clone, Copy, Debug)]
pub struct Occupancy {
    elsewhere: Elsewhere,
    /// The number of the oldest session, where that may be evicted.
    oldest: Option<u64>,
    oldest_of_address: Option<u64>,
}

/// The numbers of all shards but the one in which a session is about to be opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    elsewhere: Elsewhere,
    /// The number of the oldest session that may be evicted, and its shard.
    oldest: Option<(u64, u16)>,
    oldest_of_address: Option<(u64, u16)>,
}

/// The session that is to make room: the oldest of a shard, or the oldest there from an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    shard: u16,
    address: Option<AddressKey>,
}

impl Eviction {
    /// Returns the shard whose session it is.
    pub const fn shard(&self) -> u16 {
        self.shard
    }

    /// Returns the address from which it is the oldest; `None` for the oldest of the shard.
    pub const fn address(&self) -> Option<&AddressKey> {
        self.address.as_ref()
    }
}

impl Census {
    /// Adds what one shard has.
    pub fn add(&mut self, shard: u16, occupancy: Occupancy) {
        let (sum, more) = (&mut self.elsewhere, occupancy.elsewhere);
        sum.sessions += more.sessions;
        sum.of_address += more.of_address;
        sum.last_opened = sum.last_opened.max(more.last_opened);
        let older = |one: Option<(u64, u16)>, number: Option<u64>| {
            one.into_iter().chain(number.map(|number| (number, shard))).min()
        };
        self.oldest = older(self.oldest, occupancy.oldest);
        self.oldest_of_address = older(self.oldest_of_address, occupancy.oldest_of_address);
    }

    /// Records that a session was evicted to make room.
    pub const fn note_eviction(&mut self) {
        self.elsewhere.has_made_room = true;
    }

    /// Returns what all those shards have together.
    pub(crate) const fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }
}

impl Admission {
    /// Returns what this shard has, for a session from this address that is to be opened in
    /// another.
    pub(crate) fn occupancy(&self, sessions: usize, from: Option<&AddressKey>) -> Occupancy {
        let from = from.map_or(&[][..], |from| self.addresses.sessions_from(from));
        let (of_address, last_opened) = (from.len(), self.last_opened);
        Occupancy {
            elsewhere: Elsewhere { sessions, of_address, last_opened, has_made_room: false },
            oldest: self.opening.oldest().map(|(number, _)| number),
            oldest_of_address: from.first().map(|(number, _)| *number),
        }
    }

    /// Returns which session of another shard has to make room for one that may be opened here.
    /// There is no more than one: `None` means that there is room, or that a session of this shard
    /// has to go.
    ///
    /// `sessions` is how many there are here. `of_client` is how many the client has, all of which
    /// are here, and the oldest of these.
    pub(crate) fn eviction_for(
        &self,
        sessions: usize,
        of_client: Option<(usize, Key)>,
        from: Option<&AddressKey>,
        census: &Census,
    ) -> Option<Eviction> {
        let elsewhere = &census.elsewhere;
        // The client's oldest session goes in any case, if it has as many as it may.
        let leaving = of_client.filter(|(count, _)| self.per_client.is_reached(*count));
        let leaving = leaving.map(|(_, oldest)| oldest);
        if let Some(name) = from {
            let here = self.addresses.sessions_from(name);
            let is_leaving = |&&(_, key): &&(u64, Key)| Some(key) == leaving;
            let left = here.iter().filter(is_leaving).count();
            if self.per_address.is_reached(here.len() + elsewhere.of_address - left) {
                let own = here.iter().find(|one| !is_leaving(one)).map(|(number, _)| *number);
                let shard = where_older(own, census.oldest_of_address)?;
                return Some(Eviction { shard, address: Some(name.clone()) });
            }
        }
        let all = sessions + elsewhere.sessions - usize::from(leaving.is_some());
        if !self.in_all.is_reached(all) {
            return None;
        }
        let own = self.opening.oldest().map(|(number, _)| number);
        Some(Eviction { shard: where_older(own, census.oldest)?, address: None })
    }
}

/// Returns the other shard, if the session there is older.
fn where_older(own: Option<u64>, other: Option<(u64, u16)>) -> Option<u16> {
    let (number, shard) = other?;
    own.is_none_or(|own| number < own).then_some(shard)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Shard, address, config, key};
    use super::*;
    use crate::broker::config::LimitPolicy;

    /// What the shards have, in this order.
    fn census(shards: &[(u16, &Shard)], from: Option<&AddressKey>) -> Census {
        let mut census = Census::default();
        for (number, shard) in shards {
            census.add(*number, shard.admission.occupancy(shard.open.len(), from));
        }
        census
    }

    fn on(shard: u16) -> Eviction {
        Eviction { shard, address: None }
    }

    #[test]
    fn a_census_is_the_sum_and_the_oldest_of_all() {
        let mut config = config();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        let (mut one, mut other) = (Shard::new(&config), Shard::new(&config));
        let office = address("office");
        one.open_numbered(0, None, 4);
        one.open_numbered(1, Some(&office), 6);
        other.open_numbered(0, Some(&office), 5);
        let census = census(&[(0, &one), (2, &other)], Some(&office));
        let elsewhere = census.elsewhere();
        assert_eq!((elsewhere.sessions(), elsewhere.of_address()), (3, 2));
        assert_eq!((elsewhere.last_opened(), elsewhere.has_made_room()), (6, false));
        assert_eq!((census.oldest, census.oldest_of_address), (Some((4, 0)), Some((5, 2))));
    }

    #[test]
    fn the_oldest_of_all_makes_room_wherever_it_is() {
        let mut config = config();
        config.limits.sessions.most = 3.try_into().unwrap();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        let (mut here, mut there) = (Shard::new(&config), Shard::new(&config));
        here.open_numbered(0, None, 2);
        there.open_numbered(0, None, 1);
        let evicted = |here: &Shard, there: &Shard| {
            let census = census(&[(1, there)], None);
            here.admission.eviction_for(here.open.len(), None, None, &census)
        };
        // There is room for one.
        assert_eq!(evicted(&here, &there), None);
        there.open_numbered(1, None, 3);
        assert_eq!(evicted(&here, &there), Some(on(1)));
        // The oldest is here, where opening evicts it.
        there.end(0);
        there.open_numbered(2, None, 4);
        assert_eq!(evicted(&here, &there), None);
        // All are there.
        here.end(0);
        there.open_numbered(3, None, 5);
        assert_eq!(evicted(&here, &there), Some(on(1)));
    }

    #[test]
    fn the_oldest_from_the_address_makes_room_wherever_it_is() {
        let mut config = config();
        config.limits.sessions_per_address.most = 2.try_into().unwrap();
        config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
        let (mut here, mut there) = (Shard::new(&config), Shard::new(&config));
        let office = address("office");
        there.open_numbered(0, Some(&office), 1);
        there.open_numbered(1, None, 2);
        here.open_numbered(0, Some(&office), 3);
        let evicted = |here: &Shard, there: &Shard, from: &AddressKey| {
            let census = census(&[(1, there)], Some(from));
            here.admission.eviction_for(here.open.len(), None, Some(from), &census)
        };
        let expected = Eviction { shard: 1, address: Some(office.clone()) };
        assert_eq!((expected.shard(), expected.address()), (1, Some(&office)));
        assert_eq!(evicted(&here, &there, &office), Some(expected));
        assert_eq!(evicted(&here, &there, &address("home")), None);
        there.end(0);
        there.open_numbered(2, Some(&office), 4);
        assert_eq!(evicted(&here, &there, &office), None, "the oldest is here");
    }

    #[test]
    fn nobody_has_to_go_elsewhere_where_a_session_of_the_client_goes_anyway() {
        let mut config = config();
        config.limits.sessions.most = 2.try_into().unwrap();
        config.limits.sessions_per_client.most = 1.try_into().unwrap();
        config.limits.sessions_per_address.most = 2.try_into().unwrap();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
        config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
        let (mut here, mut there) = (Shard::new(&config), Shard::new(&config));
        let office = address("office");
        there.open_numbered(0, Some(&office), 1);
        here.open_numbered(0, Some(&office), 2);
        let census = census(&[(1, &there)], Some(&office));
        let evicted = |of_client, from| here.admission.eviction_for(1, of_client, from, &census);
        assert_eq!(evicted(Some((1, key(0))), None), None);
        assert_eq!(evicted(Some((1, key(0))), Some(&office)), None);
        assert_eq!(evicted(Some((0, key(0))), None), Some(on(1)));
        // The one that goes is not from there, and does not make room for that.
        let other = evicted(Some((1, key(7))), Some(&office));
        assert_eq!(other, Some(Eviction { shard: 1, address: Some(office.clone()) }));
    }

    #[test]
    fn a_session_for_which_room_was_made_is_known_as_such() {
        let mut census = Census::default();
        census.note_eviction();
        assert!(census.elsewhere().has_made_room());
    }
}

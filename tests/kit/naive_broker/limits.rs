//! What the model does about limits: it counts anew each time.

use super::model::{LogName, Model, Wish};
use core::cmp::Reverse;
use sansse::broker::*;

impl Model {
    /// Why there is no room for a session, if there is none and none may be made.
    pub(super) fn refusal(&self, wish: &Wish) -> Option<OpenError> {
        let config = &self.config;
        let refuses = |policy, open: usize, limit: u32| {
            policy == LimitPolicy::Refuse && open >= limit as usize
        };
        let of_client = self.order.iter().filter(|session| {
            wish.client.is_some() && self.members[*session].client == wish.client
        });
        let limit = config.limits.sessions_per_client.most.get();
        if refuses(
            config.limits.sessions.policy,
            self.order.len(),
            config.limits.sessions.most.get(),
        ) {
            Some(OpenError::TooManySessions)
        } else if refuses(config.limits.sessions_per_client.policy, of_client.count(), limit) {
            Some(OpenError::TooManySessionsOfClient { limit })
        } else {
            let limit = config.limits.sessions_per_address.most.get();
            let open = self.sessions_from(wish.address).len();
            refuses(config.limits.sessions_per_address.policy, open, limit)
                .then_some(OpenError::TooManySessionsFromAddress { limit })
        }
    }

    /// Ends the sessions that have to make room for one that was opened.
    pub(super) fn evict(&mut self, newest: SessionId, broker: &Broker) {
        let (client, address) = {
            let member = &self.members[&newest];
            (member.client.clone(), member.address)
        };
        let of_client: Vec<_> = self
            .order
            .iter()
            .filter(|session| client.is_some() && self.members[*session].client == client)
            .copied()
            .collect();
        self.evict_oldest(of_client, self.config.limits.sessions_per_client.most.get(), broker);
        let of_address = self.sessions_from(address);
        self.evict_oldest(of_address, self.config.limits.sessions_per_address.most.get(), broker);
        self.evict_oldest(self.order.clone(), self.config.limits.sessions.most.get(), broker);
    }

    fn evict_oldest(&mut self, sessions: Vec<SessionId>, limit: u32, broker: &Broker) {
        let too_many = sessions.len().saturating_sub(limit as usize);
        for session in &sessions[..too_many] {
            self.ended_untold.push(*session);
            self.ended_ready.push(*session);
            self.end(*session, EndReason::Evicted, broker);
        }
    }

    fn sessions_from(&self, address: Option<u64>) -> Vec<SessionId> {
        let is_from =
            |session: &&SessionId| address.is_some() && self.members[*session].address == address;
        self.order.iter().filter(is_from).copied().collect()
    }

    /// Lets the largest logs give up their oldest events until there is room.
    pub(super) fn make_room(&mut self, size: usize, to: &LogName) {
        while let Some(name) = self.next_to_give_way(size, to) {
            self.drop_one(&name);
        }
    }

    /// Whether this log is the first to give something up for an event of its own.
    pub(super) fn gives_way_first(&self, name: &LogName, size: usize) -> bool {
        self.next_to_give_way(size, name).as_ref() == Some(name)
    }

    fn next_to_give_way(&self, size: usize, to: &LogName) -> Option<LogName> {
        if self.retained_bytes() + size <= self.config.limits.retained_bytes.get() {
            return None;
        }
        let sizes = self.logs.iter().filter_map(|(name, log)| {
            let bytes: usize = log.kept.iter().map(|kept| kept.size).sum();
            let bytes = if name == to { bytes + size } else { bytes };
            Some((bytes, Reverse(log.kept.first()?.position), name))
        });
        sizes.max().map(|(.., name)| name.clone())
    }

    pub(super) fn retained_bytes(&self) -> usize {
        self.logs.values().flat_map(|log| &log.kept).map(|kept| kept.size).sum()
    }
}

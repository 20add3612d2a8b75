//! What the model says about who is here.

use super::kit::{has_ended, is_present, present, retained_bytes, sessions_of};
use super::model::{LogName, Model};
use super::naming::topic_name;
use sansse::broker::*;

impl Model {
    pub(super) fn forget_absent(&mut self, broker: &Broker) {
        loop {
            let absent: Vec<_> = self
                .guests
                .iter()
                .filter_map(|(id, guest)| guest.absent_since.map(|since| (since, id)))
                .collect();
            let count = absent.len() + self.kept.len();
            let guest = absent.iter().map(|(since, _)| *since).min();
            let Some(longest) = guest.into_iter().chain(self.kept.values().copied()).min() else {
                return;
            };
            let is_over = longest + self.config.client_grace <= self.now;
            if !is_over && count <= self.config.limits.absent_clients as usize {
                return;
            }
            if guest != Some(longest) {
                let kept = self.kept.iter().find(|(_, since)| **since == longest);
                let id = kept.map(|(id, _)| id.clone()).unwrap();
                self.drop_kept(&id);
                continue;
            }
            // Of those that are equally long away, any may be forgotten first.
            let forgotten = absent
                .iter()
                .filter(|(since, _)| *since == longest)
                .find(|(_, id)| broker.client(id).map(ClientRef::metadata).is_none())
                .map(|(_, id)| (*id).clone())
                .expect("a client that was to be forgotten is still known");
            self.guests.remove(&forgotten);
            self.events.push(BrokerEvent::ClientLeft { client: forgotten.clone() });
            let newest = self.logs[&LogName::Client(forgotten.clone())].kept.last();
            let since = newest.map(|newest| newest.at).filter(|at| {
                is_over && self.config.keeps_for_absent && *at + self.config.client_grace > self.now
            });
            self.kept.insert(forgotten.clone(), since.unwrap_or_default());
            if since.is_none() {
                self.drop_kept(&forgotten);
            }
        }
    }

    /// Forgets what is kept for who is no guest. Says whether there was something.
    pub(super) fn drop_kept(&mut self, client: &ClientId) -> bool {
        if self.kept.remove(client).is_none() {
            return false;
        }
        let log = self.logs.remove(&LogName::Client(client.clone())).unwrap();
        let last = log.kept.last().map_or(log.lost_through, |kept| kept.position);
        self.forgotten_clients = self.forgotten_clients.max(last);
        true
    }

    /// What is too large for who is no guest is a gap to it.
    pub(super) fn lose_for_absent(&mut self, position: u64, client: &ClientId) {
        self.drop_kept(client);
        self.forgotten_clients = self.forgotten_clients.max(position);
    }

    /// Who is here, also in its grace time.
    pub(crate) fn roster(&self) -> Vec<(ClientId, usize)> {
        self.guests.iter().map(|(id, guest)| (id.clone(), guest.sessions.len())).collect()
    }

    /// The first so many of them after this one, at least one, and whether they are the last.
    pub(crate) fn page(
        &self,
        after: Option<&ClientId>,
        limit: usize,
    ) -> (Vec<(ClientId, usize, Option<u64>)>, bool) {
        let rest = self.guests.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        let rest = rest.map(|(id, guest)| (id.clone(), guest.sessions.len(), guest.metadata));
        let mut page: Vec<_> = rest.collect();
        let is_last = page.len() <= limit.max(1);
        page.truncate(limit.max(1));
        (page, is_last)
    }

    pub(crate) fn check_presence(&self, broker: &Broker) -> Result<(), String> {
        let here: Vec<_> = self
            .guests
            .iter()
            .filter(|(_, guest)| !guest.sessions.is_empty())
            .map(|(id, guest)| (id.clone(), guest.sessions.len()))
            .collect();
        let present = present(broker);
        if here != present || self.members.len() as u64 != broker.counters().sessions {
            return Err(format!(
                "{present:?}, {} sessions, where there are {here:?}, {}",
                broker.counters().sessions,
                self.members.len()
            ));
        }
        for (id, guest) in &self.guests {
            let sessions = sessions_of(broker, id);
            let metadata = broker.client(id).map(|client| client.metadata().get::<u64>().copied());
            if metadata != Some(guest.metadata) {
                return Err(format!("{metadata:?} is kept of {id}, and not {:?}", guest.metadata));
            }
            if sessions != guest.sessions {
                return Err(format!("{sessions:?} of {id}, which has {:?}", guest.sessions));
            }
        }
        for (session, member) in &self.members {
            let mut has: Vec<_> =
                broker.session(*session).topics().map(|one| one.to_string()).collect();
            has.sort();
            let filters = member.logs.iter().filter_map(|log| match log {
                LogName::Named(name) => Some(name.to_string()),
                LogName::Pattern(pattern) => Some(pattern.to_string()),
                _ => None,
            });
            let mut expected: Vec<_> = filters.collect();
            expected.sort();
            if has != expected {
                return Err(format!("{session} has {has:?} instead of {expected:?}"));
            }
            if broker.session(*session).client() != member.client.as_ref() {
                return Err(format!("{session} is of {:?}", broker.session(*session).client()));
            }
        }
        for address in 0..3 {
            let key = AddressKey::new(address.to_string()).unwrap();
            let here = self.members.values().filter(|member| member.address == Some(address));
            if broker.shard().sessions_from(&key) != here.count() {
                return Err(format!("{} sessions from {key}", broker.shard().sessions_from(&key)));
            }
        }
        let (kept, limit) = (retained_bytes(broker), self.config.limits.retained_bytes.get());
        if kept != self.retained_bytes() || kept > limit {
            return Err(format!("{kept} bytes are kept instead of {}", self.retained_bytes()));
        }
        self.check_flags(broker)?;
        if broker.shard().last_position() != self.last {
            return Err(format!("at {} instead of {}", broker.shard().last_position(), self.last));
        }
        Ok(())
    }

    /// What is asked with a yes or a no.
    fn check_flags(&self, broker: &Broker) -> Result<(), String> {
        let is_draining = self.drain.is_some();
        let expected = match (self.closed, is_draining, self.members.is_empty()) {
            (true, ..) => BrokerState::Closed,
            (_, true, true) => BrokerState::Drained,
            (_, true, false) => BrokerState::Draining,
            _ => BrokerState::Open,
        };
        if broker.state() != expected {
            return Err(format!("{:?}, and not {expected:?}", broker.state()));
        }
        for name in (0..5).map(topic_name) {
            let has_ended = has_ended(broker, &name);
            if has_ended != (self.has_ended(&name) && !self.closed) {
                return Err(format!("whether {name} has ended: {has_ended}"));
            }
        }
        for (id, guest) in &self.guests {
            if is_present(broker, id) == guest.sessions.is_empty() {
                return Err(format!("whether {id} is present: {}", is_present(broker, id)));
            }
        }
        let is_open = |session: &SessionId| broker.session(*session).is_open();
        if !self.members.keys().all(is_open) || self.ended_untold.iter().any(is_open) {
            return Err("a session is open that is not, or is not that is".to_owned());
        }
        Ok(())
    }
}

//! What the model knows of names that exist only because somebody subscribed, and who pays for them.

use super::model::{LogName, Model};
use sansse::broker::*;
use std::collections::BTreeSet;

/// Whose session subscribes.
pub(super) type Payer = (Option<ClientId>, Option<u64>);

enum Full {
    All,
    Client(u32),
    Address(u32),
}

impl Model {
    /// Whether the topic would be there without a subscriber too.
    fn is_kept(&self, name: &LogName) -> bool {
        self.logs.get(name).is_some_and(|log| {
            let is_set = log.retention.is_some() || log.lag.is_some();
            !log.kept.is_empty() || log.ended.map_or(is_set, |ended| ended.is_remembered)
        })
    }

    fn kept_topics(&self) -> usize {
        let is_topic = |name: &&LogName| matches!(name, LogName::Named(_));
        self.logs.keys().filter(is_topic).filter(|name| self.is_kept(name)).count()
    }

    pub(super) fn subscribed_only(&self) -> usize {
        self.topics() - self.kept_topics()
    }

    pub(super) fn has_room_to_publish(&self, name: &TopicName) -> bool {
        self.is_kept(&LogName::Named(name.clone()))
            || self.kept_topics() < self.config.limits.topics as usize
    }

    pub(super) fn is_known(&self, filter: &LogName) -> bool {
        match filter {
            LogName::Pattern(pattern) => self.patterns.contains_key(pattern),
            name => self.logs.contains_key(name),
        }
    }

    fn check_names(&self, (client, address): &Payer, new: usize) -> Result<(), Full> {
        let limits = &self.config.limits;
        if new == 0 {
            return Ok(());
        }
        if self.subscribed_only() + new > limits.subscribed_topics as usize {
            return Err(Full::All);
        }
        let paid = |is_same: &dyn Fn(&Payer) -> bool| {
            self.payers.values().filter(|payer| is_same(payer)).count()
        };
        let limit = limits.subscribed_topics_per_client;
        let is_same = |payer: &Payer| payer.0 == *client;
        if client.is_some() && paid(&is_same) + new > limit as usize {
            return Err(Full::Client(limit));
        }
        let limit = limits.subscribed_topics_per_address;
        let is_same = |payer: &Payer| payer.1 == *address;
        if address.is_some() && paid(&is_same) + new > limit as usize {
            return Err(Full::Address(limit));
        }
        Ok(())
    }

    pub(super) fn check_open_names(&self, payer: &Payer, new: usize) -> Result<(), OpenError> {
        self.check_names(payer, new).map_err(|full| match full {
            Full::All => OpenError::TooManyTopics,
            Full::Client(limit) => OpenError::TooManyTopicsOfClient { limit },
            Full::Address(limit) => OpenError::TooManyTopicsFromAddress { limit },
        })
    }

    pub(super) fn check_one_name(&self, payer: &Payer) -> Result<(), SubscribeError> {
        self.check_names(payer, 1).map_err(|full| match full {
            Full::All => SubscribeError::TooManyTopics,
            Full::Client(limit) => SubscribeError::TooManyTopicsOfClient { limit },
            Full::Address(limit) => SubscribeError::TooManyTopicsFromAddress { limit },
        })
    }

    /// Makes the topic or pattern known to which a peer subscribes.
    pub(super) fn ensure_for(&mut self, filter: &LogName, payer: &Payer) {
        let is_known = self.is_known(filter);
        match filter {
            LogName::Pattern(pattern) => self.ensure_pattern(pattern),
            name => self.ensure(name, self.forgotten_topics),
        }
        if !is_known {
            self.payers.insert(filter.clone(), payer.clone());
        }
    }

    /// Forgets who paid for what is gone, or would be there without a subscriber too.
    pub(super) fn settle_names(&mut self) {
        let settled = |name: &&LogName| !self.is_known(name) || self.is_kept(name);
        let settled: BTreeSet<LogName> = self.payers.keys().filter(settled).cloned().collect();
        self.payers.retain(|name, _| !settled.contains(name));
    }
}

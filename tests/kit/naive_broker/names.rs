//! What the model knows of names that exist only because somebody subscribed, and of how many
//! subscriptions a peer may have.

use super::model::{LogName, Member, Model, Wish};
use sansse::broker::*;

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

    /// How many subscriptions these sessions have.
    fn subscriptions(&self, of: impl Fn(&Member) -> bool) -> usize {
        let members = self.members.values().filter(|member| of(member));
        members.flat_map(|member| &member.logs).filter(|log| log.is_filter()).count()
    }

    fn check_names(
        &self,
        client: Option<&ClientId>,
        address: Option<u64>,
        count: usize,
        new: usize,
    ) -> Result<(), Full> {
        let limits = &self.config.limits;
        if count == 0 {
            return Ok(());
        }
        if new > 0 && self.subscribed_only() + new > limits.subscribed_topics as usize {
            return Err(Full::All);
        }
        let limit = limits.subscriptions_per_client;
        let before = self.subscriptions(|member| member.client.as_ref() == client);
        if client.is_some() && before + count > limit as usize {
            return Err(Full::Client(limit));
        }
        let limit = limits.subscriptions_per_address;
        let before = self.subscriptions(|member| member.address == address);
        if address.is_some() && before + count > limit as usize {
            return Err(Full::Address(limit));
        }
        Ok(())
    }

    pub(super) fn check_open_names(
        &self,
        wish: &Wish,
        count: usize,
        new: usize,
    ) -> Result<(), OpenError> {
        self.check_names(wish.client.as_ref(), wish.address, count, new).map_err(
            |full| match full {
                Full::All => OpenError::TooManyTopics,
                Full::Client(limit) => OpenError::TooManySubscriptionsOfClient { limit },
                Full::Address(limit) => OpenError::TooManySubscriptionsFromAddress { limit },
            },
        )
    }

    pub(super) fn check_one_name(
        &self,
        member: &Member,
        filter: &LogName,
    ) -> Result<(), SubscribeError> {
        let new = usize::from(!self.is_known(filter));
        let client = member.client.as_ref();
        // Who it is counts before what it wants.
        match self.check_names(client, member.address, 1, 0) {
            Err(Full::Client(limit)) => {
                return Err(SubscribeError::TooManySubscriptionsOfClient { limit });
            }
            Err(Full::Address(limit)) => {
                return Err(SubscribeError::TooManySubscriptionsFromAddress { limit });
            }
            _ => {}
        }
        let room = self.config.limits.subscribed_topics as usize;
        if new > 0 && self.subscribed_only() + new > room {
            return Err(SubscribeError::TooManyTopics);
        }
        Ok(())
    }

    /// Makes a topic or a pattern known to which a peer subscribes.
    pub(super) fn ensure_filter(&mut self, filter: &LogName) {
        match filter {
            LogName::Pattern(pattern) => self.ensure_pattern(pattern),
            name => self.ensure(name, self.forgotten_topics),
        }
    }
}

//! Clients that are on other nodes: what is kept for them here.

use super::clients::Departed;
use super::clock::Tick;
use super::names::ClientId;
use super::topics::NewEntry;
use super::{Audience, Broker, PublishError, Published};
use std::time::Instant;

impl Broker {
    /// Sets whether something is kept, as [`ShardMut::set_keeps_for_absent`](super::ShardMut) says.
    pub(super) fn set_keeps_for_absent(&mut self, now: Instant, keeps: bool) {
        self.advance(now);
        if keeps && !self.config.keeps_for_absent {
            // What was published before to a client that was not here went by.
            self.clients.note_forgotten(self.sequencer.last());
        }
        self.config.keeps_for_absent = keeps;
    }

    /// Appends an event for a client that is not known, if something is kept for it.
    pub(super) fn append_for_absent(
        &mut self,
        now: Tick,
        id: &ClientId,
        new: NewEntry,
    ) -> Result<(), PublishError> {
        if !self.clients.is_kept(id) {
            return Err(PublishError::UnknownClient);
        }
        let channel = self.clients.channel_of(id).ok_or(PublishError::UnknownClient)?;
        self.append_to(now, channel, new)?;
        self.clients.renew(now, id);
        Ok(())
    }

    /// Keeps the first event for a client that is not known.
    pub(super) fn keep_for_absent(
        &mut self,
        now: Tick,
        published: &Published,
    ) -> Result<(), PublishError> {
        let (Audience::Client(id), new) = (published.audience(), NewEntry::of(published)) else {
            return Err(PublishError::UnknownClient);
        };
        self.topics.check_private(&new)?;
        let channel = self.topics.open_client(self.clients.forgotten_through());
        self.clients.keep(now, id.clone(), channel);
        self.append_to(now, channel, new)
    }

    /// Returns for a client whose grace time is over since when something is kept for it that may
    /// be kept for longer, and who it is.
    pub(super) fn kept_since(&self, left: &Departed, channel: u32) -> Option<(Tick, ClientId)> {
        if !self.config.keeps_for_absent || !left.is_over {
            return None;
        }
        let since = self.topics.newest_at(channel)?;
        let is_over = self.clients.is_grace_over(self.clock.now(), since);
        (!is_over).then(|| (since, left.id.clone()))
    }

    /// Drops what is kept for a client that is not known. Returns whether there was something.
    pub(super) fn drop_kept(&mut self, client: &ClientId) -> bool {
        let Some(channel) = self.clients.take_kept(client) else { return false };
        let last = self.topics.close(channel);
        self.clients.note_forgotten(last);
        true
    }
}

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

    /// Appends an event of this age for a client that is not known, if something is kept for it.
    pub(super) fn append_for_absent(
        &mut self,
        now: Tick,
        id: &ClientId,
        new: NewEntry,
        age: Tick,
    ) -> Result<(), PublishError> {
        if !self.clients.is_kept(id) {
            return Err(PublishError::UnknownClient);
        }
        let channel = self.clients.channel_of(id).ok_or(PublishError::UnknownClient)?;
        self.append_to(now, channel, new)?;
        self.clients.renew(now.saturating_sub(age), id);
        Ok(())
    }

    /// Keeps the first event for a client that is not known.
    pub(super) fn keep_for_absent(&mut self, now: Tick, published: &Published, age: Tick) {
        let Audience::Client(id) = published.audience() else { return };
        let new = NewEntry::of(published).aged(age);
        if self.topics.check_private(&new).is_err() {
            return self.lose_for_absent(published);
        }
        let channel = self.topics.open_client(self.clients.forgotten_through());
        self.clients.keep(now.saturating_sub(age), id.clone(), channel);
        let appended = self.append_to(now, channel, new);
        debug_assert_eq!(appended, Ok(()), "a client's channel takes what is not too large");
    }

    /// Returns whether something is for a client that is not known, and for which something is kept.
    pub(super) fn is_for_absent(&self, published: &Published) -> bool {
        matches!(published.audience(), Audience::Client(id) if self.clients.is_kept(id))
    }

    /// Gives up what is for a client that is not known: it is a gap to the client, and to no other
    /// session.
    pub(super) fn lose_for_absent(&mut self, published: &Published) {
        if let Audience::Client(id) = published.audience() {
            self.drop_kept(id);
        }
        self.clients.note_forgotten(published.position());
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

//! What the driver of several shards needs of each, so that they are one broker.
//!
//! The sessions of a shard that is about to open another are counted beside those of the others:
//! the driver asks each of the others for its [`Occupancy`], one after the other, and opens no
//! other session meanwhile. Sessions end as they like in between, which only makes room.

use super::admission::{Census, Eviction, Occupancy};
use super::names::AddressKey;
use super::sessions::Told;
use super::{Broker, EndReason, PublishError, Published, SessionRequest, Topic};
use std::time::Instant;

impl Broker {
    /// Returns what this shard has, for a request that another one got.
    pub(crate) fn occupancy(&self, request: &SessionRequest) -> Occupancy {
        self.admission.occupancy(self.sessions.len(), request.address())
    }

    /// Returns which session of another shard has to make room, if the
    /// [normalized](SessionRequest::normalized) request is to be opened here. `None`: none has to,
    /// or the request is refused. There is no more than one.
    pub(crate) fn eviction_for(
        &self,
        now: Instant,
        request: &SessionRequest,
        census: &Census,
    ) -> Option<Eviction> {
        let now = self.clock.now().max(self.clock.tick(now));
        let elsewhere = census.elsewhere();
        if !elsewhere.has_made_room() && self.check_open(now, request, elsewhere).is_err() {
            return None;
        }
        let client = request.client().and_then(|id| self.clients.key_of(id));
        let of_client = client.and_then(|client| self.oldest_of(client));
        self.admission.eviction_for(self.sessions.len(), of_client, request.address(), census)
    }

    /// Ends the oldest session, or the oldest from this address, for one that another shard opens.
    pub(crate) fn evict_oldest(&mut self, now: Instant, address: Option<&AddressKey>) {
        self.clock.advance(now);
        if let Some(oldest) = self.admission.oldest(address) {
            self.end(oldest, EndReason::Evicted, Told::ByReady);
        }
    }

    /// Publishes what another shard has numbered, where all began together: a client that is not
    /// here is on another.
    pub(crate) fn apply_beside(
        &mut self,
        now: Instant,
        published: &Published,
    ) -> Result<(), PublishError> {
        let now = self.clock.advance(now);
        if self.admission.is_closed() {
            return Err(PublishError::Closed);
        }
        if published.epoch() != self.sequencer.epoch() {
            return Err(PublishError::OtherEpoch);
        }
        let (position, last) = (published.position(), self.sequencer.last());
        if position <= last {
            return Err(PublishError::OutOfOrder { last });
        }
        match self.append(now, published) {
            // Nobody here listens to it; a session that comes later is told of the gap.
            Err(PublishError::TooManyTopics) => self.miss(published),
            Ok(()) | Err(PublishError::UnknownClient | PublishError::UnknownSession) => {}
            Err(error) => return Err(error),
        }
        if position > last + 1 {
            self.left_out = position - 1;
        }
        if !published.is_end() {
            self.counters.publish(published.frame());
        }
        self.sequencer.observe(position);
        Ok(())
    }

    /// Counts what no topic here can keep as lost.
    fn miss(&mut self, published: &Published) {
        self.topics.note_forgotten(published.position());
        if let (false, Topic::Named(name)) = (published.is_end(), published.topic()) {
            self.topics.miss(name, published.position(), self.sessions.ready_mut());
        }
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;

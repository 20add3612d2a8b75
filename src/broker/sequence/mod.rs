//! The numbering of events: one position for each publish, whatever its topic, and the ids that
//! name positions.

mod cursor;
mod framing;
mod keys;
mod log_record;

pub use cursor::Epoch;
#[cfg(not(feature = "signed"))]
pub(crate) use keys::CursorKeys;
#[cfg(feature = "signed")]
pub use keys::{CursorKeys, KeyError, MIN_SECRET};

#[cfg(feature = "cluster")]
pub(crate) use framing::{Reader, put_record, put_text, put_time, split_record};
pub use log_record::{LogRecord, LogRecordError};

use super::error::PublishError;
use super::names::{ClientId, SessionId, TopicName};
use crate::encode::Frame;
use crate::event::{Event, EventId};
use crate::event_key::EventKey;
use crate::last_event_id::{LastEventId, UnusableId};
use cursor::Cursor;
use keys::Signer;

/// To whom an event is published.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Audience {
    /// All sessions with the broadcast: all that are not [for topics
    /// only](crate::broker::SessionConfig::topics_only).
    Everyone,
    /// All sessions of one client, also those that come back within its grace time.
    Client(ClientId),
    /// One session.
    Session(SessionId),
    /// All sessions that subscribed to this topic, or to a pattern that matches it.
    Topic(TopicName),
}

impl From<ClientId> for Audience {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

impl From<SessionId> for Audience {
    fn from(session: SessionId) -> Self {
        Self::Session(session)
    }
}

impl From<TopicName> for Audience {
    fn from(name: TopicName) -> Self {
        Self::Topic(name)
    }
}

/// What ids a broker gives to events.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventIds {
    /// Each event that brings no id gets `epoch-position`, and a session learns its place at its
    /// start by a [notice](crate::broker#what-a-peer-is-told), so that it can resume from anywhere.
    ///
    /// Positions are given to all that is published, so ids tell their receivers how much others
    /// are sent: of two events of one topic with the ids `beef-17` and `beef-42`, 24 others were
    /// published in between, to anyone. Who can subscribe to something quiet can measure the whole.
    /// Where that is nobody's business, let keys hide the places: `CursorKeys::hiding_places`
    /// (feature `signed`). Separate streams, each with a broker of its own, do not tell of each
    /// other either way.
    #[default]
    Assigned,
    /// Events have the ids that they bring, or none. A session can resume only from an event that
    /// brought an id. Events without an id may arrive twice. A peer that loses the connection
    /// before the first event with an id misses what was published before that event.
    ///
    /// An id whose event is kept no more leads nowhere, as nonsense does: by default the session
    /// starts as one without an id, and is told of the gap. Of a topic that has ended it then gets
    /// nothing. Where peers are known, choose
    /// [`OnUnknownId::ReplayKept`](crate::broker::OnUnknownId::ReplayKept).
    Own,
}

/// An event that has its position: what one shard publishes and the others
/// [`apply`](crate::broker::ShardMut::apply), encoded once for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    epoch: Epoch,
    position: u64,
    audience: Audience,
    frame: Frame,
    own_id: Option<EventId>,
    key: Option<EventKey>,
    is_end: bool,
}

impl Published {
    /// Returns the life of the stream to which it belongs.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns its position, greater than that of any event before it. The first is 1.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Returns to whom it was published.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Returns what the event is about, if it was published with a key.
    pub const fn key(&self) -> Option<&EventKey> {
        self.key.as_ref()
    }

    /// Returns whether it is the end of its topic, and no event.
    pub const fn is_end(&self) -> bool {
        self.is_end
    }

    /// Returns the encoded event, with its id. That of a topic's end is an empty block, which
    /// no session gets.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Returns the id that the event brought.
    pub(crate) const fn own_id(&self) -> Option<&EventId> {
        self.own_id.as_ref()
    }

    /// Makes it again of its parts, as a record tells them. `None` for the end of an audience that
    /// is no topic.
    #[cfg(feature = "record")]
    pub(crate) fn from_parts(
        epoch: Epoch,
        position: u64,
        audience: Audience,
        frame: Frame,
        own_id: Option<EventId>,
        key: Option<EventKey>,
        is_end: bool,
    ) -> Option<Self> {
        let can_end = matches!(audience, Audience::Topic(_));
        (can_end || !is_end).then_some(Self {
            epoch,
            position,
            audience,
            frame,
            own_id,
            key,
            is_end,
        })
    }
}

/// Numbers and encodes events.
///
/// A [`Broker`](crate::broker::Broker) has one of its own. Where several shards, or several
/// machines, carry one stream, one sequencer numbers for all of them, and each applies what it
/// gives.
#[derive(Clone, Debug)]
pub struct Sequencer {
    epoch: Epoch,
    last: u64,
    ids: EventIds,
    signer: Signer,
}

/// What an id says about a place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdMeaning {
    /// It names this place of this epoch, or of another one.
    At(Epoch, u64),
    /// It is no cursor.
    Unknown,
    /// It is a cursor that this stream never gave out.
    Forged,
}

impl Sequencer {
    /// Makes a sequencer whose first event has the position after `last`; 0 where there was none.
    pub const fn new(epoch: Epoch, last: u64, ids: EventIds) -> Self {
        Self { epoch, last, ids, signer: Signer::PLAIN }
    }

    /// Makes the sequencer of a stream that begins, whose ids are signed if there are keys.
    pub(crate) fn signing(epoch: Epoch, ids: EventIds, keys: Option<CursorKeys>) -> Self {
        Self { epoch, last: 0, ids, signer: Signer::new(keys) }
    }

    /// Numbers an event and encodes it. Comments take a position too, but never an id.
    pub fn publish(&mut self, audience: Audience, event: &Event) -> Published {
        // After 2^64 events the numbers stand still, and shards refuse them.
        self.last = self.last.saturating_add(1);
        let frame = match (event.id(), self.ids) {
            (None, EventIds::Assigned) if event.data().is_some() => {
                Frame::with_id(event, Some(&self.id_of(self.last)))
            }
            _ => Frame::new(event),
        };
        let (own_id, key) = (event.id().cloned(), event.key().cloned());
        let (epoch, position) = (self.epoch, self.last);
        Published { epoch, position, audience, frame, own_id, key, is_end: false }
    }

    /// Numbers the end of a topic, as
    /// [`TopicMut::end`](crate::broker::TopicMut::end) does.
    pub fn end_topic(&mut self, topic: TopicName) -> Published {
        let mut published = self.publish(topic.into(), &Event::empty());
        published.is_end = true;
        published
    }

    /// Encodes what has its position from elsewhere: from a log outside of this process, which gives
    /// positions and keeps [`LogRecord`]s.
    ///
    /// Positions may be left out, which is a gap to whom it concerns.
    ///
    /// # Errors
    ///
    /// [`PublishError::OutOfOrder`] for a position that is not after the [last](Self::last), by the
    /// caller's fault; then nothing was done.
    pub fn place(&mut self, position: u64, record: &LogRecord) -> Result<Published, PublishError> {
        if position <= self.last {
            return Err(PublishError::OutOfOrder { last: self.last });
        }
        self.last = position - 1;
        let nothing = Event::empty();
        let event = record.event().unwrap_or(&nothing);
        let mut published = self.publish(record.audience().clone(), event);
        published.is_end = record.event().is_none();
        Ok(published)
    }

    /// Returns the life of the stream that is numbered.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the position of the newest event; 0 if there is none.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Returns the same numbering as it was before anything was published, for what is read again.
    #[cfg(feature = "cluster")]
    pub(crate) fn begun_anew(&self) -> Self {
        Self { last: 0, ..self.clone() }
    }

    /// Records a position that another sequencer gave.
    pub(crate) fn observe(&mut self, position: u64) {
        self.last = self.last.max(position);
    }

    /// Returns the id that an event at `position` has, or would have.
    pub(crate) fn id_of(&self, position: u64) -> EventId {
        self.signer.sign(Cursor::new(self.epoch, position))
    }

    /// Returns the place that `id` names; the reverse of [`id_of`](Self::id_of).
    pub(crate) fn meaning_of(&self, id: &EventId) -> IdMeaning {
        match self.ids {
            EventIds::Assigned => self.signer.read(id),
            EventIds::Own => IdMeaning::Unknown,
        }
    }

    /// Refuses an id with which its receiver could not come back: also one that reads like a place,
    /// which would be taken for that place once its event is kept no more.
    pub(crate) fn check_id(&self, own_id: Option<&EventId>) -> Result<(), PublishError> {
        let Some(id) = own_id else { return Ok(()) };
        LastEventId::check(id).map_err(PublishError::UnusableId)?;
        match self.meaning_of(id) {
            IdMeaning::At(..) => Err(PublishError::UnusableId(UnusableId::LikeAPlace)),
            IdMeaning::Unknown | IdMeaning::Forged => Ok(()),
        }
    }

    /// Returns whether a place can be had only with an id that was given out.
    pub(crate) const fn is_signing(&self) -> bool {
        self.signer.is_signing()
    }

    /// Returns what ids events get that bring none.
    pub(crate) const fn ids(&self) -> EventIds {
        self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequencer() -> Sequencer {
        Sequencer::new(Epoch(0xbeef), 6, EventIds::Assigned)
    }

    #[test]
    fn what_is_placed_is_what_would_have_been_published_there() {
        let topic = TopicName::new("news").unwrap();
        let event = Event::new("x").with_key(EventKey::new("gold").unwrap());
        let (mut here, mut elsewhere) = (sequencer(), sequencer());
        let record = LogRecord::new(topic.clone(), event.clone());
        let published = elsewhere.publish(topic.clone().into(), &event);
        assert_eq!(here.place(7, &record), Ok(published));
        let end = elsewhere.end_topic(topic.clone());
        assert_eq!(here.place(8, &LogRecord::end_of(topic)), Ok(end));
        assert_eq!(here.last(), 8);
    }

    #[test]
    fn positions_may_be_left_out_and_never_come_again() {
        let record = LogRecord::new(Audience::Everyone, Event::new("x"));
        let mut sequencer = sequencer();
        assert_eq!(sequencer.place(9, &record).map(|one| one.position()), Ok(9));
        for position in [0, 6, 9] {
            let error = PublishError::OutOfOrder { last: 9 };
            assert_eq!(sequencer.place(position, &record), Err(error));
        }
        assert_eq!(sequencer.place(u64::MAX, &record).map(|one| one.position()), Ok(u64::MAX));
    }
}

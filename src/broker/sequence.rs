//! The numbering of events: one position for each publish, whatever its topic.

use super::config::{BrokerConfig, EventIds};
use super::names::{ClientId, Cursor, Epoch, SessionId, TopicName};
use super::publication::{EventKey, Publication};
#[cfg(feature = "signed")]
use super::signature::{CursorKeys, Unsigned};
use crate::encode::Frame;
use crate::event::{Event, EventId};

/// To whom an event is published.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// All sessions.
    Broadcast,
    /// All sessions of one client, also those that come back within its grace time.
    Client(ClientId),
    /// One session.
    Session(SessionId),
    /// All sessions that subscribed to this name.
    Named(TopicName),
}

impl From<ClientId> for Topic {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

impl From<SessionId> for Topic {
    fn from(session: SessionId) -> Self {
        Self::Session(session)
    }
}

impl From<TopicName> for Topic {
    fn from(name: TopicName) -> Self {
        Self::Named(name)
    }
}

/// An event that has its position: what one shard publishes and the others
/// [`apply`](super::Broker::apply), encoded once for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub(super) epoch: Epoch,
    pub(super) position: u64,
    pub(super) topic: Topic,
    pub(super) frame: Frame,
    pub(super) own_id: Option<EventId>,
    pub(super) key: Option<EventKey>,
    pub(super) is_end: bool,
}

impl Published {
    /// Which life of the stream it belongs to.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its position, greater than that of any event before it. The first is 1.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// To whom it was published.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// What the event is about, if it was published with a key.
    pub const fn key(&self) -> Option<&EventKey> {
        self.key.as_ref()
    }

    /// Whether it is the end of its topic, and no event.
    pub const fn is_end(&self) -> bool {
        self.is_end
    }

    /// The encoded event, with its id. That of a topic's end is an empty block, which nobody gets.
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }
}

/// Numbers and encodes events.
///
/// A [`Broker`](super::Broker) has one of its own. Where several shards, or several machines,
/// carry one stream, one sequencer numbers for all of them, and each applies what it gives.
#[derive(Clone, Debug)]
pub struct Sequencer {
    epoch: Epoch,
    last: u64,
    ids: EventIds,
    #[cfg(feature = "signed")]
    keys: Option<CursorKeys>,
}

/// What an id says about a place in the stream.
pub(super) enum Place {
    At(Cursor),
    /// It is no cursor.
    Unknown,
    /// It is one that this stream never gave out.
    #[cfg(feature = "signed")]
    Forged,
}

impl Sequencer {
    /// A sequencer whose first event has the position after `last`; 0 where there was none.
    pub const fn new(epoch: Epoch, last: u64, ids: EventIds) -> Self {
        Self {
            epoch,
            last,
            ids,
            #[cfg(feature = "signed")]
            keys: None,
        }
    }

    /// The sequencer of a stream that begins with this configuration.
    pub(crate) fn of(config: &BrokerConfig) -> Self {
        Self {
            #[cfg(feature = "signed")]
            keys: config.cursor_keys.clone(),
            ..Self::new(config.epoch, 0, config.event_ids)
        }
    }

    /// Signs the ids that it makes from now on, as [`BrokerConfig::cursor_keys`] does. All shards
    /// must accept them.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&mut self, keys: CursorKeys) {
        self.keys = Some(keys);
    }

    /// Numbers an event and encodes it. Comments take a position too, but never an id.
    pub fn publish<'a>(&mut self, topic: Topic, event: impl Into<Publication<'a>>) -> Published {
        let Publication { event, key } = event.into();
        // After 2^64 events the numbers stand still, and shards refuse them.
        self.last = self.last.saturating_add(1);
        let frame = match (event.id(), self.ids) {
            (None, EventIds::Assigned) if event.data().is_some() => {
                Frame::with_id(event, Some(&self.id_of(self.last)))
            }
            _ => Frame::new(event),
        };
        let own_id = event.id().cloned();
        let (epoch, position) = (self.epoch, self.last);
        Published { epoch, position, topic, frame, own_id, key, is_end: false }
    }

    /// Numbers the end of a topic, as [`Broker::end_topic`](super::Broker::end_topic) does.
    pub fn end_topic(&mut self, topic: TopicName) -> Published {
        let mut published = self.publish(topic.into(), &Event::empty());
        published.is_end = true;
        published
    }

    /// The life of the stream that is numbered.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The position of the newest event; 0 if there is none.
    pub const fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn observe(&mut self, position: u64) {
        self.last = self.last.max(position);
    }

    /// The id that an event at `position` has, or would have.
    pub(super) fn id_of(&self, position: u64) -> EventId {
        let cursor = Cursor { epoch: self.epoch, position };
        #[cfg(feature = "signed")]
        if let Some(keys) = &self.keys {
            return keys.sign(cursor);
        }
        cursor.event_id()
    }

    /// The place that `id` names; the reverse of [`id_of`](Self::id_of).
    pub(super) fn place_of(&self, id: &EventId) -> Place {
        if self.ids == EventIds::Own {
            return Place::Unknown;
        }
        #[cfg(feature = "signed")]
        if let Some(keys) = &self.keys {
            return match keys.verify(id) {
                Ok(cursor) => Place::At(cursor),
                Err(Unsigned::Forged) => Place::Forged,
                Err(Unsigned::Unknown) => Place::Unknown,
            };
        }
        Cursor::parse(id).map_or(Place::Unknown, Place::At)
    }

    /// Whether a place can be had only with an id that was given out.
    #[cfg(feature = "signed")]
    pub(super) const fn is_signed(&self) -> bool {
        self.keys.is_some()
    }

    pub(super) const fn ids(&self) -> EventIds {
        self.ids
    }
}

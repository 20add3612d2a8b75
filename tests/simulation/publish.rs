//! What is published: to whom, when it comes to each shard, and what is to be remembered of it.

use crate::filter::{ANSWER, Address, CLIENTS, TOPICS};
use crate::scenario::{KEYS, chance, one_of, shard_of, up_to};
use crate::truth::{Kind, Record};
use crate::world::{Happening, World};
use sansse::broker::{Audience, ClientId, PublishError, Published, SessionId, TopicName};
use sansse::{Event, EventId, EventKey};

/// What was published, and what is to be remembered of it.
#[derive(Clone)]
pub(crate) struct Announced {
    published: Published,
    address: Address,
    kind: Kind,
    key: Option<&'static str>,
    own_id: Option<String>,
}

impl World {
    /// Publishes something to somebody.
    pub(crate) fn publish(&mut self) {
        let sessions: Vec<(SessionId, usize)> =
            self.server.sessions.iter().map(|(id, (at, _))| (*id, *at)).collect();
        let is_answer_read = self.readers.iter().any(|reader| reader.reading.is_of_answer);
        let address = match self.random.below(10) {
            0..4 if is_answer_read && chance(&mut self.random, 60) => Address::Named(ANSWER),
            0..5 => Address::All,
            5..7 => Address::Named(one_of(&mut self.random, &TOPICS)),
            7..9 => Address::Client(one_of(&mut self.random, &CLIENTS)),
            _ if sessions.is_empty() => Address::All,
            _ => Address::Connection(one_of(&mut self.random, &sessions).1),
        };
        let kind = if chance(&mut self.random, 8) { Kind::Comment } else { Kind::Event };
        if address != Address::Named(ANSWER) || !self.server.answer_is_over {
            self.publish_to(address, kind);
        }
    }

    pub(crate) fn publish_to_all(&mut self) {
        // What is kept by age, or room, may be too little for any event.
        self.publish_to(Address::All, Kind::Event);
    }

    /// Nothing more comes of the answer.
    pub(crate) fn end_answer(&mut self) {
        if !self.server.shards.is_empty() && !self.server.answer_is_over {
            self.publish_to(Address::Named(ANSWER), Kind::End);
        }
    }

    fn publish_to(&mut self, address: Address, kind: Kind) {
        if self.server.shards.is_empty() {
            return;
        }
        // The shard that alone knows whether there is somebody to get it, if one does.
        let (topic, first): (Audience, usize) = match address {
            Address::All => (Audience::Everyone, 0),
            Address::Named(name) => (TopicName::new(name).unwrap().into(), 0),
            Address::Client(name) => {
                (ClientId::new(name).unwrap().into(), shard_of(name, self.server.count))
            }
            Address::Connection(connection) => match self.connections[connection].session {
                Some(session) => (session.into(), session.shard().into()),
                None => return,
            },
        };
        while !self.server.pending[first].is_empty() {
            self.apply_next(first);
        }
        let number = self.truths[first].events.len();
        let padding = "x".repeat(self.random.below(self.scenario.padding + 1));
        let text = format!("#{number} {padding}");
        let is_own = kind == Kind::Event && chance(&mut self.random, self.scenario.own_ids);
        let own_id = is_own.then(|| format!("own-{number}"));
        let is_keyed = kind == Kind::Event && chance(&mut self.random, self.scenario.keyed);
        let key = is_keyed.then(|| one_of(&mut self.random, &KEYS));
        let mut event = if kind == Kind::Event { Event::new(text) } else { Event::comment(text) };
        if let Some(id) = &own_id {
            event = event.with_id(EventId::new(id.clone()).unwrap());
        }
        if let Some(key) = key {
            event = event.with_key(EventKey::new(key).unwrap());
        }
        let broker = &mut self.server.shards[first];
        let result = if self.server.count == 1 {
            match (kind, topic) {
                (Kind::End, Audience::Topic(name)) => broker.topic_mut(&name).end(self.now),
                (_, topic) => broker.publish(self.now, topic, &event),
            }
        } else {
            let mut sequencer = self.server.sequencer.clone();
            let published = broker.shard().check_publish(&topic).and_then(|()| {
                let published = match (kind, topic) {
                    (Kind::End, Audience::Topic(name)) => sequencer.end_topic(name),
                    (_, topic) => sequencer.publish(topic, &event),
                };
                broker.shard().check_room(self.now, &published)?;
                broker.shard_mut().apply(self.now, &published).map(|()| published)
            });
            if published.is_ok() {
                self.server.sequencer = sequencer;
            }
            published
        };
        match result {
            Ok(published) => {
                let began = self.truths[first].life_began;
                assert_eq!(published.position(), (number - began + 1) as u64);
                self.server.published.push(published.clone());
                self.server.answer_is_over |= kind == Kind::End;
                let announced = Announced { published, address, kind, key, own_id };
                self.record(first, &announced, true);
                for shard in (0..self.server.count).filter(|shard| *shard != first) {
                    self.apply_later(shard, announced.clone());
                }
                self.note(|| format!("published #{number} to {address:?}: {kind:?} {key:?}"));
            }
            // Nothing was done, so that it takes no number either.
            Err(PublishError::NoRoom) => self.log.count("no room for one session or client"),
            Err(
                PublishError::UnknownClient
                | PublishError::UnknownSession
                | PublishError::TooLarge { .. }
                | PublishError::Closed,
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn apply_later(&mut self, shard: usize, announced: Announced) {
        let delay = up_to(&mut self.random, self.scenario.apply_delay);
        let last = self.server.pending[shard].back().map(|(at, _)| *at);
        let at = last.map_or(self.now + delay, |last| last.max(self.now + delay));
        self.server.pending[shard].push_back((at, announced));
        if at > self.now {
            self.log.count("event that comes to a shard later");
            self.after(at - self.now, Happening::Applies(shard));
        } else {
            self.apply_next(shard);
        }
    }

    pub(crate) fn apply_due(&mut self, shard: usize) {
        while self.server.pending[shard].front().is_some_and(|(at, _)| *at <= self.now) {
            self.apply_next(shard);
        }
    }

    fn apply_next(&mut self, shard: usize) {
        let (_, announced) = self.server.pending[shard].pop_front().unwrap();
        let broker = &mut self.server.shards[shard];
        let is_taken = match broker.shard_mut().apply(self.now, &announced.published) {
            Ok(()) => true,
            Err(PublishError::Closed) => false,
            Err(error) => panic!("{error}"),
        };
        self.record(shard, &announced, is_taken);
        if matches!(announced.address, Address::Client(_)) && !self.server.is_used[shard] {
            self.truths[shard].forget_all_clients();
        }
    }

    /// Takes note of what a shard was given, and of who is to get it.
    pub(crate) fn record(&mut self, shard: usize, announced: &Announced, is_taken: bool) {
        let Announced { published, address, kind, key, own_id } = announced;
        let size = published.frame().chunk().len();
        let truth = &mut self.truths[shard];
        let record = Record { to: *address, kind: *kind, size, key: *key };
        if is_taken {
            truth.publish(self.now, record);
        } else {
            truth.refuse(record);
        }
        let event = truth.events.len() - 1;
        if let Some(id) = own_id {
            truth.owns(id.clone());
        }
        // With an id of its own, it is the place of the next that comes.
        truth.place(format!("{:x}-{}", published.epoch().0, published.position()));
        if *kind == Kind::End {
            return;
        }
        for (session, at) in self.server.open_sessions() {
            let connection = &mut self.connections[at];
            if usize::from(session.shard()) == shard && connection.through.is_none() {
                for filter in connection.owed.filters.clone() {
                    if filter.hears(*address) {
                        connection.owed.owe(event, filter);
                    }
                }
            }
        }
    }
}

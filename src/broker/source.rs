//! Where a session's events come from: its topics and patterns, its client, and what is for it
//! alone.

use super::Broker;
use super::arena::{Arena, Key};
use super::matched::View;
use super::state::{Client, Session, TopicState};

/// Sources of a session's frames beside its subscriptions, which are counted from 0.
pub(super) const CLIENT: u32 = u32::MAX;
pub(super) const PRIVATE: u32 = u32::MAX - 1;
pub(super) const HEARTBEAT: u32 = u32::MAX - 2;
pub(super) const OPENING: u32 = u32::MAX - 3;
pub(super) const PLACE: u32 = u32::MAX - 4;
pub(super) const LAST_WORDS: u32 = u32::MAX - 5;
pub(super) const LOSS: u32 = u32::MAX - 6;

/// Whether what comes from this source was published.
pub(super) const fn is_event(source: u32) -> bool {
    source >= PRIVATE || source < LOSS
}

impl Broker {
    /// Calls `f` with each source of a session's frames, its cursor and what that goes through.
    #[inline]
    pub(super) fn visit<'a>(&'a self, session: &'a Session, mut f: impl FnMut(u32, u64, View<'a>)) {
        for (subscription, source) in session.subscriptions.iter().zip(0..) {
            if let Some(topic) = self.topics.at(subscription.topic) {
                f(source, subscription.cursor, topic.view(&self.topics));
            }
        }
        if let Some(client) = session.client.and_then(|client| self.clients.get(client)) {
            f(CLIENT, session.client_cursor, View::Log(&client.log));
        }
        if let Some(private) = session.private() {
            f(PRIVATE, private.cursor, View::Log(&private.log));
        }
    }

    pub(super) fn source<'a>(
        &'a self,
        session: &'a Session,
        source: u32,
    ) -> Option<(u64, View<'a>)> {
        match source {
            CLIENT => {
                let client = self.clients.get(session.client?)?;
                Some((session.client_cursor, View::Log(&client.log)))
            }
            PRIVATE => session.private().map(|private| (private.cursor, View::Log(&private.log))),
            index => {
                let subscription = session.subscriptions.get(index as usize)?;
                let topic = self.topics.at(subscription.topic)?;
                Some((subscription.cursor, topic.view(&self.topics)))
            }
        }
    }

    pub(super) fn source_mut(&mut self, key: Key, source: u32) -> Option<(&mut u64, View<'_>)> {
        source_of(&mut self.sessions, &self.clients, &self.topics, key, source)
    }
}

/// The cursor of a source, and what it goes through.
pub(super) fn source_of<'a>(
    sessions: &'a mut Arena<Session>,
    clients: &'a Arena<Client>,
    topics: &'a Arena<TopicState>,
    key: Key,
    source: u32,
) -> Option<(&'a mut u64, View<'a>)> {
    let session = sessions.get_mut(key)?;
    match source {
        CLIENT => {
            let client = clients.get(session.client?)?;
            Some((&mut session.client_cursor, View::Log(&client.log)))
        }
        PRIVATE => {
            session.private_mut().map(|private| (&mut private.cursor, View::Log(&private.log)))
        }
        index => {
            let subscription = session.subscriptions.get_mut(index as usize)?;
            let topic = topics.at(subscription.topic)?;
            Some((&mut subscription.cursor, topic.view(topics)))
        }
    }
}

/// Up to which of a source's events the session is to get.
pub(super) fn limit(session: &Session, source: u32) -> u64 {
    let Some(ending) = session.ending() else { return u64::MAX };
    match source {
        CLIENT => ending.client,
        PRIVATE => u64::MAX,
        index => ending.topics.get(index as usize).copied().unwrap_or(0),
    }
}

/// All sources of events that a session has.
pub(super) fn sources(session: &Session) -> impl Iterator<Item = u32> + use<> {
    let subscriptions = 0..session.subscriptions.len();
    let client = session.client.map(|_| CLIENT);
    let private = session.private().map(|_| PRIVATE);
    #[expect(clippy::cast_possible_truncation, reason = "max_topics_per_session is a u32")]
    subscriptions.map(|index| index as u32).chain(client).chain(private)
}

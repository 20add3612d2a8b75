//! The clients of this node: [`Here`].

use crate::broker::{BrokerEvent, ClientId, EventNumber, PresenceCursor, PresencePage, Roster};
use alloc::vec::Vec;

/// Owns the list of this node, from the events of its shards. Where some were missed, it is told of
/// anew in pages; until all of these are there, the list stays as it was.
#[derive(Debug)]
pub(super) struct Here {
    roster: Roster,
    anew: Option<Anew>,
}

#[derive(Debug, Default)]
struct Anew {
    roster: Roster,
    /// The page that comes next.
    cursor: PresenceCursor,
}

/// A client of this node, with its sessions here before and now.
pub(super) type Change = (ClientId, u32, u32);

impl Here {
    pub(super) fn new() -> Self {
        Self { roster: Roster::new(), anew: Some(Anew::default()) }
    }

    /// Returns whether it was ever told of the whole list, and of all changes since.
    pub(super) const fn is_known(&self) -> bool {
        self.anew.is_none()
    }

    pub(super) fn sessions(&self, client: &ClientId) -> u32 {
        count(self.roster.sessions(client))
    }

    /// Returns the clients with sessions behind one of them, in the order of their names.
    pub(super) fn after(&self, after: Option<&ClientId>) -> impl Iterator<Item = (&ClientId, u32)> {
        let rest = self.roster.clients_after(after);
        rest.map(|(client, sessions)| (client, count(Some(sessions))))
            .filter(|(_, count)| *count > 0)
    }

    /// Events were missed.
    pub(super) fn begin_anew(&mut self) {
        self.anew = Some(Anew::default());
    }

    pub(super) fn wanted_page(&self) -> Option<&PresenceCursor> {
        self.anew.as_ref().map(|anew| &anew.cursor)
    }

    /// Takes an event, and returns what it changed.
    pub(super) fn take_event(
        &mut self,
        number: EventNumber,
        event: &BrokerEvent,
    ) -> Option<Change> {
        if let Some(anew) = &mut self.anew {
            if anew.roster.apply(number, event).is_err() {
                self.begin_anew();
            }
            return None;
        }
        let client = match event {
            BrokerEvent::ClientJoined { client } | BrokerEvent::ClientLeft { client } => client,
            BrokerEvent::SessionOpened { client, .. }
            | BrokerEvent::SessionEnded { client, .. } => client.as_ref()?,
            _ => return None,
        };
        let before = self.sessions(client);
        if self.roster.apply(number, event).is_err() {
            self.begin_anew();
            return None;
        }
        let sessions = self.sessions(client);
        (before != sessions).then(|| (client.clone(), before, sessions))
    }

    /// Takes a page, and where the next begins. Returns what is not as it was, once all are there.
    pub(super) fn take_page(
        &mut self,
        page: PresencePage,
        next: Option<PresenceCursor>,
    ) -> Vec<Change> {
        let Some(anew) = &mut self.anew else { return Vec::new() };
        if anew.roster.apply_page(page).is_err() {
            self.begin_anew();
            return Vec::new();
        }
        if let Some(next) = next {
            anew.cursor = next;
            return Vec::new();
        }
        let roster = self.anew.take().map(|anew| anew.roster).unwrap_or_default();
        let before = core::mem::replace(&mut self.roster, roster);
        let gone = before.clients().filter(|(client, _)| self.roster.sessions(client).is_none());
        let gone = gone.map(|(client, sessions)| (client.clone(), count(Some(sessions)), 0));
        let there = self.roster.clients().map(|(client, sessions)| {
            (client.clone(), count(before.sessions(client)), count(Some(sessions)))
        });
        gone.chain(there).filter(|(_, before, now)| before != now).collect()
    }
}

fn count(sessions: Option<usize>) -> u32 {
    u32::try_from(sessions.unwrap_or(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;
    use crate::broker::{Broker, BrokerConfig, Epoch, SessionConfig};

    fn changes(here: &mut Here, broker: &mut Broker) -> Vec<Change> {
        let events: Vec<_> = core::iter::from_fn(|| broker.poll_event()).collect();
        events.iter().filter_map(|(number, event)| here.take_event(*number, event)).collect()
    }

    fn pages(here: &mut Here, broker: &Broker) -> Vec<Change> {
        let mut found = Vec::new();
        while let Some(cursor) = here.wanted_page().cloned() {
            let page = broker.presence_page(cursor.after(), 1, |_, _| ());
            let next = page.next_cursor();
            found.extend(here.take_page(page, next));
        }
        found
    }

    #[test]
    fn the_list_follows_events_and_is_made_anew_where_some_were_missed() {
        let now = base_instant();
        let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1))).unwrap();
        let (ann, bob) = (ClientId::new("ann").unwrap(), ClientId::new("bob").unwrap());
        let of = |client: &ClientId| SessionConfig::new().with_client(client.clone());
        let mut here = Here::new();
        let first = broker.open(now, of(&ann)).unwrap().session;
        assert!(changes(&mut here, &mut broker).is_empty() && !here.is_known());
        assert_eq!(pages(&mut here, &broker), [(ann.clone(), 0, 1)]);
        broker.open(now, of(&ann)).unwrap();
        broker.open(now, of(&bob)).unwrap();
        let expected = [(ann.clone(), 1, 2), (bob.clone(), 0, 1)];
        assert_eq!(changes(&mut here, &mut broker), expected);
        // Two events that nobody sees.
        broker.open(now, of(&bob)).unwrap();
        broker.handle_disconnect(now, first);
        while broker.poll_event().is_some() {}
        here.begin_anew();
        assert_eq!(here.sessions(&ann), 2, "what was known holds");
        let expected = [(ann, 2, 1), (bob.clone(), 1, 2)];
        assert_eq!(pages(&mut here, &broker), expected);
        assert_eq!(here.after(Some(&bob)).count(), 0);
        assert_eq!(here.after(None).count(), 2);
    }
}

//! Who is here: clients, their sessions, their metadata and their grace time.

use super::Broker;
use super::arena::Key;
use super::clock::ticks;
use super::config::{Metadata, Value};
use super::event::BrokerEvent;
use super::log::Log;
use super::names::{ClientId, SessionId};
use super::owned_timers::Owner;
use super::state::{Client, NEVER};
use super::{PresencePage, PresentClient};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Bound;

impl Broker {
    /// How many sessions are open.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether the client has a session now.
    pub fn is_present(&self, client: &ClientId) -> bool {
        self.client(client).is_some_and(|client| !client.sessions.is_empty())
    }

    /// The clients that have a session now, by their ids' order, each with its sessions.
    ///
    /// This walks over all clients; whoever wants to know all the time takes
    /// [pages](Self::presence_page) once and follows the events.
    pub fn present(&self) -> impl Iterator<Item = (&ClientId, usize)> {
        self.client_keys
            .values()
            .filter_map(|&key| self.clients.get(key))
            .filter(|client| !client.sessions.is_empty())
            .map(|client| (&client.id, client.sessions.len()))
    }

    /// How many clients are known: those that have a session, and those in their grace time.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// A page of those who are here, also in their grace time, in the order of their ids: up to
    /// `limit` of them (1 at least) after `after`, or from the first on. `details` says what of each
    /// one's metadata is wanted.
    ///
    /// The pages and the [numbered events](Self::poll_numbered_event) together tell exactly who is
    /// here, though pages are taken at different times: a [`Roster`](super::Roster) does it. The
    /// cost is that of the page, however many there are.
    pub fn presence_page<T>(
        &self,
        after: Option<&ClientId>,
        limit: usize,
        mut details: impl FnMut(&ClientId, &http::Extensions) -> T,
    ) -> PresencePage<T> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.client_keys.range::<ClientId, _>((start, Bound::Unbounded));
        let page = rest.by_ref().take(limit.max(1));
        let clients = page.filter_map(|(id, &key)| self.clients.get(key).map(|state| (id, state)));
        let clients: Vec<_> = clients
            .map(|(id, state)| PresentClient {
                client: id.clone(),
                sessions: state.sessions.len(),
                details: details(id, &state.metadata),
            })
            .collect();
        let is_last = rest.next().is_none();
        PresencePage::new(self.last_event(), after.cloned(), clients, is_last)
    }

    /// The sessions of a client, in the order in which they were opened; none for a client that is
    /// not known.
    pub fn sessions_of(&self, client: &ClientId) -> impl Iterator<Item = SessionId> {
        let sessions = self.client(client).map_or(&[][..], |client| &client.sessions);
        sessions.iter().map(|&key| self.session_id(key))
    }

    /// Whose session it is; `None` for nobody's, and for a session that is not open.
    pub fn client_of(&self, session: SessionId) -> Option<&ClientId> {
        let client = self.session(session)?.client?;
        self.clients.get(client).map(|client| &client.id)
    }

    /// What the application keeps with a client; `None` if the client is not known, or was absent
    /// for longer than [`BrokerConfig::client_grace`](super::BrokerConfig).
    pub fn metadata(&self, client: &ClientId) -> Option<&http::Extensions> {
        self.client(client).map(|client| &client.metadata)
    }

    /// As [`metadata`](Self::metadata), to be changed.
    pub fn metadata_mut(&mut self, client: &ClientId) -> Option<&mut http::Extensions> {
        let key = *self.client_keys.get(client)?;
        self.clients.get_mut(key).map(|client| &mut client.metadata)
    }

    pub(super) fn client(&self, id: &ClientId) -> Option<&Client> {
        self.clients.get(*self.client_keys.get(id)?)
    }

    /// The client, which is about to have one more session.
    pub(super) fn join(&mut self, id: &ClientId, metadata: Metadata) -> Key {
        if let Some(&key) = self.client_keys.get(id) {
            let mut replaced = Vec::new();
            if let Some(client) = self.clients.get_mut(key) {
                replaced = metadata.join(&mut client.metadata);
                if let Some(since) = client.absent_since.take() {
                    self.absent.remove(&(since, key));
                }
            }
            self.let_go(replaced);
            return key;
        }
        let key = self.clients.insert(Client {
            id: id.clone(),
            sessions: Vec::new(),
            log: Log::new(self.forgotten_clients),
            metadata: metadata.into_extensions(),
            absent_since: None,
            armed: NEVER,
        });
        self.client_keys.insert(id.clone(), key);
        self.emit(BrokerEvent::ClientJoined { client: id.clone() });
        key
    }

    /// Drops values of the application's, or leaves that to whoever holds a lock around the broker:
    /// they may do anything when they are dropped, such as calling whoever holds it.
    pub(super) fn let_go(&mut self, values: impl IntoIterator<Item = Value>) {
        if let Some(kept) = &mut self.let_go {
            kept.extend(values);
        }
    }

    /// Keeps the application's values that are to be dropped, from now on, for
    /// [`take_let_go`](Self::take_let_go).
    pub(crate) fn keep_let_go(&mut self) {
        self.let_go.get_or_insert_default();
    }

    pub(crate) fn take_let_go(&mut self) -> Vec<Value> {
        self.let_go.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Takes a session from its client, and says whose it was.
    pub(super) fn leave(&mut self, key: Key, session: Key) -> Option<ClientId> {
        let now = self.clock.now();
        let client = self.clients.get_mut(key)?;
        client.sessions.retain(|&other| other != session);
        if client.sessions.is_empty() {
            client.absent_since = Some(now);
            self.absent.insert((now, key));
        }
        Some(client.id.clone())
    }

    /// Forgets clients whose grace time is over, and the longest absent ones beyond the limit.
    pub(super) fn forget_absent(&mut self) {
        let grace = ticks(self.config.client_grace);
        while let Some(&(since, key)) = self.absent.first() {
            let is_over = since.saturating_add(grace) <= self.clock.now();
            if !is_over && self.absent.len() <= self.config.max_absent_clients as usize {
                break;
            }
            self.absent.pop_first();
            if let Some(client) = self.clients.remove(key) {
                self.client_keys.remove(&client.id);
                self.retained.update((Owner::Client, key.slot()), client.log.footprint(), None);
                let last = client.log.last_position();
                self.forgotten_clients = self.forgotten_clients.max(last);
                self.emit(BrokerEvent::ClientLeft { client: client.id });
                self.let_go([Box::new(client.metadata) as Value]);
            }
        }
    }
}

//! Opening a session: whether it may, with what channels, and from which place.

use super::admission::{Elsewhere, Wants};
use super::arena::Key;
use super::clients::Client;
use super::clock::Tick;
use super::clock::ticks;
use super::config::{Metadata, Setting};
use super::delivery::{self, Places, Teller, Wish};
use super::event::{EndReason, Opened};
use super::names::ClientId;
use super::sessions::Told;
use super::sessions::{Lease, Session, Subscription, Terms, is_covered};
use super::topics::{Log, View};
use super::{Broker, BrokerEvent, OpenError, SessionConfig};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

impl Broker {
    /// Opens a session.
    ///
    /// It is not parked: [`poll_transmit`](Self::poll_transmit) is to be called for it first,
    /// without waiting for [`poll_ready`](Self::poll_ready).
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(&mut self, now: Instant, config: SessionConfig) -> Result<Opened, OpenError> {
        self.open_beside(now, config, &Elsewhere::default())
    }

    /// Opens a session as [`open`](Self::open) does, in one shard among several whose sessions
    /// count as well.
    pub(crate) fn open_beside(
        &mut self,
        now: Instant,
        config: SessionConfig,
        elsewhere: &Elsewhere,
    ) -> Result<Opened, OpenError> {
        let now = self.advance(now);
        let mut config = config;
        let metadata = config.take_metadata();
        // Room is made for a session and not for its subscriptions.
        let checked = if elsewhere.has_made_room() {
            self.check_subscriptions(&config)
        } else {
            self.check_open(now, &config, elsewhere)
        };
        if let Err(error) = checked {
            self.counters.refuse(error);
            self.let_go([metadata.into_value()]);
            return Err(error);
        }
        let mut channels = self.channels_of(&config);
        let client = if let Some(id) = config.client() {
            Some(self.join(id, metadata))
        } else {
            self.let_go([metadata.into_value()]);
            None
        };
        channels.extend(client.and_then(|client| self.clients.at(client)).map(Client::channel));
        for &channel in &channels {
            self.topics.join(channel);
        }
        let views: Vec<View<'_>> =
            channels.iter().filter_map(|&channel| self.topics.view(channel)).collect();
        let mut beginning = delivery::resume(&views, self.wish(&config), &self.sequencer);
        let ahead = self.waits_at(&beginning);
        if ahead.is_some() {
            beginning.wait();
        }
        let (resumption, places) = (beginning.resumption(), beginning.places());
        let is_counted = (config.client().is_some(), config.address().is_some());
        let retry = self.admission.retry_in(self.sessions.next_slot(), is_counted);
        let mut session = new_session(now, &config, client, &channels, places);
        if ahead.is_none() {
            let teller = self.teller(&config);
            let is_place_due = config.is_topics_only()
                && teller.tells_places()
                && delivery::ends_without_id(&views, places);
            if let Some(frame) =
                teller.opening::<false>(&beginning, config.opening_comment(), retry)
            {
                session.extras_mut().set_opening(frame);
            }
            if is_place_due {
                session.extras_mut().owe_place();
            }
            if resumption.replayed() > 0 {
                let (usual, channels) = (&self.config.session.lag, channels.iter().copied());
                if delivery::may_be_bounded(config.lag(), usual, channels, &self.topics) {
                    session.extras_mut().set_replayed_through(self.sequencer.last());
                }
            }
            self.counters.open(resumption);
        }
        session.set_terms(self.terms(now, &mut config));
        let key = self.sessions.insert(session);
        if let Some(position) = ahead {
            self.let_wait_for(now, key, position, &config, retry);
        }
        if let Some(client) = client {
            self.clients.add_session(client, key);
        }
        for channel in channels {
            self.note_reader(key, channel);
        }
        let session = self.sessions.id_of(key);
        let client = config.client().cloned();
        self.events.push(BrokerEvent::SessionOpened { session, client, resumption });
        self.count_subscriptions(key);
        self.enter(key, elsewhere);
        Ok(Opened { session, resumption })
    }

    /// Checks that a session can be opened with this configuration, and changes nothing.
    pub(super) fn check_open(
        &self,
        now: Tick,
        config: &SessionConfig,
        elsewhere: &Elsewhere,
    ) -> Result<(), OpenError> {
        self.admission.check_state()?;
        // Before anything that tells of topics.
        self.check_permission(config)?;
        self.check_ended(config)?;
        if self.admission.is_draining() {
            return Err(OpenError::Draining);
        }
        let client = config.client().and_then(|id| self.clients.get(id));
        let wants = Wants::new(self.sessions.len())
            .of_client(client.map(|client| client.sessions().len()))
            .from(config.address());
        self.admission.check(&wants, elsewhere)?;
        let unread = self.events.len().max(self.sessions.untold());
        if unread >= self.config.limits.unread_events.get() as usize {
            return Err(OpenError::UnreadEvents);
        }
        config.check()?;
        if config.lease().is_some_and(|until| self.lease(now, until).is_none()) {
            return Err(OpenError::LeaseInThePast);
        }
        let limit = self.config.limits.topics_per_session;
        if config.topics().len() > limit as usize {
            return Err(OpenError::TooManyTopicsOfSession { limit });
        }
        self.check_subscriptions(config)
    }

    /// Checks that there is room for what such a session subscribes to.
    fn check_subscriptions(&self, config: &SessionConfig) -> Result<(), OpenError> {
        let count = config.topics().len();
        if count == 0 {
            return Ok(());
        }
        let new = config.topics().iter().filter(|filter| self.topics.get(filter).is_none()).count();
        if !self.topics.has_room_to_subscribe(new) {
            return Err(OpenError::TooManyTopics);
        }
        let limits = &self.config.limits;
        let of_client = config.client().and_then(|id| self.clients.get(id));
        let of_client = of_client.map_or(0, Client::subscriptions);
        let limit = limits.subscriptions_per_client;
        if config.client().is_some() && of_client + count > limit as usize {
            return Err(OpenError::TooManySubscriptionsOfClient { limit });
        }
        let from = config.address().map(|from| self.admission.subscriptions_from(from));
        let limit = limits.subscriptions_per_address;
        if from.is_some_and(|from| from + count > limit as usize) {
            return Err(OpenError::TooManySubscriptionsFromAddress { limit });
        }
        Ok(())
    }

    /// Returns whether the session may have all that it asks for.
    fn check_permission(&self, config: &SessionConfig) -> Result<(), OpenError> {
        let Some(permitted) = config.permitted() else { return Ok(()) };
        let limit = self.config.limits.permitted_per_session;
        if permitted.len() > limit as usize {
            return Err(OpenError::TooManyPermitted { limit });
        }
        if config.topics().iter().all(|filter| is_covered(permitted, filter)) {
            Ok(())
        } else {
            Err(OpenError::NotPermitted)
        }
    }

    /// Returns an error where nothing is to come for such a session, nor anything left.
    fn check_ended(&self, config: &SessionConfig) -> Result<(), OpenError> {
        if !config.is_topics_only() || config.topics().is_empty() {
            return Ok(());
        }
        // A pattern has not, whatever it matches.
        let ended = |topic| self.topics.get(topic).filter(|slot| self.topics.has_ended(*slot));
        let channels: Option<Vec<u32>> = config.topics().iter().map(ended).collect();
        let Some(channels) = channels else {
            return Ok(());
        };
        // As it would be for a client that is new here, or was forgotten.
        let unknown = Log::new(self.clients.forgotten_through());
        let view_of_client = |id: &ClientId| {
            let channel = self.clients.channel_of(id);
            channel.and_then(|channel| self.topics.view(channel)).unwrap_or(View::Log(&unknown))
        };
        let views = channels.iter().filter_map(|&channel| self.topics.view(channel));
        let views: Vec<View<'_>> = views.chain(config.client().map(view_of_client)).collect();
        let beginning = delivery::resume(&views, self.wish(config), &self.sequencer);
        if self.waits_at(&beginning).is_some() {
            // What is left is known when its position has come, or what it missed was read.
            return Ok(());
        }
        if delivery::is_anything_left(&views, &beginning, self.teller(config).tells_places()) {
            Ok(())
        } else {
            Err(OpenError::TopicsEnded)
        }
    }

    /// Returns what says to such a session what is no event.
    fn teller<'a>(&'a self, config: &'a SessionConfig) -> Teller<'a> {
        let usual = self.config.session.notices.as_ref();
        Teller::new(config.notices().as_ref().or(usual), &self.sequencer)
    }

    fn wish<'a>(&self, config: &'a SessionConfig) -> Wish<'a> {
        let usual = &self.config.session;
        Wish::new(config.last_event_id(), config.start(), usual.on_gap, self.unseen)
            .with_unknown_id(usual.on_unknown_id)
    }

    /// Returns the channels that a configuration names, which are opened if need be.
    fn channels_of(&mut self, config: &SessionConfig) -> Vec<u32> {
        let everyone = (!config.is_topics_only()).then(|| self.topics.everyone());
        let topics = &mut self.topics;
        let named = config.topics().iter().map(|filter| topics.ensure(filter));
        // The client's channel comes last, and has no reallocation to pay for.
        let mut channels = Vec::with_capacity(2 + config.topics().len());
        channels.extend(everyone);
        channels.extend(named);
        channels
    }

    /// Returns the client, which is about to have one session more.
    fn join(&mut self, id: &ClientId, metadata: Metadata) -> Key {
        if let Some(key) = self.clients.key_of(id) {
            self.clients.rejoin(key);
            if let Some(client) = self.clients.at_mut(key) {
                let replaced = metadata.join(client.metadata_mut());
                self.let_go(replaced);
            }
            return key;
        }
        let kept = self.clients.take_kept(id);
        let forgotten_through = self.clients.forgotten_through();
        let channel = kept.unwrap_or_else(|| self.topics.open_client(forgotten_through));
        let key = self.clients.insert(id.clone(), channel, metadata);
        self.events.push(BrokerEvent::ClientJoined { client: id.clone() });
        key
    }

    /// Counts what a session that was opened is subscribed to.
    fn count_subscriptions(&mut self, key: Key) {
        let Some(session) = self.sessions.get(key) else { return };
        let count = self.subscriptions_of(session);
        if count > 0 {
            let (client, address) = (session.client(), session.address());
            self.subscribed(client, address, count);
        }
    }

    /// Counts a session that was opened, and ends those that have to make room for it.
    fn enter(&mut self, key: Key, elsewhere: &Elsewhere) {
        let Some(session) = self.sessions.get(key) else { return };
        let (client, address) = (session.client(), session.address());
        let (sessions, open) = (&self.sessions, self.sessions.len());
        let is_open = |key| sessions.get(key).is_some();
        self.admission.enter(key, address, elsewhere, is_open, open);
        while let Some(oldest) = self.admission.next_to_evict(
            key,
            self.sessions.len(),
            client.and_then(|client| self.oldest_of(client)),
            address,
            elsewhere,
        ) {
            self.end(oldest, EndReason::Evicted, Told::ByReady);
        }
    }

    /// Returns how many sessions a client has, and the oldest of these.
    pub(super) fn oldest_of(&self, client: Key) -> Option<(usize, Key)> {
        let sessions = self.clients.at(client)?.sessions();
        Some((sessions.len(), *sessions.first()?))
    }

    /// Returns a new session's terms; `None` for no more than all have.
    fn terms(&mut self, now: Tick, config: &mut SessionConfig) -> Option<Box<Terms>> {
        let address = config.take_address().map(|address| self.admission.address(address));
        let lease = config.lease().map(|until| {
            // One that lapsed while room was made for the session ends it at once.
            let lapsed = Lease::lapsed(self.clock.tick(until));
            self.lease(now, until).unwrap_or(lapsed)
        });
        Terms::new()
            .with_address(address)
            .with_expiry(self.admission.expiry(now))
            .with_lease(lease)
            .with_heartbeat(own_interval(config.heartbeat(), self.config.session.heartbeat))
            .with_heartbeat_event(config.take_heartbeat_event())
            .with_stall_timeout(own_interval(
                config.stall_timeout(),
                self.config.session.stall_timeout,
            ))
            .with_permission(config.take_permitted())
            .boxed()
    }

    /// Returns the lease until then; `None` if that is over.
    pub(super) fn lease(&self, now: Tick, until: Instant) -> Option<Lease> {
        Lease::new(now, self.clock.tick(until), ticks(self.config.session.lease_lead))
    }
}

/// Makes the session that was asked for, with its places in these channels.
fn new_session(
    now: Tick,
    config: &SessionConfig,
    client: Option<Key>,
    channels: &[u32],
    places: &Places,
) -> Session {
    let subscriptions = channels
        .iter()
        .zip(places.cursors())
        .map(|(&channel, &cursor)| Subscription::new(channel, cursor))
        .collect();
    let mut session = Session::new(now, client, subscriptions);
    session.set_choices(config.lag(), config.notices().clone());
    for &(number, gone) in places.gone() {
        session.extras_mut().set_gone(number, gone);
    }
    session
}

/// Returns the interval that a session chose, [`Tick::MAX`] for none, if it is not the usual one.
fn own_interval(own: Setting<Duration>, usual: Option<Duration>) -> Option<Tick> {
    let is_own = !own.is_default() && own.or(usual) != usual;
    is_own.then(|| own.or(usual).map_or(Tick::MAX, ticks))
}

//! Presence in a realm: [`RealmPresence`], the handle that the hub's events go into and that the
//! application asks, and what drives its machine beside the node.

use super::batch::NodeId;
use super::node::{Announcement, NodeConfig, NodeHealth, Ticket};
use super::presence::{Presence, PresenceChange, PresenceConfig, PresenceCounters, PresenceRecord};
use crate::broker::{BrokerEvent, ClientId, EventNumber, PublishError};
use crate::caught::{self, Code};
use crate::hub::Hub;
use crate::sync::{Mutex, MutexGuard};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::task::Waker;
use std::sync::PoisonError;
use std::time::Instant;

/// How a hub is a node of a realm: the settings of its [`Node`](super::Node), and what it has
/// beside that. A [`NodeConfig`] alone is one as well.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    pub(super) node: NodeConfig,
    pub(super) presence: Option<RealmPresence>,
}

impl RealmConfig {
    /// Begins with a node that has nothing beside.
    pub const fn new(node: NodeConfig) -> Self {
        Self { node, presence: None }
    }

    /// Has the node say to the others which clients are on it, and put together what they say. The
    /// [listener](RealmPresence::listener) belongs to the hub that joins. Default: nothing of that
    /// is said or kept.
    pub fn with_presence(mut self, presence: &RealmPresence) -> Self {
        self.presence = Some(presence.clone());
        self
    }
}

impl From<NodeConfig> for RealmConfig {
    fn from(node: NodeConfig) -> Self {
        Self::new(node)
    }
}

/// Who is present on all nodes of a realm. Clones are handles to the same.
///
/// A client is present from its first session on any node until it has had none on any node for the
/// grace time; [`Presence`] says what that means where nodes or engines fail. Every node that is to
/// be counted needs it. What it says of this node's own clients holds also while the engine is
/// away.
///
/// ```
/// use sansse::broker::{BrokerConfig, ClientId, Epoch, SessionConfig};
/// use sansse::cluster::{MemoryLog, NodeConfig, NodeId, PresenceConfig};
/// use sansse::cluster::{Realm, RealmConfig, RealmPresence};
/// use sansse::hub::HubBuilder;
/// use sansse::net::Runtime;
/// use sansse::testing::VirtualRuntime;
///
/// let runtime = VirtualRuntime::new();
/// let log = MemoryLog::new(runtime.clone());
/// let nodes = [1, 2].map(|number| {
///     let presence = RealmPresence::new(PresenceConfig::new());
///     let builder = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef)));
///     let builder = builder.on_event(presence.listener());
///     let (hub, drive) = builder.build(runtime.clone()).expect("it is the usual one");
///     runtime.spawn(drive);
///     let config = RealmConfig::new(NodeConfig::new(NodeId(number), 0)).with_presence(&presence);
///     Realm::join(hub, log.clone(), config, &runtime).expect("the hub is new")
/// });
/// runtime.run_tasks();
///
/// let ann = ClientId::new("ann")?;
/// let sessions = nodes.each_ref().map(|node| {
///     node.hub().open(SessionConfig::new().with_client(ann.clone())).expect("there is room")
/// });
/// runtime.run_tasks();
/// for node in &nodes {
///     let presence = node.presence().expect("it was given one");
///     assert_eq!(presence.sessions_of(&ann), Some(2));
/// }
/// # Ok::<(), sansse::broker::NameError>(())
/// ```
#[derive(Clone)]
pub struct RealmPresence {
    shared: Arc<Shared>,
}

struct Shared {
    config: PresenceConfig,
    incoming: Mutex<Incoming>,
    /// `None` before a hub has joined.
    machine: Mutex<Option<Presence>>,
    on_change: Mutex<Option<Listener>>,
}

type Listener = Arc<dyn Fn(PresenceChange) + Send + Sync>;

/// What the shards have told, until the driver takes it.
#[derive(Default)]
struct Incoming {
    events: VecDeque<(EventNumber, BrokerEvent)>,
    /// The last event of each shard.
    last: BTreeMap<u16, u64>,
    /// Something was left out, so that the driver asks for the whole list.
    has_missed: bool,
    driver: Option<Waker>,
}

/// How many events wait for the driver at most.
const INCOMING: usize = 10_000;

/// How many of this node's clients are looked at at once, where its list is made anew.
const PAGE: usize = 1_000;

/// How many changes are told before the node has its turn again.
const TOLD_AT_ONCE: usize = 1_000;

impl RealmPresence {
    /// Makes one for one hub, which is not built yet.
    pub fn new(config: PresenceConfig) -> Self {
        let shared = Shared {
            config,
            incoming: Mutex::new(Incoming::default()),
            machine: Mutex::new(None),
            on_change: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the listener for [`HubBuilder::on_event`](crate::hub::HubBuilder::on_event). Who has
    /// one already calls this one in it, for each event.
    ///
    /// It keeps 10,000 events for the driver of the realm. Where more wait, it lets all go, and the
    /// driver asks the hub for the whole list.
    pub fn listener(&self) -> impl Fn(EventNumber, BrokerEvent) + Send + Sync + 'static {
        let shared = self.shared.clone();
        move |number, event| {
            let driver = lock(&shared.incoming).push(number, event);
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }

    /// Sets who is told of changes, in the place of who was told so far. At first it is told of all
    /// that are present, as of such who come. It is told nothing before the node was
    /// [ready](NodeHealth::Ready) for the first time.
    ///
    /// It is called by the driver of the realm, one change after the other, with no lock held: it
    /// should be quick, or send the change on. Several changes of one client that follow each other
    /// may be one. Each node calls its own. Where one event is to come of it, let the
    /// [first of all nodes](Self::is_first) publish it; but who has left is known to those nodes alone
    /// which had known of them, and a node that has just joined may be the first. So let each node that
    /// is told publish such an event, with a key. A call that panics costs its change and nothing else.
    /// When the driver ends, it is let go.
    ///
    /// ```
    /// use sansse::cluster::RealmPresence;
    ///
    /// fn tell(presence: &RealmPresence) {
    ///     presence.on_change(|change| {
    ///         if change.has_come() {
    ///             println!("{} has come", change.client);
    ///         }
    ///     });
    /// }
    /// ```
    pub fn on_change(&self, listener: impl Fn(PresenceChange) + Send + Sync + 'static) {
        let old = lock(&self.shared.on_change).replace(Arc::new(listener));
        // It may run any code when it is dropped.
        drop(old);
        self.wake();
    }

    /// Returns how many sessions a client has on all nodes; `None` if it is not present. 0: it has
    /// none, and stays for its grace time.
    pub fn sessions_of(&self, client: &ClientId) -> Option<usize> {
        self.look(|machine| machine.sessions_of(client)).flatten()
    }

    /// Returns a page of the clients that are present, in the order of their names, each with its
    /// sessions on all nodes: `limit` at most, from behind `after` on, or from the first on where that
    /// is `None`. A page that is not full is the last.
    ///
    /// Between two pages clients come and leave. Who is there all the time is in one of them.
    ///
    /// ```
    /// use sansse::cluster::RealmPresence;
    ///
    /// fn print(presence: &RealmPresence) {
    ///     let mut page = presence.clients(None, 1_000);
    ///     while let Some((last, _)) = page.last() {
    ///         let last = last.clone();
    ///         page.iter().for_each(|(client, sessions)| println!("{client}: {sessions}"));
    ///         page = presence.clients(Some(&last), 1_000);
    ///     }
    /// }
    /// ```
    pub fn clients(&self, after: Option<&ClientId>, limit: usize) -> Vec<(ClientId, usize)> {
        self.look(|machine| {
            let page = machine.clients_after(after).take(limit);
            page.map(|(client, sessions)| (client.clone(), sessions)).collect()
        })
        .unwrap_or_default()
    }

    /// Returns how many clients are present.
    pub fn len(&self) -> usize {
        self.look(Presence::len).unwrap_or(0)
    }

    /// Returns whether no client is present.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the other nodes that are there, in the order of their numbers.
    pub fn other_nodes(&self) -> Vec<NodeId> {
        self.look(|machine| machine.other_nodes().collect()).unwrap_or_default()
    }

    /// Returns whether no other node that is there has a lower number. Of what all nodes see, one
    /// of them can publish an event so. While nodes come and go, there may be two of them for a
    /// moment, or none: such an event is to have a [key](crate::EventKey), and to say how things
    /// are.
    pub fn is_first(&self) -> bool {
        self.look(Presence::is_first).unwrap_or(false)
    }

    /// Returns what was done.
    pub fn counters(&self) -> PresenceCounters {
        self.look(Presence::counters).unwrap_or_default()
    }

    fn look<R>(&self, look: impl FnOnce(&Presence) -> R) -> Option<R> {
        lock(&self.shared.machine).as_ref().map(look)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Presence) -> R) -> Option<R> {
        lock(&self.shared.machine).as_mut().map(change)
    }

    fn wake(&self) {
        let driver = lock(&self.shared.incoming).driver.take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Begins to keep the presence of this node. Returns whether it keeps none yet.
    pub(super) fn begin(&self, now: Instant, node: NodeId) -> bool {
        let mut machine = lock(&self.shared.machine);
        let is_free = machine.is_none();
        if is_free {
            *machine = Some(Presence::new(now, node, self.shared.config.clone()));
        }
        is_free
    }

    /// Takes the beginning back.
    pub(super) fn end(&self) {
        *lock(&self.shared.machine) = None;
    }

    /// Returns the record with which the node shuts down.
    pub(super) fn leave(&self, now: Instant) -> Option<PresenceRecord> {
        self.change(|machine| machine.leave(now)).flatten()
    }
}

impl fmt::Debug for RealmPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealmPresence").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl Incoming {
    /// Takes an event, and returns the driver that is to look at it.
    fn push(&mut self, number: EventNumber, event: BrokerEvent) -> Option<Waker> {
        let last = self.last.insert(number.shard(), number.get());
        let follows = last.is_none_or(|last| last + 1 == number.get());
        if !follows || self.events.len() >= INCOMING {
            self.has_missed = true;
        }
        if self.has_missed {
            // The list that the driver asks for has it already.
            self.events = VecDeque::new();
        } else if is_of_client(&event) {
            self.events.push_back((number, event));
        } else {
            return None;
        }
        self.driver.take()
    }
}

const fn is_of_client(event: &BrokerEvent) -> bool {
    matches!(
        event,
        BrokerEvent::ClientJoined { .. }
            | BrokerEvent::ClientLeft { .. }
            | BrokerEvent::SessionOpened { client: Some(_), .. }
            | BrokerEvent::SessionEnded { client: Some(_), .. }
    )
}

/// Drives the machine, as a part of the future that drives the node.
pub(super) struct DrivePresence {
    presence: RealmPresence,
    /// The record that is under way.
    ticket: Option<Ticket>,
}

impl DrivePresence {
    pub(super) const fn new(presence: RealmPresence) -> Self {
        Self { presence, ticket: None }
    }

    pub(super) fn announced(&self, now: Instant, announcements: Vec<Announcement>) {
        self.presence.change(|machine| {
            for Announcement { node, age, record } in announcements {
                machine.handle_record(now, node, record, age);
            }
        });
    }

    pub(super) fn cut(&self, now: Instant) {
        self.presence.change(|machine| machine.handle_cut(now));
    }

    pub(super) fn health(&self, now: Instant, health: NodeHealth) {
        self.presence.change(|machine| machine.handle_health(now, health));
    }

    pub(super) fn settled(
        &mut self,
        now: Instant,
        ticket: Ticket,
        result: Result<u64, PublishError>,
    ) {
        if self.ticket.take_if(|under_way| *under_way == ticket).is_some() {
            self.presence.change(|machine| machine.handle_settled(now, result.map(drop)));
        }
    }

    /// Does what is to be done now. Returns whether there may be more at once.
    pub(super) fn round(
        &mut self,
        hub: &Hub,
        waker: &Waker,
        publish: impl FnOnce(PresenceRecord) -> Result<Ticket, PublishError>,
    ) -> bool {
        let now = hub.timer().now();
        let (events, has_missed) = self.presence.shared.take_incoming(waker);
        let wanted = self.presence.change(|machine| {
            if has_missed {
                machine.handle_missed_events(now);
            }
            for (number, event) in &events {
                machine.handle_event(now, *number, event);
            }
            if machine.poll_timeout().is_some_and(|at| at <= now) {
                machine.handle_timeout(now);
            }
            machine.wanted_page().cloned()
        });
        let mut is_busy = false;
        if let Some(cursor) = wanted.flatten() {
            is_busy = true;
            // No lock is held: this may call the listener.
            let (page, next) = hub.presence_page(&cursor, PAGE, |_, _| ());
            self.presence.change(|machine| machine.handle_page(now, page, next));
        }
        if self.ticket.is_none()
            && let Some(record) = self.presence.change(|machine| machine.poll_record(now)).flatten()
        {
            is_busy = true;
            match publish(record) {
                Ok(ticket) => self.ticket = Some(ticket),
                Err(error) => {
                    self.presence.change(|machine| machine.handle_settled(now, Err(error)));
                }
            }
        }
        is_busy | self.presence.tell()
    }

    /// Returns when the machine has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.presence.look(Presence::poll_timeout).flatten()
    }
}

impl Drop for DrivePresence {
    fn drop(&mut self) {
        // It may have a handle to the realm, which has one to this.
        let listener = lock(&self.presence.shared.on_change).take();
        drop(listener);
    }
}

impl RealmPresence {
    /// Calls who is told of changes. Returns whether there were some.
    fn tell(&self) -> bool {
        let listener = lock(&self.shared.on_change).clone();
        let Some(listener) = listener else { return false };
        let changes = self.change(|machine| {
            let changes = core::iter::from_fn(|| machine.poll_change());
            changes.take(TOLD_AT_ONCE).collect::<Vec<_>>()
        });
        let changes = changes.unwrap_or_default();
        let has_some = !changes.is_empty();
        caught::each(Code::Listener, changes, |change| listener(change));
        has_some
    }
}

impl Shared {
    /// Takes what has come, and has the task woken by what comes next.
    fn take_incoming(&self, waker: &Waker) -> (VecDeque<(EventNumber, BrokerEvent)>, bool) {
        let mut incoming = lock(&self.incoming);
        let old = match &incoming.driver {
            Some(old) if old.will_wake(waker) => None,
            _ => incoming.driver.replace(waker.clone()),
        };
        let taken = (mem::take(&mut incoming.events), mem::take(&mut incoming.has_missed));
        drop(incoming);
        drop(old);
        taken
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

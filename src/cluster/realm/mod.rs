//! A hub that follows a realm's log, and publishes to it: [`Realm`], and the future that asks the
//! engine and does what the node says, [`DriveRealm`].
//!
//! ```text
//!   publish ──► Node ──► requests ──► Log (an engine)
//!                 ▲                     │
//!                 └────── answers ◄─────┘
//!                 └─► effects: pages ──► Hub ──► sessions
//!                              results ──► those who published
//! ```

mod drive;
mod shared;

pub use drive::DriveRealm;

use self::shared::{Shared, State, Wait};
use super::backfill::BackfillCounters;
use super::batch::Record;
use super::error::LogError;
use super::log::Log;
use super::node::{Node, NodeCounters, NodeHealth};
use super::realm_presence::{RealmConfig, RealmPresence};
use crate::broker::{Audience, Backfill, ClientId, Drain, LogRecord, PublishError, TopicName};
use crate::event::Event;
use crate::hub::Hub;
use crate::net::Runtime;
use crate::sync::{Mutex, MutexGuard};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use futures_channel::oneshot;
use std::time::SystemTime;

/// A hub that is a node of a realm. Clones are handles to the same one.
///
/// What is published to the realm goes into its log, and comes from there to the sessions of every
/// node, also of this one. What is asked of the hub itself concerns this node alone: sessions are
/// opened there as ever. [`Hub::publish`] is refused, with [`PublishError::OfRealm`], since the hub
/// would give positions that the log gives too.
///
/// ```
/// use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig};
/// use sansse::cluster::{MemoryLog, NodeConfig, NodeId, Realm};
/// use sansse::net::Runtime;
/// use sansse::testing::{SessionReader, VirtualRuntime};
/// use sansse::{Event, Hub};
///
/// let runtime = VirtualRuntime::new();
/// let log = MemoryLog::new(runtime.clone());
/// // Two nodes of one realm, each with a hub of its own.
/// let nodes = [1, 2].map(|number| {
///     let config = BrokerConfig::new(Epoch(0xbeef));
///     let (hub, drive) = Hub::new(runtime.clone(), config).expect("it is the usual one");
///     runtime.spawn(drive);
///     let node = NodeConfig::new(NodeId(number), 0);
///     Realm::join(hub, log.clone(), node, &runtime).expect("the hub is new")
/// });
/// // A node opens sessions when it has read what there was.
/// runtime.run_tasks();
/// let session = nodes[1].hub().open(SessionConfig::new())?;
/// let mut reader = SessionReader::new(session);
///
/// let publisher = nodes[0].clone();
/// let published = runtime.run(async move {
///     publisher.publish(Audience::Everyone, &Event::new("hello")).await
/// });
/// assert_eq!(published, Some(Ok(1)));
/// runtime.run_tasks();
/// assert_eq!(reader.messages()[0].data, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Realm {
    shared: Arc<Shared>,
}

/// By how much a driver is late that is not polled any more.
const DRIVER_IS_LATE: Duration = Duration::from_secs(1);

/// Why a hub could not join a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// Something was published to the hub already, or it belongs to a realm. A hub joins before
    /// that, since the log gives the positions.
    HubInUse,
    /// The [presence](RealmConfig::with_presence) is that of another hub.
    PresenceInUse,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HubInUse => "the hub was published to already, or belongs to a realm",
            Self::PresenceInUse => "the presence is that of another hub",
        })
    }
}

impl core::error::Error for JoinError {}

impl Realm {
    /// Lets a hub follow a log, and spawns what drives that. It returns at once: the node
    /// [is ready](Self::ready) when it has read what there was.
    ///
    /// A client may come from any other node. So the hub keeps what is [for clients that are
    /// elsewhere](crate::broker::BrokerConfig::keeps_for_absent), and a session whose last event id
    /// is ahead of this node waits for 2 s, unless
    /// [`ahead_wait`](crate::broker::SessionDefaults::ahead_wait) is set already. For a session that is
    /// older than what this node has in memory, the log [is read](Self::set_backfill). The runtime says
    /// [what time it is](crate::cluster::NodeConfig::time_of_day), unless that is set already.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; then nothing was done.
    pub fn join<L: Log>(
        hub: Hub,
        log: L,
        config: impl Into<RealmConfig>,
        runtime: &impl Runtime,
    ) -> Result<Self, JoinError> {
        let time = runtime.time_of_day().duration_since(SystemTime::UNIX_EPOCH);
        let mut config = config.into();
        config.node.time_of_day = config.node.time_of_day.or(time.ok());
        let (realm, drive) = Self::new(hub, log, config)?;
        runtime.spawn(drive);
        Ok(realm)
    }

    /// Lets a hub follow a log, and returns beside the handle the future that drives that, to be
    /// spawned once on any executor.
    ///
    /// # Errors
    ///
    /// [`JoinError`]; then nothing was done.
    pub fn new<L: Log>(
        hub: Hub,
        log: L,
        config: impl Into<RealmConfig>,
    ) -> Result<(Self, DriveRealm<L>), JoinError> {
        let RealmConfig { node: config, presence } = config.into();
        let now = hub.timer().now();
        if presence.as_ref().is_some_and(|presence| !presence.begin(now, config.node)) {
            return Err(JoinError::PresenceInUse);
        }
        let Some(sequencer) = hub.begin_realm() else {
            if let Some(presence) = presence {
                presence.end();
            }
            return Err(JoinError::HubInUse);
        };
        hub.set_backfill(Some(Backfill::DEFAULT));
        let (is_lossless, shut_down_within) = (config.lossless, config.shut_down_within);
        let node = Node::new(now, config, sequencer);
        let state = State {
            node,
            settling: BTreeMap::new(),
            driver: None,
            is_over: false,
            watching: BTreeMap::new(),
            waits: 0,
            last_error: None,
            backfilled: BackfillCounters::default(),
        };
        let shared = Arc::new(Shared { hub, presence, shut_down_within, state: Mutex::new(state) });
        let drive = DriveRealm::new(shared.clone(), log, is_lossless);
        Ok((Self { shared }, drive))
    }

    /// Returns the hub, whose sessions are of this node.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Returns who is present on all nodes, if this one was [given
    /// that](RealmConfig::with_presence).
    pub fn presence(&self) -> Option<&RealmPresence> {
        self.shared.presence.as_ref()
    }

    /// Publishes an event to an audience on all nodes. It is ready when the engine has it, with its
    /// position; then every session of the audience gets it, on whichever node, or is told of a gap.
    ///
    /// A client may be on any node, or on none, where what is for it is
    /// [kept for a while](crate::broker::BrokerConfig::client_grace). A session is one of this node.
    /// Nobody waits for sessions that are behind: they meet their
    /// [`Lag`](crate::broker::Lag).
    ///
    /// Dropping the future does not take the event back.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: nothing was published, but for [`PublishError::Unconfirmed`], after which
    /// nobody knows.
    pub async fn publish(
        &self,
        audience: impl Into<Audience> + Send,
        event: &Event,
    ) -> Result<u64, PublishError> {
        self.submit(LogRecord::new(audience, event.clone()).into()).await
    }

    /// Ends a topic on all nodes, as [`Hub::end_topic`] does on one. What is published to it after
    /// that reaches nobody, also where another node did not know of the end yet.
    ///
    /// A node remembers an end for a while, as a hub does. One that joins knows the ends within its
    /// [window](super::NodeConfig::window): of an earlier one it knows nothing, and publishes and
    /// delivers to such a topic as to a new one. So do not use the name of a topic that has ended again
    /// before all nodes have forgotten it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn end_topic(&self, topic: &TopicName) -> Result<u64, PublishError> {
        self.submit(LogRecord::end_of(topic.clone()).into()).await
    }

    /// Ends all sessions of a client, on all nodes, and drops what they have not taken. It is ready
    /// when the engine has it. What is published after that reaches none of these sessions; other
    /// nodes learn of it a moment later. A client that comes again is let in again.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn revoke(&self, client: &ClientId) -> Result<u64, PublishError> {
        self.submit(Record::Revoke(client.clone())).await
    }

    /// Takes a topic from all sessions of a client, on all nodes, as
    /// [`Hub::revoke_topic`] does on one.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn revoke_topic(
        &self,
        client: &ClientId,
        topic: &TopicName,
    ) -> Result<u64, PublishError> {
        self.submit(Record::RevokeTopic(client.clone(), topic.clone())).await
    }

    /// Lets all sessions go, on all nodes, as [`Hub::drain`] does on one. It is ready when the engine
    /// has it. What was published before reaches the sessions first. A node that joins later lets its
    /// sessions be.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub async fn drain(&self, drain: Drain) -> Result<u64, PublishError> {
        self.submit(Record::Drain(drain)).await
    }

    /// Returns how well the node is: what a load balancer is to be told.
    /// [`NodeHealth::serves`] says whether new requests for streams are to come here. Whether the hub
    /// opens sessions, which a drain ends, is another question: [`Hub::health`].
    pub fn health(&self) -> NodeHealth {
        self.lock().health()
    }

    /// Returns what went wrong last with the engine, in the words of the engine or the system where
    /// these said something: for people to read. `None` where nothing did. It stays when the engine is
    /// back.
    pub fn last_error(&self) -> Option<LogError> {
        self.lock().last_error.clone()
    }

    /// Returns the position up to which the node has applied the log.
    pub fn applied(&self) -> u64 {
        self.lock().node.applied()
    }

    /// Returns what the node has done.
    pub fn counters(&self) -> NodeCounters {
        self.lock().node.counters()
    }

    /// Returns what was done for sessions that are older than what this node has in memory.
    pub fn backfilled(&self) -> BackfillCounters {
        self.lock().backfilled
    }

    /// Sets how much is read for sessions that resume from before what this node has in memory, from
    /// now on. Default [`Backfill::DEFAULT`]. `None`: nothing is read, so that they are told of a gap
    /// and get what is in memory.
    ///
    /// What they missed is read from the engine, in pages that all of them share: ten thousand
    /// sessions that stood at one place when a node went away cost one read of each page. At most 8
    /// reads are under way, and the 32 MiB that were used last stay for those who come later. No more
    /// than 256 MiB are read and not delivered yet; beyond that, and while the engine is away,
    /// sessions resume from memory.
    ///
    /// ```
    /// use sansse::broker::{Audience, Backfill, BrokerConfig, Epoch, Resumption, SessionConfig};
    /// use sansse::cluster::{MemoryLog, NodeConfig, NodeId, Realm};
    /// use sansse::net::Runtime;
    /// use sansse::testing::{SessionReader, VirtualRuntime};
    /// use sansse::{Event, Hub, LastEventId};
    /// use std::time::Duration;
    ///
    /// let runtime = VirtualRuntime::new();
    /// let log = MemoryLog::new(runtime.clone());
    /// let mut config = BrokerConfig::new(Epoch(0xbeef));
    /// // There is room for one event in memory.
    /// config.retention.events = std::num::NonZeroUsize::MIN;
    /// let (hub, drive) = Hub::new(runtime.clone(), config)?;
    /// runtime.spawn(drive);
    /// let realm = Realm::join(hub, log, NodeConfig::new(NodeId(1), 0), &runtime)?;
    /// let mut backfill = Backfill::DEFAULT;
    /// backfill.wait = Duration::from_secs(3);
    /// realm.set_backfill(Some(backfill));
    ///
    /// let publisher = realm.clone();
    /// runtime.run(async move {
    ///     for data in ["a", "b", "c"] {
    ///         publisher.publish(Audience::Everyone, &Event::new(data)).await?;
    ///     }
    ///     Ok::<(), sansse::broker::PublishError>(())
    /// }).expect("the log is in memory")?;
    /// let last = LastEventId::from_header(b"beef-1");
    /// let session = realm.hub().open(SessionConfig::new().with_last_event_id(last))?;
    /// assert_eq!(session.resumption(), Resumption::Waiting);
    /// runtime.run_tasks();
    /// let mut reader = SessionReader::new(session);
    /// let data: Vec<_> = reader.messages().into_iter().map(|message| message.data).collect();
    /// assert_eq!(data, ["b", "c"]);
    /// assert_eq!(realm.backfilled().reads, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_backfill(&self, backfill: Option<Backfill>) {
        self.shared.hub.set_backfill(backfill);
    }

    /// Waits until the node has read what there was when it joined. It waits on while the engine cannot
    /// be used. Returns whether the node is ready: `false` where it was shut down before that.
    pub async fn ready(&self) -> bool {
        self.watch(|state| match state.health() {
            NodeHealth::Ready => Some(true),
            NodeHealth::Ended => Some(false),
            _ => None,
        })
        .await
    }

    /// Appends what waits, settles all publishes, and ends the node: nothing is published any more,
    /// and nothing read. It is ready when that is done, after
    /// [`NodeConfig::shut_down_within`](super::NodeConfig::shut_down_within) at the latest, and a
    /// second later also where nobody polls the future that drives the node. The hub and its sessions
    /// stay; they are for the application to [drain](Hub::drain) or to close.
    pub async fn shut_down(&self) {
        let timer = self.shared.hub.timer();
        let now = timer.now();
        let presence = self.presence();
        self.change(|state| {
            if let Some(gone) = presence.and_then(|presence| presence.leave(now)) {
                // Where that fails, its lease is soon over.
                let _ = state.node.publish(now, gone.into());
            }
            state.node.shut_down(now);
        });
        // A time that the platform cannot express is as good as never.
        let latest = now.checked_add(self.shared.shut_down_within.saturating_add(DRIVER_IS_LATE));
        let mut is_late = pin!(async {
            let Some(latest) = latest else { return pending().await };
            while timer.now() < latest {
                timer.sleep_until(latest).await;
            }
        });
        let mut is_over = pin!(self.watch(|state| state.is_over.then_some(())));
        poll_fn(|context| match is_over.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => is_late.as_mut().poll(context),
        })
        .await;
    }

    /// Hands a record to the node, and waits for the result.
    async fn submit(&self, record: Record) -> Result<u64, PublishError> {
        if let Record::Publish(record) = &record {
            self.check(record.audience())?;
        }
        let now = self.shared.hub.timer().now();
        let result = self.change(|state| {
            if state.is_over {
                return Err(PublishError::NotDriven);
            }
            let ticket = state.node.publish(now, record)?;
            let (sender, result) = oneshot::channel();
            state.settling.insert(ticket, sender);
            Ok(result)
        })?;
        result.await.unwrap_or(Err(PublishError::Unconfirmed))
    }

    /// Refuses what no node would deliver.
    fn check(&self, audience: &Audience) -> Result<(), PublishError> {
        match audience {
            // It may be on another node.
            Audience::Client(_) => Ok(()),
            _ => self.shared.hub.check_audience(audience),
        }
    }

    /// Changes the state, and lets the driver look at it.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    fn watch<T>(&self, mut look: impl FnMut(&State) -> Option<T>) -> impl Future<Output = T> {
        let mut wait = Wait { shared: &self.shared, number: None };
        poll_fn(move |context| {
            // All of it, since the number alone would be copied.
            let wait = &mut wait;
            let mut state = self.lock();
            if let Some(found) = look(&state) {
                return Poll::Ready(found);
            }
            let number = *wait.number.get_or_insert_with(|| {
                state.waits += 1;
                state.waits
            });
            let old = state.watching.insert(number, context.waker().clone());
            drop(state);
            // It may run any code when it is dropped.
            drop(old);
            Poll::Pending
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realm").field("health", &self.health()).finish_non_exhaustive()
    }
}

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

use super::backfill::{BackfillCounters, DriveBackfills};
use super::batch::Record;
use super::error::LogError;
use super::log::Log;
use super::node::{
    Effect, LogAnswer, LogRequest, Node, NodeCounters, NodeHealth, RequestId, Ticket,
};
use super::realm_presence::{DrivePresence, RealmConfig, RealmPresence};
use crate::broker::{
    Audience, Backfill, ClientId, Drain, LogRecord, LogStep, PublishError, TopicName,
};
use crate::event::Event;
use crate::hub::{Health, Hub};
use crate::net::Runtime;
use crate::sync::{Mutex, MutexGuard};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, pending, poll_fn};
use core::mem;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use futures_channel::oneshot;
use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

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

struct Shared {
    hub: Hub,
    presence: Option<RealmPresence>,
    shut_down_within: Duration,
    state: Mutex<State>,
}

struct State {
    node: Node,
    /// Who waits for the result of a publish.
    settling: BTreeMap<Ticket, oneshot::Sender<Result<u64, PublishError>>>,
    driver: Option<Waker>,
    /// Its future is gone.
    is_over: bool,
    /// Who waits until the node is ready, or has shut down, by the number of the wait.
    watching: BTreeMap<u64, Waker>,
    /// How many have begun to wait.
    waits: u64,
    last_error: Option<LogError>,
    /// What was done for sessions that are older than memory.
    backfilled: BackfillCounters,
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
        let backfills = DriveBackfills::new(config.lossless);
        let shut_down_within = config.shut_down_within;
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
        let drive_presence = presence.clone().map(DrivePresence::new);
        let shared = Arc::new(Shared { hub, presence, shut_down_within, state: Mutex::new(state) });
        let drive = DriveRealm {
            shared: shared.clone(),
            log: Arc::new(log),
            presence: drive_presence,
            requests: Vec::new(),
            sleep: None,
            backfills,
        };
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

/// Who waits for a change of the state; one that is dropped waits no more.
struct Wait<'a> {
    shared: &'a Shared,
    number: Option<u64>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.shared.lock().watching.remove(&number);
            drop(waker);
        }
    }
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realm").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// The future that drives a node of a realm. It is ready when the node was
/// [shut down](Realm::shut_down), some seconds after its hub was closed, and when all handles to the
/// realm and to its hub are gone, of which a session is one.
///
/// **Dropping it before that ends the node**: nothing is published, with
/// [`PublishError::NotDriven`], and nothing read. What was sent and not answered is
/// [`PublishError::Unconfirmed`].
#[must_use = "the realm does nothing unless this is spawned"]
pub struct DriveRealm<L> {
    shared: Arc<Shared>,
    log: Arc<L>,
    presence: Option<DrivePresence>,
    requests: Vec<(RequestId, Asked)>,
    sleep: Option<(Instant, Sleep)>,
    backfills: DriveBackfills,
}

type Asked = Pin<Box<dyn Future<Output = Result<LogAnswer, LogError>> + Send>>;
type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often a driver goes round before it lets other tasks have their turn: an engine that answers
/// at once would let it go on for ever.
const ROUNDS: usize = 32;

impl<L: Log> DriveRealm<L> {
    /// Does what is to be done now. Returns whether there may be more at once, and `None` at the end.
    fn round(&mut self, context: &mut Context<'_>) -> Option<bool> {
        let is_last = Arc::strong_count(&self.shared) == 1;
        let is_closed = matches!(self.shared.hub.health(), Health::Closed | Health::NotDriven);
        if is_closed || (is_last && self.shared.hub.is_last_handle()) {
            return None;
        }
        let now = self.shared.hub.timer().now();
        let mut state = self.shared.lock();
        #[cfg(feature = "signed")]
        state.take_keys(&self.shared.hub);
        state.driver = Some(context.waker().clone());
        if state.node.poll_timeout().is_some_and(|at| at <= now) {
            state.node.handle_timeout(now);
        }
        let effects: Vec<Effect> = core::iter::from_fn(|| state.node.poll_effect()).collect();
        let settled: Vec<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Settled(ticket, result) => Some((state.settling.remove(ticket)?, *result)),
                _ => None,
            })
            .collect();
        let requests: Vec<_> = core::iter::from_fn(|| state.node.poll_request(now)).collect();
        let is_over = state.node.is_over();
        let is_changed = effects.iter().any(|effect| matches!(effect, Effect::Health(_)));
        let watching = if is_changed { mem::take(&mut state.watching) } else { BTreeMap::new() };
        drop(state);

        // Nobody else is told before the sessions have it.
        let mut is_busy = !effects.is_empty();
        let has_applied = self.take_effects(now, effects)?;
        for (sender, result) in settled {
            // Who published may not wait any more.
            let _ = sender.send(result);
        }
        watching.into_values().for_each(Waker::wake);
        if is_over {
            // Nothing is read any more.
            self.shared.hub.set_backfill(None);
            return None;
        }
        if let Some(presence) = &mut self.presence {
            let shared = &self.shared;
            is_busy |= presence.round(&shared.hub, context.waker(), |record| {
                shared.lock().node.publish(now, record.into())
            });
        }
        for (id, request) in requests {
            self.requests.push((id, ask(self.log.clone(), request)));
        }
        let mut answers = Vec::new();
        self.requests.retain_mut(|(id, asked)| match asked.as_mut().poll(context) {
            Poll::Ready(answer) => {
                answers.push((*id, answer));
                false
            }
            Poll::Pending => true,
        });
        if !answers.is_empty() {
            is_busy = true;
            let now = self.shared.hub.timer().now();
            let mut state = self.shared.lock();
            #[cfg(feature = "signed")]
            state.take_keys(&self.shared.hub);
            for (id, answer) in answers {
                if let Err(error) = &answer {
                    state.last_error = Some(error.clone());
                }
                state.node.handle_answer(now, id, answer);
            }
        }
        Some(self.backfill(context, has_applied) | is_busy)
    }

    /// Does what the node says. Returns whether anything was applied; `None` where the hub takes nothing
    /// more.
    fn take_effects(&mut self, now: Instant, effects: Vec<Effect>) -> Option<bool> {
        let mut has_applied = false;
        for effect in effects {
            match effect {
                Effect::Apply(steps) => {
                    self.shared.hub.apply_all(&steps).ok()?;
                    has_applied = true;
                    let is_cut = |step: &LogStep| matches!(step, LogStep::Cut { .. });
                    if let Some(presence) = &self.presence
                        && steps.iter().any(is_cut)
                    {
                        presence.cut(now);
                    }
                }
                Effect::Presence(announcements) => {
                    if let Some(presence) = &self.presence {
                        presence.announced(now, announcements);
                    }
                }
                Effect::Settled(ticket, result) => {
                    if let Some(presence) = &mut self.presence {
                        presence.settled(now, ticket, result);
                    }
                }
                Effect::GiveUp(request) => self.requests.retain(|(id, _)| *id != request),
                Effect::Health(health) => {
                    if health == NodeHealth::Ready {
                        self.shared.hub.end_joining();
                    }
                    self.shared.lock().note_error(health);
                    #[cfg(feature = "tracing")]
                    trace(health);
                    if let Some(presence) = &self.presence {
                        presence.health(now, health);
                    }
                }
            }
        }
        Some(has_applied)
    }

    /// Does what is to be done now for sessions that are older than memory, of which there may be more
    /// where something was applied. Returns whether there may be more at once.
    fn backfill(&mut self, context: &mut Context<'_>, has_applied: bool) -> bool {
        let Self { shared, log, backfills, .. } = self;
        let sequencer = || {
            let state = shared.lock();
            let is_up = matches!(state.node.health(), NodeHealth::Ready | NodeHealth::Joining);
            is_up.then(|| state.node.sequencer().clone())
        };
        let is_busy = backfills.round(context, &shared.hub, log, has_applied, sequencer);
        if is_busy {
            shared.lock().backfilled = backfills.counters();
        }
        is_busy
    }

    /// Returns whether the next deadline has come.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let presence = self.presence.as_ref().and_then(DrivePresence::poll_timeout);
        let until = self.shared.lock().node.poll_timeout().into_iter().chain(presence).min();
        let Some(until) = until else {
            self.sleep = None;
            return false;
        };
        let timer = self.shared.hub.timer();
        if until <= timer.now() {
            return true;
        }
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != until) {
            self.sleep = Some((until, timer.sleep_until(until)));
        }
        let is_over =
            self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(context).is_ready());
        if is_over {
            // It may end early: then there is another one.
            self.sleep = None;
        }
        is_over
    }
}

/// Asks the engine.
fn ask<L: Log>(log: Arc<L>, request: LogRequest) -> Asked {
    Box::pin(async move {
        match request {
            LogRequest::Hello(hello) => log.hello(hello).await.map(LogAnswer::Hello),
            LogRequest::Append(append) => log.append(append).await.map(LogAnswer::Appended),
            LogRequest::Read(read) => log.read(read).await.map(LogAnswer::Page),
            LogRequest::Head => log.head().await.map(LogAnswer::Head),
        }
    })
}

impl<L: Log> Future for DriveRealm<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            match self.round(context) {
                None => return Poll::Ready(()),
                Some(true) => {}
                Some(false) if self.is_due(context) => {}
                Some(false) => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<L> Unpin for DriveRealm<L> {}

impl<L> Drop for DriveRealm<L> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        let (settling, watching) = (mem::take(&mut state.settling), mem::take(&mut state.watching));
        drop(state);
        self.shared.hub.set_backfill(None);
        // Those who wait learn by this that nobody knows.
        drop(settling);
        watching.into_values().for_each(Waker::wake);
    }
}

impl State {
    /// Lets the node sign as the hub does, by which its sessions resume.
    #[cfg(feature = "signed")]
    fn take_keys(&mut self, hub: &Hub) {
        if let Some(keys) = hub.take_later_keys() {
            self.node.set_cursor_keys(keys);
        }
    }

    /// Notes what the node itself found wrong, such as that no answer came in time.
    fn note_error(&mut self, health: NodeHealth) {
        if let NodeHealth::Stale { error, .. } | NodeHealth::Down { error, .. } = health
            && self.last_error.as_ref().is_none_or(|last| last.kind() != error)
        {
            self.last_error = Some(error.into());
        }
    }

    fn health(&self) -> NodeHealth {
        if self.is_over { NodeHealth::Ended } else { self.node.health() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> fmt::Debug for DriveRealm<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriveRealm").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "tracing")]
fn trace(health: NodeHealth) {
    match health {
        NodeHealth::Joining | NodeHealth::Ready | NodeHealth::Ended => {
            tracing::info!(target: "sansse::cluster", health = health.as_str(), "node");
        }
        NodeHealth::Stale { error, .. } | NodeHealth::Down { error, .. } => {
            tracing::warn!(target: "sansse::cluster", health = health.as_str(), %error, "node");
        }
    }
}

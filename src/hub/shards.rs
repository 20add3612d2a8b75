//! The inside of a hub: shards under short locks, and what follows from a call once no lock is
//! held.

use super::drive::Driver;
use super::ended::{Ended, Ends};
use super::panicked::Panicked;
use super::waiting::{Place, Waits};
use super::{Listener, RefuseBy, Session, ShardBroker};
#[cfg(all(feature = "cluster", feature = "signed"))]
use crate::broker::CursorKeys;
use crate::broker::{
    Audience, BrokerEvent, Census, ClientId, EventNumber, LogStep, OpenError, Opened, Pace,
    PublishError, Published, ReturnsOfAll, Sequencer, SessionConfig, SessionId, StreamEnd, Value,
};
#[cfg(feature = "cluster")]
use crate::broker::{Backfill, BackfillRequest, Backfilled, Resumption};
use crate::caught::{self, Code};
use crate::event::{Event, EventType};
use crate::http::{AcceptConfig, ResponseHead};
use crate::net::Timer;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Waker;
use std::sync::PoisonError;
use std::time::Instant;

/// How long sessions of a realm wait whose last event id is ahead of this node, where the hub's
/// configuration does not say. A node is a few milliseconds behind another; one that is behind by
/// more has lost its engine, or reads history.
#[cfg(feature = "cluster")]
const AHEAD_WAIT: core::time::Duration = core::time::Duration::from_secs(2);

pub(super) struct Inner {
    pub(super) timer: Box<dyn Timer>,
    /// When the hub was built, by the timer.
    pub(super) built: Instant,
    /// The head of the streams that the hub answers with.
    pub(super) head: ResponseHead,
    /// Which requests are answered by streams.
    pub(super) accept: AcceptConfig,
    /// How those are refused who are to come back.
    pub(super) refuse_by: RefuseBy,
    /// The type of the notices that sessions get which choose none, and peers without a session.
    pub(super) notices: Option<EventType>,
    /// How streams end that the hub ends although there will be more.
    pub(super) early_end: StreamEnd,
    /// How far publishers that wait may be ahead of those who read.
    pub(super) pace: Pace,
    /// Locked as long as a call concerns all shards at once, such as a publish, so that all shards
    /// see these calls in the same order. Locked before any shard, never after.
    pub(super) sequencer: Mutex<Sequencer>,
    pub(super) shards: Box<[Mutex<Shard>]>,
    /// When the peers that any shard refuses are to come back. Locked with nothing else.
    pub(super) returns: Mutex<ReturnsOfAll>,
    /// Picks the shard of the next session that has no client.
    pub(super) turn: AtomicUsize,
    /// Whether the positions are those of a realm's log, so that the hub gives none.
    pub(super) is_of_realm: AtomicBool,
    /// How many sessions were refused for that.
    pub(super) refused_joining: AtomicUsize,
    /// Whether what there was in the log is not read yet.
    pub(super) is_joining: AtomicBool,
    /// Keys that the driver of a realm has not taken yet.
    #[cfg(all(feature = "cluster", feature = "signed"))]
    pub(super) later_keys: Mutex<Option<CursorKeys>>,
    /// Who reads for sessions that are older than memory, while that need not be looked for.
    #[cfg(feature = "cluster")]
    pub(super) backfiller: Mutex<Option<Waker>>,
    pub(super) driver: Driver,
    pub(super) on_event: Option<Listener>,
    /// Whether a thread is calling the listener.
    pub(super) delivering: AtomicBool,
    /// What panicked so far.
    pub(super) panicked: Panicked,
}

pub(super) struct Shard {
    pub(super) broker: ShardBroker,
    /// The wakers of the tasks that wait for a session's output, by the session's slot.
    pub(super) wakers: Vec<Option<(SessionId, Waker)>>,
    /// The wakers of the tasks that wait for readers.
    pub(super) waits: Waits,
    /// Wakers that were replaced. They are dropped once the lock is gone, since the last handle to
    /// a task drops all that the task owns.
    pub(super) replaced: Vec<Waker>,
    /// The tasks that wait for a session's end.
    pub(super) ends: Ends,
    /// The deadline of this shard that the driver has seen.
    pub(super) driven_until: Option<Instant>,
}

impl Inner {
    pub(super) fn open(self: &Arc<Self>, config: SessionConfig) -> Result<Session, OpenError> {
        let shard = self.shard_of(config.client());
        self.check_joined()?;
        let mut follow_up = FollowUp::default();
        let opened = if self.shards.len() == 1 {
            self.call(shard, &mut follow_up, |shard, now| shard.broker.open(now, config))
        } else {
            // Not in the middle of a publish: a peer that got the event from one shard could come
            // back to another that does not know the event yet. And one session at a time, since
            // the census must not change before the session opens.
            let _sequencer = lock(&self.sequencer);
            self.open_beside(shard, config, &mut follow_up)
        };
        #[cfg(feature = "cluster")]
        if opened.as_ref().is_ok_and(|opened| opened.resumption == Resumption::Waiting) {
            follow_up.wakers.extend(lock(&self.backfiller).take());
        }
        // Made before wakers and the listener run: if one of them panics, the session is closed.
        let session = opened.map(|opened| Session::new(self.clone(), opened));
        self.run(follow_up);
        session
    }

    /// Checks that a session could be opened, and opens none.
    pub(super) fn check_open(&self, config: &SessionConfig) -> Result<(), OpenError> {
        self.check_joined()?;
        let shard = self.shard_of(config.client());
        // One after the other with what opens and publishes, as `open` is.
        let _sequencer = lock(&self.sequencer);
        let census = self.census(shard, config);
        let now = self.timer.now();
        lock(&self.shards[shard]).broker.shard().check_open(now, config, &census)
    }

    /// Refuses sessions while nobody can say what they have missed.
    fn check_joined(&self) -> Result<(), OpenError> {
        if self.is_joining.load(Ordering::Acquire) {
            self.refused_joining.fetch_add(1, Ordering::Relaxed);
            return Err(OpenError::Joining);
        }
        Ok(())
    }

    /// Opens a session where the limits hold for all shards together.
    ///
    /// No two shards are locked at a time, so that work in one shard waits for no other. Eviction
    /// happens before the session opens here.
    fn open_beside(
        &self,
        at: usize,
        config: SessionConfig,
        follow_up: &mut FollowUp,
    ) -> Result<Opened, OpenError> {
        let mut census = self.census(at, &config);
        let now = self.timer.now();
        let eviction = lock(&self.shards[at]).broker.shard().eviction_for(now, &config, &census);
        if let Some(eviction) = eviction {
            self.call(eviction.shard().into(), follow_up, |shard, now| {
                shard.broker.shard_mut().evict(now, eviction);
            });
            census = self.census(at, &config);
            census.note_eviction();
        }
        self.call(at, follow_up, |shard, now| shard.broker.shard_mut().open(now, config, &census))
    }

    /// Counts the sessions of all shards but one.
    fn census(&self, except: usize, config: &SessionConfig) -> Census {
        let mut census = Census::default();
        for (shard, number) in self.shards.iter().zip(0..) {
            if usize::from(number) != except {
                census.add(number, lock(shard).broker.shard().occupancy(config));
            }
        }
        census
    }

    pub(super) fn publish(
        &self,
        audience: Audience,
        event: &Event,
    ) -> Result<Published, PublishError> {
        self.publish_with(&audience.clone(), None, |sequencer| sequencer.publish(audience, event))
    }

    /// Numbers something and publishes it. Where a session has no room, `place` begins to wait for
    /// that if there is one, before anything else can happen to the session.
    pub(super) fn publish_with(
        &self,
        audience: &Audience,
        place: Option<(&mut Place, &Waker)>,
        number: impl FnOnce(&mut Sequencer) -> Published,
    ) -> Result<Published, PublishError> {
        let mut sequencer = lock(&self.sequencer);
        if self.is_of_realm.load(Ordering::Acquire) {
            return Err(PublishError::OfRealm);
        }
        self.check_audience(audience)?;
        // Once for all shards: a clock that panics between two of them would leave the event to
        // the first alone.
        let now = self.timer.now();
        let mut next = sequencer.clone();
        let published = number(&mut next);
        let mut follow_up = FollowUp::default();
        // The first shard may still refuse the event, when no other knows its position. The others
        // have the same configuration and cannot differ. For a client or a session the first is
        // its own shard; for the other audiences it is shard 0.
        let (first, count) = (self.shard_of_audience(published.audience()), self.shards.len());
        let mut place = place;
        let result = (first..first + count).try_for_each(|number| {
            let number = number % count;
            self.call_at(now, number, &mut follow_up, |shard, now| {
                if number == first
                    && let Err(error) = shard.broker.shard().check_room(now, &published)
                {
                    if let Some((place, waker)) = place.take() {
                        let wait = shard.broker.wait_for_room(now, audience)?;
                        place.take_in(number, shard, wait, waker);
                    }
                    return Err(error);
                }
                shard.broker.shard_mut().apply_beside(now, &published)
            })
        });
        if result.is_ok() {
            // After a refusal the sequencer stays as it was, so that the next event takes the same
            // position and no shard sees a hole.
            *sequencer = next;
        }
        drop(sequencer);
        self.run(follow_up);
        result.map(|()| published)
    }

    /// Leaves it to a realm's log to give positions from now on. Returns the numbering of the stream,
    /// and `None` where something was published already.
    ///
    /// From now on a client may come from another node: with an id that this one has not come to, and
    /// for what was published to the client there.
    #[cfg(feature = "cluster")]
    pub(super) fn begin_realm(&self) -> Option<Sequencer> {
        let sequencer = lock(&self.sequencer);
        let is_new = sequencer.last() == 0 && !self.is_of_realm.swap(true, Ordering::AcqRel);
        if is_new {
            self.is_joining.store(true, Ordering::Release);
        }
        if !is_new {
            return None;
        }
        let now = self.timer.now();
        for shard in &self.shards {
            let broker = &mut lock(shard).broker;
            broker.shard_mut().set_keeps_for_absent(now, true);
            if broker.ahead_wait().is_none() {
                // No error, since it is some time.
                let _ = broker.shard_mut().set_ahead_wait(now, Some(AHEAD_WAIT));
            }
        }
        Some(sequencer.clone())
    }

    /// Lets sessions wait that are older than memory, or not.
    #[cfg(feature = "cluster")]
    pub(super) fn set_backfill(&self, backfill: Option<Backfill>) {
        self.for_all(|shard, now| shard.broker.shard_mut().set_backfill(now, backfill));
    }

    /// Tells for which sessions something is to be read, and wakes this task when there are others.
    /// `has_applied` says that something was applied since, by which sessions may be older.
    #[cfg(feature = "cluster")]
    pub(super) fn poll_backfills(
        &self,
        waker: &Waker,
        has_applied: bool,
        mut read: impl FnMut(BackfillRequest),
    ) {
        let mut backfiller = lock(&self.backfiller);
        // As long as it stands there, no session came.
        if !has_applied && backfiller.as_ref().is_some_and(|one| one.will_wake(waker)) {
            return;
        }
        // Before it is looked for, so that a session which comes meanwhile is not missed.
        let replaced = backfiller.replace(waker.clone());
        drop(backfiller);
        self.for_all(|shard, _| {
            while let Some(request) = shard.broker.shard_mut().poll_backfill() {
                read(request);
            }
        });
        self.let_go(replaced);
    }

    /// Hands to a session what was read for it; `None`: nothing could be. Returns after which position
    /// it needs more.
    #[cfg(feature = "cluster")]
    pub(super) fn backfill(&self, session: SessionId, read: Option<&Backfilled>) -> Option<u64> {
        let shard = usize::from(session.shard());
        if shard >= self.shards.len() {
            return None;
        }
        self.with(shard, |shard, now| {
            let here = shard.broker.shard_mut();
            if let Some(read) = read {
                here.backfill(now, session, read)
            } else {
                here.end_backfill(now, session);
                None
            }
        })
    }

    /// Does what a log outside says, on all shards.
    pub(super) fn apply_all(&self, steps: &[LogStep]) -> Result<(), PublishError> {
        if self.driver.is_gone() {
            return Err(PublishError::NotDriven);
        }
        let mut sequencer = lock(&self.sequencer);
        let epoch = sequencer.epoch();
        // Before any shard does any of them, since all shards are to do the same.
        steps.iter().try_fold(sequencer.last(), |last, step| match step {
            _ if step.position() <= last => Err(PublishError::OutOfOrder { last }),
            LogStep::Publish { published, .. } if published.epoch() != epoch => {
                Err(PublishError::OtherEpoch)
            }
            _ => Ok(step.position()),
        })?;
        let now = self.timer.now();
        let mut follow_up = FollowUp::default();
        let result = (0..self.shards.len()).try_for_each(|number| {
            self.call_at(now, number, &mut follow_up, |shard, now| {
                steps.iter().try_for_each(|step| {
                    let here = shard.broker.shard_mut();
                    match self.shard_of_step(step) {
                        Some(owner) if owner != number => here.apply_step_beside(now, step),
                        _ => here.apply_step(now, step),
                    }
                })
            })
        });
        if let (Ok(()), Some(last)) = (result, steps.last()) {
            sequencer.observe(last.position());
        }
        drop(sequencer);
        self.run(follow_up);
        result
    }

    /// Returns the shard that a step concerns, where it concerns one alone.
    fn shard_of_step(&self, step: &LogStep) -> Option<usize> {
        match step {
            LogStep::Publish { published, .. } => match published.audience() {
                Audience::Everyone | Audience::Topic(_) => None,
                one => Some(self.shard_of_audience(one)),
            },
            LogStep::Revoke { client, .. } | LogStep::RevokeTopic { client, .. } => {
                Some(self.shard_of(Some(client)))
            }
            LogStep::Skip { .. } | LogStep::Cut { .. } | LogStep::Drain { .. } => None,
        }
    }

    /// Calls all shards, and lets no publish come in between.
    pub(super) fn for_all_at_once(&self, call: impl FnMut(&mut Shard, Instant)) {
        self.for_all_at_once_at(self.timer.now(), call);
    }

    pub(super) fn for_all_at_once_at(
        &self,
        now: Instant,
        mut call: impl FnMut(&mut Shard, Instant),
    ) {
        let sequencer = lock(&self.sequencer);
        let mut follow_up = FollowUp::default();
        for shard in 0..self.shards.len() {
            self.call_at(now, shard, &mut follow_up, &mut call);
        }
        drop(sequencer);
        self.run(follow_up);
    }

    pub(super) fn check_audience(&self, audience: &Audience) -> Result<(), PublishError> {
        if self.driver.is_gone() {
            return Err(PublishError::NotDriven);
        }
        let check = |shard: usize| lock(&self.shards[shard]).broker.shard().check_publish(audience);
        match audience {
            Audience::Client(client) => check(self.shard_of(Some(client))),
            Audience::Session(session) if usize::from(session.shard()) < self.shards.len() => {
                check(session.shard().into())
            }
            Audience::Session(_) => Err(PublishError::UnknownSession),
            // One shard that knows that the topic has ended refuses it for all. Otherwise one shard
            // with room is enough.
            Audience::Everyone | Audience::Topic(_) => {
                (1..self.shards.len()).fold(check(0), |result, shard| match result {
                    Err(PublishError::TopicEnded) => result,
                    Ok(()) => check(shard).or_else(|error| match error {
                        PublishError::TopicEnded => Err(error),
                        _ => Ok(()),
                    }),
                    Err(_) => check(shard),
                })
            }
        }
    }

    pub(super) fn shard_of_audience(&self, audience: &Audience) -> usize {
        match audience {
            Audience::Client(client) => self.shard_of(Some(client)),
            Audience::Session(session) => session.shard().into(),
            Audience::Everyone | Audience::Topic(_) => 0,
        }
    }

    pub(super) fn shard_of(&self, client: Option<&ClientId>) -> usize {
        let number = match client {
            Some(client) => spread(client.as_str().as_bytes()),
            None => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        number % self.shards.len()
    }

    pub(super) fn for_all(&self, mut call: impl FnMut(&mut Shard, Instant)) {
        for shard in 0..self.shards.len() {
            self.with(shard, &mut call);
        }
    }

    /// Calls a shard, and runs what follows once the lock is gone.
    pub(super) fn with<R>(&self, shard: usize, call: impl FnOnce(&mut Shard, Instant) -> R) -> R {
        let mut follow_up = FollowUp::default();
        let result = self.call(shard, &mut follow_up, call);
        self.run(follow_up);
        result
    }

    /// Calls a shard, and notes what the caller must [`run`](Self::run) once no lock is held.
    pub(super) fn call<R>(
        &self,
        shard: usize,
        follow_up: &mut FollowUp,
        call: impl FnOnce(&mut Shard, Instant) -> R,
    ) -> R {
        self.call_at(self.timer.now(), shard, follow_up, call)
    }

    fn call_at<R>(
        &self,
        now: Instant,
        shard: usize,
        follow_up: &mut FollowUp,
        call: impl FnOnce(&mut Shard, Instant) -> R,
    ) -> R {
        let shard = &mut *lock(&self.shards[shard]);
        let result = call(shard, now);
        while let Some(session) = shard.broker.poll_ready() {
            follow_up.wakers.extend(shard.take_waker(session));
        }
        while let Some(wait) = shard.broker.poll_wait() {
            shard.waits.take_all(wait, &mut follow_up.wakers);
        }
        follow_up.wakers.append(&mut shard.waits.at_once);
        follow_up.replaced.append(&mut shard.replaced);
        follow_up.let_go.append(&mut shard.broker.take_let_go());
        if !self.is_listened_to() {
            while let Some((_, event)) = shard.broker.poll_event() {
                follow_up.ended.extend(shard.ends.take(&event));
            }
        }
        follow_up.has_events |= shard.broker.has_events();
        follow_up.wakes_driver |= match (shard.broker.poll_timeout(), shard.driven_until) {
            (Some(next), Some(until)) => next < until,
            (next, None) => next.is_some(),
            (None, _) => false,
        };
        // The end of the hub is no deadline, and the driver must learn of it.
        follow_up.wakes_driver |= shard.is_over();
        result
    }

    pub(super) fn run(&self, follow_up: FollowUp) {
        let FollowUp { wakers, replaced, let_go, ended, wakes_driver, has_events } = follow_up;
        self.wake(wakers);
        for ended in ended {
            self.panicked.add(Code::Waker, ended.tell());
        }
        self.let_go(replaced);
        self.let_go(let_go);
        if wakes_driver {
            self.wake_driver();
        }
        // Also while this thread unwinds: what panics here is caught here.
        if has_events {
            self.deliver();
        }
    }

    pub(super) fn is_listened_to(&self) -> bool {
        self.on_event.is_some() || cfg!(feature = "tracing")
    }

    /// Calls the listener with what happened, unless another thread is doing so.
    pub(super) fn deliver(&self) {
        if !self.is_listened_to() {
            return;
        }
        // A thread that finds the flag set leaves its events to the thread that set it. The latter
        // must therefore look once more after it has cleared the flag.
        while self.shards.iter().any(|shard| lock(shard).broker.has_events()) {
            let order = Ordering::SeqCst;
            if self.delivering.compare_exchange(false, true, order, order).is_err() {
                return;
            }
            let _delivering = Delivering(&self.delivering);
            for shard in &self.shards {
                let events = core::iter::from_fn(|| next_event(shard));
                let panics = caught::each(Code::Listener, events, |(number, event, ended)| {
                    if let Some(ended) = ended {
                        self.panicked.add(Code::Waker, ended.tell());
                    }
                    #[cfg(feature = "tracing")]
                    super::trace::trace(&event);
                    if let Some(listener) = &self.on_event {
                        listener(number, event);
                    }
                });
                self.panicked.add(Code::Listener, panics);
            }
        }
    }

    pub(super) fn wake_driver(&self) {
        self.wake(self.driver.take_waker());
    }

    /// Wakes tasks, each whatever the wakers before it do.
    fn wake(&self, wakers: impl IntoIterator<Item = Waker, IntoIter: ExactSizeIterator>) {
        let wakers = wakers.into_iter();
        if wakers.len() > 0 {
            self.panicked.add(Code::Waker, caught::wake(wakers));
        }
    }

    /// Drops what may run any code when it is dropped, so that no lock may be held.
    pub(super) fn let_go<T>(
        &self,
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) {
        let values = values.into_iter();
        if values.len() > 0 {
            self.panicked.add(Code::Value, caught::each(Code::Value, values, drop));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake_driver();
    }
}

impl Shard {
    pub(super) fn new(broker: ShardBroker) -> Self {
        let (wakers, waits, ends) = (Vec::new(), Waits::default(), Ends::default());
        Self { broker, wakers, waits, ends, replaced: Vec::new(), driven_until: None }
    }

    /// Returns whether the shard is closed or drains, and has no session left.
    pub(super) fn is_over(&self) -> bool {
        self.broker.is_over()
    }

    pub(super) fn take_waker(&mut self, session: SessionId) -> Option<Waker> {
        let place = self.wakers.get_mut(session.key().slot() as usize)?;
        match place {
            Some((owner, _)) if *owner == session => place.take().map(|(_, waker)| waker),
            _ => None,
        }
    }

    pub(super) fn set_waker(&mut self, session: SessionId, waker: &Waker) {
        let slot = session.key().slot() as usize;
        if self.wakers.len() <= slot {
            self.wakers.resize(slot + 1, None);
        }
        match &mut self.wakers[slot] {
            Some((owner, old)) if *owner == session && old.will_wake(waker) => {}
            place => {
                let old = place.replace((session, waker.clone()));
                self.replaced.extend(old.map(|(_, waker)| waker));
            }
        }
    }
}

/// What follows from a call of a shard. It runs code of applications and executors, which may call
/// the hub, so that no lock may be held.
#[derive(Default)]
pub(super) struct FollowUp {
    pub(super) wakers: Vec<Waker>,
    pub(super) replaced: Vec<Waker>,
    pub(super) let_go: Vec<Value>,
    pub(super) ended: Vec<Ended>,
    pub(super) wakes_driver: bool,
    pub(super) has_events: bool,
}

/// Clears the flag when it is dropped, so that a listener that panics does not leave it set.
pub(super) struct Delivering<'a>(&'a AtomicBool);

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Returns a shard's next event, and who waited for it. This is a function of its own, so that the
/// lock is gone before the listener is called.
fn next_event(shard: &Mutex<Shard>) -> Option<(EventNumber, BrokerEvent, Option<Ended>)> {
    let shard = &mut *lock(shard);
    let (number, event) = shard.broker.poll_event()?;
    let ended = shard.ends.take(&event);
    Some((number, event, ended))
}

/// Locks a mutex, also after a panic. A panic under a lock can only come from a closure, a clock or
/// the clone of a waker of the application, which run when the broker's own state is whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a number from which a client's shard follows, the same on every platform.
///
/// This is FNV-1a, and then the finalizer of `MurmurHash3`. In FNV-1a alone the last bytes of a
/// name reach few bits of the hash, so that names which differ only at their end would share a
/// shard.
fn spread(bytes: &[u8]) -> usize {
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    usize::try_from(hash >> 33).unwrap_or_default()
}

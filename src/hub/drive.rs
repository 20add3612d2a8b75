//! The future that makes time pass for a hub.

use super::{Inner, lock};
use crate::caught::{self, Code};
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicU8, Ordering};
use core::task::{Context, Poll, Waker};
use std::time::Instant;

/// The future that makes time pass for a [`Hub`](super::Hub). It is built together with the hub,
/// and spawned once on any executor.
///
/// It is ready when the hub was closed or drained and its last session is gone, and when all
/// handles to the hub are gone; a [`Session`](super::Session) is a handle too.
///
/// **Dropping it before that closes the hub**, since there is no other driver: without time there
/// are no heartbeats, stalled sessions, leases and drains do not end, and what was published is kept
/// for ever. It is dropped where its task is aborted, where a [`Timer`](super::Timer) panics in it,
/// and where the runtime of its task shuts down. Then
///
/// - each session gets what was published before, and its end, [as at any close](super::Hub::close);
/// - nothing is published, with [`PublishError::NotDriven`](crate::broker::PublishError::NotDriven),
///   and publishers that wait get that too;
/// - who asks for a stream is [told](super::RefuseBy) to come back later, and is served where the
///   hub is built anew;
/// - [`Hub::health`](super::Hub::health) says so, [`Counters`](crate::broker::Counters) count it,
///   and `tracing` has an error of it.
///
/// A driver that nobody has polled yet is no fault: programs may publish before they spawn it. The
/// hub's health says that too. A test in which no time passes keeps the driver and does not poll it.
#[must_use = "time does not pass for the hub unless this is spawned"]
pub struct Drive {
    /// Weak, so that the driver does not keep a hub whose handles are all gone.
    hub: Weak<Inner>,
    sleep: Option<Sleep>,
}

/// What a hub knows of its driver.
pub(super) struct Driver {
    waker: Mutex<Option<Waker>>,
    state: AtomicU8,
}

/// Nobody has polled it.
const UNPOLLED: u8 = 0;
/// It was polled, and is there.
const RUNS: u8 = 1;
/// It was dropped before the hub was over.
const GONE: u8 = 2;
/// It is over together with the hub.
const OVER: u8 = 3;

struct Sleep {
    until: Instant,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Drive {
    pub(super) fn new(hub: &Arc<Inner>) -> Self {
        Self { hub: Arc::downgrade(hub), sleep: None }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(hub) = self.hub.upgrade() else { return Poll::Ready(()) };
            // The waker is set before the deadlines are read: a deadline that becomes earlier in
            // between then wakes this task.
            let replaced = hub.driver.set_waker(context.waker().clone());
            // Dropping a waker may run any code, so that the lock must be gone.
            hub.let_go(replaced);
            let (next, is_over) = hub.look_ahead();
            if is_over {
                hub.driver.set_state(OVER);
                return Poll::Ready(());
            }
            let Some(until) = next else {
                self.sleep = None;
                return Poll::Pending;
            };
            if until <= hub.timer.now() {
                hub.for_all(|shard, now| shard.broker.handle_timeout(now));
                continue;
            }
            if self.sleep.as_ref().is_none_or(|sleep| sleep.until != until) {
                self.sleep = Some(Sleep { until, future: hub.timer.sleep_until(until) });
            }
            let Some(sleep) = &mut self.sleep else { continue };
            if sleep.future.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.lose_driver();
        }
    }
}

impl Driver {
    pub(super) fn new() -> Self {
        Self { waker: Mutex::new(None), state: AtomicU8::new(UNPOLLED) }
    }

    pub(super) fn take_waker(&self) -> Option<Waker> {
        lock(&self.waker).take()
    }

    /// Sets by what it is woken, and returns what that replaces.
    fn set_waker(&self, waker: Waker) -> Option<Waker> {
        self.set_state(RUNS);
        lock(&self.waker).replace(waker)
    }

    fn set_state(&self, state: u8) {
        self.state.store(state, Ordering::Release);
    }

    /// Whether it was dropped before the hub was over.
    pub(super) fn is_gone(&self) -> bool {
        self.state.load(Ordering::Acquire) == GONE
    }

    /// Whether it was polled.
    pub(super) fn has_begun(&self) -> bool {
        self.state.load(Ordering::Acquire) != UNPOLLED
    }
}

impl Inner {
    /// Closes the hub, unless it is over, since no time passes for it any more.
    fn lose_driver(&self) {
        let waker = self.driver.take_waker();
        if self.shards.iter().all(|shard| lock(shard).is_over()) {
            self.driver.set_state(OVER);
        } else {
            self.driver.set_state(GONE);
            #[cfg(feature = "tracing")]
            super::trace::trace_lost_driver();
            // A clock that panicked may be why the driver is gone, and may panic again. The shards
            // then stay at the latest time that they know.
            let now = caught::once(Code::Timer, || self.timer.now()).unwrap_or(self.built);
            self.for_all_at_once_at(now, |shard, now| shard.broker.close(now));
        }
        self.let_go(waker);
    }

    /// Returns the next deadline of all shards, and whether the hub is over.
    fn look_ahead(&self) -> (Option<Instant>, bool) {
        let mut next: Option<Instant> = None;
        let mut is_over = true;
        for shard in &self.shards {
            let mut shard = lock(shard);
            let deadline = shard.broker.poll_timeout();
            shard.driven_until = deadline;
            next = next.into_iter().chain(deadline).min();
            is_over &= shard.is_over();
        }
        (next, is_over)
    }
}

impl fmt::Debug for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.sleep.as_ref().map(|sleep| sleep.until);
        f.debug_struct("Drive").field("sleeps_until", &until).finish_non_exhaustive()
    }
}

//! The future that makes time pass for a hub.

use super::{Inner, lock};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Instant;

/// The future that makes time pass for a [`Hub`](super::Hub). It is built together with the hub,
/// and spawned once on any executor.
///
/// It is ready when the hub was closed or drained and its last session is gone, and when all
/// handles to the hub are gone; a [`Session`](super::Session) is a handle too.
///
/// **Dropping it stops time for the hub for good**, since there is no other driver. What is
/// published still reaches the sessions. What waits for a time no longer happens by itself:
/// heartbeats, the end of stalled sessions, of leases and of maximum ages, the turns of a drain,
/// the ends of grace times, and the trimming of events by age. A test in which no time passes can
/// drop it on purpose.
#[must_use = "time does not pass for the hub unless this is spawned"]
pub struct Drive {
    /// Weak, so that the driver does not keep a hub whose handles are all gone.
    hub: Weak<Inner>,
    sleep: Option<Sleep>,
}

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
            let replaced = lock(&hub.driver).replace(context.waker().clone());
            // Dropping a waker may run any code, so that the lock must be gone.
            drop(replaced);
            // A listener that panicked has left events.
            hub.deliver();
            let (next, is_over) = hub.look_ahead();
            if is_over {
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

impl Inner {
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

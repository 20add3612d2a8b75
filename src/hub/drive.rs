//! The future that makes time pass for a hub.

use super::{Inner, lock};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Instant;

/// The future of [`Hub::drive`](super::Hub::drive).
#[must_use = "time does not pass for the hub unless this is spawned"]
pub struct Drive {
    /// Weak, so that a hub which everybody has dropped goes away.
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
            // Before the deadlines are read, so that one that moves forward meanwhile wakes us.
            let replaced = lock(&hub.driver).replace(context.waker().clone());
            // Only now is the lock gone.
            drop(replaced);
            // Those that a panic left.
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
    /// The next deadline of all shards, and whether the hub is over.
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

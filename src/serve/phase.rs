//! How far a server's shutdown is, and the connections that are told of it.

use crate::caught;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::task::{Context, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far a server's shutdown is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Serving,
    Draining,
    Aborting,
}

/// The accept loop's side. When it is dropped, connections drain.
#[derive(Debug, Default)]
pub(super) struct Phases {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    phase: Phase,
    /// The wakers of connections, by a number that is never used twice.
    waiting: BTreeMap<u64, Waker>,
    next: u64,
}

/// A connection's side.
#[derive(Debug)]
pub(super) struct Watcher {
    shared: Arc<Mutex<Shared>>,
    number: u64,
}

impl Phases {
    pub(super) fn watch(&self) -> Watcher {
        let mut shared = lock(&self.shared);
        shared.next += 1;
        Watcher { shared: self.shared.clone(), number: shared.next }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let waiting = {
            let mut shared = lock(&self.shared);
            shared.phase = phase;
            core::mem::take(&mut shared.waiting)
        };
        caught::wake(waiting.into_values());
    }
}

impl Drop for Phases {
    fn drop(&mut self) {
        if lock(&self.shared).phase == Phase::Serving {
            self.enter(Phase::Draining);
        }
    }
}

impl Watcher {
    /// The phase now; the task is woken when there is another.
    pub(super) fn poll(&self, context: &Context<'_>) -> Phase {
        let mut shared = lock(&self.shared);
        let replaced = match shared.waiting.get_mut(&self.number) {
            Some(waker) if waker.will_wake(context.waker()) => None,
            _ => shared.waiting.insert(self.number, context.waker().clone()),
        };
        let phase = shared.phase;
        drop(shared);
        // Here, where no lock is held: it may be the last handle to a task.
        drop(replaced);
        phase
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let waker = lock(&self.shared).waiting.remove(&self.number);
        drop(waker);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Nothing is left half done under this lock.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

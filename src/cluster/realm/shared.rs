//! What the handles to a realm and its driver have in common: [`Shared`].

use crate::broker::PublishError;
use crate::cluster::backfill::BackfillCounters;
use crate::cluster::error::LogError;
use crate::cluster::node::{Node, NodeHealth, Ticket};
use crate::cluster::realm_presence::RealmPresence;
use crate::hub::Hub;
use crate::sync::{Mutex, MutexGuard};
use alloc::collections::BTreeMap;
use core::task::Waker;
use core::time::Duration;
use futures_channel::oneshot;
use std::sync::PoisonError;

/// A node with its hub.
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) presence: Option<RealmPresence>,
    pub(super) shut_down_within: Duration,
    pub(super) state: Mutex<State>,
}

/// The node, and who is to be told what of it.
pub(super) struct State {
    pub(super) node: Node,
    /// Who waits for the result of a publish.
    pub(super) settling: BTreeMap<Ticket, oneshot::Sender<Result<u64, PublishError>>>,
    pub(super) driver: Option<Waker>,
    /// Its future is gone.
    pub(super) is_over: bool,
    /// Who waits until the node is ready, or has shut down, by the number of the wait.
    pub(super) watching: BTreeMap<u64, Waker>,
    /// How many have begun to wait.
    pub(super) waits: u64,
    pub(super) last_error: Option<LogError>,
    /// What was done for sessions that are older than memory.
    pub(super) backfilled: BackfillCounters,
}

impl State {
    /// Lets the node sign as the hub does, by which its sessions resume.
    #[cfg(feature = "signed")]
    pub(super) fn take_keys(&mut self, hub: &Hub) {
        if let Some(keys) = hub.take_later_keys() {
            self.node.set_cursor_keys(keys);
        }
    }

    /// Notes what the node itself found wrong, such as that no answer came in time.
    pub(super) fn note_error(&mut self, health: NodeHealth) {
        if let NodeHealth::Stale { error, .. } | NodeHealth::Down { error, .. } = health
            && self.last_error.as_ref().is_none_or(|last| last.kind() != error)
        {
            self.last_error = Some(error.into());
        }
    }

    pub(super) fn health(&self) -> NodeHealth {
        if self.is_over { NodeHealth::Ended } else { self.node.health() }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who waits for a change of the state; one that is dropped waits no more.
pub(super) struct Wait<'a> {
    pub(super) shared: &'a Shared,
    pub(super) number: Option<u64>,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.shared.lock().watching.remove(&number);
            drop(waker);
        }
    }
}

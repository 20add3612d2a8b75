//! The bytes that a server holds for its peers, all together: what they are, and who gives way when
//! they are too many.
//!
//! What a peer sends has to be held until it is whole, and what it does not take until it does. Each
//! of these has a limit for one connection. This is the limit for all of them, and costs those
//! nothing who hold [little].
//!
//! [little]: LITTLE

mod machine;
mod peer;

pub(super) use machine::EntryKey;
pub(super) use peer::PeerKey;

use alloc::vec::Vec;
use futures_channel::oneshot::{Receiver, Sender, channel};
use machine::Budget;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many bytes all connections of a server hold, if nothing else is set: 64 MiB.
///
/// A machine of 512 MiB, the smallest that is rented out, has that to spare beside the program, the
/// logs of its hub and the buffers of its sockets. It is the largest body 64 times, and more than
/// what a few slow readers of large events hold.
pub(super) const DEFAULT_LIMIT: usize = 64 << 20;

/// Up to how many bytes of one connection are not counted: most bodies, and all but large events.
///
/// 10,000 connections that hold so much each hold 40 MiB beside the budget.
pub(super) const LITTLE: usize = 4 << 10;

/// A [`Budget`] that the connections of a server share, and which tells those who give way.
#[derive(Debug)]
pub(super) struct SharedBudget(Mutex<State>);

#[derive(Debug)]
struct State {
    budget: Budget,
    /// What tells each entry, by its index.
    tell: Vec<Option<Sender<()>>>,
}

/// What a server holds for its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) now: usize,
    pub(super) most: usize,
}

/// What is to be held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Buffer {
    /// A buffer of its own, of so many bytes.
    Own(usize),
    /// A buffer that others may hold too, by the place of its last byte.
    Shared { place: usize, bytes: usize },
}

impl SharedBudget {
    pub(super) fn set_limit(&self, bytes: usize) {
        self.change(|state| state.budget.set_limit(bytes));
    }

    pub(super) fn limit(&self) -> usize {
        self.state().budget.limit()
    }

    pub(super) fn held(&self) -> Held {
        let budget = &self.state().budget;
        Held { now: budget.held(), most: budget.most() }
    }

    /// Adds an entry, and returns what tells it to give way.
    pub(super) fn add(&self, peer: PeerKey, buffer: Buffer) -> (EntryKey, Receiver<()>) {
        let (sender, receiver) = channel();
        let key = self.change(|state| {
            let key = match buffer {
                Buffer::Own(bytes) => state.budget.add(peer, bytes),
                Buffer::Shared { place, bytes } => state.budget.add_shared(peer, place, bytes),
            };
            if state.tell.len() <= key.index() {
                state.tell.resize_with(key.index() + 1, || None);
            }
            state.tell[key.index()] = Some(sender);
            key
        });
        (key, receiver)
    }

    /// Sets what an entry holds, and whether it is kept from giving way.
    pub(super) fn set(&self, key: EntryKey, bytes: usize, is_kept: bool) {
        self.change(|state| state.budget.set(key, bytes, is_kept));
    }

    pub(super) fn remove(&self, key: EntryKey) {
        let told = {
            let state = &mut *self.state();
            state.budget.remove(key);
            state.tell.get_mut(key.index()).and_then(Option::take)
        };
        // A channel's end may hold a waker, whose drop may run any code: no lock is held here.
        drop(told);
    }

    /// Changes the budget, and tells those who give way by that.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut told = Vec::new();
        let result = {
            let state = &mut *self.state();
            let result = change(state);
            while let Some(key) = state.budget.poll_gives_way() {
                told.extend(state.tell.get_mut(key.index()).and_then(Option::take));
            }
            result
        };
        // It runs code of executors, which may come back here. An entry that is being removed needs
        // not be told.
        for tell in told {
            let _ = tell.send(());
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SharedBudget {
    fn default() -> Self {
        Self(Mutex::new(State { budget: Budget::new(DEFAULT_LIMIT), tell: Vec::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::Pin;
    use core::task::{Context, Poll, Waker};

    fn is_told(told: &mut Receiver<()>) -> bool {
        let context = &mut Context::from_waker(Waker::noop());
        match Future::poll(Pin::new(told), context) {
            Poll::Ready(told) => told.is_ok(),
            Poll::Pending => false,
        }
    }

    #[test]
    fn those_who_give_way_are_told_and_no_others() {
        let budget = SharedBudget::default();
        budget.set_limit(100);
        let peers = [1, 2, 3].map(PeerKey::of_connection);
        let (first, mut told_first) = budget.add(peers[0], Buffer::Own(60));
        let (_, mut told_second) = budget.add(peers[1], Buffer::Own(30));
        assert!(!is_told(&mut told_first) && !is_told(&mut told_second));
        let shared = Buffer::Shared { place: 1, bytes: 20 };
        let (_, mut told_third) = budget.add(peers[2], shared);
        assert!(is_told(&mut told_first) && !is_told(&mut told_second));
        budget.remove(first);
        // Its place is another's, who is told nothing that the first was to be told.
        let (again, mut told_again) = budget.add(peers[0], Buffer::Own(10));
        assert_eq!(again, first);
        assert!(!is_told(&mut told_again));
        budget.set(again, 60, false);
        assert!(is_told(&mut told_again) && !is_told(&mut told_third));
        assert_eq!(budget.held(), Held { now: 50, most: 90 });
        budget.set_limit(40);
        assert!(is_told(&mut told_second) && !is_told(&mut told_third));
    }
}

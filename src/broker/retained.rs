//! How much all logs keep together, and which of them is to give something up.
//!
//! The log that would keep the most bytes, with the event for which there must be room, gives up
//! its oldest one, again and again until there is: so nobody who keeps less than an equal share
//! loses anything to those who keep more. Of two that keep equally much, the one with the older
//! event gives it up. A compact log gives up its oldest superseded one, if it has any.

use super::Broker;
use super::log::Log;
use super::owned_timers::Owner;
use super::publish::Change;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Whose log it is, and in which slot that is.
pub(super) type LogOwner = (Owner, u32);

/// What a log keeps: how many bytes, and the position of its oldest event, which no other has.
pub(super) type Footprint = (usize, Reverse<u64>);

#[derive(Debug, Default)]
pub(super) struct Retained {
    bytes: usize,
    /// All logs that keep something, the largest last.
    by_size: BTreeSet<(Footprint, LogOwner)>,
}

impl Retained {
    /// Takes note of what became of a log.
    pub(super) fn update(
        &mut self,
        owner: LogOwner,
        before: Option<Footprint>,
        after: Option<Footprint>,
    ) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.bytes -= before.0;
            self.by_size.remove(&(before, owner));
        }
        if let Some(after) = after {
            self.bytes += after.0;
            self.by_size.insert((after, owner));
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Broker {
    /// How many bytes of events are kept in all: encoded, without what keeping them takes.
    pub fn retained_bytes(&self) -> usize {
        self.retained.bytes()
    }

    /// Makes room for an event of this size, which is no more than may be kept, in this log. Topics
    /// that have given up all they kept are `emptied`, and are to be released.
    pub(super) fn make_room(&mut self, size: usize, log: LogOwner, emptied: &mut Vec<u32>) {
        let limit = self.config.max_retained_bytes;
        while self.retained.bytes() + size > limit
            && let Some(&(largest, mut owner)) = self.retained.by_size.last()
        {
            let own = self.log_mut(log).and_then(|log| log.footprint());
            if own.is_some_and(|(bytes, oldest)| (bytes + size, oldest) > largest) {
                owner = log;
            }
            let Some(log) = self.log_mut(owner) else { return };
            let (before, lost) = (log.footprint(), log.lost_through());
            log.trim_oldest();
            let after = log.footprint();
            self.retained.update(owner, before, after);
            if owner.0 == Owner::Topic {
                self.tell_patterns(owner.1, Change::Trimmed, lost);
                emptied.extend(after.is_none().then_some(owner.1));
            }
        }
    }

    fn log_mut(&mut self, (owner, slot): LogOwner) -> Option<&mut Log> {
        match owner {
            Owner::Topic => self.topics.at_mut(slot).map(|topic| &mut topic.log),
            Owner::Client => self.clients.at_mut(slot).map(|client| &mut client.log),
            Owner::Session => {
                self.sessions.at_mut(slot)?.private_mut().map(|private| &mut private.log)
            }
        }
    }
}

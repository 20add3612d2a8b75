//! How many bytes all peers hold, and who gives way: [`Budget`].

#[cfg(test)]
mod tests;

use super::peer::PeerKey;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Adds up the bytes that are held for peers, and says who gives way when they are too many.
///
/// Those who hold something have an entry each. The *peer* that holds most gives way first, by the
/// *entry* of its that counts most; of two that are equal, the one that has held longer. So a peer
/// that opens a thousand connections gains nothing by that: they are one in this choice.
///
/// Several may hold the same buffer, as those do that wait to take the same event. It counts once
/// in the sum, and a part of it for each who holds it. The parts are a power of two, and cut anew
/// when twice as many hold it as before, or half as many; so an entry that comes or goes costs
/// O(log n), averaged.
///
/// Nobody gives way who is alone: what one peer may hold at a time is bounded elsewhere, and there
/// is nobody to give way to. Nor does an entry that is *kept*; it counts nevertheless.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    held: usize,
    most: usize,
    /// How many buffers there are, those of one holder included.
    buffers: usize,
    entries: Vec<Option<Entry>>,
    vacant: Vec<u32>,
    accounts: BTreeMap<PeerKey, Account>,
    /// The peers that have something to give up.
    ranks: BTreeSet<Rank<PeerKey>>,
    /// What may have several holders, by its place in memory.
    shared: BTreeMap<usize, Shared>,
    turn: u64,
}

/// An entry, until it is [removed](Budget::remove).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serve) struct EntryKey(u32);

impl EntryKey {
    /// Returns a number below the greatest number of entries that there were at a time.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Entry {
    peer: PeerKey,
    what: What,
    /// What counts for the peer.
    charge: usize,
    since: u64,
    is_kept: bool,
    gave_way: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Own { bytes: usize },
    Shared { place: usize },
}

/// What one peer holds.
#[derive(Debug)]
struct Account {
    charge: usize,
    since: u64,
    entries: usize,
    /// The entries that can give way.
    ranks: BTreeSet<Rank<EntryKey>>,
}

#[derive(Debug)]
struct Shared {
    bytes: usize,
    holders: BTreeSet<EntryKey>,
    parts: usize,
}

/// The order in which to give way: the last is the first to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<K> {
    charge: usize,
    since: Reverse<u64>,
    key: K,
}

impl Budget {
    /// Makes a budget of so many bytes.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            held: 0,
            most: 0,
            buffers: 0,
            entries: Vec::new(),
            vacant: Vec::new(),
            accounts: BTreeMap::new(),
            ranks: BTreeSet::new(),
            shared: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Sets how many bytes may be held. Who is to give way for it comes out of the next
    /// [`poll_gives_way`](Self::poll_gives_way).
    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how many bytes are held.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Returns how many bytes were held at most, after those had given way who had to.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Adds an entry for a buffer of the peer's own.
    pub(super) fn add(&mut self, peer: PeerKey, bytes: usize) -> EntryKey {
        self.held += bytes;
        self.buffers += 1;
        self.insert(peer, What::Own { bytes }, bytes)
    }

    /// Adds an entry for a buffer that may have other holders too. `place` is where its last byte
    /// is in memory, which no other buffer shares while it is held.
    pub(super) fn add_shared(&mut self, peer: PeerKey, place: usize, bytes: usize) -> EntryKey {
        let key = self.insert(peer, What::Shared { place }, 0);
        let shared = self.shared.entry(place).or_insert_with(|| {
            self.held += bytes;
            self.buffers += 1;
            Shared { bytes, holders: BTreeSet::new(), parts: 1 }
        });
        shared.holders.insert(key);
        let charge = shared.bytes / shared.parts;
        if shared.holders.len() >= shared.parts * 2 {
            shared.parts *= 2;
            self.cut_anew(place);
        } else {
            self.set_charge(key, charge);
        }
        key
    }

    /// Sets what an entry of [`add`](Self::add) holds, and whether it is kept. One that gave way
    /// stays as it is.
    pub(super) fn set(&mut self, key: EntryKey, bytes: usize, is_kept: bool) {
        let Some(entry) = self.entry_mut(key).filter(|entry| !entry.gave_way) else { return };
        let What::Own { bytes: held } = &mut entry.what else { return };
        let before = core::mem::replace(held, bytes);
        let peer = entry.peer;
        self.held = self.held - before + bytes;
        self.unrank(peer, key);
        if let Some(entry) = self.entry_mut(key) {
            entry.is_kept = is_kept;
        }
        self.rank(peer, key, bytes);
    }

    /// Removes an entry, whose key is then another's.
    pub(super) fn remove(&mut self, key: EntryKey) {
        self.let_go(key);
        if self.entries.get_mut(key.index()).and_then(Option::take).is_some() {
            self.vacant.push(key.0);
        }
    }

    /// Returns who gives way next, and counts it no more. It has to let go of what it holds, and is
    /// [removed](Self::remove) then.
    ///
    /// `None`: no more is held than may be, or nobody is left who could give way. It may change
    /// after `add`, `add_shared`, `set` and `set_limit`. Poll until then after each of them.
    pub(super) fn poll_gives_way(&mut self) -> Option<EntryKey> {
        if self.held > self.limit && self.buffers > 1 {
            let account = self.ranks.last().and_then(|rank| self.accounts.get(&rank.key));
            if let Some(rank) = account.and_then(|account| account.ranks.last()) {
                let key = rank.key;
                self.let_go(key);
                return Some(key);
            }
        }
        self.most = self.most.max(self.held);
        None
    }

    fn insert(&mut self, peer: PeerKey, what: What, charge: usize) -> EntryKey {
        self.turn += 1;
        let since = self.turn;
        let entry = Entry { peer, what, charge: 0, since, is_kept: false, gave_way: false };
        let key = if let Some(slot) = self.vacant.pop() {
            self.entries[slot as usize] = Some(entry);
            EntryKey(slot)
        } else {
            self.entries.push(Some(entry));
            // As many entries as 2³² would not fit into memory.
            EntryKey(u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX))
        };
        let account = self.accounts.entry(peer).or_insert_with(|| Account {
            charge: 0,
            since,
            entries: 0,
            ranks: BTreeSet::new(),
        });
        account.entries += 1;
        self.rank(peer, key, charge);
        key
    }

    /// Counts what an entry holds no more.
    fn let_go(&mut self, key: EntryKey) {
        let Some(entry) = self.entry_mut(key).filter(|entry| !entry.gave_way) else { return };
        let (peer, what) = (entry.peer, entry.what);
        self.unrank(peer, key);
        if let Some(entry) = self.entry_mut(key) {
            entry.gave_way = true;
        }
        if let Some(account) = self.accounts.get_mut(&peer) {
            account.entries -= 1;
            if account.entries == 0 {
                self.ranks.remove(&account.rank(peer));
                self.accounts.remove(&peer);
            }
        }
        match what {
            What::Own { bytes } => {
                self.held -= bytes;
                self.buffers -= 1;
            }
            What::Shared { place } => self.leave(key, place),
        }
    }

    fn leave(&mut self, key: EntryKey, place: usize) {
        let Some(shared) = self.shared.get_mut(&place) else { return };
        shared.holders.remove(&key);
        if shared.holders.is_empty() {
            self.held -= shared.bytes;
            self.buffers -= 1;
            self.shared.remove(&place);
        } else if shared.holders.len() * 2 <= shared.parts {
            shared.parts /= 2;
            self.cut_anew(place);
        }
    }

    /// Gives each holder of a buffer its part.
    fn cut_anew(&mut self, place: usize) {
        let Some(shared) = self.shared.get(&place) else { return };
        let charge = shared.bytes / shared.parts;
        let holders: Vec<EntryKey> = shared.holders.iter().copied().collect();
        for key in holders {
            self.set_charge(key, charge);
        }
    }

    fn set_charge(&mut self, key: EntryKey, charge: usize) {
        let Some(peer) = self.entry_mut(key).map(|entry| entry.peer) else { return };
        self.unrank(peer, key);
        self.rank(peer, key, charge);
    }

    /// Takes an entry, which counts nothing from then on, out of all orders.
    fn unrank(&mut self, peer: PeerKey, key: EntryKey) {
        let Some(entry) = self.entries.get_mut(key.index()).and_then(Option::as_mut) else {
            return;
        };
        let Some(account) = self.accounts.get_mut(&peer) else { return };
        self.ranks.remove(&account.rank(peer));
        account.ranks.remove(&entry.rank(key));
        account.charge -= core::mem::take(&mut entry.charge);
        if !account.ranks.is_empty() {
            self.ranks.insert(account.rank(peer));
        }
    }

    /// Puts an entry that counts nothing yet into all orders.
    fn rank(&mut self, peer: PeerKey, key: EntryKey, charge: usize) {
        let Some(entry) = self.entries.get_mut(key.index()).and_then(Option::as_mut) else {
            return;
        };
        let Some(account) = self.accounts.get_mut(&peer) else { return };
        self.ranks.remove(&account.rank(peer));
        entry.charge = charge;
        account.charge += charge;
        if !entry.is_kept {
            account.ranks.insert(entry.rank(key));
        }
        if !account.ranks.is_empty() {
            self.ranks.insert(account.rank(peer));
        }
    }

    fn entry_mut(&mut self, key: EntryKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index())?.as_mut()
    }
}

impl Entry {
    const fn rank(&self, key: EntryKey) -> Rank<EntryKey> {
        Rank { charge: self.charge, since: Reverse(self.since), key }
    }
}

impl Account {
    const fn rank(&self, key: PeerKey) -> Rank<PeerKey> {
        Rank { charge: self.charge, since: Reverse(self.since), key }
    }
}

//! The other nodes, and what they have said: [`Nodes`].
//!
//! A node numbers the states of its list, so that what is missing is noticed, by whatever cause:
//!
//! ```text
//!  known as of 4    changes after 4, number 6    known as of 6
//!                   changes after 3, number 6    known as of 6: it says again what it said before
//!                   changes after 5, number 6    not known: 5 is missing, and the list is asked for
//!                   lease, number 5              not known
//! ```
//!
//! What a record says of a client is how many sessions it has, and not how many more. So each is
//! right of the clients that it names, also where another one is missing; and a page is right of
//! all between the page before it and its last client. While a list is not known, all that was said
//! of it holds.

use super::counters::PresenceCounters;
use super::everybody::{Everybody, Since};
use super::record::PresenceRecord;
use crate::broker::ClientId;
use crate::cluster::NodeId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;
use std::time::Instant;

/// Owns what is known of each other node, and which of them are to be asked for their lists.
#[derive(Debug)]
pub(super) struct Nodes {
    lease: Duration,
    most: usize,
    nodes: BTreeMap<NodeId, Other>,
    /// When each lease is over, of those that are ever over, the first first.
    leases: BTreeSet<(Instant, NodeId)>,
    /// Those that are to be asked for their lists.
    unasked: BTreeSet<NodeId>,
    /// Those that were asked, with the time when they are asked again.
    asked: BTreeSet<(Instant, NodeId)>,
}

#[derive(Debug, Default)]
struct Other {
    /// The number as of which the whole list is known.
    known: Option<u64>,
    /// The pages that have come, if all of them have so far.
    pages: Option<Pages>,
    clients: BTreeMap<ClientId, u32>,
    lease: Option<Instant>,
    ask_again: Option<Instant>,
    /// Some of its clients were not taken up, since as many are known as may be.
    is_cropped: bool,
}

/// A run of pages, from the first on.
#[derive(Debug)]
struct Pages {
    number: u64,
    /// The last client of the newest page.
    through: ClientId,
}

/// How long a node has for its list, or the next page of it, before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How many nodes are asked in one record.
const ASKED_AT_ONCE: usize = 256;

impl Nodes {
    pub(super) const fn new(lease: Duration, most: usize) -> Self {
        Self {
            lease,
            most,
            nodes: BTreeMap::new(),
            leases: BTreeSet::new(),
            unasked: BTreeSet::new(),
            asked: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// Takes what a node has said.
    pub(super) fn take(
        &mut self,
        node: NodeId,
        record: PresenceRecord,
        since: Since,
        everybody: &mut Everybody,
        counters: &mut PresenceCounters,
    ) {
        if matches!(record, PresenceRecord::Gone) {
            self.remove(node, since, everybody);
            return;
        }
        if !self.nodes.contains_key(&node) {
            // What it says cannot be read here, so that it is of no use to know it.
            let is_useless = matches!(record, PresenceRecord::Unknown { .. });
            if is_useless || self.nodes.len() >= self.most {
                counters.ignored += 1;
                return;
            }
        }
        self.renew(node, since);
        let Some(other) = self.nodes.get_mut(&node) else { return };
        match record {
            PresenceRecord::Changes { after, number, clients } => {
                other.follow(Some(after), number);
                other.set(clients, since, everybody, counters);
            }
            PresenceRecord::Lease { number } => other.follow(None, number),
            PresenceRecord::Page { number, after, clients, is_last } => {
                let after = after.as_ref();
                let through = clients.last().map(|(client, _)| client.clone());
                other.set_all(after, is_last, clients, since, everybody, counters);
                if other.turn(number, after, through.filter(|_| !is_last)) {
                    let next = since.now.checked_add(ASK_AGAIN).filter(|_| !is_last);
                    self.unasked.remove(&node);
                    self.await_list(node, next);
                }
            }
            PresenceRecord::Ask { nodes } => {
                // It asks for what was to be asked from here.
                let again = since.now.checked_add(ASK_AGAIN);
                for asked in nodes {
                    if self.unasked.remove(&asked) {
                        self.await_list(asked, again);
                    }
                }
            }
            PresenceRecord::Gone => {}
            PresenceRecord::Unknown { .. } => counters.ignored += 1,
        }
        self.want_list(node, everybody, counters);
    }

    /// A node that has said something has a whole lease from then on.
    fn renew(&mut self, node: NodeId, since: Since) {
        let other = self.nodes.entry(node).or_default();
        let lease = since.after(self.lease);
        // Engines that take over may have other clocks.
        let lease = if other.lease.is_some() { other.lease.max(lease) } else { lease };
        if let Some(old) = other.lease {
            self.leases.remove(&(old, node));
        }
        if let Some(lease) = lease {
            self.leases.insert((lease, node));
        }
        other.lease = lease;
    }

    /// Sees to it that the list of a node is asked for, unless it is known or on its way.
    fn want_list(&mut self, node: NodeId, everybody: &Everybody, counters: &mut PresenceCounters) {
        let Some(other) = self.nodes.get(&node) else { return };
        if other.known.is_some() {
            self.unasked.remove(&node);
            self.await_list(node, None);
            return;
        }
        if other.is_cropped && !everybody.has_room() {
            return;
        }
        if other.pages.is_none() && other.ask_again.is_none() && self.unasked.insert(node) {
            counters.unknown_lists += 1;
        }
    }

    /// Sets until when the list of a node has time to come; `None` where it does not come.
    fn await_list(&mut self, node: NodeId, until: Option<Instant>) {
        let Some(other) = self.nodes.get_mut(&node) else { return };
        let until = until.filter(|_| other.known.is_none());
        if let Some(old) = other.ask_again {
            self.asked.remove(&(old, node));
        }
        if let Some(until) = until {
            self.asked.insert((until, node));
        }
        other.ask_again = until;
    }

    /// Returns whether the list of a node is to come.
    pub(super) fn misses_list(&self) -> bool {
        !self.unasked.is_empty() || !self.asked.is_empty()
    }

    /// Returns which nodes are to be asked for their lists now.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Vec<NodeId>> {
        let nodes: Vec<NodeId> = self.unasked.iter().take(ASKED_AT_ONCE).copied().collect();
        for &node in &nodes {
            self.unasked.remove(&node);
            self.await_list(node, now.checked_add(ASK_AGAIN));
        }
        Some(nodes).filter(|nodes| !nodes.is_empty())
    }

    /// Returns when the next lease is over.
    pub(super) fn next_lapse(&self) -> Option<Instant> {
        self.leases.first().map(|(at, _)| *at)
    }

    /// Returns when a node is asked again.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        self.asked.first().map(|(at, _)| *at)
    }

    /// Gives up all nodes whose lease is over. Their clients have no session there since then, or,
    /// where nobody could say so, since `held_until`.
    pub(super) fn lapse(
        &mut self,
        now: Instant,
        held_until: Option<Instant>,
        everybody: &mut Everybody,
        counters: &mut PresenceCounters,
    ) {
        while let Some(&(at, node)) = self.leases.first().filter(|(at, _)| *at <= now) {
            let at = held_until.map_or(at, |held| held.max(at));
            let since = Since { now, age: now.saturating_duration_since(at) };
            self.remove(node, since, everybody);
            counters.lapsed += 1;
        }
    }

    /// Has those asked again that were asked and did not answer.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        everybody: &Everybody,
        counters: &mut PresenceCounters,
    ) {
        while let Some(&(_, node)) = self.asked.first().filter(|(at, _)| *at <= now) {
            self.await_list(node, None);
            if let Some(other) = self.nodes.get_mut(&node) {
                other.pages = None;
            }
            self.want_list(node, everybody, counters);
        }
    }

    /// The log was read to its end: a list that is on its way has some time from now on.
    pub(super) fn has_read_all(&mut self, now: Instant) {
        let unknown = self.nodes.iter().filter(|(_, other)| other.known.is_none());
        let on_their_way = unknown.map(|(node, _)| *node);
        let on_their_way = on_their_way.filter(|node| !self.unasked.contains(node));
        for node in on_their_way.collect::<Vec<_>>() {
            self.await_list(node, now.checked_add(ASK_AGAIN));
        }
    }

    fn remove(&mut self, node: NodeId, since: Since, everybody: &mut Everybody) {
        self.await_list(node, None);
        self.unasked.remove(&node);
        let Some(other) = self.nodes.remove(&node) else { return };
        if let Some(lease) = other.lease {
            self.leases.remove(&(lease, node));
        }
        for (client, sessions) in other.clients {
            everybody.change(&client, sessions, 0, since);
        }
    }
}

impl Other {
    /// Its list has this number now, for those who know it as of `after`, or of this number itself.
    fn follow(&mut self, after: Option<u64>, number: u64) {
        let follows = |known: &u64| *known <= number && after.unwrap_or(number) <= *known;
        self.known = self.known.filter(follows).map(|_| number);
        self.pages.take_if(|pages| !follows(&pages.number));
        if let Some(pages) = &mut self.pages {
            pages.number = number;
        }
    }

    /// A page has come; what it says is set. `through` is its last client if others follow. Returns
    /// whether it leads on to the whole list.
    fn turn(&mut self, number: u64, after: Option<&ClientId>, through: Option<ClientId>) -> bool {
        // A page may come twice, and may then end elsewhere.
        let follows = after
            .is_none_or(|after| self.pages.as_ref().is_some_and(|pages| *after <= pages.through));
        // Between its pages a node says all changes, so that the number is that of the newest.
        let misses = after.is_some() && self.pages.as_ref().is_some_and(|one| one.number != number);
        self.follow(None, number);
        if !follows || misses {
            self.pages = None;
            return false;
        }
        let is_last = through.is_none();
        self.pages = through.map(|through| Pages { number, through });
        if is_last && !self.is_cropped {
            self.known = Some(number);
        }
        true
    }

    fn set(
        &mut self,
        clients: Vec<(ClientId, u32)>,
        since: Since,
        everybody: &mut Everybody,
        counters: &mut PresenceCounters,
    ) {
        for (client, sessions) in clients {
            let before = self.clients.get(&client).copied().unwrap_or(0);
            if sessions > 0 && before == 0 && everybody.make_room(&client).is_err() {
                counters.left_out += 1;
                (self.is_cropped, self.known) = (true, None);
                continue;
            }
            everybody.change(&client, before, sessions, since);
            if sessions == 0 {
                self.clients.remove(&client);
            } else {
                let name = everybody.name(&client);
                self.clients.insert(name, sessions);
            }
        }
    }

    /// Sets all clients after one, up to the last of these, or all that there are.
    fn set_all(
        &mut self,
        after: Option<&ClientId>,
        is_last: bool,
        clients: Vec<(ClientId, u32)>,
        since: Since,
        everybody: &mut Everybody,
        counters: &mut PresenceCounters,
    ) {
        if after.is_none() {
            self.is_cropped = false;
        }
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let end = match clients.last() {
            Some((last, _)) if !is_last => Bound::Included(last),
            _ => Bound::Unbounded,
        };
        let named =
            |client: &ClientId| clients.binary_search_by(|(one, _)| one.cmp(client)).is_ok();
        let others = self.clients.range::<ClientId, _>((start, end));
        let others = others.map(|(client, _)| client).filter(|client| !named(client));
        let others: Vec<_> = others.map(|client| (client.clone(), 0)).collect();
        self.set(others, since, everybody, counters);
        self.set(clients, since, everybody, counters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;

    const NODE: NodeId = NodeId(7);
    const LEASE: Duration = Duration::from_secs(15);

    struct World {
        now: Instant,
        nodes: Nodes,
        everybody: Everybody,
        counters: PresenceCounters,
    }

    impl World {
        fn new(clients: usize) -> Self {
            let everybody = Everybody::new(Duration::from_secs(30), clients);
            let nodes = Nodes::new(LEASE, 2);
            Self { now: base_instant(), nodes, everybody, counters: PresenceCounters::default() }
        }

        fn take_from(&mut self, node: NodeId, record: PresenceRecord) {
            let since = Since::now(self.now);
            self.nodes.take(node, record, since, &mut self.everybody, &mut self.counters);
        }

        fn take(&mut self, record: PresenceRecord) {
            self.take_from(NODE, record);
        }

        fn is_known(&self) -> Option<u64> {
            self.nodes.nodes[&NODE].known
        }

        fn here(&self) -> Vec<(&str, usize)> {
            self.everybody.after(None).map(|(client, count)| (client.as_str(), count)).collect()
        }
    }

    fn some(clients: &[(&str, u32)]) -> Vec<(ClientId, u32)> {
        clients.iter().map(|(name, count)| (ClientId::new(name).unwrap(), *count)).collect()
    }

    fn changes(after: u64, number: u64, clients: &[(&str, u32)]) -> PresenceRecord {
        PresenceRecord::Changes { after, number, clients: some(clients) }
    }

    fn page(
        number: u64,
        after: Option<&str>,
        clients: &[(&str, u32)],
        is_last: bool,
    ) -> PresenceRecord {
        let after = after.map(|name| ClientId::new(name).unwrap());
        PresenceRecord::Page { number, after, clients: some(clients), is_last }
    }

    #[test]
    fn changes_that_follow_keep_a_list_known_and_a_missing_one_has_it_asked_for() {
        let mut world = World::new(10);
        world.take(page(4, None, &[("ann", 1)], true));
        assert_eq!((world.is_known(), world.nodes.ask(world.now)), (Some(4), None));
        world.take(changes(4, 6, &[("bob", 2)]));
        world.take(changes(3, 7, &[("bob", 3)]));
        world.take(PresenceRecord::Lease { number: 7 });
        assert_eq!(world.is_known(), Some(7));
        world.take(changes(8, 9, &[("ann", 0), ("cid", 1)]));
        assert_eq!(world.is_known(), None);
        // What it says is right of those whom it names all the same.
        assert_eq!(world.here(), [("ann", 0), ("bob", 3), ("cid", 1)]);
        assert_eq!(world.nodes.ask(world.now), Some(alloc::vec![NODE]));
        assert_eq!(world.nodes.ask(world.now), None);
        world.take(page(9, None, &[("cid", 1)], true));
        assert_eq!((world.is_known(), world.nodes.next_ask()), (Some(9), None));
        assert_eq!(world.here(), [("ann", 0), ("bob", 0), ("cid", 1)]);
        world.take(PresenceRecord::Lease { number: 10 });
        assert_eq!(world.is_known(), None);
    }

    #[test]
    fn a_list_comes_in_pages_and_is_known_with_the_last_if_none_is_missing() {
        let mut world = World::new(10);
        world.take(changes(0, 1, &[("bob", 9), ("zoe", 9)]));
        world.take(page(1, None, &[("ann", 1), ("cid", 1)], false));
        assert_eq!((world.is_known(), world.here().len()), (None, 4));
        world.take(changes(1, 2, &[("cid", 2)]));
        // A page that is said twice ends where it ends.
        world.take(page(2, Some("cid"), &[("dan", 1)], false));
        world.take(page(2, Some("cid"), &[("dan", 1), ("eve", 1)], false));
        world.take(page(2, Some("eve"), &[], true));
        assert_eq!(world.is_known(), Some(2));
        let here = [("ann", 1), ("bob", 0), ("cid", 2), ("dan", 1), ("eve", 1), ("zoe", 0)];
        assert_eq!(world.here(), here);

        let mut world = World::new(10);
        world.take(page(1, None, &[("ann", 1)], false));
        world.take(page(1, Some("cid"), &[], true));
        assert_eq!(world.is_known(), None, "what is between ann and cid is missing");
        world.take(page(1, None, &[("ann", 1)], false));
        world.take(page(3, Some("ann"), &[], true));
        assert_eq!(world.is_known(), None, "changes are missing");
    }

    #[test]
    fn a_node_that_does_not_answer_is_asked_again_and_one_that_others_ask_is_not() {
        let mut world = World::new(10);
        world.take(PresenceRecord::Lease { number: 1 });
        assert_eq!(world.nodes.ask(world.now), Some(alloc::vec![NODE]));
        assert_eq!(world.nodes.next_ask(), Some(world.now + ASK_AGAIN));
        world.now += ASK_AGAIN;
        world.nodes.handle_timeout(world.now, &world.everybody, &mut world.counters);
        world.take_from(NodeId(8), PresenceRecord::Ask { nodes: alloc::vec![NODE] });
        assert_eq!(world.nodes.ask(world.now), Some(alloc::vec![NodeId(8)]));
        assert!(world.nodes.next_ask().is_some());
        // A page that has come is a sign that more will.
        world.now += ASK_AGAIN / 2;
        world.take(page(1, None, &[("ann", 1)], false));
        assert_eq!(world.nodes.nodes[&NODE].ask_again, Some(world.now + ASK_AGAIN));
    }

    #[test]
    fn a_node_that_is_gone_or_silent_for_its_lease_has_no_sessions_any_more() {
        let mut world = World::new(10);
        world.take(page(1, None, &[("ann", 1)], true));
        world.take_from(NodeId(8), page(1, None, &[("ann", 2), ("bob", 1)], true));
        assert_eq!(world.here(), [("ann", 3), ("bob", 1)]);
        world.take(PresenceRecord::Gone);
        assert_eq!(world.here(), [("ann", 2), ("bob", 1)]);
        let until = world.nodes.next_lapse().unwrap();
        assert_eq!(until, world.now + LEASE);
        world.nodes.lapse(until, None, &mut world.everybody, &mut world.counters);
        assert_eq!(world.here(), [("ann", 0), ("bob", 0)]);
        assert_eq!((world.nodes.len(), world.nodes.next_lapse()), (0, None));
        assert!(world.nodes.unasked.is_empty() && world.nodes.asked.is_empty());
    }

    #[test]
    fn nodes_and_clients_beyond_what_may_be_are_left_out_and_asked_for_when_there_is_room() {
        let mut world = World::new(2);
        world.take_from(NodeId(8), page(1, None, &[], true));
        world.take(page(1, None, &[("ann", 1), ("bob", 1), ("cid", 1)], true));
        assert_eq!((world.counters.left_out, world.here().len()), (1, 2));
        assert_eq!(world.nodes.ask(world.now), None);
        world.take_from(NodeId(9), page(1, None, &[], true));
        assert_eq!((world.counters.ignored, world.nodes.len()), (1, 2));
        world.take(changes(1, 2, &[("ann", 0)]));
        assert_eq!(world.nodes.ask(world.now), Some(alloc::vec![NODE]));
        // Who is without a session makes room.
        world.take(page(2, None, &[("bob", 1), ("cid", 1)], true));
        assert_eq!(world.is_known(), Some(2));
        assert_eq!(world.here(), [("bob", 1), ("cid", 1)]);
    }
}

//! Who is present on the nodes of a realm: [`Presence`], a machine that says what it knows to the
//! other nodes, and puts together what they say.

mod change;
mod config;
mod counters;
mod everybody;
mod here;
mod nodes;
mod outbox;
mod record;

pub use change::PresenceChange;
pub use config::PresenceConfig;
pub use counters::PresenceCounters;
pub use record::PresenceRecord;

use super::{NodeHealth, NodeId};
use crate::broker::{
    BrokerEvent, ClientId, EventNumber, PresenceCursor, PresencePage, PublishError,
};
use core::time::Duration;
use everybody::{Everybody, Since};
use here::Here;
use nodes::Nodes;
use outbox::Outbox;
use std::time::Instant;

/// Who is present, over all nodes of a realm: which clients, with how many sessions in all.
///
/// It is a plain value without a lock, a clock or a socket. [`RealmPresence`](super::RealmPresence)
/// drives it in a [`Realm`](super::Realm).
///
/// # What a node says
///
/// Each node says of the clients that are on it, as records in the realm's own log: [what has
/// changed](PresenceRecord::Changes), [that it is there](PresenceRecord::Lease), and, when it joins
/// or [is asked](PresenceRecord::Ask), [its whole list](PresenceRecord::Page). So presence needs
/// nothing of an engine that a log has not, comes in the one order that all nodes share, and a hole
/// in it is a hole in the log, which readers know already. What that costs: each record takes a
/// position, though no session hears of it. A node takes one in 5 s while nothing happens, and ten
/// a second at most while clients come and go.
///
/// # When a client leaves
///
/// A client is present from its first session on any node until it has had none on any node for the
/// [grace time](PresenceConfig::grace). So one that moves from node to node does not leave. What is
/// known of a node that says nothing for its [lease](PresenceConfig::lease) holds no more: its
/// clients have no session there, and leave after the grace time, unless they are elsewhere. A node
/// that shuts down says so, and nobody waits for its lease. A process that is started again is
/// another node, and its clients count once, since the sessions of its earlier life end with that.
///
/// # While the engine is away
///
/// What this node sees itself goes on. Of others nothing can be known, so that nobody leaves, and
/// no lease is over, until 15 s (a lease) after all that there was has been read again. The same
/// holds when the node has joined, and where this process stood still. What is missing in the log
/// is noticed by the numbers of the records, within 5 s (the time of renewal); until it was said
/// again, what was known holds, and who is to leave leaves 15 s later at most.
///
/// # Bounds
///
/// Clients, nodes, what waits and the size of a record are bounded by the
/// [configuration](PresenceConfig). Applying a record costs as much as it has clients, each a
/// search among all.
///
/// ```
/// use sansse::broker::ClientId;
/// use sansse::cluster::{NodeHealth, NodeId, Presence, PresenceConfig, PresenceRecord};
/// use std::time::Duration;
/// # let now = std::time::Instant::now();
///
/// let mut presence = Presence::new(now, NodeId(1), PresenceConfig::new());
/// presence.handle_health(now, NodeHealth::Ready);
///
/// // Another node says who is there.
/// let ann = ClientId::new("ann")?;
/// let clients = vec![(ann.clone(), 2)];
/// let list = PresenceRecord::Page { number: 1, after: None, clients, is_last: true };
/// presence.handle_record(now, NodeId(2), list, Duration::ZERO);
/// assert_eq!(presence.sessions_of(&ann), Some(2));
/// assert!(presence.poll_change().is_some_and(|change| change.has_come()));
///
/// // It says nothing more: its lease is over after 15 s, and the grace time 30 s later.
/// presence.handle_timeout(now + Duration::from_secs(15));
/// assert_eq!(presence.sessions_of(&ann), Some(0));
/// presence.handle_timeout(now + Duration::from_secs(45));
/// assert_eq!(presence.sessions_of(&ann), None);
/// # Ok::<(), sansse::broker::NameError>(())
/// ```
#[derive(Debug)]
pub struct Presence {
    node: NodeId,
    config: PresenceConfig,
    now: Instant,
    here: Here,
    nodes: Nodes,
    everybody: Everybody,
    outbox: Outbox,
    /// The log is read as it grows.
    is_well: bool,
    was_well: bool,
    /// Nobody leaves before that time, since what others said meanwhile may not be known yet.
    held_until: Option<Instant>,
    /// Before that time a pause of this process is no reason to hold anybody once more.
    paused_until: Option<Instant>,
    has_left: bool,
    counters: PresenceCounters,
}

/// By how much a driver that comes later has been stopped, with its whole process.
const PAUSE: Duration = Duration::from_secs(5);

impl Presence {
    /// Makes the presence of a node, of which nothing is known yet.
    pub fn new(now: Instant, node: NodeId, config: PresenceConfig) -> Self {
        Self {
            node,
            now,
            here: Here::new(),
            nodes: Nodes::new(config.lease, config.nodes.get()),
            everybody: Everybody::new(config.grace, config.clients.get()),
            outbox: Outbox::new(),
            is_well: false,
            was_well: false,
            held_until: None,
            paused_until: None,
            has_left: false,
            counters: PresenceCounters::default(),
            config,
        }
    }

    /// Takes an event of a shard, with its number.
    pub fn handle_event(&mut self, now: Instant, number: EventNumber, event: &BrokerEvent) {
        self.advance(now);
        if let Some((client, before, sessions)) = self.here.take_event(number, event) {
            self.change(client, before, sessions);
        }
    }

    /// Records that events were missed: the list of this node is made anew, from
    /// [pages](Self::wanted_page).
    pub fn handle_missed_events(&mut self, now: Instant) {
        self.advance(now);
        self.here.begin_anew();
    }

    /// Returns the page of this node's clients that is wanted, for
    /// [`Hub::presence_page`](crate::Hub::presence_page).
    ///
    /// `None`: none is. [`handle_missed_events`](Self::handle_missed_events) changes that, and a
    /// [`handle_event`](Self::handle_event) whose number does not follow the one before; each
    /// [`handle_page`](Self::handle_page) brings the next one, until there is none. At first all are
    /// wanted.
    pub fn wanted_page(&self) -> Option<&PresenceCursor> {
        self.here.wanted_page()
    }

    /// Takes a page of this node's clients, and the cursor of the next page, of this shard or the
    /// next. Events that the page counts already may be taken before it or after it: either is right.
    pub fn handle_page(&mut self, now: Instant, page: PresencePage, next: Option<PresenceCursor>) {
        self.advance(now);
        for (client, before, sessions) in self.here.take_page(page, next) {
            self.change(client, before, sessions);
        }
    }

    /// Something changed on this node.
    fn change(&mut self, client: ClientId, before: u32, sessions: u32) {
        // Where there is no room at all, those of this node are known all the same: the limits of
        // its shards hold for them.
        let _ = self.everybody.make_room(&client);
        self.everybody.change(&client, before, sessions, Since::now(self.now));
        if !self.has_left {
            self.outbox.change(self.everybody.name(&client), &self.config);
        }
    }

    /// Takes a record of the log, and how old it is by the engine's clock. All records of all nodes
    /// are to be taken, in the order of the log.
    pub fn handle_record(
        &mut self,
        now: Instant,
        node: NodeId,
        record: PresenceRecord,
        age: Duration,
    ) {
        self.advance(now);
        // What this node has said it knows.
        if node == self.node {
            return;
        }
        if let PresenceRecord::Ask { nodes } = &record
            && nodes.contains(&self.node)
        {
            self.outbox.want_pages();
        }
        let since = Since { now: self.now, age };
        self.nodes.take(node, record, since, &mut self.everybody, &mut self.counters);
    }

    /// Records that something is missing in the log. The numbers of the next records say what; this
    /// node says its own at once.
    pub fn handle_cut(&mut self, now: Instant) {
        self.advance(now);
        self.outbox.renew();
    }

    /// Takes how well the node is. While it is not [ready](NodeHealth::Ready), nobody leaves, and
    /// nothing is said.
    pub fn handle_health(&mut self, now: Instant, health: NodeHealth) {
        self.advance(now);
        let was_well = core::mem::replace(&mut self.is_well, health == NodeHealth::Ready);
        if !self.is_well || was_well {
            return;
        }
        self.nodes.has_read_all(self.now);
        self.outbox.renew();
        // What was read when it joined says itself how old it is, so that those go at once that are
        // long gone. Later, others may have been away as long as this node.
        if !core::mem::replace(&mut self.was_well, true) {
            self.do_due();
        }
        // Those who come back at the same moment have not said yet who is with them.
        self.hold();
        self.do_due();
    }

    /// Takes what came of the record that [`poll_record`](Self::poll_record) gave last. One that
    /// was not appended, or of which nobody knows, is said again in some form.
    pub fn handle_settled(&mut self, now: Instant, result: Result<(), PublishError>) {
        self.advance(now);
        self.counters.failed += u64::from(result.is_err());
        self.outbox.settled(self.now, result);
    }

    /// Does what is due. Call it at the time of [`poll_timeout`](Self::poll_timeout); at any other
    /// time it does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.do_due();
    }

    fn do_due(&mut self) {
        let now = self.now;
        self.outbox.handle_timeout(now);
        if !self.is_well {
            return;
        }
        self.nodes.handle_timeout(now, &self.everybody, &mut self.counters);
        if self.held_until.is_none_or(|until| until <= now) {
            let held_until = self.held_until.take();
            self.nodes.lapse(now, held_until, &mut self.everybody, &mut self.counters);
            self.everybody.handle_timeout(now, self.delay());
        }
    }

    /// Returns the next record that is to be appended to the log. There is one at a time: after it
    /// [`handle_settled`](Self::handle_settled) is to be called.
    ///
    /// `None`: there is none now. That may change after each other call, and with time.
    pub fn poll_record(&mut self, now: Instant) -> Option<PresenceRecord> {
        self.advance(now);
        if !self.is_well || self.has_left {
            return None;
        }
        let Self { outbox, nodes, here, config, now, .. } = self;
        let record = outbox.next(*now, here, config, || nodes.ask(*now))?;
        self.counters.said += 1;
        self.counters.pages += u64::from(matches!(record, PresenceRecord::Page { .. }));
        Some(record)
    }

    /// Returns the last record of this node, which says that it is gone. After that
    /// [`poll_record`](Self::poll_record) gives none. Call it when the node shuts down.
    pub fn leave(&mut self, now: Instant) -> Option<PresenceRecord> {
        self.advance(now);
        // Who was never well has said nothing.
        let has_left = core::mem::replace(&mut self.has_left, true);
        (self.was_well && !has_left).then_some(PresenceRecord::Gone)
    }

    /// Returns what the application is to be told next. Changes of one client that follow each
    /// other before this is polled are one, or none.
    ///
    /// `None`: there is nothing now. That may change after each `handle_*`. There is nothing until
    /// the node was ready for the first time, since what it reads until then may be long past.
    pub fn poll_change(&mut self) -> Option<PresenceChange> {
        if self.was_well { self.everybody.poll_change() } else { None }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called.
    ///
    /// `None`: at no time. That may change after each other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.is_well {
            return None;
        }
        let (lapse, leaves) = (self.nodes.next_lapse(), self.everybody.next_timeout(self.delay()));
        let goes = [lapse, leaves].into_iter().flatten().min();
        let goes = goes.map(|at| self.held_until.map_or(at, |until| until.max(at)));
        let says = self.outbox.next_timeout().filter(|_| !self.has_left);
        [goes, says, self.nodes.next_ask()].into_iter().flatten().min()
    }

    /// Returns how many sessions a client has on all nodes; `None` if it is not present. 0: it has
    /// none, and stays for its grace time.
    pub fn sessions_of(&self, client: &ClientId) -> Option<usize> {
        self.everybody.sessions(client)
    }

    /// Returns the clients that are present, in the order of their names, each with its sessions on
    /// all nodes: those behind `after`, or all.
    pub fn clients_after(
        &self,
        after: Option<&ClientId>,
    ) -> impl Iterator<Item = (&ClientId, usize)> {
        self.everybody.after(after)
    }

    /// Returns how many clients are present.
    pub fn len(&self) -> usize {
        self.everybody.len()
    }

    /// Returns whether no client is present.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the other nodes that are there, in the order of their numbers.
    pub fn other_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.ids()
    }

    /// Returns whether no other node that is there has a lower number.
    pub fn is_first(&self) -> bool {
        self.other_nodes().next().is_none_or(|first| self.node < first)
    }

    /// Returns what was done.
    pub fn counters(&self) -> PresenceCounters {
        let (clients, nodes) = (self.len() as u64, self.nodes.len() as u64);
        PresenceCounters { clients, nodes, ..self.counters }
    }

    /// Returns by how much later clients leave: they may be in a list that is on its way.
    fn delay(&self) -> Duration {
        if self.nodes.misses_list() { self.config.lease } else { Duration::ZERO }
    }

    /// Lets nobody leave for the time of a lease.
    fn hold(&mut self) {
        self.held_until = self.now.checked_add(self.config.lease);
    }

    fn advance(&mut self, now: Instant) {
        let due = self.poll_timeout();
        self.now = self.now.max(now);
        let is_late = due.is_some_and(|due| self.now.saturating_duration_since(due) >= PAUSE);
        // One that is always late must notice all the same that a node is gone.
        if is_late && self.paused_until.is_none_or(|until| until <= self.now) {
            self.hold();
            self.paused_until = self.now.checked_add(4 * self.config.lease);
        }
    }
}

#[cfg(test)]
mod tests;

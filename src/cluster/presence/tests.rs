//! What one node says, and when it holds what others have said.

use super::*;
use crate::base_instant::base_instant;
use crate::broker::{Broker, BrokerConfig, Epoch, SessionConfig, SessionId};
use crate::cluster::LogErrorKind;
use alloc::vec::Vec;
use core::num::NonZeroUsize;

const HERE: NodeId = NodeId(5);
const THERE: NodeId = NodeId(7);
const SECOND: Duration = Duration::from_secs(1);

struct World {
    now: Instant,
    broker: Broker,
    presence: Presence,
}

impl World {
    fn new(set: impl FnOnce(&mut PresenceConfig)) -> Self {
        let now = base_instant();
        let mut config = BrokerConfig::new(Epoch(1));
        (config.session.heartbeat, config.session.stall_timeout) = (None, None);
        let broker = Broker::new(now, config).unwrap();
        let mut config = PresenceConfig::new();
        set(&mut config);
        let presence = Presence::new(now, HERE, config);
        let mut world = Self { now, broker, presence };
        world.take_pages();
        world
    }

    /// One that is ready, and has said that nobody is there.
    fn ready() -> Self {
        Self::ready_with(|_| {})
    }

    fn ready_with(set: impl FnOnce(&mut PresenceConfig)) -> Self {
        let mut world = Self::new(set);
        world.presence.handle_health(world.now, NodeHealth::Ready);
        assert_eq!(world.say(), Some(page(0, None, &[], true)));
        world
    }

    fn take_pages(&mut self) {
        while self.presence.wanted_page().is_some() {
            let page = self.broker.presence_page(None, usize::MAX, |_, _| ());
            self.presence.handle_page(self.now, page, None);
        }
    }

    fn open(&mut self, name: &str) -> SessionId {
        let config = SessionConfig::new().with_client(ClientId::new(name).unwrap());
        let opened = self.broker.open(self.now, config).unwrap();
        self.take_events();
        opened.session
    }

    fn close(&mut self, session: SessionId) {
        self.broker.handle_disconnect(self.now, session);
        self.take_events();
    }

    fn take_events(&mut self) {
        while let Some((number, event)) = self.broker.poll_event() {
            self.presence.handle_event(self.now, number, &event);
        }
    }

    /// Lets time pass, and stops at each deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.presence.poll_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now);
            self.now = at;
            self.presence.handle_timeout(at);
            assert!(self.presence.poll_timeout().is_none_or(|next| next > at), "it would spin");
        }
        self.now = end;
    }

    fn begin(&mut self) -> Option<PresenceRecord> {
        self.presence.poll_record(self.now)
    }

    fn settle(&mut self, result: Result<(), PublishError>) {
        self.presence.handle_settled(self.now, result);
    }

    /// Says a record, which the engine takes.
    fn say(&mut self) -> Option<PresenceRecord> {
        let record = self.begin()?;
        self.settle(Ok(()));
        Some(record)
    }

    fn hear(&mut self, record: PresenceRecord) {
        self.presence.handle_record(self.now, THERE, record, Duration::ZERO);
    }

    fn here(&self) -> Vec<(&str, usize)> {
        let clients = self.presence.clients_after(None);
        clients.map(|(client, sessions)| (client.as_str(), sessions)).collect()
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

/// One client of a name of three bytes to a record.
fn one_at_a_time(config: &mut PresenceConfig) {
    config.record_bytes = PresenceRecord::MOST_BESIDE + 11;
}

#[test]
fn a_node_begins_with_its_list_and_then_says_that_it_is_there_every_five_seconds() {
    let mut world = World::new(|_| {});
    world.open("ann");
    assert_eq!(world.begin(), None, "it has not read the log yet");
    world.presence.handle_health(world.now, NodeHealth::Ready);
    assert_eq!(world.say(), Some(page(0, None, &[("ann", 1)], true)));
    assert_eq!(world.say(), Some(changes(0, 1, &[("ann", 1)])));
    assert_eq!(world.say(), None);
    world.pass(5 * SECOND - Duration::from_millis(1));
    assert_eq!(world.say(), None);
    for _ in 0..3 {
        world.pass(Duration::from_millis(1));
        assert_eq!(world.say(), Some(PresenceRecord::Lease { number: 1 }));
        assert_eq!(world.say(), None);
        world.pass(5 * SECOND - Duration::from_millis(1));
    }
    // What is missing in the log may be its own: it says at once which number it has.
    world.presence.handle_cut(world.now);
    assert_eq!(world.say(), Some(PresenceRecord::Lease { number: 1 }));
}

#[test]
fn a_time_of_renewal_of_zero_says_nothing_without_end() {
    let mut world = World::ready_with(|config| config.renew = Duration::ZERO);
    assert_eq!(world.say(), None);
    world.pass(Duration::from_millis(100));
    assert_eq!(world.say(), Some(PresenceRecord::Lease { number: 0 }));
    assert_eq!(world.say(), None);
}

#[test]
fn of_what_changes_while_a_record_is_under_way_the_newest_is_said() {
    let mut world = World::ready();
    let session = world.open("ann");
    assert_eq!(world.begin(), Some(changes(0, 1, &[("ann", 1)])));
    world.open("ann");
    world.open("bob");
    world.close(session);
    let passing = world.open("cid");
    world.close(passing);
    assert_eq!(world.begin(), None);
    world.settle(Ok(()));
    assert_eq!(world.say(), None, "not so soon after the last");
    world.pass(Duration::from_millis(100));
    assert_eq!(world.say(), Some(changes(1, 2, &[("ann", 1), ("bob", 1), ("cid", 0)])));
}

#[test]
fn what_was_refused_is_said_again_and_what_is_unconfirmed_is_said_with_the_next() {
    let mut world = World::ready();
    world.open("ann");
    let record = world.begin().unwrap();
    world.settle(Err(PublishError::Busy));
    assert_eq!(world.begin(), None);
    world.pass(SECOND);
    assert_eq!(world.begin(), Some(record), "nobody has that number yet");
    world.settle(Err(PublishError::Unconfirmed));
    world.open("bob");
    world.pass(SECOND);
    // Who has number 1 and who has not can both go on with it.
    assert_eq!(world.say(), Some(changes(0, 2, &[("ann", 1), ("bob", 1)])));
    assert_eq!(world.presence.counters().failed, 2);
    world.pass(5 * SECOND);
    world.begin().unwrap();
    world.settle(Err(PublishError::EngineDown));
    world.pass(SECOND);
    assert_eq!(world.say(), Some(PresenceRecord::Lease { number: 2 }));
}

#[test]
fn too_many_changes_are_said_as_the_whole_list_and_nobody_takes_the_old_one_for_it() {
    let mut world = World::ready_with(|config| {
        config.queued_changes = NonZeroUsize::new(2).unwrap();
    });
    world.open("ann");
    assert_eq!(world.begin(), Some(changes(0, 1, &[("ann", 1)])));
    for name in ["bob", "cid", "dan", "eve"] {
        world.open(name);
    }
    world.settle(Ok(()));
    let all = [("ann", 1), ("bob", 1), ("cid", 1), ("dan", 1), ("eve", 1)];
    assert_eq!(world.say(), Some(page(2, None, &all, true)));
    world.pass(SECOND);
    assert_eq!(world.say(), Some(changes(2, 3, &[("eve", 1)])));
}

#[test]
fn changes_have_their_turn_between_pages_and_a_list_that_grows_too_fast_begins_anew() {
    let mut world = World::ready_with(|config| {
        one_at_a_time(config);
        config.queued_changes = NonZeroUsize::new(2).unwrap();
        config.spacing = Duration::ZERO;
    });
    for name in ["ann", "bob", "cid"] {
        world.open(name);
    }
    assert_eq!(world.say(), Some(page(1, None, &[("ann", 1)], false)));
    world.open("ann");
    assert_eq!(world.say(), Some(changes(1, 2, &[("ann", 2)])));
    // A page that failed is said again.
    assert_eq!(world.begin(), Some(page(2, Some("ann"), &[("bob", 1)], false)));
    world.settle(Err(PublishError::EngineDown));
    world.pass(SECOND);
    assert_eq!(world.begin(), Some(page(2, Some("ann"), &[("bob", 1)], false)));
    for name in ["dan", "eve", "fay"] {
        world.open(name);
    }
    world.settle(Ok(()));
    assert_eq!(world.say(), Some(page(3, None, &[("ann", 2)], false)));
    for (after, name) in [("ann", "bob"), ("bob", "cid"), ("cid", "dan"), ("dan", "eve")] {
        assert_eq!(world.say(), Some(page(3, Some(after), &[(name, 1)], false)));
    }
    assert_eq!(world.say(), Some(page(3, Some("eve"), &[("fay", 1)], true)));
    assert_eq!(world.say(), None);
}

#[test]
fn a_node_that_is_asked_says_its_list_and_says_it_again_to_who_came_too_late() {
    let mut world = World::ready_with(one_at_a_time);
    let gone = world.open("ann");
    world.open("bob");
    assert_eq!(world.say(), Some(changes(0, 1, &[("ann", 1)])));
    world.pass(SECOND);
    assert_eq!(world.say(), Some(changes(1, 2, &[("bob", 1)])));
    let ask = || PresenceRecord::Ask { nodes: alloc::vec![NodeId(1), HERE] };
    world.hear(ask());
    // It asks as well, since it does not know the other one.
    assert_eq!(world.say(), Some(PresenceRecord::Ask { nodes: alloc::vec![THERE] }));
    assert_eq!(world.say(), Some(page(2, None, &[("ann", 1)], false)));
    world.hear(ask());
    world.hear(ask());
    world.close(gone);
    world.pass(SECOND);
    assert_eq!(world.say(), Some(changes(2, 3, &[("ann", 0)])));
    assert_eq!(world.say(), Some(page(3, Some("ann"), &[("bob", 1)], true)));
    assert_eq!(world.say(), Some(page(3, None, &[("bob", 1)], true)));
    assert_eq!(world.say(), None);
    world.hear(PresenceRecord::Ask { nodes: alloc::vec![NodeId(1)] });
    assert_eq!(world.say(), None);
}

#[test]
fn while_the_engine_is_away_nothing_is_said_and_nobody_leaves() {
    let mut world = World::ready();
    world.hear(page(1, None, &[("ann", 1)], true));
    let session = world.open("bob");
    world.say().unwrap();
    let (since, error) = (world.now, LogErrorKind::Unreachable);
    world.presence.handle_health(world.now, NodeHealth::Stale { since, error });
    world.close(session);
    world.pass(300 * SECOND);
    world.presence.handle_timeout(world.now);
    assert_eq!((world.begin(), world.presence.poll_timeout()), (None, None));
    assert_eq!(world.here(), [("ann", 1), ("bob", 0)]);
    world.presence.handle_health(world.now, NodeHealth::Ready);
    assert_eq!(world.say(), Some(changes(1, 2, &[("bob", 0)])));
    world.pass(14 * SECOND);
    assert_eq!(world.here(), [("ann", 1), ("bob", 0)]);
    // The other node does not come back.
    world.pass(SECOND);
    assert_eq!(world.here(), [("ann", 0)]);
    world.pass(30 * SECOND);
    assert_eq!(world.here(), []);
}

#[test]
fn who_may_be_in_a_list_that_is_on_its_way_leaves_later_but_leaves() {
    let mut world = World::ready();
    world.hear(page(1, None, &[("ann", 1), ("bob", 1)], true));
    world.hear(changes(1, 2, &[("ann", 0), ("bob", 0)]));
    for _ in 0..7 {
        world.pass(4 * SECOND);
        world.hear(PresenceRecord::Lease { number: 2 });
    }
    // Something is missing, and what that is it does not say.
    world.hear(PresenceRecord::Lease { number: 3 });
    world.pass(10 * SECOND);
    assert_eq!(world.here(), [("ann", 0), ("bob", 0)]);
    world.hear(changes(3, 4, &[("bob", 1)]));
    world.pass(7 * SECOND);
    assert_eq!(world.here(), [("bob", 1)]);
}

#[test]
fn a_process_that_stood_still_gives_others_the_time_of_a_lease_but_not_again_and_again() {
    let mut world = World::ready();
    world.hear(page(1, None, &[("ann", 1)], true));
    world.pass(SECOND);
    world.now += 60 * SECOND;
    world.presence.handle_timeout(world.now);
    assert_eq!(world.here(), [("ann", 1)]);
    // One that is always late.
    world.now += 30 * SECOND;
    world.presence.handle_timeout(world.now);
    assert_eq!(world.here(), [("ann", 0)]);
}

#[test]
fn what_a_node_reads_when_it_joins_is_as_old_as_it_is() {
    let mut world = World::new(|_| {});
    let hear = |world: &mut World, node, record, age| {
        world.presence.handle_record(world.now, NodeId(node), record, age * SECOND);
    };
    hear(&mut world, 1, page(1, None, &[("old", 1)], true), 100);
    hear(&mut world, 2, page(1, None, &[("dead", 1)], true), 30);
    hear(&mut world, 3, page(1, None, &[("ann", 1), ("bob", 1), ("cid", 1)], true), 40);
    hear(&mut world, 3, changes(1, 2, &[("bob", 0)]), 35);
    hear(&mut world, 3, changes(2, 3, &[("cid", 0)]), 10);
    assert_eq!(world.presence.poll_change(), None);
    world.presence.handle_health(world.now, NodeHealth::Ready);
    assert_eq!(world.here(), [("ann", 1), ("cid", 0), ("dead", 0)]);
    let told = core::iter::from_fn(|| world.presence.poll_change());
    let told: Vec<_> = told.map(|change| (change.before, change.sessions)).collect();
    assert_eq!(told, [(None, Some(1)), (None, Some(0)), (None, Some(0))]);
    assert!(world.presence.other_nodes().eq([NodeId(3)]));
    world.pass(20 * SECOND);
    assert_eq!(world.here(), [("ann", 0)], "the third said nothing more");
}

#[test]
fn a_node_that_leaves_says_so_once_and_nothing_after_that() {
    let mut world = World::ready();
    assert_eq!(world.presence.leave(world.now), Some(PresenceRecord::Gone));
    assert_eq!(world.presence.leave(world.now), None);
    world.open("ann");
    world.pass(60 * SECOND);
    assert_eq!((world.begin(), world.here()), (None, alloc::vec![("ann", 1)]));
    let mut unready = World::new(|_| {});
    assert_eq!(unready.presence.leave(unready.now), None, "nobody has heard of it");
}

#[test]
fn what_a_node_has_said_itself_it_does_not_count_again() {
    let mut world = World::ready();
    world.open("ann");
    let said = world.say().unwrap();
    world.presence.handle_record(world.now, HERE, said, Duration::ZERO);
    assert_eq!(world.here(), [("ann", 1)]);
    world.presence.handle_record(world.now, HERE, PresenceRecord::Gone, Duration::ZERO);
    assert_eq!(world.here(), [("ann", 1)]);
}

#[test]
fn clients_of_this_node_are_known_also_where_there_is_no_room() {
    let mut world = World::ready_with(|config| config.clients = NonZeroUsize::MIN);
    world.hear(page(1, None, &[("ann", 1), ("bob", 1)], true));
    assert_eq!(world.presence.counters().left_out, 1);
    world.open("cid");
    assert_eq!(world.here(), [("ann", 1), ("cid", 1)]);
    assert_eq!(world.say(), Some(changes(0, 1, &[("cid", 1)])));
}

//! What is kept for clients that have no session on this node.

use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;

fn keeping() -> BrokerConfig {
    let mut config = config();
    config.keeps_for_absent = true;
    config
}

fn resume(node: &mut Shard, name: &str, last: &str) -> (Resumption, Vec<String>) {
    let request = after(last).with_client(client(name));
    let opened = node.broker.open(node.now, request).unwrap();
    (opened.resumption, node.data(opened.session))
}

#[test]
fn a_client_that_comes_from_another_node_gets_what_was_published_to_it_meanwhile() {
    let mut node = Shard::new(keeping());
    node.apply(Audience::Everyone, "for all");
    node.apply(client("alice"), "a");
    node.apply(client("bob"), "b");
    node.apply(client("alice"), "c");
    let complete = Resumption::Complete { replayed: 2 };
    assert_eq!(resume(&mut node, "alice", "e-1"), (complete, vec!["a".into(), "c".into()]));
    assert_eq!(resume(&mut node, "bob", "e-3"), (Resumption::Complete { replayed: 0 }, vec![]));
    // One for which nothing came has missed nothing.
    assert_eq!(resume(&mut node, "carol", "e-1"), (Resumption::Complete { replayed: 0 }, vec![]));
}

#[test]
fn who_is_elsewhere_is_not_present() {
    let mut node = Shard::new(keeping());
    node.apply(client("alice"), "a");
    let alice = client("alice");
    let page = node.broker.presence_page(None, 10, |_, _| ());
    assert!(page.clients().is_empty() && node.broker.client(&alice).is_none());
    let counters = node.broker.counters();
    assert_eq!((counters.clients, counters.absent_clients), (0, 1));
    node.sleep(secs(60));
    assert_eq!(node.events(), [], "nobody came, and nobody left");
    assert_eq!(node.broker.counters().absent_clients, 0);
    // Once it is here, it is as everybody else.
    node.apply(alice.clone(), "b");
    node.open(session_of("alice"));
    let joined = BrokerEvent::ClientJoined { client: alice };
    assert_eq!(node.events().first(), Some(&joined));
    let counters = node.broker.counters();
    assert_eq!((counters.clients, counters.absent_clients), (1, 0));
}

#[test]
fn it_is_kept_for_the_grace_time_after_the_newest_event_and_is_a_gap_then() {
    let mut node = Shard::new(keeping());
    node.apply(client("alice"), "a");
    node.sleep(just_before(secs(30)));
    node.apply(client("alice"), "b");
    node.sleep(just_before(secs(30)));
    let complete = Resumption::Complete { replayed: 2 };
    assert_eq!(node.broker.counters().absent_clients, 1);
    let mut again = Shard::new(keeping());
    again.apply(client("alice"), "a");
    again.sleep(secs(30));
    assert_eq!(resume(&mut again, "alice", "e-0").0, Resumption::Gap { replayed: 0 });
    assert_eq!(resume(&mut node, "alice", "e-0").0, complete);
}

#[test]
fn what_its_retention_pushed_out_is_a_gap_and_the_rest_is_replayed() {
    let mut config = keeping();
    config.private_retention.events = 2.try_into().unwrap();
    let mut node = Shard::new(config);
    for data in ["a", "b", "c"] {
        node.apply(client("alice"), data);
    }
    let rest = vec!["b".to_owned(), "c".to_owned()];
    assert_eq!(
        resume(&mut node, "alice", "e-1"),
        (Resumption::Complete { replayed: 2 }, rest.clone())
    );
    assert_eq!(resume(&mut node, "alice", "e-0"), (Resumption::Gap { replayed: 2 }, rest));
}

#[test]
fn those_that_are_elsewhere_share_the_room_of_the_absent_and_the_longest_absent_goes() {
    let mut config = keeping();
    config.limits.absent_clients = 2;
    let mut node = Shard::new(config);
    let here = node.parked(session_of("here"));
    node.apply(client("alice"), "a");
    node.pass(millis(1));
    node.broker.handle_disconnect(node.now, here);
    node.pass(millis(1));
    node.apply(client("bob"), "b");
    node.events();
    assert_eq!(node.broker.counters().absent_clients, 1, "alice made room");
    assert_eq!(resume(&mut node, "alice", "e-0").0, Resumption::Gap { replayed: 0 });
    node.events();
    node.pass(millis(1));
    node.apply(client("carol"), "c");
    let left = BrokerEvent::ClientLeft { client: client("here") };
    assert_eq!(node.events(), [left], "who was here and is away longest makes room as well");
    assert_eq!(resume(&mut node, "bob", "e-1").0, Resumption::Complete { replayed: 1 });
    // Without room for anybody, all is a gap, and nothing is complete in error.
    let mut config = keeping();
    config.limits.absent_clients = 0;
    let mut node = Shard::new(config);
    node.apply(client("alice"), "a");
    assert_eq!(node.broker.counters().absent_clients, 0);
    assert_eq!(resume(&mut node, "alice", "e-0").0, Resumption::Gap { replayed: 0 });
}

#[test]
fn a_client_that_left_is_not_present_after_its_grace_time_and_what_came_since_stays() {
    let mut node = Shard::new(keeping());
    let session = node.parked(session_of("alice"));
    node.broker.handle_disconnect(node.now, session);
    node.events();
    node.sleep(secs(20));
    node.apply(client("alice"), "a");
    node.sleep(secs(10));
    let left = BrokerEvent::ClientLeft { client: client("alice") };
    assert_eq!(node.events(), [left]);
    assert!(node.broker.client(&client("alice")).is_none());
    node.sleep(just_before(secs(20)));
    assert_eq!(node.broker.counters().absent_clients, 1);
    let mut later = Shard { broker: node.broker, now: node.now };
    assert_eq!(resume(&mut later, "alice", "e-0").0, Resumption::Complete { replayed: 1 });
}

#[test]
fn revoking_drops_what_is_kept_and_that_is_a_gap() {
    let mut node = Shard::new(keeping());
    node.apply(client("alice"), "a");
    let alice = client("alice");
    assert_eq!(node.broker.client_mut(&alice).revoke_topic(node.now, &topic("news")), Ok(0));
    assert_eq!(node.broker.client_mut(&alice).revoke(node.now), Ok(0));
    let counters = node.broker.counters();
    assert_eq!((counters.absent_clients, counters.retained_bytes), (0, 0));
    let unknown = node.broker.client_mut(&alice).revoke(node.now);
    assert_eq!(unknown, Err(RevokeError::UnknownClient));
    assert_eq!(resume(&mut node, "alice", "e-0").0, Resumption::Gap { replayed: 0 });
}

#[test]
fn what_came_before_the_setting_is_a_gap_and_nothing_is_kept_without_it() {
    let mut node = Shard::new(config());
    node.parked(anyone());
    node.apply(client("alice"), "went by");
    node.apply(Audience::Everyone, "2");
    assert_eq!(node.broker.counters().absent_clients, 0);
    node.broker.shard_mut().set_keeps_for_absent(node.now, true);
    node.apply(client("alice"), "a");
    assert_eq!(resume(&mut node, "alice", "e-0").0, Resumption::Gap { replayed: 2 });
    assert_eq!(resume(&mut node, "bob", "e-2").0, Resumption::Complete { replayed: 0 });
    node.broker.shard_mut().set_keeps_for_absent(node.now, false);
    node.apply(client("carol"), "c");
    assert_eq!(node.broker.counters().absent_clients, 0);
}

#[test]
fn among_shards_only_that_of_the_client_keeps_anything() {
    let mut node = Shard::new(keeping());
    let mut sequencer = Sequencer::new(config().epoch, 0, EventIds::Assigned);
    let published = sequencer.publish(client("alice").into(), &Event::new("a"));
    node.broker.shard_mut().apply_beside(node.now, &published).unwrap();
    let counters = node.broker.counters();
    assert_eq!((counters.absent_clients, counters.published), (0, 1));
    assert_eq!(node.broker.shard().last_position(), 1);
}

#[test]
fn history_that_is_loaded_counts_from_when_it_was_published() {
    let mut node = Shard::new(keeping());
    node.sleep(secs(100));
    let mut log = Sequencer::new(config().epoch, 0, EventIds::Assigned);
    for (name, age) in [("old", secs(30)), ("alice", secs(20)), ("alice", secs(10))] {
        let published = log.publish(client(name).into(), &Event::new("x"));
        node.broker.shard_mut().apply_aged(node.now, &published, age).unwrap();
    }
    assert_eq!(node.broker.counters().absent_clients, 1, "the first is forgotten already");
    node.sleep(just_before(secs(20)));
    assert_eq!(node.broker.counters().absent_clients, 1);
    node.sleep(TICK);
    assert_eq!(node.broker.counters().absent_clients, 0);
    assert_eq!(resume(&mut node, "old", "e-0").0, Resumption::Gap { replayed: 0 });
}

#[test]
fn to_a_client_for_which_something_is_kept_can_be_published() {
    let mut node = Shard::new(keeping());
    let unknown = node.broker.publish(node.now, client("alice"), &Event::new("x"));
    assert_eq!(unknown, Err(PublishError::UnknownClient));
    node.apply(client("alice"), "a");
    node.publish(client("alice"), "b");
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(resume(&mut node, "alice", "e-0"), (Resumption::Complete { replayed: 2 }, both));
}

#[test]
fn what_is_too_large_for_a_client_that_is_elsewhere_is_a_gap_to_that_client_alone() {
    let mut config = keeping();
    config.private_retention.bytes = 60.try_into().unwrap();
    let mut node = Shard::new(config);
    let other = node.parked(anyone());
    node.apply(client("bob"), &"x".repeat(100));
    node.apply(client("alice"), "a");
    node.apply(client("alice"), &"x".repeat(100));
    assert_eq!((node.ready(), node.take(other)), (vec![], vec![]));
    let counters = node.broker.counters();
    assert_eq!((counters.absent_clients, counters.retained_bytes, counters.published), (0, 0, 3));
    assert_eq!(resume(&mut node, "bob", "e-0").0, Resumption::Gap { replayed: 0 });
    assert_eq!(resume(&mut node, "alice", "e-2").0, Resumption::Gap { replayed: 0 });
    assert_eq!(resume(&mut node, "alice", "e-3").0, Resumption::Complete { replayed: 0 });
}

#[test]
fn a_topic_of_its_own_that_has_ended_lets_it_in_for_what_is_kept() {
    let mut node = Shard::new(keeping());
    let answer = topic("answer");
    node.broker.topic_mut(&answer).end(node.now).unwrap();
    let request = || session_of("alice").topics_only().with_topic(answer.clone());
    let last = |request: SessionConfig| {
        request.with_last_event_id(sansse::LastEventId::from_header(b"e-1"))
    };
    let refused = node.broker.open(node.now, last(request())).unwrap_err();
    assert_eq!(refused, OpenError::TopicsEnded);
    node.apply(client("alice"), "a");
    let session = node.open(last(request()));
    assert_eq!(node.data(session), ["a", END]);
}

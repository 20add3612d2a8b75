//! Who is here, as a snapshot in pages and the changes since: nothing missed, nothing twice.

use super::kit::broker::is_present;
use super::kit::broker::present;
use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use std::collections::BTreeMap;

fn page(shard: &Shard, after: Option<&ClientId>, limit: usize) -> PresencePage {
    shard.broker.presence_page(after, limit, |_, _| ())
}

fn listed(page: &PresencePage) -> Vec<(String, usize)> {
    let entry = |present: &PresentClient| (present.client.to_string(), present.sessions);
    page.clients().iter().map(entry).collect()
}

fn named(list: &[(&str, usize)]) -> Vec<(String, usize)> {
    list.iter().map(|(name, sessions)| ((*name).to_owned(), *sessions)).collect()
}

fn roster_list(roster: &Roster) -> Vec<(String, usize)> {
    roster.clients().map(|(client, sessions)| (client.to_string(), sessions)).collect()
}

/// Takes all pages and gives the roster they make.
fn snapshot(shard: &Shard) -> Roster {
    let mut roster = Roster::new();
    roster.apply_page(page(shard, None, usize::MAX)).unwrap();
    roster
}

fn follow(shard: &mut Shard, roster: &mut Roster) {
    while let Some((number, event)) = shard.broker.poll_event() {
        roster.apply(number, &event).unwrap();
    }
}

#[test]
fn a_page_lists_clients_by_id_with_their_sessions_and_what_is_wanted_of_their_metadata() {
    let mut shard = Shard::new(config());
    for (name, mood) in [("carol", "glad"), ("alice", "calm"), ("alice", "calm"), ("bob", "cross")]
    {
        shard.open(session_of(name).with_metadata(mood));
    }
    shard.open(anyone());
    let mood = |_: &ClientId, metadata: &http::Extensions| *metadata.get::<&str>().unwrap();
    let first = shard.broker.presence_page(None, 2, mood);
    let moods: Vec<_> = first.clients().iter().map(|present| present.details).collect();
    assert_eq!(moods, ["calm", "cross"]);
    assert!(!first.is_last());
    let sessions: Vec<_> = first.clients().iter().map(|present| present.sessions).collect();
    assert_eq!(sessions, [2, 1]);
    let after = first.into_clients().pop().unwrap().client;
    let second = page(&shard, Some(&after), 2);
    assert_eq!(listed(&second), named(&[("carol", 1)]));
    assert!(second.is_last());
    assert_eq!(shard.broker.counters().clients, 3);
    // A limit of none is one of one.
    assert_eq!(listed(&page(&shard, None, 0)), named(&[("alice", 2)]));
}

#[test]
fn a_client_in_its_grace_time_is_here_without_a_session() {
    let mut shard = Shard::new(config());
    let session = shard.open(session_of("alice"));
    shard.broker.handle_disconnect(shard.now, session);
    assert_eq!(listed(&page(&shard, None, 10)), named(&[("alice", 0)]));
    shard.sleep(secs(30));
    assert_eq!(listed(&page(&shard, None, 10)), []);
}

#[test]
fn a_reload_is_neither_a_leave_nor_a_join() {
    let mut shard = Shard::new(config());
    let mut session = shard.open(session_of("alice"));
    shard.events();
    for _ in 0..5 {
        shard.broker.handle_disconnect(shard.now, session);
        shard.sleep(secs(29));
        session = shard.open(session_of("alice"));
    }
    let joins_and_leaves = shard.events().into_iter().filter(|event| {
        matches!(event, BrokerEvent::ClientJoined { .. } | BrokerEvent::ClientLeft { .. })
    });
    assert_eq!(joins_and_leaves.count(), 0);
}

#[test]
fn events_from_before_the_snapshot_change_nothing_and_those_after_it_do() {
    let mut shard = Shard::new(config());
    let gone = shard.open(session_of("alice"));
    shard.open(session_of("bob"));
    shard.broker.handle_disconnect(shard.now, gone);
    shard.sleep(secs(31));
    // None of these events was polled yet, and the snapshot knows them all.
    let mut roster = snapshot(&shard);
    assert_eq!(roster_list(&roster), named(&[("bob", 1)]));
    shard.open(session_of("bob"));
    shard.open(session_of("carol"));
    follow(&mut shard, &mut roster);
    assert_eq!(roster_list(&roster), named(&[("bob", 2), ("carol", 1)]));
    assert_eq!(roster.sessions(&client("bob")), Some(2));
    assert_eq!(roster.sessions(&client("alice")), None);
    assert_eq!((roster.len(), roster.is_empty()), (2, false));
}

#[test]
fn a_change_that_is_heard_of_before_its_page_waits_for_it() {
    let mut shard = Shard::new(config());
    shard.open(session_of("alice"));
    shard.events();
    let mut roster = Roster::new();
    // The page is taken, and then something happens that is heard of first.
    let taken = page(&shard, None, 10);
    shard.open(session_of("alice"));
    shard.open(session_of("bob"));
    follow(&mut shard, &mut roster);
    assert!(roster.is_empty());
    roster.apply_page(taken).unwrap();
    assert_eq!(roster_list(&roster), named(&[("alice", 2), ("bob", 1)]));
}

#[test]
fn pages_taken_at_different_times_and_the_changes_between_make_one_truth() {
    let first = seed(1);
    for seed in first..first + 300 {
        let mut rng = Rng::new(seed);
        let mut config = config();
        config.client_grace = secs(rng.below(4));
        config.limits.absent_clients = 4;
        config.limits.sessions_per_client.most = 2.try_into().unwrap();
        config.limits.sessions_per_client.policy = LimitPolicy::EvictOldest;
        let mut shard = Shard::new(config);
        let mut open = Vec::new();
        let mut roster = Roster::new();
        let mut after = None;
        let mut held: Vec<PresencePage> = Vec::new();
        let mut is_complete = false;
        for step in 0..400 {
            match rng.below(10) {
                0..4 => {
                    open.push(shard.open(session_of(&format!("client {}", rng.below(20)))));
                }
                4..7 if !open.is_empty() => {
                    let index = usize::try_from(rng.below(open.len() as u64)).unwrap();
                    shard.broker.handle_disconnect(shard.now, open.swap_remove(index));
                }
                7 => {
                    shard.sleep(millis(rng.below(2_000)));
                }
                8 => {
                    // Some of what happened is heard of.
                    for _ in 0..rng.below(20) {
                        let Some((number, event)) = shard.broker.poll_event() else {
                            break;
                        };
                        roster.apply(number, &event).unwrap();
                    }
                }
                _ if step > 100 && !is_complete => {
                    let limit = 1 + usize::try_from(rng.below(5)).unwrap();
                    let taken = page(&shard, after.as_ref(), limit);
                    after = taken.clients().last().map(|last| last.client.clone());
                    is_complete = taken.is_last();
                    held.push(taken);
                }
                _ => {}
            }
            // A page that was taken is told of later.
            if rng.chance(20) && !held.is_empty() {
                roster.apply_page(held.remove(0)).unwrap();
            }
        }
        while !is_complete {
            let taken = page(&shard, after.as_ref(), 3);
            after = taken.clients().last().map(|last| last.client.clone());
            is_complete = taken.is_last();
            held.push(taken);
        }
        for page in held {
            roster.apply_page(page).unwrap();
        }
        follow(&mut shard, &mut roster);
        let truth = listed(&page(&shard, None, usize::MAX));
        assert_eq!(roster_list(&roster), truth, "seed {seed}");
        let present: BTreeMap<_, _> =
            present(&shard.broker).into_iter().map(|(id, count)| (id.to_string(), count)).collect();
        let here: BTreeMap<_, _> = truth.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(here, present, "seed {seed}");
    }
}

#[test]
fn every_join_has_at_most_one_leave_and_a_leave_comes_before_the_next_join() {
    let mut rng = Rng::new(seed(1));
    let mut config = config();
    config.client_grace = secs(1);
    let mut shard = Shard::new(config);
    let mut open = Vec::new();
    let mut here: BTreeMap<ClientId, bool> = BTreeMap::new();
    for _ in 0..5_000 {
        match rng.below(3) {
            0 => open.push(shard.open(session_of(&format!("client {}", rng.below(5))))),
            1 if !open.is_empty() => {
                let index = usize::try_from(rng.below(open.len() as u64)).unwrap();
                shard.broker.handle_disconnect(shard.now, open.swap_remove(index));
            }
            _ => {
                shard.sleep(millis(rng.below(800)));
                shard.ready();
            }
        }
        open.retain(|session| shard.broker.session(*session).is_open());
        for event in shard.events() {
            match event {
                BrokerEvent::ClientJoined { client } => {
                    assert_ne!(here.insert(client.clone(), true), Some(true), "{client}");
                }
                BrokerEvent::ClientLeft { client } => {
                    assert_eq!(here.insert(client.clone(), false), Some(true), "{client}");
                    assert!(!is_present(&shard.broker, &client));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn pages_out_of_order_are_refused() {
    let mut shard = Shard::new(config());
    for name in ["alice", "bob", "carol"] {
        shard.open(session_of(name));
    }
    let mut roster = Roster::new();
    let (first, second) = (page(&shard, None, 1), page(&shard, Some(&client("alice")), usize::MAX));
    assert_eq!(roster.clone().apply_page(second.clone()), Err(RosterError::OutOfOrder));
    roster.apply_page(first.clone()).unwrap();
    assert_eq!(roster.clone().apply_page(first), Err(RosterError::OutOfOrder));
    roster.apply_page(second.clone()).unwrap();
    assert_eq!(roster.apply_page(second), Err(RosterError::OutOfOrder));
}

#[test]
fn changes_that_wait_for_no_page_are_bounded() {
    let mut shard = Shard::new(config());
    let mut roster = Roster::new();
    let mut failed = None;
    for _ in 0..60_000 {
        let session = shard.open(session_of("alice"));
        shard.broker.handle_disconnect(shard.now, session);
        while let Some((number, event)) = shard.broker.poll_event() {
            failed = failed.or(roster.apply(number, &event).err());
        }
    }
    assert_eq!(failed, Some(RosterError::TooManyWaiting));
}

#[test]
fn events_are_numbered_without_a_hole_also_those_polled_without_their_numbers() {
    let mut shard = Shard::new(config());
    assert_eq!(shard.broker.shard().last_event().get(), 0);
    for _ in 0..3 {
        shard.open(session_of("alice"));
    }
    assert_eq!(shard.broker.shard().last_event().get(), 4);
    assert_eq!(shard.broker.poll_event().unwrap().0.get(), 1);
    shard.broker.poll_event();
    assert_eq!(shard.broker.poll_event().unwrap().0.get(), 3);
    let (number, _) = shard.broker.poll_event().unwrap();
    assert_eq!(number, shard.broker.shard().last_event());
    assert_eq!(number.shard(), 0);
}

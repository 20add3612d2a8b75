//! Who is here, through a hub: pages over all shards, and events from several threads.

use super::BuildStill;
use super::VirtualTimer;
use super::{Random, client, config, hub, request_of, sharded};
use sansse::Hub;
use sansse::broker::{PresenceCursor, Roster};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn take_all(hub: &Hub, roster: &Mutex<Roster>, limit: usize) {
    let mut next = Some(PresenceCursor::default());
    while let Some(cursor) = next {
        let (page, following) = hub.presence_page(&cursor, limit, |_, _| ());
        roster.lock().unwrap().apply_page(page).unwrap();
        next = following;
    }
}

#[test]
fn the_pages_of_all_shards_list_everybody_once() {
    let hub = sharded(config(), 5).build_still(VirtualTimer::new());
    let sessions: Vec<_> =
        (0..50).map(|number| hub.open(request_of(&format!("client {number}"))).unwrap()).collect();
    let mut names = Vec::new();
    let mut next = Some(PresenceCursor::default());
    while let Some(cursor) = next {
        let (page, following) = hub.presence_page(&cursor, 7, |id, _| id.to_string());
        names.extend(page.into_clients().into_iter().map(|present| present.details));
        next = following;
    }
    assert_eq!(names.len(), sessions.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sessions.len());
}

#[test]
fn details_are_taken_from_the_metadata() {
    let hub = hub();
    let _session = hub.open(request_of("alice").with_metadata(7_u32)).unwrap();
    let (page, next) =
        hub.presence_page(&PresenceCursor::default(), 10, |_, metadata| metadata.get().copied());
    assert_eq!(page.clients()[0].details, Some(7_u32));
    assert_eq!((page.clients()[0].client.clone(), next), (client("alice"), None));
}

#[test]
fn a_roster_that_begins_while_many_come_and_go_is_exact() {
    for round in 0..10 {
        let roster = Arc::new(Mutex::new(Roster::new()));
        let follower = roster.clone();
        let hub = sharded(config(), 3).on_event(move |number, event| {
            follower.lock().unwrap().apply(number, &event).unwrap();
        });
        let hub = hub.build_still(VirtualTimer::new());
        let left: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|thread| {
                    let hub = &hub;
                    scope.spawn(move || {
                        let mut random = Random(round * 10 + thread);
                        let mut open = Vec::new();
                        for _ in 0..500 {
                            if random.below(2) == 0 || open.is_empty() {
                                let name = format!("client {}", random.below(30));
                                open.push(hub.open(request_of(&name)).unwrap());
                            } else {
                                drop(open.swap_remove(random.below(open.len())));
                            }
                        }
                        open
                    })
                })
                .collect();
            take_all(&hub, &roster, 4);
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let names = (0..30).map(|number| client(format!("client {number}")));
        let known = names.filter_map(|id| Some((hub.sessions_of(&id)?, id)));
        let truth: BTreeMap<_, _> = known
            .filter(|(sessions, _)| *sessions > 0)
            .map(|(sessions, id)| (id, sessions))
            .collect();
        let roster = roster.lock().unwrap();
        let here = roster.clients().filter(|(_, sessions)| *sessions > 0);
        let here: BTreeMap<_, _> = here.map(|(id, sessions)| (id.clone(), sessions)).collect();
        assert_eq!(here, truth, "round {round}");
        assert_eq!(here.values().sum::<usize>(), left.len());
    }
}

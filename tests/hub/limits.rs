//! How many sessions there may be, whatever the shards.

use super::VirtualTimer;
use super::tasks::{Probe, block_on, next, without_deadlock};
use super::{Random, client, client_on, config, parked, seconds, sharded, stand_still};
use sansse::Hub;
use sansse::broker::{AddressKey, BrokerConfig, EndReason, LimitPolicy, OpenError, SessionConfig};
use sansse::hub::{Drive, Session};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::task::Poll;

const SHARDS: u16 = 4;

fn hub_with(change: impl Fn(&mut BrokerConfig)) -> Hub {
    let (hub, drive) = driven_with(change);
    stand_still(drive);
    hub
}

fn driven_with(change: impl Fn(&mut BrokerConfig)) -> (Hub, Drive) {
    let mut config = config();
    change(&mut config);
    sharded(config, SHARDS).build(VirtualTimer::new()).unwrap()
}

fn from(address: &str) -> SessionConfig {
    SessionConfig::new().with_address(AddressKey::new(address).unwrap())
}

fn shards_of(sessions: &[Session]) -> BTreeSet<u16> {
    sessions.iter().map(|session| session.id().shard()).collect()
}

fn end_of(session: &mut Session, probe: &Probe) -> Option<EndReason> {
    while let Poll::Ready(Some(_)) = next(session, probe) {}
    session.end_reason()
}

#[test]
fn one_session_more_than_all_shards_may_have_together_is_refused() {
    let hub = hub_with(|config| config.limits.sessions.most = 6.try_into().unwrap());
    let mut sessions: Vec<Session> =
        (0..6).map(|_| hub.open(SessionConfig::new()).unwrap()).collect();
    assert_eq!(shards_of(&sessions).len(), 4, "none is as full as that itself");
    for shard in 0..SHARDS {
        let refused = hub.open(client_on(shard, SHARDS)).unwrap_err();
        assert_eq!(refused, OpenError::TooManySessions, "on {shard}");
    }
    drop(sessions.pop());
    sessions.push(hub.open(client_on(2, SHARDS)).unwrap());
    assert_eq!(hub.open(SessionConfig::new()).unwrap_err(), OpenError::TooManySessions);
    let counters = hub.counters();
    assert_eq!((counters.sessions, counters.refused.sessions), (6, 5));
}

#[test]
fn one_session_more_than_an_address_may_have_on_all_shards_is_refused() {
    let hub = hub_with(|config| config.limits.sessions_per_address.most = 3.try_into().unwrap());
    let sessions: Vec<Session> = (0..3).map(|_| hub.open(from("a")).unwrap()).collect();
    assert_eq!(shards_of(&sessions).len(), 3);
    for _ in 0..SHARDS {
        let refused = hub.open(from("a")).unwrap_err();
        assert_eq!(refused, OpenError::TooManySessionsFromAddress { limit: 3 });
    }
    let _other = hub.open(from("b")).unwrap();
    let _nobody = hub.open(SessionConfig::new()).unwrap();
    drop(sessions);
    hub.open(from("a")).unwrap();
}

#[test]
fn the_oldest_of_all_shards_makes_room_and_its_task_is_woken() {
    let hub = hub_with(|config| {
        config.limits.sessions.most = 5.try_into().unwrap();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
    });
    let probes: Vec<Probe> = (0..40).map(|_| Probe::new()).collect();
    let mut random = Random(3);
    // Each goes to some shard; the order in which they go is that in which they came.
    let mut sessions: Vec<Session> = Vec::new();
    for (number, probe) in probes.iter().enumerate() {
        let request = match random.below(2) {
            0 => SessionConfig::new(),
            _ => SessionConfig::new().with_client(client(format!("client {}", random.below(9)))),
        };
        sessions.push(parked(&hub, request, probe));
        assert_eq!(hub.counters().sessions, (number as u64 + 1).min(5));
        if let Some(evicted) = number.checked_sub(5) {
            assert_eq!(probes[evicted].take_wakes(), 1, "{evicted}");
            let reason = end_of(&mut sessions[evicted], &probes[evicted]);
            assert_eq!(reason, Some(EndReason::Evicted), "{evicted}");
        }
    }
    assert_eq!(hub.counters().ended.evicted, 35);
    assert!(probes[35..].iter().all(|probe| probe.take_wakes() == 0));
}

#[test]
fn the_oldest_from_an_address_makes_room_wherever_it_is() {
    let hub = hub_with(|config| {
        config.limits.sessions_per_address.most = 2.try_into().unwrap();
        config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
    });
    let probe = Probe::new();
    let mut other = parked(&hub, from("b"), &probe);
    let mut sessions: Vec<Session> = Vec::new();
    for number in 0..12_usize {
        sessions.push(parked(&hub, from("a"), &probe));
        assert_eq!(hub.counters().sessions, 1 + (number as u64 + 1).min(2));
        if let Some(evicted) = number.checked_sub(2) {
            assert_eq!(end_of(&mut sessions[evicted], &probe), Some(EndReason::Evicted));
        }
    }
    assert_eq!(end_of(&mut other, &probe), None);
}

#[test]
fn a_session_that_is_refused_evicts_nobody_on_any_shard() {
    let hub = hub_with(|config| {
        config.limits.sessions.most = 4.try_into().unwrap();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        config.limits.sessions_per_address.most = 1.try_into().unwrap();
    });
    let _sessions: Vec<Session> =
        ["a", "b", "c", "d"].map(|address| hub.open(from(address)).unwrap()).into();
    for _ in 0..SHARDS {
        assert!(hub.open(from("a")).is_err());
        let wrong = SessionConfig::new().with_heartbeat(Some(seconds(0)));
        assert_eq!(hub.open(wrong).unwrap_err(), OpenError::ZeroHeartbeat);
    }
    assert_eq!((hub.counters().sessions, hub.counters().ended.total()), (4, 0));
}

#[cfg(feature = "record")]
#[test]
fn the_records_of_shards_that_made_room_for_each_other_are_replayed() {
    use super::BuildStill;
    use sansse::Timer;
    use sansse::broker::SessionId;
    use sansse::record::{Output, Record};
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::sync::Arc;

    let records = Arc::new(Mutex::new(BTreeMap::<u16, String>::new()));
    let sink = records.clone();
    let timer = VirtualTimer::new();
    let start = timer.now();
    let mut config = config();
    config.limits.sessions.most = 5.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_address.most = 2.try_into().unwrap();
    config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
    config.limits.sessions_per_client.most = 1.try_into().unwrap();
    let hub = sharded(config, SHARDS)
        .record(move |shard, entry| {
            writeln!(sink.lock().unwrap().entry(shard).or_default(), "{entry}").unwrap();
        })
        .build_still(timer);
    let mut random = Random(1);
    let mut opened: BTreeMap<u16, Vec<Result<SessionId, OpenError>>> = BTreeMap::new();
    let mut sessions = Vec::new();
    let mut refused = 0;
    for _ in 0..400 {
        let mut request = from(["a", "b", "c", "d"][random.below(4)]);
        if random.below(2) == 0 {
            request = request.with_client(client(format!("{}", random.below(5))));
        }
        match hub.open(request) {
            Ok(session) => {
                opened.entry(session.id().shard()).or_default().push(Ok(session.id()));
                sessions.push(session);
            }
            Err(_) => refused += 1,
        }
        if random.below(5) == 0 {
            sessions.swap_remove(random.below(sessions.len()));
        }
    }
    assert!(refused > 10, "{refused}");
    let mut evictions = 0;
    for (shard, text) in &*records.lock().unwrap() {
        evictions += text.matches("evict_oldest").count();
        let mut replay = Record::parse(text.as_bytes()).unwrap().replay(start).unwrap();
        let outputs = replay.by_ref().map(|step| step.unwrap().output);
        let again: Vec<_> = outputs
            .filter_map(|output| match output {
                Output::Opened(Ok(opened)) => Some(Ok(opened.session)),
                _ => None,
            })
            .collect();
        assert_eq!(again, opened[shard]);
        let here = sessions.iter().filter(|session| session.id().shard() == *shard);
        let here: BTreeSet<_> = here.map(Session::id).collect();
        let open =
            here.iter().filter(|session| replay.broker().session(**session).is_open()).count();
        assert_eq!(open as u64, replay.broker().counters().sessions);
        opened.remove(shard);
    }
    assert!(opened.is_empty() && evictions > 50, "{evictions}");
}

#[test]
fn threads_that_come_and_go_are_never_more_than_may_be() {
    const MOST: u32 = 3;
    without_deadlock(|| {
        let (hub, drive) =
            driven_with(|config| config.limits.sessions.most = MOST.try_into().unwrap());
        // Counted when a session is known to be open, and no longer before it is let go of: never
        // more than there are.
        let (open, most, refusals) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| block_on(drive));
            let threads: Vec<_> = (0..6)
                .map(|thread| {
                    let (hub, open, most, refusals) = (&hub, &open, &most, &refusals);
                    scope.spawn(move || {
                        let mut random = Random(thread);
                        let mut sessions = Vec::new();
                        for _ in 0..10_000 {
                            if random.below(5) < 3 {
                                match hub.open(SessionConfig::new()) {
                                    Ok(session) => {
                                        let now = open.fetch_add(1, Ordering::SeqCst) + 1;
                                        most.fetch_max(now, Ordering::SeqCst);
                                        sessions.push(session);
                                    }
                                    Err(error) => {
                                        assert_eq!(error, OpenError::TooManySessions);
                                        refusals.fetch_add(1, Ordering::SeqCst);
                                    }
                                }
                            } else if !sessions.is_empty() {
                                open.fetch_sub(1, Ordering::SeqCst);
                                drop(sessions.swap_remove(random.below(sessions.len())));
                            }
                        }
                        open.fetch_sub(sessions.len(), Ordering::SeqCst);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            hub.close();
        });
        let (most, refusals) = (most.into_inner(), refusals.into_inner() as u64);
        println!("at most {most} at once, {refusals} refused");
        assert!(most <= MOST as usize, "{most} at once");
        assert!(refusals > 0);
        let counters = hub.counters();
        assert_eq!((counters.sessions, counters.refused.sessions), (0, refusals));
        assert_eq!(counters.resumed.total(), counters.ended.disconnected);
    });
}

#[test]
fn of_threads_that_open_at_once_as_many_are_let_in_as_there_is_room_for() {
    const THREADS: usize = 4;
    const ROOM: u32 = 2;
    without_deadlock(|| {
        let hub = hub_with(|config| config.limits.sessions.most = ROOM.try_into().unwrap());
        let (barrier, open) = (Barrier::new(THREADS), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 0..1_500 {
                        barrier.wait();
                        let session = hub.open(SessionConfig::new());
                        open.fetch_add(usize::from(session.is_ok()), Ordering::SeqCst);
                        barrier.wait();
                        assert_eq!(open.load(Ordering::SeqCst), ROOM as usize, "round {round}");
                        assert_eq!(hub.counters().sessions, u64::from(ROOM));
                        barrier.wait();
                        open.store(0, Ordering::SeqCst);
                        drop(session);
                    }
                });
            }
        });
    });
}

#[test]
fn threads_that_evict_each_others_sessions_leave_as_many_as_may_be() {
    const MOST: u32 = 12;
    const FROM_ADDRESS: u32 = 5;
    without_deadlock(|| {
        let hub = hub_with(|config| {
            config.limits.sessions.most = MOST.try_into().unwrap();
            config.limits.sessions.policy = LimitPolicy::EvictOldest;
            config.limits.sessions_per_address.most = FROM_ADDRESS.try_into().unwrap();
            config.limits.sessions_per_address.policy = LimitPolicy::EvictOldest;
        });
        let all = Mutex::new(Vec::new());
        let dropped = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (hub, all, dropped) = (&hub, &all, &dropped);
                scope.spawn(move || {
                    let mut random = Random(thread);
                    let mut sessions = Vec::new();
                    for _ in 0..1_000 {
                        let request = match random.below(6) {
                            0 => SessionConfig::new(),
                            number => from(["a", "b", "c", "d", "e"][number - 1]),
                        };
                        sessions.push(hub.open(request).unwrap());
                        if random.below(8) == 0 {
                            drop(sessions.swap_remove(random.below(sessions.len())));
                            dropped.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                    // Enough to be full at the end.
                    sessions.extend((0..12).map(|_| hub.open(SessionConfig::new()).unwrap()));
                    all.lock().unwrap().extend(sessions);
                });
            }
        });
        let (probe, dropped) = (Probe::new(), dropped.into_inner() as u64);
        let mut all = all.into_inner().unwrap();
        let ends: Vec<_> = all.iter_mut().map(|session| end_of(session, &probe)).collect();
        let count = |end| ends.iter().filter(|other| **other == end).count() as u64;
        let counters = hub.counters();
        assert_eq!(counters.sessions, u64::from(MOST));
        assert_eq!(count(None), counters.sessions);
        assert_eq!(counters.resumed.total(), all.len() as u64 + dropped);
        assert_eq!(counters.resumed.total(), counters.sessions + counters.ended.total());
        // Of those that were dropped, some had been evicted before.
        let evicted = count(Some(EndReason::Evicted));
        assert_eq!(counters.sessions + evicted, all.len() as u64);
        assert_eq!(counters.ended.evicted + counters.ended.disconnected, evicted + dropped);
        assert_eq!(hub.counters().refused.total(), 0);
    });
}

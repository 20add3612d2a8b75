//! What happens because time passes, told to the broker by the tests.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::Event;
use sansse::broker::*;
use std::time::Duration;

fn stalled(session: SessionId) -> BrokerEvent {
    BrokerEvent::SessionEnded { session, client: None, reason: EndReason::Stalled, undelivered: 0 }
}

#[test]
fn a_broker_that_waits_for_nothing_has_no_deadline() {
    let mut config = config();
    (config.session.heartbeat, config.session.stall_timeout) = (None, None);
    (config.retention.age, config.private_retention.age) = (None, None);
    let mut shard = Shard::new(config);
    assert_eq!(shard.broker.poll_timeout(), None);
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.publish(session, "b");
    assert_eq!(shard.broker.poll_timeout(), None);
    shard.broker.handle_timeout(shard.now + secs(1_000_000));
    assert_eq!(shard.data(session), ["a", "b"]);
}

#[test]
fn a_heartbeat_comes_exactly_when_nothing_else_did_for_the_interval() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    for _ in 0..3 {
        assert_eq!(shard.broker.poll_timeout(), Some(shard.now + secs(15)));
        shard.pass(just_before(secs(15)));
        shard.broker.handle_timeout(shard.now);
        assert_eq!((shard.ready(), shard.next(session)), (vec![], None));
        shard.pass(TICK);
        shard.broker.handle_timeout(shard.now);
        assert_eq!(shard.ready(), [session]);
        assert_eq!(shard.take(session), [HEARTBEAT]);
        assert_eq!(shard.ready(), []);
    }
}

#[test]
fn each_write_puts_the_heartbeat_off() {
    for batched in [false, true] {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone());
        for _ in 0..5 {
            shard.sleep(secs(14));
            shard.broadcast("a");
            assert_eq!(shard.ready(), [session]);
            if batched {
                let (batch, end) = shard.batch(session, 100, Framing::Plain);
                assert_eq!((batch.frames(), end), (1, Filled::All));
            } else {
                assert_eq!(shard.data(session), ["a"]);
            }
        }
        shard.sleep(just_before(secs(15)));
        assert_eq!(shard.ready(), []);
        shard.sleep(TICK);
        assert_eq!(shard.ready(), [session]);
        let (batch, end) = shard.batch(session, 100, Framing::Plain);
        assert_eq!((batch.as_slice(), end), (HEARTBEAT.as_bytes(), Filled::All));
    }
}

#[test]
fn a_heartbeat_that_an_event_overtakes_is_not_sent() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.sleep(secs(15));
    shard.broadcast("a");
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [event_at(1, "a")]);
    shard.sleep(just_before(secs(15)));
    assert_eq!(shard.ready(), []);
}

#[test]
fn a_heartbeat_comes_also_before_the_first_event_and_without_a_place() {
    let mut config = config();
    config.event_ids = EventIds::Own;
    config.session.notices = None;
    let mut shard = Shard::new(config);
    let session = shard.open(anyone());
    assert_eq!(shard.take(session), [""; 0], "nothing at all was sent");
    shard.sleep(secs(15));
    assert_eq!(shard.take(session), [HEARTBEAT]);
}

#[test]
fn each_session_has_its_own_interval_or_none() {
    let mut shard = Shard::new(config());
    let quick = shard.parked(anyone().with_heartbeat(Some(secs(1))));
    let never = shard.parked(anyone().with_heartbeat(None));
    let usual = shard.parked(anyone());
    let mut beats = [0; 3];
    for _ in 0..60 {
        shard.sleep(secs(1));
        for ready in shard.ready() {
            let index = [quick, never, usual].iter().position(|session| *session == ready).unwrap();
            beats[index] += shard.take(ready).len();
        }
    }
    assert_eq!(beats, [60, 0, 4]);
    let refused = shard.broker.open(shard.now, anyone().with_heartbeat(Some(Duration::ZERO)));
    assert_eq!(refused, Err(OpenError::ZeroHeartbeat));
}

#[test]
fn a_session_with_output_gets_no_heartbeat() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    assert_eq!(shard.ready(), [session]);
    shard.sleep(secs(59));
    assert_eq!(shard.take(session), [event_at(1, "a")]);
    // A slow writer that takes a frame now and then gets what is there.
    for _ in 0..3 {
        shard.broadcast("b");
    }
    for position in 2..5 {
        shard.sleep(secs(50));
        assert_eq!(shard.next(session), Some(event_at(position, "b")));
    }
    assert_eq!(shard.next(session), None);
}

#[test]
fn a_session_that_takes_nothing_for_the_stall_timeout_ends() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.broadcast("b");
    assert_eq!(shard.ready(), [session]);
    shard.events();
    shard.pass(just_before(secs(60)));
    shard.broker.handle_timeout(shard.now);
    assert!(shard.next(session).is_some(), "one poll is a sign of life");
    shard.sleep(just_before(secs(60)));
    assert_eq!(shard.events(), []);
    shard.sleep(TICK);
    assert_eq!(shard.events(), [stalled(session)]);
    // Its driver is told, though it was not parked: it may wait for a write that never ends.
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [END]);
    assert_eq!(shard.ready(), []);
}

#[test]
fn a_session_that_was_never_polled_stalls() {
    let mut shard = Shard::new(config());
    let session = shard.open(anyone());
    shard.events();
    shard.sleep(secs(60));
    assert_eq!(shard.events(), [stalled(session)]);
}

#[test]
fn a_peer_that_vanished_is_found_by_its_heartbeat() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.events();
    // Its driver never polls again: the heartbeat cannot be written.
    shard.sleep(just_before(secs(15 + 60)));
    assert_eq!((shard.ready(), shard.events()), (vec![session], vec![]));
    shard.sleep(TICK);
    assert_eq!((shard.ready(), shard.events()), (vec![session], vec![stalled(session)]));
}

#[test]
fn a_write_of_which_a_part_was_taken_back_can_stall() {
    let mut config = config();
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("a");
    let (batch, end) = shard.batch(session, 100, Framing::Plain);
    assert_eq!(end, Filled::All);
    shard.broker.handle_partial_write(shard.now, session, &batch, 2);
    shard.sleep(just_before(secs(60)));
    assert_eq!(shard.events(), []);
    shard.sleep(TICK);
    assert_eq!(shard.events(), [stalled(session)]);
}

#[test]
fn a_large_frame_that_a_peer_takes_bit_by_bit_is_no_stall() {
    let mut config = config();
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.events();
    shard.broadcast("a");
    let (batch, _) = shard.batch(session, 100, Framing::Plain);
    shard.broker.handle_partial_write(shard.now, session, &batch, 2);
    for _ in 0..5 {
        shard.sleep(just_before(secs(60)));
        shard.broker.handle_progress(shard.now, session);
    }
    assert_eq!(shard.events(), []);
    shard.sleep(secs(60));
    assert_eq!(shard.events(), [stalled(session)]);
    shard.broker.handle_progress(shard.now, session);
}

#[test]
fn without_a_stall_timeout_a_session_waits_for_ever() {
    let mut config = config();
    config.session.stall_timeout = None;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.sleep(secs(299));
    assert_eq!(shard.take(session), [event_at(1, "a")]);
}

#[test]
fn each_session_has_its_own_stall_timeout_or_none() {
    let mut shard = Shard::new(config());
    let quick = shard.parked(anyone().with_stall_timeout(Some(secs(1))));
    let never = shard.parked(anyone().with_stall_timeout(None));
    let usual = shard.parked(anyone());
    shard.broadcast("a");
    assert_eq!(shard.ready(), [quick, never, usual]);
    shard.events();
    shard.sleep(just_before(secs(1)));
    assert_eq!(shard.events(), []);
    shard.sleep(TICK);
    assert_eq!(shard.events(), [stalled(quick)]);
    shard.sleep(just_before(secs(59)));
    assert_eq!(shard.events(), []);
    shard.sleep(TICK);
    assert_eq!(shard.events(), [stalled(usual)]);
    shard.sleep(secs(200));
    assert_eq!(shard.take(never), [event_at(1, "a")]);
    // Also where the broker has none.
    let mut config = config();
    config.session.stall_timeout = None;
    let mut shard = Shard::new(config);
    let session = shard.open(anyone().with_stall_timeout(Some(secs(7))));
    shard.events();
    shard.sleep(just_before(secs(7)));
    assert_eq!(shard.events(), []);
    shard.sleep(TICK);
    assert_eq!(shard.events(), [stalled(session)]);
}

#[test]
fn a_sign_of_life_puts_off_a_stall_timeout_of_ones_own_too() {
    let mut shard = Shard::new(config());
    let session = shard.open(anyone().with_stall_timeout(Some(secs(100))));
    shard.events();
    for _ in 0..4 {
        shard.sleep(secs(99));
        shard.broker.handle_progress(shard.now, session);
    }
    assert_eq!(shard.events(), []);
    shard.sleep(secs(100));
    assert_eq!(shard.events(), [stalled(session)]);
}

#[test]
fn a_stall_timeout_of_zero_is_refused_and_nothing_is_done() {
    let mut shard = Shard::new(config());
    let request = session_of("alice").with_stall_timeout(Some(Duration::ZERO));
    let refused = shard.broker.open(shard.now, request);
    assert_eq!(refused, Err(OpenError::ZeroStallTimeout));
    assert_eq!((shard.events(), shard.broker.counters().sessions), (vec![], 0));
    assert_eq!(shard.broker.retry_after(shard.now, &OpenError::ZeroStallTimeout), None);
    assert_eq!(shard.broker.counters().refused.invalid, 1);
}

#[test]
fn a_session_without_terms_of_its_own_takes_no_room_for_them() {
    let size = |request: fn() -> SessionConfig| {
        let mut shard = Shard::new(config());
        shard.parked(request());
        format!("{:?}", shard.broker).matches("Terms {").count()
    };
    assert_eq!(size(anyone), 0);
    // What the broker does anyway is no term of one's own.
    assert_eq!(size(|| anyone().with_stall_timeout(Some(secs(60)))), 0);
    assert_eq!(size(|| anyone().with_stall_timeout(Some(secs(61)))), 1);
}

#[test]
fn a_closed_session_that_does_not_take_its_rest_stalls() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.broker.close(shard.now);
    shard.events();
    shard.sleep(secs(60));
    assert_eq!(shard.events(), [stalled(session)]);
}

#[test]
fn a_late_driver_gets_one_heartbeat_and_not_all_that_it_slept_through() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.pass(secs(1_000));
    shard.broker.handle_timeout(shard.now);
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [HEARTBEAT]);
    assert_eq!(shard.broker.poll_timeout(), Some(shard.now + secs(15)));
}

#[test]
fn an_early_or_repeated_timeout_does_nothing() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice"));
    shard.broadcast("a");
    shard.data(session);
    shard.events();
    let before = shard.size();
    let deadline = shard.broker.poll_timeout();
    for _ in 0..1_000 {
        shard.pass(millis(1));
        shard.broker.handle_timeout(shard.now);
        shard.broker.handle_timeout(shard.now);
        assert_eq!(shard.broker.poll_timeout(), deadline);
    }
    assert_eq!((shard.ready(), shard.events()), (vec![], vec![]));
    assert!(shard.size() < before + 20, "nothing has piled up");
}

#[test]
fn an_out_of_date_now_does_not_turn_the_time_back() {
    let mut shard = Shard::new(config());
    let start = shard.now;
    let session = shard.parked(anyone().with_heartbeat(None));
    shard.sleep(secs(100));
    shard.broker.handle_timeout(shard.now);
    // All of these say that it is long ago; for the broker, no time passes at all.
    shard.broker.publish(start, Audience::Everyone, &Event::new("a")).unwrap();
    let late = shard.broker.open(start, anyone()).unwrap().session;
    for session in [session, late] {
        assert!(shard.broker.poll_transmit(start, session).is_some());
        assert!(shard.broker.poll_transmit(start, session).is_none());
    }
    shard.broker.handle_timeout(start);
    assert_eq!(shard.broker.poll_timeout(), Some(shard.now + secs(15)));
    shard.sleep(just_before(secs(15)));
    assert_eq!(shard.ready(), []);
    shard.sleep(TICK);
    assert_eq!(shard.ready(), [late]);
    assert_eq!(shard.take(late), [HEARTBEAT]);
    // A time before the broker was made is no time at all.
    if let Some(before) = start.checked_sub(secs(1)) {
        shard.broker.handle_timeout(before);
        shard.broker.publish(before, Audience::Everyone, &Event::new("b")).unwrap();
    }
    assert_eq!(shard.data(late), ["b"]);
}

#[test]
fn a_driver_that_sleeps_until_the_deadline_delays_nothing_and_never_spins() {
    let seed = seed(5);
    let mut rng = Rng::new(seed);
    let mut config = config();
    config.retention.age = Some(secs(20));
    config.private_retention.age = Some(secs(10));
    config.client_grace = secs(7);
    let mut shard = Shard::new(config.clone());
    // Another one, whose driver looks every millisecond, which is the unit of all times here.
    let mut eager = Shard { broker: Broker::new(shard.now, config).unwrap(), now: shard.now };
    let mut sessions = Vec::new();
    let mut wakes = 0;
    for _ in 0..400 {
        for shard in [&mut shard, &mut eager] {
            let mut rng = rng.clone();
            let request = match rng.below(3) {
                0 => anyone().with_topic(topic("news")),
                1 => session_of("alice"),
                _ => session_of("bob").with_heartbeat(Some(millis(1 + rng.below(4_000)))),
            };
            match rng.below(8) {
                0 => sessions.push(shard.open(request)),
                1 => drop(shard.broadcast("all")),
                2 => drop(shard.publish(topic("news"), "news")),
                3 => {
                    let to = client(rng.pick(&["alice", "bob"]));
                    let _ = shard.broker.publish(shard.now, to, &Event::new("for one"));
                }
                4 if !sessions.is_empty() => {
                    let index = usize::try_from(rng.below(sessions.len() as u64)).unwrap();
                    shard.broker.handle_disconnect(shard.now, sessions[index]);
                }
                _ => {
                    for session in shard.ready() {
                        shard.take(session);
                    }
                }
            }
        }
        rng.next();
        let time = millis(rng.below(3_000));
        wakes += shard.sleep(time);
        let until = eager.now + time;
        while eager.now < until {
            eager.now += millis(1);
            eager.broker.handle_timeout(eager.now);
        }
        // By then, the same has happened to both.
        let (events, other) = (shard.events(), eager.events());
        assert_eq!(sorted(events), sorted(other), "seed {seed}");
        assert_eq!(sorted(shard.ready()), sorted(eager.ready()), "seed {seed}");
    }
    assert!((50..1_000).contains(&wakes), "{wakes} deadlines in 400 steps");
}

fn sorted<T: core::fmt::Debug>(list: Vec<T>) -> Vec<String> {
    let mut list: Vec<_> = list.iter().map(|item| format!("{item:?}")).collect();
    list.sort();
    list
}

#[test]
fn the_longest_times_are_as_good_as_never() {
    let mut config = config();
    config.session.heartbeat = Some(Duration::MAX);
    config.session.stall_timeout = Some(Duration::MAX);
    config.client_grace = Duration::MAX;
    config.retention.age = Some(Duration::MAX);
    config.private_retention.age = Some(Duration::MAX);
    config.reconnect.retry = Some(Duration::MAX);
    let mut shard = Shard::new(config);
    let session = shard.parked(session_of("alice"));
    shard.broadcast("a");
    shard.publish(client("alice"), "b");
    shard.publish(session, "c");
    shard.broker.handle_timeout(shard.now + secs(1_000_000_000));
    assert_eq!(shard.data(session), ["a", "b", "c"]);
    shard.broker.handle_disconnect(shard.now, session);
    shard.broker.handle_timeout(shard.now + secs(2_000_000_000));
    assert!(shard.broker.client(&client("alice")).map(ClientRef::metadata).is_some());
    let far = shard.now + secs(1_000_000_000);
    assert!(shard.broker.poll_timeout().is_none_or(|deadline| deadline > far));
}

//! A process that is stopped, or a machine that sleeps, is not its peers' fault: what a peer took
//! meanwhile is not known yet when time goes on.

use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;
use std::time::Duration;

/// A shard whose logs keep all for ever and whose sessions get no heartbeat.
fn shard(change: impl FnOnce(&mut BrokerConfig)) -> Shard {
    let mut config = config();
    config.session.heartbeat = None;
    (config.retention.age, config.private_retention.age) = (None, None);
    change(&mut config);
    Shard::new(config)
}

const STALL: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(70);

/// The ways in which the first call after a pause can come.
const FIRST_CALLS: [fn(&mut Shard); 5] = [
    |shard| shard.broker.handle_timeout(shard.now),
    |shard| _ = shard.broadcast("first"),
    |shard| _ = shard.broker.open(shard.now, anyone()).unwrap(),
    |shard| _ = shard.broker.retry_after(shard.now, &OpenError::TooManySessions),
    |shard| {
        let one = shard.broker.open(shard.now - PAUSE, anyone()).unwrap().session;
        shard.broker.give_way(shard.now, one);
    },
];

fn stalled(shard: &mut Shard) -> Vec<SessionId> {
    let stalled = |event| match event {
        BrokerEvent::SessionEnded { session, reason: EndReason::Stalled, .. } => Some(session),
        _ => None,
    };
    shard.events().into_iter().filter_map(stalled).collect()
}

/// Sleeps from deadline to deadline, as a driver does that is not stopped.
fn drive(shard: &mut Shard, time: Duration) {
    let until = shard.now + time;
    while let Some(at) = shard.broker.poll_timeout().filter(|at| *at <= until) {
        shard.now = shard.now.max(at);
        shard.broker.handle_timeout(shard.now);
    }
    shard.now = until;
}

#[test]
fn nobody_stalls_over_a_pause_whatever_is_called_first_after_it() {
    for first in FIRST_CALLS {
        let mut shard = shard(|_| ());
        let sessions: Vec<SessionId> = (0..100).map(|_| shard.parked(anyone())).collect();
        shard.broadcast("a");
        shard.pass(PAUSE);
        first(&mut shard);
        shard.broker.handle_timeout(shard.now);
        assert_eq!(stalled(&mut shard), []);
        // Who takes what there is goes on, and the others have a whole stall timeout for it.
        for session in &sessions[..50] {
            assert_eq!(shard.data(*session)[0], "a");
        }
        drive(&mut shard, STALL - Duration::from_millis(1));
        assert_eq!(stalled(&mut shard), []);
        drive(&mut shard, Duration::from_millis(1));
        let ended = stalled(&mut shard);
        assert_eq!(ended.iter().filter(|one| sessions.contains(one)).count(), 50);
        assert!(sessions[50..].iter().all(|session| ended.contains(session)));
    }
}

#[test]
fn a_pause_in_the_middle_of_a_silence_is_not_counted_as_part_of_it() {
    let mut shard = shard(|_| ());
    shard.parked(anyone());
    shard.broadcast("a");
    drive(&mut shard, STALL / 2);
    shard.pass(PAUSE);
    shard.broker.handle_timeout(shard.now);
    drive(&mut shard, STALL / 2);
    assert_eq!(stalled(&mut shard), []);
    drive(&mut shard, STALL / 2);
    assert_eq!(stalled(&mut shard).len(), 1);
}

#[test]
fn a_peer_that_is_gone_ends_however_often_the_process_is_stopped() {
    let mut shard = shard(|_| ());
    shard.parked(anyone());
    shard.broadcast("a");
    let mut pauses = 0;
    while stalled(&mut shard).is_empty() {
        shard.pass(PAUSE);
        shard.broker.handle_timeout(shard.now);
        pauses += 1;
        assert!(pauses < 100, "it lives for ever");
    }
    assert_eq!(pauses, 5, "four pauses are forgiven");
}

#[test]
fn a_publisher_waits_for_readers_anew_after_a_pause() {
    let mut shard = shard(|config| {
        config.retention.events = 10.try_into().unwrap();
        config.session.stall_timeout = None;
    });
    let session = shard.parked(anyone());
    for _ in 0..8 {
        shard.broadcast("a");
    }
    let audience = Audience::Everyone;
    let wait = shard.broker.wait_for_readers(shard.now, &audience, Pace::default()).unwrap();
    assert!(wait.is_some());
    shard.pass(PAUSE);
    shard.broker.handle_timeout(shard.now);
    assert_eq!(shard.broker.poll_wait(), None, "the reader had no chance to take anything");
    drive(&mut shard, Duration::from_secs(3));
    assert_eq!(shard.broker.poll_wait(), wait);
    assert!(shard.broker.session(session).is_open());
}

#[test]
fn a_client_has_no_room_after_a_pause_until_its_session_had_its_chance() {
    let mut shard = shard(|config| {
        config.private_retention.events = 1.try_into().unwrap();
        config.session.stall_timeout = None;
    });
    let session = shard.parked(session_of("alice"));
    let alice = || Audience::Client(ClientId::new("alice").unwrap());
    shard.publish(alice(), "a");
    let refused = |shard: &mut Shard| {
        let result = shard.broker.publish(shard.now, alice(), &Event::new("b"));
        result == Err(PublishError::NoRoom)
    };
    let wait = shard.broker.wait_for_room(shard.now, &alice()).unwrap();
    assert!(refused(&mut shard) && wait.is_some());
    shard.pass(PAUSE);
    assert!(refused(&mut shard));
    assert_eq!(shard.data(session), ["a"]);
    assert!(!refused(&mut shard));
}

#[test]
fn what_is_promised_for_a_time_comes_at_that_time_also_after_a_pause() {
    let age = MaxAge::new(Duration::from_secs(50), Duration::ZERO).unwrap();
    let mut shard = shard(|config| {
        config.session.max_age = Some(age);
        config.client_grace = Duration::from_secs(20);
        config.retention.age = Some(Duration::from_secs(30));
    });
    let leased = anyone().with_lease(shard.now + Duration::from_secs(40));
    let (leased, aged) = (shard.parked(leased), shard.parked(anyone()));
    let gone = shard.open(session_of("alice"));
    shard.broker.handle_disconnect(shard.now, gone);
    shard.broadcast("old");
    for session in [leased, aged] {
        shard.take(session);
    }
    shard.events();
    shard.pass(PAUSE);
    shard.broker.handle_timeout(shard.now);
    let events = shard.events();
    let ended = |session, why| {
        events.iter().any(|event| {
            matches!(event, BrokerEvent::SessionEnded { session: one, reason, .. }
                if *one == session && *reason == why)
        })
    };
    assert!(ended(leased, EndReason::LeaseExpired), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, BrokerEvent::ClientLeft { .. })));
    assert_eq!(shard.broker.counters().retained_bytes, 0);
    assert_eq!(shard.data(aged), [END]);
}

/// The process is stopped for a time, and its driver comes first when it goes on.
fn stop(shard: &mut Shard, time: Duration) {
    shard.pass(time);
    shard.broker.handle_timeout(shard.now);
}

#[test]
fn a_peer_that_is_gone_ends_where_stops_come_in_the_middle_of_each_silence() {
    let mut shard = shard(|_| ());
    shard.parked(anyone());
    shard.broadcast("a");
    let begun = shard.now;
    while stalled(&mut shard).is_empty() {
        drive(&mut shard, STALL / 2);
        stop(&mut shard, PAUSE);
        assert!(shard.now - begun < 10 * (STALL / 2 + PAUSE), "it lives for ever");
    }
    assert_eq!(shard.now - begun, 5 * (STALL / 2 + PAUSE));
}

#[test]
fn a_peer_that_takes_something_between_pauses_is_forgiven_each() {
    let mut shard = shard(|_| ());
    let session = shard.parked(anyone());
    for pause in 0..20 {
        shard.broadcast("a");
        stop(&mut shard, PAUSE);
        assert_eq!(shard.data(session), ["a"], "after pause {pause}");
    }
}

#[test]
fn a_driver_that_is_late_by_a_little_has_not_paused() {
    for (late, ended) in [(250, 1), (251, 0)] {
        let mut shard = shard(|_| ());
        shard.parked(anyone());
        shard.broadcast("a");
        stop(&mut shard, STALL + Duration::from_millis(late));
        assert_eq!(stalled(&mut shard).len(), ended, "{late} ms late");
    }
}

#[test]
fn a_publisher_is_not_held_up_for_ever_by_a_driver_that_is_always_late() {
    let mut shard = shard(|config| config.session.stall_timeout = None);
    shard.parked(anyone());
    let (audience, pace) = (Audience::Everyone, Pace::default());
    while shard.broker.wait_for_readers(shard.now, &audience, pace).unwrap().is_none() {
        shard.broadcast("a");
    }
    let mut calls = 0;
    while shard.broker.poll_wait().is_none() {
        stop(&mut shard, Duration::from_secs(10));
        calls += 1;
        assert!(calls < 100, "it waits for ever");
    }
    assert_eq!(calls, 5, "four pauses are forgiven");
}

#[test]
fn a_drain_ends_at_its_time_also_over_a_pause() {
    let mut shard = shard(|_| ());
    let silent = shard.parked(anyone());
    shard.broadcast("a");
    let drain = Drain::new(Duration::from_secs(30)).with_patience(Duration::from_secs(5));
    shard.broker.drain(shard.now, drain).unwrap();
    stop(&mut shard, PAUSE);
    assert!(!shard.broker.session(silent).is_open());
}

//! Thousands of sessions that are ready at once: those that leave before their ids come out leave
//! nothing behind, and take nobody else's turn.

use crate::kit::broker::*;
use sansse::broker::*;
use std::collections::BTreeSet;

/// Enough for what is void to be thrown away in between.
const MANY: usize = 6_000;

fn many() -> BrokerConfig {
    let mut config = config();
    config.limits.sessions.most = 100_000.try_into().unwrap();
    config.limits.sessions_per_client.most = 100_000.try_into().unwrap();
    config.limits.unread_events = 1_000_000.try_into().unwrap();
    config.session.stall_timeout = None;
    config
}

/// One in eight stays.
fn stays(number: usize) -> bool {
    number % 8 == 3
}

fn split(sessions: &[SessionId]) -> (Vec<SessionId>, Vec<SessionId>) {
    let (stay, leave): (Vec<_>, Vec<_>) =
        sessions.iter().enumerate().partition(|(number, _)| stays(*number));
    let ids =
        |all: Vec<(usize, &SessionId)>| all.into_iter().map(|(_, session)| *session).collect();
    (ids(stay), ids(leave))
}

#[test]
fn a_session_behind_thousands_that_disconnect_comes_out_in_order_and_once() {
    let mut shard = Shard::new(many());
    let sessions: Vec<_> = (0..MANY).map(|_| shard.parked(anyone())).collect();
    shard.broadcast("one");
    // Some have come out before the others leave.
    let first: Vec<_> = (0..100).filter_map(|_| shard.broker.poll_ready()).collect();
    assert_eq!(first, sessions[..100]);
    let (stay, leave) = split(&sessions[100..]);
    for session in leave {
        shard.broker.handle_disconnect(shard.now, session);
    }
    assert_eq!(shard.ready(), stay);
    for session in stay.into_iter().chain(first) {
        assert_eq!(shard.data(session), ["one"]);
    }
}

#[test]
fn a_session_woken_alone_among_thousands_that_disconnect_comes_out_in_order_and_once() {
    let mut shard = Shard::new(many());
    let sessions: Vec<_> = (0..MANY).map(|_| shard.parked(anyone())).collect();
    for &session in &sessions {
        shard.publish(session, "one");
    }
    let (stay, leave) = split(&sessions);
    for session in leave {
        shard.broker.handle_disconnect(shard.now, session);
    }
    assert_eq!(shard.ready(), stay);
}

#[test]
fn a_new_session_in_the_place_of_one_that_was_ready_is_not_ready_for_that() {
    let mut shard = Shard::new(many());
    let sessions: Vec<_> = (0..MANY).map(|_| shard.parked(anyone())).collect();
    shard.broadcast("one");
    let (stay, leave) = split(&sessions);
    let mut new = Vec::new();
    for session in leave {
        shard.broker.handle_disconnect(shard.now, session);
        new.push(shard.parked(anyone()));
    }
    assert_eq!(shard.ready(), stay);
    for session in stay {
        shard.take(session);
    }
    shard.broadcast("two");
    let ready = shard.ready();
    assert_eq!(ready.len(), MANY, "each comes out once");
    assert!(new.iter().all(|session| ready.contains(session)));
}

#[test]
fn a_topic_that_thousands_leave_while_it_makes_them_ready_makes_ready_who_stays() {
    let mut shard = Shard::new(many());
    let (name, other) = (topic("a"), topic("b"));
    let both = || {
        let request = SessionConfig::new().topics_only();
        request.with_topic(topic("a")).with_topic(topic("b"))
    };
    let sessions: Vec<_> = (0..MANY).map(|_| shard.parked(both())).collect();
    shard.publish(name.clone(), "one");
    let (stay, leave) = split(&sessions);
    for &session in &leave {
        assert!(shard.broker.session_mut(session).unsubscribe(shard.now, &name.clone().into()));
    }
    assert_eq!(shard.ready(), stay);
    for &session in &stay {
        assert_eq!(shard.data(session), ["one"]);
    }
    // The others are still parked, and have what they did not leave.
    shard.publish(other, "two");
    let ready: BTreeSet<_> = shard.ready().into_iter().collect();
    assert_eq!(ready, sessions.iter().copied().collect());
    for session in leave {
        assert_eq!(shard.data(session), ["two"]);
    }
}

#[test]
fn thousands_that_are_ended_are_each_told_so_unless_they_know_before() {
    let mut shard = Shard::new(many());
    let all = || session_of("alice");
    let sessions: Vec<_> = (0..MANY).map(|_| shard.parked(all())).collect();
    assert_eq!(shard.broker.client_mut(&client("alice")).revoke(shard.now), Ok(MANY));
    let (stay, leave) = split(&sessions);
    for session in leave {
        let end = Some(Transmit::Ended(Some(EndReason::Revoked)));
        assert_eq!(shard.broker.poll_transmit(shard.now, session), end);
    }
    assert_eq!(shard.ready(), stay);
    for session in stay {
        let end = Some(Transmit::Ended(Some(EndReason::Revoked)));
        assert_eq!(shard.broker.poll_transmit(shard.now, session), end);
    }
}

#[test]
fn what_those_leave_behind_who_were_ready_and_never_came_out_is_bounded() {
    let mut shard = Shard::new(many());
    let keeper = shard.parked(anyone());
    let mut size = 0;
    for round in 0..20 {
        let sessions: Vec<_> = (0..500).map(|_| shard.parked(anyone())).collect();
        shard.broadcast("x");
        for session in sessions {
            shard.broker.handle_disconnect(shard.now, session);
        }
        while shard.broker.poll_event().is_some() {}
        // What the log keeps grows to its limit first.
        if round == 9 {
            size = shard.size();
        }
    }
    assert!(shard.size() < size + size / 2, "{} after {size}", shard.size());
    assert_eq!(shard.ready(), [keeper]);
}

//! For how long a session may listen, who is asked about it, and how a right is taken away.

use crate::kit::broker::*;
use sansse::broker::*;
use std::time::Duration;

/// A shard whose sessions are left alone by everything but their leases.
fn quiet() -> Shard {
    let mut config = config();
    config.session.heartbeat = None;
    config.session.stall_timeout = None;
    Shard::new(config)
}

fn leased(shard: &Shard, time: Duration) -> SessionConfig {
    session_of("alice").with_lease(shard.now + time)
}

fn asked(shard: &mut Shard) -> Vec<(SessionId, Duration)> {
    let now = shard.now;
    let asked = |event| match event {
        BrokerEvent::LeaseExpiring { session, client: who, until } => {
            assert_eq!(who, Some(client("alice")));
            Some((session, until - now))
        }
        _ => None,
    };
    shard.events().into_iter().filter_map(asked).collect()
}

fn ends(shard: &mut Shard) -> Vec<(SessionId, EndReason)> {
    let ended = |event| match event {
        BrokerEvent::SessionEnded { session, reason, .. } => Some((session, reason)),
        _ => None,
    };
    shard.events().into_iter().filter_map(ended).collect()
}

#[test]
fn the_application_is_asked_once_before_a_lease_lapses() {
    let mut shard = quiet();
    let session = shard.parked(leased(&shard, secs(100)));
    shard.sleep(just_before(secs(70)));
    assert_eq!(asked(&mut shard), []);
    shard.sleep(TICK);
    assert_eq!(asked(&mut shard), [(session, secs(30))]);
    shard.sleep(just_before(secs(30)));
    assert_eq!(shard.events(), []);
}

#[test]
fn a_lease_that_is_renewed_does_not_lapse_and_is_asked_about_again() {
    let mut shard = quiet();
    let session = shard.parked(leased(&shard, secs(100)));
    for _ in 0..5 {
        shard.sleep(secs(70));
        assert_eq!(asked(&mut shard), [(session, secs(30))]);
        let until = shard.now + secs(100);
        shard.broker.session_mut(session).renew_lease(shard.now, until).unwrap();
        assert_eq!(shard.broker.session(session).lease(), Some(until));
    }
    shard.broadcast("a");
    assert_eq!(shard.data(session), ["a"]);
}

#[test]
fn a_session_whose_lease_lapses_ends_then_and_gets_nothing_more() {
    let mut shard = quiet();
    let session = shard.parked(leased(&shard, secs(100)));
    let other = shard.parked(leased(&shard, secs(200)));
    shard.sleep(just_before(secs(100)));
    shard.broadcast("too late taken");
    assert_eq!(shard.ready().len(), 2);
    shard.events();
    shard.sleep(TICK);
    assert_eq!(ends(&mut shard), [(session, EndReason::LeaseExpired)]);
    assert_eq!(shard.ready(), [session]);
    assert_eq!(shard.take(session), [END]);
    assert_eq!(shard.data(other), ["too late taken"]);
    // A peer that comes in again has missed nothing.
    let again = shard.open(after("e-0"));
    assert_eq!(shard.data(again), ["too late taken"]);
}

#[test]
fn nothing_passes_a_lease_that_lapsed_though_nobody_handled_the_time() {
    let mut shard = quiet();
    let session = shard.parked(leased(&shard, secs(100)));
    shard.pass(secs(100));
    shard.broadcast("secret");
    let (batch, end) = shard.batch(session, 1000, Framing::Plain);
    assert_eq!((batch.len(), end), (0, Filled::Ended(Some(EndReason::LeaseExpired))));
    assert_eq!(ends(&mut shard), [(session, EndReason::LeaseExpired)]);
    // And it is told once.
    shard.broker.handle_timeout(shard.now);
    assert_eq!((shard.events(), shard.ready()), (vec![], vec![]));
}

#[test]
fn a_busy_session_ends_when_its_lease_does_and_one_that_is_closing_too() {
    let mut shard = quiet();
    let busy = shard.parked(leased(&shard, secs(10)));
    let closing = shard.open(leased(&shard, secs(10)));
    shard.broadcast("not taken");
    shard.broker.session_mut(closing).close(shard.now);
    for _ in 0..10 {
        shard.broadcast("x");
        shard.take(busy);
        shard.sleep(secs(1));
    }
    let mut ended = ends(&mut shard);
    ended.sort_unstable_by_key(|(session, _)| *session);
    assert_eq!(ended, [(busy, EndReason::LeaseExpired), (closing, EndReason::LeaseExpired)]);
}

#[test]
fn a_short_lease_is_asked_about_at_half_time_and_not_without_end() {
    let mut shard = quiet();
    let session = shard.parked(leased(&shard, secs(10)));
    shard.events();
    for _ in 0..10 {
        shard.sleep(just_before(secs(5)));
        assert_eq!(asked(&mut shard), []);
        shard.sleep(TICK);
        assert_eq!(asked(&mut shard), [(session, secs(5))]);
        shard.broker.session_mut(session).renew_lease(shard.now, shard.now + secs(10)).unwrap();
        assert_eq!(asked(&mut shard), [], "at once again");
    }
}

#[test]
fn a_lease_may_be_made_shorter_and_given_to_a_session_that_had_none() {
    let mut shard = quiet();
    let session = shard.parked(session_of("alice"));
    assert_eq!(shard.broker.session(session).lease(), None);
    shard.events();
    shard.sleep(secs(1_000));
    assert_eq!(shard.events(), []);
    shard.broker.session_mut(session).renew_lease(shard.now, shard.now + secs(500)).unwrap();
    shard.broker.session_mut(session).renew_lease(shard.now, shard.now + secs(50)).unwrap();
    shard.sleep(secs(49));
    assert_eq!(asked(&mut shard), [(session, secs(1))]);
    shard.sleep(secs(1));
    assert_eq!(ends(&mut shard), [(session, EndReason::LeaseExpired)]);
}

#[test]
fn a_lease_that_cannot_be_is_refused_and_nothing_is_done() {
    let mut shard = quiet();
    shard.pass(secs(10));
    for late in [secs(0), secs(1), secs(100)] {
        let request = session_of("alice").with_lease(shard.now - late);
        let refused = shard.broker.open(shard.now, request);
        assert_eq!(refused, Err(OpenError::LeaseInThePast));
    }
    assert_eq!(shard.events(), []);
    let session = shard.open(leased(&shard, secs(100)));
    let (now, lease) = (shard.now, shard.broker.session(session).lease());
    assert_eq!(shard.broker.session_mut(session).renew_lease(now, now), Err(LeaseError::InThePast));
    assert_eq!(shard.broker.session(session).lease(), lease);
    // A `now` that goes back brings no time back.
    let earlier = now - secs(5);
    assert_eq!(
        shard.broker.session_mut(session).renew_lease(earlier, now - secs(1)),
        Err(LeaseError::InThePast)
    );
    shard.broker.handle_disconnect(now, session);
    let later = now + secs(1);
    assert_eq!(
        shard.broker.session_mut(session).renew_lease(now, later),
        Err(LeaseError::UnknownSession)
    );
    let session = shard.parked(leased(&shard, secs(100)));
    shard.pass(secs(100));
    let (now, later) = (shard.now, shard.now + secs(1));
    assert_eq!(
        shard.broker.session_mut(session).renew_lease(now, later),
        Err(LeaseError::UnknownSession)
    );
    assert_eq!(shard.take(session), [END], "what has lapsed is not brought back");
}

// Taking rights away.

#[test]
fn revoking_ends_all_sessions_of_a_client_with_what_they_have_not_got_yet() {
    let mut shard = quiet();
    let (one, two) = (shard.parked(session_of("alice")), shard.open(session_of("alice")));
    let other = shard.parked(session_of("bob"));
    shard.broadcast("not sent yet");
    shard.publish(one, "for it alone");
    shard.events();
    assert_eq!(shard.broker.client_mut(&client("alice")).revoke(shard.now), Ok(2));
    let reason = EndReason::Revoked;
    let who = Some(client("alice"));
    assert_eq!(
        shard.events(),
        [
            BrokerEvent::SessionEnded { session: one, client: who.clone(), reason, undelivered: 1 },
            BrokerEvent::SessionEnded { session: two, client: who, reason, undelivered: 0 },
        ]
    );
    let ready = shard.ready();
    assert!(ready.contains(&one) && ready.contains(&two));
    assert_eq!((shard.take(one), shard.take(two)), (vec![END.to_owned()], vec![END.to_owned()]));
    assert_eq!(shard.data(other), ["not sent yet"]);
    assert_eq!(shard.broker.client_mut(&client("alice")).revoke(shard.now), Ok(0));
    let nobody = shard.broker.client_mut(&client("nobody")).revoke(shard.now);
    assert_eq!(nobody, Err(RevokeError::UnknownClient));
}

#[test]
fn of_a_batch_that_was_not_written_only_the_frame_under_way_goes_out() {
    let mut shard = quiet();
    let session = shard.parked(session_of("alice"));
    for text in ["first", "second", "third"] {
        shard.broadcast(text);
    }
    let (batch, _) = shard.batch(session, 10_000, Framing::Plain);
    shard.broker.client_mut(&client("alice")).revoke(shard.now).unwrap();
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
    assert_eq!(text(&rest), event_at(1, "first")[3..]);
    assert_eq!(shard.take(session), [END]);
}

#[test]
fn a_topic_that_is_revoked_is_heard_no_more_and_the_others_are() {
    let mut shard = quiet();
    let (secret, news) = (topic("secret"), topic("news"));
    let both = |name| session_of(name).with_topic(topic("secret")).with_topic(topic("news"));
    let sessions = [shard.parked(both("alice")), shard.parked(both("alice"))];
    let only_news = shard.parked(session_of("alice").with_topic(news.clone()));
    let bob = shard.parked(both("bob"));
    shard.publish(news.clone(), "a");
    shard.publish(secret.clone(), "not sent yet");
    shard.publish(news.clone(), "b");
    shard.events();
    assert_eq!(shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &secret), Ok(2));
    shard.publish(secret.clone(), "never sent");
    shard.broadcast("c");
    for session in sessions {
        assert_eq!(shard.data(session), ["a", "b", "c"]);
    }
    assert_eq!(shard.data(only_news), ["a", "b", "c"]);
    assert_eq!(shard.data(bob), ["a", "not sent yet", "b", "never sent", "c"]);
    assert_eq!(shard.events(), []);
    // Nothing of it makes them ready or lets them lag.
    shard.ready();
    shard.publish(secret.clone(), "x");
    assert_eq!(shard.ready(), [bob]);
    assert_eq!(shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &secret), Ok(0));
    assert_eq!(
        shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic("?")),
        Ok(0)
    );
    let nobody = shard.broker.client_mut(&client("nobody")).revoke_topic(shard.now, &secret);
    assert_eq!(nobody, Err(RevokeError::UnknownClient));
}

#[test]
fn a_batch_that_comes_back_goes_out_again_without_a_revoked_topic() {
    let mut shard = quiet();
    let secret = topic("secret");
    let session = shard.parked(session_of("alice").with_topic(secret.clone()));
    shard.broadcast("a");
    shard.publish(secret.clone(), "b");
    shard.broadcast("c");
    let (batch, _) = shard.batch(session, 10_000, Framing::Plain);
    shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &secret).unwrap();
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 3);
    assert_eq!(text(&rest), event_at(1, "a")[3..]);
    assert_eq!(shard.data(session), ["c"]);
}

#[test]
fn a_topic_that_only_revoked_sessions_heard_is_forgotten() {
    let mut config = config();
    config.limits.topics = 1;
    let mut shard = Shard::new(config);
    let session = shard.parked(session_of("alice").with_topic(topic("secret")));
    shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic("secret")).unwrap();
    shard.publish(topic("another"), "x");
    shard.broker.handle_disconnect(shard.now, session);
    assert_eq!(shard.broker.counters().sessions, 0);
}

#[test]
fn a_session_that_hears_a_revoked_topic_through_a_pattern_ends_and_may_ask_again() {
    let mut shard = quiet();
    let all = || TopicPattern::new("room/*").unwrap();
    let hears = shard.parked(session_of("alice").with_topic(all()));
    let other = shard.parked(session_of("alice").with_topic(topic("room/1")));
    shard.publish(topic("room/1"), "a");
    shard.publish(topic("room/2"), "not sent yet");
    // Also where nothing was ever published to it, or it is not known yet.
    assert_eq!(
        shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic("hall/1")),
        Ok(0)
    );
    assert_eq!(
        shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic("room/2")),
        Ok(1)
    );
    assert_eq!(shard.take(hears), [END]);
    assert_eq!(ends(&mut shard), [(hears, EndReason::Revoked)]);
    assert_eq!(shard.data(other), ["a"]);
    let again = shard.open(after("e-0").with_topic(topic("room/1")));
    assert_eq!(shard.data(again), ["a"]);
    let hears = shard.parked(session_of("alice").with_topic(all()));
    assert_eq!(
        shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic("room/3")),
        Ok(1)
    );
    assert_eq!(shard.take(hears), [END]);
}

//! Leases through a hub: the application is asked, and a session that is cut off is woken.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::{Driver, Probe, next};
use super::{client, config, parked, request_of, say, seconds, sharded, topic};
use http::{Request, StatusCode};
use sansse::broker::{BrokerEvent, EndReason, LeaseError, RevokeError, SessionConfig};
use sansse::hub::{Answer, HubBuilder};
use sansse::{Event, Timer};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

fn quiet() -> HubBuilder {
    let mut config = config();
    config.session.heartbeat = None;
    sharded(config, 4)
}

#[test]
fn a_listener_renews_leases_until_it_does_not() {
    let timer = VirtualTimer::new();
    let last_renewal = timer.now() + seconds(300);
    let handle: Arc<OnceLock<sansse::Hub>> = Arc::default();
    let renewing = handle.clone();
    let hub = quiet().on_event(move |_, event| {
        if let BrokerEvent::LeaseExpiring { session, until, .. } = event
            && until < last_renewal
        {
            renewing.get().unwrap().renew_lease(session, until + seconds(60)).unwrap();
        }
    });
    let (hub, drive) = hub.build(timer.clone()).unwrap();
    handle.set(hub.clone()).unwrap();
    let probe = Probe::new();
    let request = request_of("alice").with_lease(timer.now() + seconds(60));
    let mut session = parked(&hub, request, &probe);
    let mut driver = Driver::new(drive);
    while timer.elapsed() < seconds(299) {
        timer.advance(seconds(1));
        driver.run();
    }
    assert_eq!(probe.take_wakes(), 0);
    assert!(next(&mut session, &probe).is_pending());
    timer.advance(seconds(1));
    driver.run();
    assert_eq!(probe.take_wakes(), 1, "it is told of its end");
    assert!(matches!(next(&mut session, &probe), Poll::Ready(None)));
    assert_eq!(session.end_reason(), Some(EndReason::LeaseExpired));
    assert_eq!(
        hub.renew_lease(session.id(), timer.now() + seconds(1)),
        Err(LeaseError::UnknownSession)
    );
}

#[test]
fn revoking_wakes_and_ends_the_sessions_of_a_client_wherever_it_lives() {
    let hub = quiet().build_still(VirtualTimer::new());
    let probe = Probe::new();
    for number in 0..20 {
        let name = format!("client {number}");
        let mut sessions = [0, 1].map(|_| parked(&hub, request_of(&name), &probe));
        say(&hub, "not sent yet");
        probe.take_wakes();
        assert_eq!(hub.revoke(&client(&name)), Ok(2));
        for session in &mut sessions {
            assert!(matches!(next(session, &probe), Poll::Ready(None)));
            assert_eq!(session.end_reason(), Some(EndReason::Revoked));
        }
    }
    assert_eq!(hub.revoke(&client("nobody")), Err(RevokeError::UnknownClient));
}

#[test]
fn a_revoked_topic_is_heard_no_more_wherever_the_client_lives() {
    let hub = quiet().build_still(VirtualTimer::new());
    let probe = Probe::new();
    for number in 0..20 {
        let name = format!("client {number}");
        let secret = topic("secret");
        let mut session = parked(&hub, request_of(&name).with_topic(secret.clone()), &probe);
        hub.publish(secret.clone(), &Event::new("not sent yet")).unwrap();
        assert_eq!(hub.revoke_topic(&client(&name), &secret), Ok(1));
        assert!(next(&mut session, &probe).is_pending());
    }
    let nobody = hub.revoke_topic(&client("nobody"), &topic("secret"));
    assert_eq!(nobody, Err(RevokeError::UnknownClient));
}

#[test]
fn a_request_whose_lease_is_over_is_forbidden() {
    let timer = VirtualTimer::new();
    let hub = quiet().build_still(timer.clone());
    let request = Request::get("/").body(()).unwrap();
    let over = SessionConfig::new().with_lease(timer.now());
    let Answer::Response(response) = hub.accept(&request, over) else {
        panic!("a stream without a right to it")
    };
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(response.headers().get("retry-after").is_none());
}

//! Patterns, live subscriptions and topics that end, through the hub and its shards.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::Probe;
use super::{config, data, drain, hub, parked, sharded, topic};
use http::header::ORIGIN;
use http::{Request, Response, StatusCode};
use sansse::broker::{
    EndReason, PublishError, Resumption, SessionConfig, StartAt, SubscribeError, TopicFilter,
    TopicPattern,
};
use sansse::http::{Cors, LAST_EVENT_ID, ResponseHead};
use sansse::hub::{Answer, Session};
use sansse::{Event, Hub, event_type};

fn pattern(text: &str) -> TopicPattern {
    TopicPattern::new(text).unwrap()
}

fn tell(hub: &Hub, name: &str, text: &'static str) {
    hub.publish(topic(name), &Event::new(text)).unwrap();
}

/// Sessions on each of three shards.
fn three(hub: &Hub, request: &SessionConfig, probe: &Probe) -> Vec<Session> {
    let sessions: Vec<_> = (0..3).map(|_| parked(hub, request.clone(), probe)).collect();
    let mut shards: Vec<_> = sessions.iter().map(|session| session.id().shard()).collect();
    shards.sort_unstable();
    assert_eq!(shards, [0, 1, 2]);
    sessions
}

#[test]
fn a_pattern_reaches_sessions_on_all_shards() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let request = SessionConfig::new().with_topic(pattern("news/**"));
    let mut sessions = three(&hub, &request, &probe);
    probe.take_wakes();
    tell(&hub, "news/uk", "a");
    assert_eq!(probe.take_wakes(), 3, "each task is woken once");
    tell(&hub, "other", "no");
    for session in &mut sessions {
        assert_eq!(data(&drain(session, &probe)), ["a"]);
    }
}

#[test]
fn what_is_not_permitted_is_refused_to_the_handle_and_through_the_hub() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let request = SessionConfig::new().with_permitted([pattern("room/*").into()]);
    for session in three(&hub, &request, &probe) {
        assert_eq!(
            session.subscribe(topic("hall"), StartAt::Now),
            Err(SubscribeError::NotPermitted)
        );
        let refused = hub.subscribe(session.id(), pattern("**"), StartAt::Now);
        assert_eq!(refused, Err(SubscribeError::NotPermitted));
        assert_eq!(session.subscribe(pattern("room/*"), StartAt::Now), Ok(Resumption::Live));
    }
}

#[test]
fn a_session_handle_subscribes_and_its_task_is_woken_for_what_is_replayed() {
    let (hub, probe) = (hub(), Probe::new());
    tell(&hub, "room/1", "a");
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    probe.take_wakes();
    let outcome = session.subscribe(pattern("room/*"), StartAt::Oldest);
    assert_eq!(outcome, Ok(Resumption::Oldest { replayed: 1 }));
    assert_eq!(probe.take_wakes(), 1);
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
    tell(&hub, "room/2", "b");
    assert_eq!(data(&drain(&mut session, &probe)), ["b"]);
    let filter: TopicFilter = pattern("room/*").into();
    assert!(session.unsubscribe(&filter) && !session.unsubscribe(&filter));
    tell(&hub, "room/2", "c");
    assert_eq!(drain(&mut session, &probe).len(), 0);
}

#[test]
fn a_session_that_is_nowhere_cannot_be_subscribed() {
    let wide = sharded(config(), 5).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let request = super::client_on(4, 5);
    let elsewhere = parked(&wide, request, &probe).id();
    let hub = hub();
    let outcome = hub.subscribe(elsewhere, topic("a"), StartAt::Now);
    assert_eq!(outcome, Err(SubscribeError::UnknownSession));
    assert!(!hub.unsubscribe(elsewhere, &topic("a").into()));
}

#[test]
fn a_topic_ends_on_all_shards_at_one_position() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let request = SessionConfig::new().topics_only().with_topic(topic("answer"));
    let mut sessions = three(&hub, &request, &probe);
    tell(&hub, "answer", "a");
    let end = hub.end_topic(&topic("answer")).unwrap();
    assert_eq!((end.position(), end.is_end()), (2, true));
    for session in &mut sessions {
        assert_eq!(data(&drain(session, &probe)), ["a"]);
        assert_eq!(session.end_reason(), Some(EndReason::TopicsEnded));
    }
    let refused = hub.publish(topic("answer"), &Event::new("b"));
    assert_eq!(refused, Err(PublishError::TopicEnded));
    assert_eq!(hub.end_topic(&topic("answer")), Err(PublishError::TopicEnded));
    let next = hub.publish(topic("other"), &Event::new("c")).unwrap();
    assert_eq!(next.position(), 3, "what was refused took no position");
}

#[test]
fn an_answer_survives_a_reload_and_then_the_browser_is_told_to_stop() {
    let head = ResponseHead::new().with_cors(Cors::origins(["https://a.example"]).unwrap());
    let builder = sharded(config(), 1).with_response_head(head);
    let (hub, _drive) = builder.build(VirtualTimer::new()).unwrap();
    let probe = Probe::new();
    let ask = |last: Option<&str>| {
        let mut request = Request::get("/answer").body(()).unwrap();
        request.headers_mut().insert(ORIGIN, "https://a.example".parse().unwrap());
        if let Some(last) = last {
            request.headers_mut().insert(LAST_EVENT_ID, last.parse().unwrap());
        }
        let session = SessionConfig::new()
            .topics_only()
            .with_topic(topic("answer"))
            .with_start(StartAt::Oldest);
        hub.accept(&request, session)
    };
    let stream = |answer| match answer {
        Answer::Stream(_, session) => session,
        other => panic!("{other:?}"),
    };
    tell(&hub, "answer", "forty-");
    let mut first = stream(ask(None));
    assert_eq!(data(&drain(&mut first, &probe)), ["forty-"]);
    drop(first);
    tell(&hub, "answer", "two");
    hub.end_topic(&topic("answer")).unwrap();
    // The connection was lost, or the page was loaded again.
    assert_eq!(data(&drain(&mut stream(ask(Some("beef-1"))), &probe)), ["two"]);
    let mut again = stream(ask(None));
    assert_eq!(data(&drain(&mut again, &probe)), ["forty-", "two"]);
    assert_eq!(again.end_reason(), Some(EndReason::TopicsEnded));
    let stop: Response<_> = match ask(Some("beef-2")) {
        Answer::Response(response) => response,
        other => panic!("a stream of nothing: {other:?}"),
    };
    assert_eq!((stop.status(), stop.body().len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(stop.headers()["access-control-allow-origin"], "https://a.example");
}

#[test]
fn what_is_over_is_answered_by_an_event_where_the_session_says_so() {
    let hub = hub();
    hub.end_topic(&topic("answer")).unwrap();
    let over = Event::new("42").with_type(event_type!("done"));
    let config =
        SessionConfig::new().topics_only().with_topic(topic("answer")).with_event_when_over(over);
    for (method, body) in [("GET", "event: done\ndata: 42\n\n"), ("HEAD", "")] {
        let request = Request::builder().method(method).uri("/").body(()).unwrap();
        let Answer::Response(response) = hub.accept(&request, config.clone()) else {
            panic!("there is nothing to read")
        };
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, body.as_bytes()));
        assert_eq!(response.headers()["content-type"], "text/event-stream");
    }
    hub.close();
    let request = Request::get("/").body(()).unwrap();
    let Answer::Response(response) = hub.accept(&request, config) else { panic!("it is closed") };
    assert!(response.body().starts_with(b": the broker is closed\n"), "another refusal is told");
}

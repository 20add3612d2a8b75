//! The client as a stream.

use crate::kit::time::VirtualTimer;
use crate::network::Network;
use crate::tasks::Polled;
use crate::{data, nanosecond, request, source, source_of};
use http::{HeaderMap, HeaderValue, Response};
use sansse::client::{ClientConfig, ClientError, CloseReason, Sentinel, Timeout};
use sansse::net::{Failure, FailureKind};
use sansse::{EventSource, SourceEvent};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

type Source = Polled<EventSource<Network>>;

fn opened() -> (Source, Network, VirtualTimer) {
    opened_with(ClientConfig::new(7))
}

fn opened_with(config: ClientConfig) -> (Source, Network, VirtualTimer) {
    let (mut source, network, timer) = source_of(config);
    network.open();
    assert!(matches!(source.drain()[..], [SourceEvent::Open(_)]));
    (source, network, timer)
}

/// The one event that came: a loss.
fn lost(source: &mut Source) -> (ClientError, Duration) {
    match &source.drain()[..] {
        [SourceEvent::Retrying { error, wait, .. }] => (error.clone(), *wait),
        events => panic!("not one loss: {events:?}"),
    }
}

#[test]
fn nothing_is_sent_before_it_is_polled() {
    let (network, timer) = (Network::default(), VirtualTimer::new());
    let config = ClientConfig::new(7);
    let source = EventSource::new(network.clone(), timer.clone(), request(), config);
    assert_eq!((network.sent(), timer.begun()), (0, 0));
    let mut source = Polled::new(source);
    source.drain();
    assert_eq!(network.sent(), 1);
    assert_eq!(network.headers(0)["accept"], "text/event-stream");
}

#[test]
fn a_stream_opens_once_and_its_messages_come_in_order() {
    let (mut source, network, _) = source();
    network.open();
    network.chunk("id: 1\ndata: a\n\nevent: b\nda");
    let events = source.drain();
    assert!(
        matches!(&events[0], SourceEvent::Open(head) if head.url == "http://example.org/events"),
        "{events:?}"
    );
    assert_eq!(data(&events), ["a"]);
    network.chunk("ta: c\n\ndata: d\n\n");
    let events = source.drain();
    assert_eq!(data(&events), ["c", "d"]);
    assert_eq!(events.len(), 2);
    assert_eq!(source.stream.last_event_id(), "1");
}

#[test]
fn after_a_loss_it_asks_again_from_the_last_event_when_the_wait_is_over_and_not_before() {
    for cut in [None, Some(FailureKind::Closed), Some(FailureKind::Truncated)] {
        let (mut source, network, timer) = opened();
        network.chunk("id: 41\ndata: a\n\n");
        assert_eq!(data(&source.drain()), ["a"]);
        match cut {
            None => network.end(),
            Some(kind) => network.fail(kind),
        }
        let (error, wait) = lost(&mut source);
        assert!(!wait.is_zero());
        match cut {
            None => assert_eq!(error, ClientError::EndOfStream),
            Some(kind) => assert_eq!(error, ClientError::Transport(kind.into())),
        }
        assert_eq!(network.alive(), 0);
        assert_eq!(timer.sleeps(), [timer.elapsed() + wait]);

        timer.advance(wait.checked_sub(nanosecond()).unwrap());
        assert_eq!(source.take_wakes(), 0);
        assert_eq!(source.touch().last_event_id(), "41");
        assert_eq!(source.drain(), []);
        assert_eq!(network.sent(), 1);

        timer.advance(nanosecond());
        assert_eq!(source.drain(), []);
        assert_eq!(network.sent(), 2);
        assert_eq!(network.headers(1)["last-event-id"], "41");
        network.open();
        network.chunk("data: b\n\n");
        assert_eq!(data(&source.drain()), ["b"]);
    }
}

#[test]
fn a_silent_peer_wakes_it_at_exactly_the_deadline_and_at_no_other_time() {
    let mut config = ClientConfig::new(7);
    config.policy.timeouts.idle = Some(Duration::from_secs(60));
    let (mut source, network, timer) = opened_with(config);
    assert_eq!(timer.sleeps(), [Duration::from_secs(60)]);
    timer.advance(Duration::from_secs(20));
    network.chunk(":\n");
    assert_eq!(source.drain(), []);
    assert_eq!(timer.sleeps(), [Duration::from_secs(80)]);

    timer.advance(Duration::from_secs(60).checked_sub(nanosecond()).unwrap());
    assert_eq!(source.take_wakes(), 0);
    timer.advance(nanosecond());
    assert_eq!(lost(&mut source).0, ClientError::Timeout(Timeout::Idle));
}

#[test]
fn bytes_that_came_count_before_a_deadline_that_has_passed_meanwhile() {
    let (mut source, network, timer) = opened();
    timer.advance(Duration::from_secs(90));
    network.chunk("data: just in time\n\n");
    assert_eq!(data(&source.drain()), ["just in time"]);
}

#[test]
fn a_timer_that_fires_early_is_not_trusted() {
    let (mut source, network, timer) = opened();
    for _ in 0..3 {
        timer.end_sleeps_early();
        assert_eq!(source.drain(), []);
        assert_eq!(timer.sleeps(), [Duration::from_secs(90)]);
    }
    assert_eq!((network.sent(), network.alive()), (1, 1));
    timer.advance(Duration::from_secs(90));
    assert_eq!(lost(&mut source).0, ClientError::Timeout(Timeout::Idle));
}

#[test]
fn a_body_is_read_only_while_it_is_polled_and_its_messages_are_taken() {
    let (mut source, network, _) = opened();
    for number in 0..10 {
        network.chunk(format!("data: {number}a\n\ndata: {number}b\n\n"));
    }
    assert_eq!(network.taken(), 0);
    for number in 0..10 {
        for half in ["a", "b"] {
            let Poll::Ready(Some(event)) = source.poll() else { panic!("a message is there") };
            assert_eq!(data(&[event]), [format!("{number}{half}")]);
            assert_eq!(network.taken(), number + 1);
        }
    }
}

#[test]
fn dropping_or_closing_it_drops_the_connection_in_every_state() {
    type Step = fn(&Network);
    let states: [&[Step]; 3] =
        [&[], &[Network::open], &[Network::open, |network| network.chunk("data: a\n\n")]];
    for steps in states {
        for is_closed in [false, true] {
            let (mut source, network, _) = source();
            for step in steps {
                step(&network);
                let _ = source.poll();
            }
            assert_eq!(network.alive(), 1);
            if is_closed {
                source.touch().close();
                assert_eq!(network.alive(), 0);
                assert_eq!(source.poll(), Poll::Ready(None));
            }
            drop(source);
            assert_eq!((network.alive(), network.sent()), (0, 1));
        }
    }
}

#[test]
fn what_had_arrived_does_not_come_after_it_was_closed() {
    let (mut source, network, _) = opened();
    network.chunk("data: a\n\ndata: b\n\n");
    assert!(matches!(source.poll(), Poll::Ready(Some(SourceEvent::Message(_)))));
    source.touch().close();
    assert_eq!(source.poll(), Poll::Ready(None));
}

#[test]
fn a_connection_that_is_over_is_dropped_before_that_is_told() {
    // The deadline.
    let (mut source, network, timer) = opened();
    timer.advance(Duration::from_secs(90));
    assert!(matches!(source.poll(), Poll::Ready(Some(SourceEvent::Retrying { .. }))));
    assert_eq!(network.alive(), 0);

    // The end that the application agreed on with the server.
    let mut config = ClientConfig::new(7);
    config.sentinel = Some(Sentinel::Data("[DONE]".into()));
    let (mut source, network, _) = opened_with(config);
    network.chunk("data: [DONE]\n\n");
    assert_eq!(source.poll(), Poll::Ready(Some(SourceEvent::Closed(CloseReason::Finished))));
    assert_eq!(network.alive(), 0);
}

#[test]
fn a_status_that_ends_it_ends_the_stream() {
    let (mut source, network, _) = source();
    network.answer(Ok(Response::builder().status(204).body(()).unwrap()));
    assert_eq!(source.drain(), [SourceEvent::Closed(CloseReason::NoContent)]);
    assert_eq!(source.poll(), Poll::Ready(None));
    assert_eq!(source.poll(), Poll::Ready(None));
    assert_eq!((network.alive(), network.sent()), (0, 1));
}

#[test]
fn one_that_has_ended_holds_no_timer() {
    let (mut source, network, timer) = source();
    network.answer(Ok(Response::builder().status(204).body(()).unwrap()));
    assert_eq!(source.poll(), Poll::Ready(Some(SourceEvent::Closed(CloseReason::NoContent))));
    assert!(timer.sleeps().is_empty(), "{:?}", timer.sleeps());

    let (mut source, _, timer) = opened();
    source.touch().close();
    assert!(timer.sleeps().is_empty(), "{:?}", timer.sleeps());
}

#[test]
fn an_attempt_that_fails_before_a_head_is_made_again() {
    let (mut source, network, timer) = source();
    network.answer(Err(FailureKind::Connect.into()));
    let (error, wait) = lost(&mut source);
    assert_eq!(error, ClientError::Transport(FailureKind::Connect.into()));
    timer.advance(wait);
    source.drain();
    network.open();
    assert!(matches!(source.drain()[..], [SourceEvent::Open(_)]));
}

#[test]
fn a_redirect_is_followed_over_a_connection_of_its_own() {
    let (mut source, network, _) = source();
    let head = Response::builder().status(307).header("location", "/elsewhere");
    network.answer(Ok(head.body(()).unwrap()));
    assert_eq!(source.drain(), []);
    assert_eq!((network.sent(), network.alive()), (2, 1));
    network.open();
    let events = source.drain();
    assert!(
        matches!(&events[..], [SourceEvent::Open(head)] if head.url.path() == "/elsewhere"),
        "{events:?}"
    );
}

#[test]
fn restart_asks_again_at_once_and_wake_cuts_a_wait_short() {
    let (mut source, network, timer) = opened();
    source.touch().restart();
    assert_eq!(lost(&mut source).0, ClientError::Restarted);
    assert_eq!((network.sent(), network.alive()), (2, 1));
    network.answer(Err(FailureKind::Connect.into()));
    let (_, wait) = lost(&mut source);
    assert!(wait > Duration::from_secs(3), "a second failure is waited out longer: {wait:?}");
    source.touch().wake();
    source.drain();
    timer.advance(Duration::from_secs(3));
    source.drain();
    assert_eq!(network.sent(), 3);
}

/// Headers that a test gives when it likes, and the URLs for which they were asked.
#[derive(Clone, Default)]
struct Tokens {
    given: Arc<Mutex<Option<Result<&'static str, Failure>>>>,
    waker: Arc<Mutex<Option<std::task::Waker>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// With which status the headers before were refused.
    refused: Arc<Mutex<Vec<Option<http::StatusCode>>>>,
    /// Each asking holds one.
    under_way: Arc<()>,
}

impl Tokens {
    fn give(&self, token: Result<&'static str, Failure>) {
        *self.given.lock().unwrap() = Some(token);
        let waker = self.waker.lock().unwrap().take();
        waker.into_iter().for_each(std::task::Waker::wake);
    }

    fn under_way(&self) -> usize {
        // One is this handle's, and one is that of the closure.
        Arc::strong_count(&self.under_way) - 2
    }

    fn source(&self) -> (Source, Network, VirtualTimer) {
        let mut config = ClientConfig::new(7);
        config.renew_headers = true;
        let (network, timer) = (Network::default(), VirtualTimer::new());
        let tokens = self.clone();
        let source = EventSource::new(network.clone(), timer.clone(), request(), config)
            .with_headers(move |wanted| {
                tokens.asked.lock().unwrap().push(wanted.url.to_string());
                tokens.refused.lock().unwrap().push(wanted.refused);
                let (given, waker) = (tokens.given.clone(), tokens.waker.clone());
                let held = tokens.under_way.clone();
                std::future::poll_fn(move |context| {
                    let _ = &held;
                    *waker.lock().unwrap() = Some(context.waker().clone());
                    let Some(given) = given.lock().unwrap().take() else { return Poll::Pending };
                    Poll::Ready(given.map(|token| {
                        let mut headers = HeaderMap::new();
                        headers.insert("authorization", HeaderValue::from_static(token));
                        headers
                    }))
                })
            });
        let mut source = Polled::new(source);
        assert_eq!(source.drain(), []);
        (source, network, timer)
    }
}

#[test]
fn a_request_waits_for_the_headers_that_are_renewed_for_each_attempt() {
    let tokens = Tokens::default();
    let (mut source, network, timer) = tokens.source();
    assert_eq!(network.sent(), 0);
    timer.advance(Duration::from_secs(5));
    tokens.give(Ok("one"));
    assert_eq!(source.drain(), []);
    assert_eq!(network.headers(0)["authorization"], "one");
    network.open();
    network.end();
    let events = source.drain();
    let Some(SourceEvent::Retrying { wait, .. }) = events.last() else { panic!("{events:?}") };
    timer.advance(*wait);
    source.drain();
    assert_eq!(network.sent(), 1);
    tokens.give(Ok("two"));
    source.drain();
    assert_eq!(network.headers(1)["authorization"], "two");
    assert_eq!(*tokens.asked.lock().unwrap(), ["http://example.org/events"; 2]);
}

#[test]
fn headers_that_were_refused_are_asked_for_again_at_once_and_with_the_reason() {
    let tokens = Tokens::default();
    let (mut source, network, _timer) = tokens.source();
    tokens.give(Ok("stale"));
    source.drain();
    network.answer(Ok(Response::builder().status(401).body(()).unwrap()));
    network.end();
    let events = source.drain();
    let [SourceEvent::Retrying { wait, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*wait, Duration::ZERO);
    tokens.give(Ok("fresh"));
    source.drain();
    assert_eq!(network.headers(1)["authorization"], "fresh");
    let unauthorized = Some(http::StatusCode::UNAUTHORIZED);
    assert_eq!(*tokens.refused.lock().unwrap(), [None, unauthorized]);
}

#[test]
fn headers_that_cannot_be_had_are_a_failed_attempt() {
    let tokens = Tokens::default();
    let (mut source, network, timer) = tokens.source();
    let failure = Failure::new(FailureKind::Headers).with_detail("the issuer is away");
    tokens.give(Err(failure.clone()));
    let (error, wait) = lost(&mut source);
    assert_eq!(error, ClientError::Transport(failure));
    timer.advance(wait);
    source.drain();
    tokens.give(Ok("late"));
    source.drain();
    assert_eq!(network.sent(), 1);
}

#[test]
fn headers_that_come_too_late_are_not_waited_for_any_more() {
    let tokens = Tokens::default();
    let (mut source, network, timer) = tokens.source();
    assert_eq!(tokens.under_way(), 1);
    timer.advance(Duration::from_secs(30));
    let (error, wait) = lost(&mut source);
    assert_eq!(error, ClientError::Timeout(Timeout::Headers));
    assert_eq!(tokens.under_way(), 0);
    timer.advance(wait);
    source.drain();
    assert_eq!((tokens.under_way(), network.sent()), (1, 0));
    source.touch().close();
    assert_eq!(tokens.under_way(), 0);
}

#[test]
fn a_flood_without_events_leaves_the_thread_to_others_and_the_deadlines_hold() {
    let mut config = ClientConfig::new(7);
    config.policy.timeouts.total = Some(Duration::from_secs(60));
    let (mut source, network, timer) = opened_with(config);
    network.flood(": nothing\n");
    assert_eq!(source.poll(), Poll::Pending);
    assert!(source.take_wakes() > 0, "it goes on");
    assert!((1..1000).contains(&network.taken()), "{}", network.taken());
    timer.advance(Duration::from_secs(60));
    let mut events = Vec::new();
    for _ in 0..10 {
        if let Poll::Ready(Some(event)) = source.poll() {
            events.push(event);
        }
    }
    let over = ClientError::Timeout(Timeout::Total);
    assert!(
        matches!(&events[..], [SourceEvent::Closed(CloseReason::Failed(error))] if *error == over),
        "{events:?}"
    );
}

#[test]
fn what_is_printed_of_it_holds_no_secret_of_the_url() {
    let (network, timer) = (Network::default(), VirtualTimer::new());
    let request = http::Request::get("http://example.org/?token=secret");
    let request = request.body(bytes::Bytes::new()).unwrap();
    let source = EventSource::new(network, timer, request, ClientConfig::new(7));
    assert!(!format!("{source:?}").contains("secret"));
}

#[test]
fn an_open_stream_comes_with_its_head_and_with_the_place_that_was_asked_for() {
    let mut config = ClientConfig::new(7);
    config.last_event_id = Some(sansse::EventId::new("40").unwrap());
    let (mut source, network, _) = source_of(config);
    let head = Response::builder()
        .header("content-type", "text/event-stream")
        .header("x-instance", "seven")
        .version(http::Version::HTTP_2);
    network.answer(Ok(head.body(()).unwrap()));
    network.chunk("id: 41\ndata: a\n\n");
    let events = source.drain();
    let [SourceEvent::Open(head), SourceEvent::Message(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((head.version, head.headers.len()), (http::Version::HTTP_2, 2));
    assert_eq!(head.headers["x-instance"], "seven");
    assert_eq!(head.resumed_from.as_ref().map(sansse::EventId::as_str), Some("40"));
}

#[test]
fn one_that_has_ended_opens_again_after_the_last_event_and_one_that_has_not_goes_on() {
    let (mut source, network, _) = opened();
    network.chunk("id: 41\nretry: 77\ndata: a\n\n");
    source.drain();
    source.touch().reopen();
    assert_eq!((source.drain(), network.sent(), network.alive()), (vec![], 1, 1));

    source.touch().restart();
    source.drain();
    network.answer(Ok(Response::builder().status(204).body(()).unwrap()));
    assert_eq!(source.drain(), [SourceEvent::Closed(CloseReason::NoContent)]);
    source.touch().reopen();
    assert_eq!((source.drain(), network.sent()), (vec![], 3));
    assert_eq!(network.headers(2)["last-event-id"], "41");
    network.open();
    assert!(matches!(source.drain()[..], [SourceEvent::Open(_)]));

    // Closed by its owner, with a place that was cleared.
    network.chunk("id\ndata: b\n\n");
    source.drain();
    source.touch().close();
    source.touch().reopen();
    assert_eq!((source.drain(), network.sent(), network.alive()), (vec![], 4, 1));
    assert!(!network.headers(3).contains_key("last-event-id"));
}

#[test]
fn the_time_for_all_begins_anew_with_one_that_is_opened_again() {
    let mut config = ClientConfig::new(7);
    config.policy.timeouts.total = Some(Duration::from_secs(60));
    let (mut source, network, timer) = opened_with(config);
    timer.advance(Duration::from_secs(60));
    assert!(matches!(source.drain()[..], [SourceEvent::Closed(_)]));
    source.touch().reopen();
    source.drain();
    network.open();
    assert!(matches!(source.drain()[..], [SourceEvent::Open(_)]));
    timer.advance(Duration::from_secs(59));
    network.chunk("data: a\n\n");
    assert_eq!(data(&source.drain()), ["a"]);
}

#[test]
fn a_url_is_enough_and_what_is_none_ends_it() {
    let (network, timer) = (Network::default(), VirtualTimer::new());
    let config = ClientConfig::new(7);
    let source = |url: &str| {
        Polled::new(EventSource::new(network.clone(), timer.clone(), url, config.clone()))
    };
    assert_eq!(source("http://example.org/events").drain(), []);
    assert_eq!(network.sent(), 1);
    let error = ClientError::Request(sansse::client::RequestError::Url);
    assert_eq!(source("example").drain(), [SourceEvent::Closed(CloseReason::Failed(error))]);
    assert_eq!(network.sent(), 1);
}

//! Streams: what arrives, where they go on, and how they end.

use crate::peer::{End, Peer};
use crate::setup::{Setup, Stack};
use crate::until;
use http::{Request, StatusCode};
use sansse::Event;
use sansse::broker::{Audience, Drain, TopicName};
use std::fmt::Write;
use std::time::Duration;

pub(crate) async fn a_reader_that_comes_back_gets_what_it_missed<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peer = Peer::events::<S>(&served).await;
    served.hub.publish(Audience::Everyone, &Event::new("first")).unwrap();
    peer.wait_for("data: first\n\n").await;
    let id = peer.last_id().to_owned();
    drop(peer);
    served.hub.publish(Audience::Everyone, &Event::new("missed")).unwrap();
    for request in [
        Request::get("/events").header("last-event-id", &id),
        Request::get(format!("/events?last_event_id={id}")),
    ] {
        let mut peer = Peer::ask::<S>(&served, request).await;
        peer.wait_for("data: missed\n\n").await;
        assert!(!peer.text.contains("data: first"), "{}", peer.text);
        assert!(peer.text.contains("\"stream\":\"complete\",\"replayed\":1"), "{}", peer.text);
    }
}

pub(crate) async fn thousands_of_events_arrive_in_order<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peer = Peer::events::<S>(&served).await;
    let before = peer.text.len();
    let padding = "x".repeat(500);
    for number in 0..5_000 {
        let event = Event::new(format!("{number} {padding}"));
        served.hub.publish(Audience::Everyone, &event).unwrap();
    }
    peer.wait_for("data: 4999 ").await;
    let mut next = 0;
    for line in peer.text[before..].lines().filter_map(|line| line.strip_prefix("data: ")) {
        let mut expected = String::new();
        write!(expected, "{next} ").unwrap();
        assert!(line.starts_with(&expected), "{line} where {next} is due");
        next += 1;
    }
    assert_eq!(next, 5_000);
}

pub(crate) async fn a_reader_that_leaves_closes_its_session<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let peers = [Peer::events::<S>(&served).await, Peer::events::<S>(&served).await];
    assert_eq!(served.hub.counters().sessions, 2);
    let begun = std::time::Instant::now();
    drop(peers);
    until("no session", || served.hub.counters().sessions == 0).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

pub(crate) async fn a_topic_that_ends_ends_its_streams_in_good_order<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let topic = TopicName::new("a").unwrap();
    let mut peer = Peer::ask::<S>(&served, Request::get("/events?topic=a")).await;
    peer.wait_for("sansse-notice").await;
    served.hub.publish(Audience::Topic(topic.clone()), &Event::new("last")).unwrap();
    served.hub.end_topic(&topic).unwrap();
    assert_eq!(peer.end().await, End::InGoodOrder);
    assert!(peer.text.ends_with("data: last\n\n"), "{}", peer.text);
}

pub(crate) async fn a_drain_cuts_each_stream_after_it_is_told<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(Peer::events::<S>(&served).await);
    }
    served.hub.publish(Audience::Everyone, &Event::new("before")).unwrap();
    served.hub.drain(Drain::new(Duration::from_millis(200))).unwrap();
    for mut peer in peers {
        assert_eq!(peer.end().await, End::Cut, "{}", peer.text);
        assert!(peer.text.contains("data: before\n\n"), "{}", peer.text);
        assert!(peer.text.contains("\"stream\":\"ending\""), "{}", peer.text);
        assert!(peer.text.contains("retry: "), "{}", peer.text);
    }
}

pub(crate) async fn an_answer_to_one_reader_is_whole<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peer = Peer::ask::<S>(&served, Request::get("/whole")).await;
    assert_eq!((peer.status, peer.end().await), (StatusCode::OK, End::InGoodOrder));
    assert_eq!(peer.header("content-type"), Some("text/event-stream"));
    for data in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        assert!(peer.text.contains(data), "{}", peer.text);
    }
}

pub(crate) async fn an_answer_that_fails_is_told_and_cut<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut peer = Peer::ask::<S>(&served, Request::get("/fails")).await;
    assert_eq!(peer.end().await, End::Cut);
    assert!(peer.text.contains("data: 1\n\n"), "{}", peer.text);
    assert!(peer.text.contains("event: error\n"), "{}", peer.text);
    assert!(!peer.text.contains("secret"), "{}", peer.text);
}

pub(crate) async fn an_answer_that_panics_is_cut<S: Stack>() {
    let served = S::start(Setup::new()).await;
    let mut reader = Peer::events::<S>(&served).await;
    // The head may go down with it.
    if let Ok(mut peer) = Peer::try_ask::<S>(served.address, Request::get("/panics/stream")).await
        && peer.status == StatusCode::OK
    {
        assert_eq!(peer.end().await, End::Cut);
    }
    served.hub.publish(Audience::Everyone, &Event::new("after")).unwrap();
    reader.wait_for("data: after\n\n").await;
}

//! What the handles of a feed ask for: its state, another connection, another life.

use crate::sharing::{Driver, feed, feed_with, open, say, subscribe, told};
use crate::tasks::Polled;
use crate::{nanosecond, request};
use http::Response;
use sansse::client::{ClientConfig, ClientError, CloseReason, ReadyState, Timeout};
use sansse::feed::{FeedEvent, Overflow};
use sansse::{EventSource, Feed};
use std::time::Duration;

fn no_content(driver: &mut Driver, network: &crate::network::Network) {
    network.answer(Ok(Response::builder().status(204).body(()).unwrap()));
    driver.run();
}

#[test]
fn an_open_stream_is_told_with_its_head_and_from_where_it_resumes() {
    let (feed, mut driver, network, timer) = feed();
    let mut reader = Polled::new(feed.subscribe());
    driver.run();
    let head = || {
        Response::builder().header("content-type", "text/event-stream").header("set-cookie", "a=b")
    };
    network.answer(Ok(head().body(()).unwrap()));
    network.chunk("id: 41\ndata: 0\n\n");
    network.end();
    driver.run();
    let events = reader.drain();
    let [FeedEvent::Open(opened), FeedEvent::Message(_), FeedEvent::Retrying { .. }] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(&opened.url, request().uri());
    assert_eq!(opened.headers["set-cookie"], "a=b");
    assert_eq!(opened.resumed_from, None);

    timer.advance(timer.sleeps()[0] - timer.elapsed());
    driver.run();
    network.answer(Ok(head().body(()).unwrap()));
    driver.run();
    let events = reader.drain();
    let [FeedEvent::Open(opened)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(opened.resumed_from.as_ref().unwrap().as_str(), "41");
}

#[test]
fn the_state_and_the_place_are_those_of_what_went_to_the_readers() {
    let (feed, mut driver, network, _) = feed();
    assert_eq!((feed.state(), feed.last_event_id().as_str()), (ReadyState::Connecting, ""));
    let slow = subscribe(&feed, 1, Overflow::Wait);
    open(&mut driver, &network);
    assert_eq!(feed.state(), ReadyState::Open);
    for id in 1..=5 {
        network.chunk(format!("id: {id}\ndata: x\n\n"));
    }
    driver.run();
    assert_eq!(feed.last_event_id(), "2", "the feed waits for its reader");
    drop(slow);
    driver.run();
    assert_eq!(feed.last_event_id(), "5");
    // A place without an event.
    network.chunk("id: 6\n\n:\n");
    driver.run();
    assert_eq!(feed.last_event_id(), "6");
    network.end();
    driver.run();
    assert_eq!(feed.state(), ReadyState::Connecting);
    feed.close();
    assert_eq!(feed.state(), ReadyState::Closed);
}

#[test]
fn restart_asks_again_at_once_and_wake_cuts_a_wait_short() {
    let (feed, mut driver, network, timer) = feed();
    feed.restart();
    driver.run();
    assert_eq!(network.sent(), 0, "nobody has subscribed");
    let mut reader = Polled::new(feed.subscribe());
    open(&mut driver, &network);
    say(&mut driver, &network, 0..1);
    feed.restart();
    driver.run();
    assert_eq!((network.sent(), network.alive()), (2, 1));
    let events = reader.drain();
    assert!(
        matches!(events.last(), Some(FeedEvent::Retrying { error: ClientError::Restarted, .. })),
        "{events:?}"
    );

    network.answer(Err(sansse::net::FailureKind::Connect.into()));
    driver.run();
    let Some(FeedEvent::Retrying { wait, .. }) = reader.drain().pop() else { panic!("it waits") };
    assert!(wait > Duration::from_secs(3), "{wait:?}");
    feed.wake();
    driver.run();
    timer.advance(Duration::from_secs(3));
    driver.run();
    assert_eq!(network.sent(), 3);
}

#[test]
fn a_feed_that_has_ended_opens_again_where_it_was() {
    let (feed, mut driver, network, _) = feed();
    assert!(!feed.reopen(), "it has not ended");
    let mut before = Polled::new(feed.subscribe());
    open(&mut driver, &network);
    network.chunk("id: 41\ndata: 0\n\n");
    driver.run();
    feed.restart();
    driver.run();
    no_content(&mut driver, &network);
    assert_eq!(told(before.drain()).last().unwrap(), "no content");
    assert_eq!((feed.state(), network.alive()), (ReadyState::Closed, 0));
    assert!(!driver.is_over(), "it may be opened again");

    assert!(feed.reopen());
    driver.run();
    assert_eq!((feed.state(), network.sent()), (ReadyState::Connecting, 2));
    let mut after = Polled::new(feed.subscribe());
    open(&mut driver, &network);
    assert_eq!(network.headers(2)["last-event-id"], "41");
    say(&mut driver, &network, 1..2);
    assert_eq!(told(after.drain()), ["1"]);
    assert_eq!(before.poll(), std::task::Poll::Ready(None), "what has ended stays so");
}

#[test]
fn a_feed_that_was_closed_opens_again_without_what_came_before() {
    // Whether or not the driver has run in between.
    for runs_between in [true, false] {
        let (feed, mut driver, network, _) = feed();
        let held = subscribe(&feed, 1, Overflow::Wait);
        open(&mut driver, &network);
        say(&mut driver, &network, 0..10);
        feed.close();
        if runs_between {
            driver.run();
            assert_eq!(network.alive(), 0);
        }
        assert!(feed.reopen());
        let mut after = Polled::new(feed.subscribe());
        open(&mut driver, &network);
        assert_eq!((network.sent(), network.alive()), (2, 1));
        say(&mut driver, &network, 10..20);
        // The one that is held from before is waited for no more.
        let numbers: Vec<String> = (10..20).map(|number| number.to_string()).collect();
        assert_eq!(told(after.drain()), numbers);
        drop(held);
    }
}

#[test]
fn without_its_driver_a_feed_does_not_open_again() {
    let (feed, mut driver, _, _) = feed();
    driver.abort();
    assert!(!feed.reopen());
    let mut reader = Polled::new(feed.subscribe());
    assert_eq!(told(reader.drain()), ["closed"]);
}

#[test]
fn a_source_that_was_closed_before_makes_a_feed_that_has_ended() {
    let (network, timer) = (crate::network::Network::default(), crate::VirtualTimer::new());
    let mut source = EventSource::new(network, timer, request(), ClientConfig::new(7));
    source.close();
    let (feed, driver) = Feed::new(source);
    let mut driver = crate::tasks::Task::new(driver);
    let mut reader = Polled::new(feed.subscribe());
    driver.run();
    assert_eq!(reader.drain(), [FeedEvent::Closed(CloseReason::Requested)]);
}

#[test]
fn one_that_is_held_and_not_read_silences_nobody_by_default() {
    let (feed, mut driver, network, _) = feed();
    let held = feed.subscribe();
    let mut reader = Polled::new(feed.subscribe());
    open(&mut driver, &network);
    let mut received = Vec::new();
    for number in 0..1000 {
        say(&mut driver, &network, [number]);
        received.extend(told(reader.drain()));
    }
    network.end();
    driver.run();
    received.extend(told(reader.drain()));
    assert_eq!((received.len(), received.last().unwrap().as_str()), (1001, "retrying"));
    let mut held = Polled::new(held);
    let items = told(held.drain());
    assert_eq!((items[0].as_str(), items[1].as_str(), items.len()), ("744 lost", "744", 258));
    assert_eq!(items.last().unwrap(), "retrying");
}

#[test]
fn the_only_reader_gets_everything_however_slow_it_is_by_default() {
    let (feed, mut driver, network, _) = feed();
    let mut reader = Polled::new(feed.subscribe());
    open(&mut driver, &network);
    say(&mut driver, &network, 0..1000);
    let mut received = Vec::new();
    while received.len() < 1000 {
        let more = told(reader.drain());
        assert!(!more.is_empty(), "{} came", received.len());
        received.extend(more);
        driver.run();
    }
    let expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(received, expected);
}

#[test]
fn a_feed_that_waits_for_its_only_reader_goes_on_when_there_is_another() {
    let (feed, mut driver, network, _) = feed();
    let held = feed.subscribe();
    open(&mut driver, &network);
    say(&mut driver, &network, 0..1000);
    let mut reader = Polled::new(feed.subscribe());
    driver.run();
    let received = told(reader.drain());
    assert_eq!(received.last().map(String::as_str), Some("999"), "{received:?}");
    let items = told(Polled::new(held).drain());
    assert!(items[0].ends_with(" lost"), "{items:?}");
}

#[test]
fn a_loss_of_the_connection_is_told_while_the_feed_waits() {
    // Right behind what filled the buffer, and behind one message more.
    for more in [0, 1] {
        let (feed, mut driver, network, timer) = feed();
        let mut held = subscribe(&feed, 2, Overflow::Wait);
        let mut reader = subscribe(&feed, 100, Overflow::Wait);
        open(&mut driver, &network);
        say(&mut driver, &network, 0..3 + more);
        assert_eq!(feed.state(), ReadyState::Open);
        network.end();
        driver.run();
        let mut expected: Vec<String> = (0..3 + more).map(|number| number.to_string()).collect();
        expected.push("retrying".to_owned());
        assert_eq!(told(reader.drain()), expected);

        // And that there is a stream again.
        timer.advance(timer.sleeps()[0] - timer.elapsed());
        open(&mut driver, &network);
        assert!(matches!(reader.drain()[..], [FeedEvent::Open(_)]));
        assert_eq!(told(held.drain()), expected);
    }
}

#[test]
fn one_that_is_waited_for_is_not_filled_by_connections_that_are_lost_again_and_again() {
    let (feed, mut driver, network, timer) = feed();
    let mut held = subscribe(&feed, 1, Overflow::Wait);
    let mut streams = 0;
    let mut go_on = |driver: &mut Driver| {
        driver.run();
        if network.sent() > streams {
            network.open();
            network.chunk(format!("data: {streams}\n\n"));
            network.end();
            streams = network.sent();
        }
        driver.run();
        if let Some(until) = timer.sleeps().first() {
            timer.advance(until.saturating_sub(timer.elapsed()));
        }
    };
    for _ in 0..20 {
        go_on(&mut driver);
    }
    assert_eq!(network.sent(), 4, "one beyond the bound, one more handed out, and one held back");
    let mut received = told(held.drain());
    assert_eq!(received, ["0", "retrying", "1", "retrying", "2", "retrying"]);
    for _ in 0..20 {
        go_on(&mut driver);
        received.extend(told(held.drain()));
    }
    received.retain(|word| word != "retrying");
    assert!(received.len() > 10, "it goes on when there is room");
    let numbers: Vec<String> = (0..received.len()).map(|number| number.to_string()).collect();
    assert_eq!(received, numbers, "and nothing is lost");
}

#[test]
fn a_feed_that_waits_does_what_it_is_asked_for() {
    let (feed, mut driver, network, _) = feed();
    let mut held = subscribe(&feed, 2, Overflow::Wait);
    let mut reader = subscribe(&feed, 100, Overflow::Wait);
    open(&mut driver, &network);
    network.chunk("data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
    driver.run();
    assert_eq!(told(reader.drain()), ["0", "1", "2"]);
    feed.restart();
    driver.run();
    assert_eq!((network.sent(), network.alive()), (2, 1));
    assert_eq!(told(reader.drain()), ["3", "4", "retrying"]);
    assert_eq!(told(held.drain()), ["0", "1", "2", "3", "4", "retrying"]);
    feed.close();
    driver.run();
    assert_eq!(network.alive(), 0);
}

#[test]
fn a_feed_that_waits_keeps_its_deadlines() {
    let mut config = ClientConfig::new(7);
    config.policy.timeouts.total = Some(Duration::from_secs(60));
    let (feed, mut driver, network, timer) = feed_with(config);
    let _held = subscribe(&feed, 1, Overflow::Wait);
    let mut reader = subscribe(&feed, 100, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..10);
    reader.drain();
    timer.advance(Duration::from_secs(60).checked_sub(nanosecond()).unwrap());
    driver.run();
    assert_eq!((reader.drain(), network.alive()), (vec![], 1));
    timer.advance(nanosecond());
    driver.run();
    let over = CloseReason::Failed(ClientError::Timeout(Timeout::Total));
    assert_eq!(reader.drain().pop(), Some(FeedEvent::Closed(over)));
    assert_eq!(network.alive(), 0);
}

#[test]
fn a_feed_that_waits_does_not_take_a_peer_for_silent_whom_it_does_not_read() {
    let (feed, mut driver, network, timer) = feed();
    let mut held = subscribe(&feed, 1, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..10);
    timer.advance(Duration::from_secs(3600));
    driver.run();
    let mut received = Vec::new();
    for _ in 0..10 {
        received.extend(told(held.drain()));
        driver.run();
    }
    let numbers: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(received, numbers);
}

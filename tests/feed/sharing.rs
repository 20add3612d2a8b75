//! One stream for several readers.

use crate::kit::time::VirtualTimer;
use crate::network::Network;
use crate::tasks::{Polled, Task};
use crate::{nanosecond, request};
use http::Response;
use sansse::client::{ClientConfig, ClientError, CloseReason};
use sansse::feed::{FeedDriver, FeedEvent, FeedLoss, Overflow, Subscription, SubscriptionConfig};
use sansse::net::FailureKind;
use sansse::{EventSource, EventType, Feed, LossReason};
use std::num::NonZeroUsize;
use std::task::Poll;

pub(super) type Driver = Task<FeedDriver<Network>>;

pub(super) fn feed() -> (Feed, Driver, Network, VirtualTimer) {
    feed_with(ClientConfig::new(7))
}

pub(super) fn feed_with(config: ClientConfig) -> (Feed, Driver, Network, VirtualTimer) {
    let (network, timer) = (Network::default(), VirtualTimer::new());
    let source = EventSource::new(network.clone(), timer.clone(), request(), config);
    let (feed, driver) = Feed::new(source);
    let mut driver = Task::new(driver);
    driver.run();
    (feed, driver, network, timer)
}

/// A subscription that waits.
pub(super) fn subscribe(feed: &Feed, capacity: usize, overflow: Overflow) -> Polled<Subscription> {
    let mut config = SubscriptionConfig::default();
    config.messages = NonZeroUsize::new(capacity).unwrap();
    config.overflow = overflow;
    let mut reader = Polled::new(feed.subscribe_with(config));
    assert_eq!(reader.drain(), []);
    reader
}

pub(super) fn open(driver: &mut Driver, network: &Network) {
    driver.run();
    network.open();
    driver.run();
}

pub(super) fn say(
    driver: &mut Driver,
    network: &Network,
    messages: impl IntoIterator<Item = usize>,
) {
    for number in messages {
        network.chunk(format!("data: {number}\n\n"));
    }
    driver.run();
}

/// What came: data, or what is told in a word. That the stream is open is left out.
pub(super) fn told(items: Vec<FeedEvent>) -> Vec<String> {
    let word = |item: FeedEvent| match item {
        FeedEvent::Message(message) => Some(message.data.clone()),
        FeedEvent::Open(_) => None,
        FeedEvent::Retrying { .. } => Some("retrying".to_owned()),
        FeedEvent::Lost { events: Some(events), reason: FeedLoss::Overflow } => {
            Some(format!("{events} lost"))
        }
        FeedEvent::Closed(CloseReason::Requested) => Some("closed".to_owned()),
        FeedEvent::Closed(CloseReason::NoContent) => Some("no content".to_owned()),
        event => Some(format!("{event:?}")),
    };
    items.into_iter().filter_map(word).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn the_first_subscription_connects_and_not_the_feed() {
    let (feed, mut driver, network, _) = feed();
    assert_eq!((driver.run(), network.sent()), (0, 0));
    let _first = feed.subscribe();
    driver.run();
    let _second = feed.subscribe();
    driver.run();
    assert_eq!(network.sent(), 1);
}

#[test]
fn a_reader_gets_its_type_or_all_from_its_subscription_on() {
    let (feed, mut driver, network, _) = feed();
    let mut all = Polled::new(feed.subscribe());
    let mut some = Polled::new(feed.subscribe_to(EventType::new("b").unwrap()));
    let mut plain = Polled::new(feed.subscribe_to(EventType::new("message").unwrap()));
    open(&mut driver, &network);
    network.chunk("data: 1\n\nevent: b\ndata: 2\n\nevent: c\ndata: 3\n\n");
    driver.run();
    let mut late = Polled::new(feed.subscribe());
    network.chunk("event: b\ndata: 4\n\n");
    driver.run();
    assert_eq!(told(all.drain()), ["1", "2", "3", "4"]);
    assert_eq!(told(some.drain()), ["2", "4"]);
    assert_eq!(told(plain.drain()), ["1"]);
    assert_eq!(told(late.drain()), ["4"]);
}

#[test]
fn a_transport_error_reaches_every_subscription_and_the_feed_goes_on() {
    let (feed, mut driver, network, timer) = feed();
    let mut all = Polled::new(feed.subscribe());
    let mut some = Polled::new(feed.subscribe_to(EventType::new("b").unwrap()));
    open(&mut driver, &network);
    network.chunk("id: 1\ndata: 1\n\n");
    network.fail(FailureKind::Closed);
    driver.run();
    let lost = ClientError::Transport(FailureKind::Closed.into());
    for reader in [&mut all, &mut some] {
        let event = reader.drain().pop();
        assert!(
            matches!(&event, Some(FeedEvent::Retrying { error, attempts: 1, .. }) if *error == lost),
            "{event:?}"
        );
    }

    let [until] = timer.sleeps()[..] else { panic!("it waits") };
    timer.advance((until - timer.elapsed()).checked_sub(nanosecond()).unwrap());
    assert_eq!(driver.run(), 0);
    timer.advance(nanosecond());
    driver.run();
    assert_eq!(network.headers(1)["last-event-id"], "1");
    network.open();
    network.chunk("event: b\ndata: 2\n\n");
    driver.run();
    assert_eq!(told(all.drain()), ["2"]);
    assert_eq!(told(some.drain()), ["2"]);
}

#[test]
fn one_who_is_waited_for_holds_everybody_up_and_nothing_is_lost() {
    let (feed, mut driver, network, _) = feed();
    let mut slow = subscribe(&feed, 2, Overflow::Wait);
    let mut fast = subscribe(&feed, 100, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..10);
    assert_eq!(told(fast.drain()), numbers(0..3));
    assert!(network.taken() <= 5, "the server is slowed down");
    assert!(fast.drain().is_empty());

    let mut received = Vec::new();
    while let Poll::Ready(Some(item)) = slow.poll() {
        received.push(item);
        driver.run();
    }
    assert_eq!(told(received), numbers(0..10));
    assert_eq!(told(fast.drain()), numbers(3..10));
}

#[test]
fn what_overflows_is_counted_exactly_and_others_notice_nothing() {
    let (feed, mut driver, network, _) = feed();
    let mut slow = subscribe(&feed, 3, Overflow::DropOldest);
    let mut fast = subscribe(&feed, 100, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..10);
    assert_eq!(told(fast.drain()), numbers(0..10));
    assert_eq!(told(slow.drain()), ["7 lost", "7", "8", "9"]);
    say(&mut driver, &network, 10..12);
    assert_eq!(told(slow.drain()), numbers(10..12));
    say(&mut driver, &network, 12..16);
    assert_eq!(told(slow.drain()), ["1 lost", "13", "14", "15"]);
}

#[test]
fn news_of_the_connection_are_not_what_a_full_buffer_drops() {
    let (feed, mut driver, network, timer) = feed();
    let mut slow = subscribe(&feed, 3, Overflow::DropOldest);
    open(&mut driver, &network);
    network.end();
    driver.run();
    timer.advance(timer.sleeps()[0] - timer.elapsed());
    open(&mut driver, &network);
    say(&mut driver, &network, 0..10);
    assert_eq!(told(slow.drain()), ["retrying", "7 lost", "7", "8", "9"]);
}

#[test]
fn the_end_takes_no_message_out_of_a_full_buffer() {
    for overflow in [Overflow::Wait, Overflow::DropOldest] {
        let (feed, mut driver, network, timer) = feed();
        let mut slow = subscribe(&feed, 2, overflow);
        let mut fast = subscribe(&feed, 100, Overflow::Wait);
        open(&mut driver, &network);
        network.end();
        driver.run();
        assert_eq!(told(fast.drain()), ["retrying"]);
        assert_eq!(told(slow.drain()), ["retrying"]);
        timer.advance(timer.sleeps()[0] - timer.elapsed());
        open(&mut driver, &network);
        say(&mut driver, &network, 0..3);
        network.end();
        driver.run();
        timer.advance(timer.sleeps()[0] - timer.elapsed());
        driver.run();
        network.answer(Ok(Response::builder().status(204).body(()).unwrap()));
        driver.run();
        assert_eq!(told(fast.drain()), ["0", "1", "2", "retrying", "no content"]);
        let items = told(slow.drain());
        let first = if overflow == Overflow::Wait { "0" } else { "1 lost" };
        assert_eq!(items, [first, "1", "2", "retrying", "no content"]);
        assert_eq!(slow.poll(), Poll::Ready(None));
        // One that is made now is told why.
        let mut late = Polled::new(feed.subscribe());
        assert_eq!(told(late.drain()), ["no content"]);
        assert_eq!(late.poll(), Poll::Ready(None));
    }
}

#[test]
fn dropping_a_subscription_leaves_the_others_in_peace_also_one_that_is_waited_for() {
    let (feed, mut driver, network, _) = feed();
    let slow = subscribe(&feed, 1, Overflow::Wait);
    let mut fast = subscribe(&feed, 100, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..10);
    assert_eq!(told(fast.drain()), numbers(0..2));
    drop(slow);
    driver.run();
    assert_eq!(told(fast.drain()), numbers(2..10));
    assert_eq!(network.alive(), 1);
}

#[test]
fn close_ends_all_after_what_their_buffers_hold() {
    let (feed, mut driver, network, _) = feed();
    let mut holding = subscribe(&feed, 10, Overflow::Wait);
    let mut waiting = subscribe(&feed, 10, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..2);
    assert_eq!(told(waiting.drain()), numbers(0..2));
    feed.close();
    assert!(waiting.take_wakes() > 0);
    assert_eq!(waiting.poll(), Poll::Ready(None));
    assert_eq!(told(holding.drain()), numbers(0..2));
    assert_eq!(holding.poll(), Poll::Ready(None));
    driver.run();
    assert_eq!(network.alive(), 0);
    // One that is made now is told why.
    assert_eq!(told(Polled::new(feed.subscribe()).drain()), ["closed"]);
    drop((feed, holding, waiting));
    driver.run();
    assert!(driver.is_over());
}

#[test]
fn with_the_last_handle_the_connection_is_gone() {
    // Before anybody subscribed.
    let (unused, mut driver, network, _) = feed();
    drop(unused);
    driver.run();
    assert!(driver.is_over());
    assert_eq!(network.sent(), 0);

    // While nothing comes, after the feed waited for a reader who has read on.
    let (feed, mut driver, network, _) = feed();
    let other = feed.clone();
    let mut reader = subscribe(&feed, 1, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..2);
    assert_eq!(told(reader.drain()), ["0", "1"]);
    driver.run();
    drop((feed, other));
    assert_eq!((driver.run(), network.alive()), (0, 1));
    drop(reader);
    driver.run();
    assert!(driver.is_over(), "it was told");
    assert_eq!(network.alive(), 0);
}

#[test]
fn a_driver_that_is_dropped_ends_its_subscriptions() {
    let (feed, mut driver, network, _) = feed();
    let mut reader = subscribe(&feed, 10, Overflow::Wait);
    open(&mut driver, &network);
    say(&mut driver, &network, 0..1);
    assert_eq!(told(reader.drain()), ["0"]);
    driver.abort();
    assert_eq!(network.alive(), 0);
    assert!(reader.take_wakes() > 0, "nobody else wakes it");
    assert_eq!(reader.poll(), Poll::Ready(None));
}

#[test]
fn a_flood_of_messages_leaves_the_thread_to_their_readers() {
    let (feed, mut driver, network, _) = feed();
    let mut reader = subscribe(&feed, 1000, Overflow::DropOldest);
    open(&mut driver, &network);
    network.flood("data: 1\n\n");
    driver.poll_once();
    assert!((1..1000).contains(&network.taken()), "{}", network.taken());
    assert!(!reader.drain().is_empty());
    driver.poll_once();
    assert!(!reader.drain().is_empty());
}

#[test]
fn what_the_server_says_is_missing_is_told_to_every_subscription_and_moves_the_place() {
    let (feed, mut driver, network, _) = feed();
    let mut all = subscribe(&feed, 10, Overflow::DropOldest);
    let mut of_one_type = Polled::new(feed.subscribe_to(EventType::new("price").unwrap()));
    assert_eq!(of_one_type.drain(), []);
    open(&mut driver, &network);
    let data = r#"{"stream":"gap","replayed":1,"lost":3,"reason":"retention"}"#;
    network.chunk(format!("id: 7\nevent: sansse-notice\ndata: {data}\n\ndata: a\n\n"));
    driver.run();
    let lost = FeedEvent::Lost { events: Some(3), reason: FeedLoss::Server(LossReason::Retention) };
    let items = all.drain();
    assert_eq!(items[1], lost);
    assert_eq!(items[1].to_string(), "3 events are lost: they are kept no more");
    assert_eq!((items.len(), &told(items[2..].to_vec())[..]), (3, &["a".to_owned()][..]));
    assert_eq!(of_one_type.drain()[1..], [lost]);
    assert_eq!(feed.last_event_id(), "7");
}

#[test]
fn a_notice_of_which_nothing_is_told_moves_the_place_at_once() {
    let (feed, mut driver, network, _) = feed();
    let mut reader = subscribe(&feed, 10, Overflow::DropOldest);
    open(&mut driver, &network);
    let data = r#"{"stream":"live","replayed":0,"lost":0,"reason":null}"#;
    network.chunk(format!("id: 7\nevent: sansse-notice\ndata: {data}\n\n"));
    driver.run();
    assert_eq!(told(reader.drain()), [""; 0]);
    assert_eq!(feed.last_event_id(), "7");
}

#[test]
fn a_reader_that_does_not_read_holds_no_more_bytes_than_its_bound() {
    const COUNT: u64 = 200;
    let (feed, mut driver, network, _) = feed();
    let mut reads = subscribe(&feed, usize::MAX, Overflow::DropOldest);
    let mut config = SubscriptionConfig::default();
    config.messages = NonZeroUsize::MAX;
    let bound = config.bytes.get();
    let mut forgotten = Polled::new(feed.subscribe_with(config));
    assert_eq!(forgotten.drain(), []);
    open(&mut driver, &network);
    let data = "x".repeat(64 << 10);
    for _ in 0..COUNT {
        network.chunk(format!("data: {data}\n\n"));
        driver.run();
        reads.drain();
    }
    let (mut lost, mut kept, mut messages) = (0, 0, 0);
    for event in forgotten.drain() {
        match event {
            FeedEvent::Lost { events, reason: FeedLoss::Overflow } => lost += events.unwrap(),
            FeedEvent::Message(message) => {
                kept += message.data.len();
                messages += 1;
            }
            FeedEvent::Open(_) => {}
            event => panic!("{event:?}"),
        }
    }
    assert_eq!((bound, lost + messages), (4 << 20, COUNT));
    assert!(kept <= bound && kept + 2 * data.len() > bound, "{kept}");
}

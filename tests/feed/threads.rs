//! A feed, its driver and its readers, each on a thread of its own.

use crate::kit::time::VirtualTimer;
use crate::network::Network;
use crate::request;
use sansse::client::ClientConfig;
use sansse::feed::{FeedEvent, FeedLoss, Overflow, Subscription, SubscriptionConfig};
use sansse::{EventSource, Feed};
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => park(),
        }
    }
}

/// A wake that is lost ends as a failure and not as a test that hangs.
#[expect(clippy::disallowed_methods, reason = "threads live in real time")]
fn park() {
    let since = Instant::now();
    thread::park_timeout(PATIENCE);
    assert!(since.elapsed() < PATIENCE, "nobody woke it");
}

const PATIENCE: Duration = Duration::from_secs(30);
const MESSAGES: u64 = 5_000;

/// What a reader got up to the last message: each one's number, and how many it was told were
/// dropped.
fn read(mut reader: Subscription) -> (Vec<u64>, u64) {
    let (mut numbers, mut lost) = (Vec::new(), 0);
    while numbers.last() != Some(&MESSAGES) {
        match block_on(reader.next()).expect("the feed is open") {
            FeedEvent::Message(message) => numbers.push(message.data.parse().unwrap()),
            FeedEvent::Lost { events, reason: FeedLoss::Overflow } => lost += events.unwrap(),
            FeedEvent::Open(_) => {}
            told => panic!("{told}"),
        }
    }
    (numbers, lost)
}

#[test]
fn readers_that_wait_get_all_in_order_while_others_come_and_go() {
    let (network, timer) = (Network::default(), VirtualTimer::new());
    let source = EventSource::new(network.clone(), timer, request(), ClientConfig::new(7));
    let (feed, driver) = Feed::new(source);
    let subscribe = |feed: &Feed, capacity, overflow| {
        let mut config = SubscriptionConfig::default();
        config.messages = NonZeroUsize::new(capacity).unwrap();
        config.overflow = overflow;
        feed.subscribe_with(config)
    };
    let waiting = [1, 2, 64].map(|capacity| subscribe(&feed, capacity, Overflow::Wait));
    let dropping = [1, 16].map(|capacity| subscribe(&feed, capacity, Overflow::DropOldest));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let driving = scope.spawn(|| block_on(driver));
        let waiting = waiting.map(|reader| scope.spawn(|| read(reader)));
        let dropping = dropping.map(|reader| scope.spawn(|| read(reader)));
        let (over, subscribe) = (&is_over, &subscribe);
        let coming_and_going = scope.spawn(move || {
            let mut read = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let mut reader = subscribe(&feed, 1, Overflow::Wait);
                read += u64::from(block_on(reader.next()).is_some());
            }
            read
        });
        while network.sent() == 0 {
            thread::yield_now();
        }
        network.open();
        for number in 0..MESSAGES {
            network.chunk(format!("data: {number}\n\n"));
        }
        let taken = || network.taken() as u64;
        while taken() < MESSAGES {
            thread::yield_now();
        }
        is_over.store(true, Ordering::Relaxed);
        // For a reader that subscribed after the last.
        network.chunk(format!("data: {MESSAGES}\n\n"));
        assert!(coming_and_going.join().unwrap() > 0);
        for reader in waiting {
            assert!(reader.join().unwrap() == ((0..=MESSAGES).collect(), 0));
        }
        for reader in dropping {
            let (numbers, lost) = reader.join().unwrap();
            assert!(numbers.is_sorted_by(|a, b| a < b));
            assert_eq!(numbers.len() as u64 + lost, MESSAGES + 1);
        }
        // Nobody has a handle any more.
        driving.join().unwrap();
    });
}

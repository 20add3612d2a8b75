//! What publishing costs the broker, and what delivery costs for each session.
//!
//! ```text
//! cargo bench --bench broker
//! ```
//!
//! Each figure is the median of many rounds. A round publishes one event while every session is
//! parked, then delivers it to every session that has become ready, until each is parked again.

use sansse::Event;
use sansse::broker::{
    Audience, Batch, Broker, BrokerConfig, Epoch, Framing, SessionConfig, TopicName,
};
use std::time::{Duration, Instant};

/// What the publish alone may cost with 10,000 parked sessions.
const PUBLISH_LIMIT: Duration = Duration::from_micros(10);

fn main() {
    println!("                                      one publish    delivery of a session");
    println!("  sessions   that get it        median      worst     by frame     in a batch");
    let mut limited = Duration::ZERO;
    for (sessions, rounds) in [(100, 20_000), (1_000, 3_000), (10_000, 400), (100_000, 60)] {
        let publish = measure(sessions, sessions, rounds);
        if sessions == 10_000 {
            limited = publish;
        }
    }
    measure(100_000, 10, 20_000);
    println!();
    #[cfg(feature = "signed")]
    signing();
    println!(
        "publish to 10,000 parked sessions: {:.2} µs, {} 10 µs",
        micros(limited),
        if limited < PUBLISH_LIMIT { "under" } else { "NOT under" }
    );
}

/// Prints what it costs to sign the id of an event, beside a publish to nobody.
#[cfg(feature = "signed")]
fn signing() {
    const EACH: u32 = 2_000;
    let now = Instant::now();
    let event = Event::new("x".repeat(100));
    let cost = |keys: Option<sansse::broker::CursorKeys>| {
        let mut config = BrokerConfig::new(Epoch(1));
        config.cursor_keys = keys;
        let mut broker = Broker::new(now, config).expect("the defaults are valid");
        let mut rounds: Vec<Duration> = (0..200)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..EACH {
                    assert!(broker.publish(now, Audience::Everyone, &event).is_ok());
                }
                start.elapsed() / EACH
            })
            .collect();
        rounds.sort_unstable();
        rounds[rounds.len() / 2]
    };
    let keys = sansse::broker::CursorKeys::new(&[7; 32]).expect("long enough");
    let (plain, signed) = (cost(None), cost(Some(keys)));
    println!(
        "one publish to nobody: {:.2} µs with a plain id, {:.2} µs with a signed one",
        micros(plain),
        micros(signed)
    );
}

/// Prints one line; gives the median cost of the publish.
fn measure(sessions: u32, listeners: u32, rounds: u32) -> Duration {
    let mut world = World::new(sessions, listeners);
    for _ in 0..rounds / 10 {
        world.round(false);
    }
    let frames: Vec<_> = (0..rounds).map(|_| world.round(false)).collect();
    let batches: Vec<_> = (0..rounds).map(|_| world.round(true)).collect();
    let mut publishes: Vec<_> = frames.iter().chain(&batches).map(|round| round.publish).collect();
    publishes.sort_unstable();
    let publish = publishes[publishes.len() / 2];
    let per_session = |rounds: &[Round]| {
        let mut times: Vec<_> = rounds.iter().map(|round| round.delivery).collect();
        times.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let nanos = times[times.len() / 2].as_nanos() as f64;
        nanos / f64::from(listeners)
    };
    println!(
        "{sessions:>10} {listeners:>13} {:>10.2} µs {:>7.1} µs {:>9.0} ns {:>11.0} ns",
        micros(publish),
        micros(publishes[publishes.len() - 1]),
        per_session(&frames),
        per_session(&batches),
    );
    publish
}

struct Round {
    publish: Duration,
    delivery: Duration,
}

struct World {
    broker: Broker,
    now: Instant,
    topic: Audience,
    event: Event,
    batch: Batch,
    listeners: u32,
}

impl World {
    /// Parked sessions, of which some listen to what will be published.
    fn new(sessions: u32, listeners: u32) -> Self {
        let now = Instant::now();
        let mut config = BrokerConfig::new(Epoch(1));
        config.limits.unread_events = (sessions + 1).try_into().unwrap();
        let mut broker = Broker::new(now, config).expect("the defaults are valid");
        let name = TopicName::new("some of them").expect("a valid name");
        for number in 0..sessions {
            let request = SessionConfig::new();
            // Spread evenly, as they would be.
            let request = if listeners < sessions && number % (sessions / listeners) == 0 {
                request.with_topic(name.clone())
            } else {
                request
            };
            let session = broker.open(now, request).expect("within the limits").session;
            while broker.poll_transmit(now, session).is_some() {}
        }
        while broker.poll_event().is_some() {}
        let topic = if listeners < sessions { name.into() } else { Audience::Everyone };
        Self {
            broker,
            now,
            topic,
            event: Event::new("x".repeat(100)),
            batch: Batch::with_capacity(Framing::Chunked, 1 << 16),
            listeners,
        }
    }

    fn round(&mut self, in_batches: bool) -> Round {
        let topic = self.topic.clone();
        let start = Instant::now();
        let published = self.broker.publish(self.now, topic, &self.event);
        let publish = start.elapsed();
        assert!(published.is_ok());

        let (mut served, mut bytes) = (0, 0);
        let start = Instant::now();
        while let Some(session) = self.broker.poll_ready() {
            served += 1;
            if in_batches {
                self.broker.poll_transmit_batch(self.now, session, 1 << 16, &mut self.batch);
                bytes += self.batch.len();
            } else {
                while let Some(sansse::broker::Transmit::Frame(frame)) =
                    self.broker.poll_transmit(self.now, session)
                {
                    bytes += frame.chunk().len();
                }
            }
        }
        let delivery = start.elapsed();
        assert_eq!(served, self.listeners, "each listener gets the event");
        assert!(bytes > 100 * served as usize);
        Round { publish, delivery }
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

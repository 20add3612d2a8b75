//! Threads that do as they like: publishers, readers that come and go, slow ones that lose their
//! place, and a close at the end. Every event comes in order and once, or its loss is told.
//!
//! `SANSSE_STRESS` sets how many rounds there are (3 otherwise), `SANSSE_SEED` the first seed.

use super::VirtualTimer;
use super::tasks::{block_on, without_deadlock};
use super::{Random, client, config, sharded, topic};
use crate::kit::{number, seed};
use futures_core::Stream;
use sansse::broker::{
    Audience, Batch, BrokerEvent, EndReason, Filled, Framing, LagPolicy, PublishError, Resumption,
    SessionConfig, SessionId,
};
use sansse::hub::Session;
use sansse::{Event, Hub, LastEventId};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const PUBLISHERS: usize = 3;
const EVENTS: usize = 900;
const READERS: usize = 6;
const TOPICS: usize = 3;
/// Few enough for slow readers to lose their place.
const KEPT: usize = 250;

/// What the listener heard of a session.
#[derive(Debug, Default)]
struct Told {
    opened: usize,
    lost: u64,
    ended: usize,
}

/// What a reader saw of a session.
#[derive(Debug)]
struct Seen {
    session: SessionId,
    resume: Resumption,
    /// It was there from after this position on, as it knows, up to and with that one.
    from: u64,
    to: u64,
    received: Vec<u64>,
    end: Option<EndReason>,
}

struct Reader {
    random: Random,
    number: usize,
    /// Bytes that are no whole frame yet.
    buffer: Vec<u8>,
    last_id: String,
    received: Vec<u64>,
    seen: Vec<Seen>,
}

impl Reader {
    fn new(seed: u64, number: usize) -> Self {
        Self {
            random: Random(seed * 1_000 + number as u64),
            number,
            buffer: Vec::new(),
            last_id: String::new(),
            received: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Every other reader hears one of its topics as a client.
    fn hears(&self, topic: usize) -> bool {
        topic < 2 || self.number % 2 == 1
    }

    fn request(&mut self) -> SessionConfig {
        let policies = [LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest];
        let mut request = SessionConfig::new()
            .with_topic(topic("news"))
            .with_lag(policies[self.random.below(policies.len())]);
        if self.hears(2) {
            request = request.with_client(client("alice"));
        }
        match self.last_id.as_str() {
            "" => request,
            id => request.with_last_event_id(LastEventId::from_header(id.as_bytes())),
        }
    }

    /// The position of the last id.
    fn place(&self) -> u64 {
        self.last_id.strip_prefix("beef-").unwrap().parse().unwrap()
    }

    /// Reads until the hub is closed.
    fn read(&mut self, hub: &Hub) {
        while let Ok(mut session) = hub.open(self.request()) {
            let from = self.place();
            self.buffer.clear();
            let patience = self.random.below(60);
            let is_slow = self.random.below(3) == 0;
            let end = match self.random.below(2) {
                0 => self.read_frames(&mut session, patience, is_slow),
                _ => self.read_batches(&mut session, patience, is_slow),
            };
            let (session, resume) = (session.id(), session.resumption());
            let received = std::mem::take(&mut self.received);
            self.seen.push(Seen { session, resume, from, to: self.place(), received, end });
        }
    }

    fn read_frames(
        &mut self,
        session: &mut Session,
        patience: usize,
        is_slow: bool,
    ) -> Option<EndReason> {
        for _ in 0..=patience {
            self.dawdle(is_slow);
            let frame = block_on(poll_fn(|context| Pin::new(&mut *session).poll_next(context)));
            let Some(Ok(frame)) = frame else { return session.end_reason() };
            self.take(frame.as_ref());
        }
        None
    }

    fn read_batches(
        &mut self,
        session: &mut Session,
        patience: usize,
        is_slow: bool,
    ) -> Option<EndReason> {
        let mut batch = Batch::new(Framing::Plain);
        for _ in 0..=patience / 10 {
            self.dawdle(is_slow);
            let limit = self.random.below(900);
            let pending =
                block_on(poll_fn(|context| session.poll_batch(context, limit, &mut batch)));
            if !matches!(pending, Ok(Filled::More | Filled::All)) {
                return session.end_reason();
            }
            let taken = self.random.below(batch.len() + 1);
            self.take(&batch.as_slice()[..taken]);
            let rest = session.handle_partial_write(&batch, taken);
            self.take(&rest);
        }
        None
    }

    fn dawdle(&mut self, is_slow: bool) {
        if is_slow {
            for _ in 0..self.random.below(50) {
                std::thread::yield_now();
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let text = std::str::from_utf8(&frame).unwrap();
            if let Some(id) = text.lines().find_map(|line| line.strip_prefix("id: ")) {
                id.clone_into(&mut self.last_id);
            }
            let is_notice = text.contains("event: sansse-notice\n");
            let data = text.lines().find_map(|line| line.strip_prefix("data: "));
            if let Some(data) = data.filter(|_| !is_notice) {
                let topic = data.parse().unwrap();
                assert!(self.hears(topic), "reader {} hears {topic}", self.number);
                self.received.push(self.place());
            }
        }
    }
}

/// Publishes, and says at what positions to which topics.
fn publish(hub: &Hub, seed: u64, publisher: usize) -> Vec<(u64, usize)> {
    let mut random = Random(seed * 77 + publisher as u64);
    let mut published = Vec::new();
    for _ in 0..EVENTS {
        let index = random.below(TOPICS);
        let to = match index {
            0 => Audience::Everyone,
            1 => topic("news").into(),
            _ => client("alice").into(),
        };
        // Nobody may be there as this client for a while, though it is remembered.
        let event = Event::new(index.to_string());
        let event = match hub.publish(to.clone(), &event) {
            Err(PublishError::NoRoom) => block_on(hub.publish_when_room(to, &event)).unwrap(),
            event => event.unwrap(),
        };
        published.push((event.position(), index));
        // As fast as readers for a while, and then faster.
        for _ in 0..random.below(8) * usize::from((event.position() / 500).is_multiple_of(2)) {
            std::thread::yield_now();
        }
    }
    published
}

fn run(seed: u64) {
    let mut config = config();
    config.retention.events = KEPT.try_into().unwrap();
    config.private_retention.events = KEPT.try_into().unwrap();
    let told = Arc::new(Mutex::new(BTreeMap::<SessionId, Told>::new()));
    let listener = {
        let told = told.clone();
        move |_, event| {
            let mut told = told.lock().unwrap();
            match event {
                BrokerEvent::SessionOpened { session, .. } => {
                    told.entry(session).or_default().opened += 1;
                }
                BrokerEvent::SessionSkipped { session, lost, .. } => {
                    told.entry(session).or_default().lost += lost;
                }
                BrokerEvent::SessionEnded { session, .. } => {
                    told.entry(session).or_default().ended += 1;
                }
                _ => {}
            }
        }
    };
    let shards = [1, 4][usize::from(seed % 2 == 1)];
    let builder = sharded(config, shards).on_event(listener);
    let (hub, drive) = builder.build(VirtualTimer::new()).unwrap();
    let ready = AtomicUsize::new(0);
    let published = Mutex::new(BTreeMap::new());
    let readers: Vec<Reader> = std::thread::scope(|scope| {
        scope.spawn(|| block_on(drive));
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let (hub, ready) = (&hub, &ready);
                scope.spawn(move || {
                    let mut reader = Reader::new(seed, number);
                    // It learns its place before anything is published.
                    let mut first = hub.open(reader.request()).unwrap();
                    reader.read_frames(&mut first, 0, false);
                    ready.fetch_add(1, Ordering::SeqCst);
                    drop(first);
                    reader.read(hub);
                    reader
                })
            })
            .collect();
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|publisher| {
                let (hub, ready, published) = (&hub, &ready, &published);
                scope.spawn(move || {
                    while ready.load(Ordering::SeqCst) < READERS {
                        std::thread::yield_now();
                    }
                    let events = publish(hub, seed, publisher);
                    published.lock().unwrap().extend(events);
                })
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        hub.close();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });

    assert_eq!(hub.counters().sessions, 0, "seed {seed}");
    let (told, published) = (told.lock().unwrap(), published.lock().unwrap());
    for (session, told) in told.iter() {
        assert_eq!((told.opened, told.ended), (1, 1), "seed {seed}: {session}");
    }
    assert_eq!(published.len(), PUBLISHERS * EVENTS);
    let (mut sessions, mut losses) = (0, 0);
    for reader in &readers {
        for seen in &reader.seen {
            // Up to a close it gets all there is; else what came after its last id is not missing.
            let is_whole = seen.end == Some(EndReason::Shutdown);
            let to = if is_whole { u64::MAX } else { seen.to };
            let between = (Bound::Excluded(seen.from), Bound::Included(to));
            let owed = published.range(between).filter(|(_, topic)| reader.hears(**topic));
            let owed: Vec<u64> = owed.map(|(position, _)| *position).collect();
            let mut rest = owed.iter();
            let in_order = seen.received.iter().all(|one| rest.any(|owed| owed == one));
            assert!(in_order, "seed {seed}: {seen:?} of {owed:?}");
            let missing = (owed.len() - seen.received.len()) as u64;
            let lost = told[&seen.session].lost;
            assert!(
                seen.resume.may_miss() || missing <= lost,
                "seed {seed}: {missing} missing, {lost} told: {seen:?} of {owed:?}"
            );
            sessions += 1;
            losses += missing;
        }
    }
    assert!(sessions > READERS, "seed {seed}: {sessions} sessions");
    // How many were slow enough is up to the machine.
    println!("seed {seed}: {sessions} sessions, {losses} events missed and told");
}

#[test]
fn every_event_comes_in_order_and_once_or_its_loss_is_told() {
    let (first, rounds) = (seed(0), number("SANSSE_STRESS").unwrap_or(3));
    for seed in first..first + rounds {
        without_deadlock(move || run(seed));
    }
}

//! Many threads at once: publishers, sessions that come, go and come back. No wake is lost, and
//! every session has everything once and in order.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::{block_on, without_deadlock};
use super::{Random, config, request_of, say, sharded};
use futures_core::Stream;
use sansse::broker::{Batch, Filled, Framing, Resumption, SessionConfig};
use sansse::hub::Session;
use sansse::{Hub, LastEventId};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

const PUBLISHERS: usize = 3;
const EVENTS: usize = 1_500;
const READERS: usize = 6;

/// A reader of one stream, over as many sessions as it takes.
struct Reader {
    random: Random,
    /// Bytes that were received but are not whole frames yet.
    buffer: Vec<u8>,
    last_id: String,
    received: Vec<(usize, usize)>,
}

impl Reader {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            buffer: Vec::new(),
            last_id: String::new(),
            received: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.received.len() == PUBLISHERS * EVENTS
    }

    fn read(&mut self, hub: &Hub) {
        while !self.is_done() {
            let mut request = match self.random.below(3) {
                0 => request_of("alice"),
                _ => SessionConfig::new(),
            };
            let is_back = !self.last_id.is_empty();
            if is_back {
                let id = LastEventId::from_header(self.last_id.as_bytes());
                request = request.with_last_event_id(id);
            }
            let session = hub.open(request).unwrap();
            let complete = matches!(session.resumption(), Resumption::Complete { .. });
            assert_eq!(complete, is_back, "{:?}", session.resumption());
            // The first session is there before anything is published.
            let patience = self.random.below(400);
            match self.random.below(2) {
                0 => self.read_frames(session, patience),
                _ => self.read_batches(session, patience),
            }
            // What was cut off in the middle is not an event.
            self.buffer.clear();
        }
    }

    fn read_frames(&mut self, mut session: Session, patience: usize) {
        for _ in 0..=patience {
            if self.is_done() {
                return;
            }
            let frame = block_on(poll_fn(|context| Pin::new(&mut session).poll_next(context)));
            self.take(frame.unwrap().unwrap().as_ref());
        }
    }

    fn read_batches(&mut self, mut session: Session, patience: usize) {
        let mut batch = Batch::new(Framing::Plain);
        for _ in 0..=patience / 20 {
            if self.is_done() {
                return;
            }
            let limit = self.random.below(600);
            let pending =
                block_on(poll_fn(|context| session.poll_batch(context, limit, &mut batch)));
            assert!(matches!(pending, Ok(Filled::More | Filled::All)));
            let taken = match self.random.below(2) {
                0 => batch.len(),
                _ => self.random.below(batch.len() + 1),
            };
            self.take(&batch.as_slice()[..taken]);
            if taken < batch.len() {
                let rest = session.handle_partial_write(&batch, taken);
                self.take(&rest);
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let text = std::str::from_utf8(&frame).unwrap();
            let is_notice = text.contains("event: sansse-notice\n");
            for line in text.lines() {
                if let Some(id) = line.strip_prefix("id: ") {
                    id.clone_into(&mut self.last_id);
                } else if let Some(data) = line.strip_prefix("data: ").filter(|_| !is_notice) {
                    let (publisher, number) = data.split_once(':').unwrap();
                    self.received.push((publisher.parse().unwrap(), number.parse().unwrap()));
                }
            }
        }
    }

    fn check(&self, seed: u64) {
        for publisher in 0..PUBLISHERS {
            let of_one = self.received.iter().filter(|(from, _)| *from == publisher);
            let numbers = of_one.map(|(_, number)| *number);
            assert!(numbers.eq(0..EVENTS), "seed {seed}: what {publisher} said is not in order");
        }
    }
}

fn run(seed: u64) {
    let mut config = config();
    config.retention.events = (PUBLISHERS * EVENTS).try_into().unwrap();
    let shards = [1, 3][usize::from(seed % 2 == 1)];
    let hub = sharded(config, shards).build_still(VirtualTimer::new());
    let ready = AtomicUsize::new(0);
    let streams: Vec<Vec<(usize, usize)>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let (hub, ready) = (&hub, &ready);
                scope.spawn(move || {
                    let seed = seed * 1000 + number as u64;
                    let mut reader = Reader::new(seed);
                    let mut first = hub.open(SessionConfig::new()).unwrap();
                    let frame =
                        block_on(poll_fn(|context| Pin::new(&mut first).poll_next(context)));
                    reader.take(frame.unwrap().unwrap().as_ref());
                    ready.fetch_add(1, Ordering::SeqCst);
                    reader.read_frames(first, number);
                    reader.read(hub);
                    reader.check(seed);
                    reader.received
                })
            })
            .collect();
        for publisher in 0..PUBLISHERS {
            let (hub, ready) = (&hub, &ready);
            scope.spawn(move || {
                while ready.load(Ordering::SeqCst) < READERS {
                    std::thread::yield_now();
                }
                let mut random = Random(seed * 77 + publisher as u64);
                for number in 0..EVENTS {
                    say(hub, format!("{publisher}:{number}"));
                    if random.below(4) == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    for stream in &streams[1..] {
        assert!(*stream == streams[0], "seed {seed}: two readers saw another order");
    }
    assert_eq!(hub.counters().sessions, 0, "seed {seed}");
}

#[test]
fn every_reader_has_everything_once_and_in_order() {
    without_deadlock(|| {
        for seed in 0..6 {
            run(seed);
        }
    });
}

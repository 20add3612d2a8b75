//! Records of brokers: the same done again, byte for byte, and records that are not whole.
#![cfg(feature = "record")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "common/broker.rs"]
mod common;

use common::*;
use sansse::broker::record::{Fault, Output, Record, RecordError, RecordedBroker, VERSION};
use sansse::broker::*;
use sansse::{Event, EventId, EventType, LastEventId};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const HISTORIES: u64 = 100;
const STEPS: u64 = 400;

#[expect(clippy::disallowed_methods, reason = "no other way to have a first `Instant`")]
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// A broker, its record as text, and what came out of it.
struct World {
    rng: Rng,
    time: Duration,
    broker: RecordedBroker,
    text: Arc<Mutex<(String, usize)>>,
    lines: usize,
    outputs: Vec<Output>,
    sessions: Vec<SessionId>,
    /// Each was filled by some poll of some session, or by none.
    batches: [(Option<SessionId>, Batch); 3],
}

impl World {
    fn new(config: BrokerConfig, rng: Rng) -> Self {
        let text = Arc::new(Mutex::new((String::new(), 0)));
        let sink = text.clone();
        let broker = RecordedBroker::new(start(), config, move |entry| {
            let (text, lines) = &mut *sink.lock().unwrap();
            writeln!(text, "{entry}").unwrap();
            *lines += 1;
        });
        let batch = || (None, Batch::new(FrameForm::Payload));
        Self {
            rng,
            time: Duration::ZERO,
            broker: broker.unwrap(),
            text,
            lines: 1,
            outputs: Vec::new(),
            sessions: Vec::new(),
            batches: [batch(), batch(), batch()],
        }
    }

    fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = random_config(&mut rng);
        let mut world = Self::new(config, rng);
        for _ in 0..STEPS {
            world.step();
        }
        world
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().0.clone()
    }

    /// Takes note of what a call gave, which has to be the next in the record; but for a call that
    /// found nothing.
    fn note(&mut self, output: Output) {
        let lines = self.text.lock().unwrap().1;
        if matches!(output, Output::Ready(None) | Output::Event(None)) && lines == self.lines {
            return;
        }
        self.lines += 1;
        assert_eq!(lines, self.lines, "{output:?}");
        self.outputs.push(output);
    }

    fn session(&mut self) -> SessionId {
        let newest = self.sessions.len().saturating_sub(1);
        let back = usize::try_from(self.rng.below(6)).unwrap();
        // An id of another shard, where there was no session yet.
        let foreign = || {
            let mut config = config();
            config.shard = 9;
            let mut other = Broker::new(start(), config).unwrap();
            other.open(start(), anyone()).unwrap().session
        };
        self.sessions.get(newest.saturating_sub(back)).copied().unwrap_or_else(foreign)
    }

    fn topic(&mut self) -> Topic {
        match self.rng.below(8) {
            0..3 => Topic::Broadcast,
            3 => Topic::Client(self.client()),
            4 => self.session().into(),
            _ => self.name().into(),
        }
    }

    fn name(&mut self) -> TopicName {
        topic(self.rng.pick(&["news", "news/uk", "news/é \"quoted\" \\", "a/b/c"]))
    }

    fn filter(&mut self) -> TopicFilter {
        match self.rng.pick(&["", "news/*", "**", "a/*/c"]) {
            "" => self.name().into(),
            pattern => TopicFilter::new(pattern).unwrap(),
        }
    }

    fn client(&mut self) -> ClientId {
        client(self.rng.pick(&["alice", "bob", "*\n\u{1}…"]))
    }

    fn event(&mut self) -> Event {
        let long = "é\n".repeat(usize::try_from(self.rng.below(40)).unwrap());
        let mut event = match self.rng.below(6) {
            0 => Event::comment("a\nb"),
            1 => Event::id_only(id("own 1")),
            2 => Event::retry_only(Duration::from_micros(1_234_567)),
            3 => Event::new("x".repeat(16_500)),
            4 => Event::new(format!("{long}\u{2028}\0\r\n\"")),
            _ => Event::new("small"),
        };
        if self.rng.chance(20) {
            event = event.with_type(EventType::new("note\0\"").unwrap());
        }
        if self.rng.chance(20) {
            event = event.with_id(id(self.rng.pick(&["own 1", "own 2", "", "…"])));
        }
        if self.rng.chance(10) {
            event = event.with_retry(millis(777)).with_comment("beside");
        }
        event
    }

    fn place(&mut self) -> Option<EventId> {
        let last = self.broker.last_position();
        match self.rng.below(6) {
            0 => Some(id(self.rng.pick(&["own 1", "own 2", "x", "d-1"]))),
            1..4 => Some(id(&format!("e-{}", last.saturating_sub(self.rng.below(9))))),
            _ => None,
        }
    }

    fn request(&mut self, now: Instant) -> SessionRequest {
        let mut request = SessionRequest::new().with_metadata("nobody sees it");
        if self.rng.chance(60) {
            request = request.with_client(self.client());
        }
        for _ in 0..self.rng.below(4) {
            request = request.with_filter(self.filter());
        }
        if self.rng.chance(20) {
            let most = self.rng.below(4);
            request = request.with_permitted((0..most).map(|_| self.filter()));
        }
        if self.rng.chance(40) {
            request = request.without_broadcast();
        }
        if self.rng.chance(30) {
            request = request.with_start(StartAt::Oldest);
        }
        request = match self.place() {
            Some(id) => request.with_last_event_id(LastEventId::Id(id)),
            None if self.rng.chance(20) => request.with_last_event_id(LastEventId::Malformed),
            None => request,
        };
        if self.rng.chance(50) {
            let interval = self.rng.pick(&[None, None, Some(millis(700)), Some(Duration::ZERO)]);
            request = request.with_heartbeat(interval);
        }
        if self.rng.chance(20) {
            let timeout = self.rng.pick(&[None, Some(millis(900)), Some(Duration::ZERO)]);
            request = request.with_stall_timeout(timeout);
        }
        if self.rng.chance(50) {
            request = request.with_lag(random_lag(&mut self.rng));
        }
        if self.rng.chance(20) {
            let told = self.rng.chance(50).then(|| EventType::new("lost").unwrap());
            request = request.with_loss_announcement(told);
        }
        if self.rng.chance(20) {
            request = request.with_announcement(EventType::new("resumed").unwrap());
        }
        if self.rng.chance(20) {
            request = request.with_opening_comment("padding\n\"");
        }
        if self.rng.chance(50) {
            let text = self.rng.pick(&["192.0.2.1", "2001:db8::1", "tenant"]);
            let key = match text.parse::<IpAddr>() {
                Ok(address) => address.into(),
                Err(_) => AddressKey::new(text).unwrap(),
            };
            request = request.with_address(key);
        }
        if self.rng.chance(25) {
            request = request.with_lease(now + self.rng.pick(&[0, 300, 5_000].map(millis)));
        }
        request
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each call")]
    fn step(&mut self) {
        if self.rng.chance(50) {
            self.time += millis(self.rng.below(400));
        }
        // Times that are out of date are recorded too; before the start, there is none.
        let late = if self.rng.chance(10) { millis(self.rng.below(2_000)) } else { Duration::ZERO };
        let now = start() + self.time.saturating_sub(late);
        let output = match self.rng.below(100) {
            0..12 => {
                let request = self.request(now);
                let opened = self.broker.open(now, request);
                self.sessions.extend(opened.map(|opened| opened.session));
                Output::Opened(opened)
            }
            12..15 => {
                let session = self.session();
                self.broker.handle_disconnect(now, session);
                Output::Done
            }
            15 => {
                let session = self.session();
                Output::Found(self.broker.close_session(now, session))
            }
            16 if self.rng.chance(3) => {
                self.broker.close(now);
                Output::Done
            }
            16 if self.rng.chance(3) => {
                self.broker.abort(now);
                Output::Done
            }
            16 if self.rng.chance(5) => {
                let mut drain = Drain::new(self.rng.pick(&[0, 900].map(millis)));
                if self.rng.chance(50) {
                    drain = drain.with_retry(secs(1), millis(333)).with_farewell(self.event());
                }
                if self.rng.chance(50) {
                    drain = drain.with_patience(millis(400)).letting_topics_end();
                }
                Output::Draining(self.broker.drain(now, drain))
            }
            17..22 => Output::Ready(self.broker.poll_ready()),
            22..26 => Output::Event(self.broker.poll_numbered_event()),
            26..29 => {
                self.broker.handle_timeout(now);
                Output::Done
            }
            29 => {
                let name = self.name();
                Output::Published(self.broker.end_topic(now, &name))
            }
            30..32 => {
                let session = self.session();
                let until = now + self.rng.pick(&[0, 500, 9_000].map(millis));
                Output::Renewed(self.broker.renew_lease(now, session, until))
            }
            32 => {
                let client = self.client();
                Output::Revoked(self.broker.revoke(now, &client))
            }
            33 => {
                let (client, name) = (self.client(), self.name());
                Output::Revoked(self.broker.revoke_topic(now, &client, &name))
            }
            34..54 => {
                let (topic, event) = (self.topic(), self.event());
                let mut publication = Publication::new(&event);
                if self.rng.chance(40) {
                    let key = self.rng.pick(&["a", "b"]);
                    publication = publication.with_key(EventKey::new(key).unwrap());
                }
                Output::Published(self.broker.publish(now, topic, publication))
            }
            54..58 => {
                let last = (self.broker.last_position() + self.rng.below(3)).saturating_sub(1);
                let epoch = Epoch(self.rng.pick(&[0xe, 0xe, 0xe, 0xe, 0xd]));
                let mut sequencer = Sequencer::new(epoch, last, EventIds::Assigned);
                let published = if self.rng.chance(20) {
                    sequencer.end_topic(self.name())
                } else {
                    sequencer.publish(self.topic(), &self.event())
                };
                Output::Applied(self.broker.apply(now, &published))
            }
            58 => {
                let name = self.name();
                let retention = self.rng.chance(70).then(|| random_retention(&mut self.rng));
                if self.rng.chance(50) {
                    let lag = self.rng.chance(70).then(|| random_lag(&mut self.rng));
                    Output::TopicSet(self.broker.set_lag(now, &name, lag))
                } else {
                    Output::TopicSet(self.broker.set_retention(now, &name, retention))
                }
            }
            59..61 => {
                let error = self.rng.pick(&[
                    OpenError::TooManySessions,
                    OpenError::TooManySessionsOfClient { limit: 3 },
                    OpenError::TopicsEnded,
                ]);
                Output::RetryAfter(self.broker.retry_after(now, &error))
            }
            61..66 => {
                let (session, filter) = (self.session(), self.filter());
                let place = match self.place() {
                    Some(id) => Place::After(id),
                    None if self.rng.chance(50) => Place::Now,
                    None => Place::Oldest,
                };
                Output::Subscribed(self.broker.subscribe(now, session, filter, place))
            }
            66..68 => {
                let (session, filter) = (self.session(), self.filter());
                Output::Found(self.broker.unsubscribe(now, session, &filter))
            }
            68..80 => {
                let session = self.session();
                match self.broker.poll_transmit(now, session) {
                    Some(Transmit::Frame(frame)) => Output::Frame(frame.clone()),
                    Some(Transmit::End(reason)) => Output::End(reason),
                    None => Output::Parked,
                }
            }
            80..90 => {
                let session = self.session();
                let limit = self.rng.pick(&[0, 60, 300, 65_536]);
                let form = self.rng.pick(&[FrameForm::Chunk, FrameForm::Payload]);
                let which = usize::try_from(self.rng.below(3)).unwrap();
                let (of, batch) = &mut self.batches[which];
                batch.reset(form);
                let end = self.broker.poll_transmit_batch(now, session, limit, batch);
                *of = Some(session);
                let bytes = batch.as_slice().to_vec().into();
                Output::Batch { bytes, frames: batch.frames(), end }
            }
            90..97 => {
                let session = self.session();
                let which = usize::try_from(self.rng.below(3)).unwrap();
                let (of, batch) = &self.batches[which];
                let session = of.filter(|_| !self.rng.chance(5)).unwrap_or(session);
                let length = u64::try_from(batch.len()).unwrap();
                let written = usize::try_from(self.rng.below(length + 20)).unwrap();
                let rest = self.broker.handle_partial_write(now, session, batch, written);
                Output::Remainder(rest)
            }
            97 => {
                let client = self.client();
                if let Some(values) = self.broker.metadata_mut(&client) {
                    values.insert(7_u8);
                }
                return;
            }
            _ => {
                let session = self.session();
                self.broker.handle_progress(now, session);
                Output::Done
            }
        };
        self.note(output);
    }
}

fn random_config(rng: &mut Rng) -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(0xe));
    config.shard = rng.pick(&[0, 7]);
    config.shards = rng.pick(&[1, 8]).try_into().unwrap();
    config.event_ids = rng.pick(&[EventIds::Assigned, EventIds::Assigned, EventIds::Own]);
    config.retention = random_retention(rng);
    config.private_retention = random_retention(rng);
    config.max_topics = rng.pick(&[2, 6, 100]);
    config.max_ended_topics = rng.pick(&[1, 100]);
    config.max_sessions = rng.pick(&[3, 8, 16]);
    config.at_max_sessions = random_limit(rng);
    config.max_sessions_per_client = rng.pick(&[1, 3, 256]);
    config.at_max_sessions_per_client = random_limit(rng);
    config.max_sessions_per_address = rng.pick(&[1, 4, 1000]);
    config.at_max_sessions_per_address = random_limit(rng);
    config.max_retained_bytes = rng.pick(&[400, 60_000, 1 << 28, 1 << 28]);
    config.max_topics_per_session = rng.pick(&[2, 64]);
    config.max_absent_clients = rng.pick(&[0, 1, 100]);
    config.max_unread_events = rng.pick(&[30, 1000, 1000]);
    config.client_grace = rng.pick(&[0, 1_500, 30_000].map(millis));
    config.stall_timeout = rng.pick(&[None, Some(secs(2)), Some(secs(60))]);
    config.heartbeat = rng.pick(&[None, Some(secs(1)), Some(secs(15))]);
    config.lag = random_lag(rng);
    config.unresumable = rng.pick(&[StartAt::Oldest, StartAt::Newest]);
    config.retry = rng.pick(&[None, Some(millis(2_500))]);
    config.spread_retry = rng.chance(20);
    config.reconnects_per_second = rng.pick(&[7, 1_000]).try_into().unwrap();
    config.retry_after = rng.pick(&[1, 5].map(secs));
    config.max_session_age = rng.pick(&[None, None, Some(secs(3)), Some(secs(90))]);
    config.max_session_age_jitter = rng.pick(&[0, 2_999].map(millis));
    config.lease_lead = rng.pick(&[0, 500, 30_000].map(millis));
    config.seed = rng.next();
    config
}

fn random_retention(rng: &mut Rng) -> Retention {
    Retention {
        events: rng.pick(&[1, 8, 1000]),
        bytes: rng.pick(&[300, 40_000, 1 << 20]),
        age: rng.pick(&[None, Some(millis(700)), Some(secs(40))]),
        compact: rng.chance(30),
    }
}

fn random_limit(rng: &mut Rng) -> LimitPolicy {
    rng.pick(&[LimitPolicy::Refuse, LimitPolicy::EvictOldest])
}

fn random_lag(rng: &mut Rng) -> Lag {
    let mut lag = Lag::new(rng.pick(&[
        LagPolicy::Close,
        LagPolicy::SkipToOldest,
        LagPolicy::SkipToNewest,
        LagPolicy::KeepNewestPerKey,
    ]));
    lag.events = rng.pick(&[None, None, Some(1), Some(4)]);
    lag.bytes = rng.pick(&[None, None, Some(100)]);
    lag
}

/// All that can be asked of a broker without changing it.
fn state(broker: &Broker) -> String {
    let present: Vec<_> = broker.present().collect();
    let page = broker.presence_page(None, 100, |_, _| ());
    let (counters, deadline) = (broker.counters(), broker.poll_timeout());
    let numbers = (broker.last_position(), broker.last_event(), broker.retained_bytes());
    format!("{present:?} {page:?} {counters:?} {deadline:?} {numbers:?} {}", broker.is_drained())
}

#[test]
fn what_is_recorded_and_done_again_gives_the_same_outputs_byte_for_byte() {
    let first = seed(1);
    let histories = number("SANSSE_HISTORIES").unwrap_or(HISTORIES);
    // All of this has to come, or the histories are not worth much.
    let calls = [
        "open",
        "handle_disconnect",
        "close_session",
        "close",
        "abort",
        "poll_ready",
        "poll_event",
        "handle_timeout",
        "drain",
        "end_topic",
        "renew_lease",
        "revoke",
        "revoke_topic",
        "publish",
        "apply",
        "set_retention",
        "retry_after",
        "subscribe",
        "unsubscribe",
        "poll_transmit",
        "poll_transmit_batch",
        "handle_partial_write",
        "handle_progress",
        "newest",
        "other",
        "Malformed",
        "is_end",
        "opening_comment",
        "announce",
        "lease",
        "ip",
        "without_broadcast",
        "permitted",
    ];
    let outcomes = [
        "Frame(",
        "Parked",
        "End(Some",
        "Full",
        "Ready(Some",
        "SessionEnded",
        "SessionSkipped",
        "LeaseExpiring",
        "Drained",
        "Complete { replayed: 1",
        "Gap",
        "OtherEpoch",
        "Evicted",
        "Ok(Published",
        "Err(TooLarge",
        "Err(OutOfOrder",
        "Err(TopicsEnded",
        "Err(ZeroStallTimeout",
        "Opened(Err(NotPermitted",
        "Subscribed(Err(NotPermitted",
        "TopicsEnded",
    ];
    let mut seen: Vec<(&str, usize)> =
        calls.iter().chain(&outcomes).map(|what| (*what, 0)).collect();
    let (mut steps, mut bytes, mut rests) = (0, 0, 0);
    for seed in first..first + histories {
        let world = World::random(seed);
        let text = world.text();
        let mut replay = Record::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
        let mut outputs = world.outputs.iter();
        let mut lines = text.lines().skip(1);
        for step in replay.by_ref() {
            let step = step.unwrap_or_else(|error| panic!("SANSSE_SEED={seed}: {error}"));
            let line = lines.next().unwrap();
            assert_eq!(Some(&step.output), outputs.next(), "SANSSE_SEED={seed}: {line}");
            // What was read is written as it was.
            assert_eq!(step.input.to_string(), line, "SANSSE_SEED={seed}");
            rests +=
                usize::from(matches!(&step.output, Output::Remainder(rest) if !rest.is_empty()));
        }
        assert_eq!(outputs.next(), None, "SANSSE_SEED={seed}");
        assert_eq!(state(replay.broker()), state(&world.broker), "SANSSE_SEED={seed}");
        let output = format!("{:?}", world.outputs);
        for (number, (what, count)) in seen.iter_mut().enumerate() {
            let count_in = |text: &str, what: &str| text.matches(what).count();
            *count += if number < calls.len() {
                count_in(&text, &format!("\"{what}\""))
            } else {
                count_in(&output, what)
            };
        }
        steps += world.outputs.len();
        bytes += text.len();
    }
    println!(
        "{histories} histories, {steps} calls, {bytes} bytes of records, {rests} rests of frames"
    );
    if histories >= HISTORIES {
        for (what, count) in seen {
            assert!(count >= 2, "{what} came {count} times");
        }
        assert!(rests > 100);
    }
}

/// A record of a session that gets an event, and what came out.
fn small() -> (String, Vec<Output>) {
    let mut world = World::new(config(), Rng::new(1));
    let opened = world.broker.open(start(), session_of("alice"));
    world.note(Output::Opened(opened));
    let published = world.broker.publish(start() + secs(1), Topic::Broadcast, &Event::new("é"));
    world.note(Output::Published(published));
    let session = opened.unwrap().session;
    for _ in 0..2 {
        let output = match world.broker.poll_transmit(start() + secs(2), session) {
            Some(Transmit::Frame(frame)) => Output::Frame(frame.clone()),
            _ => panic!("two frames are pending"),
        };
        world.note(output);
    }
    (world.text(), world.outputs)
}

fn outputs_until_error(record: &[u8]) -> (Vec<Output>, Option<RecordError>) {
    let mut outputs = Vec::new();
    let replay = Record::parse(record).and_then(|record| record.replay(start()));
    match replay {
        Err(error) => return (outputs, Some(error)),
        Ok(mut replay) => {
            while let Some(step) = replay.next() {
                match step {
                    Ok(step) => outputs.push(step.output),
                    Err(error) => {
                        assert!(replay.next().is_none(), "nothing follows an error");
                        return (outputs, Some(error));
                    }
                }
            }
        }
    }
    (outputs, None)
}

#[test]
fn a_record_that_was_cut_off_anywhere_is_read_up_to_there_and_says_so() {
    let (text, outputs) = small();
    let text = text.as_bytes();
    for length in 0..text.len() {
        let (read, error) = outputs_until_error(&text[..length]);
        let whole = text[..length].split(|byte| *byte == b'\n').count() - 1;
        let at_line_end = length > 0 && text[length - 1] == b'\n';
        // A line that lacks its end alone is whole.
        let complete = whole + usize::from(text[length] == b'\n' && !at_line_end);
        assert_eq!(read, outputs[..complete.saturating_sub(1)], "{length}");
        let expected = match length {
            0 => Some((1, Fault::Empty)),
            _ if at_line_end || complete > whole => None,
            _ => Some((whole + 1, Fault::Cut)),
        };
        let error = error.map(|error| (error.line(), error.fault().clone()));
        assert_eq!(error, expected, "{length}");
    }
    assert_eq!(outputs_until_error(text), (outputs, None));
}

#[test]
fn a_record_that_lacks_a_line_or_has_one_twice_is_read_up_to_there() {
    let (text, outputs) = small();
    let lines: Vec<&str> = text.lines().collect();
    for at in 1..lines.len() - 1 {
        let mut lacking = lines.clone();
        lacking.remove(at);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        for (lines, good) in [(lacking, at), (twice, at + 1)] {
            let (read, error) = outputs_until_error(lines.join("\n").as_bytes());
            assert_eq!(read, outputs[..good - 1]);
            let error = error.unwrap();
            let number = u64::try_from(good).unwrap();
            assert_eq!(error.fault(), &Fault::Missing { number });
            assert_eq!(error.line(), good + 1);
        }
    }
}

#[test]
fn a_record_of_another_version_is_refused_whatever_else_is_in_it() {
    let record = br#"{"sansse_record":2,"settings":[1,2]}"#;
    let error = Record::parse(record).unwrap_err();
    assert_eq!((error.line(), error.fault()), (1, &Fault::Version { found: VERSION + 1 }));
    assert_eq!(error.to_string(), "line 1 of a record: of version 2, where 1 is read");
    for other in ["{}\n", "null\n", "id: 1\n", "\n", "{\"sansse_record\":1}\n"] {
        let error = Record::parse(other.as_bytes()).unwrap_err();
        assert!(matches!(error.fault(), Fault::Malformed { .. }), "{other}: {error}");
    }
}

#[test]
fn a_line_that_no_recorder_wrote_is_refused_with_its_number() {
    let (text, _) = small();
    let first = text.lines().next().unwrap();
    let (none, error) = outputs_until_error(first.as_bytes());
    assert_eq!((none, error), (Vec::new(), None));
    let batch = |ends: &str| {
        format!(
            r#"{{"handle_partial_write":{{"session":"0-0-1","written":9,"batch":{{"other":{{"text":"ab","ends":{ends}}}}}}}}}"#
        )
    };
    for (call, part) in [
        (r#""no_such_call""#.to_owned(), "unknown variant"),
        (r#"{"revoke":{"client":""}}"#.to_owned(), "empty"),
        (r#"{"revoke":{"client":"a","more":1}}"#.to_owned(), "unknown field"),
        (r#"{"end_topic":{"topic":"a*"}}"#.to_owned(), "'*' at byte 1"),
        (r#"{"poll_transmit":{"session":"0-0"}}"#.to_owned(), "no session's id"),
        (r#"{"poll_transmit":{"session":"0-0-0"}}"#.to_owned(), "no session's id"),
        (r#"{"publish":{"topic":"Broadcast","event":{"id":"a\nb"}}}"#.to_owned(), "'\\n' at byte 1"),
        (
            r#"{"apply":{"epoch":1,"position":1,"topic":"Broadcast","payload":"data: x\n"}}"#
                .to_owned(),
            "blank line",
        ),
        (
            r#"{"apply":{"epoch":1,"position":1,"topic":"Broadcast","payload":"\n","is_end":true}}"#
                .to_owned(),
            "no named topic",
        ),
        (batch("[3]"), "cannot"),
        (batch("[2,1,2]"), "cannot"),
        (batch("[]"), "cannot"),
        (
            r#"{"handle_partial_write":{"session":"0-0-1","written":0,"batch":"newest"}}"#
                .to_owned(),
            "got no such batch",
        ),
    ] {
        let record = format!("{first}\n{{\"number\":1,\"at\":0,\"call\":{call}}}\n");
        let (read, error) = outputs_until_error(record.as_bytes());
        let error = error.unwrap();
        assert_eq!((read.len(), error.line()), (0, 2), "{call}: {error}");
        assert!(error.to_string().contains(part), "{call}: {error}");
    }
    // No platform's time is that far, and none panics.
    let call =
        format!("{first}\n{{\"number\":1,\"at\":{},\"call\":\"handle_timeout\"}}\n", u64::MAX);
    let (read, error) = outputs_until_error(call.as_bytes());
    assert!(read == [Output::Done] || error.unwrap().fault() == &Fault::Time);
}

#[test]
fn a_line_beyond_the_limit_is_not_read_and_the_limit_can_be_raised() {
    let mut world = World::new(config(), Rng::new(1));
    world.broker.publish(start(), Topic::Broadcast, &Event::new("x".repeat(2_000))).unwrap();
    let text = world.text();
    let length = text.lines().nth(1).unwrap().len();
    for (limit, is_read) in [(length, true), (length - 1, false), (usize::MAX, true)] {
        let mut record = Record::parse(text.as_bytes()).unwrap();
        record.max_line = limit;
        let step = record.replay(start()).unwrap().next().unwrap();
        let fault = step.map(|_| ()).map_err(|error| (error.line(), error.fault().clone()));
        assert_eq!(fault, if is_read { Ok(()) } else { Err((2, Fault::TooLong { limit })) });
    }
}

#[test]
fn a_configuration_can_be_changed_before_the_replay_and_has_to_hold() {
    let (text, outputs) = small();
    let mut record = Record::parse(text.as_bytes()).unwrap();
    record.config.event_ids = EventIds::Own;
    let step = record.replay(start()).unwrap().nth(2).unwrap().unwrap();
    let Output::Frame(frame) = &step.output else { panic!("{step:?}") };
    assert_eq!(frame.payload(), "data: é\n\n");
    assert_ne!(outputs[2], step.output);

    let mut record = Record::parse(text.as_bytes()).unwrap();
    record.config.max_sessions = 0;
    let error = record.replay(start()).unwrap_err();
    assert_eq!(error.fault(), &Fault::Config(ConfigError::ZeroSessions));
}

/// Calls of several histories, in any order, at any times, some with another digit somewhere.
fn nonsense(seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let texts = [seed, seed + 1_000, seed + 2_000].map(|seed| World::random(seed).text());
    let mut record = format!("{}\n", texts[0].lines().next().unwrap());
    let calls: Vec<&str> =
        texts.iter().flat_map(|text| text.lines().skip(1)).map(call_of).collect();
    for number in 1..STEPS {
        let call = calls[usize::try_from(rng.below(calls.len() as u64)).unwrap()];
        if call.contains("newest") && rng.chance(98) {
            // Of most there is no such batch, which ends the replay.
            let _ = writeln!(record, r#"{{"number":{number},"at":0,"call":"handle_timeout"}}"#);
            continue;
        }
        let mut call = call.to_owned();
        if rng.chance(5) {
            let digits: Vec<usize> =
                call.match_indices(|c: char| c.is_ascii_digit()).map(|one| one.0).collect();
            if !digits.is_empty() {
                let at = digits[usize::try_from(rng.below(digits.len() as u64)).unwrap()];
                let nines = rng.pick(&["9", "7", "0", "99", "4294967295"]);
                call.replace_range(at..=at, nines);
            }
        }
        let at = rng.pick(&[0, 1, 1_000_000_000, 60_000_000_000, u64::MAX >> 1]) >> rng.below(60);
        let _ = writeln!(record, r#"{{"number":{number},"at":{at},"call":{call}"#);
    }
    record
}

/// What stands after the number and the time, with the bracket that ends the line.
fn call_of(line: &str) -> &str {
    line.split_once(r#","call":"#).unwrap().1
}

#[test]
fn a_record_of_nonsense_never_panics() {
    let first = seed(1);
    let (mut whole, mut broken, mut done) = (0, 0, 0);
    for seed in first..first + number("SANSSE_HISTORIES").unwrap_or(60) {
        let (outputs, error) = outputs_until_error(nonsense(seed).as_bytes());
        done += outputs.len();
        match error {
            None => whole += 1,
            Some(_) => broken += 1,
        }
    }
    println!("{whole} records were read to their end, {broken} were not; {done} calls");
    assert!(whole > 0 && broken > 0 && done > 5_000);
}

#[test]
fn a_call_is_told_before_it_is_done_and_not_done_if_the_sink_panics() {
    let (mut entries, told) = (0, Arc::new(Mutex::new(Vec::new())));
    let sink = told.clone();
    let mut broker = RecordedBroker::new(start(), config(), move |entry| {
        sink.lock().unwrap().push(entry.to_string());
        entries += 1;
        assert!(entries < 3, "the sink is full");
    })
    .unwrap();
    broker.publish(start(), Topic::Broadcast, &Event::new("one")).unwrap();
    let unwind = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        broker.publish(start(), Topic::Broadcast, &Event::new("two"))
    }));
    assert!(unwind.is_err());
    assert_eq!((broker.last_position(), told.lock().unwrap().len()), (1, 3));
    assert!(told.lock().unwrap()[2].contains("two"));
}

#[test]
fn a_record_ends_when_it_is_stopped_and_a_broker_without_one_does_the_same() {
    let mut world = World::new(config(), Rng::new(1));
    assert!(world.broker.is_recording());
    world.broker.stop_recording();
    assert!(!world.broker.is_recording());
    world.broker.publish(start(), Topic::Broadcast, &Event::new("unseen")).unwrap();
    assert_eq!(world.text().lines().count(), 1);
    let mut without = RecordedBroker::from(Broker::new(start(), config()).unwrap());
    assert!(!without.is_recording());
    without.publish(start(), Topic::Broadcast, &Event::new("unseen")).unwrap();
    assert_eq!(state(&without), state(&world.broker));
}

#[test]
fn metadata_is_in_no_record_and_decides_nothing() {
    #[derive(Clone)]
    struct Token;
    let mut world = World::new(config(), Rng::new(1));
    let alice = client("alice");
    let opened = world.broker.open(start(), session_of("alice").with_metadata(Token));
    world.note(Output::Opened(opened));
    world.broker.metadata_mut(&alice).unwrap().insert("more");
    let text = world.text();
    assert_eq!(text.lines().count(), 2);
    let mut replay = Record::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
    assert_eq!(replay.next().unwrap().unwrap().output, world.outputs[0]);
    assert!(world.broker.metadata(&alice).unwrap().get::<Token>().is_some());
    assert!(replay.broker().metadata(&alice).unwrap().is_empty());
}

#[cfg(feature = "signed")]
#[test]
fn keys_are_in_no_record_and_have_to_be_given_for_a_replay() {
    let keys = |byte: u8| CursorKeys::new(&[byte; 32]).unwrap();
    let mut config = config();
    config.cursor_keys = Some(keys(0x5a));
    let mut world = World::new(config, Rng::new(1));
    for text in ["one", "two"] {
        let published = world.broker.publish(start(), Topic::Broadcast, &Event::new(text));
        world.note(Output::Published(published));
        let set = world.broker.set_cursor_keys(keys(0xa5));
        world.note(Output::KeysSet(set));
    }
    let text = world.text();
    for secret in ["90,90,90", "165,165", "ZZZ", "5a5a"] {
        assert!(!text.contains(secret), "{text}");
    }
    let error = Record::parse(text.as_bytes()).unwrap().replay(start()).unwrap_err();
    assert_eq!((error.line(), error.fault()), (1, &Fault::NoKeys));
    for later in 0..=2 {
        let mut record = Record::parse(text.as_bytes()).unwrap();
        record.config.cursor_keys = Some(keys(0x5a));
        record.later_keys = vec![keys(0xa5); later];
        let steps: Vec<_> = record.replay(start()).unwrap().collect();
        let outputs = steps.iter().flatten().map(|step| step.output.clone());
        assert!(outputs.eq(world.outputs.iter().take(1 + 2 * later).cloned()));
        let error = steps.last().unwrap().as_ref().err().map(RecordError::fault);
        assert_eq!(error, (later < 2).then_some(&Fault::NoKeys));
    }
}

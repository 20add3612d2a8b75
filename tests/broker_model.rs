//! The broker against a naive model, which keeps a queue for each session and works everything out
//! plainly, under random operations in any order.
//!
//! `SANSSE_STEPS` sets how many operations are done in all, `SANSSE_SEED` where they start. A
//! failure prints the seed of its history and the shortest history found that still fails.
#![cfg(feature = "broker")]

#[path = "common/broker.rs"]
mod common;
#[path = "common/broker_model.rs"]
mod model;

use common::*;
use model::{Content, Model, Out, Wish};
use sansse::broker::*;
use sansse::{Event, EventType, LastEventId};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const STEPS: u64 = 300_000;
const STEPS_PER_HISTORY: u64 = 500;

#[test]
fn a_broker_does_what_a_queue_for_each_session_would_do() {
    // A panic of the broker is a failure like any other, found again and again while the history
    // is made shorter; one message at the end is enough.
    std::panic::set_hook(Box::new(|_| {}));
    let first = seed(1);
    let steps = number("SANSSE_STEPS").unwrap_or(STEPS);
    let mut seeds = first..;
    // All of this has to happen, or the histories are not worth much.
    let mut seen = [
        "Live",
        "Complete { replayed: 0",
        "Complete { replayed: 1",
        "Gap { replayed: 0",
        "Gap { replayed: 1",
        "UnknownId",
        "OtherEpoch",
        "Frame(\"id:",
        "Frame(\":\\n",
        "taken back",
        "ClientLeft",
        "SessionSkipped",
        "Disconnected",
        "Closed",
        "Shutdown",
        "Lagged",
        "Stalled",
        "undelivered: 1",
        "Err(TooLarge",
        "Err(TooManyTopics)",
        "Err(TooManySessions)",
        "Err(TooManyTopicsOfSession",
        "Err(UnreadEvents)",
        "Err(UnknownClient)",
        "Err(UnknownSession)",
        "Err(OutOfOrder",
    ]
    .map(|what| (what, 0));
    let mut done = 0;
    while done < steps {
        let seed = seeds.next().unwrap();
        let history = History::random(seed, STEPS_PER_HISTORY);
        if let Err(failure) = run_guarded(&history) {
            let (shortest, failure) = shrink(history, failure);
            drop(std::panic::take_hook());
            panic!(
                "{failure}\nin the history of SANSSE_SEED={seed} SANSSE_STEPS={STEPS_PER_HISTORY}, \
                 and in this shorter one:\n{:?}\n{}",
                shortest.config,
                shortest.lines(),
            );
        }
        // The same inputs give the same outputs.
        if seed % 16 == 0 {
            let (once, twice) = (run(&history).unwrap(), run(&history).unwrap());
            assert!(once == twice, "seed {seed}");
            for (what, count) in &mut seen {
                *count += once.matches(*what).count();
            }
        }
        done += STEPS_PER_HISTORY;
    }
    drop(std::panic::take_hook());
    println!("{done} operations, seeds {first} to {}", seeds.start - 1);
    println!("in every sixteenth history: {seen:?}");
    if steps >= STEPS {
        for (what, count) in seen {
            assert!(count >= 5, "{what} came {count} times");
        }
    }
}

/// A configuration and what is done to it; the session that an operation is about is counted from
/// the newest.
#[derive(Clone, Debug)]
struct History {
    config: BrokerConfig,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    /// How far the `now` that is passed lies behind the time, in milliseconds.
    late: u64,
    op: Op,
}

#[derive(Clone, Debug)]
enum Op {
    Open {
        client: Option<u64>,
        topics: Vec<u64>,
        from: From,
        heartbeat: u64,
        lag: u64,
        announce: bool,
    },
    Publish {
        to: To,
        content: Content,
        own_id: Option<u64>,
    },
    Apply {
        to: To,
        content: Content,
        own_id: Option<u64>,
        ahead: u64,
    },
    Poll {
        session: usize,
        times: u64,
    },
    Batch {
        session: usize,
        limit: usize,
        form: FrameForm,
    },
    /// Of the last batch; whose it is said to be, if not of the right session.
    PartialWrite {
        written: usize,
        claimed: Option<usize>,
    },
    Ready {
        times: u64,
    },
    Serve,
    Events,
    Disconnect {
        session: usize,
    },
    CloseSession {
        session: usize,
    },
    Close,
    SetRetention {
        topic: u64,
        retention: Option<Retention>,
    },
    Pass {
        time: Duration,
    },
    Timeout,
    Sleep {
        time: Duration,
    },
}

#[derive(Clone, Debug)]
enum From {
    Nothing,
    Malformed,
    Text(&'static str),
    Own(u64),
    /// An id of the broker's making, so far behind the newest position.
    Behind(u64),
    Ahead(u64),
}

#[derive(Clone, Debug)]
enum To {
    All,
    Client(u64),
    Session(usize),
    Topic(u64),
}

impl History {
    fn random(seed: u64, steps: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = random_config(&mut rng);
        let steps = (0..steps).map(|_| random_step(&mut rng)).collect();
        Self { config, steps }
    }

    fn lines(&self) -> String {
        let line = |step: &Step| format!("{} ms late: {:?}\n", step.late, step.op);
        self.steps.iter().map(line).collect()
    }
}

fn random_config(rng: &mut Rng) -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(rng.pick(&[0, 0xe, u64::MAX])));
    config.shard = rng.pick(&[0, 7]);
    config.event_ids = rng.pick(&[EventIds::Assigned, EventIds::Assigned, EventIds::Own]);
    config.retention = random_retention(rng);
    config.private_retention = random_retention(rng);
    config.max_topics = rng.pick(&[2, 4, 100]);
    config.max_sessions = rng.pick(&[3, 8, 16]);
    config.max_topics_per_session = rng.pick(&[1, 3, 64]);
    config.max_absent_clients = rng.pick(&[0, 1, 3, 100]);
    config.max_unread_events = rng.pick(&[1, 30, 1000, 1000]);
    config.client_grace = rng.pick(&[0, 1_500, 30_000].map(millis));
    config.stall_timeout = rng.pick(&[None, None, Some(secs(2)), Some(secs(60))]);
    config.heartbeat = rng.pick(&[None, Some(secs(1)), Some(secs(15))]);
    config.lag = random_lag(rng);
    config.unresumable = rng.pick(&[StartAt::Oldest, StartAt::Newest]);
    config.retry = rng.pick(&[None, None, Some(millis(2_500))]);
    config
}

fn random_retention(rng: &mut Rng) -> Retention {
    Retention {
        events: rng.pick(&[1, 3, 8, 1000]),
        bytes: rng.pick(&[60, 300, 40_000]),
        age: rng.pick(&[None, Some(millis(700)), Some(secs(40))]),
    }
}

fn random_lag(rng: &mut Rng) -> LagPolicy {
    rng.pick(&[LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest])
}

fn random_time(rng: &mut Rng) -> Duration {
    match rng.below(100) {
        0..60 => millis(rng.below(100)),
        60..97 => millis(rng.below(3_000)),
        _ => secs(rng.below(100)),
    }
}

fn random_session(rng: &mut Rng) -> usize {
    // Mostly one that may still be open.
    let range = rng.pick(&[4, 4, 12, 40]);
    usize::try_from(rng.below(range)).unwrap()
}

fn random_to(rng: &mut Rng) -> To {
    match rng.below(8) {
        0..2 => To::All,
        2..4 => To::Client(rng.below(4)),
        4..6 => To::Session(random_session(rng)),
        _ => To::Topic(rng.below(5)),
    }
}

fn random_content(rng: &mut Rng) -> (Content, Option<u64>) {
    let own_id = rng.chance(25).then(|| rng.below(6));
    let length = match rng.below(100) {
        0..90 => rng.below(20),
        90..99 => rng.below(300),
        _ => 16_300 + rng.below(200),
    };
    match rng.below(10) {
        0 => (Content::Comment, own_id),
        1 => (Content::IdOnly, own_id.or(Some(0))),
        _ => (Content::Data("x".repeat(usize::try_from(length).unwrap())), own_id),
    }
}

fn random_from(rng: &mut Rng) -> From {
    match rng.below(10) {
        0..3 => From::Nothing,
        3..7 => From::Behind(rng.below(12)),
        7 => From::Own(rng.below(6)),
        8 => From::Ahead(1 + rng.below(3)),
        _ if rng.chance(50) => From::Malformed,
        _ => From::Text(rng.pick(&[
            "",
            "-",
            "e-",
            "e-01",
            "d-1",
            "+e-1",
            "x",
            "e-18446744073709551616",
        ])),
    }
}

fn random_step(rng: &mut Rng) -> Step {
    let op = match rng.below(100) {
        0..8 => Op::Open {
            client: rng.chance(60).then(|| rng.below(4)),
            topics: (0..rng.below(4)).map(|_| rng.below(5)).collect(),
            from: random_from(rng),
            heartbeat: rng.below(20),
            lag: rng.below(6),
            announce: rng.chance(20),
        },
        8..30 => {
            let (content, own_id) = random_content(rng);
            Op::Publish { to: random_to(rng), content, own_id }
        }
        30..34 => {
            let (content, own_id) = random_content(rng);
            Op::Apply { to: random_to(rng), content, own_id, ahead: rng.below(3) }
        }
        34..52 => Op::Poll { session: random_session(rng), times: 1 + rng.below(6) },
        52..62 => Op::Batch {
            session: random_session(rng),
            limit: rng.pick(&[0, 30, 100, 65_536]),
            form: rng.pick(&[FrameForm::Chunk, FrameForm::Payload]),
        },
        62..68 => Op::PartialWrite {
            written: usize::try_from(rng.pick(&[0, 1, 40, 100, 17_000]) + rng.below(40)).unwrap(),
            claimed: rng.chance(5).then(|| random_session(rng)),
        },
        68..73 => Op::Ready { times: 1 + rng.below(4) },
        73..80 => Op::Serve,
        80..84 => Op::Events,
        84..86 => Op::Disconnect { session: random_session(rng) },
        86 => Op::CloseSession { session: random_session(rng) },
        87 if rng.chance(10) => Op::Close,
        87..89 => Op::SetRetention {
            topic: rng.below(5),
            retention: rng.chance(50).then(|| random_retention(rng)),
        },
        89..94 => Op::Pass { time: random_time(rng) },
        94..97 => Op::Timeout,
        _ => Op::Sleep { time: random_time(rng) },
    };
    Step { late: if rng.chance(10) { rng.below(2_000) } else { 0 }, op }
}

/// Leaves out what is not needed for a failure.
fn shrink(mut history: History, mut failure: String) -> (History, String) {
    let mut size = history.steps.len() / 2;
    loop {
        let mut at = 0;
        let before = history.steps.len();
        while at < history.steps.len() {
            let mut shorter = history.clone();
            shorter.steps.drain(at..(at + size.max(1)).min(history.steps.len()));
            match run_guarded(&shorter) {
                Err(same) => (history, failure) = (shorter, same),
                Ok(_) => at += size.max(1),
            }
        }
        if size <= 1 && history.steps.len() == before {
            return (history, failure);
        }
        size /= 2;
    }
}

fn run_guarded(history: &History) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(|| run(history))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// Does what the history says to a broker and to the model. Gives what came out.
fn run(history: &History) -> Result<String, String> {
    let mut world = World::new(history.config.clone());
    for (number, step) in history.steps.iter().enumerate() {
        world
            .step(step)
            .and_then(|()| world.check_deadline())
            .map_err(|failure| format!("step {number}, {:?}: {failure}", step.op))?;
        if number % 8 == 0 {
            world.model.check_presence(&world.broker)?;
        }
    }
    // At the end, everybody is served.
    world.serve()?;
    world.check_events()?;
    world.model.check_presence(&world.broker)?;
    Ok(world.transcript)
}

struct World {
    config: BrokerConfig,
    start: Instant,
    /// Since the start.
    time: Duration,
    broker: Broker,
    model: Model,
    opened: Vec<SessionId>,
    batch: Batch,
    batch_of: Option<SessionId>,
    transcript: String,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "no other way to have a first `Instant`")]
    fn new(config: BrokerConfig) -> Self {
        let start = Instant::now();
        Self {
            config: config.clone(),
            start,
            time: Duration::ZERO,
            broker: Broker::new(start, config.clone()).unwrap(),
            model: Model::new(config),
            opened: Vec::new(),
            batch: Batch::new(FrameForm::Payload),
            batch_of: None,
            transcript: String::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let told = self.time.saturating_sub(millis(step.late));
        let now = self.start + told;
        match &step.op {
            // There is no session yet that they could be about.
            Op::Publish { to: To::Session(_), .. }
            | Op::Apply { to: To::Session(_), .. }
            | Op::Poll { .. }
            | Op::Batch { .. }
            | Op::Disconnect { .. }
            | Op::CloseSession { .. }
                if self.opened.is_empty() =>
            {
                return Ok(());
            }
            Op::PartialWrite { .. } if self.batch_of.is_none() => return Ok(()),
            _ => {}
        }
        match &step.op {
            Op::Ready { .. } | Op::Serve | Op::Events | Op::Pass { .. } | Op::Sleep { .. } => {}
            _ => self.model.advance(told),
        }
        match &step.op {
            Op::Open { .. } => self.open(now, &step.op),
            Op::Publish { to, content, own_id } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let own_id = own_id.map(own_id_text);
                let got = self.broker.publish(now, topic.clone(), &event(content, own_id.as_ref()));
                let got =
                    got.map(|published| (published.position(), text(published.frame().as_ref())));
                let got = self.note(got);
                same(&got, &self.model.publish(&topic, content, own_id.as_ref()))
            }
            Op::Apply { to, content, own_id, ahead } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let own_id = own_id.map(own_id_text);
                let last = (self.model.last + ahead).saturating_sub(1);
                let Config { epoch, event_ids, .. } = self.config;
                let published = Sequencer::new(epoch, last, event_ids)
                    .publish(topic.clone(), &event(content, own_id.as_ref()));
                let got = self.broker.apply(now, &published);
                let got = self.note(got);
                same(&got, &self.model.apply(last + 1, &topic, content, own_id.as_ref()))
            }
            Op::Poll { session, times } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                for _ in 0..*times {
                    if self.poll(now, session)? != Some(true) {
                        break;
                    }
                }
                Ok(())
            }
            Op::Batch { session, limit, form } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.batch.reset(*form);
                let end = self.broker.poll_transmit_batch(now, session, *limit, &mut self.batch);
                self.batch_of = Some(session);
                let _ = writeln!(self.transcript, "{session} {:?} {end:?}", self.batch.as_slice());
                self.model.batch(session, *limit, *form, &self.batch, end, &self.broker)
            }
            Op::PartialWrite { written, claimed } => {
                let claimed = claimed.and_then(|session| self.session(session));
                let Some(session) = claimed.or(self.batch_of) else { return Ok(()) };
                let rest = self.broker.handle_partial_write(now, session, &self.batch, *written);
                let rest = text(&rest);
                let expected = self.model.partial_write(session, *written);
                if !rest.is_empty() {
                    let _ = writeln!(self.transcript, "taken back: {}", self.batch.frames());
                }
                same(&rest, &expected)
            }
            Op::Ready { times } => {
                for _ in 0..*times {
                    if self.next_ready()?.is_none() {
                        break;
                    }
                }
                Ok(())
            }
            Op::Serve => self.serve(),
            Op::Events => self.check_events(),
            Op::Disconnect { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.broker.handle_disconnect(now, session);
                self.model.disconnect(session, &self.broker);
                Ok(())
            }
            Op::CloseSession { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let got = self.broker.close_session(now, session);
                same(&got, &self.model.close_session(session))
            }
            Op::Close => {
                self.broker.close(now);
                self.model.close();
                Ok(())
            }
            Op::SetRetention { topic, retention } => {
                let topic = topic_name(*topic);
                let got = self.broker.set_retention(now, &topic, *retention);
                same(&got, &self.model.set_retention(&topic, *retention))
            }
            Op::Pass { time } => {
                self.time += *time;
                Ok(())
            }
            Op::Timeout => {
                self.timeout(now);
                Ok(())
            }
            Op::Sleep { time } => self.sleep(*time),
        }
    }

    fn note<T: core::fmt::Debug>(&mut self, got: T) -> T {
        let _ = writeln!(self.transcript, "{got:?}");
        got
    }

    fn open(&mut self, now: Instant, op: &Op) -> Result<(), String> {
        let Op::Open { client, topics, from, heartbeat, lag, announce } = op else {
            unreachable!()
        };
        let epoch = self.config.epoch;
        let last_event_id = match from {
            From::Nothing => None,
            From::Malformed => Some(Err(())),
            From::Text(text) => Some(Ok((*text).to_owned())),
            From::Own(number) => Some(Ok(own_id_text(*number))),
            From::Behind(behind) => {
                Some(Ok(format!("{epoch}-{}", self.model.last.saturating_sub(*behind))))
            }
            From::Ahead(ahead) => Some(Ok(format!("{epoch}-{}", self.model.last + ahead))),
        };
        let wish = Wish {
            client: client.map(|number| common::client(&format!("client {number}"))),
            topics: topics.iter().map(|topic| topic_name(*topic)).collect(),
            last_event_id,
            heartbeat: match heartbeat {
                0 => Some(Some(Duration::ZERO)),
                1 => Some(None),
                2..6 => Some(Some(millis(800))),
                6 => Some(Some(Duration::MAX)),
                _ => None,
            },
            lag: match lag {
                0 => Some(LagPolicy::Close),
                1 => Some(LagPolicy::SkipToOldest),
                2 => Some(LagPolicy::SkipToNewest),
                _ => None,
            },
            announce: *announce,
        };
        let mut request = SessionRequest::new();
        if let Some(client) = &wish.client {
            request = request.with_client(client.clone());
        }
        for topic in &wish.topics {
            request = request.with_topic(topic.clone());
        }
        request = match &wish.last_event_id {
            None => request,
            Some(Err(())) => request.with_last_event_id(LastEventId::Malformed),
            Some(Ok(text)) => request.with_last_event_id(LastEventId::Id(id(text))),
        };
        if let Some(heartbeat) = wish.heartbeat {
            request = request.with_heartbeat(heartbeat);
        }
        if let Some(lag) = wish.lag {
            request = request.with_lag(lag);
        }
        if wish.announce {
            request = request.with_announcement(EventType::new("resume").unwrap());
        }
        match (self.broker.open(now, request), self.model.admit(&wish)) {
            (Ok(opened), Ok(())) => {
                if self.opened.contains(&opened.session) {
                    return Err(format!("{} was used before", opened.session));
                }
                self.opened.push(opened.session);
                let _ = writeln!(self.transcript, "{opened:?}");
                same(&opened.resume, &self.model.open(&wish, opened.session))
            }
            (got, expected) => same(&self.note(got).map(|_| ()), &expected),
        }
    }

    /// Says whether there was a frame; `None` if the session has ended.
    fn poll(&mut self, now: Instant, session: SessionId) -> Result<Option<bool>, String> {
        let out = match self.broker.poll_transmit(now, session) {
            Some(Transmit::Frame(frame)) => Out::Frame(text(frame.as_ref())),
            Some(Transmit::End(_)) => Out::End,
            None => Out::Parked,
        };
        let _ = writeln!(self.transcript, "{session} {out:?}");
        same(&out, &self.model.poll(session, &self.broker))?;
        Ok(match out {
            Out::Frame(_) => Some(true),
            Out::Parked => Some(false),
            Out::End => None,
        })
    }

    fn next_ready(&mut self) -> Result<Option<SessionId>, String> {
        let session = self.broker.poll_ready();
        let _ = writeln!(self.transcript, "{session:?}");
        self.model.came_out(session)?;
        Ok(session)
    }

    /// What a driver does that keeps up.
    fn serve(&mut self) -> Result<(), String> {
        while let Some(session) = self.next_ready()? {
            while self.poll(self.start, session)? == Some(true) {}
        }
        Ok(())
    }

    fn timeout(&mut self, now: Instant) {
        self.broker.handle_timeout(now);
        self.model.timeout(&self.broker);
    }

    fn sleep(&mut self, time: Duration) -> Result<(), String> {
        let until = self.time + time;
        while let Some(at) = self.broker.poll_timeout().filter(|at| *at <= self.start + until) {
            self.time = self.time.max(at.duration_since(self.start));
            self.model.advance(self.time);
            self.timeout(self.start + self.time);
            if self.broker.poll_timeout().is_some_and(|next| next <= at) {
                return Err("the deadline did not move".to_owned());
            }
        }
        self.time = until;
        Ok(())
    }

    /// A driver that sleeps until the deadline must not delay anything.
    fn check_deadline(&self) -> Result<(), String> {
        let sleeps_until = self.broker.poll_timeout();
        match self.model.deadline().and_then(|deadline| self.start.checked_add(deadline)) {
            Some(due) if sleeps_until.is_none_or(|until| until > due) => Err(format!(
                "due after {:?}, and the deadline is after {:?}",
                due - self.start,
                sleeps_until.map(|until| until - self.start)
            )),
            _ => Ok(()),
        }
    }

    /// What happened in one call happens in no order, but to each session and client it does.
    fn check_events(&mut self) -> Result<(), String> {
        let of = |event: &BrokerEvent| match event {
            BrokerEvent::ClientJoined { client } | BrokerEvent::ClientLeft { client } => {
                (Some(client.clone()), None)
            }
            BrokerEvent::SessionOpened { session, .. }
            | BrokerEvent::SessionSkipped { session, .. }
            | BrokerEvent::SessionEnded { session, .. } => (None, Some(*session)),
            _ => unreachable!(),
        };
        let mut events: Vec<_> = core::iter::from_fn(|| self.broker.poll_event()).collect();
        let _ = writeln!(self.transcript, "{events:?}");
        events.sort_by_key(of);
        let mut expected = self.model.events();
        expected.sort_by_key(of);
        same(&events, &expected)
    }

    fn session(&self, back: usize) -> Option<SessionId> {
        let newest = self.opened.len().checked_sub(1)?;
        self.opened.get(newest - back % self.opened.len()).copied()
    }

    fn topic(&self, to: &To) -> Option<Topic> {
        Some(match to {
            To::All => Topic::Broadcast,
            To::Client(number) => client(&format!("client {number}")).into(),
            To::Session(session) => self.session(*session)?.into(),
            To::Topic(number) => topic_name(*number).into(),
        })
    }
}

use sansse::broker::BrokerConfig as Config;

fn topic_name(number: u64) -> TopicName {
    topic(&format!("topic {number}"))
}

/// Some look like ids of the broker's making.
fn own_id_text(number: u64) -> String {
    match number {
        0 => String::new(),
        1 => "e-1".to_owned(),
        2 => "0-2".to_owned(),
        _ => format!("own {number}"),
    }
}

fn event(content: &Content, own_id: Option<&String>) -> Event {
    let event = match content {
        Content::Data(data) => Event::new(data.clone()),
        Content::Comment => Event::comment("comment"),
        Content::IdOnly => return Event::id_only(id(own_id.unwrap())),
    };
    match own_id {
        Some(own) => event.with_id(id(own)),
        None => event,
    }
}

fn same<T: PartialEq + core::fmt::Debug>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("got {got:?}\nwhere it should be {expected:?}"))
}

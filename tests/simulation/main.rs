//! The client machine against the broker machine, over a network that cuts, delays and repeats, in
//! virtual time and one thread.
//!
//! Each simulation is drawn from a seed: what is published to whom, how much is kept, how the
//! network and the readers behave, when the server restarts, and what its application does to those
//! who are connected: more topics, fewer, none, or the end of one. A naive record of what was
//! published decides what each session owes its reader, and what each reader must have got. `SANSSE_SIMULATIONS` sets how many are run (10,000
//! otherwise), `SANSSE_SEED` the first seed. A failure prints its seed and how it came about.
#![cfg(all(feature = "broker", feature = "client"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

#[path = "../kit/mod.rs"]
mod kit;

mod filter;
mod judge;
mod live;
mod network;
mod open;
mod owed;
mod publish;
mod reader;
mod scenario;
mod serve;
mod server;
mod truth;
mod world;

use allocation_counter::measure;
use kit::random::Random;
use kit::{base_instant, number, seed};
use sansse::client::Client;
use scenario::Scenario;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;
use world::World;

const SIMULATIONS: u64 = 10_000;
/// How much of the history is printed when a simulation fails.
const LAST_LINES: usize = 100;

/// What happened in the simulations: how often each kind of thing, and for one of them, in words.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    counts: BTreeMap<&'static str, u64>,
    history: Option<Vec<String>>,
}

impl Log {
    pub(crate) fn count(&self, what: &'static str) {
        *self.0.borrow_mut().counts.entry(what).or_default() += 1;
    }

    /// Keeps a line, if anybody will read it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(history) = &mut self.0.borrow_mut().history {
            history.push(line());
        }
    }
}

/// Without these, the simulations would say less than they claim.
const MUST_HAPPEN: [&str; 92] = [
    "resume: live",
    "resume: complete, nothing to replay",
    "resume: complete, with a replay",
    "resume: gap",
    "resume: gap, and more kept after it",
    "resume: gap told in vain",
    "resume: unknown",
    "resume: other-epoch",
    "notice that came as a message",
    "loss reported by the client",
    "begins with nothing missing",
    "begins with a number missing",
    "begins with something missing",
    "place told again",
    "end: Disconnected",
    "end: Closed",
    "end: Shutdown",
    "end: Lagged",
    "end: Stalled",
    "end: Evicted",
    "end: MaxAge",
    "end: Drained",
    "end: LeaseExpired",
    "lease renewed",
    "asked while the server goes",
    "event that comes to a shard later",
    "reader that comes to another shard",
    "resume: ahead",
    "skip to the oldest",
    "skip to the newest",
    "cut by the reader's side",
    "cut by the server's side",
    "cut inside a block",
    "cut before the head",
    "request lost",
    "silence after a cut",
    "late answer of an old attempt",
    "two sessions of one reader",
    "retry: EndOfStream",
    "retry: Idle",
    "retry: Response",
    "retry: Restarted",
    "retry: Status",
    "retry: Transport",
    "restart: another epoch",
    "restart: history restored",
    "restart: network only",
    "restart: in good order",
    "restart: drained",
    "too many sessions",
    "event read that brought its own id",
    "answer that is over, and resumed",
    "answer whose end is forgotten",
    "answered 204",
    "answered 204 in a drain",
    "end: Revoked",
    "end: TopicsEnded",
    "loss told",
    "loss told without a number",
    "loss of one who keeps the newest of each key",
    "passed over, as it is gone from a compact log",
    "reader that was told to ask no more",
    "resume from a replayed event",
    "resume: oldest, nothing to replay",
    "resume: oldest, with a replay",
    "revoked: a session",
    "revoked: a session with half a frame written",
    "revoked: a session with something not sent",
    "revoked: a topic",
    "revoked: a topic that a pattern matches",
    "revoked: a topic with something not sent",
    "skip to the newest, beyond the bounds",
    "skip to the oldest within the bounds",
    "skipped by one with patterns",
    "something between a batch and its write",
    "superseded by a newer one of its key",
    "superseded while it is behind its bounds",
    "closed for its bounds",
    "subscribe: a pattern from a place",
    "subscribe: a pattern from now on",
    "subscribe: a pattern with all that is kept",
    "subscribe: a topic from a place",
    "subscribe: a topic from now on",
    "subscribe: a topic with all that is kept",
    "subscribe: nothing to replay",
    "subscribe: something may be missing",
    "subscribe: what it has is excluded",
    "subscription ended",
    "subscription ended with something not sent",
    "write that takes a part",
    "write that takes nothing",
    "no room for one session or client",
];

#[test]
fn a_reader_gets_each_event_once_and_in_order_or_is_told_of_what_is_missing() {
    let start = base_instant();
    let first = seed(1);
    let simulations = number("SANSSE_SIMULATIONS").unwrap_or(SIMULATIONS);
    let log = Log::default();
    for seed in first..first + simulations {
        if run(seed, start, &log).is_err() {
            let told = Log::default();
            told.0.borrow_mut().history = Some(Vec::new());
            let failure = run(seed, start, &told).expect_err("the same seed gives the same");
            let inner = told.0.borrow();
            let lines = inner.history.as_ref().unwrap();
            let last = lines[1..].len().min(LAST_LINES);
            panic!(
                "{}\n{}\nSANSSE_SEED={seed} SANSSE_SIMULATIONS=1: {failure}",
                lines[0],
                lines[lines.len() - last..].join("\n"),
            );
        }
    }
    let inner = log.0.borrow();
    println!("{simulations} simulations from seed {first}: {:#?}", inner.counts);
    if simulations >= SIMULATIONS {
        for what in MUST_HAPPEN {
            let count = inner.counts.get(what).copied().unwrap_or_default();
            assert!(count >= 10, "{what}: only {count} times");
        }
    }
}

/// What a machine holds is what it gives back when it goes.
#[test]
fn what_both_sides_hold_does_not_grow_with_time() {
    let start = base_instant();
    let held = |seed, events| {
        let draw = |random: &mut Random| Scenario::draw_long(random, events);
        let mut world = World::new(seed, start, Log::default(), draw);
        world.live_on();
        let shards = world.server.take_shards();
        let broker = measure(|| drop(shards)).bytes_current;
        let clients: Vec<Client> = world.readers.drain(..).map(|reader| reader.client).collect();
        let count = i64::try_from(clients.len()).unwrap();
        let clients = measure(|| drop(clients)).bytes_current;
        (-broker, -clients / count, i64::try_from(world.scenario.shards).unwrap())
    };
    let first = seed(1);
    for seed in first..first + 12 {
        let (broker, client, shards) = held(seed, 1_500);
        println!("seed {seed}: {shards} shards hold {broker} bytes, a client {client}");
        // In each shard seven logs of 10 events with half a kilobyte of what they have lost, what
        // patterns match and may match, and timers; and at most 40 sessions with what is their own.
        let most = 20_000 + 28_000 * shards;
        assert!(broker > 0 && broker < most, "seed {seed}: the broker holds {broker} bytes");
        assert!(client > 0 && client < 5_000, "seed {seed}: a client holds {client} bytes");
    }
}

fn run(seed: u64, start: Instant, log: &Log) -> Result<(), String> {
    let life = || World::new(seed, start, log.clone(), Scenario::draw).live();
    catch_unwind(AssertUnwindSafe(life)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}

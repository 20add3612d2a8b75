//! A realm of one to five nodes on an engine that fails in every way it can, in virtual time and one
//! thread, with readers that move between the nodes.
//!
//! Each simulation is drawn from a seed. The nodes are the machine [`Node`](sansse::cluster::Node)
//! and a broker each. The engine is a port of the reference script, on servers that lose answers,
//! answer late, lose their tails, are promoted, come back stale, are flushed, lose one of their keys,
//! trim past a reader, refuse, and talk nonsense. A judge that knows all that was ever appended looks
//! at what publishers and readers are told:
//!
//! - positions rise on each connection and across resumptions;
//! - nothing comes twice without a gap that was told between;
//! - who is told to have everything has everything that was acknowledged, and everything that any
//!   node applied;
//! - no gap is told where nothing is missing; where nothing was lost at all, none;
//! - nothing comes that was never appended, and nothing was appended that was refused;
//! - what is acknowledged is where it was said to be, and no position names two things;
//! - all nodes apply the same at the same positions;
//! - nothing comes after a revocation;
//! - within 30 s of the last fault all nodes are ready and at the head, and all readers have what is
//!   published then;
//! - queues stay within their bounds.
//!
//! `SANSSE_SIMULATIONS` sets how many are run, `SANSSE_SEED` the first seed. A failure prints its seed
//! and how it came about. What must not be done is done on purpose in further simulations, and has to
//! be found.
#![cfg(all(feature = "cluster", feature = "client"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

#[path = "../kit/mod.rs"]
mod kit;

mod engine;
mod judge;
mod mutant;
mod node;
mod scenario;
mod world;

use kit::{base_instant, number, seed};
use mutant::Mutant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;
use world::World;

const SIMULATIONS: u64 = 1_000;
/// In how many simulations each mutant has to be found.
const OF_A_MUTANT: u64 = 2_000;
/// How much of the history is printed when a simulation fails.
const LAST_LINES: usize = 120;

/// Without these, the simulations would say less than they claim.
const MUST_HAPPEN: [&str; 46] = [
    "a connection breaks",
    "a node crashes",
    "a node shuts down",
    "a node stalls",
    "a stale master comes back",
    "acknowledged",
    "answer lost",
    "applied",
    "busy",
    "closed",
    "complete",
    "cut applied",
    "delivered",
    "flush",
    "gap",
    "live",
    "move",
    "nonsense",
    "promotion",
    "promotion without the tail",
    "publish",
    "refused at once",
    "refused by the engine",
    "refused later",
    "request lost",
    "revoke",
    "revoke a topic",
    "session ended by the broker",
    "the engine refuses",
    "the engine restarts",
    "the engine restarts without its tail",
    "the engine splits in two",
    "the hash is lost",
    "the stream is lost",
    "told: ahead",
    "told: complete",
    "told: complete, and a replay",
    "told: log",
    "told: retention",
    "trimmed",
    "unconfirmed",
    "waiting",
    "error",
    "applied for a client",
    "read for a reader",
    "nothing read for a reader",
];

/// What happened in the simulations: how often each kind of thing, and for one of them, in words.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    counts: BTreeMap<&'static str, u64>,
    history: Option<Vec<String>>,
}

impl Log {
    pub(crate) fn add(&self, counts: &BTreeMap<&'static str, u64>) {
        let mut inner = self.0.borrow_mut();
        for (what, count) in counts {
            *inner.counts.entry(what).or_default() += count;
        }
    }

    /// Keeps a line, if anybody will read it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(history) = &mut self.0.borrow_mut().history {
            history.push(line());
        }
    }
}

#[test]
fn every_reader_has_everything_or_is_told_that_something_is_missing() {
    std::panic::set_hook(Box::new(|_| {}));
    let start = base_instant();
    let first = seed(1);
    let simulations = number("SANSSE_SIMULATIONS").unwrap_or(SIMULATIONS);
    let log = Log::default();
    for seed in first..first + simulations {
        if run(seed, start, &log, None).is_err() {
            let told = Log::default();
            told.0.borrow_mut().history = Some(Vec::new());
            let failure = run(seed, start, &told, None).expect_err("the same seed gives the same");
            drop(std::panic::take_hook());
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
    drop(std::panic::take_hook());
    let inner = log.0.borrow();
    println!("{simulations} simulations from seed {first}: {:#?}", inner.counts);
    if simulations >= SIMULATIONS {
        for what in MUST_HAPPEN {
            let count = inner.counts.get(what).copied().unwrap_or_default();
            assert!(count >= 5, "{what}: only {count} times");
        }
    }
}

#[test]
fn each_thing_that_must_not_be_done_is_found() {
    std::panic::set_hook(Box::new(|_| {}));
    let start = base_instant();
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let found = (1..=OF_A_MUTANT).find_map(|seed| {
            run(seed, start, &Log::default(), Some(mutant)).err().map(|failure| (seed, failure))
        });
        match found {
            Some((seed, failure)) => println!("{mutant:?} by seed {seed}: {failure}"),
            None => missed.push(mutant),
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}

fn run(seed: u64, start: Instant, log: &Log, mutant: Option<Mutant>) -> Result<(), String> {
    let life = || World::new(seed, start, log.clone(), mutant).live();
    catch_unwind(AssertUnwindSafe(life)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}

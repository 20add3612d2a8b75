//! The machine of a realm's node against a naive model, which keeps a list of all that ever was and
//! works everything out plainly, under random calls and answers in any order.
//!
//! `SANSSE_STEPS` sets how many calls are made in all, `SANSSE_SEED` where they start. A failure
//! prints the seed of its history and what was done in it.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../kit/mod.rs"]
mod kit;

mod drawn;
mod model;

use drawn::{Drawn, Step};
use kit::random::Random;
use kit::{base_instant, number, seed};
use model::Model;
use sansse::broker::{Epoch, EventIds, Sequencer};
use sansse::cluster::{Effect, Node, Ticket};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

const STEPS: u64 = 300_000;
const STEPS_PER_HISTORY: u64 = 150;

/// All of this has to happen, or the histories are not worth much.
const MUST_HAPPEN: [&str; 26] = [
    "applied",
    "appended",
    "append again",
    "batch of several",
    "busy",
    "closed",
    "cut",
    "down",
    "full",
    "given up",
    "grace",
    "head",
    "hello again, without a failure",
    "hole",
    "joined over a cut",
    "joined with a window",
    "lossless",
    "nonsense",
    "ready",
    "rest",
    "shut down",
    "stale",
    "too large",
    "unconfirmed",
    "unreadable",
    "waits",
];

#[test]
fn a_node_does_what_a_list_of_all_that_ever_was_says() {
    std::panic::set_hook(Box::new(|_| {}));
    let start = base_instant();
    let first = seed(1);
    let steps = number("SANSSE_STEPS").unwrap_or(STEPS);
    let mut counts = BTreeMap::new();
    for seed in first..first + steps.div_ceil(STEPS_PER_HISTORY) {
        let mut lines = Vec::new();
        let history = || run(seed, start, &mut lines, &mut counts);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(history)) {
            drop(std::panic::take_hook());
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let lines = lines.join("\n");
            panic!("{lines}\nSANSSE_SEED={seed} SANSSE_STEPS=1: {}", text.unwrap_or_default());
        }
    }
    drop(std::panic::take_hook());
    println!("{steps} calls from seed {first}: {counts:#?}");
    if steps >= STEPS {
        for what in MUST_HAPPEN {
            let count = counts.get(what).copied().unwrap_or_default();
            assert!(count >= 10, "{what}: only {count} times");
        }
    }
}

fn run(
    seed: u64,
    start: Instant,
    lines: &mut Vec<String>,
    counts: &mut BTreeMap<&'static str, u64>,
) {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let config = drawn::config(&mut random);
    lines.push(format!("{config:?}"));
    let sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    let mut node = Node::new(start, config.clone(), sequencer);
    let mut model = Model::new(start, config);
    let mut now = start;
    for _ in 0..STEPS_PER_HISTORY {
        let drawn = Drawn::draw(&mut random, &model, now);
        now = now.max(drawn.now);
        lines.push(format!("{:>12.3?} {:?}", drawn.now - start, drawn.step));
        let at = drawn.now;
        match drawn.step {
            Step::Publish(record) => {
                let ticket = node.publish(at, record.record()).map(Ticket::get);
                assert_eq!(ticket, model.publish(at, &record));
            }
            Step::Answer(id, answer) => {
                // The ids of a node are counted, so that the model knows them.
                if let Some(id) = model.id(id) {
                    node.handle_answer(at, id, answer.answer());
                    model.answer(at, id.get(), &answer);
                }
            }
            Step::Time => {
                node.handle_timeout(at);
                model.time(at);
                let next = node.poll_timeout();
                assert!(next.is_none_or(|next| next > at), "the deadline did not move");
            }
            Step::ShutDown => {
                node.shut_down(at);
                model.shut_down(at);
            }
            Step::Effect => {
                let effect = node.poll_effect();
                lines.push(format!("{:>17}{effect:?}", ""));
                assert_eq!(effect.map(told), model.effect());
            }
            Step::Request => {
                let request = node.poll_request(at);
                lines.push(format!("{:>17}{request:?}", ""));
                assert_eq!(
                    request.as_ref().map(|(_, request)| request),
                    model.request(at).as_ref()
                );
                if let Some((id, _)) = request {
                    model.knows(id);
                }
            }
        }
        assert_eq!(node.poll_timeout(), model.timeout(), "the next timeout");
        assert_eq!(node.counters(), model.counters());
        assert_eq!(node.health(), model.health());
        assert_eq!((node.applied(), node.is_over()), (model.applied(), model.is_over()));
    }
    for (what, count) in model.happened() {
        *counts.entry(what).or_default() += count;
    }
}

/// An effect in short. Steps are told one by one.
fn told(effect: Effect) -> String {
    match effect {
        Effect::Apply(steps) => drawn::short(&steps),
        Effect::Settled(ticket, result) => format!("settled {} {result:?}", ticket.get()),
        Effect::GiveUp(id) => format!("give up {}", id.get()),
        Effect::Health(health) => format!("{health:?}"),
        other => panic!("{other:?}"),
    }
}

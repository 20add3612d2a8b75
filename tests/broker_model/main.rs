//! The broker against a naive model, which keeps a queue for each session and works everything out
//! plainly, under random operations in any order.
//!
//! `SANSSE_STEPS` sets how many operations are done in all, `SANSSE_SEED` where they start. A
//! failure prints the seed of its history and the shortest history found that still fails.
#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "../kit/naive_broker/mod.rs"]
mod naive_broker;

use kit::{number, seed};
use naive_broker::{History, run};
use std::panic::{AssertUnwindSafe, catch_unwind};

const STEPS: u64 = 300_000;
const STEPS_PER_HISTORY: u64 = 500;
const STEPS_OF_ENDS: usize = 60;

/// All of this has to happen, or the histories are not worth much.
const MUST_HAPPEN: &[&str] = &[
    "Live",
    "Complete { replayed: 0",
    "Complete { replayed: 1",
    "Gap { replayed: 0",
    "Gap { replayed: 1",
    "UnknownId",
    "OtherEpoch",
    "Ahead",
    "resumption: Waiting",
    "Ok(Waiting)",
    "SessionResumed",
    "is_last: false",
    "is_last: true",
    "details: Some(",
    ": hello",
    "Frame(\"id:",
    "Frame(\":\\n",
    "taken back",
    "ClientLeft",
    "SessionSkipped",
    "SessionSuperseded",
    r#"\"stream\":\"live\""#,
    r#"\"stream\":\"kept\",\"replayed\":1"#,
    r#"\"stream\":\"complete\",\"replayed\":1"#,
    r#"\"stream\":\"place\""#,
    r#"\"stream\":\"ending\""#,
    r#"\"lost\":null,\"reason\":\"lag\""#,
    r#"\"lost\":2,\"reason\":\"lag\""#,
    r#"\"lost\":null,\"reason\":\"retention\""#,
    r#"\"lost\":2,\"reason\":\"retention\""#,
    r#"\"reason\":\"restart\""#,
    r#"\"reason\":\"unknown-id\""#,
    r#"\"reason\":\"malformed-id\""#,
    r#"\"reason\":\"ahead\""#,
    "event: about",
    "event: own",
    "Err(ZeroStallTimeout)",
    "Err(NotPermitted)",
    "Err(TooManyPermitted",
    "Disconnected",
    "Closed",
    "Shutdown",
    "Lagged",
    "Stalled",
    "TopicsEnded, ",
    "Err(TopicsEnded)",
    "Err(TopicEnded)",
    "Oldest { replayed: 1",
    "Last { replayed: 0",
    "Last { replayed: 1",
    "Last { replayed: 3",
    "Evicted",
    "MaxAge",
    "LeaseExpiring",
    "LeaseExpired",
    "Revoked",
    "GaveWay",
    "Err(LeaseInThePast)",
    "Drained,",
    "Drained {",
    "undelivered: 1",
    "Err(UnusableId",
    "Err(TooLarge",
    "Err(NoRoom)",
    "Ok(Some(WaitId",
    "over: ",
    "Err(TooManyTopics)",
    "Err(TooManySubscriptionsOfClient",
    "Err(TooManySubscriptionsFromAddress",
    "Err(Draining)",
    "Err(TooManySessions)",
    "Err(TooManySessionsOfClient",
    "Err(TooManySessionsFromAddress",
    "Err(TooManyTopicsOfSession",
    "Err(UnreadEvents)",
    "Err(UnknownClient)",
    "Err(UnknownSession)",
    "Err(OutOfOrder",
    r#"\"reason\":\"log\""#,
    #[cfg(feature = "signed")]
    "Forged",
    #[cfg(feature = "signed")]
    r#"\"reason\":\"forged-id\""#,
];

/// Of these steps most histories have too few together: what ends, who leaves and comes, and when.
#[test]
fn sessions_whose_topics_end_wait_and_end_as_those_of_the_model_do() {
    std::panic::set_hook(Box::new(|_| {}));
    let steps = number("SANSSE_STEPS").unwrap_or(STEPS);
    for seed in seed(1)..seed(1) + steps / STEPS_OF_ENDS as u64 {
        let _ = run_or_shrink(History::of_ends(seed, STEPS_OF_ENDS), seed);
    }
    drop(std::panic::take_hook());
}

#[test]
fn a_broker_does_what_a_queue_for_each_session_would_do() {
    // A panic of the broker is a failure like any other, found again and again while the history
    // is made shorter; one message at the end is enough.
    std::panic::set_hook(Box::new(|_| {}));
    let first = seed(1);
    let steps = number("SANSSE_STEPS").unwrap_or(STEPS);
    let mut seeds = first..;
    let mut happened: Vec<_> = MUST_HAPPEN.iter().map(|what| (*what, 0)).collect();
    let mut done = 0;
    while done < steps {
        let seed = seeds.next().unwrap();
        let history = History::random(seed, STEPS_PER_HISTORY);
        // The same inputs give the same outputs.
        let again = (seed % 16 == 0).then(|| history.clone());
        let once = run_or_shrink(history, seed);
        if let Some(history) = again {
            assert!(once == run(&history).unwrap(), "seed {seed}");
        }
        for (what, count) in &mut happened {
            *count += once.matches(*what).count();
        }
        done += STEPS_PER_HISTORY;
    }
    drop(std::panic::take_hook());
    println!("{done} operations, seeds {first} to {}", seeds.start - 1);
    println!("in all of them: {happened:?}");
    if steps >= STEPS {
        for (what, count) in happened {
            assert!(count >= 5, "{what} came {count} times");
        }
    }
}

/// Returns what came out, or fails with the shortest history found.
fn run_or_shrink(history: History, seed: u64) -> String {
    run_guarded(&history).unwrap_or_else(|failure| {
        let steps = history.steps.len();
        let (shortest, failure) = shrink(history, failure);
        drop(std::panic::take_hook());
        panic!(
            "{failure}\nin the history of SANSSE_SEED={seed} SANSSE_STEPS={steps}, and in this \
             shorter one:\n{:?}\n{}",
            shortest.config,
            shortest.lines(),
        );
    })
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

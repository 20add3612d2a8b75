//! One thing that the broker does, again and again, for callgrind to count.
//!
//! ```text
//! benches/instructions/measure
//! ```
//!
//! runs this program under callgrind once for each case and prints a table. The program prints how
//! often it did what it was asked for. Callgrind counts inside [`measured`] alone, so that what
//! comes before and between is not counted.

mod api;

use api::{Audience, Broker, Request, Session};
use std::hint::black_box;
use std::process::ExitCode;

const SESSIONS: u32 = 10_000;
const TOPICS: u32 = 1_000;
/// How often something is published and delivered before anything is measured.
const WARM_UP: u32 = 5;
const ROUNDS: u32 = 20;

const HELP: &str = "\
Does one thing again and again, for callgrind to count, and prints how often.

Usage: instructions CASE

Cases:
  batch, batch-of-eleven, batch-with-topics, batch-with-client, frame,
  publish-to-all, publish-to-topic, publish-to-client-first, publish-to-client,
  publish-to-session-first, publish-to-session,
  open, open-with-topics, open-with-client

benches/instructions/measure runs them all, and prints a table.";

fn main() -> ExitCode {
    let case = std::env::args().nth(1);
    if let Some("-h" | "--help") = case.as_deref() {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match case.ok_or("which case? --help names them".to_owned()).and_then(|case| run(&case)) {
        Ok(operations) => {
            println!("{operations}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a case. Returns how often it did what is measured.
fn run(case: &str) -> Result<u32, String> {
    Ok(match case {
        "batch" => deliver(&NOTHING, 1, Broker::deliver_in_batches),
        "batch-of-eleven" => deliver(&NOTHING, 11, Broker::deliver_in_batches),
        "batch-with-topics" => deliver(&WITH_TOPICS, 1, Broker::deliver_in_batches),
        "batch-with-client" => deliver(&WITH_CLIENT, 1, Broker::deliver_in_batches),
        "frame" => deliver(&NOTHING, 1, Broker::deliver_by_frame),
        "publish-to-all" => publish(&NOTHING, true, |_, _| Broker::everyone()),
        "publish-to-topic" => {
            publish(&WITH_TOPICS, true, |broker, (number, _)| broker.topic(topic(number)))
        }
        "publish-to-client-first" => publish(&WITH_CLIENT, false, to_client),
        "publish-to-client" => publish(&WITH_CLIENT, true, to_client),
        "publish-to-session-first" => publish(&NOTHING, false, to_session),
        "publish-to-session" => publish(&NOTHING, true, to_session),
        "open" => open(&NOTHING),
        "open-with-topics" => open(&WITH_TOPICS),
        "open-with-client" => open(&WITH_CLIENT),
        _ => return Err(format!("there is no case {case:?}; --help names them")),
    })
}

/// What callgrind counts. Not inlined, and no tail call, so that it sees when this begins and ends.
#[inline(never)]
fn measured<T>(what: impl FnOnce() -> T) -> T {
    black_box(what())
}

/// Returns a broker whose sessions wait, and those sessions with their numbers.
fn parked(what: &What) -> (Broker, Vec<(u32, Session)>) {
    let mut broker = Broker::new(SESSIONS, TOPICS);
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let request = what.request(&broker, number);
        let session = broker.open(request);
        broker.park(session);
        sessions.push((number, session));
    }
    for _ in 0..WARM_UP {
        broker.publish(Broker::everyone());
        broker.deliver_in_batches();
    }
    (broker, sessions)
}

fn deliver(what: &What, events: u32, deliver: fn(&mut Broker) -> u32) -> u32 {
    let (mut broker, _) = parked(what);
    let mut deliveries = 0;
    for _ in 0..ROUNDS {
        for _ in 0..events {
            broker.publish(Broker::everyone());
        }
        deliveries += measured(|| deliver(&mut broker));
    }
    assert_eq!(deliveries, ROUNDS * SESSIONS, "each session gets what is published");
    deliveries
}

/// Publishes once for each of some sessions, where it is `again` after something was published to
/// the same audience before.
fn publish(
    what: &What,
    again: bool,
    audience: impl Fn(&Broker, (u32, Session)) -> Audience,
) -> u32 {
    let (mut broker, sessions) = parked(what);
    for &session in sessions.iter().take(ROUNDS as usize) {
        let audience = audience(&broker, session);
        if again {
            broker.publish(audience.clone());
            broker.deliver_in_batches();
        }
        measured(|| broker.publish(audience));
        assert!(broker.deliver_in_batches() > 0, "somebody gets it");
    }
    ROUNDS
}

fn to_client(_: &Broker, (number, _): (u32, Session)) -> Audience {
    Broker::client(client(number))
}

fn to_session(_: &Broker, (_, session): (u32, Session)) -> Audience {
    Broker::session(session)
}

/// Opens as many sessions again as there are.
fn open(what: &What) -> u32 {
    let mut broker = Broker::new(2 * SESSIONS, TOPICS);
    for number in 0..2 * SESSIONS {
        let request = what.request(&broker, number);
        let session = if number < SESSIONS {
            broker.open(request)
        } else {
            measured(|| broker.open(request))
        };
        broker.park(session);
    }
    SESSIONS
}

/// What a session has, beside what is published to all.
struct What {
    topics: u32,
    has_client: bool,
}

const NOTHING: What = What { topics: 0, has_client: false };
const WITH_TOPICS: What = What { topics: 3, has_client: false };
const WITH_CLIENT: What = What { topics: 0, has_client: true };

impl What {
    /// Topics are different ones, spread over all of them; a client has one session.
    fn request(&self, broker: &Broker, number: u32) -> Request {
        let topics: Vec<_> =
            (0..self.topics).map(|each| topic(number * self.topics + each)).collect();
        broker.request(self.has_client.then(|| client(number)), &topics)
    }
}

fn client(number: u32) -> String {
    format!("client/{number}")
}

/// A step that has no factor in common with the number of topics meets each of them in turn.
fn topic(number: u32) -> usize {
    (number as usize * 607) % TOPICS as usize
}

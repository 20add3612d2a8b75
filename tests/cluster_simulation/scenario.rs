//! What is drawn for one simulation.

use crate::kit::random::Random;
use crate::mutant::Mutant;
use sansse::cluster::{LogErrorKind, WhileDown};
use std::time::Duration;

pub(crate) const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A time up to and including `most`.
pub(crate) fn up_to(random: &mut Random, most: Duration) -> Duration {
    millis(random.next() % (u64::try_from(most.as_millis()).unwrap() + 1))
}

pub(crate) fn one_of<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())].clone()
}

pub(crate) fn chance(random: &mut Random, percent: usize) -> bool {
    random.below(100) < percent
}

/// What happens by itself, at some time. Servers, nodes and readers are drawn when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Publish,
    Revoke,
    RevokeTopic,
    /// A reader goes to another node, or for a while nowhere.
    Move,
    NodeCrashes,
    /// A node does nothing, for so long.
    NodeStalls(Duration),
    NodeShutsDown,
    /// The master is killed, and comes back with what it had so many steps ago.
    EngineRestarts {
        steps_ago: usize,
        after: Duration,
    },
    /// Another server becomes the master, with what the first had so many steps ago.
    Promotion {
        steps_ago: usize,
        clock: i64,
    },
    /// A server that was the master is so again, for all or for some nodes.
    StaleMaster {
        splits: bool,
    },
    /// The connection of one node breaks.
    ConnectionBreaks,
    Flush,
    LosesHash,
    LosesStream,
    Trim {
        keep: u64,
    },
    Refuses(LogErrorKind, Duration),
    /// One node gets an answer that makes no sense.
    Nonsense,
}

impl Act {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Revoke => "revoke",
            Self::RevokeTopic => "revoke a topic",
            Self::Move => "move",
            Self::NodeCrashes => "a node crashes",
            Self::NodeStalls(_) => "a node stalls",
            Self::NodeShutsDown => "a node shuts down",
            Self::EngineRestarts { steps_ago: 0, .. } => "the engine restarts",
            Self::EngineRestarts { .. } => "the engine restarts without its tail",
            Self::Promotion { steps_ago: 0, .. } => "promotion",
            Self::Promotion { .. } => "promotion without the tail",
            Self::StaleMaster { splits: false } => "a stale master comes back",
            Self::StaleMaster { splits: true } => "the engine splits in two",
            Self::ConnectionBreaks => "a connection breaks",
            Self::Flush => "flush",
            Self::LosesHash => "the hash is lost",
            Self::LosesStream => "the stream is lost",
            Self::Trim { .. } => "trimmed",
            Self::Refuses(..) => "the engine refuses",
            Self::Nonsense => "nonsense",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) mutant: Option<Mutant>,
    /// Nothing is lost by anybody: no gap may be told.
    pub(crate) is_calm: bool,
    /// The engine may stop meanwhile, and is declared to lose nothing.
    pub(crate) is_lossless: bool,
    pub(crate) nodes: usize,
    pub(crate) readers: Vec<Reading>,
    pub(crate) script: Vec<(Duration, Act)>,
    pub(crate) healed: Duration,
    /// How long requests and answers take at most.
    pub(crate) latency: Duration,
    /// How many of 100 requests, and of 100 answers, are lost.
    pub(crate) losses: usize,
    /// How many of 100 requests or answers take up to twelve seconds.
    pub(crate) late: usize,
    pub(crate) while_down: WhileDown,
    pub(crate) window: u64,
    pub(crate) batch_records: u32,
    pub(crate) queued_records: usize,
    pub(crate) page_bytes: u32,
    /// Whether nodes read the log for readers that are older than their memory.
    pub(crate) reads_older: bool,
    /// How many events a node's memory keeps.
    pub(crate) memory: usize,
    /// How long what is for a client is kept where it is not.
    pub(crate) client_grace: Duration,
    /// How many of 100 events are for a client.
    pub(crate) for_clients: usize,
    /// How many positions the engine keeps.
    pub(crate) keep: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) client: &'static str,
    pub(crate) wants_topic: bool,
    /// How many of 100 times it takes what there is for it.
    pub(crate) takes: usize,
}

impl Scenario {
    /// Whether a node may lose what its log kept.
    pub(crate) fn is_short(&self) -> bool {
        let revokes = self.script.iter().any(|(_, act)| matches!(act, Act::Revoke));
        self.memory < 1_000
            || self.window < 1_000
            || self.keep < 1_000
            || self.client_grace < Duration::from_secs(1_000)
            || (revokes && self.for_clients > 0)
    }
}

pub(crate) const CLIENTS: [&str; 3] = ["ann", "bob", "cid"];

impl Scenario {
    pub(crate) fn draw(random: &mut Random, mutant: Option<Mutant>) -> Self {
        let is_calm = chance(random, 25);
        let reading = |random: &mut Random| Reading {
            client: one_of(random, &CLIENTS),
            wants_topic: chance(random, 60),
            takes: if is_calm { 100 } else { one_of(random, &[100, 100, 100, 30, 3]) },
        };
        let readers = (0..=random.below(4)).map(|_| reading(random)).collect();
        let (mut script, healed) = script(random, is_calm);
        let is_lossless = is_calm && chance(random, 50);
        if is_lossless {
            let (at, after) = (up_to(random, healed), up_to(random, millis(3_000)));
            script.push((at, Act::EngineRestarts { steps_ago: 0, after }));
        }
        let revokes = script.iter().any(|(_, act)| matches!(act, Act::Revoke));
        // A client that is revoked loses what was kept for it, and is told so.
        let for_clients = one_of(random, &[0, 20]) * usize::from(!is_calm || !revokes);
        let or = |random: &mut Random, calm, drawn: &[usize]| {
            if is_calm { calm } else { one_of(random, drawn) }
        };
        Self {
            mutant,
            is_calm,
            is_lossless,
            nodes: 1 + random.below(5),
            readers,
            script,
            healed,
            latency: one_of(random, &[millis(1), millis(20), millis(300)]),
            losses: or(random, 0, &[0, 0, 3, 15]),
            late: or(random, 0, &[0, 0, 2, 10]),
            while_down: one_of(random, &[WhileDown::Refuse, WhileDown::Wait(millis(3_000))]),
            window: or(random, 100_000, &[100_000, 100_000, 10, 0]) as u64,
            batch_records: one_of(random, &[1, 3, 256]),
            queued_records: or(random, 10_000, &[10_000, 5]),
            // One that reads slowly is behind for longer than anybody waits for it.
            page_bytes: u32::try_from(or(random, 1 << 20, &[1, 100, 1 << 20])).unwrap(),
            reads_older: false,
            memory: or(random, 10_000, &[10_000, 10_000, 20, 4]),
            client_grace: Duration::from_secs(or(random, 3_600, &[3_600, 3_600, 3]) as u64),
            for_clients,
            keep: or(random, 1_000_000, &[1_000_000, 1_000_000, 30]) as u64,
        }
    }
}

fn script(random: &mut Random, is_calm: bool) -> (Vec<(Duration, Act)>, Duration) {
    let pace = one_of(random, &[millis(5), millis(200), millis(2_000)]);
    let mut now = millis(random.next() % 2_000);
    let mut script = Vec::new();
    for _ in 0..5 + random.below(40) {
        // Mostly in bursts.
        if !chance(random, 40) {
            now += up_to(random, pace);
        }
        script.push((now, Act::Publish));
    }
    let end = now.max(millis(3_000)) + up_to(random, millis(8_000));
    for _ in 0..random.below(8) {
        script.push((up_to(random, end), Act::Move));
    }
    for _ in 0..one_of(random, &[0, 0, 1, 3]) {
        let act = one_of(random, &[Act::Revoke, Act::RevokeTopic]);
        script.push((up_to(random, end), act));
    }
    for _ in 0..one_of(random, &[0, 1, 2]) {
        let stall = Act::NodeStalls(millis(random.next() % if is_calm { 1_000 } else { 20_000 }));
        let act = one_of(random, &[Act::NodeCrashes, stall, Act::NodeShutsDown]);
        script.push((up_to(random, end), act));
    }
    if !is_calm {
        for _ in 0..random.below(6) {
            script.push((up_to(random, end), fault(random)));
        }
    }
    script.sort_by_key(|(at, _)| *at);
    (script, end + up_to(random, millis(2_000)))
}

fn fault(random: &mut Random) -> Act {
    let steps_ago = one_of(random, &[0, 0, 1, 2, 3, 8]);
    let hours = 3_600_000_000_i64;
    let clocks = [0, 0, 1_000, -1_000, hours, -hours, -30 * 24 * hours];
    match random.below(12) {
        0 | 1 => Act::EngineRestarts { steps_ago, after: up_to(random, millis(8_000)) },
        2 | 3 => Act::Promotion { steps_ago, clock: one_of(random, &clocks) },
        4 => Act::StaleMaster { splits: true },
        5 => Act::StaleMaster { splits: false },
        6 => Act::Flush,
        7 => Act::LosesHash,
        8 => Act::LosesStream,
        9 => Act::Trim { keep: one_of(random, &[0, 3, 10]) },
        10 => {
            use LogErrorKind::{Denied, Full, NotReady};
            let error = one_of(random, &[Full, NotReady, Denied]);
            Act::Refuses(error, up_to(random, millis(8_000)))
        }
        _ => one_of(random, &[Act::ConnectionBreaks, Act::Nonsense]),
    }
}

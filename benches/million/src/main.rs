//! How the broker grows: memory of a session, and what publishing, delivering and draining cost,
//! with ten thousand, a hundred thousand and a million sessions. No sockets, no threads, one shard.
//!
//! ```text
//! cargo run --release -p million
//! cargo run --release -p million -- --clients
//! cargo run --release -p million -- 1000000 100000
//! ```
//!
//! Every session gets the broadcast and three named topics, of which there is one for each ten
//! sessions. A last line has the sessions of the one before and the topics of the first: a publish
//! to one topic looks its name up among all of them, and does not depend on how many sessions
//! there are. Each line is a process of its own, so that nothing of one is left for the next;
//! two numbers measure that many sessions and topics alone. With `--clients` each session belongs
//! to a client of its own. Memory is what the operating system counts as resident, and beside it
//! what was asked of the allocator. Drained is the time that the broker itself takes for all that a
//! drain over ten seconds asks of it.

use allocation_counter::measure;
use sansse::Event;
use sansse::broker::{
    Audience, Batch, Broker, BrokerConfig, BrokerState, ClientId, Drain, Epoch, Filled, Framing,
    SessionConfig, SessionId, TopicName,
};
use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// How many sessions, and over how many topics.
const SIZES: [(u32, u32); 4] =
    [(10_000, 1_000), (100_000, 10_000), (1_000_000, 100_000), (1_000_000, 1_000)];
const TOPICS_PER_SESSION: u32 = 3;
/// How often something is published to one topic, in bursts of so many, and to all.
const ROUNDS: (usize, usize) = (2_000, 7);
const BURST: usize = 100;
/// Over which time the sessions go.
const DRAIN: Duration = Duration::from_secs(10);
/// What the parts may come to with a million sessions.
const MAX_BYTES: u64 = 256;
const MAX_PUBLISH: Duration = Duration::from_millis(1);

const HELP: &str = "\
Measures how the broker grows with its sessions, without sockets: a table for 10,000 to 1,000,000.

Usage: million [--clients]
       million [--clients] SESSIONS TOPICS

With two numbers it measures that many sessions over so many topics alone.

Options:
      --clients   each session belongs to a client of its own
  -h, --help      this text";

fn main() -> ExitCode {
    let result = match Options::from_args() {
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Some(options)) => run(&options),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("million: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if let Some((sessions, topics)) = options.size {
        println!("{}", World::new(sessions, topics, options.clients)?.run()?);
        return Ok(());
    }
    if options.clients {
        println!("each session with a client of its own");
    }
    println!(
        "                    bytes a session   bytes a     publish to one      to all, and each session        drained"
    );
    println!(
        "  sessions  topics  resident  asked     topic   median     99 %      median   delivered       each    in all    each"
    );
    for (sessions, topics) in SIZES {
        let sizes = [sessions, topics].map(|size| size.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(sizes).args(options.clients.then_some("--clients"));
        let output = command.output()?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
    }
    println!();
    println!("aims at a million: {MAX_BYTES} B a session, {MAX_PUBLISH:?} a publish to all");
    Ok(())
}

struct Options {
    /// How many sessions, and over how many topics; all sizes of the table where it is not given.
    size: Option<(u32, u32)>,
    clients: bool,
}

impl Options {
    /// What the arguments say; nothing where they ask for help.
    fn from_args() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let mut numbers: Vec<u32> = Vec::new();
        let mut clients = false;
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("clients") => clients = true,
                Value(number) => {
                    let number = number.string()?;
                    let parsed = number.parse().map_err(|error| {
                        let name = ["SESSIONS", "TOPICS"][numbers.len().min(1)];
                        format!("{name} {number:?}: {error}")
                    });
                    numbers.push(parsed?);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        let size = match numbers[..] {
            [] => None,
            [sessions, topics] if topics > 0 => Some((sessions, topics)),
            _ => {
                return Err(
                    "either no number, or how many sessions and over how many topics".into()
                );
            }
        };
        Ok(Some(Self { size, clients }))
    }
}

struct World {
    broker: Broker,
    now: Instant,
    sessions: u32,
    clients: bool,
    topics: Vec<TopicName>,
    event: Event,
    batch: Batch,
}

impl World {
    fn new(sessions: u32, topics: u32, clients: bool) -> Result<Self, Box<dyn Error>> {
        let now = Instant::now();
        let mut config = BrokerConfig::new(Epoch(1));
        config.limits.sessions.most = sessions.try_into().unwrap();
        config.limits.unread_events = (sessions + 1).try_into().unwrap();
        config.limits.topics = topics;
        let names = (0..topics).map(|number| TopicName::new(format!("topic/{number}")));
        Ok(Self {
            broker: Broker::new(now, config)?,
            now,
            sessions,
            clients,
            topics: names.collect::<Result<_, _>>()?,
            event: Event::new("x".repeat(100)),
            batch: Batch::with_capacity(Framing::Chunked, 1 << 16),
        })
    }

    /// One line of the table.
    fn run(mut self) -> Result<String, Box<dyn Error>> {
        // So that what topics take is not counted with the sessions.
        let empty = resident();
        for topic in &self.topics {
            self.broker.publish(self.now, topic.clone(), &self.event)?;
        }
        let with_topics = resident();
        let mut opened = Ok(());
        let asked = measure(|| opened = self.open_all()).bytes_current;
        opened?;
        let with_sessions = resident();
        let one = self.publish_to_one()?;
        let (all, delivered) = self.publish_to_all()?;
        let drained = self.drain()?;

        let topics = u32::try_from(self.topics.len())?;
        let each =
            |before: u64, after: u64, count: u32| after.saturating_sub(before) / u64::from(count);
        Ok(format!(
            "{:>10} {topics:>7} {:>7} B {:>5} B {:>7} B {:>5} ns {:>6} ns {:>8.1} µs {:>8.0} ms {:>7} ns {:>6.0} ms {:>4} ns",
            self.sessions,
            each(with_topics, with_sessions, self.sessions),
            u64::try_from(asked)? / u64::from(self.sessions),
            each(empty, with_topics, topics),
            one[one.len() / 2].as_nanos(),
            one[one.len() / 100 * 99].as_nanos(),
            all.as_secs_f64() * 1e6,
            delivered.as_secs_f64() * 1e3,
            delivered.as_nanos() / u128::from(self.sessions),
            drained.as_secs_f64() * 1e3,
            drained.as_nanos() / u128::from(self.sessions),
        ))
    }

    fn open_all(&mut self) -> Result<(), Box<dyn Error>> {
        let mut numbers = Numbers(7);
        for number in 0..self.sessions {
            let mut request = SessionConfig::new();
            if self.clients {
                request = request.with_client(ClientId::new(format!("client/{number}"))?);
            }
            for _ in 0..TOPICS_PER_SESSION {
                let topic = numbers.below(self.topics.len());
                request = request.with_topic(self.topics[topic].clone());
            }
            let session = self.broker.open(self.now, request)?.session;
            self.serve(session);
            while self.broker.poll_event().is_some() {}
        }
        Ok(())
    }

    /// Sorted: what each publish to one topic took, which has its sessions parked.
    fn publish_to_one(&mut self) -> Result<Vec<Duration>, Box<dyn Error>> {
        let mut numbers = Numbers(8);
        let mut times = Vec::new();
        while times.len() < ROUNDS.0 {
            for _ in 0..BURST {
                let topic = numbers.below(self.topics.len());
                let topic = Audience::Topic(self.topics[topic].clone());
                let start = Instant::now();
                self.broker.publish(self.now, topic, &self.event)?;
                times.push(start.elapsed());
            }
            while let Some(session) = self.broker.poll_ready() {
                self.serve(session);
            }
        }
        times.sort_unstable();
        Ok(times)
    }

    /// The median of what a publish to all took with all sessions parked, and of how long it then
    /// took until each had the event and was parked again.
    fn publish_to_all(&mut self) -> Result<(Duration, Duration), Box<dyn Error>> {
        let (mut publishes, mut deliveries) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS.1 {
            let start = Instant::now();
            self.broker.publish(self.now, Audience::Everyone, &self.event)?;
            publishes.push(start.elapsed());
            let start = Instant::now();
            let mut served = 0;
            while let Some(session) = self.broker.poll_ready() {
                self.serve(session);
                served += 1;
            }
            deliveries.push(start.elapsed());
            if served != self.sessions {
                return Err(format!("{served} of {} sessions were served", self.sessions).into());
            }
        }
        publishes.sort_unstable();
        deliveries.sort_unstable();
        Ok((publishes[ROUNDS.1 / 2], deliveries[ROUNDS.1 / 2]))
    }

    /// Lets all sessions go, one after the other, and each have its end. Time passes by itself.
    fn drain(&mut self) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        self.broker.drain(self.now, Drain::new(DRAIN))?;
        let deadline = self.now + DRAIN;
        loop {
            while let Some(session) = self.broker.poll_ready() {
                self.serve(session);
                while self.broker.poll_event().is_some() {}
            }
            if self.broker.state() == BrokerState::Drained {
                break;
            }
            self.now = self.broker.poll_timeout().ok_or("there is no next turn")?;
            assert!(self.now <= deadline, "the sessions go within the time");
            self.broker.handle_timeout(self.now);
        }
        Ok(start.elapsed())
    }

    fn serve(&mut self, session: SessionId) {
        loop {
            let (now, batch) = (self.now, &mut self.batch);
            let filled = self.broker.poll_transmit_batch(now, session, 1 << 16, batch);
            if filled != Filled::More {
                return;
            }
        }
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let own = Pid::from_u32(std::process::id());
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
    system.process(own).map_or(0, sysinfo::Process::memory)
}

/// `SplitMix64`.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap_or_default() % limit
    }
}

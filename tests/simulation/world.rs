//! Virtual time, and what happens in it.

use crate::Log;
use crate::kit::random::Random;
use crate::network::Connection;
use crate::reader::Reader;
use crate::scenario::{Act, Restart, Scenario, chance, millis, up_to};
use crate::server::Server;
use crate::truth::Truth;
use bytes::Bytes;
use http::Request;
use sansse::broker::Broker;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Something that is due at some time.
pub(crate) enum Happening {
    Act(Act),
    Starts(usize),
    RequestArrives(usize, Box<Request<Bytes>>),
    /// Something of this connection may be read.
    Arrives(usize),
    /// Something comes to this shard that another one has already.
    Applies(usize),
    /// The server learns that so many bytes were taken.
    Acknowledged(usize, usize),
    /// The server learns that the connection is gone.
    ServerNotices(usize),
    /// The application of this reader polls again.
    AppWakes(usize),
    /// The process that was to end in good order is killed.
    PatienceEnds(u32),
    ServerStarts(Restart),
    Healed,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) scenario: Scenario,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    queue: BTreeMap<(Instant, u64), Happening>,
    queued: u64,
    steps_at_once: u32,
    pub(crate) server: Server,
    pub(crate) connections: Vec<Connection>,
    pub(crate) readers: Vec<Reader>,
    /// One for each shard, which may be behind the others for a while.
    pub(crate) truths: Vec<Truth>,
    pub(crate) is_healed: bool,
    pub(crate) log: Log,
}

/// How long, in virtual time, it may take until all is delivered once everything is well again:
/// back-off, a silent connection, and a server that was asked to be left alone.
const RECOVERS_WITHIN: Duration = Duration::from_secs(900);

/// For how long at once a session is to be served at least once within that, though others take its
/// place in turn.
pub(crate) const SERVED_FOR: Duration = Duration::from_millis(150);

impl World {
    pub(crate) fn new(
        seed: u64,
        start: Instant,
        log: Log,
        draw: impl FnOnce(&mut Random) -> Scenario,
    ) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let scenario = draw(&mut random);
        log.note(|| format!("{scenario:?}"));
        let readers = scenario.readers.iter();
        let readers = readers.map(|reading| Reader::new(&mut random, reading.clone())).collect();
        let mut world = Self {
            start,
            now: start,
            queue: BTreeMap::new(),
            queued: 0,
            steps_at_once: 0,
            server: Server::new(start, &scenario),
            connections: Vec::new(),
            readers,
            truths: (0..scenario.shards).map(|_| Truth::new(&scenario.broker)).collect(),
            is_healed: false,
            log,
            random,
            scenario,
        };
        for (at, act) in world.scenario.script.clone() {
            world.after(at, Happening::Act(act));
        }
        for reader in 0..world.readers.len() {
            let after = world.readers[reader].reading.starts_after;
            world.after(after, Happening::Starts(reader));
        }
        world.after(world.scenario.healed, Happening::Healed);
        world
    }

    /// Lets everything happen, until every reader has what it is to have.
    pub(crate) fn live(&mut self) {
        self.live_on();
        self.end();
    }

    /// As [`live`](Self::live), but for the end.
    pub(crate) fn live_on(&mut self) {
        while !self.is_healed {
            self.step();
        }
        self.let_all_catch_up();
        // What is published now reaches all of them.
        self.publish_to_all();
        self.settle();
        self.let_all_catch_up();
    }

    /// Goes on until each reader has been at rest once, and looks at what it has got by then.
    fn let_all_catch_up(&mut self) {
        let last = self.now + RECOVERS_WITHIN;
        let mut waiting: Vec<usize> = (0..self.readers.len()).collect();
        loop {
            waiting.retain(|reader| {
                let rests = self.is_at_rest(*reader) && self.had_its_turn(*reader);
                if rests {
                    self.check_all_is_delivered(*reader);
                }
                !rests
            });
            if waiting.is_empty() {
                return;
            }
            assert!(self.now < last, "{waiting:?} do not come to rest: {}", self.state());
            self.step();
        }
    }

    pub(crate) fn after(&mut self, wait: Duration, happening: Happening) {
        self.queued += 1;
        self.queue.insert((self.now + wait, self.queued), happening);
    }

    /// What the shard is to do to which this connection came.
    pub(crate) fn truth(&self, at: usize) -> &Truth {
        &self.truths[self.connections[at].shard]
    }

    pub(crate) fn latency(&mut self) -> Duration {
        up_to(&mut self.random, self.scenario.latency)
    }

    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let since = self.now - self.start;
        self.log.note(|| format!("{since:>12.3?} {}", line()));
    }

    /// Goes on to the next time at which anything is due, and does what is.
    fn step(&mut self) {
        let timeouts = self.readers.iter().filter(|reader| reader.has_started);
        let timeouts = timeouts.filter_map(|reader| reader.client.poll_timeout());
        let timeouts = timeouts.chain(self.server.shards.iter().filter_map(Broker::poll_timeout));
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let next = timeouts.chain(queued).min();
        let next = next.unwrap_or_else(|| panic!("nothing is due: {}", self.state()));
        let before = self.now;
        self.now = self.now.max(next);
        for truth in &mut self.truths {
            truth.handle_time(self.now);
        }
        self.tell_the_time();
        if chance(&mut self.random, 5) {
            self.tell_old_times();
        }
        // What time has ended or made forgotten is known before anything else happens: a client may
        // come back at the very time at which it is forgotten.
        self.drain_events();
        // Nor may anything go on without end at one and the same time.
        self.steps_at_once = if next > before { 0 } else { self.steps_at_once + 1 };
        assert!(self.steps_at_once < 1_000, "time stands still: {}", self.state());
        let mut happenings = 0;
        while let Some(entry) = self.queue.first_entry().filter(|due| due.key().0 <= self.now) {
            happenings += 1;
            assert!(happenings < 50_000, "time stands still: {}", self.state());
            let happening = entry.remove();
            self.happen(happening);
            self.settle();
        }
        self.settle();
    }

    /// Lets both sides do what is due. Neither may have anything due after that.
    fn tell_the_time(&mut self) {
        let now = self.now;
        let is_due = |broker: &&mut Broker| broker.poll_timeout().is_some_and(|at| at <= now);
        for broker in self.server.shards.iter_mut().filter(is_due) {
            broker.handle_timeout(now);
            let next = broker.poll_timeout();
            assert!(next.is_none_or(|at| at > now), "the broker spins");
        }
        for reader in self.readers.iter_mut().filter(|reader| reader.has_started) {
            // As many things can be due at once as a client has kinds of deadlines.
            let mut calls = 0;
            while reader.client.poll_timeout().is_some_and(|at| at <= now) {
                calls += 1;
                assert!(calls <= 3, "the client spins: {:?}", reader.client);
                reader.client.handle_timeout(now);
            }
        }
    }

    /// Out of date, or before anything is due, none of which may matter.
    fn tell_old_times(&mut self) {
        let old = self.now - up_to(&mut self.random, millis(5_000)).min(self.now - self.start);
        for told in [old, self.now] {
            for broker in &mut self.server.shards {
                broker.handle_timeout(told);
            }
            for reader in self.readers.iter_mut().filter(|reader| reader.has_started) {
                reader.client.handle_timeout(told);
            }
        }
    }

    /// Moves everything that can move at this time.
    fn settle(&mut self) {
        self.serve_ready();
        for reader in 0..self.readers.len() {
            if self.readers[reader].has_started {
                self.drive(reader);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act(act) => self.act(act),
            Happening::Starts(reader) => self.readers[reader].has_started = true,
            Happening::RequestArrives(connection, request) => self.answer(connection, &request),
            // Reading, which follows, looks at what has come.
            Happening::Arrives(connection) => self.hear_old(connection),
            Happening::Applies(shard) => self.apply_due(shard),
            Happening::Acknowledged(connection, bytes) => {
                self.connections[connection].acknowledged += bytes;
                if !self.connections[connection].is_parked {
                    self.serve(connection);
                }
            }
            Happening::ServerNotices(connection) => self.server_notices(connection),
            Happening::AppWakes(reader) => {
                let reader = &mut self.readers[reader];
                if reader.sleeps_until.is_some_and(|until| until <= self.now) {
                    reader.sleeps_until = None;
                }
            }
            Happening::PatienceEnds(process) => self.lose_patience(process),
            Happening::ServerStarts(restart) => self.start_server(restart),
            Happening::Healed => self.heal(),
        }
    }

    fn act(&mut self, act: Act) {
        self.note(|| format!("{act:?}"));
        let reader = self.random.below(self.readers.len());
        match act {
            Act::Publish => self.publish(),
            Act::Restart(restart) => self.restart(restart),
            Act::Sleep(time) => self.sleep(reader, time),
            Act::Wake => self.readers[reader].client.wake(self.now),
            Act::Reconnect => self.readers[reader].client.restart(self.now),
            Act::CloseSession => self.close_any_session(),
            Act::Subscribe => self.subscribe_live(reader),
            Act::Unsubscribe => self.unsubscribe_live(reader),
            Act::Revoke => self.revoke(),
            Act::RevokeTopic => self.revoke_topic(),
            Act::EndAnswer => self.end_answer(),
        }
    }

    /// From here on nothing breaks any more, and the server learns of what has.
    fn heal(&mut self) {
        self.note(|| "healed".to_owned());
        self.is_healed = true;
        for connection in 0..self.connections.len() {
            let state = &mut self.connections[connection];
            if !state.is_broken && !state.is_old {
                state.cut = crate::network::Cut::Never;
            } else if state.session.is_some() {
                self.after(millis(100), Happening::ServerNotices(connection));
            }
        }
        self.end_answer();
    }

    fn is_at_rest(&self, reader: usize) -> bool {
        let state = &self.readers[reader];
        if state.is_finished {
            return !self.server.is_behind();
        }
        let Some(connection) = state.connection else { return false };
        let connection = &self.connections[connection];
        let is_open = state.client.state() == sansse::client::ReadyState::Open;
        let is_quiet = connection.is_parked
            && connection.in_flight.is_empty()
            && connection.remainder.is_empty()
            && connection.session.is_some();
        let has_all = state.expected.is_empty() && state.sleeps_until.is_none();
        is_open && is_quiet && has_all && !connection.is_broken && !self.server.is_behind()
    }

    /// Whether it was served for some time, and not only until the next one came.
    fn had_its_turn(&self, reader: usize) -> bool {
        let Some(at) = self.readers[reader].connection else { return true };
        let opened = self.connections[at].opened;
        !self.scenario.evicts() || opened.is_some_and(|opened| self.now >= opened + SERVED_FOR)
    }

    /// What everybody waits for, in words.
    fn state(&self) -> String {
        let mut lines = format!("at {:?}\n", self.now - self.start);
        for (number, reader) in self.readers.iter().enumerate() {
            let connection = reader.connection.map(|at| &self.connections[at]);
            let connection = connection.map(|c| {
                let queued = c.in_flight.len();
                (c.session, c.is_parked, c.is_broken, c.written, c.received, queued)
            });
            let sleeps = reader.sleeps_until.map(|until| until - self.start);
            let client = &reader.client;
            writeln!(lines, "{number}: {client:?} {connection:?} {sleeps:?}").unwrap();
        }
        lines
    }
}

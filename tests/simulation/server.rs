//! The server: its shards, what becomes of its sessions, and its restarts.

use super::kit::broker::has_ended;
use crate::filter::ANSWER;
use crate::publish::Announced;
use crate::scenario::{Restart, Scenario, chance, millis, one_of, up_to};
use crate::world::{Happening, World};
use sansse::broker::{
    Batch, Broker, BrokerConfig, BrokerEvent, BrokerState, Drain, EndReason, Epoch, Framing, Lag,
    Published, Sequencer, SessionId, ShardNumber, TopicName,
};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::time::Instant;

pub(crate) struct Server {
    /// None while the process is down.
    pub(crate) shards: Vec<Broker>,
    pub(crate) count: usize,
    pub(crate) config: BrokerConfig,
    /// Numbers for all shards, where there are several.
    pub(crate) sequencer: Sequencer,
    /// What was published in this epoch, as somebody outside keeps it.
    pub(crate) published: Vec<Published>,
    /// For each shard, what others have already, and when it gets it.
    pub(crate) pending: Vec<VecDeque<(Instant, Announced)>>,
    /// Which shards have had a session in this process.
    pub(crate) is_used: Vec<bool>,
    /// Each session of this process, its connection, and its end.
    pub(crate) sessions: BTreeMap<SessionId, (usize, Option<EndReason>)>,
    pub(crate) process: u32,
    pub(crate) is_draining: bool,
    /// Nothing more comes of the answer, as its publisher knows.
    pub(crate) answer_is_over: bool,
    topic_lag: Option<(&'static str, Lag)>,
    pub(crate) batch: Batch,
}

impl Server {
    pub(crate) fn new(now: Instant, scenario: &Scenario) -> Self {
        let (count, config) = (scenario.shards, scenario.broker.clone());
        let mut server = Self {
            shards: Vec::new(),
            count,
            sequencer: Sequencer::new(config.epoch, 0, config.event_ids),
            config,
            published: Vec::new(),
            pending: vec![VecDeque::new(); count],
            is_used: Vec::new(),
            sessions: BTreeMap::new(),
            process: 0,
            is_draining: false,
            answer_is_over: false,
            topic_lag: scenario.topic_lag,
            batch: Batch::new(Framing::Plain),
        };
        server.start(now);
        server
    }

    fn start(&mut self, now: Instant) {
        self.is_used = vec![false; self.count];
        self.is_draining = false;
        let count = NonZeroU16::new(u16::try_from(self.count).unwrap()).unwrap();
        let broker = |shard| {
            let mut config = self.config.clone();
            config.shard = shard;
            let mut broker = Broker::new(now, config).unwrap();
            if let Some((topic, lag)) = self.topic_lag {
                broker.topic_mut(&TopicName::new(topic).unwrap()).set_lag(now, Some(lag)).unwrap();
            }
            broker
        };
        self.shards = ShardNumber::all(count).map(broker).collect();
    }

    fn stop(&mut self) {
        self.shards.clear();
        self.process += 1;
    }

    /// The shards, and nothing that shares what they hold.
    pub(crate) fn take_shards(&mut self) -> Vec<Broker> {
        self.published.clear();
        std::mem::take(&mut self.shards)
    }

    /// Whether one shard has something that another has not.
    pub(crate) fn is_behind(&self) -> bool {
        self.pending.iter().any(|pending| !pending.is_empty())
    }

    pub(crate) fn broker(&mut self, session: SessionId) -> &mut Broker {
        &mut self.shards[usize::from(session.shard())]
    }

    /// The sessions that are open, with their connections.
    pub(crate) fn open_sessions(&self) -> impl Iterator<Item = (SessionId, usize)> {
        let is_up = !self.shards.is_empty();
        let open = self.sessions.iter().filter(move |(_, (_, end))| is_up && end.is_none());
        open.map(|(session, (at, _))| (*session, *at))
    }

    fn check_all_ended(&self) {
        for (session, (_, end)) in &self.sessions {
            assert!(end.is_some(), "session {session} has not ended");
        }
    }
}

impl World {
    pub(crate) fn drain_events(&mut self) {
        for shard in 0..self.server.shards.len() {
            self.drain_events_of(shard);
        }
    }

    fn drain_events_of(&mut self, shard: usize) {
        while let Some((_, event)) = self.server.shards[shard].poll_event() {
            match event {
                BrokerEvent::SessionOpened { session, resumption, .. } => {
                    let (at, end) = self.server.sessions[&session];
                    assert!(end.is_none());
                    assert_eq!(resumption.as_str(), self.connections[at].outcome);
                }
                BrokerEvent::SessionEnded { session, reason, .. } => {
                    self.note(|| format!("session {session} ended: {reason}"));
                    let (_, end) = self.server.sessions.get_mut(&session).unwrap();
                    assert!(end.replace(reason).is_none(), "it ended twice");
                    self.log.count(match reason {
                        EndReason::Disconnected => "end: Disconnected",
                        EndReason::Closed => "end: Closed",
                        EndReason::Shutdown => "end: Shutdown",
                        EndReason::Lagged { .. } => "end: Lagged",
                        EndReason::Stalled => "end: Stalled",
                        EndReason::Evicted => "end: Evicted",
                        EndReason::MaxAge => "end: MaxAge",
                        EndReason::Drained => "end: Drained",
                        EndReason::LeaseExpired => "end: LeaseExpired",
                        EndReason::Revoked => "end: Revoked",
                        EndReason::TopicsEnded => "end: TopicsEnded",
                        EndReason::Aborted => "end: Aborted",
                        _ => "end: otherwise",
                    });
                }
                BrokerEvent::LeaseExpiring { session, until, .. } => {
                    assert!(until > self.now, "asked too late");
                    // It may be gone by the time that the application reads of it.
                    let is_open = self.server.broker(session).session(session).is_open();
                    if is_open && (self.is_healed || chance(&mut self.random, 60)) {
                        self.log.count("lease renewed");
                        let until = until + millis(4_000);
                        self.server
                            .broker(session)
                            .session_mut(session)
                            .renew_lease(self.now, until)
                            .unwrap();
                    }
                }
                BrokerEvent::SessionSkipped { session, lost, .. } => {
                    let (at, end) = self.server.sessions[&session];
                    assert!(end.is_none());
                    self.connections[at].owed.told_lost += lost;
                }
                BrokerEvent::SessionSuperseded { session, superseded, .. } => {
                    let (at, end) = self.server.sessions[&session];
                    assert!(end.is_none());
                    self.connections[at].owed.told_superseded += superseded;
                }
                BrokerEvent::ClientLeft { client } => {
                    self.truths[shard].forget_client(client.as_str());
                }
                _ => {}
            }
        }
    }

    pub(crate) fn close_any_session(&mut self) {
        let open: Vec<SessionId> =
            self.connections.iter().filter_map(|connection| connection.session).collect();
        if !self.server.shards.is_empty() && !open.is_empty() {
            let session = one_of(&mut self.random, &open);
            if self.server.broker(session).session_mut(session).close(self.now) {
                self.ends_through(|other| other == session);
            }
        }
    }

    fn ends_through(&mut self, ends: impl Fn(SessionId) -> bool) {
        for connection in &mut self.connections {
            let next = self.truths[connection.shard].events.len();
            if connection.session.is_some_and(&ends) {
                connection.through.get_or_insert(next);
            }
        }
    }

    pub(crate) fn restart(&mut self, restart: Restart) {
        if self.server.is_draining
            || self.server.shards.first().is_none_or(|shard| shard.state() == BrokerState::Closed)
        {
            return;
        }
        if restart == Restart::Drained {
            self.log.count("restart: drained");
            self.server.is_draining = true;
            for connection in &mut self.connections {
                connection.is_timed |= connection.session.is_some();
            }
            let over = one_of(&mut self.random, &[millis(0), millis(1_000), millis(4_000)]);
            let drain = Drain::new(over).with_patience(millis(500));
            let mut drain = drain.with_retry(millis(700), millis(2_000));
            if chance(&mut self.random, 50) {
                drain = drain.letting_topics_end();
            }
            for broker in &mut self.server.shards {
                broker.drain(self.now, drain.clone()).unwrap();
            }
            self.after(over + millis(1_000), Happening::PatienceEnds(self.server.process));
            return;
        }
        if restart == Restart::InGoodOrder {
            for broker in &mut self.server.shards {
                broker.close(self.now);
            }
            self.ends_through(|_| true);
            self.after(millis(1_500), Happening::PatienceEnds(self.server.process));
            return;
        }
        for at in 0..self.connections.len() {
            if self.connections[at].session.is_some() {
                if restart != Restart::Network {
                    self.connections[at].session = None;
                }
                self.break_at_server(at);
            }
        }
        if restart == Restart::Network {
            self.log.count("restart: network only");
            self.drain_events();
            return;
        }
        self.stop_server();
        let down = up_to(&mut self.random, millis(3_000));
        self.after(down, Happening::ServerStarts(restart));
    }

    /// Cuts off the sessions that have not taken their end by now.
    pub(crate) fn lose_patience(&mut self, process: u32) {
        if process != self.server.process {
            return;
        }
        for broker in &mut self.server.shards {
            assert!((broker.state() == BrokerState::Drained) == self.server.is_draining);
            broker.abort(self.now);
        }
        self.serve_ready();
        self.server.check_all_ended();
        self.stop_server();
        self.after(millis(50), Happening::ServerStarts(Restart::InGoodOrder));
    }

    /// What had not come to a shard yet never will, as far as this process goes.
    fn stop_server(&mut self) {
        self.server.stop();
        for shard in 0..self.server.count {
            for (_, announced) in std::mem::take(&mut self.server.pending[shard]) {
                self.record(shard, &announced, true);
            }
        }
    }

    pub(crate) fn start_server(&mut self, restart: Restart) {
        self.log.count(match restart {
            Restart::Anew => "restart: another epoch",
            Restart::Restored => "restart: history restored",
            Restart::Network => "restart: network only",
            Restart::InGoodOrder | Restart::Drained => "restart: in good order",
        });
        self.note(|| format!("the server starts: {restart:?}"));
        self.server.sessions.clear();
        if restart == Restart::Restored {
            let all = self.server.published.len();
            // The newest is always known, or positions would be used again.
            let lost = if chance(&mut self.random, 50) { 0 } else { self.random.below(all.max(1)) };
            self.server.start(self.now);
            for broker in &mut self.server.shards {
                for published in &self.server.published[lost..] {
                    broker.shard_mut().apply(self.now, published).unwrap();
                }
            }
            for truth in &mut self.truths {
                let first = truth.events.len() - (all - lost);
                truth.restore(self.now, first);
            }
            self.server.published.drain(..lost);
            // Its publisher knows more than the history may tell.
            let answer = TopicName::new(ANSWER).unwrap();
            if self.server.answer_is_over && !has_ended(&self.server.shards[0], &answer) {
                self.server.answer_is_over = false;
                self.end_answer();
            }
        } else {
            let epoch = Epoch(self.server.config.epoch.0 + 1);
            self.server.config.epoch = epoch;
            self.server.sequencer = Sequencer::new(epoch, 0, self.server.config.event_ids);
            self.server.start(self.now);
            self.server.published.clear();
            self.truths.iter_mut().for_each(|truth| truth.begin_life(epoch));
            self.server.answer_is_over = false;
            if self.is_healed {
                self.end_answer();
            }
        }
    }

    /// Everything ends, each session once, and then nothing is due for ever.
    pub(crate) fn end(&mut self) {
        for reader in &mut self.readers {
            reader.client.close(self.now);
            assert!(reader.client.poll_timeout().is_none() && reader.client.attempt().is_none());
        }
        for broker in &mut self.server.shards {
            broker.abort(self.now);
            assert_eq!(broker.counters().sessions, 0);
        }
        self.serve_ready();
        self.server.check_all_ended();
        for broker in &mut self.server.shards {
            // A session that parked just now may have been due for a heartbeat at once.
            let mut now = self.now;
            broker.handle_timeout(now);
            for deadline in 0.. {
                let Some(at) = broker.poll_timeout() else { break };
                assert!(at > now && deadline < 10_000, "an empty broker spins");
                now = at;
                broker.handle_timeout(at);
                while broker.poll_event().is_some() {}
            }
        }
    }
}

//! One node of the realm, as its process is: a machine, a broker, a driver.

use crate::engine::BEGIN;
use crate::judge::Judge;
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use sansse::broker::{
    Backfill, Broker, BrokerConfig, Epoch, EventIds, LogStep, PublishError, Retention, Sequencer,
};
use sansse::cluster::{
    Content, Effect, LogAnswer, LogRequest, Node, NodeConfig, NodeId, Page, Record, RequestId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a reader that is ahead of a node waits for it.
pub(crate) const AHEAD: Duration = Duration::from_secs(2);

pub(crate) const EPOCH: Epoch = Epoch(0xe);

/// A connection: the server to which it leads, and the life of that server.
pub(crate) type Connection = (usize, u64);

pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) broker: Broker,
    pub(crate) life: u64,
    pub(crate) stalled_until: Option<Instant>,
    pub(crate) is_alive: bool,
    /// It shuts down.
    pub(crate) is_leaving: bool,
    pub(crate) connection: Option<Connection>,
    /// Which requests the driver waits for.
    pub(crate) under_way: BTreeSet<RequestId>,
    /// The publishes that are not settled, by their tickets.
    pub(crate) publishes: BTreeMap<u64, String>,
    /// The positions of the cuts that were read, for the mutant that sees no others.
    cuts: BTreeSet<u64>,
    /// Where it has applied revocations.
    pub(crate) revocations: BTreeSet<u64>,
    /// Up to where something was lost, or may be, each time: the cuts that it applied, and those that
    /// it read for readers that are older than its memory.
    pub(crate) lost: BTreeSet<u64>,
    settings: NodeConfig,
}

impl Process {
    pub(crate) fn new(now: Instant, since: Duration, life: u64, scenario: &Scenario) -> Self {
        let mut settings = NodeConfig::new(NodeId(life.into()), life);
        settings.time_of_day = Some(Duration::from_micros(BEGIN) + since);
        settings.while_down = scenario.while_down;
        settings.lossless = scenario.is_lossless;
        settings.window = scenario.window;
        settings.batch_records = scenario.batch_records.try_into().unwrap();
        settings.queued_records = scenario.queued_records.try_into().unwrap();
        settings.page_bytes = scenario.page_bytes.try_into().unwrap();
        let mut config = BrokerConfig::new(EPOCH);
        config.retention =
            Retention { events: scenario.memory.try_into().unwrap(), ..config.retention };
        config.client_grace = scenario.client_grace;
        config.keeps_for_absent = true;
        let is_patient = scenario.mutant != Some(Mutant::AheadIsAGap);
        config.session.ahead_wait = is_patient.then_some(AHEAD);
        let mut broker = Broker::new(now, config).unwrap();
        let backfill = scenario.reads_older.then_some(Backfill::DEFAULT);
        broker.shard_mut().set_backfill(now, backfill);
        Self {
            node: Node::new(now, settings.clone(), Sequencer::new(EPOCH, 0, EventIds::Assigned)),
            broker,
            life,
            stalled_until: None,
            is_alive: true,
            is_leaving: false,
            connection: None,
            under_way: BTreeSet::new(),
            publishes: BTreeMap::new(),
            cuts: BTreeSet::new(),
            revocations: BTreeSet::new(),
            lost: BTreeSet::new(),
            settings,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.is_alive && self.stalled_until.is_none()
    }

    /// Whether a load balancer sends sessions here.
    pub(crate) fn takes_sessions(&self) -> bool {
        self.runs() && self.node.health().serves() && !self.is_leaving
    }

    pub(crate) fn publish(
        &mut self,
        now: Instant,
        record: Record,
        text: &str,
    ) -> Result<(), PublishError> {
        let ticket = self.node.publish(now, record)?;
        self.publishes.insert(ticket.get(), text.to_owned());
        Ok(())
    }

    pub(crate) fn answer(
        &mut self,
        now: Instant,
        id: RequestId,
        answer: Result<LogAnswer, sansse::cluster::LogErrorKind>,
    ) {
        if self.under_way.remove(&id) {
            if let Ok(LogAnswer::Page(page)) = &answer {
                self.note_cuts(page);
            }
            self.node.handle_answer(now, id, answer.map_err(Into::into));
        }
    }

    fn note_cuts(&mut self, page: &Page) {
        let cuts = page.entries.iter().filter(|entry| entry.content == Content::Cut);
        self.cuts.extend(cuts.map(|entry| entry.position));
    }

    /// Does what the machine says, and returns what is to be asked.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        mutant: Option<Mutant>,
        judge: &mut Judge,
    ) -> Vec<(RequestId, LogRequest)> {
        let mut requests = Vec::new();
        loop {
            let mut moved = false;
            while let Some(effect) = self.node.poll_effect() {
                moved = true;
                match effect {
                    Effect::Apply(steps) => self.apply(now, steps, mutant, judge),
                    Effect::Settled(ticket, result) => {
                        let text = self.publishes.remove(&ticket.get());
                        judge.settled(&text.expect("a ticket is settled once"), result);
                    }
                    Effect::GiveUp(id) => {
                        // Its answer may have come in the same moment.
                        self.under_way.remove(&id);
                        self.connection = None;
                    }
                    Effect::Health(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            while let Some((id, request)) = self.node.poll_request(now) {
                moved = true;
                self.under_way.insert(id);
                assert!(self.under_way.len() <= 2, "two requests are under way at most");
                requests.push((id, request));
            }
            if !moved {
                break;
            }
        }
        let counters = self.node.counters();
        let most = self.settings.queued_records.get() as u64;
        assert!(counters.queued_records <= most, "{counters:?}");
        let next = self.node.poll_timeout();
        assert!(next.is_none_or(|at| at > now), "the node spins: {:?}", self.node);
        requests
    }

    fn apply(
        &mut self,
        now: Instant,
        steps: Vec<LogStep>,
        mutant: Option<Mutant>,
        judge: &mut Judge,
    ) {
        let mut last = self.broker.shard().last_position();
        for step in steps {
            assert!(step.position() > last, "{step:?} after {last}");
            last = step.position();
            let step = match step {
                LogStep::Cut { through }
                    if mutant == Some(Mutant::NoPredecessorCheck)
                        && !self.cuts.contains(&through) =>
                {
                    LogStep::Skip { through }
                }
                step => step,
            };
            if let LogStep::Cut { through } = step {
                self.lost.insert(through);
            }
            if let LogStep::Revoke { position, .. } | LogStep::RevokeTopic { position, .. } = step {
                self.revocations.insert(position);
            }
            judge.applies(&step);
            self.broker.shard_mut().apply_step(now, &step).unwrap();
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        if !self.is_alive {
            return None;
        }
        if self.stalled_until.is_some() {
            return self.stalled_until;
        }
        [self.node.poll_timeout(), self.broker.poll_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn stall(&mut self, now: Instant, time: Duration) {
        self.stalled_until = Some(now + time);
    }
}

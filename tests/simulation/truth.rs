//! The naive record of what was published, to whom, and what of it one shard still keeps.

use crate::filter::{Address, Filter, TOPICS};
use crate::network::Lost;
use sansse::broker::{BrokerConfig, Epoch, OnGap, OnUnknownId, Retention, StartAt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    /// It has a position and no id, and is not for applications.
    Comment,
    /// The end of a topic, which has a position too.
    End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) to: Address,
    pub(crate) kind: Kind,
    /// In bytes, encoded.
    pub(crate) size: usize,
    pub(crate) key: Option<&'static str>,
}

/// What is kept of that which was published to one address.
struct Log {
    kept: Vec<Kept>,
    /// What came before this event and is not kept is lost. What is gone from there on was
    /// superseded.
    lost: usize,
}

struct Kept {
    event: usize,
    at: Instant,
    size: usize,
    key: Option<&'static str>,
    is_superseded: bool,
}

/// What an id leads to.
enum Place {
    /// An event that brought it.
    Own(usize),
    /// All events before this one were delivered.
    Before { life: u32, event: usize },
}

/// How a session, or a subscription of one, must begin.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) outcome: &'static str,
    /// The outcome may be a gap as well, since something was forgotten as a whole.
    pub(crate) or_gap: bool,
    /// Events that are kept and are to come.
    pub(crate) replayed: BTreeSet<usize>,
    /// Events that it cannot get any more, and that the outcome accounts for.
    pub(crate) excused: BTreeSet<usize>,
    /// How much is missing.
    pub(crate) lost: Lost,
}

pub(crate) struct Truth {
    pub(crate) events: Vec<Record>,
    logs: BTreeMap<Address, Log>,
    /// Topics that have ended in this process, and until when that is remembered in any case.
    ended: BTreeMap<&'static str, Option<Instant>>,
    ids: BTreeMap<String, Place>,
    /// Counts epochs.
    life: u32,
    /// The first event of this epoch.
    pub(crate) life_began: usize,
    /// A reader from before one of these may be told of a gap in vain: what the server
    /// has never seen, and what had been published when a client was forgotten.
    unseen: usize,
    forgotten: usize,
    retention: Retention,
    private_retention: Retention,
    on_gap: OnGap,
    on_unknown_id: OnUnknownId,
}

impl Truth {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let mut truth = Self {
            events: Vec::new(),
            logs: BTreeMap::new(),
            ended: BTreeMap::new(),
            ids: BTreeMap::new(),
            life: 0,
            life_began: 0,
            unseen: 0,
            forgotten: 0,
            retention: config.retention,
            private_retention: config.private_retention,
            on_gap: config.session.on_gap,
            on_unknown_id: config.session.on_unknown_id,
        };
        truth.begin(config.epoch);
        truth
    }

    /// A reader that comes before anything is published has a place too.
    fn begin(&mut self, epoch: Epoch) {
        self.place(format!("{:x}-0", epoch.0));
    }

    pub(crate) fn publish(&mut self, now: Instant, record: Record) {
        self.events.push(record);
        self.keep(now, self.events.len() - 1);
    }

    /// Something was published that the shard took no more, so that it makes nothing else go.
    pub(crate) fn refuse(&mut self, record: Record) {
        self.events.push(record);
    }

    fn keep(&mut self, now: Instant, event: usize) {
        let Record { to, kind, size, key } = self.events[event];
        let retention = self.retention_of(to);
        if let (Kind::End, Address::Named(topic)) = (kind, to) {
            self.ended.insert(topic, retention.age.map(|age| now + age));
            return;
        }
        let lost = self.lost_before(to);
        let log = self.logs.entry(to).or_insert(Log { kept: Vec::new(), lost });
        let is_older = |kept: &&mut Kept| key.is_some() && kept.key == key && !kept.is_superseded;
        if let Some(older) = log.kept.iter_mut().find(is_older) {
            older.is_superseded = true;
        }
        log.kept.push(Kept { event, at: now, size, key, is_superseded: false });
        log.trim(&retention);
    }

    /// What is too old by now goes.
    pub(crate) fn handle_time(&mut self, now: Instant) {
        for (address, log) in &mut self.logs {
            let retention = match address {
                Address::All | Address::Named(_) => &self.retention,
                Address::Client(_) | Address::Connection(_) => &self.private_retention,
            };
            if let Some(age) = retention.age {
                while log.kept.first().is_some_and(|kept| kept.at + age <= now) {
                    log.trim_first(retention.compact);
                }
            }
        }
    }

    const fn retention_of(&self, address: Address) -> Retention {
        match address {
            Address::All | Address::Named(_) => self.retention,
            Address::Client(_) | Address::Connection(_) => self.private_retention,
        }
    }

    /// What was published to one session goes as it is delivered.
    pub(crate) fn trim_delivered(&mut self, connection: usize, pending: &BTreeSet<usize>) {
        if let Some(log) = self.logs.get_mut(&Address::Connection(connection)) {
            log.kept.retain(|kept| pending.contains(&kept.event));
        }
    }

    /// Takes note of the id that the newest event brought.
    pub(crate) fn owns(&mut self, id: String) {
        self.ids.insert(id, Place::Own(self.events.len() - 1));
    }

    /// Takes note of the id that stands for everything published so far.
    pub(crate) fn place(&mut self, id: String) {
        let place = Place::Before { life: self.life, event: self.events.len() };
        self.ids.entry(id).or_insert(place);
    }

    /// Ids that lead somewhere, or did.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.keys()
    }

    /// The first event that this id does not cover.
    pub(crate) fn after(&self, id: &str) -> Option<usize> {
        self.ids.get(id).map(|place| match place {
            Place::Own(event) => event + 1,
            Place::Before { event, .. } => *event,
        })
    }

    /// A new server that knows nothing.
    pub(crate) fn begin_life(&mut self, epoch: Epoch) {
        self.life += 1;
        self.life_began = self.events.len();
        self.logs.clear();
        self.ended.clear();
        (self.unseen, self.forgotten) = (0, 0);
        self.begin(epoch);
    }

    /// A new server of the same life that is given what was published from `first` on.
    pub(crate) fn restore(&mut self, now: Instant, first: usize) {
        self.unseen = if first > self.life_began { first } else { 0 };
        // To whom it was published is not known any more.
        let to_clients = |record: &Record| matches!(record.to, Address::Client(_));
        let last = self.events[first..].iter().rposition(to_clients);
        self.forgotten = last.map_or(0, |last| first + last + 1);
        self.logs.clear();
        self.ended.clear();
        for event in first..self.events.len() {
            if matches!(self.events[event].to, Address::All | Address::Named(_)) {
                self.keep(now, event);
            }
        }
    }

    /// What was published to clients is kept for none that comes later.
    pub(crate) fn forget_all_clients(&mut self) {
        self.forgotten = self.events.len();
    }

    pub(crate) fn forget_client(&mut self, client: &str) {
        self.forgotten = self.events.len();
        self.logs.retain(|address, _| !matches!(address, Address::Client(name) if *name == client));
    }

    pub(crate) fn has_ended(&self, topic: &str) -> bool {
        self.ended.contains_key(topic)
    }

    /// Whether it has ended, and nobody may have forgotten that yet.
    pub(crate) fn must_know_end(&self, now: Instant, topic: &str) -> bool {
        self.ended.get(topic).is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Whether the event can still be had.
    pub(crate) fn is_kept(&self, event: usize) -> bool {
        let log = self.logs.get(&self.events[event].to);
        log.is_some_and(|log| log.kept.binary_search_by_key(&event, |kept| kept.event).is_ok())
    }

    /// Whether the event is gone for good, and not for being superseded.
    pub(crate) fn is_lost(&self, event: usize) -> bool {
        let to = self.events[event].to;
        let lost = self.logs.get(&to).map_or_else(|| self.lost_before(to), |log| log.lost);
        event < lost.max(self.unseen) && !self.is_kept(event)
    }

    /// Before which event nothing is kept of what nothing is known of.
    const fn lost_before(&self, address: Address) -> usize {
        if matches!(address, Address::Client(_)) { self.forgotten } else { 0 }
    }

    /// The next event of the same key to the same address.
    pub(crate) fn superseded_by(&self, event: usize) -> Option<usize> {
        let Record { to, key, .. } = self.events[event];
        let key = Some(key?);
        let is_newer =
            |newer: &usize| self.events[*newer].to == to && self.events[*newer].key == key;
        (event + 1..self.events.len()).find(is_newer)
    }

    /// What of this is kept, in order.
    fn kept_for(&self, filter: Filter) -> impl Iterator<Item = usize> {
        let logs = self.logs.iter().filter(move |(address, _)| filter.hears(**address));
        logs.flat_map(|(_, log)| log.kept.iter().map(|kept| kept.event))
    }

    /// What a session has to go through that is to get what is `replayed`: that, and what lies
    /// between and was superseded.
    pub(crate) fn pending(&self, filter: Filter, replayed: &BTreeSet<usize>) -> Vec<usize> {
        let is_heard = |event: &usize| {
            filter.hears(self.events[*event].to) && self.events[*event].kind != Kind::End
        };
        let heard: Vec<usize> = replayed.iter().copied().filter(is_heard).collect();
        match (filter, heard.first()) {
            // What was gone before is not in the numbers of a pattern.
            (Filter::Pattern(_), _) | (_, None) => heard,
            (_, Some(first)) => (*first..self.events.len()).filter(is_heard).collect(),
        }
    }

    /// How a session with these filters must begin that is to go on after `id`, or one that
    /// subscribes to them.
    pub(crate) fn plan(&self, filters: &[Filter], id: &str, start: StartAt) -> Plan {
        let kept: BTreeSet<usize> = filters.iter().flat_map(|one| self.kept_for(*one)).collect();
        let unknown = |outcome| match self.on_unknown_id {
            OnUnknownId::StartAnew if start == StartAt::Now => {
                Plan { lost: Lost::Unknown, ..Plan::nothing(outcome) }
            }
            _ => Plan {
                outcome,
                or_gap: false,
                replayed: kept.clone(),
                excused: self.missing(filters, self.life_began),
                lost: Lost::Unknown,
            },
        };
        let first = match self.ids.get(id) {
            _ if id.is_empty() && start == StartAt::Oldest => {
                return Plan { replayed: kept, ..Plan::nothing("oldest") };
            }
            _ if id.is_empty() => return Plan::nothing("live"),
            Some(Place::Own(event)) if kept.contains(event) => event + 1,
            Some(Place::Own(_)) => return unknown("unknown"),
            // Another shard gave it, of what is yet to come to this one.
            None if id.starts_with("own-") => return unknown("unknown"),
            None => return unknown("ahead"),
            Some(Place::Before { life, .. }) if *life != self.life => {
                return unknown("other-epoch");
            }
            Some(Place::Before { event, .. }) => *event,
        };
        let excused = self.missing(filters, first);
        let or_gap = first < self.unseen
            || (filters.iter().any(|one| matches!(one, Filter::Client(_)))
                && first < self.forgotten)
            || (filters.iter().any(|one| one.is_named()) && first < self.topics_lost());
        let outcome = if excused.is_empty() { "complete" } else { "gap" };
        let lost = match excused.len() {
            0 => Lost::Nothing,
            lost => Lost::Events(lost as u64),
        };
        Plan { outcome, or_gap, replayed: kept.range(first..).copied().collect(), excused, lost }
    }

    /// As [`plan`](Self::plan) has it where the outcome is a gap.
    pub(crate) fn gap(&self, plan: Plan) -> Plan {
        let lost = match (plan.lost, self.on_gap) {
            // Something was forgotten as a whole.
            (Lost::Nothing | Lost::Unknown, _) => Lost::Unknown,
            (Lost::Events(lost), OnGap::StartNow) => {
                Lost::Events(lost + plan.replayed.len() as u64)
            }
            (lost, _) => lost,
        };
        match self.on_gap {
            OnGap::StartNow => Plan { lost, ..Plan::nothing("gap") },
            _ => Plan { outcome: "gap", lost, ..plan },
        }
    }

    /// What was published from `first` on to somebody who hears this, and is lost.
    fn missing(&self, filters: &[Filter], first: usize) -> BTreeSet<usize> {
        let is_missing = |event: &usize| {
            let Record { to, kind, .. } = self.events[*event];
            let is_heard = filters.iter().any(|one| one.is_shared() && one.hears(to));
            is_heard && kind != Kind::End && self.is_lost(*event)
        };
        (first..self.events.len()).filter(is_missing).collect()
    }

    /// Before which event something of any topic is lost. The topic may be, either.
    fn topics_lost(&self) -> usize {
        let logs = TOPICS.into_iter().filter_map(|topic| self.logs.get(&Address::Named(topic)));
        logs.map(|log| log.lost).max().unwrap_or(0)
    }
}

impl Log {
    fn trim(&mut self, retention: &Retention) {
        let bytes = |log: &Self| log.kept.iter().map(|kept| kept.size).sum::<usize>();
        while self.kept.len() > retention.events.get() || bytes(self) > retention.bytes.get() {
            let superseded = self.kept.iter().position(|kept| kept.is_superseded);
            match superseded {
                Some(superseded) if retention.compact => {
                    self.kept.remove(superseded);
                }
                _ => self.trim_first(retention.compact),
            }
        }
    }

    fn trim_first(&mut self, is_compact: bool) {
        let first = self.kept.remove(0);
        if !(is_compact && first.is_superseded) {
            self.lost = first.event + 1;
        }
    }
}

impl Plan {
    const fn nothing(outcome: &'static str) -> Self {
        Self {
            outcome,
            or_gap: false,
            replayed: BTreeSet::new(),
            excused: BTreeSet::new(),
            lost: Lost::Nothing,
        }
    }
}

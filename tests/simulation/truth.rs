//! The naive record of what was published, to whom, and what of it one shard still keeps.

use sansse::broker::{BrokerConfig, Epoch, Retention, StartAt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// To whom something was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    All,
    Named(&'static str),
    Client(&'static str),
    /// The session of this connection.
    Connection(usize),
}

/// Whose streams are meant, and the one at hand.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    pub(crate) client: Option<&'static str>,
    pub(crate) topics: Vec<&'static str>,
    pub(crate) connection: usize,
}

impl Audience {
    pub(crate) fn hears(&self, address: Address) -> bool {
        match address {
            Address::All => true,
            Address::Named(topic) => self.topics.contains(&topic),
            Address::Client(client) => self.client == Some(client),
            Address::Connection(connection) => self.connection == connection,
        }
    }

    /// Whether a later stream of the same reader hears it too.
    pub(crate) fn shares(&self, address: Address) -> bool {
        !matches!(address, Address::Connection(_)) && self.hears(address)
    }
}

pub(crate) struct Record {
    pub(crate) to: Address,
    /// Comments have a position and no id, and are not for applications.
    pub(crate) is_comment: bool,
}

struct Kept {
    event: usize,
    at: Instant,
    size: usize,
}

/// What an id leads to.
enum Place {
    /// An event that brought it.
    Own(usize),
    /// All events before this one were delivered.
    Before { life: u32, event: usize },
}

/// How a resumption must go.
pub(crate) struct Plan {
    pub(crate) outcome: &'static str,
    /// The outcome may be a gap as well, since something was forgotten as a whole.
    pub(crate) or_gap: bool,
    pub(crate) replayed: u64,
    /// The first event that this stream is about.
    pub(crate) first: usize,
    /// Events from there on that the outcome accounts for.
    pub(crate) excused: BTreeSet<usize>,
}

pub(crate) struct Truth {
    pub(crate) events: Vec<Record>,
    /// What the present server was given, trimmed or not.
    kept: BTreeMap<Address, Vec<Kept>>,
    ids: BTreeMap<String, Place>,
    /// Counts epochs.
    life: u32,
    /// The first event of this epoch.
    pub(crate) life_began: usize,
    /// Whoever comes back from before one of these may be told of a gap in vain: what the server
    /// has never seen, and what had been published when a client was forgotten.
    unseen: usize,
    forgotten: usize,
    retention: Retention,
    private_retention: Retention,
    unresumable: StartAt,
}

impl Truth {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let mut truth = Self {
            events: Vec::new(),
            kept: BTreeMap::new(),
            ids: BTreeMap::new(),
            life: 0,
            life_began: 0,
            unseen: 0,
            forgotten: 0,
            retention: config.retention,
            private_retention: config.private_retention,
            unresumable: config.unresumable,
        };
        truth.begin(config.epoch);
        truth
    }

    /// Whoever comes before anything is published has a place too.
    fn begin(&mut self, epoch: Epoch) {
        self.place(format!("{:x}-0", epoch.0));
    }

    pub(crate) fn publish(&mut self, now: Instant, to: Address, size: usize, is_comment: bool) {
        let event = self.events.len();
        self.events.push(Record { to, is_comment });
        self.kept.entry(to).or_default().push(Kept { event, at: now, size });
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
        self.kept.clear();
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
        for (address, kept) in &mut self.kept {
            let is_shared = matches!(address, Address::All | Address::Named(_));
            kept.retain(|kept| is_shared && kept.event >= first);
            for kept in kept {
                kept.at = now;
            }
        }
    }

    /// What was published to clients is kept for none that comes later.
    pub(crate) fn forget_all_clients(&mut self) {
        self.forgotten = self.events.len();
    }

    pub(crate) fn forget_client(&mut self, client: &str) {
        self.forgotten = self.events.len();
        self.kept.retain(|address, _| !matches!(address, Address::Client(name) if *name == client));
    }

    /// To whom the event was published.
    pub(crate) fn to(&self, event: usize) -> Address {
        self.events[event].to
    }

    /// Whether the event is for the application that hears this.
    pub(crate) fn is_owed(&self, audience: &Audience, event: usize) -> bool {
        let record = &self.events[event];
        audience.hears(record.to) && !record.is_comment
    }

    /// The events to `address` that are kept, of which the newest fill the retention.
    fn kept(&self, now: Instant, address: Address) -> impl Iterator<Item = usize> {
        let retention = match address {
            Address::All | Address::Named(_) => self.retention,
            Address::Client(_) | Address::Connection(_) => self.private_retention,
        };
        let (mut count, mut bytes) = (0, 0);
        let newest_first = self.kept.get(&address).into_iter().flatten().rev();
        newest_first
            .take_while(move |kept| {
                count += 1;
                bytes += kept.size;
                let is_young = retention.age.is_none_or(|age| kept.at + age > now);
                count <= retention.events && bytes <= retention.bytes && is_young
            })
            .map(|kept| kept.event)
    }

    fn kept_for(&self, now: Instant, audience: &Audience) -> BTreeSet<usize> {
        let named = audience.topics.iter().map(|topic| Address::Named(topic));
        let client = audience.client.map(Address::Client);
        let own = Address::Connection(audience.connection);
        let addresses = [Address::All, own].into_iter().chain(named).chain(client);
        addresses.flat_map(|address| self.kept(now, address)).collect()
    }

    /// What a stream loses that has had everything before `next`, and skips to the oldest event
    /// that is kept, or to what comes next.
    pub(crate) fn skipped(
        &self,
        now: Instant,
        audience: &Audience,
        next: usize,
        to_newest: bool,
    ) -> Vec<usize> {
        let kept = self.kept_for(now, audience);
        (next..self.events.len())
            .filter(|event| audience.hears(self.events[*event].to))
            .filter(|event| to_newest || !kept.contains(event))
            .collect()
    }

    /// How a stream must begin that is to go on after `id`.
    pub(crate) fn plan(&self, now: Instant, audience: &Audience, id: &str) -> Plan {
        let next = self.events.len();
        let kept = self.kept_for(now, audience);
        let all = |outcome| match self.unresumable {
            StartAt::Newest => Plan::nothing(outcome, next),
            _ => Plan {
                outcome,
                or_gap: false,
                replayed: kept.len() as u64,
                first: kept.first().copied().unwrap_or(next),
                excused: self.missing(audience, self.life_began, &kept),
            },
        };
        let first = match self.ids.get(id) {
            _ if id.is_empty() => return Plan::nothing("live", next),
            Some(Place::Own(event)) if kept.contains(event) => event + 1,
            Some(Place::Own(_)) => return all("unknown"),
            // Another shard gave it, of what is yet to come to this one.
            None if id.starts_with("own-") => return all("unknown"),
            None => return all("ahead"),
            Some(Place::Before { life, .. }) if *life != self.life => return all("other-epoch"),
            Some(Place::Before { event, .. }) => *event,
        };
        let excused = self.missing(audience, first, &kept);
        let newest_lost = self.newest_lost(now);
        let or_gap = first < self.unseen
            || (audience.client.is_some() && first < self.forgotten)
            || (!audience.topics.is_empty() && newest_lost.is_some_and(|lost| first <= lost));
        let outcome = if excused.is_empty() { "complete" } else { "gap" };
        let replayed = kept.range(first..).count() as u64;
        Plan { outcome, or_gap, replayed, first, excused }
    }

    /// As [`plan`](Self::plan) has it where the outcome is a gap.
    pub(crate) fn gap(&self, plan: Plan) -> Plan {
        match self.unresumable {
            StartAt::Newest => Plan::nothing("gap", self.events.len()),
            _ => Plan { outcome: "gap", ..plan },
        }
    }

    fn missing(
        &self,
        audience: &Audience,
        first: usize,
        kept: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        (first..self.events.len())
            .filter(|event| {
                let record = &self.events[*event];
                audience.shares(record.to) && !kept.contains(event)
            })
            .collect()
    }

    /// The newest event of a named topic that is kept no more. The topic may be, either.
    fn newest_lost(&self, now: Instant) -> Option<usize> {
        let lost_of = |topic| {
            let kept: BTreeSet<usize> = self.kept(now, Address::Named(topic)).collect();
            let all = self.kept.get(&Address::Named(topic)).into_iter().flatten();
            all.map(|kept| kept.event).filter(|event| !kept.contains(event)).max()
        };
        crate::scenario::TOPICS.into_iter().filter_map(lost_of).max()
    }
}

impl Plan {
    fn nothing(outcome: &'static str, next: usize) -> Self {
        Self { outcome, or_gap: false, replayed: 0, first: next, excused: BTreeSet::new() }
    }
}

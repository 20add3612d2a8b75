//! What a broker does, worked out plainly: each session has a queue of what it is still to get,
//! and a log is a list from which things are dropped.

use super::ahead::Ahead;
use super::counters::Tally;
use super::drain::Draining;
use super::kit::Rng;
use super::lag::{Passed, State};
use super::notice::Words;
use super::permission::Permission;
use super::signed::Keys;
use super::waits::OpenWait;
use sansse::broker::{
    Broker, BrokerConfig, BrokerEvent, ClientId, EndReason, EventIds, Lag, OpenError, Resumption,
    Retention, SessionId, TopicName, TopicPattern,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LogName {
    Broadcast,
    Named(TopicName),
    Client(ClientId),
    Private(SessionId),
    /// No log of its own, but what a session subscribes to.
    Pattern(TopicPattern),
}

impl LogName {
    /// Whether it counts as one of a session's topics.
    pub(super) fn is_filter(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Pattern(_))
    }

    /// Whether who subscribes to this gets what is in the log of that name.
    pub(super) fn covers(&self, name: &Self) -> bool {
        match (self, name) {
            (Self::Pattern(pattern), Self::Named(name)) => {
                let pattern: Vec<_> = pattern.as_str().split('/').collect();
                let name: Vec<_> = name.as_str().split('/').collect();
                matches(&pattern, &name)
            }
            _ => self == name,
        }
    }
}

/// Tries what the wildcards may stand for, one after the other.
fn matches(pattern: &[&str], name: &[&str]) -> bool {
    match pattern.first() {
        None => name.is_empty(),
        Some(&"**") => (0..=name.len()).any(|levels| matches(&pattern[1..], &name[levels..])),
        Some(&level) => {
            !name.is_empty()
                && (level == "*" || level == name[0])
                && matches(&pattern[1..], &name[1..])
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) position: u64,
    pub(super) at: Duration,
    /// How old it was then.
    pub(super) age: Duration,
    pub(super) size: usize,
    pub(super) payload: String,
    pub(super) own_id: Option<String>,
    pub(super) key: Option<u64>,
    pub(super) superseded_at: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) kept: Vec<Kept>,
    pub(super) lost_through: u64,
    /// The positions of all that was lost,
    pub(super) lost: Vec<u64>,
    /// beginning after this one.
    pub(super) since: u64,
    /// Something superseded went from a compact log.
    pub(super) has_spared: bool,
    pub(super) retention: Option<Retention>,
    pub(super) lag: Option<Lag>,
    pub(super) ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) position: u64,
    pub(super) until: Option<Duration>,
    pub(super) is_remembered: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) position: u64,
    pub(super) log: LogName,
    /// Through which of the session's subscriptions, in their order, and what they know of it.
    pub(super) by: Vec<(LogName, State)>,
    pub(super) payload: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Told `None`, and nothing since but what its topics got.
    Parked,
    /// Told `None`; has output of its own, and its id has not come out yet.
    Woken,
    /// To be polled by its driver.
    Polled,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) client: Option<ClientId>,
    pub(super) logs: Vec<LogName>,
    pub(super) pending: Vec<Pending>,
    /// What its newest batch passed.
    pub(super) passed: Passed,
    /// The type of its notices, if it gets any.
    pub(super) notices: Option<String>,
    /// What it is to be told that it lost.
    pub(super) loss: Option<Loss>,
    /// Through which positions something may be lost to all, of which it is to be told.
    pub(super) cuts: Vec<u64>,
    pub(super) opening: Option<String>,
    /// What is missing from what it subscribed to later.
    pub(super) late_gap: Option<Words>,
    pub(super) place_due: bool,
    /// What was replayed to it, through this position, is within any bounds.
    pub(super) replayed_through: u64,
    pub(super) lag: Option<Lag>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) heartbeat_due: bool,
    pub(super) phase: Phase,
    pub(super) sent_at: Duration,
    pub(super) polled_at: Duration,
    /// Since when it has output without a poll.
    pub(super) output_since: Option<Duration>,
    /// When it was opened, was polled, or its peer took something.
    pub(super) took_at: Duration,
    /// What it took came back once.
    pub(super) was_taken_back: bool,
    pub(super) ending: Option<EndReason>,
    /// The newest position when it was to end.
    pub(super) through: Option<u64>,
    /// From where its peer is to resume then, where that is another.
    pub(super) resumes_at: Option<u64>,
    /// While its place is not decided.
    pub(super) ahead: Option<Box<Ahead>>,
    pub(super) permission: Option<Permission>,
    pub(super) address: Option<u64>,
    pub(super) expires_at: Option<Duration>,
    pub(super) last_words: Option<String>,
    pub(super) lease: Option<Duration>,
    pub(super) ask_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// The position before the first event after the first hole.
    pub(super) before: u64,
    pub(super) lost: Option<u64>,
    pub(super) by_pattern: bool,
}

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) sessions: Vec<SessionId>,
    pub(super) absent_since: Option<Duration>,
    /// The newest that it came with.
    pub(super) metadata: Option<u64>,
}

#[derive(Debug)]
pub(super) struct LastBatch {
    pub(super) session: SessionId,
    pub(super) is_current: bool,
    pub(super) parts: Vec<(String, Option<Pending>)>,
    /// What it passed.
    pub(super) passed: Passed,
}

/// What a session is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) client: Option<ClientId>,
    pub(crate) topics: Vec<TopicName>,
    pub(crate) patterns: Vec<TopicPattern>,
    pub(crate) permitted: Option<Vec<LogName>>,
    pub(crate) topics_only: bool,
    pub(crate) last_event_id: Option<Result<String, ()>>,
    pub(crate) newest: Option<u64>,
    #[expect(clippy::option_option, reason = "as in the request itself")]
    pub(crate) heartbeat: Option<Option<Duration>>,
    #[expect(clippy::option_option, reason = "as in the request itself")]
    pub(crate) stall_timeout: Option<Option<Duration>>,
    pub(crate) lag: Option<Lag>,
    /// The type of its notices, or none.
    #[expect(clippy::option_option, reason = "as in the request itself")]
    pub(crate) notices: Option<Option<String>>,
    pub(crate) comment: bool,
    pub(crate) metadata: Option<u64>,
    pub(crate) address: Option<u64>,
    pub(crate) lease: Option<Duration>,
}

/// What is published.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Data(String),
    Comment,
    IdOnly,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Out {
    Frame(String),
    Parked,
    End,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(super) config: BrokerConfig,
    pub(super) start: Instant,
    pub(crate) now: Duration,
    pub(crate) last: u64,
    pub(super) closed: bool,
    pub(super) members: BTreeMap<SessionId, Member>,
    /// In the order in which they were opened.
    pub(super) order: Vec<SessionId>,
    pub(super) guests: BTreeMap<ClientId, Guest>,
    /// Who is no guest and has something kept, with the time of the newest of it.
    pub(super) kept: BTreeMap<ClientId, Duration>,
    pub(super) logs: BTreeMap<LogName, Log>,
    /// The patterns in use, with the newest position lost since they were.
    pub(super) patterns: BTreeMap<TopicPattern, u64>,
    /// A log was compact once.
    pub(super) may_compact: bool,
    pub(super) forgotten_topics: u64,
    pub(super) forgotten_clients: u64,
    /// There was a session once.
    pub(super) has_begun: bool,
    /// Positions that were never given here.
    pub(super) missing: BTreeSet<u64>,
    /// What each position took, and in which log.
    pub(super) sizes: BTreeMap<u64, usize>,
    pub(super) published: BTreeMap<u64, LogName>,
    /// The positions that each pattern in use has known.
    pub(super) matched: BTreeMap<TopicPattern, BTreeSet<u64>>,
    /// Sessions whose batches may have stopped elsewhere than in the model, so that what is
    /// superseded for them may be counted at another poll.
    pub(super) inexact: BTreeSet<SessionId>,
    /// Sessions that ended and whose driver has not been told so by a poll,
    pub(super) ended_untold: Vec<SessionId>,
    /// and those of them whose id is yet to come out.
    pub(super) ended_ready: Vec<SessionId>,
    pub(super) events: Vec<BrokerEvent>,
    pub(super) batch: Option<LastBatch>,
    pub(super) random: Rng,
    pub(super) keys: Option<Keys>,
    /// When the next one that is refused may come back.
    pub(super) returns: Vec<Duration>,
    pub(super) drain: Option<Draining>,
    pub(super) tally: Tally,
    pub(super) waits: Vec<OpenWait>,
    /// When time was handled last.
    pub(super) timed: Duration,
}

impl Model {
    pub(crate) fn new(config: BrokerConfig, keys: Option<Keys>, start: Instant) -> Self {
        let may_compact = config.retention.compact || config.private_retention.compact;
        let random = Rng::new(config.seed.wrapping_add(u64::from(config.shard.get()) << 48));
        Self {
            config,
            start,
            now: Duration::ZERO,
            last: 0,
            closed: false,
            members: BTreeMap::new(),
            order: Vec::new(),
            guests: BTreeMap::new(),
            kept: BTreeMap::new(),
            logs: BTreeMap::from([(LogName::Broadcast, Log::default())]),
            patterns: BTreeMap::new(),
            may_compact,
            forgotten_topics: 0,
            forgotten_clients: 0,
            has_begun: false,
            missing: BTreeSet::new(),
            sizes: BTreeMap::new(),
            published: BTreeMap::new(),
            matched: BTreeMap::new(),
            inexact: BTreeSet::new(),
            ended_untold: Vec::new(),
            ended_ready: Vec::new(),
            events: Vec::new(),
            batch: None,
            random,
            keys,
            returns: Vec::new(),
            drain: None,
            tally: Tally::default(),
            waits: Vec::new(),
            timed: Duration::ZERO,
        }
    }

    pub(crate) fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    // Opening and closing.

    pub(crate) fn admit(&self, wish: &Wish) -> Result<(), OpenError> {
        let topics: BTreeSet<_> = wish.topics.iter().collect();
        let patterns: BTreeSet<_> = wish.patterns.iter().collect();
        let new = topics.iter().filter(|name| !self.knows(name)).count()
            + patterns.iter().filter(|one| !self.patterns.contains_key(one)).count();
        let unread = self.events.len().max(self.ended_untold.len());
        let limit = self.config.limits.topics_per_session;
        if self.closed {
            Err(OpenError::Closed)
        } else if let Some(error) = self.forbids(wish) {
            Err(error)
        } else if self.is_over_for(wish) {
            Err(OpenError::TopicsEnded)
        } else if self.drain.is_some() {
            Err(OpenError::Draining)
        } else if let Some(error) = self.refusal(wish) {
            Err(error)
        } else if unread >= self.config.limits.unread_events.get() as usize {
            Err(OpenError::UnreadEvents)
        } else if wish.heartbeat == Some(Some(Duration::ZERO)) {
            Err(OpenError::ZeroHeartbeat)
        } else if wish.stall_timeout == Some(Some(Duration::ZERO)) {
            Err(OpenError::ZeroStallTimeout)
        } else if wish.lease.is_some_and(|until| until <= self.now) {
            Err(OpenError::LeaseInThePast)
        } else if topics.len() + patterns.len() > limit as usize {
            Err(OpenError::TooManyTopicsOfSession { limit })
        } else {
            self.check_open_names(wish, topics.len() + patterns.len(), new)
        }
    }

    /// Opens a session that was admitted, under the id that the broker chose.
    pub(crate) fn open(&mut self, wish: &Wish, session: SessionId, broker: &Broker) -> Resumption {
        self.has_begun = true;
        let mut logs = Vec::new();
        if !wish.topics_only {
            logs.push(LogName::Broadcast);
        }
        let topics: BTreeSet<_> = wish.topics.iter().cloned().collect();
        for name in topics {
            let log = LogName::Named(name);
            self.ensure_filter(&log);
            logs.push(log);
        }
        let patterns: BTreeSet<_> = wish.patterns.iter().cloned().collect();
        for pattern in patterns {
            let log = LogName::Pattern(pattern);
            self.ensure_filter(&log);
            logs.push(log);
        }
        if let Some(client) = &wish.client {
            let log = LogName::Client(client.clone());
            self.ensure(&log, self.forgotten_clients);
            logs.push(log);
            self.kept.remove(client);
            if !self.guests.contains_key(client) {
                self.events.push(BrokerEvent::ClientJoined { client: client.clone() });
            }
            let new = Guest { sessions: Vec::new(), absent_since: None, metadata: None };
            let guest = self.guests.entry(client.clone()).or_insert(new);
            guest.absent_since = None;
            guest.metadata = wish.metadata.or(guest.metadata);
            guest.sessions.push(session);
        }
        let beginning = self.resume(&logs, wish.last_event_id.as_ref(), wish.newest);
        let (mut resume, mut pending) = (beginning.resumption, beginning.pending);
        let notices = self.notices(wish);
        let retry = self.retry(session, wish);
        let ahead = self.ahead(wish, &logs, retry).map(Box::new);
        if ahead.is_some() {
            (resume, pending) = (Resumption::Waiting, Vec::new());
        }
        let opening = self.opening(wish, retry, &beginning.said, beginning.place);
        let expires_at = self.expiry();
        let private = LogName::Private(session);
        self.ensure(&private, 0);
        logs.push(private);
        let place_due = self.ends_without_id(wish, &pending);
        let member = Member {
            client: wish.client.clone(),
            logs,
            pending,
            passed: Passed::new(),
            notices,
            loss: None,
            cuts: Vec::new(),
            opening: opening.filter(|_| ahead.is_none()),
            late_gap: None,
            lag: wish.lag,
            heartbeat: wish.heartbeat.unwrap_or(self.config.session.heartbeat),
            stall_timeout: wish.stall_timeout.unwrap_or(self.config.session.stall_timeout),
            heartbeat_due: false,
            phase: Phase::Polled,
            sent_at: self.now,
            polled_at: self.now,
            output_since: None,
            took_at: self.now,
            was_taken_back: false,
            ending: None,
            through: None,
            resumes_at: None,
            place_due,
            replayed_through: if resume.replayed() > 0 { self.last } else { 0 },
            permission: wish.permitted.as_ref().map(|filters| Permission::new(filters)),
            address: wish.address,
            expires_at,
            last_words: None,
            lease: wish.lease,
            ask_at: wish.lease.and_then(|until| self.ask_at(until)),
            ahead,
        };
        assert!(self.members.insert(session, member).is_none(), "{session} is in use");
        let client = wish.client.clone();
        self.events.push(BrokerEvent::SessionOpened { session, client, resumption: resume });
        if resume != Resumption::Waiting {
            self.tally.opened(resume);
        }
        self.order.push(session);
        self.evict(session, broker);
        resume
    }

    /// The events since this was last called.
    pub(crate) fn events(&mut self) -> Vec<BrokerEvent> {
        core::mem::take(&mut self.events)
    }

    pub(crate) fn disconnect(&mut self, session: SessionId, broker: &Broker) {
        self.told(session);
        self.end(session, EndReason::Disconnected, broker);
    }

    pub(crate) fn give_way(&mut self, session: SessionId, broker: &Broker) {
        self.told(session);
        self.end(session, EndReason::GaveWay, broker);
    }

    /// The driver of the session knows that it has ended.
    pub(super) fn told(&mut self, session: SessionId) {
        self.ended_untold.retain(|other| *other != session);
        self.ended_ready.retain(|other| *other != session);
    }

    pub(crate) fn close_session(&mut self, session: SessionId) -> bool {
        self.finish(session, EndReason::Closed)
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        if let Some(drain) = &mut self.drain {
            drain.stop();
        }
        let all: Vec<_> = self.members.keys().copied().collect();
        for session in all {
            self.finish(session, EndReason::Shutdown);
        }
    }

    pub(crate) fn abort(&mut self, broker: &Broker) {
        if !self.closed {
            self.close();
        }
        for session in self.order.clone() {
            self.ended_untold.push(session);
            self.ended_ready.push(session);
            self.end(session, EndReason::Aborted, broker);
        }
    }

    pub(super) fn finish(&mut self, session: SessionId, reason: EndReason) -> bool {
        let has_own = self.has_own(session);
        let Some(member) = self.members.get_mut(&session) else { return false };
        if member.ending.is_none() {
            member.resumes_at = member.give_up_waiting();
            if member.resumes_at.is_some() {
                self.tally.opened(Resumption::Waiting);
                let tells_places = self.config.event_ids == EventIds::Assigned;
                member.place_due |= has_own && tells_places && member.notices.is_some();
            }
            member.ending = Some(reason);
            member.through = Some(self.last);
            self.wake(session);
        }
        true
    }

    /// The session is gone; `broker` only says which of several clients it has forgotten.
    pub(super) fn end(&mut self, session: SessionId, reason: EndReason, broker: &Broker) {
        let Some(member) = self.members.remove(&session) else { return };
        self.note_superseded(session, &member, member.passed.len() as u64);
        if member.ahead.is_some() {
            self.tally.opened(Resumption::Waiting);
        }
        self.order.retain(|other| *other != session);
        let private = LogName::Private(session);
        let waiting = member.pending.iter().filter(|pending| pending.log == private).count();
        self.logs.remove(&private);
        if let Some(client) = &member.client {
            let guest = self.guests.get_mut(client).unwrap();
            guest.sessions.retain(|other| *other != session);
            if guest.sessions.is_empty() {
                guest.absent_since = Some(self.now);
            }
        }
        self.release_topics();
        let undelivered = waiting as u64;
        self.tally.ended(reason, undelivered);
        let client = member.client;
        self.events.push(BrokerEvent::SessionEnded { session, client, reason, undelivered });
        self.forget_absent(broker);
        self.note_drained();
    }
}

/// The payload as a chunk of HTTP/1.1.
pub(super) fn chunk(payload: &str) -> String {
    format!("{:x}\r\n{payload}\r\n", payload.len())
}

pub(super) fn waiting<'a>(sources: impl Iterator<Item = &'a LogName>) -> Vec<(LogName, State)> {
    sources.map(|source| (source.clone(), State::Waiting)).collect()
}

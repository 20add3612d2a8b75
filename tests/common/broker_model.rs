//! What a broker does, worked out plainly: each session has a queue of what it is still to get,
//! and a log is a list from which things are dropped.

use sansse::broker::{
    Batch, BatchEnd, Broker, BrokerConfig, BrokerEvent, ClientId, EndReason, EventIds, FrameForm,
    LagPolicy, OpenError, PublishError, Resume, Retention, RetentionError, SessionId, StartAt,
    Topic, TopicName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Frames from this size on are handed over alone.
const ALONE: usize = 16 << 10;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LogName {
    Broadcast,
    Named(TopicName),
    Client(ClientId),
    Private(SessionId),
}

#[derive(Clone, Debug)]
struct Kept {
    position: u64,
    at: Duration,
    size: usize,
    payload: String,
    own_id: Option<String>,
}

#[derive(Debug, Default)]
struct Log {
    kept: Vec<Kept>,
    lost_through: u64,
    retention: Option<Retention>,
}

#[derive(Clone, Debug)]
struct Pending {
    position: u64,
    log: LogName,
    payload: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Told `None`, and nothing since but what its topics got.
    Parked,
    /// Told `None`; has output of its own, and its id has not come out yet.
    Woken,
    /// To be polled by whoever drives it.
    Polled,
}

#[derive(Debug)]
struct Member {
    client: Option<ClientId>,
    logs: Vec<LogName>,
    pending: Vec<Pending>,
    lost: u64,
    lost_private: u64,
    opening: Option<String>,
    lag: LagPolicy,
    heartbeat: Option<Duration>,
    heartbeat_due: bool,
    phase: Phase,
    sent_at: Duration,
    polled_at: Duration,
    ending: Option<EndReason>,
}

#[derive(Debug)]
struct Guest {
    sessions: Vec<SessionId>,
    absent_since: Option<Duration>,
}

#[derive(Debug)]
struct LastBatch {
    session: SessionId,
    is_current: bool,
    parts: Vec<(String, Option<Pending>)>,
}

/// What a session is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) client: Option<ClientId>,
    pub(crate) topics: Vec<TopicName>,
    pub(crate) last_event_id: Option<Result<String, ()>>,
    pub(crate) heartbeat: Option<Option<Duration>>,
    pub(crate) lag: Option<LagPolicy>,
    pub(crate) announce: bool,
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
    config: BrokerConfig,
    pub(crate) now: Duration,
    pub(crate) last: u64,
    closed: bool,
    members: BTreeMap<SessionId, Member>,
    guests: BTreeMap<ClientId, Guest>,
    logs: BTreeMap<LogName, Log>,
    forgotten_topics: u64,
    forgotten_clients: u64,
    /// Positions that were never given here.
    left_out: BTreeSet<u64>,
    /// Sessions that ended and whose driver has not been told so by a poll,
    ended_untold: Vec<SessionId>,
    /// and those of them whose id is yet to come out.
    ended_ready: Vec<SessionId>,
    events: Vec<BrokerEvent>,
    batch: Option<LastBatch>,
}

impl Model {
    pub(crate) fn new(config: BrokerConfig) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            last: 0,
            closed: false,
            members: BTreeMap::new(),
            guests: BTreeMap::new(),
            logs: BTreeMap::from([(LogName::Broadcast, Log::default())]),
            forgotten_topics: 0,
            forgotten_clients: 0,
            left_out: BTreeSet::new(),
            ended_untold: Vec::new(),
            ended_ready: Vec::new(),
            events: Vec::new(),
            batch: None,
        }
    }

    pub(crate) fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    // Opening and closing.

    pub(crate) fn admit(&self, wish: &Wish) -> Result<(), OpenError> {
        let topics: BTreeSet<_> = wish.topics.iter().collect();
        let new = topics.iter().filter(|name| !self.knows(name)).count();
        let unread = self.events.len().max(self.ended_untold.len());
        let limit = self.config.max_topics_per_session;
        if self.closed {
            Err(OpenError::Closed)
        } else if self.members.len() >= self.config.max_sessions as usize {
            Err(OpenError::TooManySessions)
        } else if unread >= self.config.max_unread_events as usize {
            Err(OpenError::UnreadEvents)
        } else if wish.heartbeat == Some(Some(Duration::ZERO)) {
            Err(OpenError::ZeroHeartbeat)
        } else if topics.len() > limit as usize {
            Err(OpenError::TooManyTopicsOfSession { limit })
        } else if self.topics() + new > self.config.max_topics as usize {
            Err(OpenError::TooManyTopics)
        } else {
            Ok(())
        }
    }

    /// Opens a session that was admitted, under the id that the broker chose.
    pub(crate) fn open(&mut self, wish: &Wish, session: SessionId) -> Resume {
        let mut logs = vec![LogName::Broadcast];
        let topics: BTreeSet<_> = wish.topics.iter().cloned().collect();
        for name in topics {
            let log = LogName::Named(name);
            self.ensure(&log, self.forgotten_topics);
            logs.push(log);
        }
        if let Some(client) = &wish.client {
            let log = LogName::Client(client.clone());
            self.ensure(&log, self.forgotten_clients);
            logs.push(log);
            if !self.guests.contains_key(client) {
                self.events.push(BrokerEvent::ClientJoined { client: client.clone() });
            }
            let new = Guest { sessions: Vec::new(), absent_since: None };
            let guest = self.guests.entry(client.clone()).or_insert(new);
            guest.absent_since = None;
            guest.sessions.push(session);
        }
        let (resume, pending) = self.resume(&logs, wish.last_event_id.as_ref());
        let private = LogName::Private(session);
        self.ensure(&private, 0);
        logs.push(private);
        let member = Member {
            client: wish.client.clone(),
            logs,
            pending,
            lost: 0,
            lost_private: 0,
            opening: self.opening(wish.announce, resume),
            lag: wish.lag.unwrap_or(self.config.lag),
            heartbeat: wish.heartbeat.unwrap_or(self.config.heartbeat),
            heartbeat_due: false,
            phase: Phase::Polled,
            sent_at: self.now,
            polled_at: self.now,
            ending: None,
        };
        assert!(self.members.insert(session, member).is_none(), "{session} is in use");
        let client = wish.client.clone();
        self.events.push(BrokerEvent::SessionOpened { session, client, resume });
        resume
    }

    fn resume(
        &self,
        logs: &[LogName],
        last_event_id: Option<&Result<String, ()>>,
    ) -> (Resume, Vec<Pending>) {
        let id = match last_event_id {
            None => return (Resume::Live, Vec::new()),
            Some(Ok(id)) if id.is_empty() => return (Resume::Live, Vec::new()),
            Some(id) => id.as_ref().ok(),
        };
        let kept =
            || logs.iter().flat_map(|name| self.logs[name].kept.iter().map(move |k| (name, k)));
        let own = |id: &&String| {
            kept().filter(|(_, k)| k.own_id.as_ref() == Some(id)).map(|(_, k)| k.position).min()
        };
        let assigned = self.config.event_ids == EventIds::Assigned;
        let place = id.and_then(|id| place(id)).filter(|_| assigned);
        let position = id.as_ref().and_then(own).or_else(|| match place {
            Some((epoch, position)) if epoch == self.config.epoch.0 && position <= self.last => {
                Some(position)
            }
            _ => None,
        });
        let is_gap = position.is_none_or(|position| {
            self.left_out.iter().any(|missing| *missing > position)
                || logs.iter().any(|name| self.logs[name].lost_through > position)
        });
        let mut pending: Vec<Pending> = kept()
            .filter(|(_, k)| k.position > position.unwrap_or(0))
            .map(|(name, k)| Pending {
                position: k.position,
                log: name.clone(),
                payload: k.payload.clone(),
            })
            .collect();
        if is_gap && self.config.unresumable == StartAt::Newest {
            pending.clear();
        }
        pending.sort_by_key(|pending| pending.position);
        let replayed = pending.len() as u64;
        let resume = match (position, place) {
            (Some(_), _) if is_gap => Resume::Gap { replayed },
            (Some(_), _) => Resume::Complete { replayed },
            (None, Some((epoch, _))) if epoch != self.config.epoch.0 => {
                Resume::OtherEpoch { replayed }
            }
            (None, _) => Resume::UnknownId { replayed },
        };
        (resume, pending)
    }

    fn opening(&self, announce: bool, resume: Resume) -> Option<String> {
        let (word, replayed, placed) = match resume {
            Resume::Live => ("live", 0, false),
            Resume::Complete { replayed } => ("complete", replayed, true),
            Resume::Gap { replayed } => ("gap", replayed, replayed > 0),
            Resume::UnknownId { replayed } => ("unknown", replayed, replayed > 0),
            Resume::OtherEpoch { replayed } => ("other-epoch", replayed, replayed > 0),
            _ => unreachable!(),
        };
        let mut text = String::new();
        if let Some(retry) = self.config.retry {
            text += &format!("retry: {}\n", retry.as_millis());
        }
        if !placed && self.config.event_ids == EventIds::Assigned {
            text += &format!("id: {:x}-{}\n", self.config.epoch.0, self.last);
        }
        if announce {
            text += "event: resume\n";
            text += &format!("data: {{\"outcome\":\"{word}\",\"replayed\":{replayed}}}\n");
        }
        (!text.is_empty()).then(|| text + "\n")
    }

    pub(crate) fn disconnect(&mut self, session: SessionId, broker: &Broker) {
        self.told(session);
        self.end(session, EndReason::Disconnected, broker);
    }

    /// Whoever drives the session knows that it has ended.
    fn told(&mut self, session: SessionId) {
        self.ended_untold.retain(|other| *other != session);
        self.ended_ready.retain(|other| *other != session);
    }

    pub(crate) fn close_session(&mut self, session: SessionId) -> bool {
        self.finish(session, EndReason::Closed)
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
        let all: Vec<_> = self.members.keys().copied().collect();
        for session in all {
            self.finish(session, EndReason::Shutdown);
        }
    }

    fn finish(&mut self, session: SessionId, reason: EndReason) -> bool {
        let Some(member) = self.members.get_mut(&session) else { return false };
        if member.ending.is_none() {
            member.ending = Some(reason);
            self.wake(session);
        }
        true
    }

    /// The session is gone; `broker` only says which of several clients it has forgotten.
    fn end(&mut self, session: SessionId, reason: EndReason, broker: &Broker) {
        let Some(member) = self.members.remove(&session) else { return };
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
        self.events.push(BrokerEvent::SessionEnded {
            session,
            client: member.client,
            reason,
            undelivered: member.lost_private + waiting as u64,
        });
        self.forget_absent(broker);
    }

    fn forget_absent(&mut self, broker: &Broker) {
        loop {
            let absent: Vec<_> = self
                .guests
                .iter()
                .filter_map(|(id, guest)| guest.absent_since.map(|since| (since, id)))
                .collect();
            let Some(longest) = absent.iter().map(|(since, _)| *since).min() else { return };
            let too_many = absent.len() > self.config.max_absent_clients as usize;
            if longest + self.config.client_grace > self.now && !too_many {
                return;
            }
            // Of those that are equally long away, any may be forgotten first.
            let forgotten = absent
                .iter()
                .filter(|(since, _)| *since == longest)
                .find(|(_, id)| broker.metadata(id).is_none())
                .map(|(_, id)| (*id).clone())
                .expect("a client that was to be forgotten is still known");
            self.guests.remove(&forgotten);
            let log = self.logs.remove(&LogName::Client(forgotten.clone())).unwrap();
            let last = log.kept.last().map_or(log.lost_through, |kept| kept.position);
            self.forgotten_clients = self.forgotten_clients.max(last);
            self.events.push(BrokerEvent::ClientLeft { client: forgotten });
        }
    }

    // Publishing.

    pub(crate) fn check_addressee(&self, topic: &Topic) -> Result<(), PublishError> {
        match topic {
            _ if self.closed => Err(PublishError::Closed),
            Topic::Client(id) if !self.guests.contains_key(id) => Err(PublishError::UnknownClient),
            Topic::Session(id) if !self.members.get(id).is_some_and(|m| m.ending.is_none()) => {
                Err(PublishError::UnknownSession)
            }
            Topic::Named(name)
                if !self.knows(name) && self.topics() >= self.config.max_topics as usize =>
            {
                Err(PublishError::TooManyTopics)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn publish(
        &mut self,
        topic: &Topic,
        content: &Content,
        own_id: Option<&String>,
    ) -> Result<(u64, String), PublishError> {
        self.check_addressee(topic)?;
        let position = self.last + 1;
        let payload = self.encode(position, content, own_id);
        self.append(position, topic, &payload, own_id)?;
        self.last = position;
        Ok((position, payload))
    }

    pub(crate) fn apply(
        &mut self,
        position: u64,
        topic: &Topic,
        content: &Content,
        own_id: Option<&String>,
    ) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        if position <= self.last {
            return Err(PublishError::OutOfOrder { last: self.last });
        }
        let payload = self.encode(position, content, own_id);
        match self.check_addressee(topic) {
            Ok(()) => self.append(position, topic, &payload, own_id)?,
            // Nothing of it is kept, and whoever asks for it later is to be told.
            Err(PublishError::TooManyTopics) => {
                self.forgotten_topics = self.forgotten_topics.max(position);
            }
            Err(_) => {}
        }
        self.left_out.extend(self.last + 1..position);
        self.last = position;
        Ok(())
    }

    fn encode(&self, position: u64, content: &Content, own_id: Option<&String>) -> String {
        let id = match (content, own_id) {
            (_, Some(own)) => format!("id: {own}\n"),
            (Content::Data(_), None) if self.config.event_ids == EventIds::Assigned => {
                format!("id: {:x}-{position}\n", self.config.epoch.0)
            }
            _ => String::new(),
        };
        match content {
            Content::Data(data) => format!("{id}data: {data}\n\n"),
            Content::Comment => format!(": comment\n{id}\n"),
            Content::IdOnly => format!("{id}\n"),
        }
    }

    fn append(
        &mut self,
        position: u64,
        topic: &Topic,
        payload: &str,
        own_id: Option<&String>,
    ) -> Result<(), PublishError> {
        let name = match topic {
            Topic::Broadcast => LogName::Broadcast,
            Topic::Named(name) => LogName::Named(name.clone()),
            Topic::Client(id) => LogName::Client(id.clone()),
            Topic::Session(id) => LogName::Private(*id),
            _ => unreachable!(),
        };
        let (size, limit) = (chunk(payload).len(), self.retention(&name).bytes);
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        self.ensure(&name, self.forgotten_topics);
        let kept = Kept {
            position,
            at: self.now,
            size,
            payload: payload.to_owned(),
            own_id: own_id.cloned(),
        };
        self.logs.get_mut(&name).unwrap().kept.push(kept);
        let mut woken = Vec::new();
        for (session, member) in &mut self.members {
            if member.logs.contains(&name) && member.ending.is_none() {
                let (log, payload) = (name.clone(), payload.to_owned());
                member.pending.push(Pending { position, log, payload });
                woken.push(*session);
            }
        }
        if matches!(name, LogName::Client(_) | LogName::Private(_)) {
            for session in woken {
                self.wake(session);
            }
        }
        self.trim(&name);
        Ok(())
    }

    pub(crate) fn set_retention(
        &mut self,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), RetentionError> {
        if !self.knows(topic) && self.topics() >= self.config.max_topics as usize {
            return Err(RetentionError::TooManyTopics);
        }
        let name = LogName::Named(topic.clone());
        self.ensure(&name, self.forgotten_topics);
        self.logs.get_mut(&name).unwrap().retention = retention;
        self.trim(&name);
        self.release_topics();
        Ok(())
    }

    // Logs.

    fn retention(&self, name: &LogName) -> Retention {
        match name {
            LogName::Broadcast => self.config.retention,
            LogName::Named(_) => {
                let own = self.logs.get(name).and_then(|log| log.retention);
                own.unwrap_or(self.config.retention)
            }
            LogName::Client(_) | LogName::Private(_) => self.config.private_retention,
        }
    }

    fn knows(&self, topic: &TopicName) -> bool {
        self.logs.contains_key(&LogName::Named(topic.clone()))
    }

    fn topics(&self) -> usize {
        self.logs.keys().filter(|name| matches!(name, LogName::Named(_))).count()
    }

    fn ensure(&mut self, name: &LogName, lost_through: u64) {
        let new = Log { lost_through, ..Log::default() };
        self.logs.entry(name.clone()).or_insert(new);
    }

    fn trim(&mut self, name: &LogName) {
        let retention = self.retention(name);
        loop {
            let kept = &self.logs[name].kept;
            let bytes: usize = kept.iter().map(|kept| kept.size).sum();
            if kept.len() <= retention.events && bytes <= retention.bytes {
                break;
            }
            self.drop_oldest(name);
        }
        self.trim_aged(name);
    }

    fn trim_aged(&mut self, name: &LogName) {
        let Some(age) = self.retention(name).age else { return };
        while self.logs[name].kept.first().is_some_and(|kept| kept.at + age <= self.now) {
            self.drop_oldest(name);
        }
    }

    /// Who still waits for it has lost it.
    fn drop_oldest(&mut self, name: &LogName) {
        let log = self.logs.get_mut(name).unwrap();
        let dropped = log.kept.remove(0);
        log.lost_through = dropped.position;
        for member in self.members.values_mut() {
            let before = member.pending.len();
            member
                .pending
                .retain(|pending| (&pending.log, pending.position) != (name, dropped.position));
            let lost = (before - member.pending.len()) as u64;
            member.lost += lost;
            if matches!(name, LogName::Private(_)) {
                member.lost_private += lost;
            }
        }
    }

    fn release_topics(&mut self) {
        let used: BTreeSet<LogName> =
            self.members.values().flat_map(|member| member.logs.iter().cloned()).collect();
        let idle: Vec<LogName> = self
            .logs
            .iter()
            .filter(|(name, log)| {
                matches!(name, LogName::Named(_))
                    && log.kept.is_empty()
                    && log.retention.is_none()
                    && !used.contains(name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            let log = self.logs.remove(&name).unwrap();
            self.forgotten_topics = self.forgotten_topics.max(log.lost_through);
        }
    }

    // Polling.

    pub(crate) fn poll(&mut self, session: SessionId, broker: &Broker) -> Out {
        if !self.begin(session, broker) {
            return Out::End;
        }
        let now = self.now;
        let member = self.members.get_mut(&session).unwrap();
        let opening = member.opening.take();
        let next = opening
            .or_else(|| (!member.pending.is_empty()).then(|| member.pending.remove(0).payload));
        if let Some(frame) = next {
            member.sent(now);
            return Out::Frame(frame);
        }
        if let Some(reason) = member.ending {
            self.end(session, reason, broker);
            return Out::End;
        }
        if member.heartbeat_due {
            member.sent(now);
            return Out::Frame(":\n\n".to_owned());
        }
        member.phase = Phase::Parked;
        Out::Parked
    }

    /// Checks a batch that the broker made.
    pub(crate) fn batch(
        &mut self,
        session: SessionId,
        limit: usize,
        form: FrameForm,
        batch: &Batch,
        end: BatchEnd,
        broker: &Broker,
    ) -> Result<(), String> {
        let written = |payload: &str| match form {
            FrameForm::Payload => payload.to_owned(),
            FrameForm::Chunk => chunk(payload),
        };
        self.batch = None;
        // The reason is compared with the events.
        let end = if matches!(end, BatchEnd::End(_)) { BatchEnd::End(None) } else { end };
        let mut parts = Vec::new();
        let mut expected = BatchEnd::End(None);
        let mut next = None;
        if self.begin(session, broker) {
            let now = self.now;
            let member = self.members.get_mut(&session).unwrap();
            if let Some(opening) = member.opening.take() {
                parts.push((written(&opening), None));
            }
            while parts.len() < batch.frames() && !member.pending.is_empty() {
                let pending = member.pending.remove(0);
                parts.push((written(&pending.payload), Some(pending)));
            }
            if !parts.is_empty() {
                member.sent(now);
            }
            next = member.pending.first().map(|pending| written(&pending.payload).len());
            if next.is_some() || (member.ending.is_some() && !parts.is_empty()) {
                expected = BatchEnd::Full;
            } else if let Some(reason) = member.ending {
                self.end(session, reason, broker);
            } else {
                if parts.is_empty() && member.heartbeat_due {
                    member.sent(now);
                    parts.push((written(":\n\n"), None));
                }
                member.phase = Phase::Parked;
                expected = BatchEnd::Parked;
            }
        }
        let bytes: String = parts.iter().map(|(bytes, _)| bytes.as_str()).collect();
        if bytes.as_bytes() != batch.as_slice() || parts.len() != batch.frames() || end != expected
        {
            return Err(format!(
                "a batch of {} frames, {end:?}, {:?}\nwhere there are {} frames, {expected:?}, {bytes:?}",
                batch.frames(),
                String::from_utf8_lossy(batch.as_slice()),
                parts.len(),
            ));
        }
        if parts.len() > 1 && bytes.len() > limit {
            return Err(format!("{} bytes in a batch of no more than {limit}", bytes.len()));
        }
        if let Some(next) = next
            && bytes.len() + next <= limit
            && next < ALONE
            && !(parts.len() == 1 && bytes.len() >= ALONE)
        {
            return Err(format!("{next} bytes more had room in a batch of {}", bytes.len()));
        }
        self.batch =
            Some(LastBatch { session, is_current: self.members.contains_key(&session), parts });
        Ok(())
    }

    /// What is left to write of the last batch of all; `session` is whose it is said to be.
    pub(crate) fn partial_write(&mut self, session: SessionId, written: usize) -> String {
        let Some(batch) = &mut self.batch else { return String::new() };
        let all: String = batch.parts.iter().map(|(bytes, _)| bytes.as_str()).collect();
        let mut ends = Vec::new();
        for (bytes, _) in &batch.parts {
            ends.push(ends.last().copied().unwrap_or(0) + bytes.len());
        }
        let whole = ends.iter().filter(|end| **end <= written).count();
        let Some(end) = ends.get(whole) else { return String::new() };
        let Some(member) = self.members.get_mut(&session) else {
            return all[written..*end].to_owned();
        };
        if batch.session != session || !batch.is_current {
            return all[written..].to_owned();
        }
        batch.is_current = false;
        for (_, pending) in batch.parts[whole + 1..].iter().rev() {
            let pending = pending.clone().expect("an opening or a heartbeat that was not first");
            if self.logs[&pending.log].kept.iter().any(|kept| kept.position == pending.position) {
                member.pending.insert(0, pending);
            } else {
                member.lost += 1;
                member.lost_private += u64::from(matches!(pending.log, LogName::Private(_)));
            }
        }
        member.phase = Phase::Polled;
        all[written..*end].to_owned()
    }

    /// What every poll does first. Says whether the session lives on.
    fn begin(&mut self, session: SessionId, broker: &Broker) -> bool {
        if let Some(batch) = self.batch.as_mut().filter(|batch| batch.session == session) {
            batch.is_current = false;
        }
        let Some(member) = self.members.get_mut(&session) else {
            self.told(session);
            return false;
        };
        member.polled_at = self.now;
        let private = LogName::Private(session);
        let waiting: Vec<u64> = member.pending.iter().map(|pending| pending.position).collect();
        let log = self.logs.get_mut(&private).unwrap();
        log.kept.retain(|kept| waiting.contains(&kept.position));
        self.trim_aged(&private);
        let member = self.members.get_mut(&session).unwrap();
        if member.lost == 0 {
            return true;
        }
        let mut lost = member.lost;
        if member.lag == LagPolicy::Close {
            self.end(session, EndReason::Lagged { lost }, broker);
            return false;
        }
        if member.lag == LagPolicy::SkipToNewest {
            lost += member.pending.len() as u64;
            member.pending.clear();
        }
        (member.lost, member.lost_private) = (0, 0);
        let client = member.client.clone();
        let earlier = self.events.iter_mut().find_map(|event| match event {
            BrokerEvent::SessionSkipped { session: other, lost, .. } if *other == session => {
                Some(lost)
            }
            _ => None,
        });
        match earlier {
            Some(earlier) => *earlier += lost,
            None => self.events.push(BrokerEvent::SessionSkipped { session, client, lost }),
        }
        true
    }

    fn wake(&mut self, session: SessionId) {
        let now = self.now;
        if let Some(member) = self.members.get_mut(&session)
            && member.phase == Phase::Parked
        {
            member.phase = Phase::Woken;
            member.polled_at = now;
        }
    }

    /// Checks what `poll_ready` said.
    pub(crate) fn came_out(&mut self, session: Option<SessionId>) -> Result<(), String> {
        let now = self.now;
        let Some(session) = session else {
            let mut waiting = self.members.iter().filter(|(_, member)| member.is_to_come_out());
            let missing = self.ended_ready.first().or(waiting.next().map(|(session, _)| session));
            return match missing {
                Some(session) => Err(format!("the id of {session} did not come out")),
                None => Ok(()),
            };
        };
        if let Some(index) = self.ended_ready.iter().position(|ended| *ended == session) {
            self.ended_ready.remove(index);
            return Ok(());
        }
        let Some(member) = self.members.get_mut(&session) else {
            return Err(format!("the id of {session} came out, which has ended"));
        };
        if !member.is_to_come_out() {
            return Err(format!("the id of {session} came out, which is {:?}", member.phase));
        }
        if member.phase == Phase::Parked {
            member.polled_at = now;
        }
        member.phase = Phase::Polled;
        Ok(())
    }

    // Time.

    pub(crate) fn timeout(&mut self, broker: &Broker) {
        let all: Vec<SessionId> = self.members.keys().copied().collect();
        for session in all {
            let member = self.members.get_mut(&session).unwrap();
            if member.deadline(self.config.stall_timeout).is_none_or(|at| at > self.now) {
                continue;
            }
            if member.phase == Phase::Parked {
                member.heartbeat_due = true;
                self.wake(session);
            } else {
                self.ended_untold.push(session);
                self.ended_ready.push(session);
                self.end(session, EndReason::Stalled, broker);
            }
        }
        let names: Vec<LogName> = self.logs.keys().cloned().collect();
        for name in names.iter().filter(|name| !matches!(name, LogName::Private(_))) {
            if self.logs.contains_key(name) {
                self.trim_aged(name);
            }
        }
        self.release_topics();
        self.forget_absent(broker);
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let sessions =
            self.members.values().filter_map(|member| member.deadline(self.config.stall_timeout));
        let absent = self
            .guests
            .values()
            .filter_map(|guest| Some(guest.absent_since? + self.config.client_grace));
        let aged = self.logs.iter().filter_map(|(name, log)| match name {
            LogName::Private(_) => None,
            _ => Some(log.kept.first()?.at + self.retention(name).age?),
        });
        sessions.chain(absent).chain(aged).min()
    }

    // What else can be asked.

    /// The events since this was last called.
    pub(crate) fn events(&mut self) -> Vec<BrokerEvent> {
        core::mem::take(&mut self.events)
    }

    pub(crate) fn check_presence(&self, broker: &Broker) -> Result<(), String> {
        let here: Vec<_> = self
            .guests
            .iter()
            .filter(|(_, guest)| !guest.sessions.is_empty())
            .map(|(id, guest)| (id.clone(), guest.sessions.len()))
            .collect();
        let present: Vec<_> = broker.present().map(|(id, count)| (id.clone(), count)).collect();
        if here != present || self.members.len() != broker.session_count() {
            return Err(format!(
                "{present:?}, {} sessions, where there are {here:?}, {}",
                broker.session_count(),
                self.members.len()
            ));
        }
        for (id, guest) in &self.guests {
            let sessions: Vec<_> = broker.sessions_of(id).collect();
            if sessions != guest.sessions || broker.metadata(id).is_none() {
                return Err(format!("{sessions:?} of {id}, which has {:?}", guest.sessions));
            }
        }
        for (session, member) in &self.members {
            if broker.client_of(*session) != member.client.as_ref() {
                return Err(format!("{session} is of {:?}", broker.client_of(*session)));
            }
        }
        if broker.last_position() != self.last {
            return Err(format!("at {} instead of {}", broker.last_position(), self.last));
        }
        Ok(())
    }
}

impl Member {
    fn sent(&mut self, now: Duration) {
        self.sent_at = now;
        self.heartbeat_due = false;
        self.phase = Phase::Polled;
    }

    fn is_to_come_out(&self) -> bool {
        match self.phase {
            Phase::Parked => !self.pending.is_empty() || self.lost > 0,
            Phase::Woken => true,
            Phase::Polled => false,
        }
    }

    fn deadline(&self, stall_timeout: Option<Duration>) -> Option<Duration> {
        match self.phase {
            Phase::Parked => Some(self.sent_at.saturating_add(self.heartbeat?)),
            Phase::Woken | Phase::Polled => Some(self.polled_at + stall_timeout?),
        }
    }
}

/// The payload as a chunk of HTTP/1.1.
fn chunk(payload: &str) -> String {
    format!("{:x}\r\n{payload}\r\n", payload.len())
}

/// The epoch and the position that an id of the broker's making says.
fn place(id: &str) -> Option<(u64, u64)> {
    let (epoch, position) = id.split_once('-')?;
    let place = (u64::from_str_radix(epoch, 16).ok()?, position.parse().ok()?);
    (format!("{:x}-{}", place.0, place.1) == id).then_some(place)
}

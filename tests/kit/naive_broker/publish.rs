//! What the model does when something is published: a log is a list, and who is to get an event has
//! it in a queue.

use super::lag::State;
use super::model::{Content, Kept, Log, LogName, Model, Pending, chunk, waiting};
use super::signed::PlaceOf;
use sansse::broker::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// How many cuts are told one by one.
const CUTS: usize = 8;

impl Kept {
    /// Until when it is kept where that is for so long.
    pub(super) fn until(&self, age: Duration) -> Duration {
        let least = age.min(Duration::from_secs(1));
        self.at + age.saturating_sub(self.age).max(least)
    }
}

impl Model {
    // Publishing.

    pub(crate) fn check_addressee(&self, topic: &Audience) -> Result<(), PublishError> {
        match topic {
            _ if self.closed => Err(PublishError::Closed),
            Audience::Client(id)
                if !self.guests.contains_key(id) && !self.kept.contains_key(id) =>
            {
                Err(PublishError::UnknownClient)
            }
            Audience::Session(id) if self.members.get(id).is_none_or(|m| m.ending.is_some()) => {
                Err(PublishError::UnknownSession)
            }
            Audience::Topic(name) if self.has_ended(name) => Err(PublishError::TopicEnded),
            Audience::Topic(name) if !self.has_room_to_publish(name) => {
                Err(PublishError::TooManyTopics)
            }
            _ => Ok(()),
        }
    }

    /// As [`check_addressee`](Self::check_addressee), for what another shard had room for: who
    /// subscribes to a topic here gets it.
    pub(super) fn check_applied(&self, audience: &Audience) -> Result<(), PublishError> {
        match (self.check_addressee(audience), audience) {
            (Err(PublishError::TooManyTopics), Audience::Topic(name)) if self.knows(name) => Ok(()),
            (result, _) => result,
        }
    }

    pub(crate) fn publish(
        &mut self,
        topic: &Audience,
        content: &Content,
        own_id: Option<&String>,
        key: Option<u64>,
    ) -> Result<(u64, String), PublishError> {
        self.check_addressee(topic)?;
        self.check_id(own_id)?;
        let position = self.last + 1;
        let payload = self.encode(position, content, own_id);
        self.check_room(topic, chunk(&payload).len(), key)?;
        self.append(position, topic, &payload, own_id, key, Duration::ZERO)?;
        self.tally.published(self.now, position, &payload);
        self.last = position;
        self.note_position();
        Ok((position, payload))
    }

    /// An empty id would be none, and one that reads like a place would be taken for it.
    fn check_id(&self, own_id: Option<&String>) -> Result<(), PublishError> {
        let Some(id) = own_id else { return Ok(()) };
        if id.is_empty() {
            Err(PublishError::UnusableId(sansse::UnusableId::Empty))
        } else if matches!(self.place_of(id), PlaceOf::At(..)) {
            Err(PublishError::UnusableId(sansse::UnusableId::LikeAPlace))
        } else {
            Ok(())
        }
    }

    /// Whether no open session that counts would lose something that is for it or its client alone.
    fn check_room(
        &self,
        topic: &Audience,
        size: usize,
        key: Option<u64>,
    ) -> Result<(), PublishError> {
        let (name, sessions, counts_always) = match topic {
            Audience::Client(id) => {
                let Some(guest) = self.guests.get(id) else { return Ok(()) };
                (LogName::Client(id.clone()), guest.sessions.clone(), false)
            }
            Audience::Session(id) => (LogName::Private(*id), vec![*id], true),
            _ => return Ok(()),
        };
        let Some(log) = self.logs.get(&name) else { return Ok(()) };
        let retention = self.retention(&name);
        if size > retention.bytes.get().min(self.config.limits.retained_bytes.get()) {
            return Ok(());
        }
        let mut kept = log.kept.clone();
        let mut lost = None;
        while kept.len() + 1 > retention.events.get()
            || kept.iter().map(|kept| kept.size).sum::<usize>() + size > retention.bytes.get()
        {
            let is_superseded =
                |one: &Kept| one.superseded_at.is_some() || (key.is_some() && one.key == key);
            match kept.iter().position(is_superseded).filter(|_| retention.compact) {
                Some(index) => _ = kept.remove(index),
                None => lost = Some(kept.remove(0).position),
            }
        }
        if self.gives_way_first(&name, size) {
            let is_spared = retention.compact && log.kept.iter().any(|k| k.superseded_at.is_some());
            lost = lost.max(log.kept.first().filter(|_| !is_spared).map(|kept| kept.position));
        }
        let would_lose = |session: &SessionId| {
            let member = &self.members[session];
            let list = member.list(&name);
            let (Some(first), Some(lost)) = (list.first(), lost) else { return false };
            let is_lost = first.state(&name) != State::Waiting;
            let here = list.iter().find_map(|one| {
                log.kept.iter().find(|kept| kept.position == one.position).map(|kept| kept.at)
            });
            let at = here.filter(|_| !is_lost).unwrap_or_default();
            let stalls_at = member.polled_at.max(at).saturating_add(self.config.pace.patience);
            first.position <= lost && (counts_always || stalls_at > self.now)
        };
        if sessions.iter().any(would_lose) { Err(PublishError::NoRoom) } else { Ok(()) }
    }

    pub(crate) fn apply(
        &mut self,
        position: u64,
        topic: &Audience,
        content: &Content,
        own_id: Option<&String>,
        key: Option<u64>,
        age: Duration,
    ) -> Result<(), PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        if position <= self.last {
            return Err(PublishError::OutOfOrder { last: self.last });
        }
        self.check_id(own_id)?;
        let payload = self.encode(position, content, own_id);
        match self.check_applied(topic) {
            Ok(()) => match (self.append(position, topic, &payload, own_id, key, age), topic) {
                (Err(PublishError::TooLarge { .. }), Audience::Client(id))
                    if self.kept.contains_key(id) =>
                {
                    self.lose_for_absent(position, id);
                }
                (result, _) => result?,
            },
            // Nothing of it is kept, and a session that asks for it later is to be told.
            Err(PublishError::TooManyTopics) => {
                self.forgotten_topics = self.forgotten_topics.max(position);
                if let Audience::Topic(name) = topic {
                    self.miss(position, &LogName::Named(name.clone()));
                }
            }
            Err(PublishError::TopicEnded) => return Err(PublishError::TopicEnded),
            Err(PublishError::UnknownClient) if self.config.keeps_for_absent => {
                let Audience::Client(id) = topic else { unreachable!() };
                self.ensure(&LogName::Client(id.clone()), self.forgotten_clients);
                self.kept.insert(id.clone(), Duration::ZERO);
                if self.append(position, topic, &payload, own_id, key, age).is_err() {
                    self.lose_for_absent(position, id);
                }
            }
            Err(PublishError::UnknownClient) if !self.has_begun => {
                self.forgotten_clients = position;
            }
            Err(_) => {}
        }
        self.tally.published(self.now, position, &payload);
        self.leave_out(position);
        self.last = position;
        self.note_position();
        Ok(())
    }

    /// What lies between the last position and this one is lost.
    pub(super) fn leave_out(&mut self, position: u64) {
        if position > self.last + 1 {
            self.missing.extend(self.last + 1..position);
            self.tell_cut(position - 1);
        }
    }

    pub(crate) fn cut(&mut self, through: u64) -> Result<(), PublishError> {
        let before = self.pass(through)?;
        self.missing.extend(before + 1..=through);
        self.tell_cut(through);
        self.note_position();
        Ok(())
    }

    pub(crate) fn skip(&mut self, through: u64) -> Result<(), PublishError> {
        self.pass(through)?;
        self.note_position();
        Ok(())
    }

    /// Gives the last position before that.
    fn pass(&mut self, through: u64) -> Result<u64, PublishError> {
        if self.closed {
            return Err(PublishError::Closed);
        }
        if through <= self.last {
            return Err(PublishError::OutOfOrder { last: self.last });
        }
        Ok(std::mem::replace(&mut self.last, through))
    }

    fn tell_cut(&mut self, through: u64) {
        self.tally.counters.cuts += 1;
        for session in self.order.clone() {
            let member = self.members.get_mut(&session).unwrap();
            let hears = member.ending.is_none() && member.ahead.is_none();
            if hears && member.notices.is_some() {
                member.cuts.truncate(CUTS - 1);
                member.cuts.push(through);
                self.wake(session);
            }
        }
    }

    pub(super) fn encode(
        &self,
        position: u64,
        content: &Content,
        own_id: Option<&String>,
    ) -> String {
        let id = match (content, own_id) {
            (_, Some(own)) => format!("id: {own}\n"),
            (Content::Data(_), None) if self.config.event_ids == EventIds::Assigned => {
                format!("id: {}\n", self.id_of(position))
            }
            _ => String::new(),
        };
        match content {
            Content::Data(data) => format!("{id}data: {data}\n\n"),
            Content::Comment if id.is_empty() => ": comment\n".to_owned(),
            Content::Comment => format!(": comment\n{id}\n"),
            Content::IdOnly => format!("{id}\n"),
        }
    }

    pub(super) fn append(
        &mut self,
        position: u64,
        topic: &Audience,
        payload: &str,
        own_id: Option<&String>,
        key: Option<u64>,
        age: Duration,
    ) -> Result<(), PublishError> {
        let name = match topic {
            Audience::Everyone => LogName::Broadcast,
            Audience::Topic(name) => LogName::Named(name.clone()),
            Audience::Client(id) => LogName::Client(id.clone()),
            Audience::Session(id) => LogName::Private(*id),
            _ => unreachable!(),
        };
        let (size, limit) = (chunk(payload).len(), self.retention(&name).bytes.get());
        let limit = limit.min(self.config.limits.retained_bytes.get());
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        self.make_room(size, &name);
        self.ensure(&name, self.forgotten_topics);
        let said_age = age;
        // No older than the one before it.
        let before = self.logs[&name].kept.last();
        let age = before.map_or(age, |one| age.min(self.now - one.at + one.age));
        let kept = Kept {
            position,
            at: self.now,
            age: if age < Duration::from_secs(1) { Duration::ZERO } else { age },
            size,
            payload: payload.to_owned(),
            own_id: own_id.cloned(),
            key,
            superseded_at: None,
        };
        self.sizes.insert(position, size);
        self.published.insert(position, name.clone());
        for (pattern, positions) in &mut self.matched {
            if LogName::Pattern(pattern.clone()).covers(&name) {
                positions.insert(position);
            }
        }
        if let Audience::Client(id) = topic
            && let Some(since) = self.kept.get_mut(id)
        {
            *since = self.now.saturating_sub(said_age).max(*since);
        }
        let log = self.logs.get_mut(&name).unwrap();
        for older in log.kept.iter_mut().filter(|older| key.is_some() && older.key == key) {
            older.superseded_at = older.superseded_at.or(Some(position));
        }
        log.kept.push(kept);
        let mut woken = Vec::new();
        for (session, member) in &mut self.members {
            let hears = |log: &&LogName| log.covers(&name) && member.is_placed(log);
            let by = waiting(member.logs.iter().filter(hears));
            if !by.is_empty() && member.ending.is_none() {
                let (log, payload) = (name.clone(), payload.to_owned());
                member.pending.push(Pending { position, log, by, payload });
                if member.ahead.is_none() {
                    woken.push(*session);
                }
            }
        }
        // All others wait on a list that comes out as a whole.
        if matches!(name, LogName::Private(_)) {
            for session in woken {
                self.wake(session);
            }
        }
        self.trim(&name);
        self.release_topics();
        Ok(())
    }

    pub(crate) fn set_retention(
        &mut self,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        if !self.has_room_to_publish(topic) {
            return Err(TopicSettingError::TooManyTopics);
        }
        let name = LogName::Named(topic.clone());
        self.ensure(&name, self.forgotten_topics);
        self.logs.get_mut(&name).unwrap().retention = retention;
        self.may_compact |= retention.is_some_and(|retention| retention.compact);
        self.trim(&name);
        self.release_topics();
        Ok(())
    }

    // Logs.

    pub(super) fn retention(&self, name: &LogName) -> Retention {
        match name {
            LogName::Broadcast => self.config.retention,
            LogName::Named(_) => {
                let own = self.logs.get(name).and_then(|log| log.retention);
                own.unwrap_or(self.config.retention)
            }
            LogName::Client(_) | LogName::Private(_) => self.config.private_retention,
            LogName::Pattern(_) => unreachable!("a pattern has no log"),
        }
    }

    pub(super) fn has_ended(&self, topic: &TopicName) -> bool {
        let log = self.logs.get(&LogName::Named(topic.clone()));
        log.is_some_and(|log| log.ended.is_some())
    }

    pub(super) fn knows(&self, topic: &TopicName) -> bool {
        self.logs.contains_key(&LogName::Named(topic.clone()))
    }

    pub(super) fn topics(&self) -> usize {
        let names = self.logs.keys().filter(|name| matches!(name, LogName::Named(_)));
        names.count() + self.patterns.len()
    }

    pub(super) fn lost_through(&self, name: &LogName) -> u64 {
        match name {
            LogName::Pattern(pattern) => self.patterns[pattern],
            // A client that is not here may have been forgotten.
            LogName::Client(_) if !self.logs.contains_key(name) => self.forgotten_clients,
            _ => self.logs[name].lost_through,
        }
    }

    /// What was lost of a topic before, or of one that is no longer known, may have matched.
    pub(super) fn ensure_pattern(&mut self, pattern: &TopicPattern) {
        let name = LogName::Pattern(pattern.clone());
        let matching = self.logs.iter().filter(|(log, _)| name.covers(log));
        let lost = matching.map(|(_, log)| log.lost_through).max();
        let lost = lost.unwrap_or(0).max(self.forgotten_topics);
        if self.patterns.contains_key(pattern) {
            return;
        }
        self.patterns.insert(pattern.clone(), lost);
        let kept = self.logs.iter().filter(|(log, _)| name.covers(log));
        let kept = kept.flat_map(|(_, log)| log.kept.iter().map(|kept| kept.position));
        self.matched.insert(pattern.clone(), kept.collect());
    }

    /// An event that is kept nowhere.
    fn miss(&mut self, position: u64, name: &LogName) {
        self.sizes.insert(position, 0);
        self.published.insert(position, name.clone());
        for (pattern, positions) in &mut self.matched {
            if LogName::Pattern(pattern.clone()).covers(name) {
                positions.insert(position);
            }
        }
        for member in self.members.values_mut().filter(|member| member.ending.is_none()) {
            let hears = |log: &&LogName| log.covers(name) && member.is_placed(log);
            let by = member.logs.iter().filter(hears);
            let by: Vec<_> = by.map(|log| (log.clone(), State::Waiting)).collect();
            if !by.is_empty() {
                let (log, payload) = (name.clone(), String::new());
                member.pending.push(Pending { position, log, by, payload });
            }
        }
        self.note_lost(position, name);
        self.lose(name, position);
    }

    fn note_lost(&mut self, position: u64, name: &LogName) {
        for (pattern, lost_through) in &mut self.patterns {
            if LogName::Pattern(pattern.clone()).covers(name) {
                *lost_through = position.max(*lost_through);
            }
        }
    }

    pub(super) fn ensure(&mut self, name: &LogName, lost_through: u64) {
        let new = Log { lost_through, since: lost_through, ..Log::default() };
        self.logs.entry(name.clone()).or_insert(new);
    }

    pub(super) fn trim(&mut self, name: &LogName) {
        let retention = self.retention(name);
        loop {
            let kept = &self.logs[name].kept;
            let bytes: usize = kept.iter().map(|kept| kept.size).sum();
            if kept.len() <= retention.events.get() && bytes <= retention.bytes.get() {
                break;
            }
            self.drop_one(name);
        }
        self.trim_aged(name);
    }

    pub(super) fn trim_aged(&mut self, name: &LogName) {
        let Some(age) = self.retention(name).age else { return };
        while self.logs[name].kept.first().is_some_and(|kept| kept.until(age) <= self.now) {
            self.drop_oldest(name);
        }
    }

    /// Who still waits for it has lost it.
    pub(super) fn drop_oldest(&mut self, name: &LogName) {
        let is_compact = self.retention(name).compact;
        let log = self.logs.get_mut(name).unwrap();
        let dropped = log.kept.remove(0);
        if is_compact && dropped.superseded_at.is_some() {
            log.has_spared = true;
            self.spare(dropped.position);
            return;
        }
        log.lost_through = dropped.position;
        log.lost.push(dropped.position);
        self.note_lost(dropped.position, name);
        self.lose(name, dropped.position);
    }

    /// What goes first where there is too much.
    pub(super) fn drop_one(&mut self, name: &LogName) {
        let superseded = |kept: &Kept| kept.superseded_at.is_some();
        let is_compact = self.retention(name).compact;
        let log = self.logs.get_mut(name).unwrap();
        match log.kept.iter().position(superseded) {
            Some(index) if is_compact => {
                let position = log.kept.remove(index).position;
                log.has_spared = true;
                self.spare(position);
            }
            _ => self.drop_oldest(name),
        }
    }

    pub(crate) fn set_lag(
        &mut self,
        topic: &TopicName,
        lag: Option<Lag>,
    ) -> Result<(), TopicSettingError> {
        if !self.has_room_to_publish(topic) {
            return Err(TopicSettingError::TooManyTopics);
        }
        let name = LogName::Named(topic.clone());
        self.ensure(&name, self.forgotten_topics);
        self.logs.get_mut(&name).unwrap().lag = lag;
        self.release_topics();
        Ok(())
    }

    pub(super) fn release_topics(&mut self) {
        let used: BTreeSet<LogName> =
            self.members.values().flat_map(|member| member.logs.iter().cloned()).collect();
        self.patterns.retain(|pattern, _| used.contains(&LogName::Pattern(pattern.clone())));
        self.matched.retain(|pattern, _| used.contains(&LogName::Pattern(pattern.clone())));
        let idle: Vec<LogName> = self
            .logs
            .iter()
            .filter(|(name, log)| {
                matches!(name, LogName::Named(_))
                    && log.kept.is_empty()
                    && log.ended.map_or(log.retention.is_none() && log.lag.is_none(), |ended| {
                        !ended.is_remembered
                    })
                    && !used.contains(name)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            let log = self.logs.remove(&name).unwrap();
            self.forgotten_topics = self.forgotten_topics.max(log.lost_through);
        }
    }
}

//! What the server's application does to sessions that are open: more topics, fewer, none.

use crate::filter::{ANSWER, CLIENTS, Filter, TOPICS};
use crate::network::Cut;
use crate::scenario::{chance, one_of, shard_of};
use crate::world::World;
use sansse::EventId;
use sansse::broker::{
    ClientId, EventIds, RevokeError, SessionId, StartAt, SubscribeError, TopicName,
};
use std::collections::BTreeSet;

impl World {
    /// A reader that is connected is to hear more.
    pub(crate) fn subscribe_live(&mut self, reader: usize) {
        let filters: Vec<Filter> = Filter::named().collect();
        let filter = one_of(&mut self.random, &filters);
        let place = self.draw_place(reader);
        let sessions = self.sessions_of(reader);
        let mut since = None;
        for (session, at) in sessions {
            if self.subscribe(session, at, filter, &place) {
                since = since.max(Some(self.truth(at).events.len()));
            }
        }
        if let Some(since) = since {
            // Where the subscribed session is on a shard that is behind, the reader may have come
            // further by another one, without this.
            let since = since.max(self.readers[reader].furthest);
            self.readers[reader].wants.entry(filter).or_insert(since);
        }
    }

    fn draw_place(&mut self, reader: usize) -> StartAt {
        let shard = self.readers[reader].latest_shard.unwrap_or(0);
        let is_own = self.scenario.broker.event_ids == EventIds::Own;
        let is_known = |id: &&String| !is_own || id.starts_with("own-");
        let mut ids: Vec<String> = self.truths[shard].ids().filter(is_known).cloned().collect();
        ids.push("own-999999".to_owned());
        if !is_own {
            ids.push(format!("{:x}-999999", self.server.config.epoch.0));
        }
        match self.random.below(5) {
            0 | 1 => StartAt::Now,
            2 => StartAt::Oldest,
            _ => StartAt::After(EventId::new(one_of(&mut self.random, &ids)).unwrap()),
        }
    }

    fn subscribe(
        &mut self,
        session: SessionId,
        at: usize,
        filter: Filter,
        place: &StartAt,
    ) -> bool {
        let (id, start) = match place {
            StartAt::Oldest => ("", StartAt::Oldest),
            StartAt::After(id) => (id.as_str(), StartAt::Now),
            _ => ("", StartAt::Now),
        };
        let mut plan = self.truth(at).plan(&[filter], id, start);
        let has_it = self.connections[at].owed.filters.contains(&filter);
        // What it heard before is not replayed.
        let truth = self.truth(at);
        let named: Vec<Filter> = self.connections[at].owed.filters.clone();
        let is_excluded = |event: &usize| {
            let to = truth.events[*event].to;
            named.iter().any(|one| one.is_named() && one.hears(to))
        };
        let has_excluded = plan.replayed.iter().any(is_excluded);
        plan.replayed.retain(|event| !is_excluded(event));
        let now = self.now;
        let result = self.server.broker(session).session_mut(session).subscribe(
            now,
            filter.for_broker().unwrap(),
            place.clone(),
        );
        self.note(|| {
            format!("connection {at} subscribes to {filter:?} from {place:?}: {result:?}")
        });
        let state = &self.connections[at];
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(SubscribeError::UnknownSession) => {
                // It may have ended at this very time, which nobody has been told yet.
                let has_ended = !self.server.broker(session).session(session).is_open();
                let state = &self.connections[at];
                let may_end = state.through.is_some() || state.is_timed;
                assert!(has_ended || may_end, "the session is open");
                return false;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(state.through.is_none(), "it is about to end");
        if has_it {
            assert_eq!(outcome.as_str(), "live");
            return true;
        }
        let plan = self.judge(at, plan, outcome.as_str(), outcome.replayed());
        self.log.count(match (place, filter, plan.replayed.is_empty()) {
            (StartAt::Now, Filter::Pattern(_), _) => "subscribe: a pattern from now on",
            (StartAt::Now, ..) => "subscribe: a topic from now on",
            (_, _, true) => "subscribe: nothing to replay",
            (StartAt::Oldest, Filter::Pattern(_), _) => {
                "subscribe: a pattern with all that is kept"
            }
            (StartAt::Oldest, ..) => "subscribe: a topic with all that is kept",
            (_, Filter::Pattern(_), _) => "subscribe: a pattern from a place",
            _ => "subscribe: a topic from a place",
        });
        if has_excluded {
            self.log.count("subscribe: what it has is excluded");
        }
        if outcome.may_miss() {
            self.log.count("subscribe: something may be missing");
        }
        let replay = self.truth(at).pending(filter, &plan.replayed);
        let replay: Vec<usize> = replay
            .into_iter()
            .filter(|event| plan.replayed.contains(event) || !self.truth(at).is_kept(*event))
            .collect();
        let reader = &mut self.readers[self.connections[at].reader];
        for event in &replay {
            *reader.again.entry(*event).or_default() += 1;
        }
        let now = self.truth(at).events.len();
        let state = &mut self.connections[at];
        state.owed.subscribe(filter, &replay);
        if !replay.is_empty() {
            state.owed.live_from = now;
            // A replay is to be cut now and then.
            if matches!(state.cut, Cut::Never) && !self.is_healed && chance(&mut self.random, 50) {
                state.cut = Cut::ReaderAt(state.received + 1 + self.random.below(250));
            }
        }
        // What it cannot get by this, it may get by nothing else; but that is not asked for either.
        plan.excused.into_iter().for_each(|event| state.owed.excuse(event));
        true
    }

    /// A reader that is connected is to hear less.
    pub(crate) fn unsubscribe_live(&mut self, reader: usize) {
        let mut wanted: Vec<Filter> = self.readers[reader].wants.keys().copied().collect();
        if self.readers[reader].reading.is_of_answer {
            wanted.retain(|filter| *filter != Filter::Topic(ANSWER));
        }
        let sessions = self.sessions_of(reader);
        if wanted.is_empty() || sessions.is_empty() {
            return;
        }
        let filter = one_of(&mut self.random, &wanted);
        self.readers[reader].wants.remove(&filter);
        for (session, at) in sessions {
            let now = self.now;
            let name = filter.for_broker().unwrap();
            let has_had = self.server.broker(session).session_mut(session).unsubscribe(now, &name);
            assert_eq!(has_had, self.connections[at].owed.filters.contains(&filter));
            self.give_up(at, filter);
        }
    }

    fn give_up(&mut self, at: usize, filter: Filter) {
        self.note(|| format!("connection {at} hears {filter:?} no more"));
        self.connections[at].owed.is_changed |= self.connections[at].owed.filters.contains(&filter);
        let passed = self.passed_unnoticed(at, filter);
        self.connections[at].owed.passed_unnoticed += passed;
        if self.connections[at].owed.unsubscribe(filter) > 0 {
            self.log.count("subscription ended with something not sent");
        } else {
            self.log.count("subscription ended");
        }
    }

    /// A client loses all its sessions, and may listen to less when it comes back.
    pub(crate) fn revoke(&mut self) {
        let name = one_of(&mut self.random, &CLIENTS);
        let Some(sessions) = self.sessions_of_client(name) else { return };
        let client = ClientId::new(name).unwrap();
        let now = self.now;
        let broker = &mut self.server.shards[shard_of(name, self.server.count)];
        match broker.client_mut(&client).revoke(now) {
            Ok(count) => assert_eq!(count, sessions.len()),
            Err(RevokeError::UnknownClient) => assert!(sessions.is_empty()),
            Err(error) => panic!("{error}"),
        }
        for (_, at) in sessions {
            self.take_away(at);
        }
        for reader in self.readers.iter_mut().filter(|one| one.reading.client == Some(name)) {
            let wanted: Vec<Filter> = reader.wants.keys().copied().collect();
            if !wanted.is_empty() && !reader.reading.is_of_answer {
                reader.wants.remove(&one_of(&mut self.random, &wanted));
            }
        }
        self.drain_events();
    }

    /// A client loses a topic.
    pub(crate) fn revoke_topic(&mut self) {
        let name = one_of(&mut self.random, &CLIENTS);
        let Some(sessions) = self.sessions_of_client(name) else { return };
        let mut topics = TOPICS.to_vec();
        for (_, at) in &sessions {
            // Rather one of those of which something is to come.
            let due = self.connections[*at].owed.pending.values().flatten();
            topics.extend(due.flat_map(|filter| match filter {
                Filter::Topic(topic) => vec![*topic; 8],
                _ => Vec::new(),
            }));
        }
        let topic = one_of(&mut self.random, &topics);
        let client = ClientId::new(name).unwrap();
        let now = self.now;
        let broker = &mut self.server.shards[shard_of(name, self.server.count)];
        let result = broker.client_mut(&client).revoke_topic(now, &TopicName::new(topic).unwrap());
        self.note(|| format!("{name} may not hear {topic}: {result:?}"));
        let hears = |filter: &Filter| filter.hears(crate::filter::Address::Named(topic));
        let mut heard = 0;
        for (_, at) in &sessions {
            let owed = &self.connections[*at].owed;
            if owed.hears(|filter| filter.is_pattern() && hears(filter)) {
                heard += 1;
                self.take_away(*at);
                self.log.count("revoked: a topic that a pattern matches");
            } else if owed.hears(hears) {
                heard += 1;
                let passed = self.passed_unnoticed(*at, Filter::Topic(topic));
                self.connections[*at].owed.passed_unnoticed += passed;
                if self.connections[*at].owed.unsubscribe(Filter::Topic(topic)) > 0 {
                    self.log.count("revoked: a topic with something not sent");
                }
                self.log.count("revoked: a topic");
            }
        }
        match result {
            Ok(count) => assert_eq!(count, heard),
            Err(RevokeError::UnknownClient) => assert!(sessions.is_empty()),
            Err(error) => panic!("{error}"),
        }
        for reader in self.readers.iter_mut().filter(|one| one.reading.client == Some(name)) {
            reader.wants.retain(|filter, _| !hears(filter));
        }
        self.drain_events();
    }

    fn take_away(&mut self, at: usize) {
        let state = &mut self.connections[at];
        state.is_revoked = true;
        self.log.count(match (state.owed.pending.is_empty(), state.remainder.is_empty()) {
            (true, _) => "revoked: a session",
            (false, true) => "revoked: a session with something not sent",
            (false, false) => "revoked: a session with half a frame written",
        });
    }

    /// The open sessions of a reader, in their connections.
    fn sessions_of(&self, reader: usize) -> Vec<(SessionId, usize)> {
        let of_reader = |(_, at): &(SessionId, usize)| self.connections[*at].reader == reader;
        self.server.open_sessions().filter(of_reader).collect()
    }

    /// The open sessions of a client; `None` while the server is down.
    fn sessions_of_client(&self, client: &str) -> Option<BTreeSet<(SessionId, usize)>> {
        let of_client = |(_, at): &(SessionId, usize)| {
            self.readers[self.connections[*at].reader].reading.client == Some(client)
        };
        (!self.server.shards.is_empty())
            .then(|| self.server.open_sessions().filter(of_client).collect())
    }

    /// Something that the application does between taking a batch and writing it. Says whether
    /// there was anything.
    pub(crate) fn act_between(&mut self, at: usize) -> bool {
        let acts = !self.is_healed && chance(&mut self.random, self.scenario.busy);
        if acts {
            let reader = self.connections[at].reader;
            self.log.count("something between a batch and its write");
            match self.random.below(6) {
                0 => self.subscribe_live(reader),
                1 => self.unsubscribe_live(reader),
                2 => self.revoke(),
                3 => self.revoke_topic(),
                _ => self.publish(),
            }
        }
        acts
    }
}

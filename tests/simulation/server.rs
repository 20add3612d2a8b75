//! The server: its shards, its connections, and its restarts.

use crate::network::{End, Item, take_blocks};
use crate::scenario::{Restart, Scenario, TOPICS, chance, millis, one_of, shard_of, up_to};
use crate::truth::{Address, Audience};
use crate::world::{Happening, World};
use bytes::Bytes;
use http::{Request, Response};
use sansse::broker::{
    Batch, BatchEnd, Broker, BrokerConfig, BrokerEvent, ClientId, Drain, EndReason, Epoch,
    FrameForm, LagPolicy, OpenError, Opened, PublishError, Published, Sequencer, SessionId,
    SessionRequest, Topic, TopicName, TopicPattern, Transmit,
};
use sansse::client::FailureKind;
use sansse::http::{ResponseHead, accept};
use sansse::{Event, EventId, event_type};
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::time::Instant;

pub(crate) struct Server {
    /// None while the process is down.
    pub(crate) shards: Vec<Broker>,
    count: usize,
    config: BrokerConfig,
    /// Numbers for all shards, where there are several.
    sequencer: Sequencer,
    /// What was published in this epoch, as somebody outside keeps it.
    published: Vec<Published>,
    /// For each shard, what others have already, and when it gets it.
    pending: Vec<VecDeque<(Instant, Announced)>>,
    /// Which shards have had a session in this process.
    is_used: Vec<bool>,
    /// Each session of this process, its connection, and its end.
    sessions: BTreeMap<SessionId, (usize, Option<EndReason>)>,
    process: u32,
    is_draining: bool,
    batch: Batch,
}

/// What was published, and what is to be remembered of it.
#[derive(Clone)]
struct Announced {
    published: Published,
    address: Address,
    is_comment: bool,
    own_id: Option<String>,
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
            batch: Batch::new(FrameForm::Payload),
        };
        server.start(now);
        server
    }

    fn start(&mut self, now: Instant) {
        self.is_used = vec![false; self.count];
        self.is_draining = false;
        let shards = u16::try_from(self.count).unwrap();
        let broker = |shard| {
            let mut config = self.config.clone();
            (config.shard, config.shards) = (shard, NonZeroU16::new(shards).unwrap());
            Broker::new(now, config).unwrap()
        };
        self.shards = (0..shards).map(broker).collect();
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

    fn broker(&mut self, session: SessionId) -> &mut Broker {
        &mut self.shards[usize::from(session.shard())]
    }

    fn check_all_ended(&self) {
        for (session, (_, end)) in &self.sessions {
            assert!(end.is_some(), "session {session} has not ended");
        }
    }
}

impl World {
    /// Publishes something to somebody.
    pub(crate) fn publish(&mut self) {
        let sessions: Vec<(SessionId, usize)> =
            self.server.sessions.iter().map(|(id, (at, _))| (*id, *at)).collect();
        let address = match self.random.below(10) {
            0..5 => Address::All,
            5..7 => Address::Named(one_of(&mut self.random, &TOPICS)),
            7..9 => Address::Client(one_of(&mut self.random, &["ann", "ben"])),
            _ if sessions.is_empty() => Address::All,
            _ => Address::Connection(one_of(&mut self.random, &sessions).1),
        };
        let is_comment = chance(&mut self.random, 8);
        self.publish_to(address, is_comment);
    }

    pub(crate) fn publish_to_all(&mut self) {
        // What is kept by age, or room, may be too little for any event.
        self.publish_to(Address::All, false);
    }

    fn publish_to(&mut self, address: Address, is_comment: bool) {
        if self.server.shards.is_empty() {
            return;
        }
        // The shard that alone knows whether there is somebody to get it, if one does.
        let (topic, first): (Topic, usize) = match address {
            Address::All => (Topic::Broadcast, 0),
            Address::Named(name) => (TopicName::new(name).unwrap().into(), 0),
            Address::Client(name) => {
                (ClientId::new(name).unwrap().into(), shard_of(name, self.server.count))
            }
            Address::Connection(connection) => match self.connections[connection].session {
                Some(session) => (session.into(), session.shard().into()),
                None => return,
            },
        };
        while !self.server.pending[first].is_empty() {
            self.apply_next(first);
        }
        let number = self.truths[first].events.len();
        let padding = "x".repeat(self.random.below(self.scenario.padding + 1));
        let text = format!("#{number} {padding}");
        let is_own = !is_comment && chance(&mut self.random, self.scenario.own_ids);
        let own_id = is_own.then(|| format!("own-{number}"));
        let mut event = if is_comment { Event::comment(text) } else { Event::new(text) };
        if let Some(id) = &own_id {
            event = event.with_id(EventId::new(id.clone()).unwrap());
        }
        let broker = &mut self.server.shards[first];
        let result = if self.server.count == 1 {
            broker.publish(self.now, topic, &event)
        } else {
            let mut sequencer = self.server.sequencer.clone();
            let published = broker.check_addressee(&topic).and_then(|()| {
                let published = sequencer.publish(topic, &event);
                broker.apply(self.now, &published).map(|()| published)
            });
            if published.is_ok() {
                self.server.sequencer = sequencer;
            }
            published
        };
        match result {
            Ok(published) => {
                let began = self.truths[first].life_began;
                assert_eq!(published.position(), (number - began + 1) as u64);
                self.server.published.push(published.clone());
                let announced = Announced { published, address, is_comment, own_id };
                self.record(first, &announced);
                for shard in (0..self.server.count).filter(|shard| *shard != first) {
                    self.apply_later(shard, announced.clone());
                }
                self.note(|| format!("published #{number} to {address:?}"));
            }
            Err(
                PublishError::UnknownClient
                | PublishError::UnknownSession
                | PublishError::TooLarge { .. }
                | PublishError::Closed,
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn apply_later(&mut self, shard: usize, announced: Announced) {
        let delay = up_to(&mut self.random, self.scenario.apply_delay);
        let last = self.server.pending[shard].back().map(|(at, _)| *at);
        let at = last.map_or(self.now + delay, |last| last.max(self.now + delay));
        self.server.pending[shard].push_back((at, announced));
        if at > self.now {
            self.log.count("event that comes to a shard later");
            self.after(at - self.now, Happening::Applies(shard));
        } else {
            self.apply_next(shard);
        }
    }

    pub(crate) fn apply_due(&mut self, shard: usize) {
        while self.server.pending[shard].front().is_some_and(|(at, _)| *at <= self.now) {
            self.apply_next(shard);
        }
    }

    fn apply_next(&mut self, shard: usize) {
        let (_, announced) = self.server.pending[shard].pop_front().unwrap();
        let broker = &mut self.server.shards[shard];
        match broker.apply(self.now, &announced.published) {
            Ok(()) | Err(PublishError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
        self.record(shard, &announced);
        if matches!(announced.address, Address::Client(_)) && !self.server.is_used[shard] {
            self.truths[shard].forget_all_clients();
        }
    }

    /// Takes note of what a shard was given.
    fn record(&mut self, shard: usize, announced: &Announced) {
        let Announced { published, address, is_comment, own_id } = announced;
        let size = published.frame().chunk().len();
        let truth = &mut self.truths[shard];
        truth.publish(self.now, *address, size, *is_comment);
        if let Some(id) = own_id {
            truth.owns(id.clone());
        }
        // With an id of its own, it is the place of whoever comes next.
        truth.place(format!("{:x}-{}", published.epoch().0, published.position()));
    }

    /// Answers the request of a connection.
    pub(crate) fn answer(&mut self, at: usize, request: &Request<Bytes>) {
        if self.server.shards.is_empty() {
            return self.send(at, Item::End(End::Failure(FailureKind::Connect)));
        }
        let accepted = accept(request).expect("the client asks as it should");
        let reading = &self.readers[self.connections[at].reader].reading;
        let mut session =
            SessionRequest::new().with_last_event_id(accepted.last_event_id().clone());
        let shard = match reading.client {
            Some(client) => shard_of(client, self.server.count),
            None => self.random.below(self.server.count),
        };
        let state = &self.readers[self.connections[at].reader];
        if state.latest_shard.is_some_and(|latest| latest != shard) {
            self.log.count("reader that comes to another shard");
        }
        self.connections[at].shard = shard;
        if let Some(client) = reading.client {
            session = session.with_client(ClientId::new(client).unwrap());
        }
        for topic in &reading.topics {
            session = session.with_topic(TopicName::new(topic).unwrap());
        }
        for pattern in &reading.patterns {
            session = session.with_pattern(TopicPattern::new(pattern).unwrap());
        }
        if let Some(lease) = reading.lease {
            session = session.with_lease(self.now + lease);
        }
        if reading.announces {
            session = session.with_announcement(event_type!("resume"));
        }
        if let Some(lag) = reading.lag {
            session = session.with_lag(lag);
        }
        if self.scenario.opening_comment {
            session = session.with_opening_comment("welcome");
        }
        let announces = reading.announces;
        match self.server.shards[shard].open(self.now, session) {
            Ok(opened) => {
                self.server.is_used[shard] = true;
                self.readers[self.connections[at].reader].latest_shard = Some(shard);
                let id = accepted.last_event_id().id().map_or("", EventId::as_str).to_owned();
                self.begin_session(at, opened, &id, announces);
                let head = ResponseHead::new().response(request.headers());
                self.send(at, Item::Head(head));
                let state = &mut self.connections[at];
                state.is_stream = true;
                if self.is_healed && (state.is_broken || state.is_old) {
                    self.after(millis(100), Happening::ServerNotices(at));
                }
                self.serve(at);
            }
            Err(error @ (OpenError::TooManySessions | OpenError::Closed | OpenError::Draining)) => {
                self.log.count(match error {
                    OpenError::TooManySessions => "too many sessions",
                    _ => "asked while the server goes",
                });
                let wait = self.server.shards[shard].retry_after(self.now, &error).unwrap();
                let wait = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let head = Response::builder().status(503).header("retry-after", wait);
                self.send(at, Item::Head(head.body(()).unwrap()));
                self.send(at, Item::Bytes(Bytes::from_static(b"come back later")));
                self.send(at, Item::End(End::Eof));
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn begin_session(&mut self, at: usize, opened: Opened, id: &str, announces: bool) {
        let audience = self.audience(at);
        let mut plan = self.truth(at).plan(self.now, &audience, id);
        let outcome = opened.resume.as_str();
        self.note(|| format!("connection {at} resumes after {id:?}: {:?}", opened.resume));
        if outcome == "gap" && plan.outcome == "complete" && plan.or_gap {
            self.log.count("resume: gap told in vain");
            plan = self.truth(at).gap(plan);
        } else if outcome == "gap" && plan.outcome == "gap" {
            plan = self.truth(at).gap(plan);
        }
        assert_eq!((outcome, opened.resume.replayed()), (plan.outcome, plan.replayed));
        self.log.count(match (outcome, plan.replayed) {
            ("live", _) => "resume: live",
            ("complete", 0) => "resume: complete, nothing to replay",
            ("complete", _) => "resume: complete, with a replay",
            ("gap", 0) => "resume: gap",
            ("gap", _) => "resume: gap, and more kept after it",
            ("ahead", _) => "resume: ahead",
            ("unknown", _) => "resume: unknown",
            _ => "resume: other-epoch",
        });
        let is_second = |(other, end): &(usize, Option<EndReason>)| {
            let reader = self.connections[*other].reader;
            end.is_none() && reader == self.connections[at].reader
        };
        if self.server.sessions.values().any(is_second) {
            self.log.count("two sessions of one reader");
        }
        let state = &mut self.connections[at];
        state.session = Some(opened.session);
        state.outcome = outcome;
        state.announcement =
            announces.then(|| format!(r#"{{"outcome":"{outcome}","replayed":{}}}"#, plan.replayed));
        state.begins_anew =
            matches!(outcome, "unknown" | "ahead" | "other-epoch") && plan.replayed > 0;
        state.next = plan.first;
        state.transmitted = plan.first;
        state.excused = plan.excused;
        let before = self.server.sessions.insert(opened.session, (at, None));
        assert!(before.is_none(), "a session's id is used twice");
        self.drain_events();
    }

    pub(crate) fn audience(&self, at: usize) -> Audience {
        let reading = &self.readers[self.connections[at].reader].reading;
        let is_heard = |topic: &&str| reading.times_heard(topic) > 0;
        let topics = TOPICS.into_iter().filter(is_heard).collect();
        Audience { client: reading.client, topics, connection: at }
    }

    /// Serves the sessions that have output again.
    pub(crate) fn serve_ready(&mut self) {
        self.drain_events();
        while let Some(session) = self.server.shards.iter_mut().find_map(Broker::poll_ready) {
            let (at, _) = self.server.sessions[&session];
            assert!(
                self.connections[at].session == Some(session),
                "ready, though its driver said that it is gone"
            );
            self.serve(at);
        }
        self.drain_events();
    }

    /// Writes what the connection takes.
    pub(crate) fn serve(&mut self, at: usize) {
        loop {
            let state = &mut self.connections[at];
            state.is_parked = false;
            let Some(session) = state.session else { return };
            if state.is_server_cut() {
                return self.break_at_server(at);
            }
            let room = state.room(self.scenario.window);
            if !state.remainder.is_empty() {
                if room == 0 {
                    // It ends although not everything was written, if it has ended.
                    return self.notice_end(at, session);
                }
                let part = state.remainder.split_to(room.min(state.remainder.len()));
                self.write(at, &part);
                self.server.broker(session).handle_progress(self.now, session);
                continue;
            }
            if room == 0 {
                return self.notice_end(at, session);
            }
            let end = match self.scenario.batch {
                None => self.take_frame(at, session),
                Some(limit) => self.take_batch(at, session, limit, room),
            };
            match end {
                _ if self.connections[at].is_server_cut() => return self.break_at_server(at),
                Taken::More => {}
                Taken::Parked => {
                    self.connections[at].is_parked = true;
                    return;
                }
                Taken::End(reason) => return self.finish(at, session, reason),
            }
        }
    }

    /// A session that stalled has ended while its driver waited for room.
    fn notice_end(&mut self, at: usize, session: SessionId) {
        let broker = self.server.broker(session);
        if !broker.is_open(session) {
            let end = match broker.poll_transmit(self.now, session) {
                Some(Transmit::End(reason)) => reason,
                other => panic!("{other:?} of a session that has ended"),
            };
            self.finish(at, session, end);
        }
    }

    fn take_frame(&mut self, at: usize, session: SessionId) -> Taken {
        let broker = self.server.broker(session);
        let taken = match broker.poll_transmit(self.now, session) {
            None => Taken::Parked,
            Some(Transmit::End(reason)) => Taken::End(reason),
            Some(Transmit::Frame(frame)) => {
                self.connections[at].remainder = frame.payload();
                Taken::More
            }
        };
        self.drain_events();
        let frame = self.connections[at].remainder.to_vec();
        self.transmit(at, frame);
        taken
    }

    fn take_batch(&mut self, at: usize, session: SessionId, limit: usize, room: usize) -> Taken {
        let mut batch = std::mem::replace(&mut self.server.batch, Batch::new(FrameForm::Payload));
        let broker = self.server.broker(session);
        let end = broker.poll_transmit_batch(self.now, session, limit, &mut batch);
        self.drain_events();
        let mut written = room.min(batch.len());
        if written > 0 && chance(&mut self.random, 20) {
            written -= self.random.below(written);
        }
        self.write(at, &batch.as_slice()[..written]);
        let mut whole = batch.as_slice()[..written].to_vec();
        let taken = if written < batch.len() {
            let broker = self.server.broker(session);
            let rest = broker.handle_partial_write(self.now, session, &batch, written);
            whole.extend_from_slice(&rest);
            self.connections[at].remainder = rest;
            Taken::More
        } else {
            match end {
                BatchEnd::Full => Taken::More,
                BatchEnd::Parked => Taken::Parked,
                BatchEnd::End(reason) => Taken::End(reason),
            }
        };
        self.transmit(at, whole);
        self.server.batch = batch;
        taken
    }

    /// Takes note of which events were taken from the broker for good.
    fn transmit(&mut self, at: usize, mut bytes: Vec<u8>) {
        for block in take_blocks(&mut bytes) {
            if let Some(event) = block.event {
                let state = &mut self.connections[at];
                assert!(event >= state.transmitted, "#{event} is sent again in one stream");
                state.transmitted = event + 1;
            }
        }
        assert!(bytes.is_empty(), "a frame is not whole");
    }

    /// Ends the body in good order.
    fn finish(&mut self, at: usize, session: SessionId, reason: Option<EndReason>) {
        self.drain_events();
        let (_, told) = self.server.sessions[&session];
        assert!(reason.is_some() && reason == told, "it ended as {told:?}, and says {reason:?}");
        let broker = self.server.broker(session);
        let again = broker.poll_transmit(self.now, session);
        assert_eq!(again, Some(Transmit::End(None)), "a reason is told once");
        self.connections[at].session = None;
        if self.connections[at].remainder.is_empty() {
            self.send(at, Item::End(End::Eof));
        } else {
            self.send(at, Item::End(End::Failure(FailureKind::Truncated)));
        }
    }

    pub(crate) fn server_notices(&mut self, at: usize) {
        if let Some(session) = self.connections[at].session.take()
            && !self.server.shards.is_empty()
        {
            self.server.broker(session).handle_disconnect(self.now, session);
            self.drain_events();
        }
    }

    fn drain_events(&mut self) {
        for shard in 0..self.server.shards.len() {
            self.drain_events_of(shard);
        }
    }

    fn drain_events_of(&mut self, shard: usize) {
        while let Some(event) = self.server.shards[shard].poll_event() {
            match event {
                BrokerEvent::SessionOpened { session, resume, .. } => {
                    let (at, end) = self.server.sessions[&session];
                    assert!(end.is_none());
                    assert_eq!(resume.as_str(), self.connections[at].outcome);
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
                        _ => "end: otherwise",
                    });
                }
                BrokerEvent::LeaseExpiring { session, until, .. } => {
                    assert!(until > self.now, "asked too late");
                    if self.is_healed || chance(&mut self.random, 60) {
                        self.log.count("lease renewed");
                        let until = until + millis(4_000);
                        self.server.broker(session).renew_lease(self.now, session, until).unwrap();
                    }
                }
                BrokerEvent::SessionSkipped { session, lost, .. } => self.skip(session, lost),
                BrokerEvent::ClientLeft { client } => {
                    self.truths[shard].forget_client(client.as_str());
                }
                _ => {}
            }
        }
    }

    /// A session was made to skip: as many events as it says, and those that it should.
    fn skip(&mut self, session: SessionId, lost: u64) {
        let (at, end) = self.server.sessions[&session];
        assert!(end.is_none());
        let audience = self.audience(at);
        let reading = &self.readers[self.connections[at].reader].reading;
        let to_newest =
            reading.lag.unwrap_or(self.server.config.lag.policy) == LagPolicy::SkipToNewest;
        let state = &self.connections[at];
        let is_for_it = |event| state.through.is_none_or(|through| event < through);
        let skipped = |to_newest| {
            let truth = self.truth(at);
            let mut skipped = truth.skipped(self.now, &audience, state.transmitted, to_newest);
            skipped.retain(|event| is_for_it(*event) && !state.excused.contains(event));
            skipped
        };
        let mut lost_now = skipped(false);
        let hears_patterns = !reading.patterns.is_empty();
        if to_newest {
            // In each topic of which it has lost something, and what a pattern matches is one.
            let is_named = |event: usize| matches!(self.truth(at).to(event), Address::Named(_));
            let is_lost = |event: &usize| {
                lost_now.iter().any(|lost| {
                    self.truth(at).to(*lost) == self.truth(at).to(*event)
                        || (hears_patterns && is_named(*lost) && is_named(*event))
                })
            };
            lost_now = skipped(true).into_iter().filter(is_lost).collect();
        }
        let skipped = lost_now;
        self.note(|| format!("connection {at} skips {skipped:?}"));
        // What several of its subscriptions were for counts for each, at most.
        let times = |event: &usize| match self.truth(at).events[*event].to {
            Address::Named(topic) => reading.times_heard(topic),
            _ => 1,
        };
        let most = skipped.iter().map(times).sum::<usize>() as u64;
        // Of a session whose time was over some time ago, nobody here knows when.
        let is_timed = self.server.config.max_session_age.is_some() || self.server.is_draining;
        // And not every topic need have been lost of what a pattern matches.
        let is_timed = is_timed || (to_newest && hears_patterns);
        let least = if is_timed { 1 } else { skipped.len() as u64 };
        assert!((least..=most).contains(&lost), "{lost} skipped, and not {skipped:?}");
        self.log.count(if to_newest { "skip to the newest" } else { "skip to the oldest" });
        self.connections[at].excused.extend(skipped);
    }

    pub(crate) fn close_any_session(&mut self) {
        let open: Vec<SessionId> =
            self.connections.iter().filter_map(|connection| connection.session).collect();
        if !self.server.shards.is_empty() && !open.is_empty() {
            let session = one_of(&mut self.random, &open);
            if self.server.broker(session).close_session(self.now, session) {
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
        if self.server.is_draining || self.server.shards.first().is_none_or(Broker::is_closed) {
            return;
        }
        if restart == Restart::Drained {
            self.log.count("restart: drained");
            self.server.is_draining = true;
            let over = one_of(&mut self.random, &[millis(0), millis(1_000), millis(4_000)]);
            let drain = Drain::new(over).with_patience(millis(500));
            let drain = drain.with_retry(millis(700), millis(2_000));
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

    /// Whoever has not taken the end by now is cut off.
    pub(crate) fn lose_patience(&mut self, process: u32) {
        if process != self.server.process {
            return;
        }
        for broker in &mut self.server.shards {
            assert!(broker.is_drained() == self.server.is_draining);
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
                self.record(shard, &announced);
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
                    broker.apply(self.now, published).unwrap();
                }
            }
            for truth in &mut self.truths {
                let first = truth.events.len() - (all - lost);
                truth.restore(self.now, first);
            }
            self.server.published.drain(..lost);
        } else {
            let epoch = Epoch(self.server.config.epoch.0 + 1);
            self.server.config.epoch = epoch;
            self.server.sequencer = Sequencer::new(epoch, 0, self.server.config.event_ids);
            self.server.start(self.now);
            self.server.published.clear();
            self.truths.iter_mut().for_each(|truth| truth.begin_life(epoch));
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
            assert_eq!(broker.session_count(), 0);
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

enum Taken {
    More,
    Parked,
    End(Option<EndReason>),
}

//! The server: a broker, its connections, and its restarts.

use crate::network::{End, Item, take_blocks};
use crate::scenario::{Restart, chance, millis, one_of, up_to};
use crate::truth::{Address, Audience};
use crate::world::{Happening, World};
use bytes::Bytes;
use http::{Request, Response};
use sansse::broker::{
    Batch, BatchEnd, Broker, BrokerConfig, BrokerEvent, ClientId, EndReason, Epoch, FrameForm,
    LagPolicy, OpenError, Opened, PublishError, Published, SessionId, SessionRequest, Topic,
    TopicName, Transmit,
};
use sansse::client::FailureKind;
use sansse::http::{ResponseHead, accept};
use sansse::{Event, EventId, event_type};
use std::collections::BTreeMap;
use std::time::Instant;

pub(crate) struct Server {
    /// `None` while the process is down.
    pub(crate) broker: Option<Broker>,
    config: BrokerConfig,
    /// What was published in this epoch, as somebody outside keeps it.
    published: Vec<Published>,
    /// Each session of this process, its connection, and its end.
    sessions: BTreeMap<SessionId, (usize, Option<EndReason>)>,
    process: u32,
    batch: Batch,
}

impl Server {
    pub(crate) fn new(now: Instant, config: &BrokerConfig) -> Self {
        Self {
            broker: Some(Broker::new(now, config.clone()).unwrap()),
            config: config.clone(),
            published: Vec::new(),
            sessions: BTreeMap::new(),
            process: 0,
            batch: Batch::new(FrameForm::Payload),
        }
    }

    /// The broker, and nothing that shares what it holds.
    pub(crate) fn take_broker(&mut self) -> Option<Broker> {
        self.published.clear();
        self.broker.take()
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
            5..7 => Address::Named(one_of(&mut self.random, &crate::scenario::TOPICS)),
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
        let Some(broker) = &mut self.server.broker else { return };
        let number = self.truth.events.len();
        let padding = "x".repeat(self.random.below(self.scenario.padding + 1));
        let text = format!("#{number} {padding}");
        let is_own = !is_comment && chance(&mut self.random, self.scenario.own_ids);
        let own_id = format!("own-{number}");
        let event = if is_comment { Event::comment(text) } else { Event::new(text) };
        let event =
            if is_own { event.with_id(EventId::new(own_id.clone()).unwrap()) } else { event };
        let topic = match address {
            Address::All => Topic::Broadcast,
            Address::Named(name) => TopicName::new(name).unwrap().into(),
            Address::Client(name) => ClientId::new(name).unwrap().into(),
            Address::Connection(connection) => match self.connections[connection].session {
                Some(session) => session.into(),
                None => return,
            },
        };
        match broker.publish(self.now, topic, &event) {
            Ok(published) => {
                let position = published.position();
                assert_eq!(position, (number - self.truth.life_began + 1) as u64);
                let size = published.frame().chunk().len();
                self.truth.publish(self.now, address, size, is_comment);
                if is_own {
                    self.truth.owns(own_id);
                } else {
                    self.truth.place(format!("{:x}-{position}", published.epoch().0));
                }
                self.server.published.push(published);
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

    /// Answers the request of a connection.
    pub(crate) fn answer(&mut self, at: usize, request: &Request<Bytes>) {
        let Some(broker) = &mut self.server.broker else {
            return self.send(at, Item::End(End::Failure(FailureKind::Connect)));
        };
        let accepted = accept(request).expect("the client asks as it should");
        let reading = &self.readers[self.connections[at].reader].reading;
        let mut session =
            SessionRequest::new().with_last_event_id(accepted.last_event_id().clone());
        if let Some(client) = reading.client {
            session = session.with_client(ClientId::new(client).unwrap());
        }
        for topic in &reading.topics {
            session = session.with_topic(TopicName::new(topic).unwrap());
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
        match broker.open(self.now, session) {
            Ok(opened) => {
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
            Err(OpenError::TooManySessions | OpenError::Closed) => {
                self.log.count("too many sessions");
                let head = Response::builder().status(503).header("retry-after", "1");
                self.send(at, Item::Head(head.body(()).unwrap()));
                self.send(at, Item::Bytes(Bytes::from_static(b"come back later")));
                self.send(at, Item::End(End::Eof));
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn begin_session(&mut self, at: usize, opened: Opened, id: &str, announces: bool) {
        let audience = self.audience(at);
        let mut plan = self.truth.plan(self.now, &audience, id);
        let outcome = opened.resume.as_str();
        self.note(|| format!("connection {at} resumes after {id:?}: {:?}", opened.resume));
        if outcome == "gap" && plan.outcome == "complete" && plan.or_gap {
            self.log.count("resume: gap told in vain");
            plan = self.truth.gap(plan);
        } else if outcome == "gap" && plan.outcome == "gap" {
            plan = self.truth.gap(plan);
        }
        assert_eq!((outcome, opened.resume.replayed()), (plan.outcome, plan.replayed));
        self.log.count(match (outcome, plan.replayed) {
            ("live", _) => "resume: live",
            ("complete", 0) => "resume: complete, nothing to replay",
            ("complete", _) => "resume: complete, with a replay",
            ("gap", 0) => "resume: gap",
            ("gap", _) => "resume: gap, and more kept after it",
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
        // An id stands for what was published before the session, where no replayed event does.
        let epoch = self.server.config.epoch.0;
        let last = self.truth.events.len() - self.truth.life_began;
        self.truth.place(format!("{epoch:x}-{last}"));
        let state = &mut self.connections[at];
        state.session = Some(opened.session);
        state.outcome = outcome;
        state.announcement =
            announces.then(|| format!(r#"{{"outcome":"{outcome}","replayed":{}}}"#, plan.replayed));
        state.begins_anew = matches!(outcome, "unknown" | "other-epoch") && plan.replayed > 0;
        state.next = plan.first;
        state.transmitted = plan.first;
        state.excused = plan.excused;
        let before = self.server.sessions.insert(opened.session, (at, None));
        assert!(before.is_none(), "a session's id is used twice");
        self.drain_events();
    }

    pub(crate) fn audience(&self, at: usize) -> Audience {
        let reading = &self.readers[self.connections[at].reader].reading;
        Audience { client: reading.client, topics: reading.topics.clone(), connection: at }
    }

    /// Serves the sessions that have output again.
    pub(crate) fn serve_ready(&mut self) {
        self.drain_events();
        while let Some(session) = self.server.broker.as_mut().and_then(Broker::poll_ready) {
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
                self.server.broker.as_mut().unwrap().handle_progress(self.now, session);
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
        let broker = self.server.broker.as_mut().unwrap();
        if !broker.is_open(session) {
            let end = match broker.poll_transmit(self.now, session) {
                Some(Transmit::End(reason)) => reason,
                other => panic!("{other:?} of a session that has ended"),
            };
            self.finish(at, session, end);
        }
    }

    fn take_frame(&mut self, at: usize, session: SessionId) -> Taken {
        let broker = self.server.broker.as_mut().unwrap();
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
        let broker = self.server.broker.as_mut().unwrap();
        let end = broker.poll_transmit_batch(self.now, session, limit, &mut batch);
        self.drain_events();
        let mut written = room.min(batch.len());
        if written > 0 && chance(&mut self.random, 20) {
            written -= self.random.below(written);
        }
        self.write(at, &batch.as_slice()[..written]);
        let mut whole = batch.as_slice()[..written].to_vec();
        let taken = if written < batch.len() {
            let broker = self.server.broker.as_mut().unwrap();
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
        let broker = self.server.broker.as_mut().unwrap();
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
            && let Some(broker) = &mut self.server.broker
        {
            broker.handle_disconnect(self.now, session);
            self.drain_events();
        }
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.server.broker.as_mut().and_then(Broker::poll_event) {
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
                        _ => "end: otherwise",
                    });
                }
                BrokerEvent::SessionSkipped { session, lost, .. } => self.skip(session, lost),
                BrokerEvent::ClientLeft { client } => self.truth.forget_client(client.as_str()),
                _ => {}
            }
        }
    }

    /// A session was made to skip: as many events as it says, and those that it should.
    fn skip(&mut self, session: SessionId, lost: u64) {
        let (at, end) = self.server.sessions[&session];
        assert!(end.is_none());
        let audience = self.audience(at);
        let lag = self.readers[self.connections[at].reader].reading.lag;
        let to_newest = lag.unwrap_or(self.server.config.lag.policy) == LagPolicy::SkipToNewest;
        let state = &self.connections[at];
        let is_for_it = |event| state.through.is_none_or(|through| event < through);
        let skipped = |to_newest| {
            let mut skipped = self.truth.skipped(self.now, &audience, state.transmitted, to_newest);
            skipped.retain(|event| is_for_it(*event) && !state.excused.contains(event));
            skipped
        };
        let mut lost_now = skipped(false);
        if to_newest {
            // In each topic of which it has lost something.
            let is_lost = |event: &usize| {
                lost_now.iter().any(|lost| self.truth.to(*lost) == self.truth.to(*event))
            };
            let all = skipped(true);
            lost_now = all.iter().copied().filter(is_lost).collect();
        }
        let skipped = lost_now;
        self.note(|| format!("connection {at} skips {skipped:?}"));
        assert_eq!(lost, skipped.len() as u64, "skipped {skipped:?}");
        self.log.count(if to_newest { "skip to the newest" } else { "skip to the oldest" });
        self.connections[at].excused.extend(skipped);
    }

    pub(crate) fn close_any_session(&mut self) {
        let open: Vec<SessionId> =
            self.connections.iter().filter_map(|connection| connection.session).collect();
        if let Some(broker) = &mut self.server.broker
            && !open.is_empty()
        {
            let session = one_of(&mut self.random, &open);
            if broker.close_session(self.now, session) {
                self.ends_through(|other| other == session);
            }
        }
    }

    fn ends_through(&mut self, ends: impl Fn(SessionId) -> bool) {
        let next = self.truth.events.len();
        for connection in &mut self.connections {
            if connection.session.is_some_and(&ends) {
                connection.through.get_or_insert(next);
            }
        }
    }

    pub(crate) fn restart(&mut self, restart: Restart) {
        let Some(broker) = &mut self.server.broker else { return };
        if broker.is_closed() {
            return;
        }
        if restart == Restart::InGoodOrder {
            broker.close(self.now);
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
        self.server.broker = None;
        self.server.process += 1;
        let down = up_to(&mut self.random, millis(3_000));
        self.after(down, Happening::ServerStarts(restart));
    }

    /// Whoever has not taken the end by now is cut off.
    pub(crate) fn lose_patience(&mut self, process: u32) {
        if process != self.server.process {
            return;
        }
        let broker = self.server.broker.as_mut().unwrap();
        broker.abort(self.now);
        self.serve_ready();
        self.server.check_all_ended();
        self.server.broker = None;
        self.server.process += 1;
        self.after(millis(50), Happening::ServerStarts(Restart::InGoodOrder));
    }

    pub(crate) fn start_server(&mut self, restart: Restart) {
        self.log.count(match restart {
            Restart::Anew => "restart: another epoch",
            Restart::Restored => "restart: history restored",
            Restart::Network => "restart: network only",
            Restart::InGoodOrder => "restart: in good order",
        });
        self.note(|| format!("the server starts: {restart:?}"));
        self.server.sessions.clear();
        if restart == Restart::Restored {
            let all = self.server.published.len();
            // The newest is always known, or positions would be used again.
            let lost = if chance(&mut self.random, 50) { 0 } else { self.random.below(all.max(1)) };
            let mut broker = Broker::new(self.now, self.server.config.clone()).unwrap();
            for published in &self.server.published[lost..] {
                broker.apply(self.now, published).unwrap();
            }
            self.server.broker = Some(broker);
            let first = self.truth.events.len() - (all - lost);
            self.truth.restore(self.now, first);
            self.server.published.drain(..lost);
        } else {
            self.server.config.epoch = Epoch(self.server.config.epoch.0 + 1);
            self.server.broker = Some(Broker::new(self.now, self.server.config.clone()).unwrap());
            self.server.published.clear();
            self.truth.begin_life();
        }
    }

    /// Everything ends, each session once, and then nothing is due for ever.
    pub(crate) fn end(&mut self) {
        for reader in &mut self.readers {
            reader.client.close(self.now);
            assert!(reader.client.poll_timeout().is_none() && reader.client.attempt().is_none());
        }
        if let Some(broker) = &mut self.server.broker {
            broker.abort(self.now);
            assert_eq!(broker.session_count(), 0);
        }
        self.serve_ready();
        self.server.check_all_ended();
        let broker = self.server.broker.as_mut().unwrap();
        // A session that parked just now may have been due for a heartbeat at once.
        broker.handle_timeout(self.now);
        for deadline in 0.. {
            let Some(at) = broker.poll_timeout() else { return };
            assert!(at > self.now && deadline < 10_000, "an empty broker spins");
            self.now = at;
            broker.handle_timeout(at);
            while broker.poll_event().is_some() {}
        }
    }
}

enum Taken {
    More,
    Parked,
    End(Option<EndReason>),
}

//! How requests are answered, and how sessions begin.

use super::kit::broker::has_ended;
use crate::filter::{ANSWER, Address, Filter};
use crate::network::{End, Item};
use crate::scenario::{millis, shard_of};
use crate::truth::{Kind, Plan};
use crate::world::{Happening, SERVED_FOR, World};
use bytes::Bytes;
use http::{Request, Response};
use sansse::broker::{
    BrokerState, ClientId, EventIds, OpenError, Opened, SessionConfig, StartAt, TopicName,
};
use sansse::http::{ResponseHead, accept};
use sansse::net::FailureKind;
use sansse::{EventId, EventType};

impl World {
    /// Answers the request of a connection.
    pub(crate) fn answer(&mut self, at: usize, request: &Request<Bytes>) {
        if self.server.shards.is_empty() {
            return self.send(at, Item::End(End::Failure(FailureKind::Connect)));
        }
        let accepted = accept(request).expect("the client asks as it should");
        let reader = self.connections[at].reader;
        let shard = match self.readers[reader].reading.client {
            Some(client) => shard_of(client, self.server.count),
            None => self.random.below(self.server.count),
        };
        if self.readers[reader].latest_shard.is_some_and(|latest| latest != shard) {
            self.log.count("reader that comes to another shard");
        }
        self.connections[at].shard = shard;
        let id = accepted.last_event_id().id().map_or("", EventId::as_str).to_owned();
        let filters = self.readers[reader].filters(at);
        let is_of_answer = self.readers[reader].reading.is_of_answer;
        let start = if is_of_answer { StartAt::Oldest } else { StartAt::Now };
        let plan = self.truth(at).plan(&filters, &id, start.clone());
        let is_over = self.is_over(shard, &filters);
        if self.is_forgotten(shard, &filters) {
            // Its publisher knows that there is no more, and nothing of it is kept.
            self.log.count("answer whose end is forgotten");
            return self.answer_no_content(at);
        }
        let request_of_session = self
            .session_request(reader, &filters)
            .with_last_event_id(accepted.last_event_id().clone());
        match self.server.shards[shard].open(self.now, request_of_session.with_start(start)) {
            Ok(opened) => {
                let outcome = opened.resumption.as_str();
                assert!(
                    !is_over || !plan.replayed.is_empty() || opened.resumption.may_miss(),
                    "opened for nothing: {plan:?}"
                );
                self.log.count(if is_over { "answer that is over, and resumed" } else { "opened" });
                self.server.is_used[shard] = true;
                self.readers[reader].latest_shard = Some(shard);
                self.note(|| {
                    format!("connection {at} resumes after {id:?}: {:?}", opened.resumption)
                });
                let plan = self.judge(at, plan, outcome, opened.resumption.replayed());
                self.expect_again(at, &id, outcome);
                self.begin_session(at, opened, filters, plan);
                let head = ResponseHead::new().response(request.headers());
                self.send(at, Item::Head(head));
                let state = &mut self.connections[at];
                state.is_stream = true;
                if self.is_healed && (state.is_broken || state.is_old) {
                    self.after(millis(100), Happening::ServerNotices(at));
                }
                self.serve(at);
            }
            Err(OpenError::TopicsEnded) => {
                assert!(is_over, "told that there is no more, while there may be");
                let is_placed = self.server.config.event_ids == EventIds::Assigned;
                let is_gap = plan.outcome == "gap" || (!is_placed && plan.or_gap);
                let plan = if is_gap { self.truth(at).gap(plan) } else { plan };
                // Where nobody can tell it a place, it would come back for comments for ever.
                let is_left =
                    |event: &usize| is_placed || self.truth(at).events[*event].kind == Kind::Event;
                assert!(!plan.replayed.iter().any(is_left), "{plan:?} is kept from it");
                // What was for a client that is forgotten is not of these topics.
                let is_of_topics =
                    |event: &usize| matches!(self.truth(at).events[*event].to, Address::Named(_));
                let is_whole = match plan.outcome {
                    "gap" => is_placed && !plan.excused.iter().any(is_of_topics),
                    outcome => matches!(outcome, "live" | "oldest" | "complete"),
                };
                assert!(is_whole || !is_placed, "nobody tells it of a loss: {plan:?}");
                if is_whole {
                    self.connections[at].no_more_after = self.truth(at).events.len();
                }
                self.answer_no_content(at);
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

    fn answer_no_content(&mut self, at: usize) {
        let is_draining = self.server.is_draining;
        self.log.count(if is_draining { "answered 204 in a drain" } else { "answered 204" });
        let head = Response::builder().status(204).body(()).unwrap();
        self.send(at, Item::Head(head));
        self.send(at, Item::End(End::Eof));
    }

    /// Whether nothing more is to come to such a session, but what is kept.
    pub(crate) fn is_over(&self, shard: usize, filters: &[Filter]) -> bool {
        let broker = &self.server.shards[shard];
        let has_ended = |filter: &Filter| match filter {
            Filter::Topic(topic) => {
                let has_ended = has_ended(broker, &TopicName::new(topic).unwrap());
                let truth = &self.truths[shard];
                assert!(!has_ended || truth.has_ended(topic), "{topic} has not ended");
                let must_know =
                    truth.must_know_end(self.now, topic) && broker.state() != BrokerState::Closed;
                assert!(has_ended || !must_know, "{topic} has ended");
                has_ended
            }
            _ => false,
        };
        let named = || filters.iter().filter(|filter| filter.is_named());
        !filters.contains(&Filter::All) && named().next().is_some() && named().all(has_ended)
    }

    /// Whether it wants the answer alone, which ended so long ago that its end is forgotten.
    fn is_forgotten(&self, shard: usize, filters: &[Filter]) -> bool {
        let mut named = filters.iter().filter(|filter| filter.is_named());
        let answer = TopicName::new(ANSWER).unwrap();
        !filters.contains(&Filter::All)
            && named.next() == Some(&Filter::Topic(ANSWER))
            && named.next().is_none()
            && self.truths[shard].has_ended(ANSWER)
            && !has_ended(&self.server.shards[shard], &answer)
    }

    fn session_request(&self, reader: usize, filters: &[Filter]) -> SessionConfig {
        let reading = &self.readers[reader].reading;
        let mut session = SessionConfig::new();
        if let Some(client) = reading.client {
            session = session.with_client(ClientId::new(client).unwrap());
        }
        for filter in filters.iter().filter_map(|filter| filter.for_broker()) {
            session = session.with_topic(filter);
        }
        if reading.is_of_answer {
            session = session.topics_only();
        }
        if let Some(lease) = reading.lease {
            session = session.with_lease(self.now + lease);
        }
        if let Some(notices) = reading.notices {
            session = session.with_notices(Some(EventType::new(notices).unwrap()));
        }
        if let Some(lag) = reading.lag {
            session = session.with_lag(lag);
        }
        if self.scenario.opening_comment {
            session = session.with_opening_comment("welcome");
        }
        session
    }

    /// Whether it began as it had to; and what comes of that.
    pub(crate) fn judge(&self, at: usize, plan: Plan, outcome: &str, replayed: u64) -> Plan {
        let mut plan = plan;
        if outcome == "gap" && plan.outcome == "complete" && plan.or_gap {
            self.log.count("resume: gap told in vain");
            plan = self.truth(at).gap(plan);
        } else if outcome == "gap" && plan.outcome == "gap" {
            plan = self.truth(at).gap(plan);
        }
        assert_eq!((outcome, replayed), (plan.outcome, plan.replayed.len() as u64));
        plan
    }

    /// What the reader has after the place from which it resumes comes again; but that can only be
    /// where it was told an earlier place.
    fn expect_again(&mut self, at: usize, id: &str, outcome: &str) {
        let reader = &mut self.readers[self.connections[at].reader];
        if reader.connection == Some(at)
            && matches!(outcome, "complete" | "gap")
            && let Some(place) = self.truths[self.connections[at].shard].after(id)
        {
            let again = reader.got.split_off(&place);
            assert!(again.is_empty() || reader.went_back, "{again:?} come again");
            if !again.is_empty() {
                self.log.count("resume from a replayed event");
            }
        }
    }

    fn begin_session(&mut self, at: usize, opened: Opened, filters: Vec<Filter>, plan: Plan) {
        self.log.count(match (plan.outcome, plan.replayed.len()) {
            ("live", _) => "resume: live",
            ("oldest", 0) => "resume: oldest, nothing to replay",
            ("oldest", _) => "resume: oldest, with a replay",
            ("complete", 0) => "resume: complete, nothing to replay",
            ("complete", _) => "resume: complete, with a replay",
            ("gap", 0) => "resume: gap",
            ("gap", _) => "resume: gap, and more kept after it",
            ("ahead", _) => "resume: ahead",
            ("unknown", _) => "resume: unknown",
            _ => "resume: other-epoch",
        });
        let reader = self.connections[at].reader;
        if self.server.open_sessions().any(|(_, other)| self.connections[other].reader == reader) {
            self.log.count("two sessions of one reader");
        }
        let reading = &self.readers[reader].reading;
        let is_timed = self.server.config.session.max_age.is_some();
        let truth = &self.truths[self.connections[at].shard];
        let state = &mut self.connections[at];
        let (outcome, replayed) = (plan.outcome, plan.replayed.len());
        if matches!(outcome, "live" | "oldest") {
            state.first = truth.events.len();
        }
        state.session = Some(opened.session);
        state.opened = Some(self.now);
        state.outcome = outcome;
        let stream = match outcome {
            "oldest" => "kept",
            "live" | "complete" => outcome,
            _ => "gap",
        };
        state.opening = (stream, replayed as u64);
        state.lost = plan.lost;
        state.begins_anew = matches!(outcome, "unknown" | "ahead" | "other-epoch" | "oldest");
        state.is_timed = is_timed;
        state.owed.lag = reading.lag;
        state.owed.overlaps = filters.iter().any(|filter| filter.is_pattern());
        for filter in &filters {
            for event in truth.pending(*filter, &plan.replayed) {
                state.owed.owe(event, *filter);
            }
        }
        state.owed.filters = filters;
        if replayed > 0 {
            state.owed.live_from = truth.events.len();
        }
        state.owed.excused = plan.excused;
        let before = self.server.sessions.insert(opened.session, (at, None));
        assert!(before.is_none(), "a session's id is used twice");
        self.drain_events();
        if self.scenario.evicts() {
            self.after(SERVED_FOR, Happening::AppWakes(reader));
        }
    }
}

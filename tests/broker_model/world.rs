//! A broker and the model of it, side by side.

use super::history::{Filter, From, Op, Step, To};
use super::model::{Content, LogName, Model, Out, Wish};
use crate::common::*;
use sansse::broker::*;
use sansse::{Event, EventType, LastEventId};
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(super) struct World {
    config: BrokerConfig,
    start: Instant,
    /// Since the start.
    time: Duration,
    pub(super) broker: Broker,
    pub(super) model: Model,
    opened: Vec<SessionId>,
    batch: Batch,
    batch_of: Option<SessionId>,
    /// How many events sessions were spared, as the broker's events say.
    coalesced: u64,
    pub(super) transcript: String,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "no other way to have a first `Instant`")]
    pub(super) fn new(config: BrokerConfig) -> Self {
        // The same in each run, since events tell of times.
        static START: OnceLock<Instant> = OnceLock::new();
        let start = *START.get_or_init(Instant::now);
        Self {
            config: config.clone(),
            start,
            time: Duration::ZERO,
            broker: Broker::new(start, config.clone()).unwrap(),
            model: Model::new(config, start),
            opened: Vec::new(),
            batch: Batch::new(FrameForm::Payload),
            batch_of: None,
            coalesced: 0,
            transcript: String::new(),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        let told = self.time.saturating_sub(millis(step.late));
        let now = self.start + told;
        match &step.op {
            // There is no session yet that they could be about.
            Op::Publish { to: To::Session(_), .. }
            | Op::Apply { to: To::Session(_), .. }
            | Op::Poll { .. }
            | Op::Batch { .. }
            | Op::Disconnect { .. }
            | Op::CloseSession { .. }
            | Op::Subscribe { .. }
            | Op::Unsubscribe { .. }
            | Op::Renew { .. }
                if self.opened.is_empty() =>
            {
                return Ok(());
            }
            Op::PartialWrite { .. } if self.batch_of.is_none() => return Ok(()),
            _ => {}
        }
        match &step.op {
            Op::Ready { .. } | Op::Serve | Op::Events | Op::Pass { .. } | Op::Sleep { .. } => {}
            _ => self.model.advance(told),
        }
        match &step.op {
            Op::Open { .. } => self.open(now, &step.op),
            Op::Publish { to, content, own_id, key } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let own_id = own_id.map(own_id_text);
                let event = event(content, own_id.as_ref());
                let got = self.broker.publish(now, topic.clone(), publication(&event, *key));
                let got =
                    got.map(|published| (published.position(), text(published.frame().as_ref())));
                let got = self.note(got);
                same(&got, &self.model.publish(&topic, content, own_id.as_ref(), *key))
            }
            Op::Apply { to, content, own_id, key, ahead } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let own_id = own_id.map(own_id_text);
                let last = (self.model.last + ahead).saturating_sub(1);
                let BrokerConfig { epoch, event_ids, .. } = self.config;
                let event = event(content, own_id.as_ref());
                let published = Sequencer::new(epoch, last, event_ids)
                    .publish(topic.clone(), publication(&event, *key));
                let got = self.broker.apply(now, &published);
                let got = self.note(got);
                same(&got, &self.model.apply(last + 1, &topic, content, own_id.as_ref(), *key))
            }
            Op::Poll { session, times } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                for _ in 0..*times {
                    if self.poll(now, session)? != Some(true) {
                        break;
                    }
                }
                Ok(())
            }
            Op::Batch { session, limit, form } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.batch.reset(*form);
                let end = self.broker.poll_transmit_batch(now, session, *limit, &mut self.batch);
                self.batch_of = Some(session);
                let _ = writeln!(self.transcript, "{session} {:?} {end:?}", self.batch.as_slice());
                self.model.batch(session, *limit, *form, &self.batch, end, &self.broker)
            }
            Op::PartialWrite { written, claimed } => {
                let claimed = claimed.and_then(|session| self.session(session));
                let Some(session) = claimed.or(self.batch_of) else { return Ok(()) };
                let rest = self.broker.handle_partial_write(now, session, &self.batch, *written);
                let rest = text(&rest);
                let expected = self.model.partial_write(session, *written);
                if !rest.is_empty() {
                    let _ = writeln!(self.transcript, "taken back: {}", self.batch.frames());
                }
                same(&rest, &expected)
            }
            Op::Ready { times } => {
                for _ in 0..*times {
                    if self.next_ready()?.is_none() {
                        break;
                    }
                }
                Ok(())
            }
            Op::Serve => self.serve(),
            Op::Events => self.check_events(),
            Op::Disconnect { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.broker.handle_disconnect(now, session);
                self.model.disconnect(session, &self.broker);
                Ok(())
            }
            Op::CloseSession { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let got = self.broker.close_session(now, session);
                same(&got, &self.model.close_session(session))
            }
            Op::Close => {
                self.broker.close(now);
                self.model.close();
                Ok(())
            }
            Op::Renew { session, lease } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let until = self.model.now + millis(*lease);
                let got = self.broker.renew_lease(now, session, self.start + until);
                let got = self.note(got);
                same(&got, &self.model.renew_lease(session, until))?;
                let lease = self.model.members.get(&session).and_then(|member| member.lease);
                let expected = lease.map(|until| self.start + until);
                same(&self.broker.lease_of(session), &expected)
            }
            Op::Revoke { client } => {
                let client = crate::common::client(&format!("client {client}"));
                let got = self.broker.revoke(now, &client);
                let got = self.note(got);
                same(&got, &self.model.revoke(&client, &self.broker))
            }
            Op::RevokeTopic { client, topic } => {
                let client = crate::common::client(&format!("client {client}"));
                let topic = topic_name(*topic);
                let got = self.broker.revoke_topic(now, &client, &topic);
                let got = self.note(got);
                same(&got, &self.model.revoke_topic(&client, &topic, &self.broker))
            }
            Op::Drain { over, retry, farewell, patience, lets_topics_end } => {
                let mut drain = Drain::new(*over).with_patience(*patience);
                if let Some((least, spread)) = retry {
                    drain = drain.with_retry(*least, *spread);
                }
                if *farewell {
                    drain = drain.with_farewell(Event::new("bye"));
                }
                if *lets_topics_end {
                    drain = drain.letting_topics_end();
                }
                let got = self.broker.drain(now, drain);
                let got = self.note(got);
                same(&got, &self.model.drain(&step.op, &self.broker))
            }
            Op::Subscribe { session, filter, from, from_oldest } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                // There is no place for what no event can have had as its id.
                let id = self.last_event_id(from).and_then(Result::ok).filter(|_| !from_oldest);
                let place = match &id {
                    Some(text) => Place::After(crate::common::id(text)),
                    None if *from_oldest => Place::Oldest,
                    None => Place::Now,
                };
                let got = self.broker.subscribe(now, session, topic_filter(*filter), place);
                let got = self.note(got);
                let id = id.map(Ok);
                let filter = log_name(*filter);
                same(&got, &self.model.subscribe(session, &filter, id.as_ref(), *from_oldest))
            }
            Op::Unsubscribe { session, filter } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let got = self.broker.unsubscribe(now, session, &topic_filter(*filter));
                same(&got, &self.model.unsubscribe(session, &log_name(*filter)))
            }
            Op::EndTopic { topic } => {
                let got = self.broker.end_topic(now, &topic_name(*topic));
                let got = self.note(got.map(|published| published.position()));
                same(&got, &self.model.end_topic(&topic_name(*topic)))
            }
            Op::ApplyEnd { topic, ahead } => {
                let last = (self.model.last + ahead).saturating_sub(1);
                let BrokerConfig { epoch, event_ids, .. } = self.config;
                let end = Sequencer::new(epoch, last, event_ids).end_topic(topic_name(*topic));
                let got = self.broker.apply(now, &end);
                let got = self.note(got);
                same(&got, &self.model.apply_end(last + 1, &topic_name(*topic)))
            }
            Op::SetRetention { topic, retention } => {
                let topic = topic_name(*topic);
                let got = self.broker.set_retention(now, &topic, *retention);
                same(&got, &self.model.set_retention(&topic, *retention))
            }
            Op::SetLag { topic, lag } => {
                let topic = topic_name(*topic);
                let got = self.broker.set_lag(now, &topic, *lag);
                same(&got, &self.model.set_lag(&topic, *lag))
            }
            Op::Pass { time } => {
                self.time += *time;
                Ok(())
            }
            Op::Timeout => {
                self.timeout(now);
                Ok(())
            }
            Op::Sleep { time } => self.sleep(*time),
        }
    }

    fn note<T: core::fmt::Debug>(&mut self, got: T) -> T {
        let _ = writeln!(self.transcript, "{got:?}");
        got
    }

    fn open(&mut self, now: Instant, op: &Op) -> Result<(), String> {
        let Op::Open {
            client,
            topics,
            patterns,
            permitted,
            without_broadcast,
            from_oldest,
            from,
            heartbeat,
            stall_timeout,
            lag,
            announce,
            tells_losses,
            address,
            lease,
        } = op
        else {
            unreachable!()
        };
        let last_event_id = self.last_event_id(from);
        let wish = Wish {
            client: client.map(|number| crate::common::client(&format!("client {number}"))),
            topics: topics.iter().map(|topic| topic_name(*topic)).collect(),
            patterns: patterns.iter().map(|pattern| topic_pattern(*pattern)).collect(),
            permitted: permitted
                .as_ref()
                .map(|filters| filters.iter().map(|filter| log_name(*filter)).collect()),
            without_broadcast: *without_broadcast,
            last_event_id,
            from_oldest: *from_oldest,
            heartbeat: match heartbeat {
                0 => Some(Some(Duration::ZERO)),
                1 => Some(None),
                2..6 => Some(Some(millis(800))),
                6 => Some(Some(Duration::MAX)),
                _ => None,
            },
            stall_timeout: match stall_timeout {
                0 => Some(Some(Duration::ZERO)),
                1 | 2 => Some(None),
                3..6 => Some(Some(millis(900))),
                6 => Some(Some(Duration::MAX)),
                _ => None,
            },
            lag: *lag,
            tells_losses: *tells_losses,
            announce: *announce,
            address: *address,
            lease: lease.map(|lease| self.model.now + millis(lease)),
        };
        let request = self.request(&wish);
        match (self.broker.open(now, request), self.model.admit(&wish)) {
            (Ok(opened), Ok(())) => {
                if self.opened.contains(&opened.session) {
                    return Err(format!("{} was used before", opened.session));
                }
                self.opened.push(opened.session);
                let _ = writeln!(self.transcript, "{opened:?}");
                same(&opened.resume, &self.model.open(&wish, opened.session, &self.broker))
            }
            (got, expected) => {
                if let Err(error) = expected {
                    self.model.tally.refused(error);
                }
                same(&self.note(got).map(|_| ()), &expected)
            }
        }
    }

    fn request(&self, wish: &Wish) -> SessionRequest {
        let mut request = SessionRequest::new();
        if let Some(client) = &wish.client {
            request = request.with_client(client.clone());
        }
        for topic in &wish.topics {
            request = request.with_topic(topic.clone());
        }
        if let Some(filters) = &wish.permitted {
            let filter = |log: &LogName| match log {
                LogName::Named(name) => name.clone().into(),
                LogName::Pattern(pattern) => pattern.clone().into(),
                _ => unreachable!(),
            };
            request = request.with_permitted(filters.iter().map(filter));
        }
        if wish.without_broadcast {
            request = request.without_broadcast();
        }
        if wish.from_oldest {
            request = request.with_start(StartAt::Oldest);
        }
        for pattern in &wish.patterns {
            request = request.with_pattern(pattern.clone());
        }
        request = match &wish.last_event_id {
            None => request,
            Some(Err(())) => request.with_last_event_id(LastEventId::Malformed),
            Some(Ok(text)) => request.with_last_event_id(LastEventId::Id(id(text))),
        };
        if let Some(heartbeat) = wish.heartbeat {
            request = request.with_heartbeat(heartbeat);
        }
        if let Some(timeout) = wish.stall_timeout {
            request = request.with_stall_timeout(timeout);
        }
        if let Some(lag) = wish.lag {
            request = request.with_lag(lag);
        }
        if let Some(tells) = wish.tells_losses {
            let lost = EventType::new("lost").unwrap();
            request = request.with_loss_announcement(tells.then_some(lost));
        }
        if let Some(address) = wish.address {
            request = request.with_address(AddressKey::new(address.to_string()).unwrap());
        }
        if let Some(until) = wish.lease {
            request = request.with_lease(self.start + until);
        }
        if wish.announce {
            request = request.with_announcement(EventType::new("resume").unwrap());
        }
        request
    }

    /// Says whether there was a frame; `None` if the session has ended.
    fn poll(&mut self, now: Instant, session: SessionId) -> Result<Option<bool>, String> {
        let out = match self.broker.poll_transmit(now, session) {
            Some(Transmit::Frame(frame)) => Out::Frame(text(frame.as_ref())),
            Some(Transmit::End(_)) => Out::End,
            None => Out::Parked,
        };
        let _ = writeln!(self.transcript, "{session} {out:?}");
        same(&out, &self.model.poll(session, &self.broker))?;
        Ok(match out {
            Out::Frame(_) => Some(true),
            Out::Parked => Some(false),
            Out::End => None,
        })
    }

    fn next_ready(&mut self) -> Result<Option<SessionId>, String> {
        let session = self.broker.poll_ready();
        let _ = writeln!(self.transcript, "{session:?}");
        self.model.came_out(session)?;
        Ok(session)
    }

    /// What a driver does that keeps up.
    pub(super) fn serve(&mut self) -> Result<(), String> {
        while let Some(session) = self.next_ready()? {
            while self.poll(self.start, session)? == Some(true) {}
        }
        Ok(())
    }

    fn timeout(&mut self, now: Instant) {
        self.broker.handle_timeout(now);
        self.model.timeout(&self.broker);
    }

    fn sleep(&mut self, time: Duration) -> Result<(), String> {
        let until = self.time + time;
        while let Some(at) = self.broker.poll_timeout().filter(|at| *at <= self.start + until) {
            self.time = self.time.max(at.duration_since(self.start));
            self.model.advance(self.time);
            self.timeout(self.start + self.time);
            if self.broker.poll_timeout().is_some_and(|next| next <= at) {
                return Err("the deadline did not move".to_owned());
            }
        }
        self.time = until;
        Ok(())
    }

    /// A driver that sleeps until the deadline must not delay anything.
    pub(super) fn check_deadline(&self) -> Result<(), String> {
        let sleeps_until = self.broker.poll_timeout();
        match self.model.deadline().and_then(|deadline| self.start.checked_add(deadline)) {
            Some(due) if sleeps_until.is_none_or(|until| until > due) => Err(format!(
                "due after {:?}, and the deadline is after {:?}",
                due - self.start,
                sleeps_until.map(|until| until - self.start)
            )),
            _ => Ok(()),
        }
    }

    /// What happened in one call happens in no order, but to each session and client it does.
    pub(super) fn check_events(&mut self) -> Result<(), String> {
        let of = |event: &BrokerEvent| match event {
            BrokerEvent::ClientJoined { client } | BrokerEvent::ClientLeft { client } => {
                (Some(client.clone()), None)
            }
            BrokerEvent::SessionOpened { session, .. }
            | BrokerEvent::SessionSkipped { session, .. }
            | BrokerEvent::SessionCoalesced { session, .. }
            | BrokerEvent::LeaseExpiring { session, .. }
            | BrokerEvent::SessionEnded { session, .. } => (None, Some(*session)),
            BrokerEvent::Drained { .. } => (None, None),
            _ => unreachable!(),
        };
        let mut events: Vec<_> = core::iter::from_fn(|| self.broker.poll_event()).collect();
        let _ = writeln!(self.transcript, "{events:?}");
        self.coalesced += events.iter().map(coalesced).sum::<u64>();
        same(&self.broker.counters().coalesced, &self.coalesced)?;
        let mut expected = self.model.events();
        for events in [&mut events, &mut expected] {
            events.retain(|event| match event {
                BrokerEvent::SessionCoalesced { session, .. } => {
                    !self.model.inexact.contains(session)
                }
                _ => true,
            });
            events.sort_by_key(of);
        }
        same(&events, &expected)
    }

    fn last_event_id(&self, from: &From) -> Option<Result<String, ()>> {
        let epoch = self.config.epoch;
        match from {
            From::Nothing => None,
            From::Malformed => Some(Err(())),
            From::Text(text) => Some(Ok((*text).to_owned())),
            From::Own(number) => Some(Ok(own_id_text(*number))),
            From::Behind(behind) => {
                Some(Ok(format!("{epoch}-{}", self.model.last.saturating_sub(*behind))))
            }
            From::Ahead(ahead) => Some(Ok(format!("{epoch}-{}", self.model.last + ahead))),
        }
    }

    fn session(&self, back: usize) -> Option<SessionId> {
        let newest = self.opened.len().checked_sub(1)?;
        self.opened.get(newest - back % self.opened.len()).copied()
    }

    fn topic(&self, to: &To) -> Option<Topic> {
        Some(match to {
            To::All => Topic::Broadcast,
            To::Client(number) => client(&format!("client {number}")).into(),
            To::Session(session) => self.session(*session)?.into(),
            To::Topic(number) => topic_name(*number).into(),
        })
    }
}

fn coalesced(event: &BrokerEvent) -> u64 {
    match event {
        BrokerEvent::SessionCoalesced { coalesced, .. } => *coalesced,
        _ => 0,
    }
}

fn topic_name(number: u64) -> TopicName {
    topic(["a", "a/b", "a/b/c", "b/c", "x"][usize::try_from(number).unwrap()])
}

fn topic_filter(filter: Filter) -> TopicFilter {
    match filter {
        Filter::Topic(number) => topic_name(number).into(),
        Filter::Pattern(number) => topic_pattern(number).into(),
    }
}

fn log_name(filter: Filter) -> LogName {
    match filter {
        Filter::Topic(number) => LogName::Named(topic_name(number)),
        Filter::Pattern(number) => LogName::Pattern(topic_pattern(number)),
    }
}

fn topic_pattern(number: u64) -> TopicPattern {
    let text = ["**", "*", "a/**", "a/*", "*/c", "*/b/**"][usize::try_from(number).unwrap()];
    TopicPattern::new(text).unwrap()
}

/// Some look like ids of the broker's making.
fn own_id_text(number: u64) -> String {
    match number {
        0 => String::new(),
        1 => "e-1".to_owned(),
        2 => "0-2".to_owned(),
        _ => format!("own {number}"),
    }
}

fn publication(event: &Event, key: Option<u64>) -> Publication<'_> {
    let publication = Publication::new(event);
    match key {
        Some(key) => publication.with_key(EventKey::new(format!("{key}")).unwrap()),
        None => publication,
    }
}

fn event(content: &Content, own_id: Option<&String>) -> Event {
    let event = match content {
        Content::Data(data) => Event::new(data.clone()),
        Content::Comment => Event::comment("comment"),
        Content::IdOnly => return Event::id_only(id(own_id.unwrap())),
    };
    match own_id {
        Some(own) => event.with_id(id(own)),
        None => event,
    }
}

fn same<T: PartialEq + core::fmt::Debug>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("got {got:?}\nwhere it should be {expected:?}"))
}

//! A broker and the model of it, side by side.

use super::history::{Op, Step, To};
use super::kit::*;
use super::model::{Model, Out};
use super::naming::{event, keyed, log_name, own_id_text, topic_filter, topic_name};
use super::shards::Said;
use super::signed::Keys;
use super::watch::Watch;
use sansse::Event;
use sansse::broker::*;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(super) struct World {
    pub(super) config: BrokerConfig,
    pub(super) start: Instant,
    /// Since the start.
    time: Duration,
    pub(super) broker: Broker,
    pub(super) model: Model,
    pub(super) opened: Vec<SessionId>,
    batch: Batch,
    batch_of: Option<SessionId>,
    pub(super) watch: Watch,
    pub(super) transcript: String,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "no other way to have a first `Instant`")]
    #[cfg_attr(not(feature = "signed"), expect(unused_mut))]
    pub(super) fn new(mut config: BrokerConfig, secret: Option<u64>) -> Self {
        // The same in each run, since events tell of times.
        static START: OnceLock<Instant> = OnceLock::new();
        let keys = secret.map(|signs| Keys { signs, accepts: Vec::new() });
        #[cfg(feature = "signed")]
        {
            config.cursor_keys = keys.as_ref().map(super::signed::cursor_keys);
        }
        let start = *START.get_or_init(Instant::now);
        Self {
            config: config.clone(),
            start,
            time: Duration::ZERO,
            broker: Broker::new(start, config.clone()).unwrap(),
            model: Model::new(config, keys, start),
            opened: Vec::new(),
            batch: Batch::new(Framing::Plain),
            batch_of: None,
            watch: Watch::default(),
            transcript: String::new(),
        }
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        self.operate(step)?;
        self.model.note_output();
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn operate(&mut self, step: &Step) -> Result<(), String> {
        let told = self.time.saturating_sub(millis(step.late));
        let now = self.start + told;
        match &step.op {
            // There is no session yet that they could be about.
            Op::Publish { to: To::Session(_), .. }
            | Op::Apply { to: To::Session(_), .. }
            | Op::ApplyAged { to: To::Session(_), .. }
            | Op::WaitForReaders { to: To::Session(_), .. }
            | Op::WaitForRoom { to: To::Session(_) }
            | Op::Poll { .. }
            | Op::Batch { .. }
            | Op::Disconnect { .. }
            | Op::GiveWay { .. }
            | Op::Progress { .. }
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
        if !matches!(step.op, Op::Pass { .. } | Op::Sleep { .. }) {
            self.keep_time(told)?;
        }
        match &step.op {
            Op::Ready { .. }
            | Op::Serve
            | Op::Events
            | Op::Page { .. }
            | Op::SetKeys { .. }
            | Op::CatchUp
            | Op::Pass { .. }
            | Op::Sleep { .. } => {}
            _ => self.model.advance(told),
        }
        match &step.op {
            Op::Open { .. } => self.open(now, &step.op),
            Op::Publish { to, content, own_id, key } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let own_id = own_id.map(own_id_text);
                let event = event(content, own_id.as_ref());
                let got = self.broker.publish(now, topic.clone(), &keyed(event, *key));
                let got =
                    got.map(|published| (published.position(), text(published.frame().as_ref())));
                let got = self.note(got);
                same(&got, &self.model.publish(&topic, content, own_id.as_ref(), *key))
            }
            Op::Apply { to, content, own_id, key, ahead } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let mut sequencer = self.sequencer((self.model.last + ahead).saturating_sub(1));
                let said = Said::event(&mut sequencer, topic, content, *own_id, *key);
                self.apply(now, &said)
            }
            Op::ApplyAged { to, content, own_id, ahead, age } => {
                let Some(topic) = self.topic(to) else { return Ok(()) };
                let mut sequencer = self.sequencer((self.model.last + ahead).saturating_sub(1));
                let said = Said::event(&mut sequencer, topic, content, *own_id, None);
                self.apply(now, &said.aged(*age))
            }
            Op::Skip { ahead } => {
                let through = self.model.last + ahead;
                let got = self.broker.shard_mut().skip(now, through);
                let got = self.note(got);
                same(&got, &self.model.skip(through))
            }
            Op::Cut { ahead } => {
                let through = self.model.last + ahead;
                let got = self.broker.shard_mut().cut(now, through);
                let got = self.note(got);
                same(&got, &self.model.cut(through))
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
                let written = *written % (self.batch.len() + 20);
                let rest = self.broker.handle_partial_write(now, session, &self.batch, written);
                let rest = text(&rest);
                let expected = self.model.partial_write(session, written);
                if !rest.is_empty() {
                    let _ = writeln!(self.transcript, "taken back: {}", self.batch.frames());
                }
                same(&rest, &expected)
            }
            Op::Progress { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.broker.handle_progress(now, session);
                self.model.progress(session);
                Ok(())
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
            Op::Page { limit, anew } => self.page(*limit, *anew),
            // Where there is one shard, there is nothing to catch up with.
            Op::CatchUp => Ok(()),
            Op::Disconnect { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.broker.handle_disconnect(now, session);
                self.model.disconnect(session, &self.broker);
                Ok(())
            }
            Op::GiveWay { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                self.broker.give_way(now, session);
                self.model.give_way(session, &self.broker);
                Ok(())
            }
            Op::CloseSession { session } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let got = self.broker.session_mut(session).close(now);
                same(&got, &self.model.close_session(session))
            }
            Op::Close => {
                self.broker.close(now);
                self.model.close();
                Ok(())
            }
            Op::Abort => {
                self.broker.abort(now);
                self.model.abort(&self.broker);
                Ok(())
            }
            Op::RetryAfter { error } => {
                let got = self.broker.retry_after(now, error);
                let got = self.note(got);
                same(&got, &self.model.retry_after(*error))
            }
            Op::SetKeys { secret, accepts } => {
                self.set_keys(Keys { signs: *secret, accepts: accepts.iter().copied().collect() })
            }
            Op::Renew { session, lease } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let until = self.model.now + millis(*lease);
                let got = self.broker.session_mut(session).renew_lease(now, self.start + until);
                let got = self.note(got);
                same(&got, &self.model.renew_lease(session, until))?;
                let lease = self.model.members.get(&session).and_then(|member| member.lease);
                let expected = lease.map(|until| self.start + until);
                same(&self.broker.session(session).lease(), &expected)
            }
            Op::Revoke { client } => {
                let client = super::kit::client(&format!("client {client}"));
                let got = self.broker.client_mut(&client).revoke(now);
                let got = self.note(got);
                same(&got, &self.model.revoke(&client, &self.broker))
            }
            Op::RevokeTopic { client, topic } => {
                let client = super::kit::client(&format!("client {client}"));
                let topic = topic_name(*topic);
                let got = self.broker.client_mut(&client).revoke_topic(now, &topic);
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
            Op::Subscribe { session, filter, from, newest } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                // There is no place for what no event can have had as its id.
                let id = self.last_event_id(from).and_then(Result::ok).filter(|_| newest.is_none());
                let place = match &id {
                    Some(text) => StartAt::After(super::kit::id(text)),
                    None => start_at(*newest),
                };
                let got =
                    self.broker.session_mut(session).subscribe(now, topic_filter(*filter), place);
                let got = self.note(got);
                let id = id.map(Ok);
                let filter = log_name(*filter);
                same(&got, &self.model.subscribe(session, &filter, id.as_ref(), *newest))
            }
            Op::Unsubscribe { session, filter } => {
                let Some(session) = self.session(*session) else { return Ok(()) };
                let got = self.broker.session_mut(session).unsubscribe(now, &topic_filter(*filter));
                same(&got, &self.model.unsubscribe(session, &log_name(*filter)))
            }
            Op::EndTopic { topic } => {
                let got = self.broker.topic_mut(&topic_name(*topic)).end(now);
                let got = self.note(got.map(|published| published.position()));
                same(&got, &self.model.end_topic(&topic_name(*topic)))
            }
            Op::ApplyEnd { topic, ahead } => {
                let mut sequencer = self.sequencer((self.model.last + ahead).saturating_sub(1));
                let said = Said::end(&mut sequencer, topic_name(*topic));
                self.apply(now, &said)
            }
            Op::SetRetention { topic, retention } => {
                let topic = topic_name(*topic);
                let got = self.broker.topic_mut(&topic).set_retention(now, *retention);
                same(&got, &self.model.set_retention(&topic, *retention))
            }
            Op::SetLag { topic, lag } => {
                let topic = topic_name(*topic);
                let got = self.broker.topic_mut(&topic).set_lag(now, *lag);
                same(&got, &self.model.set_lag(&topic, *lag))
            }
            Op::WaitForReaders { to, pace } => {
                let Some(audience) = self.topic(to) else { return Ok(()) };
                let got = self.broker.wait_for_readers(now, &audience, *pace);
                let got = self.note(got);
                self.waits()?;
                self.model.wait_for_readers(&audience, *pace, got)
            }
            Op::WaitForRoom { to } => {
                let Some(audience) = self.topic(to) else { return Ok(()) };
                let got = self.broker.wait_for_room(now, &audience);
                let got = self.note(got);
                self.waits()?;
                self.model.wait_for_room(&audience, got)
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

    /// The waits that are over come out.
    fn waits(&mut self) -> Result<(), String> {
        while let Some(wait) = self.broker.poll_wait() {
            let _ = writeln!(self.transcript, "over: {wait}");
            self.model.wait_came_out(wait)?;
        }
        Ok(())
    }

    pub(super) fn note<T: core::fmt::Debug>(&mut self, got: T) -> T {
        let _ = writeln!(self.transcript, "{got:?}");
        got
    }

    /// What another shard published, or the application.
    pub(super) fn apply(&mut self, now: Instant, said: &Said) -> Result<(), String> {
        let shard = self.broker.shard_mut();
        let got = match said {
            Said::Event { published, age, .. } if !age.is_zero() => {
                shard.apply_aged(now, published, *age)
            }
            _ => shard.apply(now, said.published()),
        };
        let got = self.note(got);
        let position = said.published().position();
        let expected = match said {
            Said::Event { published, content, own_id, key, age } => {
                let (to, own_id) = (published.audience(), own_id.as_ref());
                let applied = self.model.apply(position, to, content, own_id, *key, *age);
                if self.config.keeps_for_absent
                    && applied.is_ok()
                    && matches!(to, Audience::Client(_))
                {
                    self.model.forget_absent(&self.broker);
                }
                applied
            }
            Said::End { topic, .. } => self.model.apply_end(position, topic),
        };
        self.model.note_output();
        same(&got, &expected)
    }

    /// As [`apply`](Self::apply), by a clock that may be late.
    pub(super) fn catch_up(&mut self, late: u64, said: &Said) -> Result<(), String> {
        let told = self.time.saturating_sub(millis(late));
        self.keep_time(told)?;
        self.model.advance(told);
        self.apply(self.start + told, said)
    }

    /// One that goes on after this position.
    pub(super) fn sequencer(&self, last: u64) -> Sequencer {
        #[cfg_attr(not(feature = "signed"), expect(unused_mut))]
        let mut sequencer = Sequencer::new(self.config.epoch, last, self.config.event_ids);
        #[cfg(feature = "signed")]
        if let Some(keys) = &self.model.keys {
            sequencer.set_cursor_keys(super::signed::cursor_keys(keys));
        }
        sequencer
    }

    #[cfg(feature = "signed")]
    fn set_keys(&mut self, keys: Keys) -> Result<(), String> {
        let got = self.broker.shard_mut().set_cursor_keys(super::signed::cursor_keys(&keys));
        let got = self.note(got);
        if self.config.event_ids == EventIds::Own {
            return same(&got, &Err(ConfigError::NothingToSign));
        }
        self.model.keys = Some(keys);
        same(&got, &Ok(()))
    }

    #[cfg(not(feature = "signed"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as it is with the feature")]
    fn set_keys(&mut self, _: Keys) -> Result<(), String> {
        Ok(())
    }

    /// Closes the broker and polls every session until its end.
    pub(super) fn close(&mut self) -> Result<(), String> {
        let now = self.start + self.time;
        self.model.advance(self.time);
        self.broker.close(now);
        self.model.close();
        for session in self.model.order.clone() {
            while self.poll(now, session)?.is_some() {}
        }
        Ok(())
    }

    pub(super) fn shard(&self) -> u16 {
        self.config.shard.get()
    }

    /// Says whether there was a frame; `None` if the session has ended.
    fn poll(&mut self, now: Instant, session: SessionId) -> Result<Option<bool>, String> {
        let out = match self.broker.poll_transmit(now, session) {
            Some(Transmit::Frame(frame)) => Out::Frame(text(frame.as_ref())),
            Some(Transmit::Ended(_)) => Out::End,
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
        self.model.note_output();
    }

    pub(super) fn sleep(&mut self, time: Duration) -> Result<(), String> {
        self.keep_time(self.time)?;
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

    /// Lets the driver be late by no more than what is no pause, of which the model knows nothing.
    fn keep_time(&mut self, told: Duration) -> Result<(), String> {
        let now = self.start + told;
        let late = |at: &Instant| *at + millis(250) < now;
        while let Some(at) = self.broker.poll_timeout().filter(late) {
            let time = at.saturating_duration_since(self.start).max(self.model.now);
            self.model.advance(time);
            self.timeout(self.start + time);
            if self.broker.poll_timeout().is_some_and(|next| next <= at) {
                return Err("the deadline did not move".to_owned());
            }
        }
        Ok(())
    }

    /// A driver that sleeps until the deadline must not delay anything.
    pub(super) fn check_deadline(&mut self) -> Result<(), String> {
        self.waits()?;
        self.model.check_waits()?;
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

    pub(super) fn session(&self, back: usize) -> Option<SessionId> {
        let newest = self.opened.len().checked_sub(1)?;
        self.opened.get(newest - back % self.opened.len()).copied()
    }

    pub(super) fn topic(&self, to: &To) -> Option<Audience> {
        Some(match to {
            To::All => Audience::Everyone,
            To::Client(number) => client(&format!("client {number}")).into(),
            To::Session(session) => self.session(*session)?.into(),
            To::Topic(number) => topic_name(*number).into(),
        })
    }
}

/// Where a session starts that gets so many of the newest events.
pub(super) fn start_at(newest: Option<u64>) -> StartAt {
    match newest {
        None => StartAt::Now,
        Some(u64::MAX) => StartAt::Oldest,
        Some(count) => StartAt::Last(count),
    }
}

pub(super) fn same<T: PartialEq + core::fmt::Debug>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("got {got:?}\nwhere it should be {expected:?}"))
}

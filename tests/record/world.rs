//! A recorded broker to which anything is done, in any order.

use super::drawn::{random_config, random_lag, random_retention};
use super::start;
use crate::kit::broker::*;
use sansse::EventKey;
use sansse::broker::*;
use sansse::record::{Output, RecordedBroker};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) const STEPS: u64 = 400;

/// A broker, its record as text, and what came out of it.
pub(super) struct World {
    pub(super) rng: Rng,
    time: Duration,
    pub(super) broker: RecordedBroker,
    text: Arc<Mutex<(String, usize)>>,
    lines: usize,
    pub(super) outputs: Vec<Output>,
    pub(super) sessions: Vec<SessionId>,
    /// Those for which a log is to be read.
    older: Vec<BackfillRequest>,
    /// Each was filled by some poll of some session, or by none.
    batches: [(Option<SessionId>, Batch); 3],
}

impl World {
    pub(super) fn new(config: BrokerConfig, rng: Rng) -> Self {
        let text = Arc::new(Mutex::new((String::new(), 0)));
        let sink = text.clone();
        let broker = RecordedBroker::new(start(), config, move |entry| {
            let (text, lines) = &mut *sink.lock().unwrap();
            writeln!(text, "{entry}").unwrap();
            *lines += 1;
        });
        let batch = || (None, Batch::new(Framing::Plain));
        Self {
            rng,
            time: Duration::ZERO,
            broker: broker.unwrap(),
            text,
            lines: 1,
            outputs: Vec::new(),
            sessions: Vec::new(),
            older: Vec::new(),
            batches: [batch(), batch(), batch()],
        }
    }

    pub(super) fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let config = random_config(&mut rng);
        let mut world = Self::new(config, rng);
        if world.rng.chance(60) {
            world.broker.shard_mut().set_backfill(start(), Some(Backfill::DEFAULT));
            world.note(Output::Done);
        }
        for _ in 0..STEPS {
            world.step();
        }
        world
    }

    pub(super) fn text(&self) -> String {
        self.text.lock().unwrap().0.clone()
    }

    /// Takes note of what a call gave, which has to be the next in the record; but for a call that
    /// found nothing.
    pub(super) fn note(&mut self, output: Output) {
        let lines = self.text.lock().unwrap().1;
        let is_nothing = matches!(
            output,
            Output::Ready(None)
                | Output::Event(None)
                | Output::WaitOver(None)
                | Output::BackfillAsked(None)
        );
        if is_nothing && lines == self.lines {
            return;
        }
        self.lines += 1;
        assert_eq!(lines, self.lines, "{output:?}");
        self.outputs.push(output);
    }

    /// Asks for which session a log is to be read, or brings one something of it.
    fn backfill(&mut self, now: Instant) -> Output {
        let Some(BackfillRequest { session, after, .. }) = self.older.pop() else {
            let asked = self.broker.shard_mut().poll_backfill();
            self.older.extend(asked);
            return Output::BackfillAsked(asked);
        };
        if self.rng.chance(20) {
            return Output::Found(self.broker.shard_mut().end_backfill(now, session));
        }
        let through = after + 1 + self.rng.below(4);
        let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
        let published: Vec<_> =
            (0..through).map(|_| sequencer.publish(self.topic(), &self.event())).collect();
        let whole_from = if self.rng.chance(70) { 0 } else { self.rng.below(through + 1) };
        let read = Backfilled::new(0, whole_from, through, published);
        let next = self.broker.shard_mut().backfill(now, session, &read);
        self.older.extend(next.map(|after| BackfillRequest { session, after }));
        Output::Backfilled(next)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each call")]
    fn step(&mut self) {
        if self.rng.chance(50) {
            self.time += millis(self.rng.below(400));
        }
        // Times that are out of date are recorded too; before the start, there is none.
        let late = if self.rng.chance(10) { millis(self.rng.below(2_000)) } else { Duration::ZERO };
        let now = start() + self.time.saturating_sub(late);
        let output = match self.rng.below(100) {
            0..12 => {
                let request = self.request(now);
                let opened = self.broker.open(now, request);
                self.sessions.extend(opened.map(|opened| opened.session));
                Output::Opened(opened)
            }
            12..15 => {
                let session = self.session();
                self.broker.handle_disconnect(now, session);
                Output::Done
            }
            15 => {
                let session = self.session();
                Output::Found(self.broker.session_mut(session).close(now))
            }
            16 if self.rng.chance(3) => {
                self.broker.close(now);
                Output::Done
            }
            16 if self.rng.chance(3) => {
                self.broker.abort(now);
                Output::Done
            }
            16 if self.rng.chance(5) => {
                let mut drain = Drain::new(self.rng.pick(&[0, 900].map(millis)));
                if self.rng.chance(50) {
                    drain = drain.with_retry(secs(1), millis(333)).with_farewell(self.event());
                }
                if self.rng.chance(50) {
                    drain = drain.with_patience(millis(400)).letting_topics_end();
                }
                Output::Draining(self.broker.drain(now, drain))
            }
            17..21 => Output::Ready(self.broker.poll_ready()),
            21 => self.backfill(now),
            22..26 => Output::Event(self.broker.poll_event()),
            26..29 => {
                self.broker.handle_timeout(now);
                Output::Done
            }
            29 => {
                let name = self.name();
                Output::Published(self.broker.topic_mut(&name).end(now))
            }
            30..32 => {
                let session = self.session();
                let until = now + self.rng.pick(&[0, 500, 9_000].map(millis));
                Output::Renewed(self.broker.session_mut(session).renew_lease(now, until))
            }
            32 => {
                let client = self.client();
                Output::Revoked(self.broker.client_mut(&client).revoke(now))
            }
            33 => {
                let (client, name) = (self.client(), self.name());
                Output::Revoked(self.broker.client_mut(&client).revoke_topic(now, &name))
            }
            34..36 => {
                let audience = self.topic();
                Output::Waits(self.broker.wait_for_room(now, &audience))
            }
            36..38 => {
                let (audience, events) = (self.topic(), self.rng.pick(&[1, 2, 1_000]));
                let pace = Pace::new()
                    .with_events(events.try_into().unwrap())
                    .with_patience(self.rng.pick(&[0, 900].map(millis)));
                Output::Waits(self.broker.wait_for_readers(now, &audience, pace))
            }
            38..40 => Output::WaitOver(self.broker.poll_wait()),
            40..58 => {
                let (topic, mut event) = (self.topic(), self.event());
                if self.rng.chance(40) {
                    let key = self.rng.pick(&["a", "b"]);
                    event = event.with_key(EventKey::new(key).unwrap());
                }
                Output::Published(self.broker.publish(now, topic, &event))
            }
            58..61 => {
                let last =
                    (self.broker.shard().last_position() + self.rng.below(3)).saturating_sub(1);
                let epoch = Epoch(self.rng.pick(&[0xe, 0xe, 0xe, 0xe, 0xd]));
                let mut sequencer = Sequencer::new(epoch, last, EventIds::Assigned);
                let published = if self.rng.chance(20) {
                    sequencer.end_topic(self.name())
                } else {
                    sequencer.publish(self.topic(), &self.event())
                };
                let shard = self.broker.shard_mut();
                Output::Applied(match self.rng.below(4) {
                    0 => shard.apply_aged(now, &published, millis(1_500)),
                    1 => shard.skip(now, published.position()),
                    2 => shard.cut(now, published.position()),
                    _ => shard.apply(now, &published),
                })
            }
            98 if self.rng.chance(50) => {
                let wait = self.rng.pick(&[None, Some(0), Some(900), Some(20_000)]).map(millis);
                Output::SettingSet(self.broker.shard_mut().set_ahead_wait(now, wait))
            }
            98 if self.rng.chance(10) => {
                let backfill = self.rng.chance(80).then_some(Backfill::DEFAULT);
                self.broker.shard_mut().set_backfill(now, backfill);
                Output::Done
            }
            98 if self.rng.chance(50) => {
                self.broker.shard_mut().set_keeps_for_absent(now, self.rng.chance(70));
                Output::Done
            }
            61 => {
                let name = self.name();
                let retention = self.rng.chance(70).then(|| random_retention(&mut self.rng));
                if self.rng.chance(50) {
                    let lag = self.rng.chance(70).then(|| random_lag(&mut self.rng));
                    Output::TopicSet(self.broker.topic_mut(&name).set_lag(now, lag))
                } else {
                    Output::TopicSet(self.broker.topic_mut(&name).set_retention(now, retention))
                }
            }
            62 => {
                let error = self.rng.pick(&[
                    OpenError::TooManySessions,
                    OpenError::TooManySessionsOfClient { limit: 3 },
                    OpenError::TopicsEnded,
                ]);
                Output::RetryAfter(self.broker.retry_after(now, &error))
            }
            63..66 => {
                let (session, filter) = (self.session(), self.filter());
                let place = match self.place() {
                    Some(id) => StartAt::After(id),
                    None if self.rng.chance(50) => StartAt::Now,
                    None if self.rng.chance(50) => StartAt::Last(self.rng.below(4)),
                    None => StartAt::Oldest,
                };
                Output::Subscribed(self.broker.session_mut(session).subscribe(now, filter, place))
            }
            66..68 => {
                let (session, filter) = (self.session(), self.filter());
                Output::Found(self.broker.session_mut(session).unsubscribe(now, &filter))
            }
            68..80 => {
                let session = self.session();
                match self.broker.poll_transmit(now, session) {
                    Some(Transmit::Frame(frame)) => Output::Frame(frame.clone()),
                    Some(Transmit::Ended(reason)) => Output::End(reason),
                    None => Output::Parked,
                }
            }
            80..90 => {
                let session = self.session();
                let limit = self.rng.pick(&[0, 60, 300, 65_536]);
                let form = self.rng.pick(&[Framing::Chunked, Framing::Plain]);
                let which = usize::try_from(self.rng.below(3)).unwrap();
                let (of, batch) = &mut self.batches[which];
                batch.reset(form);
                let end = self.broker.poll_transmit_batch(now, session, limit, batch);
                *of = Some(session);
                let bytes = batch.as_slice().to_vec().into();
                Output::Batch { bytes, frames: batch.frames(), filled: end }
            }
            90..97 => {
                let session = self.session();
                let which = usize::try_from(self.rng.below(3)).unwrap();
                let (of, batch) = &self.batches[which];
                let session = of.filter(|_| !self.rng.chance(5)).unwrap_or(session);
                let length = u64::try_from(batch.len()).unwrap();
                let written = usize::try_from(self.rng.below(length + 20)).unwrap();
                let rest = self.broker.handle_partial_write(now, session, batch, written);
                Output::Remainder(rest)
            }
            97 => {
                let client = self.client();
                if let Some(values) = self.broker.client_mut(&client).metadata() {
                    values.insert(7_u8);
                }
                return;
            }
            _ => {
                let session = self.session();
                self.broker.handle_progress(now, session);
                Output::Done
            }
        };
        self.note(output);
    }
}

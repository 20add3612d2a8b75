//! A shard with a clock of its own, and a driver that sleeps by moving it: nothing here waits.

use super::base_instant;
use sansse::broker::{
    Audience, Batch, Broker, BrokerConfig, BrokerEvent, ClientId, Epoch, EventIds, Filled, Framing,
    PublishError, Published, Sequencer, SessionConfig, SessionId, TopicName, Transmit,
};
use sansse::{Event, EventId, Frame, LastEventId, LossReason, Notice};
use std::time::{Duration, Instant};

/// What [`Shard::take`] puts where the stream ends.
pub(crate) const END: &str = "(end)";
/// More than any test has at once.
const MANY: usize = 100_000;
/// What a heartbeat looks like.
pub(crate) const HEARTBEAT: &str = ":\n";

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The smallest time that the broker can tell from none.
pub(crate) const TICK: Duration = Duration::from_nanos(1);

/// One [`TICK`] less.
pub(crate) fn just_before(time: Duration) -> Duration {
    time.checked_sub(TICK).unwrap()
}

pub(crate) fn config() -> BrokerConfig {
    BrokerConfig::new(Epoch(0xe))
}

pub(crate) fn sessions_of(broker: &Broker, client: &ClientId) -> Vec<SessionId> {
    broker.client(client).map_or_else(Vec::new, |client| client.sessions().collect())
}

pub(crate) fn is_present(broker: &Broker, client: &ClientId) -> bool {
    !sessions_of(broker, client).is_empty()
}

pub(crate) fn retained_bytes(broker: &Broker) -> usize {
    broker.counters().retained_bytes.try_into().unwrap()
}

/// Whether nothing can be published to the topic since it was ended. A closed broker does not say.
pub(crate) fn has_ended(broker: &Broker, topic: &TopicName) -> bool {
    broker.shard().check_publish(&topic.clone().into()) == Err(PublishError::TopicEnded)
}

/// The clients that have a session, each with how many.
pub(crate) fn present(broker: &Broker) -> Vec<(ClientId, usize)> {
    let page = broker.presence_page(None, usize::MAX, |_, _| ());
    let here = page.clients().iter().filter(|one| one.sessions > 0);
    here.map(|one| (one.client.clone(), one.sessions)).collect()
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) fn id(text: &str) -> EventId {
    EventId::new(text.to_owned()).unwrap()
}

pub(crate) fn anyone() -> SessionConfig {
    SessionConfig::new()
}

pub(crate) fn session_of(name: &str) -> SessionConfig {
    SessionConfig::new().with_client(client(name))
}

pub(crate) fn after(last: &str) -> SessionConfig {
    SessionConfig::new().with_last_event_id(LastEventId::Id(id(last)))
}

/// What an event with this data looks like at this position, in the epoch of [`config`].
pub(crate) fn event_at(position: u64, data: &str) -> String {
    format!("id: e-{position}\ndata: {data}\n\n")
}

/// What a notice looks like that brings no id.
pub(crate) fn told(notice: Notice) -> String {
    text(&Frame::new(&notice.to_event(&Notice::EVENT_TYPE)).payload())
}

/// What a notice looks like that brings the id of this position.
pub(crate) fn told_at(position: u64, notice: Notice) -> String {
    format!("id: e-{position}\n{}", told(notice))
}

/// What a gap looks like from which resuming is right at this position.
pub(crate) fn gap_at(
    position: u64,
    replayed: u64,
    lost: impl Into<Option<u64>>,
    reason: LossReason,
) -> String {
    told_at(position, Notice::Gap { replayed, lost: lost.into(), reason })
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// One broker and the time that it is told.
pub(crate) struct Shard {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
}

impl Shard {
    pub(crate) fn new(config: BrokerConfig) -> Self {
        let now = base_instant();
        Self { broker: Broker::new(now, config).unwrap(), now }
    }

    /// Time passes, and nobody tells the broker.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Sleeps as a driver does: exactly until the broker's deadlines, and handles each. Says how
    /// often it woke up.
    pub(crate) fn sleep(&mut self, time: Duration) -> usize {
        let until = self.now + time;
        let mut wakes = 0;
        while let Some(deadline) = self.broker.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(deadline);
            self.broker.handle_timeout(self.now);
            wakes += 1;
            let next = self.broker.poll_timeout();
            assert!(next.is_none_or(|next| next > deadline), "the deadline did not move");
        }
        self.now = until;
        wakes
    }

    pub(crate) fn open(&mut self, request: SessionConfig) -> SessionId {
        self.broker.open(self.now, request).unwrap().session
    }

    /// Opens a session and polls it until it is parked.
    pub(crate) fn parked(&mut self, request: SessionConfig) -> SessionId {
        let session = self.open(request);
        self.take(session);
        session
    }

    pub(crate) fn publish(&mut self, topic: impl Into<Audience>, data: &str) -> Published {
        self.broker.publish(self.now, topic, &Event::new(data.to_owned())).unwrap()
    }

    /// Publishes as one that was numbered elsewhere, which asks nobody for room.
    pub(crate) fn apply(&mut self, topic: impl Into<Audience>, data: &str) {
        let last = self.broker.shard().last_position();
        let mut sequencer = Sequencer::new(config().epoch, last, EventIds::Assigned);
        let published = sequencer.publish(topic.into(), &Event::new(data.to_owned()));
        self.broker.shard_mut().apply(self.now, &published).unwrap();
    }

    pub(crate) fn broadcast(&mut self, data: &str) -> u64 {
        self.publish(Audience::Everyone, data).position()
    }

    /// The next frame, [`END`], or `None`.
    pub(crate) fn next(&mut self, session: SessionId) -> Option<String> {
        match self.broker.poll_transmit(self.now, session)? {
            Transmit::Frame(frame) => Some(text(frame.as_ref())),
            Transmit::Ended(_) => Some(END.to_owned()),
        }
    }

    /// All frames until the session is parked or has ended; then [`END`] is the last.
    pub(crate) fn take(&mut self, session: SessionId) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next(session) {
            let ended = frame == END;
            frames.push(frame);
            assert!(frames.len() < MANY, "no end of frames: {:?}", frames.last());
            if ended {
                break;
            }
        }
        frames
    }

    /// The data of all frames that [`take`](Self::take) gets; notices and blocks without data are
    /// passed over.
    pub(crate) fn data(&mut self, session: SessionId) -> Vec<String> {
        let data = |frame: String| {
            let is_event = |block: &&str| !block.contains("event: sansse-notice\n");
            let mut lines = frame.split("\n\n").filter(is_event).flat_map(str::lines);
            let line = lines.find_map(|line| line.strip_prefix("data: "));
            line.map(str::to_owned).or_else(|| (frame == END).then_some(frame))
        };
        self.take(session).into_iter().filter_map(data).collect()
    }

    pub(crate) fn batch(
        &mut self,
        session: SessionId,
        limit: usize,
        form: Framing,
    ) -> (Batch, Filled) {
        let mut batch = Batch::new(form);
        let end = self.broker.poll_transmit_batch(self.now, session, limit, &mut batch);
        (batch, end)
    }

    pub(crate) fn ready(&mut self) -> Vec<SessionId> {
        let ready: Vec<_> = core::iter::from_fn(|| self.broker.poll_ready()).take(MANY).collect();
        assert!(ready.len() < MANY, "no end of ready sessions");
        ready
    }

    pub(crate) fn events(&mut self) -> Vec<BrokerEvent> {
        core::iter::from_fn(|| self.broker.poll_event()).map(|(_, event)| event).collect()
    }

    /// How much there is in the broker, in no unit: all its state, written out.
    pub(crate) fn size(&self) -> usize {
        format!("{:?}", self.broker).len()
    }
}

/// `SplitMix64`: small, and the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly enough from 0 to `limit`, exclusive.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    pub(crate) const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

//! A broker driven by bytes as operations: every session gets what was published to it, in order
//! and once, but for what it is told that it lost; it ends once; and time moves on.

use super::common::{Shard, client, config, millis, text, topic};
use super::input::Input;
use sansse::broker::{
    Batch, BatchEnd, BrokerConfig, BrokerEvent, EndReason, FrameForm, LagPolicy, OpenError,
    PublishError, Resume, Retention, SessionId, SessionRequest, StartAt, Topic, TopicPattern,
    Transmit,
};
use sansse::{Event, LastEventId};
use std::collections::{BTreeMap, VecDeque};

const MOST_SESSIONS: usize = 12;
const NAMES: [&str; 3] = ["a", "b", "c"];

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut world = World::new(settings(&mut input));
    while !input.is_empty() {
        world.step(&mut input);
    }
    world.finish();
}

fn settings(input: &mut Input<'_>) -> BrokerConfig {
    let mut config = config();
    config.retention = Retention {
        events: 1 + input.below(8),
        bytes: [60, 120, 1 << 20][input.below(3)],
        age: [None, Some(millis(700))][input.below(2)],
        compact: false,
    };
    config.private_retention = Retention {
        events: 1 + input.below(4),
        bytes: 1 << 20,
        age: Some(millis(900)),
        compact: false,
    };
    let choices = input.byte();
    config.lag = lag(choices).into();
    config.unresumable = [StartAt::Oldest, StartAt::Newest][usize::from(choices >> 2 & 1)];
    config.heartbeat = [None, Some(millis(300))][usize::from(choices >> 3 & 1)];
    config.stall_timeout = [None, Some(millis(2_000))][usize::from(choices >> 4 & 1)];
    config.max_topics = 2 + u32::from(choices >> 5 & 1);
    config.client_grace = millis(500);
    config.max_sessions = u32::try_from(MOST_SESSIONS).unwrap();
    config
}

fn lag(choice: u8) -> LagPolicy {
    [LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest][usize::from(choice) % 3]
}

/// A session as its peer and its driver see it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Peer {
    client: Option<usize>,
    topics: Vec<usize>,
    /// Whether it subscribed to a pattern that matches every name.
    all_topics: bool,
    /// What it is owed, by position.
    owed: VecDeque<u64>,
    /// What it did not get of that, and what it was told of that.
    missed: u64,
    told: u64,
    /// Bytes of a frame that was cut.
    cut: Vec<u8>,
    last_id: Option<String>,
    last_position: u64,
    parked: bool,
    /// Its driver knows of the end.
    ended: bool,
    /// And was told of it by the broker.
    took_the_end: bool,
    /// It gets nothing that is published from now on.
    closing: bool,
    /// The application was.
    reason: Option<EndReason>,
}

struct World {
    shard: Shard,
    peers: BTreeMap<SessionId, Peer>,
    /// All that was published: position and to whom.
    published: Vec<(u64, Topic)>,
    /// Ids to come back with.
    ids: Vec<String>,
    opened: usize,
    ends: usize,
}

impl World {
    fn new(config: BrokerConfig) -> Self {
        let shard = Shard::new(config);
        let (peers, published, ids) = (BTreeMap::new(), Vec::new(), vec!["e-0".to_owned()]);
        Self { shard, peers, published, ids, opened: 0, ends: 0 }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 | 1 => self.open(input),
            2..5 => self.publish(input),
            5 => self.poll_frames(input),
            6 => self.poll_batch(input),
            7 => self.poll_ready(),
            8 => self.pass(input),
            9 => {
                if let Some(session) = self.pick(input) {
                    self.shard.broker.handle_disconnect(self.shard.now, session);
                    self.peers.get_mut(&session).unwrap().ended = true;
                }
            }
            10 => {
                if let Some(session) = self.pick(input) {
                    let is_open = self.shard.broker.is_open(session);
                    let closed = self.shard.broker.close_session(self.shard.now, session);
                    assert_eq!(closed, is_open);
                    self.peers.get_mut(&session).unwrap().closing |= closed;
                }
            }
            _ => {
                let name = topic(NAMES[input.below(NAMES.len())]);
                let kept = input.below(5);
                let retention =
                    Retention { events: kept, bytes: 1 << 20, age: None, compact: false };
                let result =
                    self.shard.broker.set_retention(self.shard.now, &name, Some(retention));
                assert!(kept > 0 || result.is_err(), "a retention of nothing");
            }
        }
        self.take_events();
    }

    fn pick(&self, input: &mut Input<'_>) -> Option<SessionId> {
        let number = input.below(256);
        let count = self.peers.len();
        (count > 0).then(|| *self.peers.keys().nth(number % count).unwrap())
    }

    fn open(&mut self, input: &mut Input<'_>) {
        let choices = input.byte();
        let mut request = SessionRequest::new();
        let owner = (choices & 3 < 3).then_some(usize::from(choices & 3));
        if let Some(owner) = owner {
            request = request.with_client(client(NAMES[owner]));
        }
        let topics: Vec<usize> = (0..3).filter(|topic| choices >> (2 + topic) & 1 == 1).collect();
        for &name in &topics {
            request = request.with_topic(topic(NAMES[name]));
        }
        let all_topics = choices >> 7 & 1 == 1;
        if all_topics {
            request = request.with_pattern(TopicPattern::new("*").unwrap());
        }
        if choices >> 5 & 1 == 1 {
            request = request.with_lag(lag(input.byte()));
        }
        if choices >> 6 & 1 == 1 {
            let id = match input.byte() {
                255 => input.take(4).to_vec(),
                number => self.ids[usize::from(number) % self.ids.len()].as_bytes().to_vec(),
            };
            request = request.with_last_event_id(LastEventId::from_header(&id));
        }
        let is_full = self.shard.broker.session_count() == MOST_SESSIONS;
        let opened = match self.shard.broker.open(self.shard.now, request) {
            Ok(opened) => opened,
            Err(error) => {
                let expected =
                    if is_full { OpenError::TooManySessions } else { OpenError::TooManyTopics };
                assert_eq!(error, expected);
                return;
            }
        };
        self.opened += 1;
        let mut peer = Peer {
            client: owner,
            topics,
            all_topics,
            owed: VecDeque::new(),
            missed: 0,
            told: 0,
            cut: Vec::new(),
            last_id: None,
            last_position: 0,
            parked: false,
            ended: false,
            took_the_end: false,
            closing: false,
            reason: None,
        };
        // The newest of what it listens to, as many as it was promised.
        let heard = self.published.iter().filter(|(_, to)| peer.hears(opened.session, to));
        let mut heard: VecDeque<u64> = heard.map(|(position, _)| *position).collect();
        let replayed = usize::try_from(opened.resume.replayed()).unwrap();
        assert!(replayed <= heard.len(), "{:?} of {heard:?}", opened.resume);
        if matches!(opened.resume, Resume::Complete { .. }) {
            heard.drain(..heard.len() - replayed);
            peer.owed = heard;
        } else {
            // What is replayed is each topic's newest: which they are is learnt as they come.
            peer.told = (heard.len() - replayed) as u64;
            peer.owed = heard;
        }
        let before = self.peers.insert(opened.session, peer);
        assert!(before.is_none(), "an id is used twice: {}", opened.session);
    }

    fn publish(&mut self, input: &mut Input<'_>) {
        let choice = input.byte();
        let name = usize::from(choice >> 2) % NAMES.len();
        let to: Topic = match choice & 3 {
            0 => Topic::Broadcast,
            1 => topic(NAMES[name]).into(),
            2 => client(NAMES[name]).into(),
            _ => match self.pick(input) {
                Some(session) => session.into(),
                None => Topic::Broadcast,
            },
        };
        let next = self.shard.broker.last_position() + 1;
        let padding = "x".repeat(input.below(64));
        let event = Event::new(format!("{next} {padding}"));
        let possible = self.shard.broker.check_addressee(&to);
        match self.shard.broker.publish(self.shard.now, to.clone(), &event) {
            Ok(published) => {
                assert_eq!((published.position(), possible), (next, Ok(())));
                for (session, peer) in &mut self.peers {
                    let is_open = self.shard.broker.is_open(*session) && !peer.closing;
                    if is_open && peer.hears(*session, &to) {
                        peer.owed.push_back(next);
                    }
                }
                self.published.push((next, to));
            }
            Err(PublishError::TooLarge { size, limit }) => assert!(size > limit),
            Err(error) => assert_eq!(possible, Err(error)),
        }
    }

    fn poll_frames(&mut self, input: &mut Input<'_>) {
        let Some(session) = self.pick(input) else { return };
        for _ in 0..=input.below(6) {
            let peer = self.peers.get_mut(&session).unwrap();
            if !peer.cut.is_empty() {
                return;
            }
            match self.shard.broker.poll_transmit(self.shard.now, session) {
                Some(Transmit::Frame(frame)) => {
                    assert!(!peer.ended, "a frame after the end");
                    peer.parked = false;
                    peer.receive(frame.as_ref(), &mut self.ids);
                }
                Some(Transmit::End(reason)) => {
                    peer.end(reason);
                    return;
                }
                None => {
                    peer.parked = true;
                    return;
                }
            }
        }
    }

    fn poll_batch(&mut self, input: &mut Input<'_>) {
        let Some(session) = self.pick(input) else { return };
        let (limit, written) = (4 * input.below(128), input.below(256));
        let mut batch = Batch::new(FrameForm::Payload);
        let now = self.shard.now;
        let end = self.shard.broker.poll_transmit_batch(now, session, limit, &mut batch);
        let peer = self.peers.get_mut(&session).unwrap();
        match end {
            BatchEnd::End(reason) => {
                assert!(batch.is_empty());
                peer.end(reason);
                return;
            }
            BatchEnd::Parked => peer.parked = true,
            BatchEnd::Full => {
                assert!(!batch.is_empty(), "full of nothing");
                peer.parked = false;
            }
        }
        assert!(!peer.ended || batch.is_empty(), "bytes after the end");
        let written = written.min(batch.len());
        peer.receive(&batch.as_slice()[..written], &mut self.ids);
        if written < batch.len() {
            let rest = self.shard.broker.handle_partial_write(now, session, &batch, written);
            peer.receive(&rest, &mut self.ids);
            peer.parked = false;
            let again = self.shard.broker.handle_partial_write(now, session, &batch, written);
            assert_eq!(again, batch.as_slice()[written..], "a batch is taken back once");
        }
    }

    fn poll_ready(&mut self) {
        for session in self.shard.ready() {
            let peer = self.peers.get_mut(&session).expect("a session that was opened");
            // One that stalled is told of, parked or not.
            let is_over = !self.shard.broker.is_open(session);
            assert!(peer.parked || is_over, "{session} was not parked");
            assert!(!peer.ended, "{session} has ended, as its driver knows");
            peer.parked = false;
        }
        assert_eq!(self.shard.broker.poll_ready(), None);
    }

    /// Time passes, on time or late.
    fn pass(&mut self, input: &mut Input<'_>) {
        let time = millis(10 * input.below(100) as u64);
        if input.below(2) == 0 {
            self.shard.sleep(time);
        } else {
            self.shard.pass(time);
            self.shard.broker.handle_timeout(self.shard.now);
            let next = self.shard.broker.poll_timeout();
            assert!(next.is_none_or(|next| next > self.shard.now), "a deadline that is over");
        }
    }

    fn take_events(&mut self) {
        for event in self.shard.events() {
            match event {
                BrokerEvent::SessionSkipped { session, lost, .. } => {
                    let peer = self.peers.get_mut(&session).unwrap();
                    assert!(lost > 0 && peer.reason.is_none(), "{session} skips after its end");
                    peer.told += lost;
                }
                BrokerEvent::SessionEnded { session, reason, .. } => {
                    let peer = self.peers.get_mut(&session).unwrap();
                    assert_eq!(peer.reason, None, "{session} ends twice");
                    peer.reason = Some(reason);
                    self.ends += 1;
                    if let EndReason::Lagged { lost } = reason {
                        assert!(lost <= 2 * peer.owed.len() as u64 + peer.told, "{peer:?}");
                    }
                }
                _ => {}
            }
        }
    }

    /// Everybody takes what there is, and the broker closes.
    fn finish(mut self) {
        self.shard.broker.close(self.shard.now);
        let sessions: Vec<SessionId> = self.peers.keys().copied().collect();
        for session in sessions {
            for _ in 0..10_000 {
                let peer = self.peers.get_mut(&session).unwrap();
                match self.shard.broker.poll_transmit(self.shard.now, session) {
                    Some(Transmit::Frame(frame)) => peer.receive(frame.as_ref(), &mut self.ids),
                    Some(Transmit::End(reason)) => {
                        peer.end(reason);
                        break;
                    }
                    None => panic!("{session} is parked in a broker that is closed"),
                }
            }
        }
        self.take_events();
        assert_eq!(self.shard.broker.session_count(), 0);
        assert_eq!(self.ends, self.opened);
        for (session, peer) in &self.peers {
            let reason = peer.reason.expect("it has ended");
            if matches!(reason, EndReason::Shutdown | EndReason::Closed) && peer.took_the_end {
                let missed = peer.missed + peer.owed.len() as u64;
                // What was lost behind a topic and a pattern counts for both, and what was lost
                // behind one of them may have come by the other.
                let most = if peer.all_topics { u64::MAX } else { missed };
                assert!((missed..=most).contains(&peer.told), "{session}: {missed} of {peer:?}");
            }
        }
        self.shard.ready();
        self.shard.sleep(millis(100_000));
        assert_eq!(self.shard.broker.poll_timeout(), None, "it has nothing to wait for");
    }
}

impl Peer {
    fn hears(&self, session: SessionId, to: &Topic) -> bool {
        match to {
            Topic::Broadcast => true,
            Topic::Named(_) if self.all_topics => true,
            Topic::Named(name) => self.topics.iter().any(|&index| NAMES[index] == name.as_str()),
            Topic::Client(id) => self.client.is_some_and(|index| NAMES[index] == id.as_str()),
            Topic::Session(id) => *id == session,
            _ => false,
        }
    }

    fn end(&mut self, reason: Option<EndReason>) {
        assert!(reason.is_none() || !self.ended, "its driver is told of the end once");
        self.ended = true;
        self.took_the_end |= reason.is_some();
    }

    fn receive(&mut self, bytes: &[u8], ids: &mut Vec<String>) {
        self.cut.extend_from_slice(bytes);
        while let Some(end) = self.cut.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.cut.drain(..end + 2).collect();
            let block = text(&block);
            if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                ids.push(id.to_owned());
                self.last_id = Some(id.to_owned());
            }
            let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else {
                continue;
            };
            let position: u64 = data.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(self.last_id, Some(format!("e-{position}")));
            assert!(position > self.last_position, "{position} after {}", self.last_position);
            self.last_position = position;
            while let Some(owed) = self.owed.pop_front() {
                assert!(owed <= position, "{position} is not for it, which is owed {owed}");
                if owed == position {
                    break;
                }
                self.missed += 1;
            }
        }
    }
}

//! Servers, one after the other, their listeners, and virtual time.

use crate::kit::random::Random;
use bytes::Bytes;
use http::{Request, Response};
use sansse::broker::{
    Audience, Batch, Broker, BrokerConfig, BrokerEvent, BrokerState, ClientId, Drain, EndReason,
    Epoch, EventIds, Filled, Framing, OpenError, Published, Sequencer, SessionConfig, SessionId,
    ShardNumber, TopicName, TopicPattern,
};
use sansse::client::{Attempt, Client, ClientConfig, ClientEvent, CloseReason, ReadyState};
use sansse::http::{ResponseHead, accept};
use sansse::net::FailureKind;
use sansse::{Event, LastEventId};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

/// How long anything is under way, either way, from and to; always the same for one listener.
pub(crate) const LATENCY: (Duration, Duration) =
    (Duration::from_millis(5), Duration::from_millis(25));
/// How often something is published.
const PUBLISHED_EVERY: Duration = Duration::from_secs(8);
const TOPICS: usize = 16;
/// The topic that ends.
const ANSWER: usize = TOPICS;

pub(crate) struct Listener {
    pub(crate) client: Client,
    name: Option<ClientId>,
    topic: usize,
    /// It listens to the answer alone, which ends.
    is_finite: bool,
    latency: Duration,
    connection: Option<Connection>,
    /// When something is queued to tell it the time.
    armed: Option<Instant>,
    /// It was refused, and is to come again.
    is_refused: bool,
    /// All events before this one were for others, or it has got them; `None` before its first
    /// stream.
    next: Option<usize>,
}

#[derive(Clone, Copy)]
struct Connection {
    attempt: Attempt,
    /// With what server, once the request has arrived.
    session: Option<(usize, SessionId)>,
}

struct Server {
    shards: Vec<Broker>,
    /// Of all sessions: whose, and how it ended.
    sessions: BTreeMap<SessionId, (usize, Option<EndReason>)>,
    /// Listeners without a name come to one shard after the other.
    turn: usize,
    turn_of_refused: usize,
}

/// What comes to one listener, or of it.
enum Happening {
    Starts,
    /// It is told the time.
    Wakes,
    RequestArrives(Attempt, LastEventId),
    Head(Attempt, Response<()>),
    Bytes(Attempt, Bytes),
    Eof(Attempt),
    Breaks(Attempt),
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) listeners: Vec<Listener>,
    /// When each request arrived that was not the first of its listener and was not refused
    /// before.
    pub(crate) asked: Vec<Instant>,
    /// When those who were refused may come again, and when they did.
    pub(crate) told_to_come_at: Vec<Instant>,
    pub(crate) came_again: Vec<Instant>,
    servers: Vec<Server>,
    sequencer: Sequencer,
    history: Vec<Published>,
    /// For each of them, the topic; `None` for all.
    topics: Vec<Option<usize>>,
    next_publish: Instant,
    /// Something is published to the answer.
    is_answering: bool,
    queue: BinaryHeap<Due>,
    queued: u64,
    random: Random,
    batch: Batch,
}

impl World {
    pub(crate) fn new(seed: u64, start: Instant, listeners: usize, is_exact: bool) -> Self {
        let mut random = Random(seed);
        let listener = |number| Listener::new(&mut random, number, is_exact);
        Self {
            now: start,
            listeners: (0..listeners).map(listener).collect(),
            asked: Vec::new(),
            told_to_come_at: Vec::new(),
            came_again: Vec::new(),
            servers: Vec::new(),
            sequencer: Sequencer::new(Epoch(0x57), 0, EventIds::Assigned),
            history: Vec::new(),
            topics: Vec::new(),
            is_answering: false,
            next_publish: start + PUBLISHED_EVERY,
            queue: BinaryHeap::new(),
            queued: 0,
            random,
            batch: Batch::new(Framing::Plain),
        }
    }

    /// Begins a server that is given all that was published; requests go to it from now on.
    pub(crate) fn begin_server(&mut self, shards: usize, config: BrokerConfig) {
        let count = NonZeroU16::new(u16::try_from(shards).unwrap()).unwrap();
        let shards = ShardNumber::all(count).map(|shard| {
            let mut config = config.clone();
            config.shard = shard;
            let mut broker = Broker::new(self.now, config).unwrap();
            for published in &self.history {
                broker.shard_mut().apply(self.now, published).unwrap();
            }
            broker
        });
        let shards = shards.collect();
        let sessions = BTreeMap::new();
        self.servers.push(Server { shards, sessions, turn: 0, turn_of_refused: 0 });
    }

    /// Lets all listeners begin within a time, and get the next few events.
    pub(crate) fn let_all_in(&mut self, within: Duration) {
        for number in 0..self.listeners.len() {
            let share = self.random.below(1_000_000);
            self.after(
                within * u32::try_from(share).unwrap() / 1_000_000,
                number,
                Happening::Starts,
            );
        }
        self.until_all_are_in(self.servers.len() - 1, within + Duration::from_secs(1));
        self.run_until(self.now + PUBLISHED_EVERY);
        self.asked.clear();
    }

    pub(crate) fn drain(&mut self, server: usize, drain: &Drain) {
        for shard in &mut self.servers[server].shards {
            shard.drain(self.now, drain.clone()).unwrap();
        }
        self.serve_ready(server);
    }

    /// The process is gone, and with it all connections.
    pub(crate) fn lose(&mut self, server: usize) {
        self.servers[server].shards.clear();
        for number in 0..self.listeners.len() {
            let connection = self.listeners[number].connection;
            if let Some(Connection { attempt, session: Some(_) }) = connection {
                self.send(number, Happening::Breaks(attempt));
            }
        }
    }

    pub(crate) fn until_all_are_in(&mut self, server: usize, within: Duration) {
        let last = self.now + within;
        let is_in = |listener: &Listener| {
            if listener.client.close_reason().is_some() {
                return true;
            }
            let session = listener.connection.and_then(|connection| connection.session);
            listener.client.state() == ReadyState::Open
                && session.is_some_and(|(at, _)| at > 0 || server == 0)
        };
        loop {
            // A second at a time, since it looks at all of them.
            self.run_until(last.min(self.now + Duration::from_secs(1)));
            let missing = self.listeners.iter().filter(|listener| !is_in(listener)).count();
            if missing == 0 {
                return;
            }
            assert!(self.now < last, "{missing} are still away after {within:?}");
        }
    }

    /// Publishes to everybody, whom it must reach; after that nobody has missed anything.
    pub(crate) fn check_nothing_is_missing(&mut self) {
        self.run_until(self.now + Duration::from_millis(100));
        self.publish_to(None);
        let end = self.history.len();
        self.run_until(self.now + Duration::from_secs(1));
        for (number, listener) in self.listeners.iter().enumerate() {
            let is_over = listener.is_finite && listener.client.close_reason().is_some();
            assert!(
                is_over || listener.next >= Some(end),
                "listener {number} has not got the last event"
            );
        }
    }

    /// Lets every other listener have the answer alone.
    pub(crate) fn begin_answer(&mut self) {
        self.is_answering = true;
        for listener in self.listeners.iter_mut().step_by(2) {
            (listener.topic, listener.is_finite) = (ANSWER, true);
        }
    }

    pub(crate) fn end_answer(&mut self) {
        self.is_answering = false;
        let published = self.sequencer.end_topic(topic_name(ANSWER));
        // Nobody gets it as an event.
        self.give(published, Some(usize::MAX));
    }

    /// How many listeners have read to the end of what they listen to.
    pub(crate) fn finished(&self) -> usize {
        let reasons = self.listeners.iter().filter_map(|listener| listener.client.close_reason());
        reasons.filter(|reason| matches!(reason, CloseReason::NoContent)).count()
    }

    /// Each of its sessions has ended, for this reason; that it was told so once is looked at when
    /// it is.
    pub(crate) fn check_all_ended(&self, server: usize, reason: EndReason) {
        let server = &self.servers[server];
        assert!(server.shards.iter().all(|shard| shard.state() == BrokerState::Drained));
        assert_eq!(server.sessions.len(), self.listeners.len());
        for (session, (number, end)) in &server.sessions {
            let is_over = self.listeners[*number].is_finite && *end == Some(EndReason::TopicsEnded);
            assert!(is_over || *end == Some(reason), "session {session}: {end:?}");
        }
    }

    /// Publishes to everybody, or to a topic.
    pub(crate) fn publish(&mut self) {
        let topic = (self.random.below(2) > 0).then(|| self.random.below(TOPICS));
        self.publish_to(topic);
        if self.is_answering {
            self.publish_to(Some(ANSWER));
        }
    }

    fn publish_to(&mut self, topic: Option<usize>) {
        let event = Event::new(self.history.len().to_string());
        let to = topic.map_or(Audience::Everyone, |topic| topic_name(topic).into());
        let published = self.sequencer.publish(to, &event);
        self.give(published, topic);
    }

    fn give(&mut self, published: Published, topic: Option<usize>) {
        for server in 0..self.servers.len() {
            for shard in &mut self.servers[server].shards {
                shard.shard_mut().apply(self.now, &published).unwrap();
            }
        }
        self.history.push(published);
        self.topics.push(topic);
        for server in 0..self.servers.len() {
            self.serve_ready(server);
        }
    }

    /// Lets everything happen that is due by then.
    pub(crate) fn run_until(&mut self, end: Instant) {
        loop {
            let brokers = self.servers.iter().flat_map(|server| &server.shards);
            let brokers = brokers.filter_map(Broker::poll_timeout).min();
            let queued = self.queue.peek().map(|due| due.at);
            let next = [brokers, queued, Some(self.next_publish)].into_iter().flatten().min();
            let next = next.unwrap();
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if brokers.is_some_and(|at| at <= self.now) {
                for server in 0..self.servers.len() {
                    for shard in &mut self.servers[server].shards {
                        shard.handle_timeout(self.now);
                    }
                    self.serve_ready(server);
                }
            }
            if self.next_publish <= self.now {
                self.next_publish = self.now + PUBLISHED_EVERY;
                self.publish();
            }
            while self.queue.peek().is_some_and(|due| due.at <= self.now) {
                let due = self.queue.pop().unwrap();
                self.happen(due.listener, due.happening);
            }
        }
    }

    fn after(&mut self, wait: Duration, listener: usize, happening: Happening) {
        self.queued += 1;
        let (at, number) = (self.now + wait, self.queued);
        self.queue.push(Due { at, number, listener, happening });
    }

    /// Sends something to a listener, or from it.
    fn send(&mut self, listener: usize, happening: Happening) {
        self.after(self.listeners[listener].latency, listener, happening);
    }

    fn happen(&mut self, number: usize, happening: Happening) {
        let now = self.now;
        let client = &mut self.listeners[number].client;
        match happening {
            Happening::Starts => {}
            Happening::Wakes => {
                self.listeners[number].armed = None;
                let client = &mut self.listeners[number].client;
                if client.poll_timeout().is_some_and(|at| at <= now) {
                    client.handle_timeout(now);
                    assert!(client.poll_timeout().is_none_or(|at| at > now), "the client spins");
                }
            }
            Happening::RequestArrives(attempt, id) => return self.answer(number, attempt, id),
            Happening::Head(attempt, head) => client.handle_response(now, attempt, &head),
            Happening::Bytes(attempt, bytes) => client.handle_data(now, attempt, &bytes),
            Happening::Eof(attempt) => client.handle_eof(now, attempt),
            Happening::Breaks(attempt) => {
                client.handle_failure(now, attempt, FailureKind::Closed);
            }
        }
        self.drive(number);
    }

    /// Does what a listener's driver and its application do.
    fn drive(&mut self, number: usize) {
        let listener = &mut self.listeners[number];
        let (is_finite, its_topic) = (listener.is_finite, listener.topic);
        let hears = |event: usize| match self.topics[event] {
            None => !is_finite,
            Some(topic) => topic == its_topic,
        };
        while let Some(event) = listener.client.poll_event() {
            match event {
                ClientEvent::Message(message) => {
                    let event: usize = message.data().parse().unwrap();
                    let next = listener.next.expect("it has begun");
                    assert!(event >= next, "listener {number} gets {event} again, or too late");
                    for missed in next..event {
                        assert!(!hears(missed), "listener {number} has not got {missed}");
                    }
                    assert!(hears(event), "listener {number} gets {event}, which is for others");
                    listener.next = Some(event + 1);
                }
                ClientEvent::Closed(CloseReason::NoContent) => {
                    assert!(is_finite && !self.is_answering, "listener {number} is told to go");
                    let next = listener.next.expect("it has begun");
                    let mut missed = (next..self.topics.len()).filter(|event| hears(*event));
                    assert_eq!(missed.next(), None, "listener {number} is told to go too soon");
                    listener.connection = None;
                }
                ClientEvent::Closed(why) => panic!("listener {number} gives up: {why}"),
                ClientEvent::Retrying { .. } => listener.connection = None,
                _ => {}
            }
        }
        if let Some((attempt, request)) = listener.client.poll_request(self.now) {
            listener.connection = Some(Connection { attempt, session: None });
            let id = accept(&request).expect("the client asks as it should");
            let id = id.last_event_id().clone();
            self.send(number, Happening::RequestArrives(attempt, id));
        }
        let listener = &mut self.listeners[number];
        if let Some(at) = listener.client.poll_timeout()
            && listener.armed.is_none_or(|armed| at < armed)
        {
            listener.armed = Some(at);
            self.after(at.saturating_duration_since(self.now), number, Happening::Wakes);
        }
    }

    /// Answers a request as a hub does, by the newest server.
    fn answer(&mut self, number: usize, attempt: Attempt, id: LastEventId) {
        let listener = &mut self.listeners[number];
        if std::mem::take(&mut listener.is_refused) {
            self.came_again.push(self.now);
        } else {
            self.asked.push(self.now);
        }
        let at = self.servers.len() - 1;
        let server = &mut self.servers[at];
        let mut request = SessionConfig::new().with_last_event_id(id);
        let shard = if let Some(name) = &listener.name {
            request = request.with_client(name.clone());
            // Not evenly.
            Random(number as u64).below(server.shards.len())
        } else {
            server.turn += 1;
            server.turn % server.shards.len()
        };
        request = match number % 4 {
            _ if listener.is_finite => request.topics_only().with_topic(topic_name(listener.topic)),
            1 => request.with_topic(pattern(listener.topic)),
            _ => request.with_topic(topic_name(listener.topic)),
        };
        match server.shards[shard].open(self.now, request) {
            Ok(opened) => {
                assert!(
                    !opened.resumption.may_miss(),
                    "listener {number}: {:?}",
                    opened.resumption
                );
                listener.next.get_or_insert(self.history.len());
                let before = server.sessions.insert(opened.session, (number, None));
                assert!(before.is_none(), "a session's id is used twice");
                let session = Some((at, opened.session));
                listener.connection = Some(Connection { attempt, session });
                let head = ResponseHead::new().response(&http::HeaderMap::new());
                self.send(number, Happening::Head(attempt, head));
                self.serve(at, opened.session);
                self.take_events(at);
            }
            Err(OpenError::TopicsEnded) => {
                let head = Response::builder().status(204).body(()).unwrap();
                self.send(number, Happening::Head(attempt, head));
                self.send(number, Happening::Eof(attempt));
            }
            Err(error) => {
                server.turn_of_refused += 1;
                let shard = server.turn_of_refused % server.shards.len();
                let wait = server.shards[shard].retry_after(self.now, &error).unwrap();
                listener.is_refused = true;
                self.told_to_come_at.push(self.now + wait);
                let head = Response::builder().status(503).header("retry-after", wait.as_secs());
                self.send(number, Happening::Head(attempt, head.body(()).unwrap()));
                self.send(number, Happening::Eof(attempt));
            }
        }
    }

    fn serve_ready(&mut self, server: usize) {
        for shard in 0..self.servers[server].shards.len() {
            while let Some(session) = self.servers[server].shards[shard].poll_ready() {
                self.serve(server, session);
            }
        }
        self.take_events(server);
    }

    /// Writes all that there is for a session.
    fn serve(&mut self, at: usize, session: SessionId) {
        let mut batch = std::mem::replace(&mut self.batch, Batch::new(Framing::Plain));
        let shard = usize::from(session.shard());
        let number = self.servers[at].sessions[&session].0;
        let attempt = self.listeners[number].connection.expect("it has a session").attempt;
        loop {
            let broker = &mut self.servers[at].shards[shard];
            let end = broker.poll_transmit_batch(self.now, session, 16 << 10, &mut batch);
            if !batch.is_empty() {
                let bytes = Bytes::copy_from_slice(batch.as_slice());
                self.send(number, Happening::Bytes(attempt, bytes));
            }
            match end {
                Filled::More => {}
                Filled::All => break,
                Filled::Ended(reason) => {
                    self.take_events(at);
                    let told = self.servers[at].sessions[&session].1;
                    assert!(reason.is_some() && reason == told, "{reason:?}, and {told:?}");
                    self.send(number, Happening::Eof(attempt));
                    break;
                }
            }
        }
        self.batch = batch;
    }

    fn take_events(&mut self, server: usize) {
        let Server { shards, sessions, .. } = &mut self.servers[server];
        for shard in shards {
            while let Some((_, event)) = shard.poll_event() {
                if let BrokerEvent::SessionEnded { session, reason, .. } = event {
                    let (_, end) = sessions.get_mut(&session).unwrap();
                    assert!(end.replace(reason).is_none(), "session {session} ended twice");
                }
            }
        }
    }
}

impl Listener {
    fn new(random: &mut Random, number: usize, is_exact: bool) -> Self {
        let request = Request::get("http://example.org/events").body(Bytes::new()).unwrap();
        let mut config = ClientConfig::new(random.next());
        if is_exact {
            config.policy.reconnection.max_backoff = None;
        }
        let range = usize::try_from((LATENCY.1 - LATENCY.0).as_micros()).unwrap();
        let latency = Duration::from_micros(u64::try_from(random.below(range + 1)).unwrap());
        let name = format!("listener/{number}");
        Self {
            client: Client::new(request, config),
            name: (random.below(2) == 0).then(|| ClientId::new(name).unwrap()),
            topic: random.below(TOPICS),
            is_finite: false,
            latency: LATENCY.0 + latency,
            connection: None,
            armed: None,
            is_refused: false,
            next: None,
        }
    }
}

fn topic_name(topic: usize) -> TopicName {
    TopicName::new(format!("topic/{topic}/all")).unwrap()
}

fn pattern(topic: usize) -> TopicPattern {
    TopicPattern::new(format!("topic/{topic}/*")).unwrap()
}

struct Due {
    at: Instant,
    number: u64,
    listener: usize,
    happening: Happening,
}

/// What is due first is the greatest, as a heap wants it.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

//! Every name of the library that the program uses, so that a library with other names needs
//! another copy of this file and of nothing else.

use sansse::Event;
use sansse::broker::{
    Batch, BrokerConfig, ClientId, Epoch, Framing, SessionConfig, SessionId, TopicName, Transmit,
};
use std::time::Instant;

pub(crate) use sansse::broker::Audience;

/// What a session asks for when it opens.
pub(crate) type Request = SessionConfig;

/// A session that has opened.
pub(crate) type Session = SessionId;

/// A broker, one event of 100 bytes for all that is published, and one batch for all deliveries.
pub(crate) struct Broker {
    broker: sansse::broker::Broker,
    now: Instant,
    event: Event,
    batch: Batch,
    topics: Vec<TopicName>,
}

impl Broker {
    pub(crate) fn new(sessions: u32, topics: u32) -> Self {
        let now = Instant::now();
        let mut config = BrokerConfig::new(Epoch(1));
        config.limits.sessions.most = sessions.try_into().unwrap();
        config.limits.unread_events = (sessions + 1).try_into().unwrap();
        let broker = sansse::broker::Broker::new(now, config).expect("the settings are valid");
        let name = |number| TopicName::new(format!("topic/{number}")).expect("a valid name");
        Self {
            broker,
            now,
            event: Event::new("x".repeat(100)),
            batch: Batch::with_capacity(Framing::Chunked, 1 << 16),
            topics: (0..topics).map(name).collect(),
        }
    }

    /// Makes the request of a session with some of the topics, and a client if it is given.
    pub(crate) fn request(&self, client: Option<String>, topics: &[usize]) -> Request {
        let mut request = SessionConfig::new();
        if let Some(client) = client {
            request = request.with_client(ClientId::new(client).expect("a valid name"));
        }
        for &topic in topics {
            request = request.with_topic(self.topics[topic].clone());
        }
        request
    }

    pub(crate) fn open(&mut self, request: Request) -> Session {
        self.broker.open(self.now, request).expect("within the limits").session
    }

    /// Delivers what is pending for one session, which then waits, and takes what the broker tells
    /// its owner.
    pub(crate) fn park(&mut self, session: Session) {
        self.broker.poll_transmit_batch(self.now, session, 1 << 16, &mut self.batch);
        while self.broker.poll_event().is_some() {}
    }

    pub(crate) fn everyone() -> Audience {
        Audience::Everyone
    }

    pub(crate) fn topic(&self, topic: usize) -> Audience {
        Audience::Topic(self.topics[topic].clone())
    }

    pub(crate) fn client(name: String) -> Audience {
        Audience::Client(ClientId::new(name).expect("a valid name"))
    }

    pub(crate) fn session(session: Session) -> Audience {
        Audience::Session(session)
    }

    pub(crate) fn publish(&mut self, audience: Audience) {
        self.broker.publish(self.now, audience, &self.event).expect("there is room");
    }

    /// Delivers all that is pending in batches; returns to how many sessions.
    pub(crate) fn deliver_in_batches(&mut self) -> u32 {
        let mut sessions = 0;
        while let Some(session) = self.broker.poll_ready() {
            self.broker.poll_transmit_batch(self.now, session, 1 << 16, &mut self.batch);
            sessions += 1;
        }
        sessions
    }

    /// Delivers all that is pending frame by frame; returns to how many sessions.
    pub(crate) fn deliver_by_frame(&mut self) -> u32 {
        let mut sessions = 0;
        while let Some(session) = self.broker.poll_ready() {
            while let Some(Transmit::Frame(frame)) = self.broker.poll_transmit(self.now, session) {
                std::hint::black_box(frame.chunk());
            }
            sessions += 1;
        }
        sessions
    }
}

//! Refusals for now: what is told, and that a page which does as the standard says comes back.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::{Driver, Probe, next};
use super::{client, config, request_of, say, seconds, sharded};
use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, ORIGIN, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sansse::broker::{AddressKey, BrokerConfig, Drain, Epoch, OpenError, SessionConfig};
use sansse::http::{Cors, LAST_EVENT_ID, ResponseHead};
use sansse::hub::{Answer, HubBuilder, RefuseBy, Session};
use sansse::{Decoder, Event, EventType, Hub, Step};
use std::task::Poll;
use std::time::Duration;

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).uri("/events").body(()).unwrap()
}

fn response_of(answer: Answer) -> Response<Bytes> {
    let Answer::Response(response) = answer else { panic!("{answer:?}") };
    response
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn build(config: BrokerConfig, by: RefuseBy) -> Hub {
    let head = ResponseHead::new().with_cors(Cors::origins(["https://a.example"]).unwrap());
    let builder = HubBuilder::new(config).with_response_head(head).with_refusals(by);
    builder.build_still(VirtualTimer::new())
}

/// Hubs that refuse for now, the session that they refuse, why they do, and with what status.
fn refusing(by: RefuseBy) -> Vec<(Hub, Vec<Session>, SessionConfig, &'static str, StatusCode)> {
    let mut full = config();
    full.limits.sessions.most = 1.try_into().unwrap();
    let mut per_client = config();
    per_client.limits.sessions_per_client.most = 1.try_into().unwrap();
    let mut per_address = config();
    per_address.limits.sessions_per_address.most = 1.try_into().unwrap();
    let address = SessionConfig::new().with_address(AddressKey::new("somewhere").unwrap());
    let (busy, too_many) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS);
    let mut hubs = Vec::new();
    for (config, session, reason, status) in [
        (full, SessionConfig::new(), "full", busy),
        (per_client, request_of("alice"), "client", too_many),
        (per_address, address, "address", too_many),
        (config(), SessionConfig::new(), "draining", busy),
        (config(), SessionConfig::new(), "closed", busy),
    ] {
        let hub = build(config, by);
        let open = vec![hub.open(session.clone()).unwrap()];
        match reason {
            "draining" => hub.drain(Drain::new(seconds(10))).unwrap(),
            "closed" => hub.close(),
            _ => {}
        }
        hubs.push((hub, open, session, reason, status));
    }
    hubs
}

#[test]
fn what_is_refused_for_now_is_a_stream_that_says_come_back() {
    let mut asked = request(Method::GET);
    asked.headers_mut().insert(ORIGIN, HeaderValue::from_static("https://a.example"));
    for (hub, _open, session, reason, _) in refusing(RefuseBy::default()) {
        let error = hub.open(session.clone()).unwrap_err();
        let response = response_of(hub.accept(&asked, session));
        assert_eq!(response.status(), StatusCode::OK, "{reason}");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert!(!response.headers().contains_key(RETRY_AFTER));
        let expected = format!(
            ": {error}\nretry: 5000\nevent: sansse-notice\n\
             data: {{\"stream\":\"refused\",\"replayed\":0,\"lost\":0,\"reason\":\"{reason}\"}}\n\n"
        );
        assert_eq!(text(&response), expected);
        // An application that opens sessions by itself answers in the same way.
        let own = hub.refusal(&asked, &error);
        assert_eq!((own.headers(), own.body()), (response.headers(), response.body()));
    }
}

#[test]
fn the_notice_has_the_type_that_was_set_or_is_left_out() {
    let told = |notices: Option<EventType>, own: Option<Option<EventType>>| {
        let mut config = config();
        config.session.notices = notices;
        let hub = build(config, RefuseBy::Stream);
        hub.close();
        let mut session = SessionConfig::new();
        if let Some(own) = own {
            session = session.with_notices(own);
        }
        text(&response_of(hub.accept(&request(Method::GET), session))).to_owned()
    };
    let (a, b) = (EventType::new("a").unwrap(), EventType::new("b").unwrap());
    assert!(told(Some(a.clone()), None).contains("\nevent: a\n"));
    assert!(told(Some(a.clone()), Some(Some(b.clone()))).contains("\nevent: b\n"));
    let without = ": the broker is closed\nretry: 5000\n\n";
    assert_eq!(told(Some(a), Some(None)), without);
    assert_eq!(told(None, None), without);
    assert!(told(None, Some(Some(b))).contains("\nevent: b\n"));
}

#[test]
fn a_post_is_refused_by_status_and_so_is_all_where_that_is_set() {
    for (by, method) in [
        (RefuseBy::Stream, Method::POST),
        (RefuseBy::Status, Method::GET),
        (RefuseBy::Status, Method::POST),
    ] {
        let mut asked = request(method);
        asked.headers_mut().insert(ORIGIN, HeaderValue::from_static("https://a.example"));
        for (hub, _open, session, reason, status) in refusing(by) {
            let error = hub.open(session.clone()).unwrap_err();
            let response = response_of(hub.accept(&asked, session));
            assert_eq!(response.status(), status, "{reason}");
            assert_eq!(response.headers()[RETRY_AFTER], "5");
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
            assert_eq!(text(&response), format!("{error}\n"));
        }
    }
}

#[test]
fn a_head_request_is_refused_as_a_get_is() {
    for by in [RefuseBy::Stream, RefuseBy::Status] {
        for (hub, _open, session, reason, _) in refusing(by) {
            let head = response_of(hub.accept(&request(Method::HEAD), session.clone()));
            let get = response_of(hub.accept(&request(Method::GET), session));
            assert_eq!((head.status(), head.headers()), (get.status(), get.headers()), "{reason}");
        }
    }
}

#[test]
fn a_final_refusal_is_a_status_and_tells_no_time() {
    let hub = build(config(), RefuseBy::Stream);
    for error in [
        OpenError::NotPermitted,
        OpenError::LeaseInThePast,
        OpenError::TopicsEnded,
        OpenError::ZeroHeartbeat,
        OpenError::TooManyTopicsOfSession { limit: 1 },
    ] {
        let response = hub.refusal(&request(Method::GET), &error);
        assert_ne!(response.status(), StatusCode::OK, "{error}");
        assert!(!response.headers().contains_key(RETRY_AFTER));
        assert!(!text(&response).contains("retry"), "{error}");
    }
}

/// The times are those of `Retry-After`, whole seconds, one after the other.
#[test]
fn those_who_are_refused_are_told_different_times() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    config.reconnect.per_second = 2.try_into().unwrap();
    // One rate for all shards, however many.
    let hub = sharded(config, 3).build_still(VirtualTimer::new());
    let _session = hub.open(SessionConfig::new()).unwrap();
    let told: Vec<Duration> = (0..5)
        .map(|_| {
            let response = response_of(hub.accept(&request(Method::GET), SessionConfig::new()));
            let mut decoder = Decoder::new();
            decoder.handle_data(response.body());
            while decoder.poll_step().is_some() {}
            decoder.reconnection_time().unwrap()
        })
        .collect();
    assert_eq!(told, [5, 5, 6, 6, 7].map(seconds));
    assert_eq!(hub.retry_after(&OpenError::TooManySessions), Some(seconds(7)));
    assert_eq!(hub.retry_after(&OpenError::ZeroHeartbeat), None);
}

/// An `EventSource`, as WHATWG HTML, 9.2.2 and 9.2.3 say what it does.
struct Page {
    session: SessionConfig,
    decoder: Decoder,
    connection: Connection,
    received: Vec<String>,
    probe: Probe,
}

enum Connection {
    /// It asks when this time has come.
    Waiting(Duration),
    Open(Session),
    /// For good.
    Closed(StatusCode),
}

impl Page {
    fn new(session: SessionConfig) -> Self {
        Self {
            session,
            decoder: Decoder::new(),
            connection: Connection::Waiting(Duration::ZERO),
            received: Vec::new(),
            probe: Probe::new(),
        }
    }

    /// Does what is to be done at this time; where there is no hub, nobody listens.
    fn run(&mut self, now: Duration, hub: Option<&Hub>) {
        match &mut self.connection {
            Connection::Waiting(until) if *until <= now => match hub {
                Some(hub) => self.ask(now, hub),
                None => self.come_back(now),
            },
            Connection::Open(session) => loop {
                match next(session, &self.probe) {
                    Poll::Pending => return,
                    Poll::Ready(None) => return self.come_back(now),
                    Poll::Ready(Some(frame)) => {
                        self.decoder.handle_data(frame.as_ref());
                        while let Some(step) = self.decoder.poll_step() {
                            if step == Step::Message
                                && self.decoder.message().event_type() == "message"
                            {
                                self.received.push(self.decoder.message().data().to_owned());
                            }
                        }
                    }
                }
            },
            _ => {}
        }
    }

    fn ask(&mut self, now: Duration, hub: &Hub) {
        let mut asked = request(Method::GET);
        if !self.decoder.last_event_id().is_empty() {
            let id = HeaderValue::try_from(self.decoder.last_event_id()).unwrap();
            asked.headers_mut().insert(LAST_EVENT_ID, id);
        }
        self.decoder.reset();
        match hub.accept(&asked, self.session.clone()) {
            Answer::Stream(head, session) if head.status() == StatusCode::OK => {
                self.connection = Connection::Open(session);
                self.run(now, Some(hub));
            }
            Answer::Response(response)
                if response.status() == StatusCode::OK
                    && response.headers()[CONTENT_TYPE] == "text/event-stream" =>
            {
                self.decoder.handle_data(response.body());
                while self.decoder.poll_step().is_some() {}
                self.come_back(now);
            }
            Answer::Response(response) => {
                self.connection = Connection::Closed(response.status());
            }
            answer => panic!("{answer:?}"),
        }
    }

    fn come_back(&mut self, now: Duration) {
        let time = self.decoder.reconnection_time().unwrap_or(seconds(3));
        self.connection = Connection::Waiting(now + time);
    }

    fn is_open(&self) -> bool {
        matches!(self.connection, Connection::Open(_))
    }

    fn closed(&self) -> Option<StatusCode> {
        match self.connection {
            Connection::Closed(status) => Some(status),
            _ => None,
        }
    }
}

/// Pages and the hub that they ask, in virtual time.
struct World {
    timer: VirtualTimer,
    hub: Option<(Hub, Driver)>,
    pages: Vec<Page>,
}

impl World {
    fn new(config: BrokerConfig, by: RefuseBy, pages: Vec<Page>) -> Self {
        let mut world = Self { timer: VirtualTimer::new(), hub: None, pages };
        world.start(config, by);
        world
    }

    fn start(&mut self, config: BrokerConfig, by: RefuseBy) {
        let builder = HubBuilder::new(config).with_refusals(by);
        let (hub, drive) = builder.build(self.timer.clone()).unwrap();
        self.hub = Some((hub, Driver::new(drive)));
    }

    fn hub(&self) -> &Hub {
        &self.hub.as_ref().unwrap().0
    }

    /// Lets so many seconds pass.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..10 * seconds {
            self.step();
            self.timer.advance(Duration::from_millis(100));
        }
        self.step();
    }

    fn step(&mut self) {
        if let Some((_, driver)) = &mut self.hub {
            driver.run();
        }
        let hub = self.hub.as_ref().map(|(hub, _)| hub);
        for page in &mut self.pages {
            page.run(self.timer.elapsed(), hub);
        }
    }

    fn open(&self) -> usize {
        self.pages.iter().filter(|page| page.is_open()).count()
    }

    fn closed(&self) -> Vec<StatusCode> {
        self.pages.iter().filter_map(Page::closed).collect()
    }
}

fn pages(count: usize) -> Vec<Page> {
    (0..count).map(|_| Page::new(SessionConfig::new())).collect()
}

#[test]
fn pages_come_back_to_a_hub_that_was_full() {
    let mut config = config();
    config.limits.sessions.most = 3.try_into().unwrap();
    let mut world = World::new(config.clone(), RefuseBy::Stream, pages(3));
    let others: Vec<Session> =
        (0..3).map(|_| world.hub().open(SessionConfig::new()).unwrap()).collect();
    world.pass(30);
    assert_eq!((world.open(), world.closed()), (0, vec![]));
    drop(others);
    world.pass(6);
    assert_eq!(world.open(), 3);
    say(world.hub(), "again");
    world.pass(1);
    assert!(world.pages.iter().all(|page| page.received == ["again"]));
    // They have forgotten the time that the refusals told them.
    for page in &world.pages {
        assert_eq!(page.decoder.reconnection_time(), Some(seconds(3)));
    }

    // Statuses would have ended them.
    let mut world = World::new(config, RefuseBy::Status, pages(3));
    let _others: Vec<Session> =
        (0..3).map(|_| world.hub().open(SessionConfig::new()).unwrap()).collect();
    world.pass(1);
    assert_eq!(world.closed(), [StatusCode::SERVICE_UNAVAILABLE; 3]);
}

#[test]
fn a_page_comes_back_when_the_client_or_the_address_has_room_again() {
    let mut config = config();
    config.limits.sessions_per_client.most = 1.try_into().unwrap();
    config.limits.sessions_per_address.most = 1.try_into().unwrap();
    let address = AddressKey::new("somewhere").unwrap();
    for session in [
        SessionConfig::new().with_client(client("alice")),
        SessionConfig::new().with_address(address),
    ] {
        let page = Page::new(session.clone());
        let mut world = World::new(config.clone(), RefuseBy::Stream, vec![page]);
        let other = world.hub().open(session).unwrap();
        world.pass(20);
        assert_eq!((world.open(), world.closed()), (0, vec![]));
        drop(other);
        world.pass(6);
        assert_eq!(world.open(), 1);
    }
}

/// They are called back into the drain, since one session that takes nothing makes it last, and
/// then to nobody, and in the end to the next life of the server.
#[test]
fn pages_come_back_after_a_drain_and_a_restart() {
    let mut world = World::new(config(), RefuseBy::Stream, pages(5));
    world.pass(1);
    assert_eq!(world.open(), 5);
    let stuck = world.hub().open(SessionConfig::new()).unwrap();
    say(world.hub(), "before");
    let drain = Drain::new(Duration::from_millis(500))
        .with_retry(seconds(1), seconds(1))
        .with_farewell(Event::new("bye"))
        .with_patience(seconds(20));
    world.hub().drain(drain).unwrap();
    world.pass(18);
    assert_eq!((world.open(), world.closed()), (0, vec![]));
    let during = world.hub().counters().refused.closing;
    assert!(during >= 5, "{during} were refused");
    world.hub().close();
    drop(stuck);
    world.pass(10);
    let after = world.hub().counters().refused.closing;
    assert!(after >= during + 5, "{after} were refused");
    world.hub = None;
    world.pass(10);
    assert_eq!((world.open(), world.closed()), (0, vec![]));
    world.start(BrokerConfig::new(Epoch(0xcafe)), RefuseBy::Stream);
    world.pass(7);
    assert_eq!(world.open(), 5);
    say(world.hub(), "after");
    world.pass(1);
    assert!(world.pages.iter().all(|page| page.received == ["before", "bye", "after"]));
}

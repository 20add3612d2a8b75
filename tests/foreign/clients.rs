//! The clients of others at our server.
//!
//! A client is a script in `clients/` over somebody's library. It prints `{"open":true}` for each
//! stream that it has, `{"message":{type,data,id}}` for each event, `{"lost":true}` when a stream
//! is over, and `{"closed":true}` when it will ask no more.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use sansse::broker::{
    Audience, BrokerConfig, BrokerEvent, Epoch, OnUnknownId, Resumption, SessionConfig, SessionId,
    StartAt, TopicName,
};
use sansse::hub::{Answer, HubBuilder};
use sansse::{Event, EventId, EventType, Hub};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::program::{ALL, Program};

macro_rules! tests {
    ($($test:ident)*) => {
        tests! { eventsource = ["clients/event-source.cjs", "eventsource"]; $($test)* }
        tests! { undici = ["clients/event-source.cjs", "undici"]; $($test)* }
        tests! { eventsource_parser = ["clients/parser-loop.cjs"]; $($test)* }
        tests! { httpx_sse = ["clients/httpx-sse.py"]; $($test)* }
        tests! { sseclient_py = ["clients/sseclient-py.py"]; $($test)* }
    };
    ($client:ident = $script:expr; $($test:ident)*) => {
        mod $client {
            $(
                #[tokio::test]
                #[ignore = "needs what tests/foreign/install installs; .ci/run runs it"]
                async fn $test() {
                    super::$test(&$script).await;
                }
            )*
        }
    };
}

tests! {
    every_field_arrives_as_it_was_published
    nothing_is_missed_or_doubled_when_the_server_closes_the_session
    nothing_is_missed_or_doubled_when_the_connection_is_cut_in_a_burst
    what_is_published_before_the_first_event_was_received_is_not_missed
    a_cut_after_a_late_subscription_brings_nothing_twice
    a_gap_is_told_and_the_rest_comes_once
    a_restart_is_told_and_the_stream_goes_on_from_there
    a_finite_topic_ends_with_a_comment_and_no_more_questions
    no_content_is_the_end
}

// Without the cut in a burst: it takes an id before it has the event of that id, and so loses the
// event in which a connection is cut, whatever the server.
tests! {
    fetch_event_source = ["clients/fetch-event-source.cjs"];
    every_field_arrives_as_it_was_published
    nothing_is_missed_or_doubled_when_the_server_closes_the_session
    what_is_published_before_the_first_event_was_received_is_not_missed
    a_cut_after_a_late_subscription_brings_nothing_twice
    a_gap_is_told_and_the_rest_comes_once
    a_restart_is_told_and_the_stream_goes_on_from_there
    a_finite_topic_ends_with_a_comment_and_no_more_questions
    no_content_is_the_end
}

async fn every_field_arrives_as_it_was_published(script: &[&str]) {
    let mut server = Server::start().await;
    let mut client = Client::start(script, &server.url());
    let (_, resume) = server.opened().await;
    assert_eq!(resume, Resumption::Live);

    let of_type = |event_type: &'static str, data: &'static str| {
        Event::new(data).with_type(EventType::new(event_type).expect("it is valid"))
    };
    let events = [
        of_type("greeting", "Hello"),
        Event::new("{\"of\":\"no type\"}"),
        of_type("lines", "first\nsecond\r\n\r\nfourth: with a colon\rfifth"),
        of_type("Grüße 🌍", "世界\u{2028}all one line\u{85}\u{feff}\u{10ffff}"),
        of_type("text", "data: not a field\nid: 99\n: no comment\nretry: 1"),
        Event::new("  led by two spaces"),
        Event::new("has an id of its own").with_id(EventId::new("größe-6").expect("it is valid")),
        Event::new("has a time and a comment")
            .with_retry(Duration::from_millis(70))
            .with_comment("not to be seen\nevent: nor this"),
        Event::new("x".repeat(1 << 20)),
        Event::new("last"),
    ];
    let expected: Vec<Value> = events.iter().map(|event| server.publish(event)).collect();
    for expected in expected {
        assert_eq!(client.next_message().await, expected);
    }

    // It has heard heartbeats in between, and took none for an event.
    tokio::time::sleep(5 * HEARTBEAT).await;
    let after = server.publish(&Event::new("after the heartbeats"));
    assert_eq!(client.next_message().await, after);
    assert_eq!(client.losses, 0);
}

async fn nothing_is_missed_or_doubled_when_the_server_closes_the_session(script: &[&str]) {
    let mut server = Server::start().await;
    let mut client = Client::start(script, &server.url());
    let mut last_id = None;
    let mut numbers = 1_u32..;
    for round in 0..4 {
        let (session, resume) = server.opened().await;
        match round {
            0 => assert_eq!(resume, Resumption::Live),
            _ => assert!(matches!(resume, Resumption::Complete { .. }), "{resume:?}"),
        }
        assert_eq!(server.asked().await, last_id, "in round {round}");
        // Those of the round before, which it has missed, come first.
        for expected in server.publish_numbers(numbers.by_ref().take(3)) {
            assert_eq!(client.next_message().await, expected);
            last_id = expected["id"].as_str().map(str::to_owned);
        }
        assert!(server.hub().close_session(session));
        // It cannot be back before these are published.
        let missed = server.publish_numbers(numbers.by_ref().take(3));
        for expected in missed {
            assert_eq!(client.next_message().await, expected);
        }
    }
}

async fn nothing_is_missed_or_doubled_when_the_connection_is_cut_in_a_burst(script: &[&str]) {
    let mut server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let cut = tokio::spawn(cut_after(200_000, listener, server.address));
    let mut client = Client::start(script, &format!("http://{address}/events"));
    server.opened().await;
    assert_eq!(server.asked().await, None);

    let padding = "x".repeat(1_000);
    let of_size = |number: u32| Event::new(format!("{number} {padding}"));
    let mut expected: Vec<Value> =
        (0..500).map(|number| server.publish(&of_size(number))).collect();
    let listener = timeout(ALL, cut).await.expect("as much is sent").expect("it is relayed");
    expected.extend((500..505).map(|number| server.publish(&of_size(number))));
    let way = tokio::spawn(cut_after(u64::MAX, listener, server.address));
    for expected in &expected {
        assert_eq!(client.next_message().await, *expected);
    }
    assert_eq!(client.losses, 1);
    let last_id = server.asked().await.expect("it had received some");
    let had = expected.iter().position(|event| event["id"] == last_id.as_str());
    assert!(had.is_some_and(|had| (150..200).contains(&had)), "{last_id}");
    way.abort();
}

async fn what_is_published_before_the_first_event_was_received_is_not_missed(script: &[&str]) {
    let mut server = Server::start().await;
    let mut client = Client::start(script, &server.url());
    let (session, _) = server.opened().await;
    assert_eq!(client.next_notice().await["stream"], "live");
    assert!(server.hub().close_session(session));
    let missed = server.publish_numbers(0..3);
    let again = client.next_notice().await;
    assert_eq!((&again["stream"], &again["replayed"]), (&json!("complete"), &json!(3)));
    for expected in missed {
        assert_eq!(client.next_message().await, expected);
    }
}

async fn a_cut_after_a_late_subscription_brings_nothing_twice(script: &[&str]) {
    let (old, news) = (topic("old"), topic("news"));
    let both = [old.clone(), news.clone()];
    let mut server = Server::start_with(config(), move |asked| {
        let topics = if asked == 1 { &both[1..] } else { &both[..] };
        topics.iter().cloned().fold(SessionConfig::new(), SessionConfig::with_topic)
    })
    .await;
    for number in 0..5 {
        server.publish_to(old.clone(), &Event::new(format!("old {number}")));
    }
    let mut client = Client::start(script, &server.url());
    let (session, _) = server.opened().await;
    for number in 0..5 {
        let expected = server.publish_to(news.clone(), &Event::new(number.to_string()));
        assert_eq!(client.next_message().await, expected);
    }
    server.hub().subscribe(session, old, StartAt::Oldest).expect("the session is open");
    for number in 0..5 {
        assert_eq!(client.next_message().await["data"], format!("old {number}"));
    }
    assert_eq!(client.next_notice().await["stream"], "place");
    assert!(server.hub().close_session(session));
    let (_, resumption) = server.opened().await;
    assert!(matches!(resumption, Resumption::Complete { .. }), "{resumption:?}");
    let next = server.publish_to(news, &Event::new("next"));
    assert_eq!(client.next_message().await, next, "and nothing that it had");
}

async fn a_gap_is_told_and_the_rest_comes_once(script: &[&str]) {
    let mut config = config();
    config.retention.events = 3.try_into().expect("it is not 0");
    let mut server = Server::start_with(config, |_| SessionConfig::new()).await;
    let mut client = Client::start(script, &server.url());
    let (session, _) = server.opened().await;
    let first = server.publish(&Event::new("first"));
    assert_eq!(client.next_message().await, first);
    assert!(server.hub().close_session(session));
    let missed = server.publish_numbers(0..10);
    let gap = client.next_notice().await;
    let expected = json!({ "stream": "gap", "replayed": 3, "lost": 7, "reason": "retention" });
    assert_eq!(gap, expected);
    // Cut off again behind the notice, it is not told a second time.
    let (session, _) = server.opened().await;
    for expected in &missed[7..] {
        assert_eq!(client.next_message().await, *expected);
    }
    assert!(server.hub().close_session(session));
    assert_eq!(client.next_notice().await["stream"], "complete");
}

async fn a_restart_is_told_and_the_stream_goes_on_from_there(script: &[&str]) {
    let mut server = Server::start().await;
    let mut client = Client::start(script, &server.url());
    server.opened().await;
    let before = server.publish(&Event::new("before"));
    assert_eq!(client.next_message().await, before);
    server.restart(Epoch(0xbeef));
    let kept = server.publish_numbers(0..2);
    let gap = client.next_notice().await;
    let expected = json!({ "stream": "gap", "replayed": 2, "lost": null, "reason": "restart" });
    assert_eq!(gap, expected);
    for expected in kept {
        assert_eq!(client.next_message().await, expected);
    }
    let (session, _) = server.opened().await;
    assert!(server.hub().close_session(session));
    assert_eq!(client.next_notice().await["stream"], "complete", "it has a place again");
}

async fn a_finite_topic_ends_with_a_comment_and_no_more_questions(script: &[&str]) {
    let answer = topic("answer");
    let mut server = Server::start_with(config(), |_| {
        SessionConfig::new().topics_only().with_topic(topic("answer")).with_start(StartAt::Oldest)
    })
    .await;
    let only = server.publish_to(answer.clone(), &Event::new("all there is"));
    let comment = Event::comment("and a comment");
    server.hub().publish(answer.clone(), &comment).expect("the hub is open");
    server.hub().end_topic(&answer).expect("it has not ended");
    let mut client = Client::start(script, &server.url());
    assert_eq!(client.next_message().await, only);
    while !client.is_closed().await {}
    assert_eq!(server.asked().await, None);
    assert_eq!(server.asked().await.as_deref(), Some("feed-3"), "it knows that it has all");
    assert!(server.asked.try_recv().is_err(), "and asks no more");
}

async fn no_content_is_the_end(script: &[&str]) {
    let mut server = Server::start().await;
    let mut client = Client::start(script, &server.url());
    let (session, _) = server.opened().await;
    let last = server.publish(&Event::new("last"));
    server.finished.store(true, Ordering::Relaxed);
    assert!(server.hub().close_session(session));
    assert_eq!(client.next_message().await, last);
    while !client.is_closed().await {}
    server.asked().await;
    assert_eq!(server.asked().await.as_deref(), last["id"].as_str());
}

const RETRY: Duration = Duration::from_millis(60);
const HEARTBEAT: Duration = Duration::from_millis(50);

/// The types of the events, which an `EventSource` has to be told.
const TYPES: [&str; 6] = ["message", "greeting", "lines", "Grüße 🌍", "text", NOTICE];
const NOTICE: &str = "sansse-notice";

fn config() -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(0xfeed));
    config.reconnect.retry = Some(RETRY);
    config.session.heartbeat = Some(HEARTBEAT);
    config
}

fn topic(name: &'static str) -> TopicName {
    TopicName::new(name).expect("it is valid")
}

/// Our server.
struct Server {
    config: BrokerConfig,
    /// The hub of its present life.
    hub: Arc<Mutex<Hub>>,
    tell_opened: UnboundedSender<(SessionId, Resumption)>,
    address: SocketAddr,
    opened: UnboundedReceiver<(SessionId, Resumption)>,
    asked: UnboundedReceiver<Option<String>>,
    /// Whether it answers 204.
    finished: Arc<AtomicBool>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(config(), |_| SessionConfig::new()).await
    }

    /// `session` gives a session to each request, by its number from 1 on.
    async fn start_with(
        config: BrokerConfig,
        session: impl Fn(usize) -> SessionConfig + Clone + Send + Sync + 'static,
    ) -> Self {
        let (tell_opened, opened) = unbounded_channel();
        let hub = Arc::new(Mutex::new(hub_of(config.clone(), &tell_opened)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (heard, asked) = unbounded_channel();
        let finished = Arc::new(AtomicBool::new(false));
        let (streams, over) = (Arc::clone(&hub), Arc::clone(&finished));
        let number = Arc::new(AtomicUsize::new(0));
        let handler = move |request: Request<Bytes>| {
            let id = request.headers().get("last-event-id");
            let id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
            let _ = heard.send(id);
            let answer = if over.load(Ordering::Relaxed) {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Answer::from(response)
            } else {
                let number = 1 + number.fetch_add(1, Ordering::Relaxed);
                present(&streams).accept(&request, session(number))
            };
            std::future::ready(answer)
        };
        tokio::spawn(sansse_tokio::serve(listener, present(&hub), handler));
        Self { config, hub, tell_opened, address, opened, asked, finished }
    }

    fn hub(&self) -> Hub {
        present(&self.hub)
    }

    /// Another process takes over, which knows nothing of what was published.
    fn restart(&self, epoch: Epoch) {
        let mut config = self.config.clone();
        config.epoch = epoch;
        config.session.on_unknown_id = OnUnknownId::ReplayKept;
        let next = hub_of(config, &self.tell_opened);
        let before = std::mem::replace(&mut *self.hub.lock().expect("nobody panics"), next);
        before.close();
    }

    fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// The next session that was opened.
    async fn opened(&mut self) -> (SessionId, Resumption) {
        let opened = timeout(ALL, self.opened.recv()).await;
        opened.expect("a client asks in time").expect("the hub is there")
    }

    /// With which last event id it was asked next.
    async fn asked(&mut self) -> Option<String> {
        let asked = timeout(ALL, self.asked.recv()).await;
        asked.expect("a client asks in time").expect("the server is there")
    }

    /// Publishes to all, and says what is to arrive.
    fn publish(&self, event: &Event) -> Value {
        self.publish_to(Audience::Everyone, event)
    }

    fn publish_to(&self, to: impl Into<Audience>, event: &Event) -> Value {
        let published = self.hub().publish(to, event).expect("the hub is open");
        let payload = published.frame().payload();
        let payload = String::from_utf8_lossy(&payload);
        let id = payload.lines().find_map(|line| line.strip_prefix("id: ")).expect("it has one");
        let data = event.data().expect("it is no comment");
        let data = data.replace("\r\n", "\n").replace('\r', "\n");
        json!({ "type": event.event_type().as_str(), "data": data, "id": id })
    }

    fn publish_numbers(&self, numbers: impl Iterator<Item = u32>) -> Vec<Value> {
        numbers.map(|number| self.publish(&Event::new(number.to_string()))).collect()
    }
}

fn present(hub: &Mutex<Hub>) -> Hub {
    hub.lock().expect("nobody panics").clone()
}

fn hub_of(config: BrokerConfig, opened: &UnboundedSender<(SessionId, Resumption)>) -> Hub {
    let opened = opened.clone();
    let builder = HubBuilder::new(config).on_event(move |_, event| {
        if let BrokerEvent::SessionOpened { session, resumption, .. } = event {
            let _ = opened.send((session, resumption));
        }
    });
    sansse_tokio::spawn_hub(builder).expect("the configuration holds")
}

/// Relays one connection until so many bytes have gone to the client; then drops it.
async fn cut_after(bytes: u64, listener: TcpListener, server: SocketAddr) -> TcpListener {
    let (mut client, _) = listener.accept().await.expect("a client comes");
    let mut server = TcpStream::connect(server).await.expect("the server listens");
    let (mut from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let mut answer = from_server.take(bytes);
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _ = tokio::io::copy(&mut answer, &mut to_client) => {}
    }
    listener
}

/// A script that reads.
struct Client {
    program: Program,
    losses: u32,
}

impl Client {
    fn start(script: &[&str], url: &str) -> Self {
        let (name, package) = script.split_first().expect("it has a name");
        let mut arguments = package.to_vec();
        arguments.push(url);
        arguments.extend(TYPES);
        Self { program: Program::start(name, &arguments), losses: 0 }
    }

    /// The next event. Connections come and go meanwhile, and notices.
    async fn next_message(&mut self) -> Value {
        loop {
            let message = self.next_of_any_type().await;
            if message["type"] != NOTICE {
                return message;
            }
        }
    }

    /// What the next notice says, before which no other event comes.
    async fn next_notice(&mut self) -> Value {
        let message = self.next_of_any_type().await;
        assert_eq!(message["type"], NOTICE, "{message}");
        let data = message["data"].as_str().expect("it has data");
        serde_json::from_str(data).expect("it is JSON")
    }

    async fn next_of_any_type(&mut self) -> Value {
        loop {
            let line = self.next().await;
            assert_ne!(line, json!({ "closed": true }));
            if let Some(message) = line.get("message") {
                return message.clone();
            }
        }
    }

    /// Whether it says next that it asks no more.
    async fn is_closed(&mut self) -> bool {
        let line = self.next().await;
        let is_event = line.get("message").is_some_and(|message| message["type"] != NOTICE);
        assert!(!is_event, "{line}");
        line == json!({ "closed": true })
    }

    async fn next(&mut self) -> Value {
        let line = self.program.next().await;
        self.losses += u32::from(line == json!({ "lost": true }));
        line
    }
}

//! The clients of others at our server.
//!
//! A client is a script in `clients/` over somebody's library. It prints `{"open":true}` for each
//! stream that it has, `{"message":{type,data,id}}` for each event, `{"lost":true}` when a stream
//! is over, and `{"closed":true}` when it will ask no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use sansse::broker::{
    Audience, BrokerConfig, BrokerEvent, Epoch, Resumption, SessionConfig, SessionId,
};
use sansse::hub::{Answer, HubBuilder};
use sansse::{Event, EventId, EventType, Hub};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::program::{ALL, Program};

macro_rules! tests {
    ($($test:ident)*) => {
        tests! { eventsource = ["clients/event-source.cjs", "eventsource"]; $($test)* }
        tests! { undici = ["clients/event-source.cjs", "undici"]; $($test)* }
        tests! { httpx_sse = ["clients/httpx-sse.py"]; $($test)* }
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
        assert!(server.hub.close_session(session));
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
    let announced =
        SessionConfig::new().with_announcement(EventType::new("resume").expect("it is valid"));
    let mut server = Server::start_with(announced).await;
    let mut client = Client::start(script, &server.url());
    let (session, _) = server.opened().await;
    assert_eq!(client.next_message().await["type"], "resume");
    assert!(server.hub.close_session(session));
    let missed = server.publish_numbers(0..3);
    let again = client.next_message().await;
    assert_eq!(again["type"], "resume");
    assert_eq!(again["data"], "{\"outcome\":\"complete\",\"replayed\":3}");
    for expected in missed {
        assert_eq!(client.next_message().await, expected);
    }
}

async fn no_content_is_the_end(script: &[&str]) {
    let mut server = Server::start().await;
    let mut client = Client::start(script, &server.url());
    let (session, _) = server.opened().await;
    let last = server.publish(&Event::new("last"));
    server.finished.store(true, Ordering::Relaxed);
    assert!(server.hub.close_session(session));
    assert_eq!(client.next_message().await, last);
    while !client.is_closed().await {}
    server.asked().await;
    assert_eq!(server.asked().await.as_deref(), last["id"].as_str());
}

const RETRY: Duration = Duration::from_millis(60);
const HEARTBEAT: Duration = Duration::from_millis(50);

/// The types of the events, which an `EventSource` has to be told.
const TYPES: [&str; 6] = ["message", "greeting", "lines", "Grüße 🌍", "text", "resume"];

/// Our server.
struct Server {
    hub: Hub,
    address: SocketAddr,
    opened: UnboundedReceiver<(SessionId, Resumption)>,
    asked: UnboundedReceiver<Option<String>>,
    /// Whether it answers 204.
    finished: Arc<AtomicBool>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(SessionConfig::new()).await
    }

    async fn start_with(session: SessionConfig) -> Self {
        let mut config = BrokerConfig::new(Epoch(0xfeed));
        config.reconnect.retry = Some(RETRY);
        config.session.heartbeat = Some(HEARTBEAT);
        let (sender, opened) = unbounded_channel();
        let builder = HubBuilder::new(config).on_event(move |_, event| {
            if let BrokerEvent::SessionOpened { session, resumption, .. } = event {
                let _ = sender.send((session, resumption));
            }
        });
        let hub = sansse_tokio::spawn_hub(builder).expect("the configuration holds");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (heard, asked) = unbounded_channel();
        let finished = Arc::new(AtomicBool::new(false));
        let (streams, over) = (hub.clone(), Arc::clone(&finished));
        let handler = move |request: Request<Bytes>| {
            let id = request.headers().get("last-event-id");
            let id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
            let _ = heard.send(id);
            let answer = if over.load(Ordering::Relaxed) {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Answer::from(response)
            } else {
                streams.accept(&request, session.clone())
            };
            std::future::ready(answer)
        };
        tokio::spawn(sansse_tokio::serve(listener, hub.clone(), handler));
        Self { hub, address, opened, asked, finished }
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
        let published = self.hub.publish(Audience::Everyone, event).expect("the hub is open");
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

    /// The next event. Connections come and go meanwhile.
    async fn next_message(&mut self) -> Value {
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
        assert!(line.get("message").is_none(), "{line}");
        line == json!({ "closed": true })
    }

    async fn next(&mut self) -> Value {
        let line = self.program.next().await;
        self.losses += u32::from(line == json!({ "lost": true }));
        line
    }
}

//! Our client at the servers of others.
//!
//! A server is a script in `servers/` over somebody's library. It is told what to do by JSON lines,
//! each an object of one order with its argument:
//!
//! | order | argument | what the server does |
//! | --- | --- | --- |
//! | `publish` | `{type, id, data}`, the first two perhaps null | sends the event, and keeps it |
//! | `comment` | a text | sends a comment |
//! | `retry` | milliseconds | sends a reconnection time |
//! | `cut` | an event | sends that without its end, and drops all connections |
//! | `end` | null | ends all streams |
//! | `finish` | null | ends all streams, and answers 204 from now on |
//!
//! What it keeps it sends to those who come with an id, from the event after that one on, or from
//! the first if it knows none of this id. It prints `{"port":n}` when it listens, and
//! `{"asked":{accept,lastEventId}}` for each request, when nothing that is published from then on
//! can pass the stream by.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use sansse::client::{ClientConfig, ClientError, CloseReason};
use sansse::feed::Http1;
use sansse::net::FailureKind;
use sansse::{EventSource, SourceEvent};
use sansse_tokio::{DefaultConnector, TokioConnector, connect_with};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::program::{ALL, Program};

macro_rules! tests {
    ($($test:ident)*) => {
        tests! { better_sse = "servers/better-sse.cjs"; $($test)* }
        tests! { sse_starlette = "servers/sse-starlette.py"; $($test)* }
    };
    ($server:ident = $script:literal; $($test:ident)*) => {
        mod $server {
            $(
                #[tokio::test]
                #[ignore = "needs what tests/foreign/install installs; .ci/run runs it"]
                async fn $test() {
                    super::$test($script).await;
                }
            )*
        }
    };
}

tests! {
    every_field_arrives_as_it_was_sent
    nothing_is_missed_or_doubled_when_it_cuts_an_event_in_the_middle
    nothing_is_missed_or_doubled_when_it_ends_its_streams
    nothing_is_missed_when_it_is_killed_and_started_anew
    the_reconnection_time_that_it_asks_for_is_kept
    what_it_sends_to_keep_a_silent_stream_alive_does_so
    many_events_and_a_large_one_arrive_whole_and_in_order
    no_content_is_the_end
}

async fn every_field_arrives_as_it_was_sent(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    let asked = client.while_reading(server.asked()).await;
    assert_eq!(asked, json!({ "accept": "text/event-stream", "lastEventId": null }));

    let events: [(Option<&str>, Option<&str>, &str); 8] = [
        (Some("greeting"), Some("1"), "Hello"),
        (None, Some("2"), "{\"of\":\"no type\"}"),
        (Some("lines"), Some("3"), "first\nsecond\n\nfourth: with a colon"),
        (Some("Grüße 🌍"), Some("größe-4"), "世界\u{2028}all one line\u{85}\u{feff}\u{10ffff}"),
        (Some("no-id"), None, "carries the id of the one before"),
        (Some("text"), Some("6"), "data: not a field\nid: 99\n: no comment\nretry: 1"),
        (Some("reset"), Some(""), "has no id to go on from"),
        (Some("empty"), Some("8"), ""),
    ];
    let mut last_id = "";
    let mut expected = Vec::new();
    for (event_type, id, data) in events {
        server.publish(event_type, id, data);
        last_id = id.unwrap_or(last_id);
        expected.push(message(event_type.unwrap_or("message"), data, last_id));
    }
    for expected in expected {
        assert_eq!(client.next_message().await, expected);
    }

    server.tell("comment", json!("anybody there?"));
    while client.next_comment().await.trim_start() != "anybody there?" {}
    server.publish(None, Some("9"), "after the comment");
    assert_eq!(client.next_message().await, message("message", "after the comment", "9"));
    assert_eq!(client.losses, 0);
}

async fn nothing_is_missed_or_doubled_when_it_cuts_an_event_in_the_middle(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    client.while_reading(server.asked()).await;
    let mut numbers = 1_u32..;
    for _ in 0..5 {
        for number in numbers.by_ref().take(3) {
            server.publish_number(number);
            client.expect_number(number).await;
        }
        let last_id = client.source.last_event_id().to_owned();
        server.tell("cut", json!({ "type": "torn", "id": "torn", "data": "torn\nto pieces" }));
        // These are published before it can be back.
        let missed: Vec<u32> = numbers.by_ref().take(3).collect();
        for &number in &missed {
            server.publish_number(number);
        }
        let (error, _) = client.next_loss().await;
        let cut = [FailureKind::Truncated, FailureKind::Closed];
        assert!(
            matches!(&error, ClientError::Transport(failure) if cut.contains(&failure.kind())),
            "{error:?}"
        );
        for number in missed {
            client.expect_number(number).await;
        }
        assert_eq!(server.asked().await["lastEventId"], last_id);
    }
}

async fn nothing_is_missed_or_doubled_when_it_ends_its_streams(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    client.while_reading(server.asked()).await;
    let mut numbers = 1_u32..;
    for _ in 0..5 {
        // Some of these may still be on their way when the stream ends.
        let before: Vec<u32> = numbers.by_ref().take(3).collect();
        let missed: Vec<u32> = numbers.by_ref().take(3).collect();
        for &number in &before {
            server.publish_number(number);
        }
        server.tell("end", Value::Null);
        for &number in &missed {
            server.publish_number(number);
        }
        for &number in &before {
            client.expect_number(number).await;
        }
        let last_id = client.source.last_event_id().to_owned();
        assert_eq!(client.next_loss().await.0, ClientError::EndOfStream);
        for number in missed {
            client.expect_number(number).await;
        }
        assert_eq!(server.asked().await["lastEventId"], last_id);
    }
}

async fn nothing_is_missed_when_it_is_killed_and_started_anew(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    client.while_reading(server.asked()).await;
    server.publish_number(1);
    client.expect_number(1).await;
    server.program.kill();
    client.next_loss().await;
    let (error, _) = client.next_loss().await;
    assert!(
        matches!(&error, ClientError::Transport(failure) if failure.kind() == FailureKind::Connect),
        "{error:?}"
    );

    // It has forgotten everything, and sends all that it has to a client that comes with an id.
    let mut server = Server::start_on(script, server.port).await;
    for number in 2..5 {
        server.publish_number(number);
    }
    for number in 2..5 {
        client.expect_number(number).await;
    }
    assert_eq!(server.asked().await["lastEventId"], "1");
}

async fn the_reconnection_time_that_it_asks_for_is_kept(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    client.while_reading(server.asked()).await;
    // So that the time has come too, which each stream begins with.
    server.publish_number(1);
    client.expect_number(1).await;
    server.tell("end", Value::Null);
    assert_eq!(client.next_loss().await.1, RETRY);

    let began = Instant::now();
    client.while_reading(server.asked()).await;
    assert!(began.elapsed() >= RETRY, "{:?}", began.elapsed());
    server.tell("retry", json!(170));
    server.publish_number(2);
    client.expect_number(2).await;
    server.tell("end", Value::Null);
    assert_eq!(client.next_loss().await.1, Duration::from_millis(170));
}

async fn what_it_sends_to_keep_a_silent_stream_alive_does_so(script: &str) {
    let mut server = Server::start(script).await;
    let mut config = config();
    let idle = 20 * PING;
    config.policy.timeouts.idle = Some(idle);
    let mut client = Client::connect_with(&server, config);
    client.while_reading(server.asked()).await;
    let began = Instant::now();
    while began.elapsed() < idle + idle / 2 {
        client.next_comment().await;
    }
    assert_eq!(client.losses, 0);
    server.publish_number(1);
    client.expect_number(1).await;
}

async fn many_events_and_a_large_one_arrive_whole_and_in_order(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    client.while_reading(server.asked()).await;
    let large = "Grüße, 世界 🌍\n".repeat(50_000);
    let large = large.trim_end();
    server.publish(Some("large"), Some("large"), large);
    for number in 0..2_000 {
        server.publish_number(number);
    }
    let (event_type, data, id) = client.next_message().await;
    assert_eq!((event_type.as_str(), id.as_str()), ("large", "large"));
    assert!(data == large, "{} bytes, not {}", data.len(), large.len());
    for number in 0..2_000 {
        client.expect_number(number).await;
    }
    assert_eq!(client.losses, 0);
}

async fn no_content_is_the_end(script: &str) {
    let mut server = Server::start(script).await;
    let mut client = Client::connect(&server);
    client.while_reading(server.asked()).await;
    server.publish_number(1);
    server.tell("finish", Value::Null);
    client.expect_number(1).await;
    client.next_loss().await;
    assert_eq!(client.next().await, Some(SourceEvent::Closed(CloseReason::NoContent)));
    assert_eq!(client.next().await, None);
    assert_eq!(server.asked().await["lastEventId"], "1");
}

/// The reconnection time that the servers send at first.
const RETRY: Duration = Duration::from_millis(90);

/// How often the servers send a comment.
const PING: Duration = Duration::from_millis(100);

/// A script that serves.
struct Server {
    program: Program,
    port: u16,
}

impl Server {
    async fn start(script: &str) -> Self {
        Self::start_on(script, 0).await
    }

    async fn start_on(script: &str, port: u16) -> Self {
        let options = json!({
            "port": port,
            "retry": u64::try_from(RETRY.as_millis()).expect("it is small"),
            "ping": u64::try_from(PING.as_millis()).expect("it is small"),
        });
        let mut program = Program::start(script, &[&options.to_string()]);
        let listening = program.next().await;
        let port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let port = port.unwrap_or_else(|| panic!("no port in {listening}"));
        Self { program, port }
    }

    fn tell(&mut self, order: &str, argument: Value) {
        self.program.tell(&json!({ order: argument }));
    }

    fn publish(&mut self, event_type: Option<&str>, id: Option<&str>, data: &str) {
        self.tell("publish", json!({ "type": event_type, "id": id, "data": data }));
    }

    fn publish_number(&mut self, number: u32) {
        let number = number.to_string();
        self.publish(Some("number"), Some(&number), &number);
    }

    /// What the next request said.
    async fn asked(&mut self) -> Value {
        let line = self.program.next().await;
        assert!(line["asked"].is_object(), "{line}");
        line["asked"].clone()
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new(7);
    config.comments = true;
    // Waits are those that the server asks for.
    config.policy.reconnection.floor = Duration::ZERO;
    config.policy.reconnection.max_backoff = None;
    config
}

/// Our client.
struct Client {
    source: EventSource<Http1<DefaultConnector<TokioConnector>>>,
    losses: u32,
    deadline: Instant,
}

impl Client {
    fn connect(server: &Server) -> Self {
        Self::connect_with(server, config())
    }

    fn connect_with(server: &Server, config: ClientConfig) -> Self {
        let url = format!("http://127.0.0.1:{}/events", server.port);
        let request = Request::get(url).body(Bytes::new()).expect("it is a request");
        let source = connect_with(request, config);
        Self { source, losses: 0, deadline: Instant::now() + ALL }
    }

    async fn next(&mut self) -> Option<SourceEvent> {
        let next = timeout_at(self.deadline, self.source.next()).await;
        let event = next.unwrap_or_else(|_| panic!("nothing that was waited for in {ALL:?}"));
        self.losses += u32::from(matches!(event, Some(SourceEvent::Retrying { .. })));
        event
    }

    /// The next of what is asked for. Connections come and go meanwhile, and comments are heard,
    /// but no message is passed over.
    async fn next_of<T>(&mut self, wanted: impl Fn(&SourceEvent) -> Option<T>) -> T {
        loop {
            let event = self.next().await.expect("it goes on");
            if let Some(found) = wanted(&event) {
                return found;
            }
            match event {
                SourceEvent::Open { .. }
                | SourceEvent::Comment(_)
                | SourceEvent::Retrying { .. } => {}
                unwanted => panic!("{unwanted:?}"),
            }
        }
    }

    async fn next_message(&mut self) -> (String, String, String) {
        self.next_of(|event| match event {
            SourceEvent::Message(got) => {
                Some(message(got.event_type.as_str(), &got.data, got.last_event_id.as_str()))
            }
            _ => None,
        })
        .await
    }

    async fn expect_number(&mut self, number: u32) {
        let number = number.to_string();
        assert_eq!(self.next_message().await, message("number", &number, &number));
    }

    async fn next_comment(&mut self) -> String {
        self.next_of(|event| match event {
            SourceEvent::Comment(text) => Some(text.clone()),
            _ => None,
        })
        .await
    }

    /// Why the connection was lost, and how long is waited.
    async fn next_loss(&mut self) -> (ClientError, Duration) {
        self.next_of(|event| match event {
            SourceEvent::Retrying { error, wait, .. } => Some((error.clone(), *wait)),
            _ => None,
        })
        .await
    }

    /// Waits for something while the client works, as it does only when it is polled. Nothing is
    /// published yet, so that there is nothing to be missed.
    async fn while_reading<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                biased;
                result = &mut other => return result,
                event = self.next() => match event.expect("it goes on") {
                    SourceEvent::Open { .. } | SourceEvent::Comment(_) => {}
                    unwanted => panic!("{unwanted:?}"),
                },
            }
        }
    }
}

fn message(event_type: &str, data: &str, last_event_id: &str) -> (String, String, String) {
    (event_type.to_owned(), data.to_owned(), last_event_id.to_owned())
}

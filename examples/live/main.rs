//! A page that shows this machine as it is now: its load, memory and network once a second, every
//! line that arrives on standard input, a chat, and who is present.
//!
//!     cargo run --release --example live
//!     some-program | cargo run --release --example live -- --addr 127.0.0.1:8080
//!
//! `GET /` is the page, `GET /events` the event stream, and `POST /say` the chat, whose body is the
//! text. A page that loses the connection gets what it missed when it comes back.

#![expect(clippy::disallowed_methods, reason = "a program reads clocks and starts threads")]

mod machine;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use sansse::broker::{BrokerConfig, ClientId, PublishError, SessionRequest, Topic};
use sansse::http::ResponseHead;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::Server;
use sansse::{Event, EventType, Hub, event_type};
use sansse_tokio::{TcpAcceptor, TokioRuntime};
use serde::Serialize;
use std::error::Error;
use std::io::{self, BufRead, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::Notify;

const COUNTERS: EventType = event_type!("counters");
const LINE: EventType = event_type!("line");
const CHAT: EventType = event_type!("chat");
const PRESENCE: EventType = event_type!("presence");
const RESUME: EventType = event_type!("resume");

/// What a person may say at once, in bytes.
const MAX_SAID: usize = 2_000;
const MAX_NAME: usize = 40;
/// What is longer comes as several lines.
const MAX_LINE: u64 = 16 << 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = address_from_args()?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;

    let mut config = BrokerConfig::new(sansse_tokio::random_epoch());
    config.retry = Some(Duration::from_secs(1));
    let people_changed = Arc::new(Notify::new());
    let changed = people_changed.clone();
    let builder = HubBuilder::new(config).on_event(move |_| changed.notify_one());
    let hub = sansse_tokio::spawn_hub(builder)?;
    tokio::spawn(publish_presence(hub.clone(), people_changed));
    let publisher = hub.clone();
    thread::spawn(move || machine::watch(|counters| publish_json(&publisher, COUNTERS, counters)));
    let publisher = hub.clone();
    thread::spawn(move || publish_lines(&publisher));

    println!("The page:    http://{address}/");
    println!("The stream:  curl -N http://{address}/events");
    println!("The chat:    curl http://{address}/say -d 'Hello'");
    println!("Lines that you type here appear on the page. Ctrl-C ends.");
    let streams = hub.clone();
    Server::new(TokioRuntime, hub)
        .serve(TcpAcceptor::new(listener), interrupted(), move |request| {
            let answer = answer(&streams, &request);
            async { answer }
        })
        .await;
    Ok(())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("Ctrl-C will not end this in good order: {error}");
        std::future::pending::<()>().await;
    }
}

fn answer(hub: &Hub, request: &Request<Bytes>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => page().into(),
        (_, "/events") => stream(hub, request),
        (&Method::POST, "/say") => say(hub, request).into(),
        (_, "/say") => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Say it by POST.\n");
            response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("POST"));
            response.into()
        }
        _ => text(StatusCode::NOT_FOUND, "There is /, /events and /say.\n").into(),
    }
}

fn page() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(include_bytes!("index.html")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn stream(hub: &Hub, request: &Request<Bytes>) -> Answer {
    let person = Person::of(request);
    let mut session = SessionRequest::new().with_announcement(RESUME);
    if let Some(client) = person.client {
        session = session.with_client(client).with_metadata(Name(person.name));
    }
    hub.accept(request, session, &ResponseHead::new())
}

fn say(hub: &Hub, request: &Request<Bytes>) -> Response<Bytes> {
    let Ok(said) = std::str::from_utf8(request.body()) else {
        return text(StatusCode::BAD_REQUEST, "That is no UTF-8 text.\n");
    };
    let said = said.trim();
    if said.is_empty() {
        return text(StatusCode::BAD_REQUEST, "There is nothing in it.\n");
    }
    if said.len() > MAX_SAID {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "That is too long: 2,000 bytes at most.\n");
    }
    let person = Person::of(request);
    let client = person.client.as_ref().map_or("", ClientId::as_str);
    let chat = Chat { time: milliseconds(), client, name: &person.name, text: said };
    publish_json(hub, CHAT, &chat);
    text(StatusCode::ACCEPTED, "")
}

fn text(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// Who a request is from, as its query says. Nobody checks it: this is a demonstration.
struct Person {
    client: Option<ClientId>,
    name: String,
}

/// What is kept with a client while it is present.
#[derive(Clone)]
struct Name(String);

impl Person {
    fn of(request: &Request<Bytes>) -> Self {
        let mut person = Self { client: None, name: String::new() };
        let query = request.uri().query().unwrap_or_default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "client" => person.client = ClientId::new(value).ok(),
                "name" => person.name = value.trim().chars().take(MAX_NAME).collect(),
                _ => {}
            }
        }
        if person.name.is_empty() {
            "somebody".clone_into(&mut person.name);
        }
        person
    }
}

#[derive(Serialize)]
struct Chat<'a> {
    time: u64,
    client: &'a str,
    name: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Presence {
    people: Vec<PresentPerson>,
}

#[derive(Serialize)]
struct PresentPerson {
    client: String,
    name: String,
    sessions: usize,
}

/// Publishes the whole list when it has changed; changes that come together make one event.
async fn publish_presence(hub: Hub, changed: Arc<Notify>) {
    loop {
        changed.notified().await;
        let people = hub.present().into_iter().map(|(client, sessions)| {
            let name = hub.metadata(&client, |metadata| metadata.get::<Name>().cloned()).flatten();
            let name = name.map_or_else(|| "somebody".to_owned(), |Name(name)| name);
            PresentPerson { client: client.to_string(), name, sessions }
        });
        publish_json(&hub, PRESENCE, &Presence { people: people.collect() });
    }
}

fn publish_lines(hub: &Hub) {
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return eprintln!("no more lines: {error}"),
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        publish(hub, &Event::new(text).with_type(LINE));
    }
}

fn publish_json(hub: &Hub, event_type: EventType, value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(json) => publish(hub, &Event::new(json).with_type(event_type)),
        Err(error) => eprintln!("cannot say {event_type}: {error}"),
    }
}

fn publish(hub: &Hub, event: &Event) {
    match hub.publish(Topic::Broadcast, event) {
        // The program is ending.
        Ok(_) | Err(PublishError::Closed) => {}
        Err(error) => eprintln!("not published: {error}"),
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn address_from_args() -> Result<SocketAddr, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut address = SocketAddr::from(([127, 0, 0, 1], 8080));
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("addr") => address = arguments.value()?.parse()?,
            Long("help") | Short('h') => {
                println!("Usage: live [--addr ADDRESS:PORT]    (default: 127.0.0.1:8080)");
                std::process::exit(0);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(address)
}

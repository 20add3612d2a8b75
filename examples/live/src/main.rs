//! A page that shows this machine as it is now: its load, memory and network once a second, every
//! line that arrives on standard input, a chat, who is present, and answers that come word by word.
//!
//! ```text
//! cargo run --release -p live
//! some-program | cargo run --release -p live -- --addr 127.0.0.1:8080
//! ```
//!
//! `GET /` is the page, `GET /events` the event stream, and `POST /say` the chat, whose body is the
//! text. `POST /ask` begins an answer, whose stream is where `Location` says. A stream begins with
//! what is kept: the counters of the last two minutes, the chat, and the last lines. A page that
//! loses the connection gets what it missed when it comes back.
//!
//! With `--store FILE` the stream is kept in a file, so that a restart loses nothing of it. With
//! `--redis URL --realm NAME` it is kept on a Redis or Valkey, where other nodes share it. `GET
//! /health` tells a load balancer in a word how the server is: `ready`; `stale` while the Redis is
//! away, and `full` while it has no room, when pages stay and wait; and with 503, where no stream is to be had, `joining`, `down`,
//! `draining` or `closed`.
//!
//! It listens on this machine alone. With `--addr 0.0.0.0:8080` everybody who reaches this machine
//! sees what it shows and may chat. It answers those who ask by an address or as `localhost`, and by
//! each name that is given with `--host NAME`; and pages of its own origin alone. Any other request
//! gets 403, so that no page of somebody else's can read or write here by way of a visitor's browser.

mod answer;
mod machine;
mod page;
mod presence;
mod stage;
mod topics;

use answer::Answers;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use presence::{Name, Presence};
use sansse::broker::{Audience, BrokerConfig, ClientId, Drain, PublishError, TopicName};
use sansse::cluster::{PresenceConfig, RealmPresence};
use sansse::http::Hosts;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::Server;
use sansse::{Event, EventType, event_type};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use serde::Serialize;
use stage::{Kept, Stage};
use std::error::Error;
use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use topics::Topics;

const COUNTERS: EventType = event_type!("counters");
const LINE: EventType = event_type!("line");
const CHAT: EventType = event_type!("chat");
const FAREWELL: EventType = event_type!("farewell");

/// How long a person without a session is still here: longer than a reload takes.
const GRACE: Duration = Duration::from_secs(5);
/// Room for the list of all whom the server lets in.
const MAX_LIST: usize = 4 << 20;

/// What a person may say at once, in bytes.
const MAX_SAID: usize = 2_000;
const MAX_NAME: usize = 40;
/// How long a line waits that nobody takes now.
const AGAIN: Duration = Duration::from_millis(500);
/// What is longer comes as several lines.
const MAX_LINE: u64 = 16 << 10;

const HELP: &str = "\
Serves a page that shows this machine as it is now, a chat, who is present, and each line that
arrives on standard input.

Usage: live [OPTIONS]

Options:
      --addr ADDRESS:PORT   where it listens; 127.0.0.1:8080 by default, and port 0 takes a free one
      --store FILE          keeps the stream in this file, so that a restart loses nothing of it
      --redis URL           with --realm NAME: shares the stream with other nodes on this Redis or
                            Valkey, such as redis://127.0.0.1:6379
      --realm NAME          with --redis URL: the stream's name there
      --host NAME           a further name under which it answers, such as this machine's
  -h, --help                this text

Ctrl-C ends it.";

#[tokio::main]
async fn main() -> ExitCode {
    let result = match from_args() {
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Some(arguments)) => live(arguments).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn live(Arguments { address, hosts, kept }: Arguments) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;

    let opened = kept.open()?;
    let mut config = BrokerConfig::new(opened.epoch());
    config.reconnect.retry = Some(Duration::from_secs(1));
    config.client_grace = GRACE;
    config.private_retention.bytes = MAX_LIST.try_into()?;
    let mut everywhere = PresenceConfig::new();
    everywhere.grace = GRACE;
    if !opened.is_shared() {
        // What others said was said in earlier lives of this one.
        everywhere.lease = Duration::ZERO;
    }
    let everywhere = RealmPresence::new(everywhere);
    let (here, follower) = presence::channel();
    let followed = here.clone();
    let kept = config.retention;
    let builder = HubBuilder::new(config);
    let builder = if opened.is_kept() {
        builder.on_event(everywhere.listener())
    } else {
        builder.on_event(move |number, event| followed.event(number, event))
    };
    let (hub, drive) = builder.build(TokioRuntime)?;
    let driver = tokio::spawn(drive);
    // Before what was kept comes back, of which each topic keeps its own part.
    let topics = Topics::of(opened.node());
    topics.keep(&hub, kept)?;
    let stage = opened.join(hub.clone(), &everywhere)?;
    stage.ready().await;
    if stage.is_kept() {
        tokio::spawn(presence::publish_realm(stage.clone(), everywhere));
    } else {
        tokio::spawn(follower.publish(stage.clone(), topics.clone()));
    }
    let answers = Answers::new(stage.clone());
    let (publisher, counters, runtime) = (stage.clone(), topics.counters(), Handle::current());
    thread::spawn(move || {
        machine::watch(
            if publisher.is_kept() { publisher.node() } else { "" },
            || publisher.word(),
            |counted| {
                runtime.block_on(publish_json(&publisher, counters.clone(), COUNTERS, counted));
            },
        );
    });
    let (publisher, lines, runtime) = (stage.clone(), Topics::lines(), Handle::current());
    thread::spawn(move || publish_lines(&publisher, &lines, &runtime));

    let mut health = String::from("ready");
    let mut kept = String::new();
    if stage.is_kept() {
        health = stage.explained();
        kept = format!("The node:    {}, {health}\n", stage.node());
    }
    if stage.word() == "down" {
        kept += "Pages have to wait until the engine is back.\n";
    }
    let greeting = format!(
        "The page:    http://{address}/\n\
         The stream:  curl -N http://{address}/events\n\
         The chat:    curl http://{address}/say -d 'Hello'\n\
         An answer:   curl -i -X POST http://{address}/ask, and then\n\
         \x20            curl -N http://{address}/ with what Location says, such as answers/…\n\
         {kept}\
         Lines that you type here appear on the page. Ctrl-C ends.\n"
    );
    // Who reads the output may have closed it, as `head` does.
    let _ = io::stdout().write_all(greeting.as_bytes());
    let telling = tokio::spawn(tell_health(stage.clone(), health));
    let site = Site { stage: stage.clone(), topics, presence: here, answers: answers.clone() };
    let shutdown = {
        let (hub, stage) = (hub.clone(), stage.clone());
        async move {
            stopped().await;
            // That it closes is no news then.
            telling.abort();
            answers.hurry();
            match hub.drain(farewell()) {
                // The driver ends with the last session.
                Ok(()) => drop(driver.await),
                Err(error) => eprintln!("no farewell: {error}"),
            }
            stage.finish().await;
        }
    };
    Server::new(TokioRuntime, hub)
        .with_hosts(hosts)
        .serve(TokioAcceptor::new(listener), shutdown, move |request| {
            let site = site.clone();
            async move { site.answer(&request).await }
        })
        .await;
    Ok(())
}

/// Says on standard error how it is with what keeps the stream, whenever that changes from what was
/// said of it.
async fn tell_health(stage: Stage, mut said: String) {
    loop {
        let now = stage.explained();
        if now != said {
            eprintln!("node {}: {now}", stage.node());
            said = now;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Waits for Ctrl-C, or for what stops a service: SIGTERM.
async fn stopped() {
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("Ctrl-C will not end this in good order: {error}");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminations) => drop(terminations.recv().await),
        Err(error) => {
            eprintln!("SIGTERM will not end this in good order: {error}");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// Pages are told that this is no accident, and come back one after the other.
fn farewell() -> Drain {
    Drain::new(Duration::from_millis(500))
        .with_retry(Duration::from_secs(1), Duration::from_secs(1))
        .with_farewell(Event::new("{}").with_type(FAREWELL))
        .letting_topics_end()
        .with_patience(Duration::from_secs(2))
}

/// What answers requests.
#[derive(Clone)]
struct Site {
    stage: Stage,
    topics: Topics,
    presence: Presence,
    answers: Answers,
}

impl Site {
    async fn answer(&self, request: &Request<Bytes>) -> Answer {
        match (request.method(), request.uri().path()) {
            (_, "/events") => self.stream(request),
            (_, path) if path.starts_with("/answers/") => self.answers.listen(request),
            (&Method::POST, "/say") => self.say(request).await.into(),
            (&Method::POST, "/ask") => self.answers.ask().await.into(),
            (_, "/say" | "/ask") => not_allowed("POST").into(),
            (&Method::GET | &Method::HEAD, "/health") => self.stage.health().into(),
            (&Method::GET | &Method::HEAD, path) => page::file(path).into(),
            _ => not_allowed("GET, HEAD").into(),
        }
    }

    fn stream(&self, request: &Request<Bytes>) -> Answer {
        let person = Person::of(request);
        let mut session = self.topics.session(self.stage.is_kept());
        if let Some(client) = person.client {
            session = session.with_client(client).with_metadata(Name(person.name));
        }
        let answer = self.stage.hub().accept(request, session);
        // In a realm the stream begins with what was said of each person.
        if let Answer::Stream(_, session) = &answer
            && !self.stage.is_kept()
        {
            self.presence.welcome(session.id());
        }
        answer
    }

    async fn say(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let chat = match said(request) {
            Ok(chat) => chat,
            Err(response) => return *response,
        };
        match self.stage.publish(Topics::chat(), &chat).await {
            Ok(()) => text(StatusCode::ACCEPTED, ""),
            Err(error) => not_now(&error),
        }
    }
}

/// What somebody says, as an event of the chat.
fn said(request: &Request<Bytes>) -> Result<Event, Box<Response<Bytes>>> {
    let refused = |status, why| Err(Box::new(text(status, why)));
    let Ok(said) = std::str::from_utf8(request.body()) else {
        return refused(StatusCode::BAD_REQUEST, "That is no UTF-8 text.\n");
    };
    let said = said.trim();
    if said.is_empty() {
        return refused(StatusCode::BAD_REQUEST, "There is nothing in it.\n");
    }
    if said.len() > MAX_SAID {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "That is too long: 2,000 bytes at most.\n");
    }
    let person = Person::of(request);
    let client = person.client.as_ref().map_or("", ClientId::as_str);
    let chat = Chat { time: milliseconds(), client, name: &person.name, text: said };
    match serde_json::to_string(&chat) {
        Ok(json) => Ok(Event::new(json).with_type(CHAT)),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "That cannot be said.\n"),
    }
}

/// What was to be published was not, for a reason that passes; or nobody knows.
fn not_now(error: &PublishError) -> Response<Bytes> {
    if *error == PublishError::Unconfirmed {
        eprintln!("nobody knows whether it is published: {error}");
        // Who is told to try again would say it twice.
        let why = "The store behind the server does not answer. It may appear here yet.\n";
        return text(StatusCode::GATEWAY_TIMEOUT, why);
    }
    eprintln!("not published: {error}");
    let why = match error {
        PublishError::EngineDown => {
            "The store behind the server takes nothing now. Try again in a moment.\n"
        }
        PublishError::Closed | PublishError::NotDriven => "The server has stopped.\n",
        _ => "The server cannot take more now. Try again in a moment.\n",
    };
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn not_allowed(allow: &'static str) -> Response<Bytes> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Not by this method.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
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

/// Publishes the lines of standard input, no faster than the pages take them.
fn publish_lines(stage: &Stage, topic: &TopicName, runtime: &Handle) {
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
        let event = Event::new(text).with_type(LINE);
        // A pipe can wait for an engine that is away.
        while let Err(error) = runtime.block_on(stage.publish_when_room(topic.clone(), &event)) {
            match error {
                PublishError::EngineDown | PublishError::Busy => thread::sleep(AGAIN),
                // The program is ending.
                PublishError::Closed | PublishError::NotDriven => return,
                error => {
                    eprintln!("a line was not published: {error}");
                    break;
                }
            }
        }
    }
}

async fn publish_json(
    stage: &Stage,
    audience: impl Into<Audience> + Send,
    event_type: EventType,
    value: &impl Serialize,
) {
    match serde_json::to_string(value) {
        Ok(json) => publish(stage, audience, &Event::new(json).with_type(event_type)).await,
        Err(error) => eprintln!("cannot say {event_type}: {error}"),
    }
}

async fn publish(stage: &Stage, audience: impl Into<Audience> + Send, event: &Event) {
    use PublishError::{Closed, EngineDown, NotDriven, UnknownSession};
    match stage.publish(audience, event).await {
        // The program is ending, or whom it was for has gone. Of an engine that is away the health
        // tells.
        Ok(()) | Err(Closed | NotDriven | UnknownSession | EngineDown) => {}
        Err(error) => eprintln!("not published: {error}"),
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the program was started with.
struct Arguments {
    /// Where it listens.
    address: SocketAddr,
    /// For which hosts it answers.
    hosts: Hosts,
    kept: Kept,
}

/// Reads the arguments; nothing where they ask for help.
fn from_args() -> Result<Option<Arguments>, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut address = SocketAddr::from(([127, 0, 0, 1], 8080));
    let mut hosts = Hosts::new();
    let (mut store, mut redis, mut realm) = (None, None, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("addr") => {
                let text = arguments.value()?.string()?;
                address = text.parse().map_err(|error| {
                    format!(
                        "--addr {text:?}: {error}; it takes ADDRESS:PORT, such as 127.0.0.1:8080"
                    )
                })?;
            }
            Long("host") => {
                let name = arguments.value()?.string()?;
                hosts =
                    hosts.with_name(&*name).map_err(|error| format!("--host {name:?}: {error}"))?;
            }
            Long("store") => store = Some(arguments.value()?),
            Long("redis") => redis = Some(arguments.value()?.string()?),
            Long("realm") => realm = Some(arguments.value()?.string()?),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let kept = match (store, redis, realm) {
        (None, None, None) => Kept::Nowhere,
        (Some(file), None, None) => Kept::Store(file.into()),
        (None, Some(url), Some(realm)) => Kept::Redis { url, realm },
        (Some(_), Some(_), _) => {
            return Err("--store and --redis: a stream is kept in one place".into());
        }
        (None, Some(_), None) => {
            return Err("--redis needs --realm, the stream's name there".into());
        }
        (_, None, Some(_)) => return Err("--realm needs --redis".into()),
    };
    Ok(Some(Arguments { address, hosts, kept }))
}

//! A bare server to measure with: every subscriber of `GET /events` gets what
//! `POST /start?events=K&size=S&rate=R` makes the server publish.
//!
//! An event's data is `SB1 <sequence, 10 digits> <nanoseconds since 1970, 20 digits> xxx…`, `size`
//! bytes in all; `rate` is in events a second, and 0 means all at once. Each event is encoded
//! once, however many subscribers there are.
//!
//! Options: `--port 8080`, `--runtime tokio`, `--threads 1`.

#![expect(clippy::disallowed_methods, reason = "a program reads the clock")]

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use sansse::broker::{BrokerConfig, EventIds, SessionRequest, Topic};
use sansse::http::ResponseHead;
use sansse::hub::HubBuilder;
use sansse::serve::Server;
use sansse::{Event, Hub};
use sansse_tokio::{TcpAcceptor, TokioRuntime};
use std::error::Error;
use std::future::pending;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_args()?;
    let mut runtime = if options.threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    runtime.worker_threads(options.threads).enable_all().build()?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let mut config = BrokerConfig::new(sansse_tokio::random_epoch());
    // The bytes on the wire are to be those of any other server that is measured.
    config.event_ids = EventIds::Own;
    config.retention.events = 65_536;
    config.retention.bytes = 64 << 20;
    let hub = sansse_tokio::spawn_hub(HubBuilder::new(config))?;
    let (starts, received) = unbounded_channel();
    tokio::spawn(publish(hub.clone(), received));

    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], options.port).into())?;
    let listener = socket.listen(4096)?;
    println!("serving http://{}/events", listener.local_addr()?);
    let streams = hub.clone();
    let head = ResponseHead::new();
    Server::new(TokioRuntime, hub)
        .with_max_connections(1 << 20)
        .serve(TcpAcceptor::new(listener), pending(), move |request: Request<Bytes>| {
            let answer = match (request.method(), request.uri().path()) {
                (_, "/events") => streams.accept(&request, SessionRequest::new(), &head),
                (&Method::POST, "/start") => start(&request, &starts).into(),
                _ => empty(StatusCode::NOT_FOUND).into(),
            };
            async { answer }
        })
        .await;
    Ok(())
}

fn start(request: &Request<Bytes>, starts: &UnboundedSender<Start>) -> Response<Bytes> {
    let Some(start) = Start::from_query(request.uri().query().unwrap_or_default()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    match starts.send(start) {
        Ok(()) => empty(StatusCode::ACCEPTED),
        Err(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// A late event bears the time at which it was due, so that a server that holds up its publisher
/// cannot hide it.
async fn publish(hub: Hub, mut starts: UnboundedReceiver<Start>) {
    const LATE: Duration = Duration::from_millis(5);
    let mut sequence = 0;
    while let Some(start) = starts.recv().await {
        let mut due = Instant::now();
        for _ in 0..start.events {
            let mut late = Duration::ZERO;
            if let Some(interval) = start.interval {
                tokio::time::sleep_until(due.into()).await;
                late = due.elapsed();
                due += interval;
            }
            let late = if late > LATE { late } else { Duration::ZERO };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let stamp = now.saturating_sub(late);
            let mut data = format!("SB1 {sequence:010} {:020} ", stamp.as_nanos());
            data.extend(std::iter::repeat_n('x', start.size.saturating_sub(data.len())));
            if let Err(error) = hub.publish(Topic::Broadcast, &Event::new(data)) {
                eprintln!("not published: {error}");
            }
            sequence += 1;
        }
    }
}

struct Start {
    events: u64,
    size: usize,
    /// Between two events; `None` for all at once.
    interval: Option<Duration>,
}

impl Start {
    fn from_query(query: &str) -> Option<Self> {
        let mut start = Self { events: 1, size: 100, interval: None };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "events" => start.events = value.parse().ok()?,
                "size" => start.size = value.parse().ok().filter(|&size| size <= 1 << 20)?,
                "rate" => {
                    let rate: f64 = value.parse().ok().filter(|&rate| rate >= 0.0)?;
                    start.interval = (rate > 0.0)
                        .then(|| Duration::try_from_secs_f64(1.0 / rate).ok())
                        .flatten();
                }
                _ => {}
            }
        }
        Some(start)
    }
}

struct Options {
    port: u16,
    threads: usize,
}

impl Options {
    fn from_args() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Self { port: 8080, threads: 1 };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("port") => options.port = arguments.value()?.parse()?,
                Long("threads") => {
                    options.threads = arguments.value()?.parse_with(|text| match text.parse() {
                        Ok(0) => Err("at least one thread".to_owned()),
                        other => other.map_err(|error: std::num::ParseIntError| error.to_string()),
                    })?;
                }
                Long("runtime") => {
                    let runtime = arguments.value()?.string()?;
                    if runtime != "tokio" {
                        return Err(format!("no runtime {runtime:?}; there is tokio").into());
                    }
                }
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(options)
    }
}

//! A bare server to measure with: every subscriber of `GET /events` gets what
//! `POST /start?events=K&size=S&rate=R` makes the server publish.
//!
//! An event's data is `SB1 <sequence, 10 digits> <nanoseconds since 1970, 20 digits> xxx…`, `size`
//! bytes in all; `rate` is in events a second, and 0 means all at once. Each event is encoded
//! once, however many subscribers there are.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use sansse::broker::{Audience, BrokerConfig, EventIds, SessionConfig};
use sansse::hub::HubBuilder;
use sansse::net::{Listener, Runtime};
use sansse::serve::Server;
use sansse::{Event, Hub, Timer};
use sansse_smol::SmolRuntime;
use sansse_tokio::TokioRuntime;
use smol::channel::{Receiver, Sender};
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::fmt::Display;
use std::future::pending;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HELP: &str = "\
A bare server to measure with: every subscriber of GET /events gets what
POST /start?events=K&size=S&rate=R makes it publish.

Usage: fanout [OPTIONS]

Options:
      --port PORT         the port on 127.0.0.1; 8080 by default, and 0 takes a free one
      --runtime RUNTIME   tokio (the default), smol or async-std
      --threads THREADS   how many threads serve; 1 by default
  -h, --help              this text";

fn main() -> ExitCode {
    let result = match Options::from_args() {
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Some(options)) => run(&options),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    let port = options.port;
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())
        .map_err(|error| format!("cannot listen on 127.0.0.1:{port}: {error}"))?;
    socket.listen(4096)?;
    if let Some(address) = socket.local_addr()?.as_socket() {
        println!("serving http://{address}/events on {:?}", options.runtime);
    }
    let (threads, listener) = (options.threads, socket.into());
    match options.runtime {
        On::Tokio => {
            let mut runtime = if threads == 1 {
                tokio::runtime::Builder::new_current_thread()
            } else {
                tokio::runtime::Builder::new_multi_thread()
            };
            runtime.worker_threads(threads).enable_all().build()?.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                serve(TokioRuntime, sansse_tokio::TokioAcceptor::new(listener)).await
            })
        }
        On::Smol => {
            static EXECUTOR: smol::Executor = smol::Executor::new();
            for _ in 1..threads {
                std::thread::spawn(|| smol::block_on(EXECUTOR.run(pending::<()>())));
            }
            let runtime = SmolRuntime::new(|task| EXECUTOR.spawn(task).detach());
            let acceptor = sansse_smol::SmolAcceptor::new(listener)?;
            smol::block_on(EXECUTOR.run(serve(runtime, acceptor)))
        }
        On::AsyncStd => {
            let config = async_global_executor::GlobalExecutorConfig::default();
            let config = config.with_min_threads(threads).with_max_threads(threads);
            async_global_executor::init_with_config(config);
            let runtime = SmolRuntime::new(|task| drop(async_std::task::spawn(task)));
            let acceptor = sansse_smol::SmolAcceptor::new(listener)?;
            async_std::task::block_on(serve(runtime, acceptor))
        }
    }
}

async fn serve(runtime: impl Runtime, listener: impl Listener) -> Result<(), Box<dyn Error>> {
    let mut config = BrokerConfig::new(sansse_tokio::random_epoch());
    // The bytes on the wire are to be those of any other server that is measured.
    config.event_ids = EventIds::Own;
    config.retention.events = 65_536.try_into().unwrap();
    config.retention.bytes = (64 << 20).try_into().unwrap();
    let (hub, drive) = HubBuilder::new(config).build(runtime.clone())?;
    runtime.spawn(drive);
    let (starts, received) = smol::channel::unbounded();
    runtime.spawn(publish(runtime.clone(), hub.clone(), received));

    let streams = hub.clone();
    Server::new(runtime, hub)
        .with_max_connections(1 << 20)
        .serve(listener, pending(), move |request: Request<Bytes>| {
            let answer = match (request.method(), request.uri().path()) {
                (_, "/events") => streams.accept(&request, SessionConfig::new()),
                (&Method::POST, "/start") => start(&request, &starts).into(),
                _ => empty(StatusCode::NOT_FOUND).into(),
            };
            async { answer }
        })
        .await;
    Ok(())
}

fn start(request: &Request<Bytes>, starts: &Sender<Start>) -> Response<Bytes> {
    let Some(start) = Start::from_query(request.uri().query().unwrap_or_default()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    match starts.try_send(start) {
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
async fn publish(timer: impl Timer, hub: Hub, starts: Receiver<Start>) {
    const LATE: Duration = Duration::from_millis(5);
    let mut sequence = 0;
    while let Ok(start) = starts.recv().await {
        let mut due = timer.now();
        for _ in 0..start.events {
            let mut late = Duration::ZERO;
            if let Some(interval) = start.interval {
                timer.sleep_until(due).await;
                late = timer.now().saturating_duration_since(due);
                due += interval;
            }
            let late = if late > LATE { late } else { Duration::ZERO };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let stamp = now.saturating_sub(late);
            let mut data = format!("SB1 {sequence:010} {:020} ", stamp.as_nanos());
            data.extend(std::iter::repeat_n('x', start.size.saturating_sub(data.len())));
            if let Err(error) = hub.publish(Audience::Everyone, &Event::new(data)) {
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

#[derive(Clone, Copy, Debug)]
enum On {
    Tokio,
    Smol,
    AsyncStd,
}

#[derive(Debug)]
struct Options {
    port: u16,
    runtime: On,
    threads: usize,
}

impl Options {
    /// What the arguments say; nothing where they ask for help.
    fn from_args() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Self { port: 8080, runtime: On::Tokio, threads: 1 };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("port") => options.port = value(&mut arguments, "--port")?,
                Long("threads") => {
                    let threads: NonZeroUsize = value(&mut arguments, "--threads")?;
                    options.threads = threads.get();
                }
                Long("runtime") => options.runtime = value(&mut arguments, "--runtime")?,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

/// The value of an option, whose error names it.
fn value<T: FromStr<Err: Display>>(
    arguments: &mut lexopt::Parser,
    option: &str,
) -> Result<T, lexopt::Error> {
    let text = arguments.value()?.into_string()?;
    text.parse().map_err(|error| format!("{option} {text:?}: {error}").into())
}

impl FromStr for On {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "tokio" => Ok(Self::Tokio),
            "smol" => Ok(Self::Smol),
            "async-std" => Ok(Self::AsyncStd),
            _ => Err("there are tokio, smol and async-std"),
        }
    }
}

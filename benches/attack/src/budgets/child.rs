//! What is attacked: a server in a process of its own, and a reader of its stream in another.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use sansse::broker::{Audience, BrokerConfig, SessionConfig};
use sansse::feed::SubscriptionConfig;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::{Server, ServerCounters};
use sansse::{Event, FeedEvent, Hub};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use std::error::Error;
use std::future::pending;
use std::io::{BufRead, stdin};
use std::process::ExitCode;

/// How a child is told from the program.
pub(super) const MARK: &str = "--budgets-child";

/// Runs as a child, if the arguments say so.
pub(crate) fn child() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mark, rest) = arguments.split_first()?;
    if mark != MARK {
        return None;
    }
    let result = match rest {
        [role, held, files, connections] if role == "server" => serve(held, files, connections),
        [role, url, count] if role == "reader" => read(url, count),
        _ => Err("the arguments of a child are not understood".into()),
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attack: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Serves until it is killed. 0 stands for each default.
fn serve(held: &str, files: &str, connections: &str) -> Result<(), Box<dyn Error>> {
    limit_files(files.parse()?);
    let (held, connections): (usize, u64) = (held.parse()?, connections.parse()?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let config = BrokerConfig::new(sansse_tokio::random_epoch());
        let hub = sansse_tokio::spawn_hub(HubBuilder::new(config))?;
        let mut server = Server::new(TokioRuntime, hub.clone());
        if held > 0 {
            server = server.with_max_held_bytes(held);
        }
        if connections > 0 {
            server = server.with_max_connections(connections);
        }
        let counters = server.counters();
        let handler = move |request| {
            let answer = answer(&hub, &counters, request);
            async { answer }
        };
        server.serve(TokioAcceptor::new(listener), pending(), handler).await;
        Ok(())
    })
}

fn answer(hub: &Hub, counters: &ServerCounters, request: Request<Bytes>) -> Answer {
    let text = match request.uri().path() {
        "/events" => return hub.accept(&request, SessionConfig::new()),
        "/publish" => {
            let length = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(0);
            match hub.publish(Audience::Everyone, &Event::new("x".repeat(length))) {
                Ok(_) => String::new(),
                Err(error) => {
                    let mut response = Response::new(error.to_string().into());
                    *response.status_mut() = StatusCode::CONFLICT;
                    return response.into();
                }
            }
        }
        "/counted" => {
            let counted = counters.snapshot();
            let numbers = [
                counted.held_bytes,
                counted.most_held_bytes,
                counted.requests_given_up,
                counted.streams_given_up,
                counted.accept_errors,
                counted.refused,
                counted.max_connections,
                counted.open,
                hub.counters().retained_bytes,
            ];
            numbers.map(|number| number.to_string()).join(" ")
        }
        _ => request.body().len().to_string(),
    };
    Response::new(Bytes::from(text)).into()
}

#[cfg(unix)]
fn limit_files(files: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if files > 0 {
        // A limit that cannot be had shows in the figures.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum });
    }
}

#[cfg(not(unix))]
fn limit_files(_: u64) {}

/// Reads a stream for two subscribers, of whom one does not read before the end of the input.
fn read(url: &str, count: &str) -> Result<(), Box<dyn Error>> {
    let count: usize = count.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let feed = sansse_tokio::feed(url);
        let mut reads = feed.subscribe();
        let mut config = SubscriptionConfig::default();
        // What bounds it is to be the bytes.
        config.messages = std::num::NonZeroUsize::MAX;
        let mut forgotten = feed.subscribe_with(config);
        let mut seen = 0;
        while seen < count {
            match reads.next().await {
                Some(FeedEvent::Open(_)) => println!("open"),
                Some(FeedEvent::Message(_)) => seen += 1,
                Some(FeedEvent::Lost { events, .. }) => {
                    seen += usize::try_from(events.unwrap_or(1))?;
                }
                Some(_) => {}
                None => return Err("the feed has ended".into()),
            }
        }
        println!("read");
        stdin().lock().lines().next();
        let (mut messages, mut bytes, mut lost) = (0_u64, 0, 0);
        while messages + lost < count as u64 {
            match forgotten.next().await {
                Some(FeedEvent::Message(message)) => {
                    messages += 1;
                    bytes += message.data.len();
                }
                Some(FeedEvent::Lost { events, .. }) => lost += events.unwrap_or(1),
                Some(_) => {}
                None => return Err("the feed has ended".into()),
            }
        }
        println!("{messages} {bytes} {lost}");
        Ok(())
    })
}

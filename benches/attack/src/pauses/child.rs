//! What is stopped: a server, or a reader, in a process of its own, on any of the runtimes.

use sansse::broker::{Audience, BrokerConfig, SessionConfig};
use sansse::client::ClientConfig;
use sansse::hub::HubBuilder;
use sansse::net::Runtime;
use sansse::serve::Server;
use sansse::{Event, EventSource, SourceEvent, Transport};
use sansse_smol::{SmolAcceptor, SmolRuntime, Task};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use std::error::Error;
use std::future::pending;
use std::io::{BufRead, Write, stdin, stdout};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

/// How a child is told from the program.
pub(super) const MARK: &str = "--pauses-child";

/// What the library runs on; the last is an executor that has a thread for each task.
pub(super) const PLATFORMS: [&str; 5] =
    ["tokio-current-thread", "tokio-multi-thread", "smol", "async-std", "threads"];

type Result = std::result::Result<(), Box<dyn Error>>;

/// Runs as a child, if the arguments say so.
pub(crate) fn child() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mark, rest) = arguments.split_first()?;
    if mark != MARK {
        return None;
    }
    let result = match rest {
        [role, platform, stall] if role == "server" => serve_on(platform, stall),
        [role, platform, address, idle] if role == "reader" => read_on(platform, address, idle),
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

fn tokio_runtime(platform: &str) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match platform {
        "tokio-current-thread" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn spawn(platform: &str) -> fn(Task) {
    match platform {
        "smol" => |task| smol::spawn(task).detach(),
        "async-std" => |task| drop(async_std::task::spawn(task)),
        _ => |task| {
            // A server whose task cannot be started is of no use.
            let builder = std::thread::Builder::new().stack_size(256 << 10);
            builder.spawn(|| smol::block_on(task)).expect("a thread can be started");
        },
    }
}

fn serve_on(platform: &str, stall: &str) -> Result {
    let stall = Duration::from_secs(stall.parse()?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    if platform.starts_with("tokio") {
        return tokio_runtime(platform)?.block_on(async {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve(TokioRuntime, TokioAcceptor::new(listener), stall).await
        });
    }
    let runtime = SmolRuntime::new(spawn(platform));
    smol::block_on(serve(runtime, SmolAcceptor::new(listener)?, stall))
}

/// Publishes as many events as each line of standard input says, and says at last how many sessions
/// have stalled.
async fn serve<R: Runtime, L: sansse::net::Listener>(
    runtime: R,
    listener: L,
    stall: Duration,
) -> Result {
    let mut config = BrokerConfig::new(sansse_tokio::random_epoch());
    config.session.stall_timeout = Some(stall);
    let (hub, drive) = HubBuilder::new(config).build(runtime.clone())?;
    runtime.spawn(drive);
    let publisher = hub.clone();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(std::io::Result::ok) {
            if line == "count" {
                let _ = say(&publisher.counters().ended.stalled.to_string());
            }
            for number in 0..line.parse().unwrap_or(0) {
                let event = Event::new(format!("x{number} {}", "y".repeat(500)));
                let _ = publisher.publish(Audience::Everyone, &event);
                if number % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        std::process::exit(0);
    });
    let streams = hub.clone();
    let handler = move |request| {
        let answer = streams.accept(&request, SessionConfig::new());
        async { answer }
    };
    Server::new(runtime, hub).serve(listener, pending(), handler).await;
    Ok(())
}

fn read_on(platform: &str, address: &str, idle: &str) -> Result {
    let url = format!("http://{address}/");
    let mut config = ClientConfig::new(7);
    config.policy.timeouts.idle = Some(Duration::from_secs(idle.parse()?));
    match platform {
        "tokio-current-thread" | "tokio-multi-thread" => {
            tokio_runtime(platform)?.block_on(read(sansse_tokio::connect_with(url, config)))
        }
        "async-std" => async_std::task::block_on(read(sansse_smol::connect_with(url, config))),
        _ => smol::block_on(read(sansse_smol::connect_with(url, config))),
    }
}

/// Says what comes.
async fn read<T: Transport>(mut source: EventSource<T>) -> Result {
    while let Some(event) = source.next().await {
        match event {
            SourceEvent::Open(_) => say("open")?,
            SourceEvent::Message(message) => say(&message.data)?,
            other => say(&format!("{other:?}"))?,
        }
    }
    Ok(())
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

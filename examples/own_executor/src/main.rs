//! A server and a client of an event stream on an executor written by hand.
//!
//! ```text
//! cargo run -p own_executor
//! ```
//!
//! The library asks an executor for nothing but to poll what was woken. The sockets and the timer are
//! async-io's, whose reactor has a thread of its own and asks for no more.

mod executor;

use executor::Executor;
use sansse::broker::{Audience, SessionConfig};
use sansse::net::Runtime;
use sansse::{Event, SourceEvent, Timer};
use sansse_smol::{SmolRuntime, SmolTimer};
use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Serves an event stream and reads it, on an executor written by hand, and ends after three messages.

Usage: own_executor

Options:
  -h, --help   this text";

fn main() -> ExitCode {
    let result = match asks_for_help() {
        Ok(true) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(false) => Executor::run(serve_and_read),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("own_executor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn asks_for_help() -> Result<bool, lexopt::Error> {
    use lexopt::prelude::*;
    match lexopt::Parser::from_env().next()? {
        None => Ok(false),
        Some(Short('h') | Long("help")) => Ok(true),
        Some(argument) => Err(argument.unexpected()),
    }
}

/// Publishes three times and reads what comes of it.
async fn serve_and_read(executor: Executor) -> Result<(), Box<dyn Error>> {
    let runtime = SmolRuntime::new(move |task| executor.spawn(task));
    let hub = sansse_smol::hub(&runtime);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);

    let streams = hub.clone();
    let serving = sansse_smol::serve(runtime.clone(), listener, hub.clone(), move |request| {
        let answer = streams.accept(&request, SessionConfig::new());
        async { answer }
    });
    runtime.spawn(async { serving.await.unwrap_or_else(|error| eprintln!("{error}")) });

    let mut source = sansse_smol::connect(url);
    let mut received = 0;
    while let Some(event) = source.next().await {
        match event {
            SourceEvent::Open(head) => {
                println!("open: {}", head.url);
                let publisher = hub.clone();
                runtime.spawn(async move {
                    for word in ["one", "two", "three"] {
                        SmolTimer.sleep_until(SmolTimer.now() + Duration::from_millis(200)).await;
                        publisher
                            .publish(Audience::Everyone, &Event::new(word))
                            .expect("it is open");
                    }
                });
            }
            SourceEvent::Message(message) => {
                println!("{}: {}", message.last_event_id, message.data);
                received += 1;
                if received == 3 {
                    break;
                }
            }
            event => return Err(format!("{event:?}").into()),
        }
    }
    Ok(())
}

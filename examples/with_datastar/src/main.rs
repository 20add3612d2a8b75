//! A wall to write on, whose page is patched by its server: Datastar on axum.
//!
//! ```text
//! examples/with_datastar/install
//! cargo run --release -p with-datastar
//! ```
//!
//! Then open <http://127.0.0.1:8080/> in two windows. Stop the program and start it again: the pages
//! go on by themselves. Ctrl-C and SIGTERM end it within 5 s, also while pages read.

mod page;
mod wall;

use axum::extract::{Form, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Router, serve};
use sansse_axum::{EventStream, Listener, StreamRequest};
use serde::Deserialize;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use tokio::net::TcpListener;
use wall::Wall;
use with_common::page::{self as common, PageOptions, STYLE};
use with_common::until_stopped;

const HELP: &str = "\
Serves a page on which all who see it can write, by Datastar.

Usage: with-datastar [OPTIONS]

Options:
      --addr ADDRESS:PORT   where it listens; 127.0.0.1:8080 by default, and port 0 takes a free one
      --scripts DIR         where datastar.js is; by default where examples/with_datastar/install
                            puts it
  -h, --help                this text

Ctrl-C ends it.";

/// Where the script is by default.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");

/// Where the script is not.
const MISSING: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match PageOptions::from_args(SCRIPTS) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return failed(&*error),
    };
    let script = match common::script(&options.scripts, "datastar.js") {
        Ok(script) => script,
        Err(error) => {
            eprintln!("with-datastar: {error}\nRun this once: examples/with_datastar/install");
            return ExitCode::from(MISSING);
        }
    };
    match run(&options, script).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("with-datastar: {error}");
    ExitCode::FAILURE
}

async fn run(options: &PageOptions, script: String) -> Result<(), Box<dyn Error>> {
    let address = options.address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    let wall = Wall::new()?;
    let listener = Listener::new(listener).with_hub(wall.hub().clone());
    let routes = Router::new()
        .route("/", get(async || Html(page::page().into_string())))
        .route("/style.css", get(async || file("text/css", STYLE)))
        .route("/datastar.js", get(async move || file("text/javascript", script.clone())))
        .route("/events", get(events))
        .route("/say", post(say))
        .route("/clap", post(clap))
        .with_state(wall);
    // Who reads the output may have closed it, as `head` does.
    let _ = writeln!(io::stdout(), "Listening on http://{address}/");
    Ok(until_stopped(|stopped| serve(listener, routes).with_graceful_shutdown(stopped)).await?)
}

async fn events(State(wall): State<Wall>, stream: StreamRequest) -> EventStream {
    wall.open(stream)
}

/// What the form sends.
#[derive(Deserialize)]
struct Said {
    name: String,
    text: String,
}

async fn say(State(wall): State<Wall>, Form(said): Form<Said>) -> StatusCode {
    answer(wall.say(&said.name, &said.text))
}

async fn clap(State(wall): State<Wall>) -> StatusCode {
    answer(wall.clap())
}

/// The page is patched by its stream, so that there is nothing more to say.
fn answer(published: Result<(), sansse::broker::PublishError>) -> StatusCode {
    match published {
        Ok(()) => StatusCode::NO_CONTENT,
        // The server shuts down.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn file<T>(content_type: &'static str, text: T) -> ([(HeaderName, &'static str); 2], T) {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], text)
}

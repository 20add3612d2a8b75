//! A wall to write on, whose page is patched by its server: htmx on axum.
//!
//! ```text
//! npm ci --prefix examples/with_htmx
//! cargo run --release -p with-htmx
//! ```
//!
//! Then open <http://127.0.0.1:8080/> in two windows; it is by htmx 4, and `/2` is the same by htmx 2
//! and its extension. Stop the program and start it again: the pages
//! go on by themselves. Ctrl-C and SIGTERM end it within 5 s, also while pages read.

mod page;
mod wall;

use axum::extract::{Form, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Router, serve};
use page::Htmx;
use sansse_axum::{EventStream, Listener, StreamRequest};
use serde::Deserialize;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use tokio::net::TcpListener;
use wall::Wall;
use with_common::page::{self as common, MissingScript, PageOptions, STYLE};
use with_common::until_stopped;

const HELP: &str = "\
Serves a page on which all who see it can write: / by htmx 4, and /2 by htmx 2.

Usage: with-htmx [OPTIONS]

Options:
      --addr ADDRESS:PORT   where it listens; 127.0.0.1:8080 by default, and port 0 takes a free one
      --scripts DIR         where the packages of npm are; by default examples/with_htmx/node_modules
  -h, --help                this text

Ctrl-C ends it.";

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Where the scripts are by default.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node_modules");

/// Where a script is not there.
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
    let scripts = match Scripts::read(&options) {
        Ok(scripts) => scripts,
        Err(error) => {
            eprintln!("with-htmx: {error}\nRun this once: npm ci --prefix examples/with_htmx");
            return ExitCode::from(MISSING);
        }
    };
    match run(&options, scripts).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("with-htmx: {error}");
    ExitCode::FAILURE
}

/// The scripts of others.
struct Scripts {
    htmx_4: String,
    htmx_4_sse: String,
    htmx_2: String,
    htmx_2_sse: String,
}

impl Scripts {
    fn read(options: &PageOptions) -> Result<Self, MissingScript> {
        let read = |file| common::script(&options.scripts, file);
        Ok(Self {
            htmx_4: read("htmx.org/dist/htmx.min.js")?,
            htmx_4_sse: read("htmx.org/dist/ext/hx-sse.min.js")?,
            htmx_2: read("htmx2/dist/htmx.min.js")?,
            htmx_2_sse: read("htmx-ext-sse/dist/sse.min.js")?,
        })
    }
}

async fn run(options: &PageOptions, scripts: Scripts) -> Result<(), Box<dyn Error>> {
    let address = options.address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    let wall = Wall::new()?;
    let listener = Listener::new(listener).with_hub(wall.hub().clone());
    let routes = Router::new()
        .route("/", get(async || Html(page::page(Htmx::Four).into_string())))
        .route("/2", get(async || Html(page::page(Htmx::Two).into_string())))
        .route("/style.css", get(async || file("text/css", STYLE)))
        .route("/state.js", get(async || file(JAVASCRIPT, include_str!("state.js"))))
        .route("/htmx-4.js", get(async move || file(JAVASCRIPT, scripts.htmx_4.clone())))
        .route("/htmx-4-sse.js", get(async move || file(JAVASCRIPT, scripts.htmx_4_sse.clone())))
        .route("/htmx-2.js", get(async move || file(JAVASCRIPT, scripts.htmx_2.clone())))
        .route("/htmx-2-sse.js", get(async move || file(JAVASCRIPT, scripts.htmx_2_sse.clone())))
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

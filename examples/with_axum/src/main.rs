//! An event stream and what is said to it, in axum.
//!
//! ```text
//! cargo run --release -p with-axum
//! curl -N http://127.0.0.1:8080/events
//! curl http://127.0.0.1:8080/say -d 'Hello'
//! ```
//!
//! `GET /events` is the stream, and `POST /say` publishes its body to all who listen. A stream that
//! is lost goes on where it broke off. It speaks HTTP/1.1, and HTTP/2 by prior knowledge or, with
//! `--cert` and `--key`, by TLS. Ctrl-C and SIGTERM end it within 5 s, and its readers are told to
//! come back.

mod secure;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{any, post};
use sansse::broker::{Audience, SessionConfig};
use sansse::{Event, Hub};
use sansse_axum::{EventStream, Listener, StreamRequest};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use with_common::{Options, stopped};

const HELP: &str = "\
Serves GET /events, an event stream, and POST /say, whose body goes to all who listen.

Usage: with-axum [OPTIONS]

Options:
      --addr ADDRESS:PORT   where it listens; 127.0.0.1:8080 by default, and port 0 takes a free one
      --cert FILE           the certificate chain, in PEM; with --key, it speaks TLS
      --key FILE            the private key, in PEM
  -h, --help                this text

Ctrl-C ends it.";

/// How long it may take to end, whatever its peers do.
const LONGEST: Duration = Duration::from_millis(4_800);

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Options::from_args() {
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Some(options)) => serve(options).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("with-axum: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let address = options.address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    let hub = sansse_axum::hub();
    let listener = Listener::new(listener).with_hub(hub.clone());
    let routes = Router::new().route("/events", any(events)).route("/say", post(say));
    let routes = routes.with_state(hub);

    let scheme = if options.tls.is_some() { "https" } else { "http" };
    // Who reads the output may have closed it, as `head` does.
    let _ = writeln!(io::stdout(), "Listening on {scheme}://{address}/events");
    // What has not ended some time after the signal is given up.
    let (signal, mut late) = tokio::sync::watch::channel(());
    let shutdown = async move {
        stopped().await;
        drop(signal);
    };
    let given_up = async {
        while late.changed().await.is_ok() {}
        tokio::time::sleep(LONGEST).await;
    };
    let serving = async {
        match options.tls {
            None => axum::serve(listener, routes).with_graceful_shutdown(shutdown).await,
            Some(tls) => {
                let listener = secure::Secure::new(listener, tls);
                axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
            }
        }
    };
    tokio::select! {
        result = serving => Ok(result?),
        () = given_up => Ok(()),
    }
}

async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
    stream.open(&hub, SessionConfig::new())
}

async fn say(State(hub): State<Hub>, text: String) -> Result<StatusCode, StatusCode> {
    hub.publish(Audience::Everyone, &Event::new(text))
        .map(|_| StatusCode::ACCEPTED)
        // The server shuts down.
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

//! An event stream and what is said to it, in actix-web.
//!
//! ```text
//! cargo run --release -p with-actix
//! curl -N http://127.0.0.1:8080/events
//! curl http://127.0.0.1:8080/say -d 'Hello'
//! ```
//!
//! `GET /events` is the stream, and `POST /say` publishes its body to all who listen. A stream that
//! is lost goes on where it broke off. It speaks HTTP/1.1, and HTTP/2 by prior knowledge or, with
//! `--cert` and `--key`, by TLS. Ctrl-C and SIGTERM end it within 5 s, and its readers are told to
//! come back.

use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use sansse::broker::{Audience, SessionConfig};
use sansse::{Event, Hub};
use sansse_actix::{EventStream, ServeStreams, StreamRequest, set_write_deadline};
use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;
use with_common::Options;

const HELP: &str = "\
Serves GET /events, an event stream, and POST /say, whose body goes to all who listen.

Usage: with-actix [OPTIONS]

Options:
      --addr ADDRESS:PORT   where it listens; 127.0.0.1:8080 by default, and port 0 takes a free one
      --cert FILE           the certificate chain, in PEM; with --key, it speaks TLS
      --key FILE            the private key, in PEM
  -h, --help                this text

Ctrl-C ends it.";

/// How long a peer may take nothing.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

#[actix_web::main]
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
            eprintln!("with-actix: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let address = options.address;
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr()?;
    // Connections of TLS have it from their listener.
    set_write_deadline(&listener, Some(WRITE_DEADLINE))?;

    // One hub for all workers, each of which makes an application of its own.
    let hub = sansse_actix::hub();
    let data = web::Data::new(hub.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/events", web::to(events))
            .route("/say", web::post().to(say))
    })
    .serve_streams(hub);

    let (server, scheme) = match options.tls {
        None => (server.listen_auto_h2c(listener)?, "http"),
        Some(tls) => {
            let tls = (*tls).clone();
            (server.listen_rustls_0_23(listener, tls)?, "https")
        }
    };
    // Who reads the output may have closed it, as `head` does.
    let _ = writeln!(io::stdout(), "Listening on {scheme}://{address}/events");
    Ok(server.run().await?)
}

async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
    stream.open(&hub, SessionConfig::new())
}

async fn say(hub: web::Data<Hub>, text: String) -> impl Responder {
    match hub.publish(Audience::Everyone, &Event::new(text)) {
        Ok(_) => HttpResponse::Accepted(),
        // The server shuts down.
        Err(_) => HttpResponse::ServiceUnavailable(),
    }
}

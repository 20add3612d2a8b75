//! An event stream and what is said to it, in plain hyper.
//!
//! ```text
//! cargo run --release -p with-hyper
//! curl -N http://127.0.0.1:8080/events
//! curl http://127.0.0.1:8080/say -d 'Hello'
//! ```
//!
//! `GET /events` is the stream, and `POST /say` publishes its body to all who listen. A stream that
//! is lost goes on where it broke off. It speaks HTTP/1.1, and HTTP/2 by prior knowledge or, with
//! `--cert` and `--key`, by TLS. Ctrl-C and SIGTERM end it within 5 s, and its readers are told to
//! come back.

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use sansse::broker::{Audience, Drain, SessionConfig};
use sansse::hub::{Answer, ResponseBody};
use sansse::{Event, Hub};
use sansse_axum::{TokioRuntime, WriteDeadline};
use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use with_common::{Options, stopped};

const HELP: &str = "\
Serves GET /events, an event stream, and POST /say, whose body goes to all who listen.

Usage: with-hyper [OPTIONS]

Options:
      --addr ADDRESS:PORT   where it listens; 127.0.0.1:8080 by default, and port 0 takes a free one
      --cert FILE           the certificate chain, in PEM; with --key, it speaks TLS
      --key FILE            the private key, in PEM
  -h, --help                this text

Ctrl-C ends it.";

/// How long a peer may take nothing, and a handshake may take.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What may be said at once, in bytes.
const MAX_SAID: usize = 64 << 10;
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
            eprintln!("with-hyper: {error}");
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
    let server = Server {
        hub: sansse_axum::hub(),
        acceptor: options.tls.map(TlsAcceptor::from),
        graceful: GracefulShutdown::new(),
    };
    let scheme = if server.acceptor.is_some() { "https" } else { "http" };
    // Who reads the output may have closed it, as `head` does.
    let _ = writeln!(io::stdout(), "Listening on {scheme}://{address}/events");

    let mut stopped = std::pin::pin!(stopped());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => server.begin(stream),
                Err(error) => {
                    // Such as too many open files, which passes.
                    eprintln!("with-hyper: cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = &mut stopped => break,
        }
    }
    drop(listener);
    // All streams end, within 4 s; then hyper is done with its connections.
    let drain = Drain::new(Duration::from_secs(1)).with_patience(Duration::from_secs(3));
    server.hub.drain(drain)?;
    // A peer that takes nothing is given up after that.
    let _ = tokio::time::timeout(LONGEST, server.graceful.shutdown()).await;
    Ok(())
}

struct Server {
    hub: Hub,
    acceptor: Option<TlsAcceptor>,
    graceful: GracefulShutdown,
}

impl Server {
    /// Serves a connection beside the others.
    fn begin(&self, stream: TcpStream) {
        // Events go out at once. It fails on a connection that is broken already.
        let _ = stream.set_nodelay(true);
        let io = WriteDeadline::new(stream, WRITE_DEADLINE);
        let (hub, watcher) = (self.hub.clone(), self.graceful.watcher());
        match self.acceptor.clone() {
            None => drop(tokio::spawn(connection(hub, io, watcher))),
            Some(acceptor) => drop(tokio::spawn(async move {
                if let Ok(Ok(io)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(io)).await {
                    connection(hub, io, watcher).await;
                }
            })),
        }
    }
}

/// Serves one connection to its end.
async fn connection(
    hub: Hub,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    // Without a timer hyper waits for ever for the head of a request.
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(200);
    let service = service_fn(move |request| {
        let hub = hub.clone();
        async move { Ok::<_, Infallible>(answer(&hub, request).await) }
    });
    let serving = builder.serve_connection(TokioIo::new(io), service).into_owned();
    // How a connection ends is its peer's matter.
    let _ = watcher.watch(serving).await;
}

async fn answer(hub: &Hub, request: Request<Incoming>) -> Response<ResponseBody> {
    let answer = match (request.method(), request.uri().path()) {
        (_, "/events") => hub.accept(&request, SessionConfig::new()),
        (&Method::POST, "/say") => status(say(hub, request).await).into(),
        (_, "/say") => {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            response.into()
        }
        _ => Answer::from(status(StatusCode::NOT_FOUND)),
    };
    answer.into_response(TokioRuntime)
}

async fn say(hub: &Hub, request: Request<Incoming>) -> StatusCode {
    let body = match Limited::new(request.into_body(), MAX_SAID).collect().await {
        Ok(body) => body,
        Err(error) if error.is::<LengthLimitError>() => return StatusCode::PAYLOAD_TOO_LARGE,
        // It breaks off, or is no body.
        Err(_) => return StatusCode::BAD_REQUEST,
    };
    let Ok(text) = String::from_utf8(body.to_bytes().into()) else {
        return StatusCode::BAD_REQUEST;
    };
    match hub.publish(Audience::Everyone, &Event::new(text)) {
        Ok(_) => StatusCode::ACCEPTED,
        // The server shuts down.
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn status(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

//! An event stream read with blocking sockets: no async, no runtime, no threads.
//!
//! ```text
//! cargo run -p blocking -- http://127.0.0.1:8080/events
//! ```
//!
//! The client machine says what to ask for and how long to wait, the HTTP/1.1 machine says what to
//! write, and this program does it.

use bytes::{Buf, Bytes};
use http::Request;
use sansse::client::{Attempt, Client, ClientConfig, ClientEvent, CloseReason};
use sansse::http1::{ClientConnection as Http, ClientConnectionConfig as HttpConfig, ResponsePart};
use sansse::net::{Failure, FailureKind, Target};
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Prints the messages of an event stream, read with blocking sockets.

Usage: blocking URL

URL is http. What happens to the connection is told on standard error.

Options:
  -h, --help   this text";

fn main() -> ExitCode {
    let result = match url_from_args() {
        Ok(None) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Some(url)) => follow(&url),
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blocking: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The URL; nothing where the arguments ask for help.
fn url_from_args() -> Result<Option<String>, Box<dyn Error>> {
    use lexopt::prelude::*;
    let mut url = None;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Value(text) if url.is_none() => url = Some(text.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(url.ok_or("which URL? --help says more")?))
}

fn follow(url: &str) -> Result<(), Box<dyn Error>> {
    let request =
        Request::get(url).body(Bytes::new()).map_err(|error| format!("{url}: {error}"))?;
    let mut client = Client::new(request, ClientConfig::new(seed()));
    let mut connection: Option<Connection> = None;
    loop {
        while let Some(event) = client.poll_event() {
            match event {
                ClientEvent::Message(message) => println!("{}", message.data()),
                ClientEvent::Retrying { error, wait, .. } => {
                    eprintln!("{error}; again in {wait:?}");
                }
                ClientEvent::Closed(CloseReason::NoContent) => return Ok(()),
                ClientEvent::Closed(reason) => return Err(reason.to_string().into()),
                _ => {}
            }
        }
        if connection.as_ref().map(|connection| connection.attempt) != client.attempt() {
            connection = None;
        }
        if let Some((attempt, request)) = client.poll_request(Instant::now()) {
            match Connection::open(attempt, &request) {
                Ok(opened) => connection = Some(opened),
                Err(failure) => client.handle_failure(Instant::now(), attempt, failure),
            }
            continue;
        }
        // Whatever comes first: bytes, or the client's deadline.
        let patience = client.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        if let Some(open) = &mut connection {
            if open.step(&mut client, patience) {
                continue;
            }
        } else {
            std::thread::sleep(patience.unwrap_or_default());
        }
        client.handle_timeout(Instant::now());
    }
}

/// Returns 64 random bits, from what the standard library seeds its hash maps with.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

struct Connection {
    attempt: Attempt,
    socket: TcpStream,
    http: Http,
}

impl Connection {
    fn open(attempt: Attempt, request: &Request<Bytes>) -> Result<Self, Failure> {
        let target = Target::of(request.uri())?;
        if target.secure {
            return Err(Failure::new(FailureKind::Unsupported)
                .with_detail("this program has no TLS, and so no https"));
        }
        let unsendable =
            |error: sansse::http1::InvalidRequest| failure(FailureKind::Unsupported, &error);
        let mut http = Http::new(request, HttpConfig::default()).map_err(unsendable)?;
        let mut socket = TcpStream::connect((target.host.as_str(), target.port))
            .map_err(|error| failure(FailureKind::Connect, &error))?;
        while let Some(mut bytes) = http.poll_transmit() {
            while bytes.has_remaining() {
                let written =
                    socket.write(&bytes).map_err(|error| failure(FailureKind::Closed, &error))?;
                bytes.advance(written);
            }
        }
        Ok(Self { attempt, socket, http })
    }

    /// Tells the client of one thing that came; says no if nothing did in time.
    fn step(&mut self, client: &mut Client, patience: Option<Duration>) -> bool {
        loop {
            let now = Instant::now();
            match self.http.poll_response() {
                Some(Ok(ResponsePart::Head(head))) => {
                    client.handle_response(now, self.attempt, &head);
                }
                Some(Ok(ResponsePart::Data(bytes))) => {
                    client.handle_data(now, self.attempt, &bytes);
                }
                Some(Ok(ResponsePart::End)) => client.handle_eof(now, self.attempt),
                Some(Err(error)) => {
                    client.handle_failure(now, self.attempt, error);
                }
                None => {
                    // A patience of zero would mean for ever to the socket.
                    let patience = patience.map(|time| time.max(Duration::from_millis(1)));
                    let mut buffer = [0; 8 << 10];
                    let read = self
                        .socket
                        .set_read_timeout(patience)
                        .and_then(|()| self.socket.read(&mut buffer));
                    match read {
                        Ok(0) => self.http.handle_eof(),
                        Ok(length) => self.http.handle_data(&buffer[..length]),
                        Err(error)
                            if matches!(
                                error.kind(),
                                ErrorKind::WouldBlock | ErrorKind::TimedOut
                            ) =>
                        {
                            return false;
                        }
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => {
                            let failure = failure(FailureKind::Closed, &error);
                            client.handle_failure(now, self.attempt, failure);
                            return true;
                        }
                    }
                    continue;
                }
            }
            return true;
        }
    }
}

fn failure(kind: FailureKind, error: &impl Error) -> Failure {
    Failure::new(kind).with_detail(error.to_string())
}

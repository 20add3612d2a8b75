//! The server side of HTTP/1.1: the same requests and answers whatever the splits, no more taken
//! in than the limits say, and an end to every connection.

use super::input::{Input, sizes};
use super::kit::broker::Shard;
use super::kit::broker::config;
use bytes::Bytes;
use http::{Method, Response};
use sansse::Framing;
use sansse::http1::{RespondError, ServerCloseReason, ServerConnection, ServerConnectionConfig};
use std::time::Instant;

const HEAD: usize = 200;
const BODY: usize = 50;
const HEADERS: usize = 5;

/// Two bytes say how the rest is cut and how it ends; the rest is what a peer sends.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut split = sizes(input.byte());
    let waits = input.byte() % 2 == 1;
    let bytes = input.rest();
    let now = Shard::new(config()).now;
    let whole = transcript(now, bytes, || usize::MAX, waits);
    assert_eq!(transcript(now, bytes, || 1, waits), whole, "by bytes");
    assert_eq!(transcript(now, bytes, &mut split, waits), whole, "in pieces");
    overrun(now, bytes);
    stream(now, bytes);
}

/// All that can be told of a connection from outside.
#[derive(Debug, Default, PartialEq)]
struct Transcript {
    requests: Vec<String>,
    written: Vec<u8>,
    reason: Option<ServerCloseReason>,
}

fn server(now: Instant) -> ServerConnection {
    let config = ServerConnectionConfig::default()
        .with_max_head_size(HEAD)
        .with_max_headers(HEADERS)
        .with_max_body_size(BODY);
    ServerConnection::new(now, config)
}

/// Feeds `bytes` in pieces as a driver does, answers every request, and lets the peer end its side
/// or only time pass.
fn transcript(
    mut now: Instant,
    bytes: &[u8],
    mut next_size: impl FnMut() -> usize,
    waits: bool,
) -> Transcript {
    let mut server = server(now);
    let mut transcript = Transcript::default();
    let mut rest = bytes;
    // Each step takes a byte, gives a request of some, or is one of the few at the end.
    for _ in 0..2 * bytes.len() + 20 {
        while let Some(bytes) = server.poll_transmit(now) {
            assert!(!bytes.is_empty(), "nothing is written in vain");
            transcript.written.extend_from_slice(&bytes);
        }
        if let Some(request) = server.poll_request() {
            assert!(request.body().len() <= BODY, "{request:?}");
            // A host that the target alone names is no line of the peer's.
            let lines = request.headers().len() - usize::from(request.uri().host().is_some());
            assert!(lines <= HEADERS, "{request:?}");
            let said = format!("{request:?}");
            transcript.requests.push(said.clone());
            server.respond(now, Response::new(Bytes::from(said))).unwrap();
        } else if server.close_reason().is_some() {
            transcript.reason = server.close_reason();
            assert!(!server.wants_data() && !server.wants_shutdown(), "it is over");
            return transcript;
        } else if !rest.is_empty() {
            assert!(server.wants_data(), "a driver would wait for ever");
            let (piece, after) = rest.split_at(next_size().clamp(1, rest.len()));
            server.handle_data(now, piece);
            rest = after;
        } else if waits && let Some(deadline) = server.poll_timeout() {
            assert!(deadline >= now, "a deadline in the past");
            now = deadline;
            server.handle_timeout(now);
            assert_ne!(server.poll_timeout(), Some(deadline), "a deadline is met once");
        } else {
            server.handle_eof(now);
        }
    }
    panic!("no end: {transcript:?}, {} left", rest.len());
}

/// A driver that hands in what it likes is stopped, and what waits behind a request is bounded.
fn overrun(now: Instant, bytes: &[u8]) {
    const PIECE: usize = 7;
    let mut server = server(now);
    let mut waiting = None;
    for piece in bytes.chunks(PIECE).cycle().take(200) {
        let wanted = server.wants_data();
        server.handle_data(now, piece);
        if !wanted {
            assert!(server.close_reason().is_some(), "what is not wanted closes the connection");
            return;
        }
        if let Some(behind) = &mut waiting {
            *behind += piece.len();
            assert!(*behind <= HEAD + PIECE, "{behind} bytes wait behind a request");
        } else if server.poll_request().is_some() {
            waiting = Some(0);
        }
    }
}

/// A stream begins with a head, and what its peer sends or its end is the end of it.
fn stream(now: Instant, bytes: &[u8]) {
    let mut server = server(now);
    server.handle_data(now, bytes);
    let Some(request) = server.poll_request() else { return };
    match server.respond_stream(now, Response::new(())) {
        Ok(framing) => {
            assert_ne!(request.method(), Method::HEAD, "{request:?}");
            let mut written = Vec::new();
            while let Some(bytes) = server.poll_transmit(now) {
                written.extend_from_slice(&bytes);
            }
            let written = String::from_utf8(written).unwrap();
            // An interim response may stand before it.
            let start = written.find("HTTP/1.1 200 OK\r\n").expect("the head goes out at once");
            assert_eq!(written[start..].find("\r\n\r\n"), Some(written.len() - start - 4));
            assert_eq!(written.contains("chunked\r\n"), framing == Framing::Chunked);
            server.handle_data(now, b"x");
            assert_eq!(server.close_reason(), Some(ServerCloseReason::BytesAfterStreamRequest));
        }
        Err(RespondError::NoBody) => assert_eq!(request.method(), Method::HEAD),
        Err(error) => {
            let expected = RespondError::Closed(ServerCloseReason::BytesAfterStreamRequest);
            assert_eq!(error, expected);
        }
    }
}

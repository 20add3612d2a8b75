//! A server that does what a test tells it to, well or badly, over any runtime's sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use bytes::{Buf, Bytes};
use http::{HeaderName, HeaderValue, Request, Response};
use sansse::LastEventId;
use sansse::net::{Failure, Listener, Socket};
use std::fmt::Write;
use std::future::poll_fn;

/// Accepts one connection after the other, with one request on each.
pub(crate) struct Peer<L> {
    listener: L,
}

/// A connection, from which a request was read.
pub(crate) struct Exchange<S> {
    pub(crate) request: Request<Bytes>,
    socket: S,
    written: u64,
}

/// The head of an event stream whose body ends with the connection.
pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// The head of an event stream in chunks.
pub(crate) const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

impl<L: Listener> Peer<L> {
    pub(crate) const fn new(listener: L) -> Self {
        Self { listener }
    }

    /// The next connection, with its request.
    pub(crate) async fn accept(&mut self) -> Exchange<L::Socket> {
        loop {
            if let Some(exchange) = self.accept_with(false).await {
                return exchange;
            }
        }
    }

    /// As [`accept`](Self::accept), but the last byte of the request is left where it is, so that
    /// the connection is reset when it is dropped.
    pub(crate) async fn accept_to_reset(&mut self) -> Exchange<L::Socket> {
        self.accept_with(true).await.expect("a request comes")
    }

    /// `None`: the client has given up before it had sent its request.
    async fn accept_with(&mut self, leaves_a_byte: bool) -> Option<Exchange<L::Socket>> {
        let accepted = poll_fn(|context| self.listener.poll_accept(context)).await;
        let (mut socket, _) = accepted.expect("the listener works");
        let mut bytes = Vec::new();
        let mut buffer = vec![0; if leaves_a_byte { 1 } else { 8 << 10 }];
        loop {
            if leaves_a_byte && bytes.ends_with(b"\r\n\r") {
                bytes.push(b'\n');
            }
            if let Some(request) = parse(&bytes) {
                return Some(Exchange { request, socket, written: 0 });
            }
            match poll_fn(|context| socket.poll_read(context, &mut buffer)).await {
                Ok(length @ 1..) => bytes.extend_from_slice(&buffer[..length]),
                Ok(0) | Err(_) => return None,
            }
        }
    }
}

impl<S: Socket> Exchange<S> {
    /// Writes all of it. Says whether the client took it.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let mut bytes = bytes.as_ref();
        while !bytes.is_empty() {
            match poll_fn(|context| self.socket.poll_write(context, bytes)).await {
                Ok(written @ 1..) => {
                    self.written += written as u64;
                    bytes.advance(written);
                }
                Ok(0) | Err(_) => return false,
            }
        }
        poll_fn(|context| self.socket.poll_flush(context)).await.is_ok()
    }

    /// Writes a chunk of a chunked body.
    pub(crate) async fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let size = format!("{:x}\r\n", bytes.len());
        self.write([size.as_bytes(), bytes, b"\r\n"].concat()).await
    }

    /// Writes the last chunk, and ends the connection.
    pub(crate) async fn end_chunks(mut self) {
        self.write("0\r\n\r\n").await;
        self.end().await;
    }

    /// Ends the connection in good order.
    pub(crate) async fn end(mut self) {
        let _ = poll_fn(|context| self.socket.poll_shutdown(context)).await;
    }

    /// How many bytes were written.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Waits until the client has dropped the connection.
    pub(crate) async fn gone(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 64];
        match poll_fn(|context| self.socket.poll_read(context, &mut buffer)).await {
            Ok(0) => Ok(()),
            Ok(length) => panic!("more came: {:?}", &buffer[..length]),
            Err(failure) => Err(failure),
        }
    }
}

/// A response's head as it stands on the wire, with no more about its framing than it has.
pub(crate) fn head_bytes(head: &Response<()>) -> Vec<u8> {
    let mut text = String::new();
    write!(text, "HTTP/1.1 {} As told\r\n", head.status().as_str()).unwrap();
    let mut bytes = text.into_bytes();
    for (name, value) in head.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The request, with values as they were written, and its URL made whole; `None` if it is not.
fn parse(bytes: &[u8]) -> Option<Request<Bytes>> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let mut lines =
        head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = String::from_utf8(lines.next()?.to_vec()).unwrap();
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("no request line: {line:?}")
    };
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = HeaderName::from_bytes(&line[..colon]).unwrap();
        let value = line[colon + 1..].strip_prefix(b" ").unwrap();
        request = match HeaderValue::from_bytes(value) {
            Ok(value) => request.header(name, value),
            // No `HeaderValue` holds every id.
            Err(_) if name == "last-event-id" => request.extension(LastEventId::from_header(value)),
            Err(error) => panic!("{name}: {error}"),
        };
    }
    let headers = request.headers_ref().unwrap();
    let host = headers["host"].to_str().unwrap();
    let url = format!("http://{host}{target}");
    let length =
        headers.get("content-length").map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    assert!(body.len() <= length, "more than the request came");
    if body.len() < length {
        return None;
    }
    Some(request.uri(url).body(Bytes::copy_from_slice(body)).unwrap())
}

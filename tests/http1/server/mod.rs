//! The server side of HTTP/1.1, by bytes and in virtual time.

mod closing;
mod exchanges;
mod splits;
mod streams;
mod strictness;

use crate::kit::base_instant;
use bytes::Bytes;
use http::{Request, Response};
use sansse::http1::{ServerCloseReason, ServerConnection, ServerConnectionConfig};
use std::time::{Duration, Instant};

/// A server connection as its driver sees it, with a clock that stands still
/// until it is moved.
struct Connection {
    server: ServerConnection,
    now: Instant,
}

impl Connection {
    fn new() -> Self {
        Self::with(ServerConnectionConfig::default())
    }

    fn with(config: ServerConnectionConfig) -> Self {
        let now = base_instant();
        Self { server: ServerConnection::new(now, config), now }
    }

    /// A connection on which a request came in, whole.
    fn after(bytes: impl AsRef<[u8]>) -> Self {
        let mut connection = Self::new();
        connection.send(bytes);
        connection
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.server.handle_data(self.now, bytes.as_ref());
    }

    fn end(&mut self) {
        self.server.handle_eof(self.now);
    }

    #[track_caller]
    fn request(&mut self) -> Request<Bytes> {
        self.server.poll_request().expect("a request is complete")
    }

    #[track_caller]
    fn answer(&mut self, body: &'static str) {
        self.server.respond(self.now, Response::new(body.into())).expect("a request waits");
    }

    /// Writes all there is to write, and says what it was.
    fn written(&mut self) -> String {
        let mut written = Vec::new();
        while let Some(bytes) = self.server.poll_transmit(self.now) {
            assert!(!bytes.is_empty(), "nothing is written in vain");
            written.extend_from_slice(&bytes);
        }
        String::from_utf8(written).expect("the tests answer in UTF-8")
    }

    /// Lets time pass as a driver does that sleeps until each deadline.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.server.poll_timeout().filter(|at| *at <= until) {
            self.now = deadline;
            self.server.handle_timeout(self.now);
            assert_ne!(self.server.poll_timeout(), Some(deadline), "a deadline is met once");
        }
        self.now = until;
        self.server.handle_timeout(self.now);
    }

    fn closed(&self) -> Option<ServerCloseReason> {
        self.server.close_reason()
    }

    /// The peer reads the last answer and closes; why it all ended.
    #[track_caller]
    fn closed_by_both(&mut self) -> ServerCloseReason {
        assert_eq!(self.written(), "");
        assert!(self.server.wants_shutdown(), "our side is shut down first");
        assert_eq!(self.closed(), None);
        self.end();
        assert!(!self.server.wants_shutdown());
        self.closed().expect("both sides are done")
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

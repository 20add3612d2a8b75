//! axum with event streams, over real sockets.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod http2;
mod layers;
mod requests;
mod shutdown;
mod stalled;

use axum::Router;
use axum::extract::State;
use axum::routing::{any, post};
use sansse::broker::{Audience, SessionConfig};
use sansse::{Event, Hub};
use sansse_axum::{EventStream, Listener, StreamRequest};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(30);

async fn events(State(hub): State<Hub>, stream: StreamRequest) -> EventStream {
    stream.open(&hub, SessionConfig::new())
}

async fn say(State(hub): State<Hub>, text: String) {
    hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
}

fn routes(hub: &Hub) -> Router {
    let routes = Router::new().route("/events", any(events)).route("/say", post(say));
    routes.with_state(hub.clone())
}

/// A server, and what shuts it down in good order.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

async fn listener() -> Listener {
    Listener::bind("127.0.0.1:0").await.unwrap()
}

fn serve(listener: Listener, routes: Router) -> Served {
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(
        axum::serve(listener, routes)
            .with_graceful_shutdown(async { drop(stopped.await) })
            .into_future(),
    );
    Served { address, stop, serving }
}

/// A peer that reads and writes bytes of HTTP/1.1.
struct Peer {
    stream: TcpStream,
    text: String,
}

impl Peer {
    async fn ask(address: SocketAddr, head: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{}\r\nhost: a\r\n\r\n", head.trim_end());
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    async fn events(address: SocketAddr) -> Self {
        Self::ask(address, "GET /events HTTP/1.1").await
    }

    /// Reads until this was there.
    async fn wait_for(&mut self, what: &str) {
        tokio::time::timeout(PATIENCE, async {
            while !self.text.contains(what) {
                assert!(self.read().await > 0, "the end before {what:?}: {}", self.text);
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no {what:?}: {}", self.text));
    }

    /// Reads until the end of the connection, and says whether the stream ended in good order.
    async fn end(&mut self) -> bool {
        let end = async { while self.read().await > 0 {} };
        tokio::time::timeout(PATIENCE, end).await.expect("it does not end");
        self.text.ends_with("\r\n0\r\n\r\n")
    }

    /// A broken connection is an end.
    async fn read(&mut self) -> usize {
        let mut buffer = vec![0; 16 << 10];
        let length = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        length
    }
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

//! actix-web with event streams, over real sockets.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod http2;
mod middleware;
mod requests;
mod shutdown;
mod stalled;

use actix_web::{App, HttpServer, web};
use sansse::broker::{Audience, SessionConfig};
use sansse::{Event, Hub};
use sansse_actix::{EventStream, ServeStreams, StreamRequest, Streams};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(30);

async fn events(hub: web::Data<Hub>, stream: StreamRequest) -> EventStream {
    stream.open(&hub, SessionConfig::new())
}

async fn say(hub: web::Data<Hub>, text: String) -> &'static str {
    hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
    "said"
}

/// The routes of a hub: `/events`, and `/say`.
fn routes(hub: &Hub) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let hub = web::Data::new(hub.clone());
    move |config| {
        config
            .app_data(hub.clone())
            .route("/events", web::to(events))
            .route("/say", web::post().to(say));
    }
}

/// A server, and what shuts it down in good order.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Served {
    /// Has it stop, and waits until it has; returns after how long.
    async fn stopped(self) -> Duration {
        let begun = std::time::Instant::now();
        self.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
        begun.elapsed()
    }
}

fn serve(
    streams: Streams,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> Served {
    let (stop, stopped) = oneshot::channel();
    let server = HttpServer::new(move || App::new().configure(routes.clone()))
        .serve_streams(streams.with_signal(async { drop(stopped.await) }))
        .workers(2)
        .bind_auto_h2c(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    Served { address, stop, serving: tokio::spawn(server.run()) }
}

/// A peer that reads and writes bytes of HTTP/1.1.
struct Peer {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Peer {
    async fn ask(address: SocketAddr, head: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{}\r\nhost: a\r\n\r\n", head.trim_end());
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, bytes: Vec::new() }
    }

    async fn events(address: SocketAddr) -> Self {
        Self::ask(address, "GET /events HTTP/1.1").await
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    /// Reads until this was there.
    async fn wait_for(&mut self, what: &str) {
        self.wait_until(what, |peer| peer.text().contains(what)).await;
    }

    /// Reads until it is so.
    async fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !is_so(self) {
            let length =
                tokio::time::timeout_at(deadline, self.read()).await.unwrap_or_else(|_| {
                    panic!("no {what:?}: {}", String::from_utf8_lossy(&self.bytes))
                });
            assert!(
                length > 0,
                "the end before {what:?}: {}",
                String::from_utf8_lossy(&self.bytes)
            );
        }
    }

    /// Reads until the end of the connection, and says whether the stream ended in good order.
    async fn end(&mut self) -> bool {
        let end = async { while self.read().await > 0 {} };
        tokio::time::timeout(PATIENCE, end).await.expect("it does not end");
        self.bytes.ends_with(b"\r\n0\r\n\r\n")
    }

    /// A broken connection is an end.
    async fn read(&mut self) -> usize {
        let mut buffer = vec![0; 16 << 10];
        let length = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.bytes.extend_from_slice(&buffer[..length]);
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

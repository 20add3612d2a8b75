//! What middleware in front does to a stream, and what panics do.

use super::{Peer, routes, serve};
use actix_web::http::header::ContentEncoding;
use actix_web::middleware::{Compress, Logger};
use actix_web::{Responder, web};
use sansse::broker::{Audience, SessionConfig};
use sansse::{Event, Hub};
use sansse_actix::{Sse, StreamRequest, Streams};
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The routes of a hub behind a layer that compresses.
pub(super) fn compressed(hub: &Hub) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let routes = routes(hub);
    move |config| {
        let scope = web::scope("").wrap(Compress::default()).wrap(Logger::default());
        config.service(scope.configure(routes.clone()));
    }
}

impl Peer {
    /// The text of as much of a compressed body as there is.
    pub(super) fn gunzipped(&self) -> String {
        let Some(end) = self.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return String::new();
        };
        let mut body = &self.bytes[end + 4..];
        let mut whole = Vec::new();
        while let Some(line) = body.windows(2).position(|bytes| bytes == b"\r\n") {
            let length = std::str::from_utf8(&body[..line]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            let Some(chunk) = body.get(line + 2..line + 2 + length) else { break };
            whole.extend_from_slice(chunk);
            body = body.get(line + 4 + length..).unwrap_or_default();
        }
        let mut text = Vec::new();
        // It fails where the end is missing, after what is there.
        let _ = flate2::read::GzDecoder::new(&*whole).read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test]
async fn a_stream_that_is_compressed_is_not_held_back() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), compressed(&hub));
    let head = "GET /events HTTP/1.1\r\naccept-encoding: gzip";
    let mut peer = Peer::ask(server.address, head).await;
    peer.wait_until("a notice", |peer| peer.gunzipped().contains("sansse-notice")).await;
    let head = String::from_utf8_lossy(&peer.bytes).into_owned();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    for text in ["first", "second", &"large".repeat(10_000)] {
        hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
        let line = format!("data: {text}\n");
        peer.wait_until("an event", |peer| peer.gunzipped().contains(&line)).await;
    }
}

#[tokio::test]
async fn a_stream_that_says_that_it_is_plain_is_not_compressed() {
    async fn plain(hub: web::Data<Hub>, stream: StreamRequest) -> impl Responder {
        let stream = stream.open(&hub, SessionConfig::new());
        stream.customize().insert_header(ContentEncoding::Identity)
    }
    let hub = sansse_actix::hub();
    let data = web::Data::new(hub.clone());
    let server = serve(Streams::new(hub), move |config| {
        let scope = web::scope("").wrap(Compress::default()).app_data(data.clone());
        config.service(scope.route("/events", web::to(plain)));
    });
    let head = "GET /events HTTP/1.1\r\naccept-encoding: gzip";
    Peer::ask(server.address, head).await.wait_for("sansse-notice").await;
}

/// A stream that panics once it has given something.
struct Panics(bool);

impl futures_core::Stream for Panics {
    type Item = Result<Event, String>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        assert!(!self.0, "this is what the test wants");
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Ready(Some(Ok(Event::new("before"))))
    }
}

async fn panics() -> &'static str {
    panic!("this is what the test wants")
}

#[tokio::test]
async fn a_panic_of_a_handler_or_of_its_stream_costs_its_connection_alone() {
    let hub = sansse_actix::hub();
    let routes = routes(&hub);
    let server = serve(Streams::new(hub.clone()), move |config| {
        routes(config);
        config
            .route("/handler", web::get().to(panics))
            .route("/stream", web::get().to(|| async { Sse::new(Panics(false)) }));
    });
    let mut others = [Peer::events(server.address).await, Peer::events(server.address).await];
    for peer in &mut others {
        peer.wait_for("sansse-notice").await;
    }
    let mut peer = Peer::ask(server.address, "GET /handler HTTP/1.1").await;
    assert!(!peer.end().await);
    assert_eq!(peer.text(), "");
    let mut peer = Peer::ask(server.address, "GET /stream HTTP/1.1").await;
    assert!(!peer.end().await, "{}", peer.text());
    hub.publish(Audience::Everyone, &Event::new("hello")).unwrap();
    for peer in &mut others {
        peer.wait_for("data: hello\n").await;
    }
    // What has panicked does not count as a connection that is there still.
    drop(others);
    let time = server.stopped().await;
    assert!(time.as_secs() < 5, "{time:?}");
}

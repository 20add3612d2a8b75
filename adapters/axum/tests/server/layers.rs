//! What layers in front do to a stream.

use super::{Peer, listener, routes, serve};
use axum::Router;
use axum::routing::get;
use sansse::broker::Audience;
use sansse::{Event, Hub};
use sansse_axum::Sse;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

/// An event arrives, and is not held back until there are more.
async fn events_arrive(hub: &Hub, routes: Router) -> Peer {
    let server = serve(listener().await, routes);
    let head = "GET /events HTTP/1.1\r\naccept-encoding: gzip\r\norigin: https://a.b";
    let mut peer = Peer::ask(server.address, head).await;
    peer.wait_for("sansse-notice").await;
    for text in ["first", "second"] {
        hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
        peer.wait_for(&format!("data: {text}\n")).await;
    }
    peer
}

#[tokio::test]
async fn a_stream_is_not_compressed() {
    let hub = sansse_axum::hub();
    let peer = events_arrive(&hub, routes(&hub).layer(CompressionLayer::new())).await;
    assert!(!peer.text.contains("content-encoding"));
}

#[tokio::test]
async fn a_timeout_of_requests_does_not_end_a_stream() {
    let hub = sansse_axum::hub();
    let time = Duration::from_millis(200);
    let layer = TimeoutLayer::with_status_code(http::StatusCode::REQUEST_TIMEOUT, time);
    let mut peer = events_arrive(&hub, routes(&hub).layer(layer)).await;
    tokio::time::sleep(time * 2).await;
    hub.publish(Audience::Everyone, &Event::new("late")).unwrap();
    peer.wait_for("data: late\n").await;
}

#[tokio::test]
async fn traces_and_the_headers_of_another_layer_let_a_stream_through() {
    let hub = sansse_axum::hub();
    let routes = routes(&hub).layer(TraceLayer::new_for_http()).layer(CorsLayer::permissive());
    let peer = events_arrive(&hub, routes).await;
    assert!(peer.text.contains("access-control-allow-origin: *"));
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
async fn a_panic_of_a_handler_is_caught_and_one_of_its_stream_ends_the_connection_unclean() {
    let hub = sansse_axum::hub();
    events_arrive(&hub, routes(&hub).layer(CatchPanicLayer::new())).await;
    let routes = Router::new()
        .route("/handler", get(panics))
        .route("/stream", get(|| async { Sse::new(Panics(false)) }))
        .layer(CatchPanicLayer::new());
    let server = serve(listener().await, routes);
    let mut peer = Peer::ask(server.address, "GET /handler HTTP/1.1").await;
    peer.wait_for("HTTP/1.1 500").await;
    let mut peer = Peer::ask(server.address, "GET /stream HTTP/1.1").await;
    assert!(!peer.end().await);
}

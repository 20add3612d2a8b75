//! axum, by `sansse-axum`.

use crate::setup::{Events, PERIOD, STALL, Served, Setup, Stack, events, panicking, session};
use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::routing::{any, get};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use sansse::broker::Drain;
use sansse::{Event, Hub};
use sansse_axum::{EventStream, Listener, Sse, StreamRequest, TokioRuntime};
use std::time::Duration;
use tokio::sync::oneshot;

async fn stream(
    State(hub): State<Hub>,
    OriginalUri(uri): OriginalUri,
    stream: StreamRequest,
) -> EventStream {
    stream.open(&hub, session(&uri))
}

async fn whole() -> Sse<Events> {
    Sse::new(events(true))
}

async fn fails() -> Sse<Events> {
    Sse::new(events(false))
}

async fn panics() -> &'static str {
    panic!("this is what the test wants")
}

async fn panics_later() -> Sse<impl Stream<Item = Result<Event, String>>> {
    Sse::new(panicking())
}

async fn start(setup: Setup) -> Served {
    let hub = setup.hub(TokioRuntime, |drive| drop(tokio::spawn(drive)));
    let routes = Router::new()
        .route("/events", any(stream))
        .route("/whole", get(whole))
        .route("/fails", get(fails))
        .route("/panics", get(panics))
        .route("/panics/stream", get(panics_later))
        .with_state(hub.clone());
    let over = Duration::from_secs(1);
    let drain = Drain::new(over).with_patience(PERIOD.saturating_sub(over));
    let listener = Listener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .with_hub(hub.clone())
        .with_drain(drain, PERIOD)
        .with_write_deadline(Some(STALL));
    let address = axum::serve::Listener::local_addr(&listener).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let serving = axum::serve(listener, routes).with_graceful_shutdown(shutdown);
    let serving = tokio::spawn(serving.into_future());
    let stop = move || -> BoxFuture<'static, ()> {
        stop.send(()).unwrap();
        Box::pin(async { serving.await.unwrap().unwrap() })
    };
    Served { address, hub, stop: Box::new(stop) }
}

struct Http1;

impl Stack for Http1 {
    fn start(setup: Setup) -> impl Future<Output = Served> {
        start(setup)
    }
}

struct Http2;

impl Stack for Http2 {
    const HTTP2: bool = true;

    fn start(setup: Setup) -> impl Future<Output = Served> {
        start(setup)
    }
}

mod http1 {
    scenarios!(super::Http1);
}

mod http2 {
    scenarios!(super::Http2);
}

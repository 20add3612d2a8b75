//! actix-web, by `sansse-actix`.

use crate::setup::{Events, PERIOD, STALL, Served, Setup, Stack, events, panicking, session};
use actix_web::{App, HttpServer, web};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use sansse::broker::Drain;
use sansse::{Event, Hub};
use sansse_actix::{EventStream, ServeStreams, Sse, StreamRequest, Streams};
use sansse_tokio::TokioRuntime;
use std::future::{Future, ready};
use std::time::Duration;
use tokio::sync::oneshot;

async fn stream(
    hub: web::Data<Hub>,
    request: actix_web::HttpRequest,
    stream: StreamRequest,
) -> EventStream {
    stream.open(&hub, session(&request.uri().to_string().parse().unwrap()))
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

fn start(setup: Setup) -> Served {
    let hub = setup.hub(TokioRuntime, |drive| drop(tokio::spawn(drive)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let over = Duration::from_secs(1);
    let streams = Streams::new(hub.clone())
        .with_drain(Drain::new(over).with_patience(PERIOD.saturating_sub(over)), PERIOD)
        .with_write_deadline(Some(STALL))
        .with_signal(async { drop(stopped.await) });
    let data = web::Data::new(hub.clone());
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/events", web::to(stream))
                .route("/whole", web::get().to(whole))
                .route("/fails", web::get().to(fails))
                .route("/panics", web::get().to(panics))
                .route("/panics/stream", web::get().to(panics_later))
        })
        .workers(2)
        .serve_streams(streams)
        .listen(listener)
        .unwrap();
        let _ = ended.send(actix_web::rt::System::new().block_on(server.run()));
    });
    let stop = move || -> BoxFuture<'static, ()> {
        stop.send(()).unwrap();
        Box::pin(async { end.await.unwrap().unwrap() })
    };
    Served { address, hub, stop: Box::new(stop) }
}

struct Http1;

impl Stack for Http1 {
    fn start(setup: Setup) -> impl Future<Output = Served> {
        ready(start(setup))
    }
}

mod http1 {
    scenarios!(super::Http1);
}

//! Plain hyper, by HTTP/1.1 and by HTTP/2.

use crate::setup::{PERIOD, STALL, Served, Setup, Stack, answer};
use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use sansse::Hub;
use sansse::broker::Drain;
use sansse_axum::{TokioRuntime, WriteDeadline};
use std::convert::Infallible;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

async fn start(setup: Setup) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = setup.hub(TokioRuntime, |drive| drop(tokio::spawn(drive)));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, hub.clone(), stopped));
    let stop = move || -> BoxFuture<'static, ()> {
        stop.send(()).unwrap();
        Box::pin(async { serving.await.unwrap() })
    };
    Served { address, hub, stop: Box::new(stop) }
}

async fn serve(listener: TcpListener, hub: Hub, mut stopped: oneshot::Receiver<()>) {
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = &mut stopped => break,
        };
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(WriteDeadline::new(stream, STALL));
        let hub = hub.clone();
        let service = service_fn(move |request| {
            let hub = hub.clone();
            async move { Ok::<_, Infallible>(answer(&hub, &request).into_response(TokioRuntime)) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        builder.http2().timer(TokioTimer::new());
        let serving = builder.serve_connection(io, service).into_owned();
        let watched = graceful.watch(serving);
        tokio::spawn(async move { drop(watched.await) });
    }
    drop(listener);
    let over = Duration::from_secs(1);
    hub.drain(Drain::new(over).with_patience(PERIOD.saturating_sub(over))).unwrap();
    let _ = tokio::time::timeout(PERIOD, graceful.shutdown()).await;
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

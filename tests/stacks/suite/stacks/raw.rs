//! The server of the core, on tokio and on smol.

use crate::proxy::{Kind, Proxy};
use crate::setup::{PERIOD, STALL, Served, Setup, Stack, answer};
use bytes::Bytes;
use http::Request;
use sansse::http1::ServerConnectionConfig;
use sansse::net::Runtime;
use sansse::serve::Server;
use sansse::{Hub, hub::Answer};
use sansse_smol::{SmolAcceptor, SmolRuntime};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use std::future::{Future, ready};
use tokio::sync::oneshot;

fn server<R: Runtime>(runtime: R, hub: Hub) -> Server<R> {
    let http = ServerConnectionConfig::DEFAULT.with_write_time(STALL);
    Server::new(runtime, hub).with_http(http).with_shutdown_time(PERIOD)
}

/// A panic comes when the handler runs.
fn handler(
    hub: Hub,
) -> impl Fn(Request<Bytes>) -> std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>
+ Clone
+ Send
+ 'static {
    move |request| {
        let hub = hub.clone();
        Box::pin(async move { answer(&hub, &request) })
    }
}

struct OnTokio;

impl Stack for OnTokio {
    async fn start(setup: Setup) -> Served {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hub = setup.hub(TokioRuntime, |drive| drop(tokio::spawn(drive)));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let serving = server(TokioRuntime, hub.clone()).serve(
            TokioAcceptor::new(listener),
            shutdown,
            handler(hub.clone()),
        );
        let serving = tokio::spawn(serving);
        let stop = move || -> futures_util::future::BoxFuture<'static, ()> {
            stop.send(()).unwrap();
            Box::pin(async { serving.await.unwrap() })
        };
        Served { address, hub, stop: Box::new(stop) }
    }
}

struct OnSmol;

impl Stack for OnSmol {
    fn start(setup: Setup) -> impl Future<Output = Served> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
        let hub = setup.hub(runtime, |drive| smol::spawn(drive).detach());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server(runtime, hub.clone()).serve(
            SmolAcceptor::new(listener).unwrap(),
            async { drop(stopped.await) },
            handler(hub.clone()),
        );
        let serving = smol::spawn(serving);
        let stop = move || -> futures_util::future::BoxFuture<'static, ()> {
            stop.send(()).unwrap();
            Box::pin(serving)
        };
        ready(Served { address, hub, stop: Box::new(stop) })
    }
}

/// The server on tokio behind nginx, with the configuration that is recommended.
struct BehindNginx;

impl Stack for BehindNginx {
    const KEPT_BY_A_PROXY: &[&str] = &["x-accel-buffering"];

    async fn start(setup: Setup) -> Served {
        let Served { address, hub, stop } = OnTokio::start(setup).await;
        let whole_site = [("location = /events {", "location / {")];
        let nginx =
            tokio::task::block_in_place(|| Proxy::start_changed(Kind::Nginx, address, &whole_site));
        let address = nginx.address();
        let stop = move || -> futures_util::future::BoxFuture<'static, ()> {
            Box::pin(async {
                stop().await;
                drop(nginx);
            })
        };
        Served { address, hub, stop: Box::new(stop) }
    }
}

mod on_tokio {
    scenarios!(super::OnTokio);
}

mod on_smol {
    scenarios!(super::OnSmol);
}

mod behind_nginx {
    scenarios! {
        super::BehindNginx, but [
            // It says in the place of a server that does not answer when to come back.
            a_handler_that_panics_costs_its_own_request_alone
            an_answer_that_panics_is_cut
            // It takes all that it has buffers for; the tests of the proxies tell of that.
            a_peer_that_takes_nothing_loses_its_connection
        ],
        #[ignore = "needs nginx"]
    }
}

//! A server and a client on real sockets, on smol and on async-std, each with its own executor.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

use bytes::Bytes;
use http::Request;
use sansse::broker::{Audience, SessionConfig};
use sansse::client::{ClientConfig, ClientError, CloseReason, Policy};
use sansse::feed::{FeedEvent, Http1};
use sansse::net::{FailureKind, Runtime};
use sansse::serve::Server;
use sansse::{Event, EventSource, Hub, SourceEvent};
use sansse_smol::{SmolAcceptor, SmolConnector, SmolRuntime, SmolTimer, connect};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Runs a test on each of the two.
fn on_both<F: Future<Output = ()> + Send + 'static>(test: impl Fn(Executor) -> F) {
    smol::block_on(in_time(test(Executor::Smol)));
    async_std::task::block_on(in_time(test(Executor::AsyncStd)));
}

async fn in_time(test: impl Future<Output = ()>) {
    let expired = async {
        smol::Timer::after(Duration::from_secs(20)).await;
        panic!("it takes too long");
    };
    smol::future::or(test, expired).await;
}

#[derive(Clone, Copy)]
enum Executor {
    Smol,
    AsyncStd,
}

impl Executor {
    fn runtime(self) -> impl Runtime {
        SmolRuntime::new(move |task| match self {
            Self::Smol => smol::spawn(task).detach(),
            Self::AsyncStd => drop(async_std::task::spawn(task)),
        })
    }
}

struct Running {
    hub: Hub,
    url: String,
    shutdown: smol::channel::Sender<()>,
    over: smol::channel::Receiver<()>,
}

fn start(executor: Executor, address: &str) -> Running {
    let runtime = executor.runtime();
    let hub = sansse_smol::hub(&runtime);
    let listener = TcpListener::bind(address).unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let (shutdown, signal) = smol::channel::bounded::<()>(1);
    let (is_over, over) = smol::channel::bounded(1);
    let streams = hub.clone();
    let handler = move |request: Request<Bytes>| {
        assert!(request.extensions().get::<SocketAddr>().is_some());
        let answer = streams.accept(&request, SessionConfig::new());
        async { answer }
    };
    let server = Server::new(runtime.clone(), hub.clone());
    let acceptor = SmolAcceptor::new(listener).unwrap();
    runtime.spawn(async move {
        server.serve(acceptor, async move { signal.recv().await.unwrap() }, handler).await;
        is_over.send(()).await.unwrap();
    });
    Running { hub, url, shutdown, over }
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

#[test]
fn events_arrive_in_order_and_a_shutdown_calls_the_reader_back() {
    on_both(|executor| async move {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = start(executor, address);
            let mut source = connect(get(&server.url));
            assert!(matches!(source.next().await, Some(SourceEvent::Open { .. })));
            for number in 0..20 {
                // Some are more than a socket takes at once.
                let text = format!("{number} ").repeat(1 + number % 7 * 10_000);
                server.hub.publish(Audience::Everyone, &Event::new(text)).unwrap();
            }
            for number in 0..20 {
                let Some(SourceEvent::Message(message)) = source.next().await else { panic!() };
                assert_eq!(message.data, format!("{number} ").repeat(1 + number % 7 * 10_000));
            }
            server.shutdown.send(()).await.unwrap();
            let Some(SourceEvent::Retrying { error, .. }) = source.next().await else { panic!() };
            let ClientError::Transport(failure) = error else { panic!("{error:?}") };
            assert_eq!(failure.kind(), FailureKind::Truncated);
            server.over.recv().await.unwrap();
        }
    });
}

#[test]
fn a_feed_is_driven_by_a_task() {
    on_both(|executor| async move {
        let server = start(executor, "127.0.0.1:0");
        let feed = sansse_smol::feed(&server.url, |task| executor.runtime().spawn(task));
        let mut messages = feed.subscribe();
        assert!(matches!(messages.next().await, Some(FeedEvent::Open(_))));
        server.hub.publish(Audience::Everyone, &Event::new("hello")).unwrap();
        let Some(FeedEvent::Message(message)) = messages.next().await else { panic!() };
        assert_eq!(message.data, "hello");
        drop((messages, feed));
        while server.hub.counters().sessions > 0 {
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn what_stands_in_the_way_of_a_connection_is_named() {
    on_both(|_| async {
        let refused = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}/", listener.local_addr().unwrap())
        };
        for (url, kind) in [
            (&*refused, FailureKind::Connect),
            ("http://name.invalid/", FailureKind::Resolve),
            ("https://127.0.0.1/", FailureKind::Unsupported),
        ] {
            let mut config = ClientConfig::new(1);
            config.policy = Policy::standard();
            let transport = Http1::new(SmolConnector);
            let mut source = EventSource::new(transport, SmolTimer, get(url), config);
            let error = match source.next().await {
                Some(
                    SourceEvent::Retrying { error, .. }
                    | SourceEvent::Closed(CloseReason::Failed(error)),
                ) => error,
                other => panic!("{other:?}"),
            };
            let ClientError::Transport(failure) = error else { panic!("{error:?}") };
            assert_eq!(failure.kind(), kind, "{failure}");
        }
    });
}

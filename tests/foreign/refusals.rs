//! Refusals for now, and the `EventSource`s of others: each comes back by itself, whatever it was
//! refused for.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use sansse::broker::{Audience, BrokerConfig, Drain, Epoch, SessionConfig};
use sansse::hub::HubBuilder;
use sansse::serve::{Server, ServerCounters};
use sansse::{Event, Hub};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::program::{ALL, Program};

macro_rules! tests {
    ($($test:ident)*) => {
        tests! { eventsource; $($test)* }
        tests! { undici; $($test)* }
    };
    ($package:ident; $($test:ident)*) => {
        mod $package {
            $(
                #[tokio::test]
                #[ignore = "needs what tests/foreign/install installs; .ci/run runs it"]
                async fn $test() {
                    super::$test(stringify!($package)).await;
                }
            )*
        }
    };
}

tests! {
    it_comes_back_to_a_hub_that_was_full
    it_comes_back_to_a_server_that_had_no_room
    it_comes_back_after_a_drain
    it_comes_back_after_a_restart
}

async fn it_comes_back_to_a_hub_that_was_full(package: &str) {
    let mut config = config(1);
    config.limits.sessions.most = 1.try_into().expect("not 0");
    let site = Site::start(config, |server| server).await;
    let other = site.hub.open(SessionConfig::new()).expect("there is room");
    let mut client = Client::start(package, site.address);
    client.lost(2).await;
    drop(other);
    client.is_served(&site, 1).await;
}

async fn it_comes_back_to_a_server_that_had_no_room(package: &str) {
    let site = Site::start(config(1), |server| server.with_max_connections(1)).await;
    let mut first = Client::start(package, site.address);
    first.is_served(&site, 1).await;
    let mut client = Client::start(package, site.address);
    client.lost(2).await;
    assert!(site.counters.snapshot().refused >= 2);
    drop(first);
    until(|| site.hub.counters().sessions == 0).await;
    client.is_served(&site, 1).await;
}

/// It is called back into the drain, since one session that takes nothing makes it last.
async fn it_comes_back_after_a_drain(package: &str) {
    let site = Site::start(config(1), |server| server).await;
    let mut client = Client::start(package, site.address);
    client.is_served(&site, 1).await;
    let _stuck = site.hub.open(SessionConfig::new()).expect("there is room");
    site.publish("taken by one of two");
    client.message("taken by one of two").await;
    let drain = Drain::new(Duration::from_millis(1))
        .with_retry(Duration::from_millis(500), Duration::from_millis(500));
    site.hub.drain(drain).expect("for the first time");
    client.lost(3).await;
    assert!(site.hub.counters().refused.closing >= 2);
    let again = site.restart(config(2)).await;
    client.is_served(&again, 1).await;
}

/// It is called back by a hub that was closed, and then for a while nobody listens.
async fn it_comes_back_after_a_restart(package: &str) {
    let site = Site::start(config(1), |server| server).await;
    let mut client = Client::start(package, site.address);
    client.is_served(&site, 1).await;
    site.hub.close();
    client.lost(2).await;
    assert!(site.hub.counters().refused.closing >= 1);
    let again = site.restart(config(2)).await;
    client.is_served(&again, 1).await;
}

fn config(life: u64) -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(life));
    config.reconnect.retry = Some(Duration::from_millis(100));
    config.reconnect.retry_after = Duration::from_secs(1);
    config
}

/// Our server, and what it serves.
struct Site {
    hub: Hub,
    address: SocketAddr,
    counters: ServerCounters,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Site {
    async fn start(
        config: BrokerConfig,
        set: impl FnOnce(Server<TokioRuntime>) -> Server<TokioRuntime>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::start_on(listener, config, set)
    }

    fn start_on(
        listener: TcpListener,
        config: BrokerConfig,
        set: impl FnOnce(Server<TokioRuntime>) -> Server<TokioRuntime>,
    ) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let hub = sansse_tokio::spawn_hub(HubBuilder::new(config)).expect("the settings can hold");
        let server = set(Server::new(TokioRuntime, hub.clone()));
        let counters = server.counters();
        let streams = hub.clone();
        let handler = move |request: Request<_>| {
            let answer = match request.uri().path() {
                "/events" => streams.accept(&request, SessionConfig::new()),
                _ => Response::default().into(),
            };
            std::future::ready(answer)
        };
        let (shutdown, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.serve(TokioAcceptor::new(listener), stopped, handler).await;
        });
        Self { hub, address, counters, shutdown, served }
    }

    /// Ends, and begins another life at the same address, after a while in which nobody listens.
    async fn restart(self, config: BrokerConfig) -> Self {
        self.hub.abort();
        drop(self.shutdown);
        self.served.await.expect("the server does not panic");
        sleep(Duration::from_millis(700)).await;
        let socket = TcpSocket::new_v4().expect("descriptors are left");
        socket.set_reuseaddr(true).expect("it is a TCP socket");
        socket.bind(self.address).expect("the port is free again");
        Self::start_on(socket.listen(64).expect("it is bound"), config, |server| server)
    }

    fn publish(&self, text: &'static str) {
        self.hub.publish(Audience::Everyone, &Event::new(text)).expect("the hub is open");
    }
}

/// An `EventSource` of Node.js, in a process.
struct Client(Program);

impl Client {
    fn start(package: &str, address: SocketAddr) -> Self {
        let url = format!("http://{address}/events");
        Self(Program::start("clients/event-source.cjs", &[package, &url, "message"]))
    }

    /// Waits until it has lost so many connections. It never says that it will ask no more.
    async fn lost(&mut self, times: usize) {
        let mut losses = 0;
        while losses < times {
            let line = self.next().await;
            assert!(line.get("message").is_none(), "{line}");
            losses += usize::from(line == json!({ "lost": true }));
        }
    }

    /// Waits until so many sessions are open, and reads what is published then.
    async fn is_served(&mut self, site: &Site, sessions: u64) {
        until(|| site.hub.counters().sessions == sessions).await;
        site.publish("served");
        self.message("served").await;
    }

    async fn message(&mut self, data: &str) {
        loop {
            if let Some(message) = self.next().await.get("message") {
                assert_eq!(message["data"], data);
                return;
            }
        }
    }

    async fn next(&mut self) -> Value {
        let line = self.0.next().await;
        assert_ne!(line, json!({ "closed": true }), "it is closed for good");
        line
    }
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + ALL;
    while !condition() {
        assert!(Instant::now() < deadline, "what was waited for did not come in {ALL:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

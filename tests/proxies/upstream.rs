//! The server behind the proxy, whose events outlive it.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use sansse::broker::{
    Audience, BrokerConfig, BrokerEvent, Drain, EndReason, Epoch, EventIds, OnUnknownId,
    SessionConfig,
};
use sansse::hub::HubBuilder;
use sansse::serve::Server;
use sansse::{Event, EventId, Hub};
use sansse_axum::{EventStream, Listener, StreamRequest};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stack {
    /// `sansse::serve`, by `sansse-tokio`.
    Serve,
    /// axum, by `sansse-axum`.
    Axum,
}

impl Stack {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Serve => "`serve`",
            Self::Axum => "axum",
        }
    }
}

/// Often enough that what needs heartbeats happens soon.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(300);

/// How soon a reader comes back whose stream has ended.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

pub(crate) fn config() -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(1));
    config.event_ids = EventIds::Own;
    config.session.on_unknown_id = OnUnknownId::ReplayKept;
    config.session.heartbeat = Some(HEARTBEAT);
    config.reconnect.retry = Some(RETRY);
    config
}

pub(crate) struct Upstream {
    stack: Stack,
    address: SocketAddr,
    life: Life,
    /// How many events there are. A real application has them in a database.
    written: u32,
}

/// What does not outlive a restart.
struct Life {
    hub: Hub,
    ended: Arc<Mutex<Option<EndReason>>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start(stack: Stack) -> Self {
        Self::start_with(stack, config(), SessionConfig::new()).await
    }

    pub(crate) async fn start_with(
        stack: Stack,
        config: BrokerConfig,
        session: SessionConfig,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let life = Life::begin(stack, listener, 0, config, session);
        Self { stack, address, life, written: 0 }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.life.hub
    }

    pub(crate) fn sessions(&self) -> u64 {
        self.life.hub.counters().sessions
    }

    /// Why the session ended that ended last.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        *self.life.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the next number.
    pub(crate) fn publish(&mut self) -> u32 {
        let number = self.written;
        self.written += 1;
        self.life.hub.publish(Audience::Everyone, &event(number)).expect("the hub is open");
        number
    }

    /// Stops, writes so many events that nobody hears, waits for something, and starts again at the
    /// same address, with what was written.
    pub(crate) async fn restart(mut self, unheard: u32, meanwhile: impl Future) -> Self {
        drop(self.life.stop);
        self.life.served.await.expect("the server does not panic");
        self.written += unheard;
        meanwhile.await;
        let socket = TcpSocket::new_v4().expect("descriptors are left");
        socket.set_reuseaddr(true).expect("it is a TCP socket");
        socket.bind(self.address).expect("the port is free again");
        let listener = socket.listen(64).expect("it is bound");
        let session = SessionConfig::new();
        let life = Life::begin(self.stack, listener, self.written, config(), session);
        Self { life, ..self }
    }
}

impl Life {
    fn begin(
        stack: Stack,
        listener: TcpListener,
        written: u32,
        config: BrokerConfig,
        session: SessionConfig,
    ) -> Self {
        let ended = Arc::new(Mutex::new(None));
        let end = Arc::clone(&ended);
        let builder = HubBuilder::new(config).on_event(move |_, event| {
            if let BrokerEvent::SessionEnded { reason, .. } = event {
                *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            }
        });
        let hub = sansse_tokio::spawn_hub(builder).expect("the settings can hold");
        for number in 0..written {
            hub.publish(Audience::Everyone, &event(number)).expect("the hub is open");
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let served = match stack {
            Stack::Serve => {
                let streams = hub.clone();
                let handler = move |request: Request<Bytes>| {
                    ready(match request.uri().path() {
                        "/events" => streams.accept(&request, session.clone()),
                        _ => Response::builder()
                            .status(404)
                            .body(Bytes::new())
                            .expect("it is valid")
                            .into(),
                    })
                };
                let server = Server::new(TokioRuntime, hub.clone());
                tokio::spawn(server.serve(TokioAcceptor::new(listener), stopped, handler))
            }
            Stack::Axum => {
                let drain = Drain::new(RETRY).with_retry(RETRY, RETRY);
                let listener = Listener::new(listener)
                    .with_hub(hub.clone())
                    .with_drain(drain, Duration::from_secs(2));
                let routes = Router::new().route("/events", get(events));
                let routes = routes.with_state((hub.clone(), session));
                let serving = axum::serve(listener, routes).with_graceful_shutdown(stopped);
                tokio::spawn(async { serving.await.expect("axum never fails") })
            }
        };
        Self { hub, ended, stop, served }
    }
}

async fn events(
    State((hub, session)): State<(Hub, SessionConfig)>,
    stream: StreamRequest,
) -> EventStream {
    stream.open(&hub, session)
}

fn event(number: u32) -> Event {
    let number = number.to_string();
    let id = EventId::new(number.clone()).expect("it is valid");
    Event::new(number).with_id(id)
}

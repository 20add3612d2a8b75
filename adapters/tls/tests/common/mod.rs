//! What the tests share: certificates, a network in memory, servers and clients.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    dead_code,
    reason = "helpers of tests fail by it, and not every test uses all"
)]

pub(crate) mod foreign;
pub(crate) mod memory;
pub(crate) mod tunnels;

use bytes::Bytes;
use http::Request;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig, TopicName};
use sansse::client::{ClientConfig, ClientError, CloseReason};
use sansse::feed::Http1;
use sansse::hub::{Answer, HubBuilder};
use sansse::net::{Failure, Listener};
use sansse::serve::{Server, ServerCounters};
use sansse::{Event, EventSource, Hub, SourceEvent};
use sansse_tls::{Roots, Tls, TlsListener, rustls, server_config};
use sansse_tokio::{TokioAcceptor, TokioConnector, TokioRuntime, spawn_hub};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Names and addresses of this machine.
pub(crate) const HERE: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // One of the same name would be taken for one that signed badly.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("authority {number} of process {}", std::process::id());
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// A chain and a key in PEM.
    pub(crate) fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_expired(&self, names: &[&str]) -> (String, String) {
        self.issue_with(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        set: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        set(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server of this machine's names.
    pub(crate) fn server(&self) -> rustls::ServerConfig {
        let (chain, key) = self.issue(HERE);
        server_config(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    /// A client that trusts this authority, and nobody else.
    pub(crate) fn client(&self) -> rustls::ClientConfig {
        self.roots().client_config()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::none().with_pem(self.pem.as_bytes()).unwrap()
    }
}

/// A server that sends each stream what is published.
pub(crate) struct Running {
    pub(crate) hub: Hub,
    pub(crate) counters: ServerCounters,
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(config: rustls::ServerConfig) -> Self {
        Self::start_at("127.0.0.1:0", config, |server| server).await
    }

    pub(crate) async fn start_at(
        address: &str,
        config: rustls::ServerConfig,
        set: impl FnOnce(Server<TokioRuntime>) -> Server<TokioRuntime>,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::start_on(TlsListener::new(TokioAcceptor::new(listener), config), address, set)
    }

    pub(crate) fn start_on(
        listener: impl Listener + 'static,
        address: SocketAddr,
        set: impl FnOnce(Server<TokioRuntime>) -> Server<TokioRuntime>,
    ) -> Self {
        let hub = hub();
        let server = set(Server::new(TokioRuntime, hub.clone()));
        let counters = server.counters();
        let streams = hub.clone();
        let handler = move |request: Request<Bytes>| {
            std::future::ready(match request.uri().path() {
                "/echo" => Answer::from(http::Response::new(request.into_body())),
                "/finite" => {
                    let finite = TopicName::new("finite").unwrap();
                    streams.accept(&request, SessionConfig::new().with_topic(finite).topics_only())
                }
                _ => streams.accept(&request, SessionConfig::new()),
            })
        };
        let task = tokio::spawn(server.serve(listener, pending(), handler));
        Self { hub, counters, address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/events", self.address)
    }

    pub(crate) fn say(&self, data: impl Into<String>) {
        self.hub.publish(Audience::Everyone, &Event::new(data.into())).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn hub() -> Hub {
    let mut config = BrokerConfig::new(Epoch(0xbeef));
    config.retention.bytes = (64 << 20).try_into().unwrap();
    spawn_hub(HubBuilder::new(config)).unwrap()
}

pub(crate) type Source = EventSource<Http1<Tls<TokioConnector>>>;

/// The defaults, but for waits that no test has to sit out.
pub(crate) fn quick() -> ClientConfig {
    let mut config = ClientConfig::new(7);
    config.policy.reconnection.initial = Duration::from_millis(20);
    config.policy.reconnection.floor = Duration::from_millis(20);
    config.policy.reconnection.max_backoff = Some(Duration::from_millis(40));
    config
}

pub(crate) fn source(url: &str, tls: rustls::ClientConfig) -> Source {
    source_with(url, tls, quick())
}

pub(crate) fn source_with(url: &str, tls: rustls::ClientConfig, config: ClientConfig) -> Source {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let transport = Http1::new(Tls::new(TokioConnector, tls));
    EventSource::new(transport, TokioRuntime, request, config)
}

pub(crate) async fn next<T: sansse::Transport>(source: &mut EventSource<T>) -> SourceEvent {
    timeout(PATIENCE, source.next()).await.expect("something happens").expect("it goes on")
}

/// The first thing that happens is that a stream opens.
pub(crate) async fn next_open<T: sansse::Transport>(source: &mut EventSource<T>) {
    match next(source).await {
        SourceEvent::Open { .. } => {}
        event => panic!("{event:?}"),
    }
}

pub(crate) async fn next_data<T: sansse::Transport>(source: &mut EventSource<T>) -> String {
    loop {
        match next(source).await {
            SourceEvent::Message(message) => return message.data,
            SourceEvent::Closed(reason) => panic!("{reason}"),
            _ => {}
        }
    }
}

/// What the next attempt that is lost failed of.
pub(crate) async fn next_loss<T: sansse::Transport>(source: &mut EventSource<T>) -> ClientError {
    loop {
        match next(source).await {
            SourceEvent::Retrying { error, .. }
            | SourceEvent::Closed(CloseReason::Failed(error)) => return error,
            SourceEvent::Closed(reason) => panic!("{reason}"),
            _ => {}
        }
    }
}

/// What the connection of the next attempt that is lost failed of.
pub(crate) async fn next_failure<T: sansse::Transport>(source: &mut EventSource<T>) -> Failure {
    match next_loss(source).await {
        ClientError::Transport(failure) => failure,
        error => panic!("{error}"),
    }
}

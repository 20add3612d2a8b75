//! A small site in the test's process: a hub that serves bare pages, and can be started anew.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig};
use sansse::http::ResponseHead;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::{Server, ServerCounters};
use sansse::{Event, Hub};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The file that pages may take from the `live` example.
const SHARED: &str = include_str!("../../examples/live/src/page/shared-event-source.js");

/// For epochs that no other site of this process has.
static LIFE: AtomicU64 = AtomicU64::new(1);

/// What a request for `/events` gets.
type Accept = dyn Fn(&Hub, &Request<Bytes>) -> Answer + Send + Sync;

/// A site with one page at `/` and one stream at `/events`.
pub(crate) struct Site {
    address: SocketAddr,
    hub: Hub,
    counters: ServerCounters,
    asked: Arc<Mutex<Vec<Option<String>>>>,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Site {
    /// Serves a page on a free port; its stream is the broadcast, in a hub with the defaults.
    pub(crate) fn start(page: &'static str) -> Self {
        Self::start_with(page, |_| {}, |hub, request| hub.accept(request, SessionConfig::new()))
    }

    pub(crate) fn start_with(
        page: &'static str,
        configure: impl FnOnce(&mut BrokerConfig),
        accept: impl Fn(&Hub, &Request<Bytes>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(any, page, configure, accept)
    }

    /// Serves on a given port, as after a restart.
    pub(crate) fn start_at(
        address: SocketAddr,
        page: &'static str,
        configure: impl FnOnce(&mut BrokerConfig),
        accept: impl Fn(&Hub, &Request<Bytes>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (head, set) = (ResponseHead::new(), |server| server);
        Self::start_serving(address, page, configure, head, set, accept)
    }

    /// Serves by a server of which something is set, and with a head that the streams have.
    pub(crate) fn start_serving(
        address: SocketAddr,
        page: &'static str,
        configure: impl FnOnce(&mut BrokerConfig),
        head: ResponseHead,
        set: impl FnOnce(Server<TokioRuntime>) -> Server<TokioRuntime>,
        accept: impl Fn(&Hub, &Request<Bytes>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = listen(address);
        let address = listener.local_addr().expect("it is bound");
        let epoch = Epoch(LIFE.fetch_add(1, Ordering::Relaxed));
        let mut config = BrokerConfig::new(epoch);
        config.reconnect.retry = Some(std::time::Duration::from_millis(200));
        configure(&mut config);
        let builder = HubBuilder::new(config).with_response_head(head);
        let hub = sansse_tokio::spawn_hub(builder).expect("the settings can hold");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let handler = {
            let (hub, asked) = (hub.clone(), asked.clone());
            let accept: Arc<Accept> = Arc::new(accept);
            move |request: Request<Bytes>| {
                let answer = answer(&hub, &asked, &*accept, page, &request);
                async { answer }
            }
        };
        let (shutdown, stopped) = oneshot::channel::<()>();
        let server = set(Server::new(TokioRuntime, hub.clone()));
        let counters = server.counters();
        let served = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.serve(TokioAcceptor::new(listener), stopped, handler).await;
        });
        Self { address, hub, counters, asked, shutdown: Some(shutdown), served }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn counters(&self) -> &ServerCounters {
        &self.counters
    }

    pub(crate) fn publish<S: Into<String>>(&self, texts: impl IntoIterator<Item = S>) {
        for text in texts {
            let event = Event::new(text.into());
            self.hub.publish(Audience::Everyone, &event).expect("the hub is open");
        }
    }

    /// How many streams are open.
    pub(crate) fn streams(&self) -> u64 {
        self.hub.counters().sessions
    }

    /// With which last event id each stream was asked for, in the header or in the query, oldest
    /// first.
    pub(crate) fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops as a process does that ends: streams break off. The port is free then.
    pub(crate) async fn stop(mut self) {
        self.hub.abort();
        drop(self.shutdown.take());
        let served = std::mem::replace(&mut self.served, tokio::spawn(async {}));
        served.await.expect("the server does not panic");
    }
}

/// A port that was in use a moment ago can be taken again.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("descriptors are left");
    socket.set_reuseaddr(true).expect("it is a TCP socket");
    socket.bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket.listen(64).expect("it is bound")
}

fn answer(
    hub: &Hub,
    asked: &Mutex<Vec<Option<String>>>,
    accept: &Accept,
    page: &'static str,
    request: &Request<Bytes>,
) -> Answer {
    match request.uri().path() {
        "/" => file("text/html; charset=utf-8", page).into(),
        "/shared-event-source.js" => file("text/javascript; charset=utf-8", SHARED).into(),
        "/events" => {
            let header = request.headers().get("last-event-id");
            let header = header.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
            let query = request.uri().query().unwrap_or_default();
            let query = url::form_urlencoded::parse(query.as_bytes());
            let query = query.filter(|(name, _)| name == "lastEventId").map(|(_, id)| id.into());
            let id = header.or(query.last());
            asked.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            accept(hub, request)
        }
        _ => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response.into()
        }
    }
}

fn file(content_type: &'static str, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

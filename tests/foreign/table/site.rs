//! A site of our server that does as a situation has it: it serves a client's page, its scripts and
//! one stream, and can answer otherwise, be stopped, and be started again.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use sansse::broker::{Audience, BrokerConfig, ClientId, Drain, Epoch, SessionConfig, SessionId};
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::Server;
use sansse::{Event, Hub, event_type, topic_name};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::program::installed;

const SAY: &str = include_str!("pages/say.js");

/// For epochs that no other hub of this process has.
static LIFE: AtomicU64 = AtomicU64::new(1);

/// How a client takes a text that is published.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// As a message of no type.
    Message,
    /// As a signal of Datastar.
    Signal,
}

/// What a client gets that asks for the stream, in place of one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instead {
    /// The stream of a refusal for now, as of a hub that is full or closed.
    Refusal,
    /// The status 204.
    NoContent,
    /// The status 503, with `Retry-After`.
    Unavailable,
    /// An event that says that it is over, of the type `done`.
    Done,
}

/// A request for the stream.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    /// The same in milliseconds, as the clients' own clocks have it.
    pub(crate) clock: u128,
    pub(crate) last_event_id: Option<String>,
}

/// Dropping it stops it.
pub(crate) struct Site {
    address: SocketAddr,
    form: Form,
    shared: Arc<Shared>,
    serving: Option<Serving>,
}

struct Serving {
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

struct Shared {
    page: String,
    hub: Mutex<Hub>,
    /// The newest session.
    session: Mutex<Option<SessionId>>,
    closed: Hub,
    instead: Mutex<Option<Instead>>,
    asked: Mutex<Vec<Asked>>,
}

impl Site {
    /// Serves on a free port. Its streams begin with this reconnection time.
    pub(crate) fn start(page: &str, form: Form, retry: Duration) -> Self {
        let closed = hub(retry);
        closed.close();
        let shared = Shared {
            page: page.to_owned(),
            hub: Mutex::new(hub(retry)),
            session: Mutex::new(None),
            closed,
            instead: Mutex::new(None),
            asked: Mutex::new(Vec::new()),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut site = Self { address, form, shared: Arc::new(shared), serving: None };
        site.serve();
        site
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests for the stream so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Whether a stream is open.
    pub(crate) fn is_read(&self) -> bool {
        self.hub().counters().sessions > 0
    }

    pub(crate) fn publish(&self, text: &str) {
        let event = match self.form {
            Form::Message => Event::new(text.to_owned()),
            Form::Signal => Event::new(format!("signals {{\"text\": \"{text}\"}}"))
                .with_type(event_type!("datastar-patch-signals")),
        };
        self.hub().publish(Audience::Everyone, &event).expect("the hub is open");
    }

    /// Ends the stream in good order.
    pub(crate) fn end(&self) {
        let session = lock(&self.shared.session).expect("the client had a stream");
        assert!(self.hub().close_session(session), "it was open");
    }

    /// Cuts the stream off.
    pub(crate) fn cut(&self) {
        assert_eq!(self.hub().revoke(&reader()), Ok(1), "the client had one stream");
    }

    /// Lets the stream go as before a restart. Another hub takes over at once.
    pub(crate) fn drain(&self, retry: Duration) {
        let before = self.replace(hub(retry));
        let drain = Drain::new(Duration::ZERO).with_retry(retry, Duration::ZERO);
        before.drain(drain).expect("for the first time");
    }

    /// Serves by a hub whose streams begin with this reconnection time.
    pub(crate) fn begin_anew(&self, retry: Duration) {
        self.replace(hub(retry));
    }

    /// Answers otherwise from now on, or again by streams.
    pub(crate) fn answer(&self, instead: Option<Instead>) {
        *lock(&self.shared.instead) = instead;
    }

    /// Stops as a process does that ends. The port is free then.
    pub(crate) async fn stop(&mut self) {
        self.hub().abort();
        let Serving { shutdown, task } = self.serving.take().expect("it serves");
        drop(shutdown);
        task.await.expect("the server does not panic");
    }

    /// Begins another life at the same address.
    pub(crate) fn restart(&mut self, retry: Duration) {
        self.begin_anew(retry);
        self.serve();
    }

    fn hub(&self) -> Hub {
        lock(&self.shared.hub).clone()
    }

    fn replace(&self, next: Hub) -> Hub {
        std::mem::replace(&mut *lock(&self.shared.hub), next)
    }

    fn serve(&mut self) {
        let listener = listen(self.address);
        self.address = listener.local_addr().expect("it is bound");
        let shared = Arc::clone(&self.shared);
        let handler = move |request: Request<Bytes>| std::future::ready(shared.answer(&request));
        let (shutdown, stopped) = oneshot::channel();
        let server = Server::new(TokioRuntime, self.hub());
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.serve(TokioAcceptor::new(listener), stopped, handler).await;
        });
        self.serving = Some(Serving { shutdown, task });
    }
}

impl Shared {
    fn answer(&self, request: &Request<Bytes>) -> Answer {
        let path = request.uri().path();
        match path {
            "/" => file("text/html; charset=utf-8", self.page.clone().into()).into(),
            "/say.js" => file(JAVASCRIPT, Bytes::from_static(SAY.as_bytes())).into(),
            "/events" => self.stream(request),
            _ => script(path).into(),
        }
    }

    fn stream(&self, request: &Request<Bytes>) -> Answer {
        let id = request.headers().get("last-event-id");
        let last_event_id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let (at, clock) = (Instant::now(), clock.as_millis());
        lock(&self.asked).push(Asked { at, clock, last_event_id });
        let mut config = SessionConfig::new().with_client(reader());
        let hub = match *lock(&self.instead) {
            None => lock(&self.hub).clone(),
            Some(Instead::Done) => {
                let done = Event::new("").with_type(event_type!("done"));
                config = config.topics_only().with_topic(topic_name!("over"));
                config = config.with_event_when_over(done);
                let hub = lock(&self.hub).clone();
                hub.end_topic(&topic_name!("over")).expect("the hub is open");
                hub
            }
            Some(Instead::Refusal) => self.closed.clone(),
            Some(Instead::NoContent) => return status_alone(StatusCode::NO_CONTENT).into(),
            Some(Instead::Unavailable) => {
                let mut response = status_alone(StatusCode::SERVICE_UNAVAILABLE);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return response.into();
            }
        };
        let answer = hub.accept(request, config);
        if let Answer::Stream(_, session) = &answer {
            *lock(&self.session) = Some(session.id());
        }
        answer
    }
}

fn reader() -> ClientId {
    ClientId::new("reader").expect("it is valid")
}

fn hub(retry: Duration) -> Hub {
    let mut config = BrokerConfig::new(Epoch(LIFE.fetch_add(1, Ordering::Relaxed)));
    config.reconnect.retry = Some(retry);
    config.reconnect.retry_after = Duration::from_secs(1);
    sansse_tokio::spawn_hub(HubBuilder::new(config)).expect("the settings can hold")
}

/// A port that was in use a moment ago can be taken again.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("descriptors are left");
    socket.set_reuseaddr(true).expect("it is a TCP socket");
    socket.bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket.listen(64).expect("it is bound")
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A script of a package, by its path where the packages are. Modules name each other without the
/// ending that their files have.
fn script(path: &str) -> Response<Bytes> {
    let mut relative = Path::new(path.trim_start_matches('/')).to_owned();
    assert!(relative.components().all(|part| matches!(part, Component::Normal(_))), "{path}");
    let rest = relative.strip_prefix("node").map(Path::to_owned);
    relative = rest.map_or(relative, |rest| Path::new("node/node_modules").join(rest));
    if relative.extension() != Some(OsStr::new("js")) {
        relative.as_mut_os_string().push(".js");
    }
    match std::fs::read(installed().join(relative)) {
        Ok(text) => file(JAVASCRIPT, text.into()),
        Err(_) => status_alone(StatusCode::NOT_FOUND),
    }
}

fn file(content_type: &'static str, text: Bytes) -> Response<Bytes> {
    let mut response = Response::new(text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn status_alone(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

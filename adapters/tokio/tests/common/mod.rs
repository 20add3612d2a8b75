//! What the tests of the server share: a server on a free port, and a client that sees bytes.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    dead_code,
    reason = "helpers of tests fail by it, and not every test uses all"
)]

pub(crate) mod child;

use bytes::Bytes;
use http::{Request, Response};
use sansse::Hub;
use sansse::broker::{BrokerConfig, BrokerEvent, EndReason, Epoch, SessionConfig, SessionId};
use sansse::http::ResponseHead;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::{ServerCounters, ServerCountersSnapshot};
use sansse_tokio::{TokioAcceptor, TokioRuntime, spawn_hub};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub(crate) type Server = sansse::serve::Server<TokioRuntime>;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) counters: ServerCounters,
    events: Arc<Mutex<Vec<BrokerEvent>>>,
    peers: Arc<Mutex<Vec<Option<SocketAddr>>>>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

pub(crate) fn config() -> BrokerConfig {
    BrokerConfig::new(Epoch(0xbeef))
}

/// A server with the defaults.
pub(crate) async fn start() -> Running {
    start_with(config(), |server| server).await
}

/// A server of which some things are set.
pub(crate) async fn start_with(
    config: BrokerConfig,
    set: impl FnOnce(Server) -> Server,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    start_on(listener, config, set)
}

pub(crate) fn start_on(
    listener: TcpListener,
    config: BrokerConfig,
    set: impl FnOnce(Server) -> Server,
) -> Running {
    let address = listener.local_addr().unwrap();
    start_accepting(TokioAcceptor::new(listener), address, config, set)
}

/// A server whose streams have this head.
pub(crate) async fn start_with_head(
    head: ResponseHead,
    set: impl FnOnce(Server) -> Server,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    start_built(TokioAcceptor::new(listener), address, config(), head, set)
}

pub(crate) fn start_accepting(
    acceptor: TokioAcceptor,
    address: SocketAddr,
    config: BrokerConfig,
    set: impl FnOnce(Server) -> Server,
) -> Running {
    start_built(acceptor, address, config, ResponseHead::new(), set)
}

fn start_built(
    acceptor: TokioAcceptor,
    address: SocketAddr,
    config: BrokerConfig,
    head: ResponseHead,
    set: impl FnOnce(Server) -> Server,
) -> Running {
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let builder = HubBuilder::new(config)
        .with_response_head(head)
        .on_event(move |_, event| heard.lock().unwrap().push(event));
    let hub = spawn_hub(builder).unwrap();
    let server = set(Server::new(TokioRuntime, hub.clone()));
    let counters = server.counters();
    let (shutdown, signal) = oneshot::channel();
    let streams = hub.clone();
    let peers = Arc::new(Mutex::new(Vec::new()));
    let seen = peers.clone();
    let handler = move |request: Request<Bytes>| {
        if request.uri().path() == "/peer" {
            seen.lock().unwrap().push(request.extensions().get().copied());
        }
        route(streams.clone(), request)
    };
    let task = tokio::spawn(server.serve(acceptor, async move { drop(signal.await) }, handler));
    Running { address, hub, counters, events, peers, shutdown: Some(shutdown), task }
}

/// The application: a stream, a page, an echo, and some that behave badly.
fn route(hub: Hub, request: Request<Bytes>) -> impl Future<Output = Answer> + Send {
    assert_ne!(request.uri().path(), "/panic-at-once", "as it was asked to");
    async move {
        match request.uri().path() {
            "/events" => hub.accept(&request, SessionConfig::new()),
            "/unasked" => {
                let session = hub.open(SessionConfig::new()).unwrap();
                Answer::Stream(ResponseHead::new().response(request.headers()), session)
            }
            "/told" => {
                let session = SessionConfig::new().with_notices(Some(sansse::event_type!("about")));
                hub.accept(&request, session)
            }
            "/echo" => Response::new(request.into_body()).into(),
            "/large" => Response::new(Bytes::from(vec![b'x'; 8 << 20])).into(),
            "/slow" => {
                sleep(Duration::from_millis(300)).await;
                Response::new(Bytes::from_static(b"late")).into()
            }
            "/never" => std::future::pending().await,
            "/panic" => panic!("as it was asked to"),
            _ => Response::new(Bytes::from_static(b"page")).into(),
        }
    }
}

impl Running {
    pub(crate) async fn connect(&self) -> Client {
        let socket = timeout(PATIENCE, TcpStream::connect(self.address)).await.unwrap().unwrap();
        socket.set_nodelay(true).unwrap();
        Client { socket, received: Vec::new(), taken: 0 }
    }

    /// A client whose system takes little before it has read.
    pub(crate) async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let socket = socket.connect(self.address).await.unwrap();
        Client { socket, received: Vec::new(), taken: 0 }
    }

    /// A client that has sent a request for `path` of its own.
    pub(crate) async fn get(&self, path: &str) -> Client {
        let mut client = self.connect().await;
        client.send(request(path)).await;
        client
    }

    /// A client that has an event stream, from its opening frame on.
    pub(crate) async fn subscribe(&self) -> Client {
        let mut client = self.get("/events").await;
        client.read_stream_head().await;
        client.expect(OPENING).await;
        client
    }

    pub(crate) async fn drop_accept_loop(&mut self) {
        self.task.abort();
        assert!((&mut self.task).await.is_err());
    }

    /// Begins the shutdown.
    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has returned.
    pub(crate) async fn over(self) {
        timeout(PATIENCE, self.task).await.expect("the server returns").unwrap();
    }

    /// Ends the server without a shutdown.
    pub(crate) async fn drop_server(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Waits until what is counted is as wanted.
    pub(crate) async fn counted(&self, wanted: impl Fn(&ServerCountersSnapshot) -> bool) {
        until(
            || wanted(&self.counters.snapshot()),
            || format!("counted: {:?}", self.counters.snapshot()),
        )
        .await;
    }

    /// Waits until as many sessions have ended as are given, and compares the reasons.
    pub(crate) async fn ended(&self, wanted: &[EndReason]) {
        let ends = || self.ends();
        until(|| ends().len() >= wanted.len(), || format!("ended: {:?}", ends())).await;
        assert_eq!(ends(), wanted);
    }

    /// Why sessions have ended so far.
    pub(crate) fn ends(&self) -> Vec<EndReason> {
        let end = |event: &BrokerEvent| match event {
            BrokerEvent::SessionEnded { reason, .. } => Some(*reason),
            _ => None,
        };
        self.events.lock().unwrap().iter().filter_map(end).collect()
    }

    /// The sessions that were opened so far.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        let opened = |event: &BrokerEvent| match event {
            BrokerEvent::SessionOpened { session, .. } => Some(*session),
            _ => None,
        };
        self.events.lock().unwrap().iter().filter_map(opened).collect()
    }

    /// From where `/peer` was asked for.
    pub(crate) fn peers(&self) -> Vec<Option<SocketAddr>> {
        self.peers.lock().unwrap().clone()
    }

    /// What happened so far.
    pub(crate) fn events(&self) -> Vec<BrokerEvent> {
        self.events.lock().unwrap().clone()
    }
}

/// Waits for a condition of another task.
pub(crate) async fn until(condition: impl Fn() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it never comes; {}", state());
        sleep(Duration::from_millis(2)).await;
    }
}

/// The first frame of a stream.
pub(crate) const OPENING_FRAME: &str = "retry: 3000\nid: beef-0\nevent: sansse-notice\n\
    data: {\"stream\":\"live\",\"replayed\":0,\"lost\":0,\"reason\":null}\n\n";

/// The same as a chunk.
pub(crate) const OPENING: &str = "69\r\nretry: 3000\nid: beef-0\nevent: sansse-notice\n\
    data: {\"stream\":\"live\",\"replayed\":0,\"lost\":0,\"reason\":null}\n\n\r\n";

pub(crate) const LAST_CHUNK: &str = "0\r\n\r\n";

/// A frame as it stands on the wire.
pub(crate) fn chunk(frame: &str) -> String {
    format!("{:x}\r\n{frame}\r\n", frame.len())
}

pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A client that has its own idea of nothing: it sends and sees bytes.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
    taken: usize,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await.unwrap().unwrap();
    }

    /// The next bytes, which must be these.
    pub(crate) async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let deadline = Instant::now() + PATIENCE;
        let expected = bytes.as_ref();
        while self.rest().len() < expected.len() {
            let is_prefix = expected.starts_with(self.rest());
            assert!(is_prefix && self.read_some(deadline).await, "{:?}", text(self.rest()));
        }
        assert_eq!(text(&self.rest()[..expected.len()]), text(expected));
        self.taken += expected.len();
    }

    /// The next bytes up to and with `end`.
    pub(crate) async fn read_through(&mut self, end: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.rest().windows(end.len()).position(|bytes| bytes == end.as_bytes());
            if let Some(start) = found {
                let found = text(&self.rest()[..start + end.len()]);
                self.taken += found.len();
                return found;
            }
            assert!(self.read_some(deadline).await, "no {end:?} in {:?}", text(self.rest()));
        }
    }

    /// The head of an answer, without the body.
    pub(crate) async fn read_head(&mut self) -> String {
        self.read_through("\r\n\r\n").await
    }

    /// The head of an event stream.
    pub(crate) async fn read_stream_head(&mut self) -> String {
        let head = self.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
        head
    }

    /// A whole answer with a length: its status line, and its body.
    pub(crate) async fn read_answer(&mut self) -> (String, String) {
        let deadline = Instant::now() + PATIENCE;
        let head = self.read_head().await;
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while self.rest().len() < length {
            assert!(self.read_some(deadline).await, "{head}");
        }
        let body = text(&self.rest()[..length]);
        self.taken += length;
        (head, body)
    }

    /// What the body is of an answer that must have this status.
    pub(crate) async fn answered(&mut self, status: &str) -> String {
        let (head, body) = self.read_answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}{body}");
        body
    }

    /// All that comes until the server has ended its side.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.read_some(deadline).await {}
        let rest = text(self.rest());
        self.taken = self.received.len();
        rest
    }

    /// Nothing comes for some time.
    pub(crate) async fn hears_nothing(&mut self) {
        assert_eq!(text(self.rest()), "");
        let mut byte = [0];
        let read = timeout(Duration::from_millis(50), self.socket.read(&mut byte)).await;
        assert!(read.is_err(), "{read:?}");
    }

    /// Whether more came; not so at the end of the connection, or where it is reset.
    async fn read_some(&mut self, deadline: Instant) -> bool {
        let mut buffer = vec![0; 64 << 10];
        let read = timeout_at(deadline, self.socket.read(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing comes after {:?}", text(self.rest())));
        let length = read.unwrap_or(0);
        self.received.extend_from_slice(&buffer[..length]);
        length > 0
    }

    /// Whether nothing is left of what was read.
    pub(crate) fn is_read(&self) -> bool {
        self.rest().is_empty()
    }

    fn rest(&self) -> &[u8] {
        &self.received[self.taken..]
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value of a header in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The frames of a chunked event stream, and whether it has ended in good order.
pub(crate) fn dechunk(mut body: &str) -> (String, bool) {
    let mut stream = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            assert_eq!(rest, "\r\n");
            return (stream, true);
        }
        if rest.len() < size + 2 {
            break;
        }
        stream.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap();
    }
    (stream, false)
}

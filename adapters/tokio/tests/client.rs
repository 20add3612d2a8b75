//! Clients over real sockets.

mod common;

use bytes::Bytes;
use common::PATIENCE;
use http::Request;
use sansse::broker::{Audience, BrokerEvent, SessionConfig};
use sansse::client::{ClientConfig, ClientError, CloseReason, Timeout};
use sansse::feed::{FeedEvent, Http1, Subscription};
use sansse::hub::HubBuilder;
use sansse::net::{FailureKind, connect_any};
use sansse::{Event, EventSource, Feed, Hub, SourceEvent};
use sansse_tokio::{
    DefaultConnector, TokioConnector, TokioRuntime, connect_with, serve, spawn_hub,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

type Source = EventSource<Http1<DefaultConnector<TokioConnector>>>;

fn source_of(url: String) -> Source {
    let mut config = ClientConfig::new(7);
    config.policy.reconnection.initial = Duration::from_millis(20);
    config.policy.reconnection.floor = Duration::from_millis(20);
    config.policy.reconnection.max_backoff = Some(Duration::from_millis(40));
    connect_with(Request::get(url).body(Bytes::new()).unwrap(), config)
}

fn source(address: SocketAddr) -> Source {
    source_of(format!("http://{address}/events"))
}

async fn next(source: &mut Source) -> SourceEvent {
    timeout(PATIENCE, source.next()).await.expect("something happens").expect("it goes on")
}

async fn next_open(source: &mut Source) {
    while !matches!(next(source).await, SourceEvent::Open { .. }) {}
}

async fn next_data(source: &mut Source) -> String {
    loop {
        match next(source).await {
            SourceEvent::Message(message) => return message.data,
            SourceEvent::Closed(reason) => panic!("{reason}"),
            _ => {}
        }
    }
}

async fn next_loss(source: &mut Source) -> ClientError {
    loop {
        match next(source).await {
            SourceEvent::Retrying { error, .. } => return error,
            SourceEvent::Closed(reason) => panic!("{reason}"),
            _ => {}
        }
    }
}

/// The data of a feed's next message, and how often the connection was lost before it.
async fn next_of_feed(reader: &mut Subscription) -> (String, u32) {
    let mut losses = 0;
    loop {
        match timeout(PATIENCE, reader.next()).await.expect("something comes").unwrap() {
            FeedEvent::Message(message) => return (message.data.clone(), losses),
            FeedEvent::Open(_) => {}
            FeedEvent::Retrying { .. } => losses += 1,
            told => panic!("{told}"),
        }
    }
}

/// On the port of one that was there before.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

fn serving(hub: &Hub, listener: TcpListener) -> JoinHandle<()> {
    let streams = hub.clone();
    tokio::spawn(serve(listener, hub.clone(), move |request: Request<Bytes>| {
        let answer = streams.accept(&request, SessionConfig::new());
        std::future::ready(answer)
    }))
}

/// A server that can be stopped with all its connections, while the hub goes on.
struct Stoppable(tokio::runtime::Runtime);

impl Stoppable {
    fn new(hub: &Hub, listener: TcpListener) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        {
            let _entered = runtime.enter();
            drop(serving(hub, listener));
        }
        Self(runtime)
    }

    async fn stop(self) {
        tokio::task::spawn_blocking(move || drop(self.0)).await.unwrap();
    }
}

fn hub() -> Hub {
    spawn_hub(HubBuilder::new(common::config())).unwrap()
}

fn say(hub: &Hub, number: usize) {
    hub.publish(Audience::Everyone, &Event::new(number.to_string())).unwrap();
}

/// A path between client and server that can be cut.
async fn relay(listener: TcpListener, server: SocketAddr) {
    let (mut near, _) = listener.accept().await.unwrap();
    let mut far = TcpStream::connect(server).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}

#[tokio::test]
async fn messages_arrive_over_ipv4_ipv6_and_a_name() {
    for (bind, host) in
        [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("127.0.0.1:0", "localhost")]
    {
        let hub = hub();
        let listener = TcpListener::bind(bind).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = serving(&hub, listener);
        let mut source = source_of(format!("http://{host}:{port}/events"));
        next_open(&mut source).await;
        for number in 0..3 {
            say(&hub, number);
            assert_eq!(next_data(&mut source).await, number.to_string());
        }
        server.abort();
    }
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_when_the_way_to_the_server_is_cut_again_and_again() {
    let hub = hub();
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = inner.local_addr().unwrap();
    let serving = serving(&hub, inner);
    let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = outer.local_addr().unwrap();
    let mut way = tokio::spawn(relay(outer, server));
    let mut source = source(address);
    next_open(&mut source).await;
    let mut published = 0;
    for _ in 0..5 {
        say(&hub, published);
        assert_eq!(next_data(&mut source).await, published.to_string());
        way.abort();
        let _ = way.await;
        next_loss(&mut source).await;
        for missed in 1..=3 {
            say(&hub, published + missed);
        }
        way = tokio::spawn(relay(listen(address), server));
        for missed in 1..=3 {
            assert_eq!(next_data(&mut source).await, (published + missed).to_string());
        }
        published += 4;
    }
    serving.abort();
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_when_the_server_is_restarted_on_its_port() {
    let hub = hub();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Stoppable::new(&hub, listener);
    let mut source = source(address);
    next_open(&mut source).await;
    for round in 0..3 {
        say(&hub, 10 * round);
        assert_eq!(next_data(&mut source).await, (10 * round).to_string());
        server.stop().await;
        next_loss(&mut source).await;
        for missed in 1..=3 {
            say(&hub, 10 * round + missed);
        }
        server = Stoppable::new(&hub, listen(address));
        for missed in 1..=3 {
            assert_eq!(next_data(&mut source).await, (10 * round + missed).to_string());
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_feed_reads_on_through_a_restart_and_ends_with_its_handles() {
    let (opened, mut sessions) = tokio::sync::mpsc::unbounded_channel();
    let builder = HubBuilder::new(common::config()).on_event(move |_, event| {
        if let BrokerEvent::SessionOpened { .. } = event {
            let _ = opened.send(());
        }
    });
    let hub = spawn_hub(builder).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Stoppable::new(&hub, listener);
    let (feed, driver) = Feed::new(source(address));
    let driver = tokio::spawn(driver);
    let (mut first, mut second) = (feed.subscribe(), feed.subscribe());
    timeout(PATIENCE, sessions.recv()).await.expect("it connects").unwrap();
    say(&hub, 0);
    for reader in [&mut first, &mut second] {
        assert_eq!(next_of_feed(reader).await, ("0".to_owned(), 0));
    }
    server.stop().await;
    say(&hub, 1);
    let server = Stoppable::new(&hub, listen(address));
    for reader in [&mut first, &mut second] {
        let (data, losses) = next_of_feed(reader).await;
        assert_eq!(data, "1");
        assert!(losses > 0);
    }
    drop((feed, first, second));
    timeout(PATIENCE, driver).await.expect("it ends").unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_until_the_server_is_there() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut source = source(address);
    for _ in 0..2 {
        let error = next_loss(&mut source).await;
        assert!(
            matches!(&error, ClientError::Transport(failure) if failure.kind() == FailureKind::Connect),
            "{error}"
        );
    }
    let hub = hub();
    let server = serving(&hub, socket.listen(64).unwrap());
    next_open(&mut source).await;
    server.abort();
}

/// Whether or not this crate has TLS: what is plain stays plain.
#[tokio::test]
async fn the_plain_connector_refuses_https_and_that_ends_it() {
    let request = Request::get("https://127.0.0.1:1/events").body(Bytes::new()).unwrap();
    let transport = Http1::new(TokioConnector);
    let mut source = EventSource::new(transport, TokioRuntime, request, ClientConfig::new(7));
    let event = timeout(PATIENCE, source.next()).await.unwrap().unwrap();
    let SourceEvent::Closed(CloseReason::Failed(ClientError::Transport(failure))) = &event else {
        panic!("{event:?}");
    };
    assert_eq!(failure.kind(), FailureKind::Unsupported);
    assert_eq!(source.next().await, None);
}

/// An address whose system lets connections wait for ever, since nobody accepts those before them;
/// and what keeps it so.
async fn black_hole() -> (SocketAddr, impl Sized) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 100, "the system takes any number");
    }
    (address, (listener, waiting))
}

#[tokio::test]
async fn a_server_that_never_accepts_meets_the_time_for_a_response_and_is_tried_again() {
    let (address, _kept) = black_hole().await;
    let mut config = ClientConfig::new(7);
    config.policy.timeouts.response = Some(Duration::from_millis(200));
    config.policy.reconnection.initial = Duration::from_millis(20);
    config.policy.reconnection.max_backoff = None;
    let request = Request::get(format!("http://{address}/")).body(Bytes::new()).unwrap();
    let mut source = connect_with(request, config);
    for _ in 0..2 {
        let begin = tokio::time::Instant::now();
        assert_eq!(next_loss(&mut source).await, ClientError::Timeout(Timeout::Response));
        assert!(begin.elapsed() >= Duration::from_millis(200));
    }
}

#[tokio::test]
async fn addresses_that_hang_or_refuse_are_passed_over() {
    let (hanging, _kept) = black_hole().await;
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    for addresses in [[hanging, refusing, good], [refusing, hanging, good]] {
        let connecting = connect_any(&TokioRuntime, addresses, |address| async move {
            let stream = TcpStream::connect(address).await;
            stream.map_err(|_| sansse::net::Failure::new(FailureKind::Connect))
        });
        let stream = timeout(PATIENCE, connecting).await.expect("it does not hang").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    }
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_is_heard_while_that_is_being_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_exact(&mut [0; 100]).await.unwrap();
        let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 9\r\n\r\ntoo large";
        socket.write_all(answer).await.unwrap();
        // It neither reads on nor closes.
        std::future::pending::<()>().await;
    });
    // More than the system holds for a connection.
    let body = Bytes::from(vec![b'x'; 64 << 20]);
    let request = Request::post(format!("http://{address}/")).body(body).unwrap();
    let mut source = connect_with(request, ClientConfig::new(7));
    let event = next(&mut source).await;
    let SourceEvent::Closed(CloseReason::Failed(ClientError::Status(answer))) = &event else {
        panic!("{event:?}");
    };
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (413, &b"too large"[..]));
    server.abort();
}

#[tokio::test]
async fn a_redirect_leads_to_the_stream_and_is_asked_for_again_after_a_loss() {
    let hub = hub();
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut target = Stoppable::new(&hub, listener);
    let redirecting = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let first = redirecting.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let redirect = tokio::spawn(serve(redirecting, self::hub(), move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let location = format!("http://{address}/events");
        let answer = http::Response::builder().status(307).header("location", location);
        std::future::ready(answer.body(Bytes::new()).unwrap())
    }));
    let mut source = source(first);
    let event = next(&mut source).await;
    let SourceEvent::Open(head) = &event else { panic!("{event:?}") };
    assert_eq!(head.url, *format!("http://{address}/events"));
    say(&hub, 0);
    assert_eq!(next_data(&mut source).await, "0");
    target.stop().await;
    next_loss(&mut source).await;
    say(&hub, 1);
    target = Stoppable::new(&hub, listen(address));
    assert_eq!(next_data(&mut source).await, "1");
    assert!(asked.load(Ordering::Relaxed) >= 2);
    target.stop().await;
    redirect.abort();
}

/// What comes of a server that answers each request with these bytes and closes.
async fn answered(bytes: &'static [u8]) -> (Vec<SourceEvent>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut source = source(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if socket.read(&mut byte).await.unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            let _ = socket.write_all(bytes).await;
        }
    });
    let mut events = Vec::new();
    loop {
        events.push(next(&mut source).await);
        let retries =
            events.iter().filter(|event| matches!(event, SourceEvent::Retrying { .. })).count();
        if retries == 2 || matches!(events.last(), Some(SourceEvent::Closed(_))) {
            return (events, server);
        }
    }
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

#[tokio::test]
async fn an_answer_that_is_no_event_stream_ends_it_with_its_reason() {
    let html: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<hr>";
    let (events, server) = answered(html).await;
    let [SourceEvent::Closed(CloseReason::Failed(ClientError::ContentType(answer)))] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(&answer.body[..], b"<hr>");
    server.abort();

    let (events, server) = answered(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").await;
    assert!(
        matches!(
            &events[..],
            [SourceEvent::Closed(CloseReason::Failed(ClientError::Status(answer)))]
                if answer.status == 404
        ),
        "{events:?}"
    );
    server.abort();
}

#[tokio::test]
async fn a_broken_answer_is_a_typed_error_and_is_asked_for_again() {
    let chunked = |body: &str| -> &'static [u8] {
        format!("{HEAD}transfer-encoding: chunked\r\n\r\n{body}").leak().as_bytes()
    };
    let cases: [(&'static [u8], FailureKind); 5] = [
        (b"SSH-2.0-server\r\n", FailureKind::Protocol),
        (b"", FailureKind::Closed),
        (chunked("4\r\ndata: more than four\r\n"), FailureKind::Protocol),
        (chunked("fffffffffffffffff\r\ndata: a\r\n"), FailureKind::Protocol),
        (chunked("9\r\ndata: a\n\n\r\nb\r\ndata: \u{20ac}"), FailureKind::Truncated),
    ];
    for (bytes, kind) in cases {
        let (events, server) = answered(bytes).await;
        let errors: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                SourceEvent::Retrying { error: ClientError::Transport(failure), .. } => {
                    Some(failure.kind())
                }
                _ => None,
            })
            .collect();
        assert_eq!(errors, [kind; 2], "{events:?}");
        server.abort();
    }
}

#[tokio::test]
async fn a_close_within_a_character_is_the_end_of_the_stream_and_the_event_is_not_told() {
    let bytes = [HEAD.as_bytes(), b"\r\ndata: a\n\ndata: \xe2\x82"].concat().leak();
    let (events, server) = answered(bytes).await;
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            SourceEvent::Message(message) => Some(message.data.clone()),
            SourceEvent::Retrying { error, .. } => Some(error.to_string()),
            _ => None,
        })
        .collect();
    let end = ClientError::EndOfStream.to_string();
    assert_eq!(told, ["a", &end, "a", &end], "{events:?}");
    server.abort();
}

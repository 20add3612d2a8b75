//! Event streams by `https`, over real sockets.

mod common;

use common::foreign::{End, Foreign};
use common::{
    Authority, PATIENCE, Running, next, next_data, next_failure, next_loss, next_open, quick,
    source, source_with,
};
use sansse::broker::TopicName;
use sansse::client::{ClientError, CloseReason, RedirectError};
use sansse::net::FailureKind;
use sansse::{Event, RefusalReason, SourceEvent};
use sansse_tls::rustls::{self, HandshakeKind};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// On the port of one that was there before.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

/// A path between client and server that can be cut.
async fn relay(listener: TcpListener, server: SocketAddr) {
    let (mut near, _) = listener.accept().await.unwrap();
    let mut far = TcpStream::connect(server).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_when_the_way_to_the_server_is_cut_again_and_again() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = outer.local_addr().unwrap();
    let mut way = tokio::spawn(relay(outer, server.address));
    let mut source = source(&format!("https://{address}/events"), authority.client());
    next_open(&mut source).await;
    let mut published = 0;
    for _ in 0..5 {
        server.say(published.to_string());
        assert_eq!(next_data(&mut source).await, published.to_string());
        way.abort();
        let _ = way.await;
        next_loss(&mut source).await;
        for missed in 1..=3 {
            server.say((published + missed).to_string());
        }
        way = tokio::spawn(relay(listen(address), server.address));
        for missed in 1..=3 {
            assert_eq!(next_data(&mut source).await, (published + missed).to_string());
        }
        published += 4;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_events_arrive_whole_at_readers_that_are_late() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let mut sources: Vec<_> = (0..4).map(|_| source(&server.url(), authority.client())).collect();
    for source in &mut sources {
        next_open(source).await;
    }
    // More than the system holds for a connection.
    let events: Vec<_> = (b'a'..=b'p').map(|byte| char::from(byte).to_string()).collect();
    for event in &events {
        server.say(event.repeat(1 << 20));
    }
    for source in &mut sources {
        for event in &events {
            assert!(next_data(source).await == event.repeat(1 << 20), "{event}");
        }
    }
}

#[tokio::test]
async fn the_server_ends_a_stream_properly_that_is_complete() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let url = server.url().replace("/events", "/finite");
    let mut source = source(&url, authority.client());
    next_open(&mut source).await;
    let topic = TopicName::new("finite").unwrap();
    server.hub.publish(topic.clone(), &Event::new("last")).unwrap();
    server.hub.end_topic(&topic).unwrap();
    assert_eq!(next_data(&mut source).await, "last");
    assert_eq!(next_loss(&mut source).await, ClientError::EndOfStream);
}

#[tokio::test]
async fn a_stream_that_is_not_complete_ends_without_close_notify() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let mut source = source(&server.url(), authority.client());
    next_open(&mut source).await;
    server.say("last");
    server.hub.close();
    assert_eq!(next_data(&mut source).await, "last");
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), FailureKind::Truncated, "{failure}");
    assert!(failure.to_string().contains("close_notify"), "{failure}");
}

#[tokio::test]
async fn connections_that_are_too_many_are_told_so_by_https_too() {
    let authority = Authority::new();
    let one = Running::start_at("127.0.0.1:0", authority.server(), |server| {
        server.with_max_connections(1)
    });
    let server = one.await;
    let mut first = source(&server.url(), authority.client());
    next_open(&mut first).await;
    let mut second = source(&server.url(), authority.client());
    next_open(&mut second).await;
    let refused = ClientError::Refused(RefusalReason::Connections);
    assert_eq!(next_loss(&mut second).await, refused);
}

#[tokio::test]
async fn a_large_request_arrives_whole() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let body: bytes::Bytes = vec![b'x'; 900_000].into();
    let request = http::Request::post(format!("https://{}/echo", server.address));
    let transport = sansse::feed::Http1::new(sansse_tls::Tls::new(
        sansse_tokio::TokioConnector,
        authority.client(),
    ));
    let mut config = quick();
    config.max_error_body = 1 << 20;
    let runtime = sansse_tokio::TokioRuntime;
    let request = request.body(body.clone()).unwrap();
    let mut source = sansse::EventSource::new(transport, runtime, request, config);
    let error = next_loss(&mut source).await;
    let ClientError::ContentType(answer) = error else { panic!("{error}") };
    assert!(answer.body == body);
}

const ONE_EVENT: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    transfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n";

#[tokio::test]
async fn a_reconnect_resumes_the_session_instead_of_shaking_hands_anew() {
    let authority = Authority::new();
    let foreign = Foreign::start(authority.server(), ONE_EVENT, End::Proper).await;
    let mut source = source(&foreign.url(), authority.client());
    for _ in 0..3 {
        assert_eq!(next_data(&mut source).await, "a");
    }
    let kinds: Vec<_> = foreign.seen().into_iter().map(|seen| seen.handshake).collect();
    assert_eq!(kinds[0], Some(HandshakeKind::Full));
    assert_eq!(kinds[1..3], [Some(HandshakeKind::Resumed); 2]);
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let authority = Authority::new();
    let (chain, key) = authority.issue(common::HERE);
    let modern = sansse_tls::server_config(chain.as_bytes(), key.as_bytes()).unwrap();
    let old = rustls::ServerConfig::builder_with_provider(modern.crypto_provider().clone())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(modern.cert_resolver.clone());
    let foreign = Foreign::start(old.clone(), ONE_EVENT, End::Proper).await;
    let mut reader = source(&foreign.url(), authority.client());
    for _ in 0..2 {
        assert_eq!(next_data(&mut reader).await, "a");
    }
    let server = Running::start(old).await;
    let mut reader = source(&server.url(), authority.client());
    next_open(&mut reader).await;
    server.say("hello");
    assert_eq!(next_data(&mut reader).await, "hello");
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_followed_only_where_that_is_allowed() {
    let authority = Authority::new();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/plain", plain.local_addr().unwrap());
    let hub = sansse_tokio::hub();
    let streams = hub.clone();
    let serving = tokio::spawn(sansse_tokio::serve(plain, hub, move |request| {
        let request = streams.accept(&request, sansse::broker::SessionConfig::new());
        std::future::ready(request)
    }));
    let foreign = Foreign::start(authority.server(), redirect(&target), End::Proper).await;

    let mut strict = source(&foreign.url(), authority.client());
    let event = next(&mut strict).await;
    let SourceEvent::Closed(CloseReason::Failed(ClientError::Redirect(error, _))) = event else {
        panic!("{event:?}");
    };
    assert_eq!(error, RedirectError::Insecure);

    let mut config = quick();
    config.policy.redirects.allow_insecure = true;
    let mut lenient = source_with(&foreign.url(), authority.client(), config);
    let event = next(&mut lenient).await;
    assert!(matches!(&event, SourceEvent::Open(head) if head.url == *target), "{event:?}");
    serving.abort();
}

#[tokio::test]
async fn a_redirect_from_http_to_https_is_followed_by_the_same_client() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", plain.local_addr().unwrap());
    let answer = redirect(&server.url());
    let redirecting = tokio::spawn(async move {
        let (mut socket, _) = plain.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    let mut source = source(&url, authority.client());
    let event = timeout(PATIENCE, source.next()).await.unwrap().unwrap();
    assert!(matches!(&event, SourceEvent::Open(head) if head.url == *server.url()), "{event:?}");
    redirecting.await.unwrap();
}

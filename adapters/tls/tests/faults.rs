//! Peers that break off, stall, or speak something else.

mod common;

use common::foreign::{End, Foreign};
use common::{
    Authority, PATIENCE, Running, next_data, next_failure, next_loss, next_open, quick, source,
    source_with,
};
use sansse::client::{ClientError, Timeout};
use sansse::http1::ServerConnectionConfig;
use sansse::net::FailureKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_truncated_without_close_notify() {
    let authority = Authority::new();
    let answer = format!("{HEAD}\r\ndata: a\n\n");
    for end in [End::Proper, End::Cut] {
        let foreign = Foreign::start(authority.server(), answer.clone(), end).await;
        let mut source = source(&foreign.url(), authority.client());
        assert_eq!(next_data(&mut source).await, "a");
        match (end, next_loss(&mut source).await) {
            (End::Proper, ClientError::EndOfStream) => {}
            (End::Cut, ClientError::Transport(failure)) => {
                assert_eq!(failure.kind(), FailureKind::Truncated);
            }
            (end, error) => panic!("{end:?}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_body_that_says_itself_that_it_is_complete_needs_no_close_notify() {
    let authority = Authority::new();
    for framing in [
        "transfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n",
        "content-length: 9\r\n\r\ndata: a\n\n",
    ] {
        let answer = format!("{HEAD}{framing}");
        let foreign = Foreign::start(authority.server(), answer, End::Cut).await;
        let mut source = source(&foreign.url(), authority.client());
        assert_eq!(next_data(&mut source).await, "a");
        assert_eq!(next_loss(&mut source).await, ClientError::EndOfStream);
    }
}

#[tokio::test]
async fn a_chunked_body_that_breaks_off_is_truncated_with_and_without_close_notify() {
    let authority = Authority::new();
    let answer = format!("{HEAD}transfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n");
    for end in [End::Proper, End::Cut] {
        let foreign = Foreign::start(authority.server(), answer.clone(), end).await;
        let mut source = source(&foreign.url(), authority.client());
        assert_eq!(next_data(&mut source).await, "a");
        assert_eq!(next_failure(&mut source).await.kind(), FailureKind::Truncated);
    }
}

#[tokio::test]
async fn a_server_that_never_answers_the_request_has_closed_and_not_truncated() {
    let authority = Authority::new();
    for end in [End::Proper, End::Cut] {
        let foreign = Foreign::start(authority.server(), "", end).await;
        let mut source = source(&foreign.url(), authority.client());
        assert_eq!(next_failure(&mut source).await.kind(), FailureKind::Closed);
    }
}

#[tokio::test]
async fn tls_to_a_server_without_it_ends_the_client_and_says_so() {
    let hub = sansse_tokio::hub();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = |_| async { http::Response::new(bytes::Bytes::from_static(b"page")) };
    let serving = tokio::spawn(sansse_tokio::serve(listener, hub, page));
    let url = format!("https://{address}/events");
    let mut source = source(&url, Authority::new().client());
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), FailureKind::NotTls, "{failure}");
    assert!(failure.to_string().starts_with("the server speaks no TLS at this port"), "{failure}");
    assert_eq!(source.next().await, None);
    serving.abort();
}

#[tokio::test]
async fn a_request_without_tls_to_a_server_with_it_is_no_valid_http() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let url = format!("http://{}/events", server.address);
    let failure = next_failure(&mut source(&url, authority.client())).await;
    assert_eq!(failure.kind(), FailureKind::Protocol, "{failure}");
}

#[tokio::test]
async fn a_server_that_stalls_in_the_handshake_meets_the_time_for_a_response() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/events", listener.local_addr().unwrap());
    let mut config = quick();
    config.policy.timeouts.response = Some(Duration::from_millis(200));
    let mut source = source_with(&url, Authority::new().client(), config);
    let begin = Instant::now();
    let (error, accepted) = tokio::join!(next_loss(&mut source), listener.accept());
    assert_eq!(error, ClientError::Timeout(Timeout::Response));
    assert!(begin.elapsed() >= Duration::from_millis(200));
    // The connection was given up.
    let (mut socket, _) = accepted.unwrap();
    let mut hello = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut hello)).await.expect("it was closed").unwrap();
    assert_eq!(hello[0], 0x16, "a handshake had begun");
}

#[tokio::test]
async fn clients_that_stall_in_the_handshake_meet_the_time_for_a_head_and_hold_up_nobody() {
    let authority = Authority::new();
    let http = ServerConnectionConfig::default().with_head_time(Duration::from_millis(300));
    let server =
        Running::start_at("127.0.0.1:0", authority.server(), |server| server.with_http(http)).await;
    // One says nothing, one says the beginning of a `ClientHello`.
    let begin = Instant::now();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await.unwrap();

    let mut source = source(&server.url(), authority.client());
    next_open(&mut source).await;
    server.say("hello");
    assert_eq!(next_data(&mut source).await, "hello");

    for socket in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        // Closed or reset, but over.
        let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("it was closed");
        assert!(begin.elapsed() >= Duration::from_millis(300));
    }
    server.say("and on");
    assert_eq!(next_data(&mut source).await, "and on");
}

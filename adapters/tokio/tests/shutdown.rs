//! How a server ends: in good order, and no later than its time limit.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod common;

use common::{
    LAST_CHUNK, PATIENCE, Running, chunk, config, dechunk, header, request, start, start_with,
    until,
};
use sansse::broker::{Audience, EndReason};
use sansse::serve::Server;
use sansse::{Event, Hub};
use sansse_tokio::{TokioAcceptor, TokioRuntime};
use std::fmt::Write;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Long enough that a test which waits for it in vain fails by its patience.
const LONG: Duration = Duration::from_secs(60);

async fn start_patient() -> Running {
    start_with(config(), |server| server.with_shutdown_time(LONG)).await
}

async fn start_hasty() -> Running {
    let time = Duration::from_millis(300);
    start_with(config(), |server| server.with_shutdown_time(time)).await
}

#[tokio::test]
async fn a_server_without_connections_returns_at_once_and_closes_its_hub() {
    let mut server = start_patient().await;
    let (hub, address) = (server.hub.clone(), server.address);
    server.shut_down();
    server.over().await;
    assert!(hub.publish(Audience::Everyone, &Event::new("a")).is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn streams_get_what_was_published_and_then_their_end() {
    let mut server = start_patient().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(server.subscribe().await);
    }
    let mut expected = String::new();
    for number in 1..=100 {
        let text = "x".repeat(number * 10);
        server.hub.publish(Audience::Everyone, &Event::new(text.clone())).unwrap();
        write!(expected, "id: beef-{number}\ndata: {text}\n\n").unwrap();
    }
    server.shut_down();
    for client in &mut clients {
        let (stream, is_whole) = dechunk(&client.read_to_end().await);
        assert!(stream == expected && !is_whole, "it is to come back for more");
    }
    server.ended(&[EndReason::Shutdown; 10]).await;
    server.over().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered() {
    let mut server = start_patient().await;
    let mut client = server.get("/slow").await;
    server.counted(|counted| counted.requests == 1).await;
    server.shut_down();
    assert_eq!(client.answered("200 OK").await, "late");
    assert_eq!(client.read_to_end().await, "");
    drop(client);
    server.over().await;
}

#[tokio::test]
async fn a_request_that_is_still_coming_is_answered_as_the_last() {
    let mut server = start_patient().await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    let mut idle = server.get("/").await;
    assert_eq!(idle.answered("200 OK").await, "page");
    server.shut_down();
    assert_eq!(idle.read_to_end().await, "");
    drop(idle);
    client.send("st: a\r\n\r\n").await;
    let (head, body) = client.read_answer().await;
    assert_eq!((header(&head, "connection"), &*body), (Some("close"), "page"));
    assert_eq!(client.read_to_end().await, "");
    drop(client);
    server.over().await;
}

#[tokio::test]
async fn connections_that_are_idle_or_new_are_closed_at_once() {
    let mut server = start_patient().await;
    let mut idle = server.get("/").await;
    assert_eq!(idle.answered("200 OK").await, "page");
    let mut new = server.connect().await;
    server.counted(|counted| counted.open == 2).await;
    server.shut_down();
    assert_eq!(idle.read_to_end().await, "");
    assert_eq!(new.read_to_end().await, "");
    drop((idle, new));
    server.over().await;
}

#[tokio::test]
async fn a_stream_that_is_asked_for_during_the_shutdown_is_refused() {
    let mut server = start_patient().await;
    let mut client = server.connect().await;
    client.send("GET /events HTTP/1.1\r\nHo").await;
    let mut idle = server.get("/").await;
    assert_eq!(idle.answered("200 OK").await, "page");
    server.shut_down();
    assert_eq!(idle.read_to_end().await, "");
    client.send("st: a\r\n\r\n").await;
    let (head, body) = client.read_answer().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.starts_with(": the broker is closed\nretry: 5000\n"), "{body}");
    assert!(server.sessions().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_nothing_is_cut_off_when_the_time_is_over() {
    let mut server = start_hasty().await;
    let mut stalled = server.connect_narrow().await;
    stalled.send(request("/events")).await;
    server.counted(|counted| counted.streams == 1).await;
    let event = Event::new("x".repeat(1 << 20));
    for _ in 0..20 {
        server.hub.publish(Audience::Everyone, &event).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    server.shut_down();
    server.ended(&[EndReason::Aborted]).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    server.counted(|counted| counted.open == 0).await;
    let body = stalled.read_to_end().await;
    assert!(!body.ends_with(LAST_CHUNK), "it is not whole");
    server.over().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_takes_its_idle_connections_with_it() {
    let mut server = start().await;
    let mut idle = server.get("/").await;
    assert_eq!(idle.answered("200 OK").await, "page");
    let mut stream = server.subscribe().await;
    server.drop_server().await;
    assert_eq!(idle.read_to_end().await, "");
    // Streams belong to the hub, which goes on.
    server.hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    stream.expect(chunk("id: beef-1\ndata: a\n\n")).await;
}

#[tokio::test]
async fn a_handler_that_never_answers_is_cut_off_when_the_time_is_over() {
    let mut server = start_hasty().await;
    let mut client = server.get("/never").await;
    server.counted(|counted| counted.requests == 1).await;
    server.shut_down();
    assert_eq!(client.read_to_end().await, "");
    server.counted(|counted| counted.open == 0).await;
    server.over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_read_is_cut_off_when_the_time_is_over() {
    let mut server = start_hasty().await;
    let mut client = server.connect_narrow().await;
    client.send(request("/large")).await;
    server.counted(|counted| counted.requests == 1).await;
    server.shut_down();
    server.counted(|counted| counted.open == 0).await;
    assert!(client.read_to_end().await.len() < 8 << 20);
    server.over().await;
}

/// There is always something to read from it, and always something to answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_stops_asking_is_no_reason_to_stay() {
    let mut server = start_patient().await;
    let client = server.connect().await;
    let (mut read, mut write) = client.socket.into_split();
    let asks = tokio::spawn(async move {
        let requests = request("/").repeat(1000);
        while tokio::io::AsyncWriteExt::write_all(&mut write, requests.as_bytes()).await.is_ok() {}
    });
    let reads = tokio::spawn(async move {
        tokio::io::copy(&mut read, &mut tokio::io::sink()).await.unwrap_or_default()
    });
    server.counted(|counted| counted.requests > 5_000).await;
    server.shut_down();
    server.over().await;
    for task in [asks, tokio::spawn(async move { drop(reads.await) })] {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_shutdown_may_take_as_long_as_it_takes() {
    let mut server = start_with(config(), |server| server.with_shutdown_time(Duration::MAX)).await;
    let mut client = server.subscribe().await;
    server.shut_down();
    client.read_to_end().await;
    server.over().await;
}

#[tokio::test]
async fn a_server_on_two_ports_counts_and_ends_as_one() {
    let hub = sansse_tokio::hub();
    let server = Server::new(TokioRuntime, hub.clone()).with_shutdown_time(LONG);
    let (shutdown, signal) = watch::channel(false);
    let mut tasks = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut signal = signal.clone();
        let ends = async move { drop(signal.wait_for(|is_over| *is_over).await) };
        let streams: Hub = hub.clone();
        let handler = move |request: http::Request<bytes::Bytes>| {
            let answer = streams.accept(&request, sansse::broker::SessionConfig::new());
            async { answer }
        };
        tasks.push(tokio::spawn(server.clone().serve(TokioAcceptor::new(listener), ends, handler)));
        let client = TcpStream::connect(address).await.unwrap();
        client.try_write(request("/").as_bytes()).unwrap();
        clients.push(client);
    }
    let counted = || server.counters().snapshot();
    until(|| counted().streams == 2, || format!("{:?}", counted())).await;
    assert_eq!((counted().open, counted().accepted), (2, 2));
    shutdown.send(true).unwrap();
    for task in tasks {
        timeout(PATIENCE, task).await.expect("both return").unwrap();
    }
    assert_eq!(counted().open, 0);
}

#[tokio::test]
async fn dropping_the_accept_loop_ends_plain_connections_and_leaves_streams_open() {
    let mut server = start_patient().await;
    let mut idle = server.connect().await;
    let mut asks = server.get("/slow").await;
    let mut reads = server.subscribe().await;
    server.counted(|counted| counted.requests == 2).await;
    server.drop_accept_loop().await;
    assert_eq!(idle.read_to_end().await, "");
    let answer = asks.read_to_end().await;
    assert!(answer.ends_with("late"), "what was under way is answered: {answer}");
    assert!(TcpStream::connect(server.address).await.is_err());
    server.hub.publish(Audience::Everyone, &Event::new("still here")).unwrap();
    reads.expect(chunk("id: beef-1\ndata: still here\n\n")).await;
}

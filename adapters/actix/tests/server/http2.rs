//! HTTP/2, with plain hyper on the other side.

use super::{PATIENCE, routes, serve, until};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sansse::Event;
use sansse::broker::{Audience, Drain};
use sansse_actix::Streams;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

type Client = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn client(address: SocketAddr) -> Client {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn open(client: &mut Client) -> hyper::body::Incoming {
    let request = http::Request::get("http://a/events").body(Empty::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

/// Reads until this was there.
async fn wait_for(body: &mut hyper::body::Incoming, what: &str) {
    let mut text = String::new();
    let reading = async {
        while !text.contains(what) {
            let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&data).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
}

#[tokio::test]
async fn a_hundred_streams_share_a_connection() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut client = client(server.address).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(open(&mut client).await);
    }
    until("100 sessions", || hub.counters().sessions == 100).await;
    hub.publish(Audience::Everyone, &Event::new("hello")).unwrap();
    for stream in &mut streams {
        wait_for(stream, "data: hello\n").await;
    }
    // actix learns of it with what it sends next.
    streams.truncate(40);
    until("40 sessions", || {
        hub.publish(Audience::Everyone, &Event::new("who is there?")).unwrap();
        hub.counters().sessions == 40
    })
    .await;
}

#[tokio::test]
async fn a_cut_resets_the_stream_after_its_last_bytes_and_leaves_the_connection_alone() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut client = client(server.address).await;
    let (mut first, mut second) = (open(&mut client).await, open(&mut client).await);
    wait_for(&mut first, "sansse-notice").await;
    hub.drain(Drain::new(Duration::ZERO)).unwrap();
    for stream in [&mut first, &mut second] {
        wait_for(stream, "\"stream\":\"ending\"").await;
        let end = tokio::time::timeout(PATIENCE, stream.frame()).await.unwrap();
        assert!(end.expect("no end in good order").is_err());
    }
    // The connection itself goes on.
    let request = http::Request::put("http://a/events").body(Empty::new()).unwrap();
    assert_eq!(client.send_request(request).await.unwrap().status(), 405);
}

/// It answers no ping, which actix sends every 5 s.
#[tokio::test]
async fn a_peer_that_takes_nothing_of_a_connection_loses_it() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // GET, http, and then in letters `:path` and `:authority`.
    let head = b"\x82\x86\x04\x07/events\x01\x01a";
    let length = u8::try_from(head.len()).unwrap();
    let headers = [0, 0, length, 1, 5, 0, 0, 0, 1];
    let begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(&[&begin[..], &settings, &headers, head].concat()).await.unwrap();
    until("a session", || hub.counters().sessions == 1).await;
    until("no session", || {
        hub.publish(Audience::Everyone, &Event::new("x".repeat(60_000))).unwrap();
        hub.counters().sessions == 0
    })
    .await;
    drop(stream);
}

#[tokio::test]
async fn a_server_stops_in_time_though_connections_of_http_2_are_open() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut client = client(server.address).await;
    let mut stream = open(&mut client).await;
    wait_for(&mut stream, "sansse-notice").await;
    let time = server.stopped().await;
    assert!(time < Duration::from_secs(5), "{time:?}");
    wait_for(&mut stream, "\"stream\":\"ending\"").await;
    let end = tokio::time::timeout(PATIENCE, stream.frame()).await.unwrap();
    assert!(end.expect("no end in good order").is_err());
}

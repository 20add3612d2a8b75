//! `curl` at the end of a stream: it has an exit code for one that is not whole.

use bytes::Bytes;
use http::Request;
use sansse::broker::{
    Audience, BrokerConfig, ClientId, Drain, Epoch, LagPolicy, SessionConfig, StreamEnd, TopicName,
};
use sansse::hub::{Answer, HubBuilder};
use sansse::{Event, Hub};
use sansse_tokio::{TokioAcceptor, TokioRuntime, spawn_hub};
use std::future::{pending, ready};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What `curl` exits with.
const COMPLETE: i32 = 0;
const CUT_OFF: i32 = 18;
const RESET: i32 = 56;

/// Serves a stream to `curl`, which has its first line when `act` is called.
async fn exit_code(
    early_end: StreamEnd,
    options: &[&str],
    session: SessionConfig,
    act: impl FnOnce(&Hub),
) -> i32 {
    let mut config = BrokerConfig::new(Epoch(0xc));
    config.retention.events = 4.try_into().unwrap();
    let hub = spawn_hub(HubBuilder::new(config).with_early_end(early_end)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let streams = hub.clone();
    let handler = move |request: Request<Bytes>| {
        let answer: Answer = streams.accept(&request, session.clone());
        // More than is kept, before anything of it is taken.
        if request.uri().path() == "/lagged" {
            for number in 0..10 {
                let event = Event::new(number.to_string());
                streams.publish(Audience::Everyone, &event).unwrap();
            }
        }
        ready(answer)
    };
    let server = sansse::serve::Server::new(TokioRuntime, hub.clone());
    let serving = tokio::spawn(server.serve(TokioAcceptor::new(listener), pending(), handler));
    let path = if options.contains(&"lagged") { "lagged" } else { "" };
    let mut curl = Command::new("curl");
    curl.args(["-sSN", "-i", "-m", "30"]).arg(url + path).stdout(Stdio::piped());
    curl.args(options.iter().filter(|option| **option != "lagged"));
    let (told, first) = oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let mut curl = curl.spawn().unwrap();
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        told.send(lines.next().unwrap().unwrap()).unwrap();
        lines.for_each(drop);
        curl.wait().unwrap()
    });
    let first = first.await.unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    act(&hub);
    let status = reading.await.unwrap();
    serving.abort();
    status.code().unwrap()
}

fn of_a_client() -> SessionConfig {
    SessionConfig::new().with_client(ClientId::new("a").unwrap())
}

fn revoke(hub: &Hub) {
    assert_eq!(hub.revoke(&ClientId::new("a").unwrap()), Ok(1));
}

fn drain(hub: &Hub) {
    hub.drain(Drain::new(Duration::ZERO)).unwrap();
}

fn finite() -> SessionConfig {
    SessionConfig::new().with_topic(TopicName::new("t").unwrap()).topics_only()
}

fn end_topic(hub: &Hub) {
    hub.end_topic(&TopicName::new("t").unwrap()).unwrap();
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_knows_a_stream_that_is_not_whole() {
    use StreamEnd::{Clean, Cut};
    let slow = SessionConfig::new().with_lag(LagPolicy::Close);
    assert_eq!(exit_code(Clean, &["lagged"], slow, |_| {}).await, CUT_OFF, "lagged");
    assert_eq!(exit_code(Clean, &[], of_a_client(), revoke).await, CUT_OFF, "revoked");
    assert_eq!(exit_code(Cut, &[], of_a_client(), drain).await, CUT_OFF, "drained");
    assert_eq!(exit_code(Clean, &[], of_a_client(), drain).await, COMPLETE, "drained, clean");
    assert_eq!(exit_code(Cut, &[], of_a_client(), Hub::close).await, CUT_OFF, "shutdown");
    assert_eq!(exit_code(Cut, &[], finite(), end_topic).await, COMPLETE, "topics ended");
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_knows_it_without_chunks_too() {
    use StreamEnd::Cut;
    let old = ["--http1.0"];
    assert_eq!(exit_code(Cut, &old, of_a_client(), revoke).await, RESET, "revoked");
    assert_eq!(exit_code(Cut, &old, finite(), end_topic).await, COMPLETE, "topics ended");
}

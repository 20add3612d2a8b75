//! Event streams by each version of reqwest, over real sockets.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
// Nothing to test without a version.
#![cfg(any(feature = "reqwest-0_12", feature = "reqwest-0_13"))]

mod scripted;

use sansse::client::ClientConfig;
use scripted::Scripted;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration that comes back at once.
fn impatient() -> ClientConfig {
    let mut config = ClientConfig::new(7);
    config.policy.reconnection.initial = Duration::from_millis(10);
    config.policy.reconnection.floor = Duration::from_millis(10);
    config.policy.reconnection.max_asked = Some(Duration::from_millis(10));
    config.policy.reconnection.max_backoff = Some(Duration::from_millis(20));
    config
}

/// Another package of the workspace builds reqwest with TLS that has no provider of its own.
fn choose_provider() {
    // Another test may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// A stream that ends in good order, and one that is cut off.
fn stream(body: &str) -> String {
    format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len())
}

fn cut(body: &str) -> String {
    format!("{HEAD}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n5\r\nda", body.len())
}

macro_rules! tests {
    ($module:ident, $reqwest:ident, $feature:literal) => {
        #[cfg(feature = $feature)]
        mod $module {
            use super::*;
            use $reqwest::redirect::Policy;
            use sansse::broker::{Audience, SessionConfig};
            use sansse::client::{ClientError, CloseReason, NextAttempt};
            use sansse::hub::Answer;
            use sansse::net::FailureKind;
            use std::sync::{Arc, Mutex};
            use sansse::{Event, EventSource, MessageError, SourceEvent, Transport};
            use sansse_reqwest::{EventSourceExt, MessagesExt, UnusableRequest};
            use tokio::net::TcpListener;
            use tokio::time::timeout;

            fn builder() -> $reqwest::ClientBuilder {
                choose_provider();
                $reqwest::Client::builder()
            }

            async fn next<T: Transport>(source: &mut EventSource<T>) -> SourceEvent {
                timeout(PATIENCE, source.next()).await.unwrap().expect("it goes on")
            }

            async fn next_data<T: Transport>(source: &mut EventSource<T>) -> String {
                loop {
                    match next(source).await {
                        SourceEvent::Message(message) => return message.data,
                        SourceEvent::Closed(reason) => panic!("{reason}"),
                        _ => {}
                    }
                }
            }

            async fn next_loss<T: Transport>(source: &mut EventSource<T>) -> ClientError {
                loop {
                    match next(source).await {
                        SourceEvent::Retrying { error, .. } => return error,
                        SourceEvent::Closed(reason) => panic!("{reason}"),
                        _ => {}
                    }
                }
            }

            #[tokio::test]
            async fn a_source_resumes_a_real_stream_where_it_was() {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("http://{}/", listener.local_addr().unwrap());
                let hub = sansse_tokio::hub();
                let streams = hub.clone();
                let opened = Arc::new(Mutex::new(None));
                let session = opened.clone();
                tokio::spawn(sansse_tokio::serve(listener, hub.clone(), move |request| {
                    let answer = streams.accept(&request, SessionConfig::new());
                    if let Answer::Stream(_, stream) = &answer {
                        *session.lock().unwrap() = Some(stream.id());
                    }
                    async { answer }
                }));
                let mut source = builder().build().unwrap().get(url).event_source_with(impatient()).unwrap();
                assert!(matches!(next(&mut source).await, SourceEvent::Open(_)));
                for number in 0..100 {
                    hub.publish(Audience::Everyone, &Event::new(number.to_string())).unwrap();
                    if number % 10 == 5 {
                        assert!(hub.close_session(opened.lock().unwrap().unwrap()));
                    }
                    assert_eq!(next_data(&mut source).await, number.to_string());
                }
            }

            #[tokio::test]
            async fn a_stream_that_is_cut_off_is_a_loss_and_goes_on_after_its_last_id() {
                let server = Scripted::new([cut("id: 7\ndata: a\n\n"), stream("data: b\n\n")]).await;
                let mut source =
                    builder().build().unwrap().get(server.url("/")).event_source_with(impatient()).unwrap();
                assert_eq!(next_data(&mut source).await, "a");
                let ClientError::Transport(failure) = next_loss(&mut source).await else {
                    panic!("it was cut off");
                };
                assert!(
                    [FailureKind::Truncated, FailureKind::Closed].contains(&failure.kind()),
                    "{failure}"
                );
                assert_eq!(next_data(&mut source).await, "b");
                let requests = server.requests();
                assert!(!requests[0].contains("last-event-id"), "{}", requests[0]);
                assert!(requests[1].contains("last-event-id: 7\r\n"), "{}", requests[1]);
            }

            #[tokio::test]
            async fn redirects_are_followed_by_whom_the_client_leaves_them_to() {
                for (policy, asked) in [
                    (Policy::limited(3), ["/", "/new", "/"]),
                    (Policy::none(), ["/", "/new", "/new"]),
                ] {
                    // What is followed by reqwest, sansse does not hear of.
                    let mut config = impatient();
                    config.policy.redirects.next_attempt = NextAttempt::Target;
                    let moved = "HTTP/1.1 301 Moved Permanently\r\nlocation: /new\r\ncontent-length: 0\r\n\r\n";
                    let server = Scripted::new([
                        moved.to_owned(),
                        stream("data: a\n\n"),
                        stream("data: b\n\n"),
                    ])
                    .await;
                    let client = builder().redirect(policy).build().unwrap();
                    let mut source =
                        client.get(server.url("/")).event_source_with(config).unwrap();
                    assert_eq!(next_data(&mut source).await, "a");
                    assert_eq!(next_data(&mut source).await, "b");
                    let paths: Vec<_> = server
                        .requests()
                        .iter()
                        .map(|request| request.split(' ').nth(1).unwrap().to_owned())
                        .collect();
                    assert_eq!(paths[..3], asked);
                }
            }

            #[tokio::test]
            async fn a_request_is_sent_whole_each_time() {
                let server = Scripted::new([stream("data: a\n\n"), stream("data: b\n\n")]).await;
                let mut config = impatient();
                config.repeatable = true;
                let request = builder().build().unwrap().post(server.url("/")).body("question").bearer_auth("t");
                let mut source = request.event_source_with(config).unwrap();
                assert_eq!(next_data(&mut source).await, "a");
                assert_eq!(next_data(&mut source).await, "b");
                for request in server.requests() {
                    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
                    assert!(request.contains("authorization: Bearer t\r\n"), "{request}");
                    assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
                    assert!(request.ends_with("\r\n\r\nquestion"), "{request}");
                }
            }

            #[tokio::test]
            async fn a_server_that_is_away_is_a_failure_to_connect_that_tells_no_secrets() {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                drop(listener);
                let request = builder().build().unwrap().get(format!("http://u:secret@{address}/secret?secret"));
                let mut source = request.event_source_with(impatient()).unwrap();
                let error = next_loss(&mut source).await;
                let ClientError::Transport(failure) = &error else { panic!("{error}") };
                assert_eq!(failure.kind(), FailureKind::Connect);
                assert!(!format!("{error} {error:?} {source:?}").contains("secret"), "{error:?}");
            }

            #[tokio::test]
            async fn what_can_never_be_asked_for_ends_the_source_or_makes_none() {
                let request = builder().build().unwrap().get("http://[no host").event_source().map(drop);
                assert!(matches!(request, Err(UnusableRequest::Invalid(_))), "{request:?}");
                let mut source = builder().build().unwrap().get("ftp://127.0.0.1/").event_source().unwrap();
                assert!(matches!(next(&mut source).await, SourceEvent::Closed(CloseReason::Failed(_))));
                let body = $reqwest::Body::wrap_stream(Messageless);
                let request = builder().build().unwrap().post("http://127.0.0.1/").body(body).event_source();
                assert_eq!(request.err(), Some(UnusableRequest::StreamedBody));
            }

            #[tokio::test]
            async fn the_messages_of_a_response_come_out_and_what_cuts_them_off() {
                let server = Scripted::new([
                    stream("data: {\"a\":1}\n\ndata: [DONE]\n\n"),
                    cut("data: {\"a\":1}\n\n"),
                    stream("data: {\"a\":1}\n\n{\"error\":\"overloaded\"}"),
                ])
                .await;
                for last in ["done", "cut", "no stream"] {
                    let response = builder().build().unwrap().get(server.url("/")).send().await.unwrap();
                    let mut messages = response.error_for_status().unwrap().messages();
                    assert_eq!(messages.next().await.unwrap().unwrap().data, "{\"a\":1}");
                    let next = timeout(PATIENCE, messages.next()).await.unwrap();
                    match last {
                        "done" => assert_eq!(next.unwrap().unwrap().data, "[DONE]"),
                        "cut" => assert!(matches!(next, Some(Err(MessageError::Bytes(_))))),
                        _ => assert!(matches!(next, Some(Err(MessageError::Unfinished)))),
                    }
                    assert!(messages.next().await.is_none());
                }
            }
        }
    };
}

tests!(by_0_12, reqwest_0_12, "reqwest-0_12");
tests!(by_0_13, reqwest_0_13, "reqwest-0_13");

/// A stream of bytes that has none.
struct Messageless;

impl futures_core::Stream for Messageless {
    type Item = Result<bytes::Bytes, std::io::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(None)
    }
}

/// What reqwest brings and nobody else here has.
#[cfg(feature = "reqwest-0_13")]
mod comforts {
    use super::*;
    use sansse::SourceEvent;
    use sansse_reqwest::EventSourceExt;
    use std::io::Write;

    fn builder() -> reqwest_0_13::ClientBuilder {
        choose_provider();
        reqwest_0_13::Client::builder()
    }

    #[tokio::test]
    async fn cookies_are_kept_from_one_attempt_to_the_next() {
        let first = stream("data: a\n\n").replace("\r\n\r\n", "\r\nset-cookie: id=7\r\n\r\n");
        let server = Scripted::new([first, stream("data: b\n\n")]).await;
        let client = builder().cookie_store(true).build().unwrap();
        let mut source = client.get(server.url("/")).event_source_with(impatient()).unwrap();
        let mut data = Vec::new();
        while data.len() < 2 {
            let event = tokio::time::timeout(PATIENCE, source.next()).await.unwrap();
            if let Some(SourceEvent::Message(message)) = event {
                data.push(message.data);
            }
        }
        assert_eq!(data, ["a", "b"]);
        assert!(server.requests()[1].contains("cookie: id=7\r\n"));
    }

    #[tokio::test]
    async fn a_compressed_stream_is_read() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(b"data: small\n\n").unwrap();
        let packed = packed.finish().unwrap();
        let head =
            format!("{HEAD}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        let server = Scripted::new([[head.as_bytes(), &packed].concat()]).await;
        let client = builder().gzip(true).build().unwrap();
        let mut source = client.get(server.url("/")).event_source_with(impatient()).unwrap();
        loop {
            match tokio::time::timeout(PATIENCE, source.next()).await.unwrap().unwrap() {
                SourceEvent::Message(message) => {
                    assert_eq!(message.data, "small");
                    break;
                }
                SourceEvent::Open(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

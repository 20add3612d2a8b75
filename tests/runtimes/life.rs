//! A client's life over sockets, against a peer that follows a script.
//!
//! The client's clock is moved by the test, and only when nothing but time can bring anything: a
//! wait has been reported, and no request is under way. All times are therefore exact, on any
//! network.

use crate::kit::client::{Answer, End, Life, Seen};
use crate::peer::{Exchange, Peer, head_bytes};
use crate::platform::Platform;
use crate::reader::{Reader, Sent};
use crate::watched::{Route, Watch, Watching};
use bytes::Bytes;
use http::Request;
use sansse::SourceEvent;
use sansse::client::{ClientConfig, ClientError, CloseReason, ReadyState};
use sansse::net::{FailureKind, Listener, Socket};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Lives as [`Life::with`] does.
pub(crate) fn live<P: Platform>(
    request: Request<Bytes>,
    config: ClientConfig,
    answers: Vec<Answer>,
) -> Life {
    P::run(P::seeds().start, |platform| live_on(platform, request, config, answers))
}

async fn live_on<P: Platform>(
    platform: P,
    request: Request<Bytes>,
    config: ClientConfig,
    answers: Vec<Answer>,
) -> Life {
    let (listener, address) = platform.listen(None);
    let routes: Vec<Route> = answers.iter().map(route).collect();
    let connector = Watching::new(platform.connector(), address).with_routes(routes.clone());
    let watch = connector.watch();
    let mut reader = Reader::new(connector, request, config);
    let script = Script::default();
    let mut peer = pin!(script.play(listener, routes.into_iter().zip(&answers), &watch));
    let mut life = Life::default();
    // How many requests were sent when a wait began.
    let mut waits_since = None;
    poll_fn(|context| {
        loop {
            let before = watch.progress();
            assert!(peer.as_mut().poll(context).is_pending());
            while let Poll::Ready(event) = reader.poll(context) {
                let Some(event) = event else { return Poll::Ready(()) };
                let is_wait = matches!(event, SourceEvent::Retrying { .. });
                waits_since = is_wait.then(|| reader.sent().len());
                life.seen.push(seen(event));
                life.states.push(reader.source.state());
            }
            if !reader.is_quiet {
                return Poll::Pending;
            }
            let sent = reader.sent().len();
            if script.heard.borrow().contains_key(&answers.len()) {
                return Poll::Ready(());
            }
            if waits_since == Some(sent) {
                reader.sleep();
            } else if watch.progress() == before {
                if script.is_held(&watch) {
                    return Poll::Ready(());
                }
                return Poll::Pending;
            }
        }
    })
    .await;
    if reader.source.state() == ReadyState::Closed {
        assert!(reader.timer.sleeps().is_empty(), "a client that has ended needs no time");
        assert_eq!(watch.held(), 0, "nor a connection");
    }
    let mut heard = script.heard.take();
    for (number, Sent { request, at }) in reader.sent().into_iter().enumerate() {
        life.times.push(at);
        life.requests.push(match heard.remove(&number) {
            Some(heard) => same(heard, &request),
            // It never came to that.
            None => request,
        });
    }
    life.url = reader.source.url().to_string();
    life.reconnection_time = reader.source.reconnection_time();
    life
}

fn route(answer: &Answer) -> Route {
    match (&answer.head, answer.end) {
        (None, End::Failure(FailureKind::Connect)) => Route::Nobody,
        (
            None,
            End::Failure(
                kind @ (FailureKind::Resolve | FailureKind::Tls | FailureKind::Unsupported),
            ),
        ) => Route::Failure(kind),
        _ => Route::Peer,
    }
}

/// What the peer does, and what it notes.
#[derive(Default)]
struct Script {
    /// The requests that came, by the numbers of their connections.
    heard: RefCell<BTreeMap<usize, Request<Bytes>>>,
    /// A connection that goes on in silence, and how many bytes were written to it.
    held: RefCell<Option<(usize, u64)>>,
}

impl Script {
    /// Answers each request; takes note of one more.
    async fn play<L: Listener>(
        &self,
        listener: L,
        answers: impl Iterator<Item = (Route, &Answer)>,
        watch: &Watch,
    ) {
        let mut peer = Peer::new(listener);
        let mut last = 0;
        for (number, (route, answer)) in answers.enumerate() {
            last = number + 1;
            if !matches!(route, Route::Peer) {
                continue;
            }
            let is_reset = answer.head.is_some() && answer.end == End::Failure(FailureKind::Closed);
            let exchange =
                if is_reset { peer.accept_to_reset().await } else { peer.accept().await };
            self.heard.borrow_mut().insert(number, exchange.request.clone());
            self.answer(exchange, answer, number, watch).await;
        }
        let exchange = peer.accept().await;
        self.heard.borrow_mut().insert(last, exchange.request.clone());
        std::future::pending::<()>().await;
    }

    async fn answer<S: Socket>(
        &self,
        mut exchange: Exchange<S>,
        answer: &Answer,
        number: usize,
        watch: &Watch,
    ) {
        let Some(head) = &answer.head else {
            match answer.end {
                End::Failure(FailureKind::Protocol) => exchange.write("SSH-2.0-peer\r\n").await,
                End::Failure(FailureKind::Truncated) => exchange.write("HTTP/1.1 200 OK\r\n").await,
                End::Failure(FailureKind::Closed) => true,
                _ => panic!("no peer does this: {answer:?}"),
            };
            return exchange.end().await;
        };
        let mut bytes = head_bytes(head);
        let has_body = !matches!(head.status().as_u16(), 204 | 304);
        let is_chunked = has_body && !head.headers().contains_key("content-length");
        if is_chunked {
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let mut goes_on = exchange.write(bytes).await;
        for chunk in answer.body.iter().filter(|chunk| is_chunked && !chunk.is_empty()) {
            goes_on = goes_on && exchange.chunk(chunk).await;
        }
        match answer.end {
            End::Proper if is_chunked => exchange.end_chunks().await,
            End::Proper | End::Failure(FailureKind::Truncated) => exchange.end().await,
            End::Failure(FailureKind::Protocol) => {
                exchange.write("no size\r\n").await;
                exchange.end().await;
            }
            End::Failure(FailureKind::Closed) => {
                // What a reset overtakes would be lost.
                let written = exchange.written();
                poll_fn(|_| match watch.read(number) {
                    read if read >= written => Poll::Ready(()),
                    _ => Poll::Pending,
                })
                .await;
            }
            End::Never => {
                *self.held.borrow_mut() = Some((number, exchange.written()));
                let _ = exchange.gone().await;
            }
            End::Failure(_) => panic!("no peer does this: {answer:?}"),
        }
    }

    /// Whether the client has all that came, and waits for more.
    fn is_held(&self, watch: &Watch) -> bool {
        self.held.borrow().is_some_and(|(number, written)| {
            watch
                .connection(number)
                .is_some_and(|connection| connection.is_held && connection.read == written)
        })
    }
}

/// The request as it came, which must be what was sent and what belongs to the connection.
fn same(heard: Request<Bytes>, sent: &Request<Bytes>) -> Request<Bytes> {
    assert_eq!((heard.method(), heard.body()), (sent.method(), sent.body()));
    let mut added = heard.headers().clone();
    for name in sent.headers().keys() {
        let values = |request: &Request<Bytes>| -> Vec<Vec<u8>> {
            let values = request.headers().get_all(name).iter();
            values.map(|value| value.as_bytes().to_vec()).collect()
        };
        assert_eq!(values(&heard), values(sent), "{name}");
        added.remove(name);
    }
    for name in ["host", "connection", "content-length"] {
        added.remove(name);
    }
    assert!(added.is_empty(), "{added:?}");
    let (mut parts, body) = heard.into_parts();
    for name in ["host", "connection", "content-length"] {
        parts.headers.remove(name);
    }
    // The peer does not see the scheme.
    assert_eq!(parts.uri.authority(), sent.uri().authority());
    assert_eq!(parts.uri.path_and_query(), sent.uri().path_and_query());
    parts.uri = sent.uri().clone();
    Request::from_parts(parts, body)
}

/// What was seen, without what a system or a library says for people to read.
fn seen(event: SourceEvent) -> Seen {
    match event {
        SourceEvent::Open(head) => {
            Seen::Open { url: head.url.to_string(), head: http::HeaderMap::new() }
        }
        SourceEvent::Message(message) => Seen::Message(message),
        SourceEvent::Comment(text) => Seen::Comment(text),
        SourceEvent::Dropped(error) => Seen::Dropped(error),
        SourceEvent::Retrying { error, wait, attempts } => {
            Seen::Retrying { error: plain(error), wait, attempts }
        }
        SourceEvent::Closed(reason) => Seen::Closed(match reason {
            CloseReason::Failed(error) => CloseReason::Failed(plain(error)),
            CloseReason::NotRepeatable(error) => CloseReason::NotRepeatable(plain(error)),
            CloseReason::TooManyAttempts { attempts, error } => {
                CloseReason::TooManyAttempts { attempts, error: plain(error) }
            }
            reason => reason,
        }),
        event => panic!("an event that the tests do not know: {event:?}"),
    }
}

fn plain(error: ClientError) -> ClientError {
    match error {
        ClientError::Transport(failure) => ClientError::Transport(failure.kind().into()),
        error => error,
    }
}

//! What becomes of a handler whose peer leaves before the answer.

use crate::platform::Platform;
use crate::raw::Raw;
use crate::service::{Application, config, unless};
use crate::shared::Shared;
use bytes::Bytes;
use http::{Request, Response};
use sansse::net::{FailureKind, Runtime};
use sansse::serve::{Server, ServerCounters, finish_anyway};
use std::net::SocketAddr;
use std::sync::Arc;

/// A server whose handlers wait until they are let go, except on `/at-once`.
struct Waiting {
    address: SocketAddr,
    counters: ServerCounters,
    seen: Arc<Seen>,
    cancel: Shared<bool>,
}

/// What there is to be seen of the handlers.
struct Seen {
    begun: Shared<u32>,
    /// How many were finished, and how many dropped.
    over: Shared<(u32, u32)>,
    may_finish: Shared<bool>,
}

/// A handler that runs.
struct Running {
    seen: Arc<Seen>,
    has_finished: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let has_finished = self.has_finished;
        self.seen.over.update(|(finished, dropped)| {
            *(if has_finished { finished } else { dropped }) += 1;
        });
    }
}

impl Waiting {
    fn start<P: Platform>(platform: &P) -> Self {
        let application = Application::new(platform, config());
        let (listener, address) = platform.listen(None);
        let server = Server::new(platform.runtime(), application.hub);
        let counters = server.counters();
        let seen = Arc::new(Seen {
            begun: Shared::new(0),
            over: Shared::new((0, 0)),
            may_finish: Shared::new(false),
        });
        let (handlers, cancel) = (seen.clone(), Shared::new(false));
        let cancelled = cancel.clone();
        platform.runtime().spawn(async move {
            let handler = move |request| handle(handlers.clone(), request);
            unless(&cancelled, server.serve(listener, std::future::pending(), handler)).await;
        });
        Self { address, counters, seen, cancel }
    }

    async fn connect<P: Platform>(&self, platform: &P) -> Raw<P> {
        Raw::connect(platform, self.address).await
    }
}

impl Seen {
    async fn has_begun(&self, count: u32) {
        self.begun.until(|begun| (*begun >= count).then_some(())).await;
    }

    /// How many were finished, and how many dropped, once there are so many.
    async fn outcomes(&self, count: u32) -> (u32, u32) {
        self.over.until(|over| (over.0 + over.1 >= count).then_some(*over)).await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

async fn handle(seen: Arc<Seen>, request: Request<Bytes>) -> Response<Bytes> {
    if request.uri().path() == "/finish" {
        finish_anyway(request.extensions());
    }
    let mut running = Running { seen: seen.clone(), has_finished: false };
    seen.begun.update(|begun| *begun += 1);
    if request.uri().path() != "/at-once" {
        seen.may_finish.is_set().await;
    }
    running.has_finished = true;
    Response::new(Bytes::copy_from_slice(request.uri().path().as_bytes()))
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// The bodies of answers, each of which is the path that was asked for.
fn paths(answers: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(answers).unwrap();
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let (path, following) = body.split_at(length.parse().unwrap());
        paths.push(path);
        rest = following;
    }
    assert_eq!(rest, "");
    paths
}

pub(crate) async fn a_handler_whose_peer_has_gone_is_dropped<P: Platform>(platform: P) {
    for is_reset in [false, true] {
        let server = Waiting::start(&platform);
        let mut peer = server.connect(&platform).await;
        peer.write(request("/")).await;
        server.seen.has_begun(1).await;
        if is_reset {
            peer.reset();
        }
        drop(peer);
        assert_eq!(server.seen.outcomes(1).await, (0, 1));
        let mut other = server.connect(&platform).await;
        other.write(request("/at-once")).await;
        server.seen.has_begun(2).await;
        assert_eq!(server.counters.snapshot().abandoned, 1);
        // Nothing is left of it but the other connection.
        assert_eq!(server.counters.snapshot().open, 1);
    }
}

pub(crate) async fn a_handler_that_asked_for_it_is_finished_though_its_peer_has_gone<
    P: Platform,
>(
    platform: P,
) {
    for is_reset in [false, true] {
        let server = Waiting::start(&platform);
        let mut peer = server.connect(&platform).await;
        peer.write(request("/finish")).await;
        server.seen.has_begun(1).await;
        if is_reset {
            peer.reset();
        }
        drop(peer);
        // Another one, that did not ask, is dropped meanwhile: the server has noticed by then.
        let mut other = server.connect(&platform).await;
        other.write(request("/")).await;
        server.seen.has_begun(2).await;
        drop(other);
        assert_eq!(server.seen.outcomes(1).await, (0, 1));
        server.seen.may_finish.set();
        assert_eq!(server.seen.outcomes(2).await, (1, 1));
        assert_eq!(server.counters.snapshot().abandoned, 1);
    }
}

pub(crate) async fn a_peer_that_ends_its_side_alone_gets_what_is_ready_or_asked_to_be_finished<
    P: Platform,
>(
    platform: P,
) {
    let server = Waiting::start(&platform);
    let mut peer = server.connect(&platform).await;
    peer.write(request("/at-once") + &request("/at-once") + &request("/")).await;
    peer.end_its_side().await;
    let (answers, end) = peer.read_to_end().await;
    assert_eq!((paths(&answers), end), (vec!["/at-once", "/at-once"], Ok(())));
    assert_eq!(server.seen.outcomes(3).await, (2, 1));

    let mut peer = server.connect(&platform).await;
    peer.write(request("/finish")).await;
    peer.end_its_side().await;
    server.seen.has_begun(4).await;
    server.seen.may_finish.set();
    let (answers, end) = peer.read_to_end().await;
    assert_eq!((paths(&answers), end), (vec!["/finish"], Ok(())));
}

pub(crate) async fn what_comes_while_a_handler_runs_is_not_lost<P: Platform>(platform: P) {
    // Up to more than the server reads before it has answered.
    for count in [1, 30, 1_000] {
        let server = Waiting::start(&platform);
        let mut peer = server.connect(&platform).await;
        peer.write(request("/slow")).await;
        server.seen.has_begun(1).await;
        let expected: Vec<String> = (0..count).map(|number| format!("/{number}")).collect();
        let requests: String = expected.iter().map(|path| request(path)).collect();
        // In two parts, of which the first ends within a request.
        let (first, second) = requests.split_at(requests.len() / 2 + 5);
        peer.write(first).await;
        peer.write(second).await;
        server.seen.may_finish.set();
        let mut answers = Vec::new();
        while !answers.ends_with(expected.last().unwrap().as_bytes()) {
            answers.extend(peer.read().await.unwrap());
        }
        assert_eq!(paths(&answers)[0], "/slow");
        assert_eq!(paths(&answers)[1..], expected);
        assert_eq!(server.counters.snapshot().abandoned, 0);
        drop(peer);
    }
}

/// A peer that has sent more than is read before the answer is noticed when that is written.
pub(crate) async fn a_flood_behind_a_request_is_left_in_the_socket<P: Platform>(platform: P) {
    let server = Waiting::start(&platform);
    let mut peer = server.connect(&platform).await;
    peer.write(request("/slow")).await;
    server.seen.has_begun(1).await;
    // Of requests that never end, so that nothing of it is an answer.
    peer.write(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(40 << 10))).await;
    server.seen.may_finish.set();
    let (answers, end) = peer.read_to_end().await;
    let text = String::from_utf8(answers).unwrap();
    assert!(text.contains("\r\n\r\n/slow"), "{text}");
    assert!(text.contains("HTTP/1.1 431 "), "{text}");
    // What it sent after that may be unread.
    assert!(matches!(end, Ok(()) | Err(FailureKind::Closed)), "{end:?}");
}

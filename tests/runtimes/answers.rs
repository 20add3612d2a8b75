//! Answers to one reader: whole for one who reads, however slowly; dropped when the reader leaves;
//! told when they fail.

use crate::platform::Platform;
use crate::raw::Raw;
use crate::service::{Application, config, quick, unless};
use crate::shared::Shared;
use bytes::Bytes;
use futures_core::Stream;
use http::Request;
use sansse::answer::{AnswerConfig, AnswerStream};
use sansse::client::{ClientError, CloseReason};
use sansse::feed::Http1;
use sansse::hub::Answer;
use sansse::net::{FailureKind, Runtime};
use sansse::serve::{Server, ServerCounters};
use sansse::{Event, EventSource, SourceEvent, Timer};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What a server's answers are made of, and what there is to be seen of them.
#[derive(Clone)]
struct Upstream {
    plan: Plan,
    config: AnswerConfig,
    seen: Shared<Seen>,
}

#[derive(Clone, Copy)]
struct Plan {
    events: usize,
    size: usize,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Error,
    /// Nothing more comes, and no end.
    Silence,
}

#[derive(Default)]
struct Seen {
    given: usize,
    dropped: usize,
    is_silent: bool,
}

/// The events of one answer.
struct Pieces {
    upstream: Upstream,
    given: usize,
}

impl Stream for Pieces {
    type Item = Result<Event, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Plan { events, size, end } = self.upstream.plan;
        if self.given < events {
            let data = format!("{:0>size$}", self.given);
            self.given += 1;
            self.upstream.seen.update(|seen| seen.given += 1);
            return Poll::Ready(Some(Ok(Event::new(data))));
        }
        match end {
            End::Complete => Poll::Ready(None),
            End::Error => Poll::Ready(Some(Err("the upstream is gone"))),
            End::Silence => {
                self.upstream.seen.update(|seen| seen.is_silent = true);
                Poll::Pending
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.upstream.seen.update(|seen| seen.dropped += 1);
    }
}

/// A server whose every answer is made of the same.
struct Answering {
    address: SocketAddr,
    counters: ServerCounters,
    seen: Shared<Seen>,
    shutdown: Shared<bool>,
    over: Shared<bool>,
    cancel: Shared<bool>,
}

const PLAN: Plan = Plan { events: 3, size: 1, end: End::Complete };
/// Far more than all sockets hold.
const MUCH: Plan = Plan { events: 200_000, size: 1_000, end: End::Complete };

impl Answering {
    fn start<P: Platform>(platform: &P, plan: Plan) -> Self {
        Self::start_with(platform, plan, AnswerConfig::DEFAULT)
    }

    fn start_with<P: Platform>(platform: &P, plan: Plan, answers: AnswerConfig) -> Self {
        let application = Application::new(platform, config());
        let (listener, address) = platform.listen(None);
        let server = Server::new(platform.runtime(), application.hub)
            .with_shutdown_time(Duration::from_secs(1));
        let counters = server.counters();
        let seen = Shared::new(Seen::default());
        let upstream = Upstream { plan, config: answers, seen: seen.clone() };
        let [shutdown, over, cancel] = [(); 3].map(|()| Shared::new(false));
        let (ends, told, cancelled) = (shutdown.clone(), over.clone(), cancel.clone());
        platform.runtime().spawn(async move {
            let handler = move |_: Request<Bytes>| {
                let upstream = upstream.clone();
                let config = upstream.config;
                let pieces = Pieces { upstream, given: 0 };
                std::future::ready(Answer::from(AnswerStream::new(pieces).with_config(config)))
            };
            let ends = async move { ends.is_set().await };
            unless(&cancelled, server.serve(listener, ends, handler)).await;
            told.set();
        });
        Self { address, counters, seen, shutdown, over, cancel }
    }

    /// Reads an answer once: the data of its events, and how it ended.
    async fn read_once<P: Platform>(&self, platform: &P) -> (Vec<String>, CloseReason) {
        let mut source = self.source(platform);
        let mut data = Vec::new();
        loop {
            match source.next().await.expect("it has an end") {
                SourceEvent::Message(message) => data.push(message.data),
                SourceEvent::Closed(end) => return (data, end),
                SourceEvent::Open { .. } => {}
                event => panic!("{event:?}"),
            }
        }
    }

    fn source<P: Platform>(&self, platform: &P) -> EventSource<Http1<P::Connector>> {
        let url = format!("http://{}/", self.address);
        let request = Request::post(url).body(Bytes::from_static(b"a question")).unwrap();
        let mut config = quick();
        config.one_shot = true;
        EventSource::new(Http1::new(platform.connector()), platform.runtime(), request, config)
    }

    async fn dropped(&self) {
        self.seen.until(|seen| (seen.dropped > 0).then_some(())).await;
    }

    async fn silent(&self) {
        self.seen.until(|seen| seen.is_silent.then_some(())).await;
    }

    /// Waits until no connection is open, as another one finds it.
    async fn closed<P: Platform>(&self, platform: &P) {
        while self.counters.snapshot().open > 0 {
            platform.runtime().sleep_until(platform.runtime().now() + MOMENT).await;
        }
    }
}

const MOMENT: Duration = Duration::from_millis(5);

impl Drop for Answering {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

pub(crate) async fn an_answer_of_ten_thousand_pieces_arrives_whole<P: Platform>(platform: P) {
    let server = Answering::start(&platform, Plan { events: 10_000, ..PLAN });
    let (data, end) = server.read_once(&platform).await;
    assert_eq!(end, CloseReason::Finished);
    assert!(data == numbers(10_000), "{} pieces", data.len());
    let counted = server.counters.snapshot();
    assert_eq!((counted.streams, counted.failed_answers, counted.stalled_answers), (1, 0, 0));
}

/// It waits for its reader, and holds no more than the sockets do.
pub(crate) async fn an_answer_is_not_made_faster_than_it_is_read<P: Platform>(platform: P) {
    let server = Answering::start(&platform, MUCH);
    let mut peer = Raw::connect(&platform, server.address).await;
    peer.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut received = 0;
    while received < 1 << 20 {
        received += peer.read().await.unwrap().len();
        // Nothing else is to be done than what the server's task does, which waits for room.
        platform.runtime().sleep_until(platform.runtime().now() + MOMENT).await;
    }
    let given = server.seen.update(|seen| seen.given);
    assert!(given < MUCH.events / 2, "{given} events");
    assert_eq!(server.seen.update(|seen| seen.dropped), 0);
    drop(peer);
    server.dropped().await;
    assert!(server.seen.update(|seen| seen.given) < MUCH.events);
}

pub(crate) async fn an_answer_whose_reader_leaves_is_dropped<P: Platform>(platform: P) {
    for plan in [Plan { end: End::Silence, ..PLAN }, MUCH] {
        for is_reset in [false, true] {
            // Nothing is written that could notice it.
            let config = AnswerConfig::DEFAULT.with_heartbeat(None).with_stall_timeout(None);
            let server = Answering::start_with(&platform, plan, config);
            let mut peer = Raw::connect(&platform, server.address).await;
            peer.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            if plan.end == End::Silence {
                server.silent().await;
            } else {
                peer.read().await.unwrap();
            }
            if is_reset {
                peer.reset();
            }
            drop(peer);
            server.dropped().await;
            server.closed(&platform).await;
            let counted = server.counters.snapshot();
            assert_eq!((counted.failed_answers, counted.stalled_answers), (0, 0));
        }
    }
}

pub(crate) async fn an_answer_that_fails_says_so_and_is_cut<P: Platform>(platform: P) {
    let server = Answering::start(&platform, Plan { end: End::Error, ..PLAN });
    let (data, end) = server.read_once(&platform).await;
    assert_eq!(data[..3], numbers(3));
    assert!(data[3].contains("cut off by an error") && !data[3].contains("upstream"), "{data:?}");
    let CloseReason::Failed(ClientError::Truncated(by)) = end else { panic!("{end:?}") };
    assert!(matches!(&*by, ClientError::Transport(by) if by.kind() == FailureKind::Truncated));
    assert_eq!(server.counters.snapshot().failed_answers, 1);

    // To an old peer, a reset tells it, after the rest.
    let mut peer = Raw::connect(&platform, server.address).await;
    peer.write("GET / HTTP/1.0\r\n\r\n").await;
    let (bytes, end) = peer.read_to_end().await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("cut off by an error.\"}}\n\n"), "{text}");
    assert_eq!(end, Err(FailureKind::Closed));
}

pub(crate) async fn an_old_peer_gets_a_whole_answer_and_its_proper_end<P: Platform>(platform: P) {
    let server = Answering::start(&platform, PLAN);
    let mut peer = Raw::connect(&platform, server.address).await;
    peer.write("GET / HTTP/1.0\r\n\r\n").await;
    let (bytes, end) = peer.read_to_end().await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("\r\n\r\ndata: 0\n\ndata: 1\n\ndata: 2\n\n"), "{text}");
    assert_eq!(end, Ok(()));
}

/// What it asks for is known without an event.
pub(crate) async fn a_head_request_gets_the_head_of_an_answer_and_makes_none<P: Platform>(
    platform: P,
) {
    let server = Answering::start(&platform, PLAN);
    let mut peer = Raw::connect(&platform, server.address).await;
    peer.write("HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let (bytes, end) = peer.read_to_end().await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("content-type: text/event-stream\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    assert_eq!(end, Ok(()));
    server.dropped().await;
    assert_eq!(server.seen.update(|seen| seen.given), 0);
    assert_eq!(server.counters.snapshot().streams, 0);
}

pub(crate) async fn a_silent_answer_has_heartbeats<P: Platform>(platform: P) {
    let interval = Duration::from_millis(50);
    let config = AnswerConfig::DEFAULT.with_heartbeat(Some(interval));
    let plan = Plan { events: 0, end: End::Silence, ..PLAN };
    let server = Answering::start_with(&platform, plan, config);
    let began = platform.runtime().now();
    let mut peer = Raw::connect(&platform, server.address).await;
    peer.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut text = String::new();
    // The first comes at once, and each of the others after an interval.
    while text.split("\r\n\r\n").nth(1).unwrap_or_default().matches(":\n").count() < 5 {
        text.push_str(std::str::from_utf8(&peer.read().await.unwrap()).unwrap());
    }
    assert!(platform.runtime().now() - began >= 4 * interval);
}

pub(crate) async fn a_reader_that_takes_nothing_of_an_answer_is_given_up<P: Platform>(platform: P) {
    let config = AnswerConfig::DEFAULT.with_stall_timeout(Some(Duration::from_millis(200)));
    let server = Answering::start_with(&platform, MUCH, config);
    let mut peer = Raw::connect(&platform, server.address).await;
    peer.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.dropped().await;
    server.closed(&platform).await;
    assert_eq!(server.counters.snapshot().stalled_answers, 1);
    let (bytes, _) = peer.read_to_end().await;
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
}

pub(crate) async fn a_shutdown_waits_for_an_answer_no_longer_than_its_time<P: Platform>(
    platform: P,
) {
    // One that is read to its end while the server shuts down.
    let server = Answering::start(&platform, Plan { events: 20_000, size: 100, ..PLAN });
    let mut source = server.source(&platform);
    assert!(matches!(source.next().await, Some(SourceEvent::Open { .. })));
    server.shutdown.set();
    let mut count = 0;
    let end = loop {
        match source.next().await.unwrap() {
            SourceEvent::Message(_) => count += 1,
            SourceEvent::Closed(end) => break end,
            event => panic!("{event:?}"),
        }
    };
    assert_eq!((count, end), (20_000, CloseReason::Finished));
    server.over.is_set().await;

    // One that has no end.
    let server = Answering::start(&platform, Plan { end: End::Silence, ..PLAN });
    let mut source = server.source(&platform);
    assert!(matches!(source.next().await, Some(SourceEvent::Open { .. })));
    server.silent().await;
    server.shutdown.set();
    server.over.is_set().await;
    server.dropped().await;
    let end = loop {
        if let SourceEvent::Closed(end) = source.next().await.unwrap() {
            break end;
        }
    };
    assert!(matches!(end, CloseReason::Failed(ClientError::Truncated(_))), "{end:?}");
}

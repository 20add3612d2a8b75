//! What gives way when a server holds too much for its peers, and how its peers learn of it; and
//! which hosts a request may name.

use crate::platform::Platform;
use crate::raw::Raw;
use crate::service::{Application, Service, config, message, placed, unless};
use crate::shared::Shared;
use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use sansse::answer::AnswerStream;
use sansse::broker::EndReason;
use sansse::hub::Answer;
use sansse::net::Runtime;
use sansse::serve::{Server, ServerCounters, ServerCountersSnapshot};
use sansse::{Event, Timer};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

/// A server that answers each request with its body, or with much.
struct Echo {
    address: SocketAddr,
    counters: ServerCounters,
    cancel: Shared<bool>,
}

/// More than what systems keep between two ends of a connection.
const MUCH: usize = 8 << 20;

async fn handle(request: Request<Bytes>) -> Answer {
    static KEPT: OnceLock<Bytes> = OnceLock::new();
    match request.uri().path() {
        "/much" => Response::new(Bytes::from(vec![b'x'; MUCH])).into(),
        "/kept" => Response::new(KEPT.get_or_init(|| Bytes::from(vec![b'x'; MUCH])).clone()).into(),
        "/event" => AnswerStream::new(Once(Some(Event::new("x".repeat(MUCH))))).into(),
        _ => Response::new(request.into_body()).into(),
    }
}

/// One event, and the end.
struct Once(Option<Event>);

impl Stream for Once {
    type Item = Result<Event, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl Echo {
    fn start<P: Platform>(platform: &P, held_bytes: usize) -> Self {
        let application = Application::new(platform, config());
        let (listener, address) = platform.listen(None);
        let server = Server::new(platform.runtime(), application.hub);
        let server = server.with_max_held_bytes(held_bytes);
        let (counters, cancel) = (server.counters(), Shared::new(false));
        let cancelled = cancel.clone();
        platform.runtime().spawn(async move {
            unless(&cancelled, server.serve(listener, std::future::pending(), handle)).await;
        });
        Self { address, counters, cancel }
    }

    /// A peer that has sent the head of a request with a body of so many bytes.
    async fn post<P: Platform>(&self, platform: &P, length: usize) -> Raw<P> {
        let mut peer = Raw::connect(platform, self.address).await;
        peer.write(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
        peer
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.cancel.set();
    }
}

/// Waits until what is counted is as wanted.
async fn counted<P: Platform>(
    platform: &P,
    counters: &ServerCounters,
    wanted: impl Fn(&ServerCountersSnapshot) -> bool,
) {
    let timer = platform.runtime();
    let deadline = timer.now() + Duration::from_secs(60);
    while !wanted(&counters.snapshot()) {
        assert!(timer.now() < deadline, "{:?}", counters.snapshot());
        timer.sleep_until(timer.now() + Duration::from_millis(1)).await;
    }
}

/// The head and the body of an answer, the last of its connection or not.
async fn answer<P: Platform>(peer: &mut Raw<P>) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&all);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            let begin = head.len() + 4;
            if all.len() == begin + length {
                return (head.to_owned(), all.split_off(begin));
            }
        }
        let bytes = peer.read().await.unwrap();
        assert!(!bytes.is_empty(), "no whole answer: {}", String::from_utf8_lossy(&all));
        all.extend(bytes);
    }
}

pub(crate) async fn the_largest_request_gives_way_and_the_others_are_answered<P: Platform>(
    platform: P,
) {
    let server = Echo::start(&platform, 600_000);
    let mut large = server.post(&platform, 500_000).await;
    large.write(vec![b'x'; 400_000]).await;
    counted(&platform, &server.counters, |counted| counted.held_bytes >= 400_000).await;
    let mut middle = server.post(&platform, 300_000).await;
    middle.write(vec![b'y'; 290_000]).await;

    let (head, body) = answer(&mut large).await;
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    assert!(head.contains("\r\nretry-after: ") && head.contains("\r\nconnection: close"), "{head}");
    assert_eq!(body, b"too much is held for those who ask\n");
    assert_eq!(large.read_to_end().await.0, b"");
    let mut small = server.post(&platform, 5).await;
    small.write("hello").await;
    assert_eq!(answer(&mut small).await.1, b"hello");
    middle.write(vec![b'y'; 10_000]).await;
    let (head, body) = answer(&mut middle).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, vec![b'y'; 300_000]);

    counted(&platform, &server.counters, |counted| counted.held_bytes == 0).await;
    let counted = server.counters.snapshot();
    assert_eq!((counted.requests_given_up, counted.bad_requests), (1, 0));
    assert!((400_000..=600_000).contains(&counted.most_held_bytes), "{counted:?}");
}

pub(crate) async fn a_request_that_would_not_fit_alone_is_refused<P: Platform>(platform: P) {
    let server = Echo::start(&platform, 600_000);
    let mut peer = server.post(&platform, 600_001).await;
    let (head, _) = answer(&mut peer).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let mut peer = server.post(&platform, 600_000).await;
    peer.write(vec![b'x'; 600_000]).await;
    assert_eq!(answer(&mut peer).await.1.len(), 600_000);
}

pub(crate) async fn an_answer_that_is_not_read_gives_way_to_another<P: Platform>(platform: P) {
    let server = Echo::start(&platform, MUCH + MUCH / 2);
    for (path, given_up) in [("/much", (0, 1)), ("/event", (1, 1))] {
        let get = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let mut first = Raw::connect(&platform, server.address).await;
        first.write(&get).await;
        counted(&platform, &server.counters, |counted| counted.held_bytes > 0).await;
        let mut second = Raw::connect(&platform, server.address).await;
        second.write(&get).await;
        let is_given_up = |counted: &ServerCountersSnapshot| {
            (counted.streams_given_up, counted.answers_given_up) == given_up
        };
        counted(&platform, &server.counters, is_given_up).await;
        let (cut, _) = first.read_to_end().await;
        assert!(cut.len() < MUCH, "{path}: {}", cut.len());
        let (whole, end) = second.read_to_end().await;
        assert_eq!(letters(&whole), MUCH, "{path}");
        assert!(end.is_ok() && (path == "/much" || whole.ends_with(b"0\r\n\r\n")), "{path}");
        counted(&platform, &server.counters, |counted| counted.open == 0).await;
    }
    // What the application keeps anyway costs nothing more for those who do not read it.
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut peer = Raw::connect(&platform, server.address).await;
        peer.write("GET /kept HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        slow.push(peer);
    }
    for mut peer in slow {
        assert_eq!(letters(&peer.read_to_end().await.0), MUCH);
    }
    assert_eq!(server.counters.snapshot().answers_given_up, 1);
}

/// How many bytes of an answer are none of its head.
fn letters(answer: &[u8]) -> usize {
    answer.split(|byte| *byte != b'x').map(<[u8]>::len).max().unwrap_or(0)
}

pub(crate) async fn a_reader_that_holds_the_most_is_cut_comes_back_and_is_told<P: Platform>(
    platform: P,
) {
    const SIZE: usize = 1 << 20;
    let mut config = config();
    config.retention.events = NonZeroUsize::new(2).unwrap();
    // On a network in memory the time of the whole scenario passes at once.
    config.session.stall_timeout = None;
    let application = Application::new(&platform, config);
    let held = SIZE + SIZE / 2;
    let service = Service::start_with(&platform, &application, None, |server| {
        server.with_max_held_bytes(held)
    });
    let mut number = 0;
    // Until a condition holds; what is published then waits for readers that do not read.
    let mut publish_until = async |wanted: &dyn Fn(&ServerCountersSnapshot) -> bool| {
        let mut rounds = 0;
        while !wanted(&service.counters.snapshot()) {
            application.broadcast(format!("{number} {}", "x".repeat(SIZE)));
            number += 1;
            rounds += 1;
            assert!(rounds < 200, "{:?}", service.counters.snapshot());
            for _ in 0..10 {
                let timer = platform.runtime();
                timer.sleep_until(timer.now() + Duration::from_millis(10)).await;
            }
        }
    };
    let mut first = service.source(&platform, "?told=about");
    let live = r#"{"stream":"live","replayed":0,"lost":0,"reason":null}"#;
    assert_eq!(message::<P>(&mut first).await, live);
    publish_until(&|counted| counted.held_bytes > 0).await;
    assert!(service.counters.snapshot().held_bytes < held as u64);
    let mut second = service.source(&platform, "");
    placed::<P>(&mut second).await;
    publish_until(&|counted| counted.streams_given_up == 1).await;
    // Of two that hold as much, the one that has held longer; the other is left alone.
    assert_eq!(application.ended(1).await, [EndReason::GaveWay]);
    let counted = service.counters.snapshot();
    assert!(counted.most_held_bytes <= held as u64, "{counted:?}");
    let published = application.hub.counters().published;

    // Not all that it missed is kept until it reads on.
    for more in 0..3 {
        application.broadcast(format!("{} x", published + more));
    }
    // It gets what had come before, comes back, and is told that something is missing.
    let told = loop {
        let message = message::<P>(&mut first).await;
        if message.starts_with('{') {
            break message;
        }
    };
    assert!(told.starts_with(r#"{"stream":"gap","#), "{told}");
    // Of which two are kept.
    assert_eq!(message::<P>(&mut first).await, format!("{} x", published + 1));
    // The other reader gets whole events, once it reads.
    assert!(message::<P>(&mut second).await.ends_with("xxx"));
    drop((first, second));
}

pub(crate) async fn a_host_that_is_none_is_refused<P: Platform>(platform: P) {
    let server = Echo::start(&platform, 600_000);
    let mut refused = 0;
    for lines in [
        "",
        "host: a\r\nhost: a\r\n",
        "host: a, b\r\n",
        "host: a,b\r\n",
        "host: a b\r\n",
        "host: user@a\r\n",
        "host: :80\r\n",
        "host: a:80:80\r\n",
        "host: a:65536\r\n",
        "host: a:x\r\n",
        "host: [::1\r\n",
        "host: [a]\r\n",
        "host: ::1\r\n",
        "host: b\u{fc}cher.example\r\n",
        "host: a/\r\n",
    ] {
        for target in ["/", "http://a/"] {
            let mut peer = Raw::connect(&platform, server.address).await;
            peer.write(format!("GET {target} HTTP/1.1\r\n{lines}\r\n")).await;
            let (head, _) = answer(&mut peer).await;
            assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{target} {lines}: {head}");
            refused += 1;
        }
    }
    counted(&platform, &server.counters, |counted| counted.bad_requests == refused).await;
    for (target, lines, version) in [
        ("/", "host: a\r\n", "1.1"),
        ("/", "host:\r\n", "1.1"),
        ("/", "host: [::1]:8080\r\n", "1.1"),
        ("http://a.example:80/", "host: b\r\n", "1.1"),
        ("/", "", "1.0"),
    ] {
        let mut peer = Raw::connect(&platform, server.address).await;
        peer.write(format!("GET {target} HTTP/{version}\r\n{lines}\r\n")).await;
        let (head, _) = answer(&mut peer).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{target} {lines}: {head}");
    }
}

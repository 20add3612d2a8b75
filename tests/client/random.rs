//! The client under random calls, and against a server that cuts, refuses, redirects and stalls at
//! random.
//!
//! `SANSSE_CLIENTS` sets how many lives of each kind are tried (10,000 otherwise), `SANSSE_SEED` the
//! first seed.

use crate::kit::client::{Bench, Seen, head, millis, seconds, stream_head};
use crate::kit::random::Random;
use crate::kit::{number, seed};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use sansse::client::{
    Attempt, ClientConfig, CloseReason, NextAttempt, Policy, ReadyState, Sentinel,
};
use sansse::net::FailureKind;
use sansse::{EventId, LastEventId};
use std::time::Duration;

fn seeds() -> std::ops::Range<u64> {
    let first = seed(0);
    first..first + number("SANSSE_CLIENTS").unwrap_or(10_000)
}

/// Names the seed when a test fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed is {}", self.0);
        }
    }
}

fn one_of<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())].clone()
}

fn time(random: &mut Random) -> Option<Duration> {
    let times = [None, Some(0), Some(1), Some(700), Some(10_000), Some(60_000)];
    one_of(random, &times).map(millis)
}

fn config(random: &mut Random) -> ClientConfig {
    let mut config = ClientConfig::new(random.next());
    if random.below(3) == 0 {
        config.policy = Policy::standard();
    }
    config.renew_headers = random.below(3) == 0;
    config.repeatable = random.below(2) == 0;
    config.complete_last_event = random.below(2) == 0;
    config.policy.max_waiting = one_of(random, &[None, None, Some(seconds(20))]);
    config.comments = random.below(2) == 0;
    config.one_shot = random.below(6) == 0;
    config.sentinel = match random.below(6) {
        0 => Some(Sentinel::Data("end".into())),
        1 => Some(Sentinel::EventType(sansse::event_type!("end"))),
        _ => None,
    };
    config.max_unread = one_of(random, &[0, 50, 16 << 20]);
    config.max_error_body = one_of(random, &[0, 10, 8192]);
    config.limits = config.limits.with_max_line(one_of(random, &[8, 1000, 1000]));
    config.policy.max_attempts = one_of(random, &[None, None, Some(3), Some(10)]);
    config.policy.redirects.limit = one_of(random, &[0, 2, 20]);
    config.policy.redirects.next_attempt =
        one_of(random, &[NextAttempt::Original, NextAttempt::Target]);
    if random.below(2) == 0 {
        let timeouts = &mut config.policy.timeouts;
        timeouts.headers = time(random);
        timeouts.response = time(random);
        timeouts.first_byte = time(random);
        timeouts.idle = time(random);
        timeouts.wake = time(random);
        timeouts.error_body = time(random);
        timeouts.total = one_of(random, &[None, None, Some(seconds(500))]);
        config.policy.reconnection.initial = time(random).unwrap_or_default();
    }
    config
}

fn request(random: &mut Random) -> Request<Bytes> {
    let method = one_of(random, &[Method::GET, Method::GET, Method::GET, Method::POST]);
    let url = match random.below(20) {
        0 => "/relative",
        1 => "https://example.org/",
        _ => crate::kit::client::URL,
    };
    Request::builder().method(method).uri(url).body(Bytes::new()).unwrap()
}

fn any_head(random: &mut Random) -> Response<()> {
    match random.below(30) {
        0..22 => stream_head(),
        22 => head(one_of(random, &[100, 103, 204, 206, 304, 401, 404, 429, 503]), &[]),
        23..26 => head(503, &[("retry-after", random.pick(&["3", "x", "99999999999999999999"]))]),
        26 => head(200, &[("content-type", random.pick(&["text/html", "", "text/event-stream;"]))]),
        _ => {
            let location = random.pick(&["", "/a", "b", "//other.example/", "ftp://x", "/events"]);
            let status = one_of(random, &[301, 302, 303, 307, 308]);
            head(status, &[("location", location)])
        }
    }
}

fn any_bytes(random: &mut Random) -> Vec<u8> {
    const PARTS: [&str; 17] = [
        "data: a\n\n",
        "data: end\n\n",
        "event: sansse-notice\n",
        "data: {\"stream\":\"gap\",\"replayed\":0,\"lost\":null,\"reason\":\"lag\"}\n\n",
        "data: {\"stream\":\"ending\",\"replayed\":0,\"lost\":0,\"reason\":null}\n\n",
        "data: {\"stream\":\"refused\",\"replayed\":0,\"lost\":0,\"reason\":\"full\"}\n\n",
        "event: end\n",
        "id: 1\n",
        "id: \u{1}x\n",
        "id\n",
        ":c\n",
        "retry: 5\n",
        "retry: 99999999999\n",
        "data: long enough for a limit\n",
        "\r",
        "\n\n",
        "\u{feff}",
    ];
    (0..random.below(6)).flat_map(|_| random.pick(&PARTS).bytes()).collect()
}

/// What the order of a client's events must be.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Order {
    is_open: bool,
    is_closed: bool,
    /// A request was taken, or headers asked for, and no loss reported.
    is_running: bool,
    /// Attempts can fail before anybody hears of them: the headers for them may not come in time.
    renews_headers: bool,
    asked: Option<Attempt>,
}

impl Order {
    fn check(&mut self, seen: &Seen) {
        assert!(!self.is_closed, "{seen:?} after the end");
        match seen {
            Seen::Open { .. } => {
                assert!(self.is_running && !self.is_open, "one opening for each stream");
                self.is_open = true;
            }
            Seen::Message(_) | Seen::Comment(_) | Seen::Dropped(_) | Seen::Lost { .. } => {
                assert!(self.is_open, "{seen:?} of no stream");
            }
            Seen::HeadersWanted { attempt, .. } => {
                assert!(!self.is_running && self.asked < Some(*attempt));
                self.asked = Some(*attempt);
                self.is_running = true;
            }
            Seen::Retrying { .. } => {
                assert!(self.is_running || self.renews_headers, "one error for each loss");
                self.is_running = false;
                self.is_open = false;
            }
            Seen::Closed(_) => self.is_closed = true,
        }
    }
}

/// A life of random calls, and what it gave.
fn live(seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let config = config(&mut random);
    let mut order = Order { renews_headers: config.renew_headers, ..Order::default() };
    let mut bench = Bench::with(request(&mut random), config);
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut log = Vec::new();
    for _ in 0..random.below(200) {
        // Mostly the present attempt, and now and then one from long ago.
        let attempt = match random.below(4) {
            0 if !attempts.is_empty() => attempts[random.below(attempts.len())],
            _ => match bench.client.attempt().or(order.asked).or(attempts.last().copied()) {
                Some(attempt) => attempt,
                None => match bench.client.poll_request(bench.now) {
                    Some((attempt, _)) => {
                        order.is_running = true;
                        attempts.push(attempt);
                        attempt
                    }
                    None => attempts.last().copied().unwrap_or_else(foreign_attempt),
                },
            },
        };
        let real = bench.now;
        if random.below(10) == 0 {
            bench.now -= seconds(random.below(100) as u64).min(bench.now - bench.start);
        }
        match random.below(30) {
            0..5 => bench.respond(attempt, &any_head(&mut random)),
            5..8 => bench.data(attempt, any_bytes(&mut random)),
            8 => bench.end(attempt),
            9 => {
                use FailureKind::{Closed, Connect, Headers, Truncated};
                let kinds = [Closed, Connect, Headers, Truncated];
                bench.fail(attempt, one_of(&mut random, &kinds));
            }
            10..12 => bench.client.handle_headers(bench.now, attempt, HeaderMap::new()),
            12 => bench.client.wake(bench.now),
            13 if random.below(4) == 0 => bench.client.restart(bench.now),
            14 if random.below(30) == 0 => {
                bench.client.close(bench.now);
                order.is_closed = true;
            }
            15 => bench.pass(millis(random.below(20_000) as u64)),
            16..18 => {
                if let Some(at) = bench.client.poll_timeout() {
                    bench.now = bench.now.max(at);
                    moves(&mut bench);
                }
            }
            18..23 => {
                if let Some((attempt, request)) = bench.client.poll_request(bench.now) {
                    assert!(attempts.last() < Some(&attempt), "an attempt is used twice");
                    assert_eq!(bench.client.attempt(), Some(attempt));
                    check_id(&bench, &request);
                    log.push(format!("{attempt} {request:?}"));
                    attempts.push(attempt);
                    order.is_running = true;
                }
            }
            _ => {
                for _ in 0..random.below(4) {
                    if let Some(seen) = bench.event() {
                        order.check(&seen);
                        log.push(format!("{seen:?}"));
                        check_state(&bench, &seen);
                    }
                }
            }
        }
        bench.now = bench.now.max(real);
        if order.is_closed {
            assert_eq!(bench.client.state(), ReadyState::Closed);
            assert_eq!((bench.event(), bench.client.poll_timeout()), (None, None));
            assert!(bench.client.poll_request(bench.now).is_none());
            assert!(!bench.client.wants_data() && bench.client.attempt().is_none());
        }
    }
    log
}

fn check_id(bench: &Bench, request: &Request<Bytes>) {
    let id = bench.client.last_event_id();
    let header = request.headers().get("last-event-id").map(HeaderValue::as_bytes);
    let beside = request.extensions().get().and_then(LastEventId::id);
    let sent = header.or(beside.map(|id| id.as_str().as_bytes()));
    assert_eq!(sent, Some(id.as_bytes()).filter(|_| !id.is_empty()));
    assert!(header.is_none() || beside.is_none());
}

fn check_state(bench: &Bench, seen: &Seen) {
    let expected = match seen {
        Seen::Open { .. }
        | Seen::Message(_)
        | Seen::Comment(_)
        | Seen::Dropped(_)
        | Seen::Lost { .. } => ReadyState::Open,
        Seen::HeadersWanted { .. } | Seen::Retrying { .. } => ReadyState::Connecting,
        Seen::Closed(_) => ReadyState::Closed,
    };
    assert_eq!(bench.client.state(), expected, "{seen:?}");
}

/// Telling the time at the deadline leaves none that is past, after a few times at most: as many as
/// phases can be over at once.
fn moves(bench: &mut Bench) {
    for _ in 0..4 {
        bench.client.handle_timeout(bench.now);
        if bench.client.poll_timeout().is_none_or(|at| at > bench.now) {
            return;
        }
    }
    panic!("it spins: {:?}", bench.client);
}

/// An attempt of another client, with which this one has nothing to do.
fn foreign_attempt() -> Attempt {
    Bench::new(ClientConfig::new(0)).request().0
}

#[test]
fn random_calls_break_nothing_and_the_same_ones_give_the_same() {
    let (mut outputs, mut closed, mut opened) = (0, 0, 0);
    for seed in seeds() {
        let _named = Named(seed);
        let log = live(seed);
        assert_eq!(log, live(seed));
        outputs += log.len();
        closed += usize::from(log.last().is_some_and(|line| line.starts_with("Closed")));
        opened += log.iter().filter(|line| line.starts_with("Open")).count();
    }
    let lives = seeds().count();
    assert!(outputs > 4 * lives && opened > lives / 2, "too little happens: {outputs} {opened}");
    assert!(closed > lives / 10 && closed < lives * 9 / 10, "{closed}");
}

/// A server with a log of events, from which a client is to get each once and in order.
struct Server {
    random: Random,
    events: usize,
    /// What is left to send to the present attempt.
    stream: Option<(Attempt, Vec<u8>)>,
}

impl Server {
    fn body_from(&mut self, from: usize) -> Vec<u8> {
        let mut body = Vec::new();
        for number in from..self.events {
            match self.random.below(8) {
                0 => body.extend_from_slice(b": keep-alive\n\n"),
                1 => body.extend_from_slice(b"retry: 200\n"),
                2 => body.extend_from_slice(b"\xef\xbb\xbf ignored\n\n"),
                _ => {}
            }
            let line_end = self.random.pick(&["\n", "\r\n", "\r"]);
            let id = number + 1;
            let block = format!("id: {id}{line_end}data: {number}{line_end}{line_end}");
            body.extend_from_slice(block.as_bytes());
        }
        body
    }

    /// Answers a request somehow, and says with what.
    fn answer(&mut self, attempt: Attempt, request: &Request<Bytes>) -> Option<Response<()>> {
        let id = request.headers().get("last-event-id").map(|id| id.to_str().unwrap());
        let from = id.map_or(0, |id| id.parse().unwrap());
        match self.random.below(10) {
            0 => None,
            1 => Some(head(one_of(&mut self.random, &[500, 503, 429]), &[("retry-after", "1")])),
            2 if request.uri().path() == "/events" => {
                Some(head(one_of(&mut self.random, &[302, 307, 308]), &[("location", "other")]))
            }
            _ if from == self.events => Some(head(204, &[])),
            _ => {
                self.stream = Some((attempt, self.body_from(from)));
                Some(stream_head())
            }
        }
    }
}

/// Runs a client against a server until it was told to stay away; gives what came.
fn follow(seed: u64) -> Vec<usize> {
    let mut random = Random(seed);
    let mut config = ClientConfig::new(seed);
    config.renew_headers = random.below(4) == 0;
    config.last_event_id = (random.below(4) == 0).then(|| EventId::new("0").unwrap());
    let mut bench = Bench::new(config);
    let events = 1 + random.below(40);
    let mut server = Server { random: Random(!seed), events, stream: None };
    let mut old = Vec::new();
    let mut received = Vec::new();
    let (mut standing, mut waiting) = (0, 0);
    for _ in 0..100_000 {
        while let Some(seen) = bench.event() {
            match seen {
                Seen::Message(message) => received.push(message.data.parse().unwrap()),
                Seen::Closed(reason) => {
                    assert_eq!(reason, CloseReason::NoContent);
                    return received;
                }
                Seen::HeadersWanted { attempt, .. } if random.below(4) > 0 => {
                    bench.client.handle_headers(bench.now, attempt, HeaderMap::new());
                }
                _ => {}
            }
            // Now and then the caller is slow.
            if random.below(10) == 0 {
                break;
            }
        }
        if let Some((attempt, request)) = bench.client.poll_request(bench.now) {
            if random.below(5) == 0 {
                bench.fail(attempt, FailureKind::Connect);
            } else if let Some(head) = server.answer(attempt, &request) {
                bench.respond(attempt, &head);
            }
            old.push(attempt);
            (standing, waiting) = (0, 0);
            continue;
        }
        // A duplicate of an attempt from long ago says something too.
        if random.below(6) == 0 && old.len() > 1 {
            let late = old[random.below(old.len() - 1)];
            bench.data(late, "id: 999\ndata: 999\n\n");
            bench.end(late);
        }
        let is_read = bench.client.attempt().is_some() && bench.client.wants_data();
        match &mut server.stream {
            Some((attempt, body)) if is_read && bench.client.attempt() == Some(*attempt) => {
                let size = random.below(body.len() + 2).min(body.len());
                let chunk: Vec<u8> = body.drain(..size).collect();
                let attempt = *attempt;
                (standing, waiting) = (0, 0);
                bench.data(attempt, chunk);
                match random.below(12) {
                    0 => bench.end(attempt),
                    1 => bench.fail(attempt, FailureKind::Truncated),
                    2 => bench.client.wake(bench.now),
                    3 if random.below(3) == 0 => bench.client.restart(bench.now),
                    _ if body.is_empty() => bench.end(attempt),
                    _ => bench.now += millis(random.below(3000) as u64),
                }
            }
            _ => match bench.client.poll_timeout() {
                Some(at) => {
                    standing = if at > bench.now { 0 } else { standing + 1 };
                    assert!(standing < 5, "it spins: {:?}", bench.client);
                    waiting = 0;
                    bench.now = bench.now.max(at);
                    bench.client.handle_timeout(bench.now);
                }
                // Only events that were left are a reason not to wait for anything.
                None => waiting += 1,
            },
        }
        assert!(waiting < 50, "it stalls: {:?}", bench.client);
    }
    panic!("it comes to no end: {:?}", bench.client);
}

#[test]
fn each_event_comes_once_and_in_order_through_cuts_refusals_redirects_and_silence() {
    for seed in seeds() {
        let _named = Named(seed);
        let received = follow(seed);
        assert!(!received.is_empty());
        assert!(received.iter().copied().eq(0..received.len()), "{received:?}");
    }
}

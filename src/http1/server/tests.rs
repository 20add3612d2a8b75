//! Tests of what a connection holds, which cannot be seen from outside.

use super::{ServerConnection, ServerConnectionConfig};
use crate::base_instant::base_instant;
use crate::http1::random::Random;
use alloc::vec::Vec;
use bytes::Bytes;
use http::Response;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_holds_no_buffer_while_it_is_idle_or_streams() {
    let now = base_instant();
    let mut server = ServerConnection::new(now, ServerConnectionConfig::default());
    assert_eq!(server.held(), 0);
    for piece in GET.chunks(5) {
        server.handle_data(now, piece);
    }
    server.poll_request().unwrap();
    server.respond(now, Response::new(Bytes::from_static(b"x"))).unwrap();
    while server.poll_transmit(now).is_some() {}
    assert_eq!(server.held(), 0);

    server.handle_data(now, GET);
    let request = server.poll_request().unwrap();
    let head = crate::http::ResponseHead::new().response(request.headers());
    server.respond_stream(now, head).unwrap();
    while server.poll_transmit(now).is_some() {}
    assert_eq!(server.held(), 0);
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<ServerConnection>() <= 320, "{}", size_of::<ServerConnection>());
}

/// Bytes that get further than chance would take them.
fn hostile_bytes(random: &mut Random) -> Vec<u8> {
    const PARTS: [&[u8]; 16] = [
        GET,
        b"POST / HTTP/1.1\r\nHost: a\r\n",
        b"Content-Length: 20\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Expect: 100-continue\r\n",
        b"Last-Event-ID: \x01\r\n",
        b"5\r\nabcde\r\n",
        b"ffffffffffffffff\r\n",
        b"1;extension",
        b"0\r\n\r\n",
        b"\r\n",
        b"\n",
        b"Name",
        b": value",
        b" ",
        b"\xff\x00",
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.below(6) {
        if random.below(4) == 0 {
            bytes.extend((0..random.below(30)).map(|_| u8::try_from(random.below(256)).unwrap()));
        } else {
            bytes.extend_from_slice(PARTS[random.below(PARTS.len())]);
        }
    }
    bytes
}

/// Any bytes, any calls, in any order, with time going both ways.
#[test]
fn whatever_is_called_nothing_panics_and_what_is_held_is_bounded() {
    const HEAD: usize = 120;
    const BODY: usize = 30;
    // The longest that `hostile_bytes` makes in one call.
    const CALL: usize = 6 * 34;
    // A 100 and a refusal, or an answer of the test itself.
    const OUTBOX: usize = 300;
    // Buffers grow by doubling.
    const BOUND: usize = 2 * (HEAD + CALL + BODY) + OUTBOX;
    let base = base_instant();
    let config =
        ServerConnectionConfig::default().with_max_head_size(HEAD).with_max_body_size(BODY);
    let mut requests = 0;
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut server = ServerConnection::new(base, config);
        let mut end = None;
        for _ in 0..random.below(60) {
            let now = base + core::time::Duration::from_millis(random.below(10_100) as u64);
            match random.below(16) {
                0..4 => server.handle_data(now, GET),
                4..6 => server.handle_data(now, &hostile_bytes(&mut random)),
                6..9 => requests += usize::from(server.poll_request().is_some()),
                9..11 => {
                    let status = [100, 200, 204, 304][random.below(4)];
                    let response = Response::builder().status(status).body(Bytes::from_static(GET));
                    let _ = server.respond(now, response.unwrap());
                }
                11..14 => drop(server.poll_transmit(now)),
                14 => server.handle_timeout(now),
                _ => match random.below(8) {
                    0 => server.handle_eof(now),
                    1 => server.drain(now),
                    2 => drop(server.refuse(now, Response::new(Bytes::new()))),
                    3 => drop(server.respond_stream(now, Response::new(()))),
                    _ => {}
                },
            }
            assert!(server.held() <= BOUND, "seed {seed}: {} of {BOUND}", server.held());
            assert!(end.is_none() || server.close_reason() == end, "seed {seed}: an end is final");
            end = server.close_reason();
        }
    }
    assert!(requests > 10_000, "only {requests} requests came through");
}

#[test]
fn a_body_takes_the_memory_that_arrived_and_not_what_was_announced() {
    let now = base_instant();
    let mut server = ServerConnection::new(now, ServerConnectionConfig::default());
    server.handle_data(now, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx");
    assert!(server.held() < 200, "{}", server.held());
}

//! Tests of what an exchange holds, which cannot be seen from outside.

use super::{ClientConnection, ClientConnectionConfig, ResponsePart};
use crate::http1::random::Random;
use alloc::vec::Vec;
use bytes::Bytes;
use http::Request;

fn client(config: ClientConnectionConfig) -> ClientConnection {
    let request = Request::get("http://a/").body(Bytes::new()).unwrap();
    ClientConnection::new(&request, config).unwrap()
}

#[test]
fn a_stream_that_is_silent_keeps_no_buffer() {
    let mut client = client(ClientConnectionConfig::default());
    assert_eq!(client.held(), 0);
    client.handle_data(b"HTTP/1.1 200 OK\r\nTransfer-");
    client.handle_data(b"Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    while client.poll_response().is_some() {}
    assert_eq!(client.held(), 0);
    client.handle_data(b"6;extension\r\nhello");
    while client.poll_response().is_some() {}
    assert_eq!(client.held(), 0);
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<ClientConnection>() <= 256, "{}", size_of::<ClientConnection>());
}

#[test]
fn a_body_takes_the_memory_that_arrived_and_not_what_was_announced() {
    for framing in
        ["Content-Length: 1000000\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\nfffff\r\nx"]
    {
        let mut client = client(ClientConnectionConfig::default());
        client.handle_data(b"HTTP/1.1 200 OK\r\n");
        client.handle_data(framing.as_bytes());
        assert!(client.held() < 100, "{}", client.held());
    }
}

/// Bytes that get further than chance would take them.
fn hostile_bytes(random: &mut Random) -> Vec<u8> {
    const PARTS: [&[u8]; 16] = [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 404 \r\n",
        b"Content-Length: 20\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"X: \x01\r\n",
        b"5\r\nabcde\r\n",
        b"ffffffffffffffff\r\n",
        b"1;extension",
        b"0\r\n\r\n",
        b"\r\n",
        b"\r\n ",
        b"\n",
        b"Name: value",
        b"\xff\x00",
        b"\r\n\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.below(6) {
        if random.below(6) == 0 {
            bytes.extend((0..random.below(30)).map(|_| u8::try_from(random.below(256)).unwrap()));
        } else {
            bytes.extend_from_slice(PARTS[random.below(PARTS.len())]);
        }
    }
    bytes
}

/// Any bytes and any calls in any order.
#[test]
fn whatever_is_called_nothing_panics_and_what_is_held_is_bounded() {
    const HEAD: usize = 120;
    // The longest that `hostile_bytes` makes in one call.
    const CALL: usize = 6 * 32;
    const UNREAD: usize = 300;
    // Buffers grow by doubling.
    const BOUND: usize = 2 * (HEAD + CALL + UNREAD);
    let config = ClientConnectionConfig::default().with_max_head_size(HEAD).with_max_unread(UNREAD);
    let (mut heads, mut ends, mut errors) = (0, 0, 0);
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let mut client = client(config);
        if random.below(4) > 0 {
            client.handle_data(b"HTTP/1.1 200 OK\r\n");
        }
        let mut is_over = false;
        for _ in 0..random.below(40) {
            match random.below(16) {
                0..8 => client.handle_data(&hostile_bytes(&mut random)),
                8..14 => {
                    let part = client.poll_response();
                    assert!(part.is_none() || !is_over, "seed {seed}: an error is final");
                    match part {
                        Some(Ok(ResponsePart::Head(_))) => heads += 1,
                        Some(Ok(ResponsePart::End)) => ends += 1,
                        Some(Err(_)) => {
                            is_over = true;
                            errors += 1;
                        }
                        _ => {}
                    }
                }
                14 => drop(client.poll_transmit()),
                _ if random.below(4) == 0 => client.handle_eof(),
                _ => {}
            }
            assert!(client.held() <= BOUND, "seed {seed}: {} of {BOUND}", client.held());
        }
    }
    assert!(heads > 2_000 && ends > 500 && errors > 5_000, "{heads} {ends} {errors}");
}

#[test]
fn an_endless_head_holds_no_more_than_its_limit() {
    let mut client = client(ClientConnectionConfig::default());
    client.handle_data(b"HTTP/1.1 200 OK\r\nA: ");
    let mut most = 0;
    for _ in 0..1_000 {
        client.handle_data(&[b'x'; 1_000]);
        most = most.max(client.held());
    }
    assert!(most > 10_000 && most <= 2 * 17_384, "{most}");
    assert_eq!(client.held(), 0);
}

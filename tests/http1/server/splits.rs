//! Any split of the same bytes gives the same requests and the same answers.

use crate::kit::base_instant;
use crate::kit::random::Random;
use bytes::Bytes;
use http::Response;
use sansse::http1::{ServerCloseReason, ServerConnection, ServerConnectionConfig};

/// All that can be told of a connection from outside.
#[derive(Debug, PartialEq)]
struct Transcript {
    requests: Vec<String>,
    written: Vec<u8>,
    reason: Option<ServerCloseReason>,
}

/// Feeds `bytes` in pieces whose sizes `next_size` gives, answers every
/// request with what it said, and ends.
fn transcript(bytes: &[u8], mut next_size: impl FnMut() -> usize) -> Transcript {
    let now = base_instant();
    let config = ServerConnectionConfig::default()
        .with_max_head_size(200)
        .with_max_headers(5)
        .with_max_body_size(50);
    let mut server = ServerConnection::new(now, config);
    let mut transcript = Transcript { requests: Vec::new(), written: Vec::new(), reason: None };
    let mut rest = bytes;
    loop {
        while let Some(bytes) = server.poll_transmit(now) {
            transcript.written.extend_from_slice(&bytes);
        }
        if let Some(request) = server.poll_request() {
            let said = format!("{request:?}");
            transcript.requests.push(said.clone());
            server.respond(now, Response::new(Bytes::from(said))).unwrap();
        } else if server.close_reason().is_some() {
            transcript.reason = server.close_reason();
            return transcript;
        } else if rest.is_empty() {
            server.handle_eof(now);
        } else {
            assert!(server.wants_data(), "a driver would wait for ever");
            let (piece, after) = rest.split_at(next_size().clamp(1, rest.len()));
            server.handle_data(now, piece);
            rest = after;
        }
    }
}

/// Requests one after another, most of them good, with some bytes broken.
fn hostile_requests(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(4) {
        let mut text = String::new();
        text += random.pick(&["", "", "", "\r\n", "\r\n\r\n\r\n"]);
        text += random.pick(&["GET", "POST", "HEAD", "OPTIONS"]);
        text +=
            random.pick(&[" / ", " / ", " /a?b ", " /a?b ", " http://b/ ", " http://b/ ", " * "]);
        text += random.pick(&[&["HTTP/1.1"; 9][..], &["HTTP/1.0", "HTTP/2.0"]].concat());
        text += "\r\nHost: a\r\n";
        for _ in 0..random.below(4) {
            text += random.pick(&[
                "A: b\r\n",
                "Connection: keep-alive\r\n",
                "Connection: close\r\n",
                "Expect: 100-continue\r\n",
                "Last-Event-ID: a\x01\r\n",
                "Cookie: 01234567890123456789012345678901234567890123456789012345\r\n",
            ]);
        }
        text += random.pick(&[
            "\r\n",
            "\r\n",
            "Content-Length: 3\r\n\r\nabc",
            "Content-Length: 51\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n00b\r\n0123456789a\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n20\r\n01234567890123456789012345678901\r\n\
             20\r\n01234567890123456789012345678901\r\n0\r\n\r\n",
        ]);
        bytes.extend_from_slice(text.as_bytes());
    }
    if random.below(3) == 0 {
        let position = random.below(bytes.len());
        let broken = random.pick(&["\r", "\n", "\0", " ", ":", "\u{7f}", "0", ";"]);
        bytes[position] = broken.as_bytes()[0];
    }
    if random.below(8) == 0 {
        bytes.truncate(random.below(bytes.len()));
    }
    bytes
}

#[test]
fn any_split_gives_the_same_requests_and_the_same_answers() {
    let mut good = 0;
    let mut bad = 0;
    for seed in 0..5_000 {
        let mut random = Random(seed);
        let bytes = hostile_requests(&mut random);
        let whole = transcript(&bytes, || usize::MAX);
        let context = || format!("seed {seed}: {}", bytes.escape_ascii());
        assert_eq!(transcript(&bytes, || 1), whole, "{}", context());
        for _ in 0..4 {
            let largest = 1 + random.below(40);
            let split = transcript(&bytes, || 1 + random.below(largest));
            assert_eq!(split, whole, "{}", context());
        }
        good += usize::from(!whole.requests.is_empty());
        bad += usize::from(matches!(whole.reason, Some(ServerCloseReason::BadRequest(_))));
    }
    assert!(good > 1_000 && bad > 1_000, "{good} with requests and {bad} with errors");
}

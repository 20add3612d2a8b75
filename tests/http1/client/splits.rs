//! Any split of the same bytes gives the same response.

use super::{Received, client_for, read};
use crate::kit::random::Random;
use http::Method;
use sansse::http1::{ClientConnectionConfig, ResponseError};

/// A response, most of the time a good one.
fn hostile_response(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..random.below(3) {
        text +=
            random.pick(&["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 X\r\nA: b\r\n\r\n"]);
    }
    text += random.pick(&[&["HTTP/1.1"; 9][..], &["HTTP/1.0", "HTTP/2.0"]].concat());
    text += random.pick(&[" 200 OK", " 200", " 204 No Content", " 404 ", " 503 X", " 101 X"]);
    text += "\r\n";
    for _ in 0..random.below(4) {
        text += random.pick(&[
            "A: b\r\n",
            "Content-Type: text/event-stream\r\n",
            "A: b\r\n c\r\n",
            "X: \x01\r\n",
            "X: é\r\n",
            "Cookie: 01234567890123456789012345678901234567890123456789012345\r\n",
        ]);
    }
    text += random.pick(&[
        "\r\n",
        "\r\ndata: until the end\n\n",
        "Content-Length: 3\r\n\r\nabc",
        "Content-Length: 3\r\n\r\nab",
        "Content-Length: 3\r\n\r\nabcd",
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n00b\r\n0123456789a\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP",
        "Transfer-Encoding: chunked\r\n\r\n20\r\n01234567890123456789012345678901\r\n",
        "Transfer-Encoding: gzip\r\n\r\n",
    ]);
    let mut bytes = text.into_bytes();
    if random.below(4) == 0 {
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
fn any_split_gives_the_same_response() {
    let config = ClientConnectionConfig::default()
        .with_max_head_size(150)
        .with_max_headers(4)
        .with_max_interim_responses(1);
    let mut ended = 0;
    let mut errors = Vec::new();
    for seed in 0..10_000 {
        let mut random = Random(seed);
        let bytes = hostile_response(&mut random);
        let method = if random.below(8) == 0 { Method::HEAD } else { Method::GET };
        let client = || client_for(method.clone(), config);
        let said = |received: &Received| format!("{received:?}");
        let whole = read(&mut client(), &bytes, || usize::MAX);
        let context = || format!("seed {seed}: {}", bytes.escape_ascii());
        assert_eq!(said(&read(&mut client(), &bytes, || 1)), said(&whole), "{}", context());
        for _ in 0..4 {
            let largest = 1 + random.below(40);
            let split = read(&mut client(), &bytes, || 1 + random.below(largest));
            assert_eq!(said(&split), said(&whole), "{}", context());
        }
        assert!(whole.ended || whole.error.is_some(), "{}", context());
        ended += usize::from(whole.ended);
        if let Some(error) = whole.error
            && !errors.contains(&error)
        {
            errors.push(error);
        }
    }
    assert!(ended > 2_000, "{ended} ended");
    assert!(errors.contains(&ResponseError::ExcessBytes), "{errors:?}");
    assert!(errors.len() > 15, "{errors:?}");
}

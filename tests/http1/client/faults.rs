//! What a peer may do wrong, and what is said of it.

use super::{Received, client_for, read};
use http::Method;
use sansse::Fault;
use sansse::http1::{ChunkedError, ClientConnectionConfig, ResponseError};

/// These bytes and their end give this error, byte by byte too. Returns what
/// came before it.
#[track_caller]
fn fails_with(config: ClientConnectionConfig, bytes: &[u8], error: ResponseError) -> Received {
    let [whole, split] = [usize::MAX, 1].map(|size| {
        let mut client = client_for(Method::GET, config);
        read(&mut client, bytes, || size)
    });
    for received in [&whole, &split] {
        assert_eq!(received.error, Some(error), "{}", bytes.escape_ascii());
    }
    assert_eq!((&whole.body, whole.ended), (&split.body, split.ended));
    assert_eq!(error.fault(), Fault::Peer);
    whole
}

/// So do these, before any head.
#[track_caller]
fn fail(error: ResponseError, answers: &[&[u8]]) {
    for answer in answers {
        let received = fails_with(ClientConnectionConfig::default(), answer, error);
        assert!(received.head.is_none(), "{}", answer.escape_ascii());
    }
}

/// So does a head with these lines.
#[track_caller]
fn fail_lines(error: ResponseError, lines: &[&str]) {
    for lines in lines {
        fail(error, &[format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n").as_bytes()]);
    }
}

/// So does this body, behind a head that said how it is framed.
#[track_caller]
fn fails_in_body(framing: &str, body: &str, error: ResponseError) -> Received {
    let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}");
    let received = fails_with(ClientConnectionConfig::default(), answer.as_bytes(), error);
    assert!(received.head.is_some(), "{answer}");
    received
}

const CHUNKED: &str = "Transfer-Encoding: chunked";

#[test]
fn a_connection_that_ends_before_the_head_does() {
    fail(ResponseError::NoResponse, &[b"", b"HTTP/1.1 100 Continue\r\n\r\n"]);
    fail(
        ResponseError::TruncatedHead,
        &[
            b"H",
            b"HTTP/1.1 200 OK\r\nA: b\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        ],
    );
}

#[test]
fn what_is_not_http_is_seen_at_its_first_byte() {
    fail(
        ResponseError::NotHttp,
        &[
            b"<!DOCTYPE html><title>HTTP/0.9</title>",
            b"data: hello\n\n",
            b"SSH-2.0-server\r\n",
            b"ICY 200 OK\r\n\r\n",
            b"http/1.1 200 OK\r\n\r\n",
            b"\r\nHTTP/1.1 200 OK\r\n\r\n",
            b" HTTP/1.1 200 OK\r\n\r\n",
            b"\xef\xbb\xbfHTTP/1.1 200 OK\r\n\r\n",
            b"\x15\x03\x01\x00\x02\x02\x16",
            b"\0\0\x12\x04\0\0\0\0\0",
            b"HTTPS/1.1 200 OK\r\n\r\n",
            b"HTTP 200 OK\r\n\r\n",
            b"\0",
        ],
    );
    for (bytes, error) in [
        (&b"HTTP+"[..], ResponseError::NotHttp),
        (b"HTTP/2", ResponseError::Version),
        (b"HTTP/1.10", ResponseError::StatusLine),
    ] {
        let mut client = client_for(Method::GET, ClientConnectionConfig::default());
        client.handle_data(&bytes[..bytes.len() - 1]);
        assert!(client.poll_response().is_none());
        client.handle_data(&bytes[bytes.len() - 1..]);
        assert_eq!(client.poll_response().unwrap().unwrap_err(), error);
        assert!(client.poll_response().is_none() && !client.wants_data());
    }
}

#[test]
fn other_versions_are_not_spoken() {
    fail(
        ResponseError::Version,
        &[
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.2 200 OK\r\n\r\n",
            b"HTTP/0.9 200 OK\r\n\r\n",
            b"HTTP/11 200 OK\r\n\r\n",
            b"HTTP/ 1.1 200 OK\r\n\r\n",
        ],
    );
}

#[test]
fn a_status_line_has_a_status() {
    fail(
        ResponseError::StatusLine,
        &[
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 \r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1\t200 OK\r\n\r\n",
            b"HTTP/1.10 200 OK\r\n\r\n",
            b"HTTP/1.1 20\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 099 OK\r\n\r\n",
            b"HTTP/1.1 +20 OK\r\n\r\n",
            b"HTTP/1.1 2x0 OK\r\n\r\n",
            b"HTTP/1.1 200\tOK\r\n\r\n",
            b"HTTP/1.1 200 O\x01K\r\n\r\n",
            b"HTTP/1.1 200 O\0K\r\n\r\n",
            b"HTTP/1.1 200 O\rK\r\n\r\n",
        ],
    );
}

#[test]
fn header_names_are_names() {
    fail_lines(
        ResponseError::HeaderName,
        &[
            "A : b",
            "A\t: b",
            "A b: c",
            ": b",
            "A(: b",
            "A",
            "A\r\nB: c",
            "é: b",
            "A\0: b",
            " A: b",
            "\tA: b\r\nB: c",
            "\rA: b",
            "Content-Length : 2",
            "Content-Length : \x01",
        ],
    );
}

#[test]
fn header_values_hold_neither_nul_nor_a_lone_cr() {
    fail_lines(
        ResponseError::HeaderValue,
        &[
            "A: \0",
            "A: b\0c\x01",
            "A: b\rc",
            "A: b\rContent-Length: 3",
            "A: b\r\r\n c",
            "A: b\r\nC: \x01\r\nD: \0",
        ],
    );
}

#[test]
fn where_the_body_ends_is_said_plainly_or_not_at_all() {
    fail_lines(
        ResponseError::HeaderValue,
        &[
            "Content-Length: 3\x01",
            "A: \x01\r\ncontent-length: \x7f3",
            "Transfer-Encoding: chunked\x0b",
        ],
    );
    fail_lines(
        ResponseError::ContentLength,
        &[
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 1, 2",
            "Content-Length: 1,",
            "Content-Length: 1,,1",
            "Content-Length: 1 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 1x",
            "Content-Length: 0x1",
            "Content-Length: 1.0",
            "Content-Length:",
            "Content-Length: \u{661}",
            "Content-Length: 18446744073709551616",
            "Content-Length: 1\r\n 2",
            "Content-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        ],
    );
    fail_lines(
        ResponseError::LengthAndCoding,
        &[
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "Transfer-Encoding: identity\r\nContent-Length: 5",
        ],
    );
    fail_lines(
        ResponseError::TransferCoding,
        &[
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chun\r\n ked",
            "Transfer-Encoding:",
        ],
    );
    fail(
        ResponseError::CodingOnHttp10,
        &[b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    );
}

#[test]
fn a_head_has_limits() {
    let head = |value: usize| {
        format!("HTTP/1.1 200 OK\r\nA: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(value))
    };
    let config = ClientConnectionConfig::default().with_max_head_size(100);
    let fits = head(100 - head(0).len());
    let received = read(&mut client_for(Method::GET, config), fits.as_bytes(), || 7);
    assert_eq!((fits.len(), received.ended, received.error), (100, true, None));
    fails_with(config, head(101 - head(0).len()).as_bytes(), ResponseError::HeadTooLarge);
    let endless = ["HTTP/1.1 200 ", &"x".repeat(16 * 1024)].concat();
    fail(ResponseError::HeadTooLarge, &[endless.as_bytes()]);

    let lines = |count| format!("HTTP/1.1 204 X\r\n{}", "A: b\r\n".repeat(count));
    let received = read(
        &mut client_for(Method::GET, ClientConnectionConfig::default()),
        (lines(100) + "\r\n").as_bytes(),
        || usize::MAX,
    );
    assert_eq!(received.head.unwrap().headers().get_all("a").iter().count(), 100);
    fail(ResponseError::TooManyHeaders, &[lines(101).as_bytes()]);
    let config = ClientConnectionConfig::default().with_max_headers(3);
    fails_with(config, lines(4).as_bytes(), ResponseError::TooManyHeaders);
}

#[test]
fn interim_responses_have_a_limit_and_do_not_use_up_that_of_a_head() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n";
    let last = "HTTP/1.1 204 No Content\r\n\r\n";
    let config = ClientConnectionConfig::default().with_max_head_size(30);
    let answer = interim.repeat(16) + last;
    let received = read(&mut client_for(Method::GET, config), answer.as_bytes(), || usize::MAX);
    assert_eq!((received.ended, received.error), (true, None));
    fail(ResponseError::TooManyInterim, &[(interim.repeat(17) + last).as_bytes()]);
    let none = ClientConnectionConfig::default().with_max_interim_responses(0);
    fails_with(none, (String::from(interim) + last).as_bytes(), ResponseError::TooManyInterim);
}

#[test]
fn nobody_switches_protocols() {
    fail(
        ResponseError::SwitchingProtocols,
        &[b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\0\0"],
    );
}

#[test]
fn a_broken_chunk_ends_the_body() {
    for (body, error) in [
        ("x\r\n", ChunkedError::Size),
        ("\r\n", ChunkedError::Size),
        ("-1\r\n", ChunkedError::Size),
        ("1\r\nab", ChunkedError::LineEnd),
        ("\n", ChunkedError::Size),
        ("1 x\n", ChunkedError::Size),
        ("ffffffffffffffff0\r\n", ChunkedError::SizeTooLarge),
        ("1;\x01\r\na\r\n", ChunkedError::Extension),
        ("0\r\nno field\r\n", ChunkedError::Trailer),
    ] {
        let error = ResponseError::Chunked(error);
        assert_eq!(
            fails_in_body(CHUNKED, body, error).body.len(),
            usize::from(body.ends_with("ab"))
        );
        let received = fails_in_body(CHUNKED, &format!("2\r\nhi\r\n{body}"), error);
        assert!(received.body.starts_with(b"hi"), "what was good before it comes out");
        assert!(!received.ended);
    }
    let extensions = format!("1;{}\r\na\r\n", "x".repeat(4 * 1024 + 1));
    fails_in_body(CHUNKED, &extensions, ResponseError::Chunked(ChunkedError::ExtensionsTooLong));
    let trailers = format!("0\r\na:{}\r\n\r\n", "x".repeat(8 * 1024));
    fails_in_body(CHUNKED, &trailers, ResponseError::Chunked(ChunkedError::TrailersTooLong));
}

#[test]
fn a_body_that_is_cut_off_is_told_from_one_that_ended() {
    let truncated = ResponseError::TruncatedBody;
    assert_eq!(fails_in_body("Content-Length: 5", "hell", truncated).body, b"hell");
    assert_eq!(fails_in_body("Content-Length: 5", "", truncated).body, b"");
    fails_in_body("Content-Length: 18446744073709551615", "hello", truncated);
    for body in ["", "5", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\n\r"] {
        fails_in_body(CHUNKED, body, truncated);
    }
    fails_in_body(CHUNKED, "ffffffffffffffff\r\nhello", truncated);
}

#[test]
fn bytes_behind_the_end_are_told_after_it() {
    for (framing, body) in [
        ("Content-Length: 5", "hello!"),
        ("Content-Length: 5", "hello\r\n"),
        (CHUNKED, "5\r\nhello\r\n0\r\n\r\n!"),
    ] {
        let received = fails_in_body(framing, body, ResponseError::ExcessBytes);
        assert_eq!((received.body.as_slice(), received.ended), (&b"hello"[..], true));
    }
    let received = fails_with(
        ClientConnectionConfig::default(),
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
        ResponseError::ExcessBytes,
    );
    assert!(received.head.is_some() && received.ended && received.body.is_empty());
}

#[test]
fn an_overrun_is_the_callers_fault() {
    assert_eq!(ResponseError::Overrun.fault(), Fault::Caller);
}

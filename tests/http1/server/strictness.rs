//! What is refused, and with which status.

use super::{Connection, GET};
use sansse::Fault;
use sansse::http1::{ChunkedError, RefusedRequest, ServerCloseReason, ServerConnectionConfig};

/// The request is refused with the status of `error`, byte by byte too, and
/// the connection closed.
#[track_caller]
fn refused(config: ServerConnectionConfig, bytes: &[u8], error: RefusedRequest) {
    for size in [bytes.len(), 1] {
        let mut connection = Connection::with(config);
        for piece in bytes.chunks(size) {
            connection.send(piece);
        }
        assert!(
            connection.server.poll_request().is_none(),
            "{:?}",
            bytes.escape_ascii().to_string()
        );
        let status = error.status();
        let written = connection.written();
        let text = format!("{error}\n");
        assert_eq!(
            written,
            format!(
                "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{text}",
                status.as_str(),
                status.canonical_reason().unwrap(),
                text.len(),
            ),
            "{}",
            bytes.escape_ascii()
        );
        let reason = connection.closed_by_both();
        assert_eq!(reason, ServerCloseReason::BadRequest(error));
        assert_eq!(reason.fault(), Fault::Peer);
    }
}

#[track_caller]
fn refuses(error: RefusedRequest, requests: &[&str]) {
    for request in requests {
        refused(ServerConnectionConfig::default(), request.as_bytes(), error);
    }
}

/// A head with these lines after `Host`.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

#[track_caller]
fn refuses_headers(error: RefusedRequest, lines: &[&str]) {
    for lines in lines {
        refused(ServerConnectionConfig::default(), with(lines).as_bytes(), error);
    }
}

#[test]
fn a_request_line_has_three_parts_and_single_spaces() {
    refuses(
        RefusedRequest::Syntax,
        &[
            "hello\r\n\r\n",
            "GET /\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n",
            "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
}

#[test]
fn a_tls_handshake_is_not_taken_for_a_request() {
    refused(
        ServerConnectionConfig::default(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        RefusedRequest::Syntax,
    );
}

#[test]
fn other_versions_are_not_spoken() {
    refuses(
        RefusedRequest::Version,
        &[
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ],
    );
}

#[test]
fn lines_end_with_cr_and_lf() {
    refuses(
        RefusedRequest::BareLineFeed,
        &[
            "GET / HTTP/1.1\n",
            "GET / HTTP/1.1\r\nHost: a\n",
            "\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
        ],
    );
    refuses_headers(RefusedRequest::HeaderValue, &["A: b\rc", "A: b\rB: c"]);
}

#[test]
fn more_empty_lines_than_two_are_no_request() {
    let request = format!("\r\n\r\n\r\n{GET}");
    refused(ServerConnectionConfig::default(), request.as_bytes(), RefusedRequest::EmptyLines);
}

#[test]
fn header_names_are_names_and_lines_are_not_continued() {
    refuses_headers(
        RefusedRequest::HeaderName,
        &[
            "A : b",
            "A\t: b",
            "A b: c",
            ": b",
            "A(: b",
            "A",
            "A\r\nB: c",
            "A: b\r\n c: d",
            "A: b\r\n\tc",
            "é: b",
            "A\0: b",
        ],
    );
    refuses(RefusedRequest::HeaderName, &["GET / HTTP/1.1\r\n Host: a\r\n\r\n"]);
}

#[test]
fn header_values_hold_no_control_characters() {
    refuses_headers(RefusedRequest::HeaderValue, &["A: \0", "A: b\x01", "A: \x7f", "A: b\x0bc"]);
}

#[test]
fn host_is_there_once_and_is_a_host() {
    refuses(
        RefusedRequest::Host,
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
        ],
    );
    for host in [
        ":80",
        "a,b",
        "a, a",
        "a@",
        "a:x",
        "a:-1",
        "a:65536",
        "a:80:80",
        "::1",
        "[::1",
        "[::1]x",
        "[]",
        "[a]",
        "[fe80::1%25eth0]",
        "a%zz",
        "b\u{fc}cher.example",
        "http://a",
        "a\"b",
        "a\\b",
        "*:*",
    ] {
        for version in ["1.0", "1.1"] {
            refuses(
                RefusedRequest::Host,
                &[&format!("GET / HTTP/{version}\r\nHost: {host}\r\n\r\n")],
            );
        }
        // The target that names another takes its place, but does not make it good.
        refuses(
            RefusedRequest::Host,
            &[&format!("GET http://a/ HTTP/1.1\r\nHost: {host}\r\n\r\n")],
        );
    }
    for host in ["", "a", "[::1]:80", "a.example:8080", "a:", "a_b", "A%2db", "999.9.9.9", "[v1.a]"]
    {
        let request =
            Connection::after(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).request();
        assert_eq!(request.headers()["host"], host);
    }
    Connection::after("GET / HTTP/1.0\r\n\r\n").request();
}

#[test]
fn the_host_that_a_target_names_is_one_and_takes_the_place_of_the_header() {
    for host in ["a", "a:8080", "[::1]:80", "a_b", "192.0.2.1"] {
        let head = format!("GET http://{host}/ HTTP/1.1\r\nHost: other\r\n\r\n");
        assert_eq!(Connection::after(head).request().headers()["host"], host);
    }
    for host in
        ["", ":80", "a,b", "user@a", "a:x", "a:65536", "a:1:2", "[a]", "[]", "[::1", "a%zz", "a\"b"]
    {
        refuses(
            RefusedRequest::Target,
            &[&format!("GET http://{host}/ HTTP/1.1\r\nHost: a\r\n\r\n")],
        );
    }
}

#[test]
fn targets_have_a_form_that_goes_with_the_method() {
    refuses(
        RefusedRequest::Target,
        &[
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#top HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:///path HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
    refuses(
        RefusedRequest::Connect,
        &["CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"],
    );
}

#[test]
fn a_length_is_said_once_and_is_a_number() {
    refuses_headers(
        RefusedRequest::ContentLength,
        &[
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 1x",
            "Content-Length: 0x1",
            "Content-Length:",
            "Content-Length: 18446744073709551616",
        ],
    );
}

#[test]
fn a_body_has_one_framing_only() {
    refuses_headers(
        RefusedRequest::LengthAndCoding,
        &[
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "Transfer-Encoding: gzip\r\nContent-Length: 0",
        ],
    );
    refuses_headers(
        RefusedRequest::TransferCoding,
        &[
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
        ],
    );
    refuses(
        RefusedRequest::CodingOnHttp10,
        &["POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
    );
}

#[test]
fn other_expectations_fail() {
    refuses_headers(
        RefusedRequest::Expectation,
        &["Expect: 101", "Expect: 100-continue, x", "Expect:", "Expect: 100-continue\r\nExpect: x"],
    );
}

#[test]
fn a_broken_chunk_is_refused() {
    for (body, error) in [
        ("x\r\n", ChunkedError::Size),
        ("\r\n", ChunkedError::Size),
        ("1\r\nab", ChunkedError::LineEnd),
        ("1\n", ChunkedError::Size),
        ("1 \r\na\r\n0\r\n\r\n", ChunkedError::Size),
        ("1\r\na\n0\r\n\r\n", ChunkedError::LineEnd),
        ("11112222333344445\r\n", ChunkedError::SizeTooLarge),
        ("0\r\nno field\r\n", ChunkedError::Trailer),
    ] {
        let request = with("Transfer-Encoding: chunked") + body;
        refused(
            ServerConnectionConfig::default(),
            request.as_bytes(),
            RefusedRequest::Chunked(error),
        );
    }
}

#[test]
fn a_head_over_its_limit_is_refused_as_soon_as_it_is() {
    let config = ServerConnectionConfig::default().with_max_head_size(100);
    let fits = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(68));
    assert_eq!(fits.len(), 100);
    let mut connection = Connection::with(config);
    connection.send(&fits);
    connection.request();

    let over = fits.replace("A: ", "A: x");
    refused(config, over.as_bytes(), RefusedRequest::HeadTooLarge);
    refused(config, "x".repeat(100).as_bytes(), RefusedRequest::HeadTooLarge);
    refused(ServerConnectionConfig::default(), &[b'x'; 16 * 1024], RefusedRequest::HeadTooLarge);
}

#[test]
fn more_headers_than_the_limit_are_refused() {
    let head = |lines| format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "A: b\r\n".repeat(lines));
    Connection::after(head(99) + "\r\n").request();
    refused(
        ServerConnectionConfig::default(),
        head(100).as_bytes(),
        RefusedRequest::TooManyHeaders,
    );
}

#[test]
fn a_body_over_its_limit_is_refused_before_it_is_read() {
    let config = ServerConnectionConfig::default().with_max_body_size(10);
    let mut fits = Connection::with(config);
    fits.send(with("Content-Length: 10") + "0123456789");
    assert_eq!(fits.request().body(), "0123456789");
    let mut fits = Connection::with(config);
    fits.send(with("Transfer-Encoding: chunked") + "a\r\n0123456789\r\n0\r\n\r\n");
    assert_eq!(fits.request().body(), "0123456789");

    for announced in [
        with("Content-Length: 11"),
        with("Content-Length: 18446744073709551615"),
        with("Content-Length: 11\r\nExpect: 100-continue"),
        with("Transfer-Encoding: chunked") + "8\r\n01234567\r\n3\r\n012",
        with("Transfer-Encoding: chunked") + "fffffffffffffff\r\n0123456789a",
    ] {
        refused(config, announced.as_bytes(), RefusedRequest::BodyTooLarge);
    }
    refused(
        ServerConnectionConfig::default(),
        with("Content-Length: 1048577").as_bytes(),
        RefusedRequest::BodyTooLarge,
    );
}

#[test]
fn a_head_request_that_is_refused_gets_no_body() {
    let mut connection = Connection::after("HEAD / HTTP/1.1\r\n\r\n");
    let written = connection.written();
    assert!(written.starts_with("HTTP/1.1 400 "));
    assert!(written.ends_with("\r\n\r\n"));
}

#[test]
fn what_is_wrong_with_a_pipelined_request_does_not_touch_the_one_before() {
    let mut connection = Connection::after(format!("{GET}nonsense\r\n\r\n"));
    connection.request();
    connection.answer("");
    let written = connection.written();
    assert!(written.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 400 "));
    assert_eq!(connection.closed_by_both(), ServerCloseReason::BadRequest(RefusedRequest::Syntax));
}

#[test]
fn what_cannot_begin_a_request_is_refused_at_its_first_byte() {
    for bytes in [&b"\x16\x03\x01"[..], b"\x80", b"\0", "é".as_bytes()] {
        refused(ServerConnectionConfig::default(), bytes, RefusedRequest::Syntax);
    }
}

//! Responses as they should be, and as they may be.

use super::{Received, body_of, client_for, read, response};
use http::{Method, StatusCode, Version};
use sansse::http1::{ClientConnectionConfig, ResponseError, ResponsePart};

#[test]
fn a_response_comes_out_with_what_it_says() {
    let received = response(
        "HTTP/1.1 200 Fine\r\nContent-Type: text/event-stream\r\nX-Two:  one \r\n\
         x-two:\ttwo\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello",
    );
    let head = received.head.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.version(), Version::HTTP_11);
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    let values: Vec<_> = head.headers().get_all("x-two").iter().collect();
    assert_eq!(values, ["one", "two"]);
    assert_eq!(head.headers()["x-empty"], "");
    assert_eq!(received.body, b"hello");
    assert!(received.ended);
}

#[test]
fn lines_may_end_with_lf_alone_and_spaces_stand_behind_the_size_of_a_chunk() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n  c\r\nB: \u{1}\r\n\
        Transfer-Encoding: chunked\r\n\r\n6  \r\nhello \r\n5\r\nworld\r\n0 \r\n\r\n";
    for answer in
        [answer.to_owned(), answer.replace("\r\n", "\n"), answer.replacen("\r\n", "\n", 4)]
    {
        for size in [1, 2, 3, 7, usize::MAX] {
            let mut client = client_for(Method::GET, ClientConnectionConfig::default());
            let received = read(&mut client, answer.as_bytes(), || size);
            assert_eq!((received.error, received.ended), (None, true), "{answer:?} by {size}");
            assert_eq!(received.body, b"hello world");
            let headers = received.head.unwrap().headers().clone();
            assert_eq!(
                headers["a"].to_str().unwrap().split_whitespace().collect::<Vec<_>>(),
                ["b", "c"]
            );
            assert!(!headers.contains_key("b"), "no value can hold it");
        }
    }
}

#[test]
fn the_head_comes_at_once_and_each_piece_of_the_body_as_it_arrives() {
    let mut client = client_for(Method::GET, ClientConnectionConfig::default());
    client.handle_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r");
    assert!(client.poll_response().is_none());
    client.handle_data(b"\n");
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::Head(_)))));
    assert!(client.poll_response().is_none());
    for (bytes, content) in [
        (&b"5\r\nab"[..], &b"ab"[..]),
        (b"cde\r\n", b"cde"),
        (b"1\r\nf\r\n2\r\ngh\r\n3\r\ni", b"fghi"),
        (b"jk\r\n", b"jk"),
    ] {
        client.handle_data(bytes);
        let Some(Ok(ResponsePart::Data(data))) = client.poll_response() else {
            panic!("content came")
        };
        assert_eq!(data, content);
        assert!(client.poll_response().is_none());
    }
    client.handle_data(b"0\r\n\r");
    assert!(client.poll_response().is_none());
    client.handle_data(b"\n");
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::End))));
    assert!(client.poll_response().is_none());
}

#[test]
fn a_body_ends_by_chunks_by_length_or_with_the_connection() {
    let chunks = "1;x=y\r\na\r\n00b\r\nbcdefghijkl\r\n000\r\nDate: now\r\n\r\n";
    for coding in ["chunked", "Chunked", "CHUNKED\t"] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n");
        assert_eq!(body_of(head + chunks), "abcdefghijkl");
    }
    assert_eq!(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), "abc");
    assert_eq!(body_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "");
    assert_eq!(body_of("HTTP/1.1 200 OK\r\n\r\nuntil\r\n\r\nthe end"), "until\r\n\r\nthe end");
    assert_eq!(body_of("HTTP/1.1 200 OK\r\n\r\n"), "");
    let identity = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n3\r\nabc";
    assert_eq!(body_of(identity), "3\r\nabc");
}

#[test]
fn the_end_of_a_body_of_known_length_is_told_without_that_of_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let mut client = client_for(Method::GET, ClientConnectionConfig::default());
        client.handle_data(answer.as_bytes());
        let mut received = Received::default();
        received.take(&mut client);
        assert!(received.ended, "{answer}");
    }
}

#[test]
fn http_1_0_ends_by_length_or_with_the_connection() {
    let received = response("HTTP/1.0 200 OK\r\n\r\ndata: x\n\n");
    assert_eq!(received.head.unwrap().version(), Version::HTTP_10);
    assert_eq!((received.body.as_slice(), received.ended), (&b"data: x\n\n"[..], true));
    let known = response("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\ndata: x\n\n");
    assert!(known.ended);
}

#[test]
fn lengths_that_agree_are_one() {
    for lines in ["Content-Length: 3\r\ncontent-length: 3", "Content-Length: 3, 3,\t03"] {
        assert_eq!(body_of(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nabc")), "abc");
    }
}

#[test]
fn answers_that_have_no_body_have_none_whatever_they_say() {
    let headers = [
        "",
        "Content-Length: 5\r\n",
        "Content-Length: x\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
    ];
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)] {
        for headers in headers {
            let mut client =
                client_for(Method::try_from(method).unwrap(), ClientConnectionConfig::default());
            client.handle_data(format!("HTTP/1.1 {status} X\r\n{headers}\r\n").as_bytes());
            let mut received = Received::default();
            received.take(&mut client);
            let parts = (received.head.is_some(), received.ended, received.error);
            assert_eq!(parts, (true, true, None), "{method} {status} {headers}");
        }
    }
    let with_body = body_of("HTTP/1.1 205 Reset Content\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(with_body, "abc", "205 is framed as any other");
}

#[test]
fn interim_responses_are_read_over() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n\
         HTTP/1.1 199\r\nTransfer-Encoding: chunked\r\n\r\n\
         HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nhi";
    for size in [1, usize::MAX] {
        let mut client = client_for(Method::POST, ClientConnectionConfig::default());
        let received = read(&mut client, answer.as_bytes(), || size);
        let head = received.head.unwrap();
        assert_eq!((head.status(), head.headers().len()), (StatusCode::OK, 2));
        assert_eq!((received.body.as_slice(), received.ended), (&b"hi"[..], true));
    }
}

#[test]
fn a_reason_may_be_missing_or_be_anything() {
    for line in ["200 OK", "200 ", "200", "200 Tr\u{e8}s bien", "200 a\tb  c", "299 X", "999 X"] {
        let received = response(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"));
        assert!(received.ended, "{line}: {:?}", received.error);
        assert_eq!(received.head.unwrap().status().as_str(), &line[..3]);
    }
}

#[test]
fn an_odd_byte_in_a_header_does_not_cost_the_response() {
    let received = response(
        &b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9\r\nX-Tab: a\tb\r\nX-Control: a\x01b\r\n\
           X-Delete: \x7f\r\nContent-Length: 2\r\nX-Escape: \x1b[1m\r\n\r\nhi"[..],
    );
    assert_eq!(received.error, None);
    let head = received.head.unwrap();
    assert_eq!(head.headers()["x-latin"].as_bytes(), b"caf\xe9");
    assert_eq!(head.headers()["x-tab"], "a\tb");
    let names: Vec<_> = head.headers().keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["x-latin", "x-tab", "content-length"], "what no value holds is dropped");
    assert_eq!(received.body, b"hi");
}

#[test]
fn continued_lines_are_joined() {
    let received = response(
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\t d\r\nE:\r\n f\r\nG: h\r\n \r\nContent-Length:\r\n 2\r\n \r\n\r\nhi",
    );
    let head = received.head.unwrap();
    assert_eq!(head.headers()["a"], "b   c  \t d");
    assert_eq!(head.headers()["e"], "f");
    assert_eq!(head.headers()["g"], "h");
    assert_eq!((received.body.as_slice(), received.ended), (&b"hi"[..], true));
}

#[test]
fn a_content_coding_is_shown_and_not_undone() {
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x08";
    let received = response(gzip);
    assert_eq!(received.head.unwrap().headers()["content-encoding"], "gzip");
    assert_eq!(received.body, b"\x1f\x08");
}

#[test]
fn nothing_more_is_wanted_while_something_waits() {
    let mut client = client_for(Method::GET, ClientConnectionConfig::default());
    assert!(client.wants_data());
    client.handle_data(b"HTTP/1.1 200 OK\r\n\r\nabc");
    assert!(!client.wants_data());
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::Head(_)))));
    assert!(!client.wants_data());
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::Data(_)))));
    assert!(client.wants_data());

    client.handle_data(b"d");
    client.handle_eof();
    assert!(!client.wants_data());
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::Data(_)))));
    assert!(matches!(client.poll_response(), Some(Ok(ResponsePart::End))));
    assert!(!client.wants_data());
}

#[test]
fn what_was_not_wanted_is_taken_up_to_a_limit() {
    let mut client = client_for(Method::GET, ClientConnectionConfig::default().with_max_unread(5));
    client.handle_data(b"HTTP/1.1 200 OK\r\n\r\nab");
    client.handle_data(b"cde");
    let mut received = Received::default();
    received.take(&mut client);
    assert_eq!((received.body.as_slice(), received.error), (&b"abcde"[..], None));

    client.handle_data(b"at once, whatever its size");
    client.handle_data(b"f");
    received.take(&mut client);
    assert_eq!(received.body, b"abcdeat once, whatever its size", "what there was room for");
    assert_eq!((received.ended, received.error), (false, Some(ResponseError::Overrun)));
    assert!(!client.wants_data());
}

#[test]
fn what_comes_after_an_exchange_is_over_changes_nothing() {
    let mut client = client_for(Method::GET, ClientConnectionConfig::default());
    client.handle_data(b"HTTP/1.1 200 OK\r\n\r\nabc");
    client.handle_eof();
    client.handle_eof();
    client.handle_data(b"def");
    let mut received = Received::default();
    received.take(&mut client);
    assert_eq!((received.body.as_slice(), received.ended), (&b"abc"[..], true));
    assert_eq!(received.error, None);
    client.handle_data(b"");
    assert!(client.poll_response().is_none());
}

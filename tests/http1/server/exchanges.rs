//! Requests and plain answers, one after another.

use super::{Connection, GET};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Method, Response, StatusCode, Version};
use sansse::http::{LAST_EVENT_ID, accept};
use sansse::http1::{RespondError, ServerCloseReason};
use sansse::{EventId, LastEventId};
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn a_request_comes_out_with_what_it_says() {
    let mut connection = Connection::after(
        "POST /say?to=all HTTP/1.1\r\nHost: a.example:8080\r\nX-Two:  one \r\nx-two:\ttwo\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let request = connection.request();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/say?to=all");
    assert_eq!(request.version(), Version::HTTP_11);
    assert_eq!(request.headers()["host"], "a.example:8080");
    let values: Vec<_> = request.headers().get_all("x-two").iter().collect();
    assert_eq!(values, ["one", "two"]);
    assert_eq!(request.body(), "hello");
    assert!(connection.server.poll_request().is_none());
}

#[test]
fn a_chunked_body_is_joined() {
    let mut connection = Connection::after(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
         3\r\nabc\r\n2;name=value\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
    );
    assert_eq!(connection.request().body(), "abcde");
}

#[test]
fn an_answer_is_framed_by_its_length_and_the_connection_goes_on() {
    let mut connection = Connection::after(GET);
    connection.request();
    let response = Response::builder().status(404).header("x-a", "b").body("gone".into());
    connection.server.respond(connection.now, response.unwrap()).unwrap();
    assert_eq!(
        connection.written(),
        "HTTP/1.1 404 Not Found\r\nx-a: b\r\ncontent-length: 4\r\n\r\ngone"
    );
    connection.send(GET);
    connection.request();
    connection.answer("");
    assert_eq!(connection.written(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(connection.closed(), None);
}

#[test]
fn a_large_body_is_written_without_a_copy() {
    let body = Bytes::from(vec![b'x'; 100_000]);
    let mut connection = Connection::after(GET);
    connection.request();
    connection.server.respond(connection.now, Response::new(body.clone())).unwrap();
    let head = connection.server.poll_transmit(connection.now).unwrap();
    assert!(head.ends_with(b"content-length: 100000\r\n\r\n"));
    let written = connection.server.poll_transmit(connection.now).unwrap();
    assert_eq!((written.as_ptr(), written.len()), (body.as_ptr(), body.len()));
    assert_eq!(connection.server.poll_transmit(connection.now), None);
}

#[test]
fn the_answer_to_head_has_the_length_but_not_the_body() {
    let mut connection = Connection::after("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.request();
    connection.answer("four");
    assert_eq!(connection.written(), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");

    connection.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.request();
    let response = Response::builder().header(CONTENT_LENGTH, 1000).body(Bytes::new());
    connection.server.respond(connection.now, response.unwrap()).unwrap();
    assert_eq!(connection.written(), "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
}

#[test]
fn statuses_without_a_body_have_none_and_only_205_says_so_by_a_length() {
    for (status, head) in [
        (204, "HTTP/1.1 204 No Content\r\n\r\n"),
        (304, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        (205, "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let mut connection = Connection::after(GET);
        connection.request();
        let response = Response::builder().status(status).body("no".into()).unwrap();
        connection.server.respond(connection.now, response).unwrap();
        assert_eq!(connection.written(), head);
    }
}

#[test]
fn headers_that_would_break_the_framing_are_dropped() {
    let mut connection = Connection::after(GET);
    connection.request();
    let mut response = Response::builder().header("x-kept", "1");
    for name in ["transfer-encoding", "content-length", "connection", "keep-alive", "upgrade"] {
        response = response.header(name, "chunked");
    }
    connection.server.respond(connection.now, response.body("ab".into()).unwrap()).unwrap();
    assert_eq!(connection.written(), "HTTP/1.1 200 OK\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nab");
}

#[test]
fn an_unknown_status_has_no_reason_phrase() {
    let mut connection = Connection::after(GET);
    connection.request();
    let response = Response::builder().status(799).body(Bytes::new()).unwrap();
    connection.server.respond(connection.now, response).unwrap();
    assert!(connection.written().starts_with("HTTP/1.1 799 \r\n"));
}

#[test]
fn either_side_can_ask_for_the_connection_to_end() {
    let mut by_peer =
        Connection::after("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n");
    by_peer.request();
    by_peer.answer("");
    assert!(by_peer.written().ends_with("connection: close\r\n\r\n"));
    assert_eq!(by_peer.closed_by_both(), ServerCloseReason::Finished);

    let mut by_application = Connection::after(GET);
    by_application.request();
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    by_application.server.respond(by_application.now, response).unwrap();
    assert!(by_application.written().ends_with("connection: close\r\n\r\n"));
    assert_eq!(by_application.closed_by_both(), ServerCloseReason::Finished);
}

#[test]
fn http_1_0_goes_on_only_if_it_asks_to() {
    let mut once = Connection::after("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(once.request().version(), Version::HTTP_10);
    once.answer("x");
    assert_eq!(
        once.written(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx"
    );
    let mut kept = Connection::after("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    kept.request();
    kept.answer("");
    assert!(kept.written().contains("connection: keep-alive\r\n"));
    kept.send("GET / HTTP/1.0\r\n\r\n");
    kept.request();
}

#[test]
fn pipelined_requests_come_out_one_by_one_in_order() {
    let requests = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
                    GET /3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut connection = Connection::after(requests);
    for path in ["/1", "/2", "/3"] {
        assert_eq!(connection.request().uri(), path);
        assert!(connection.server.poll_request().is_none(), "one at a time");
        connection.answer("");
        assert!(connection.server.poll_request().is_none(), "the answer is not written yet");
        connection.written();
    }
    assert!(connection.server.poll_request().is_none());
    assert_eq!(connection.closed(), None);
}

#[test]
fn a_peer_that_pipelines_without_end_is_not_read() {
    let mut connection = Connection::after(GET);
    let mut sent = 0;
    while connection.server.wants_data() {
        connection.send(GET);
        sent += GET.len();
    }
    assert!(sent < 16 * 1024 + GET.len(), "no more waits than a head may take");
    connection.request();
    assert!(!connection.server.wants_data());
    connection.answer("");
    assert!(!connection.server.wants_data());
    connection.written();
    assert!(connection.server.wants_data(), "a request was taken from what waits");
}

#[test]
fn bytes_that_were_not_wanted_close_the_connection() {
    let mut connection = Connection::after(GET);
    while connection.server.wants_data() {
        connection.send(GET);
    }
    connection.send(GET);
    assert_eq!(connection.closed(), Some(ServerCloseReason::Overrun));
}

#[test]
fn a_body_that_is_waited_with_is_asked_for() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n";
    let mut connection = Connection::after(format!("{head}Content-Length: 2\r\n\r\n"));
    assert_eq!(connection.written(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(connection.server.poll_request().is_none());
    connection.send("hi");
    assert_eq!(connection.request().body(), "hi");
    connection.answer("");
    assert!(connection.written().starts_with("HTTP/1.1 200 OK\r\n"));

    connection.send(format!("{head}Content-Length: 0\r\n\r\n"));
    assert_eq!(connection.written(), "", "there is no body to ask for");
    connection.request();

    let mut old =
        Connection::after("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(old.written(), "", "HTTP/1.0 knows no 100");
}

#[test]
fn a_100_that_was_not_taken_goes_out_before_the_answer() {
    let mut connection = Connection::after(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    );
    connection.request();
    connection.answer("");
    assert!(connection.written().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_whole_url_as_target_names_the_host() {
    let mut connection =
        Connection::after("GET http://b.example:81/path?q HTTP/1.1\r\nHost: a\r\n\r\n");
    let request = connection.request();
    assert_eq!(request.uri().path(), "/path");
    assert_eq!(request.uri().query(), Some("q"));
    assert_eq!(request.headers()["host"], "b.example:81");
}

#[test]
fn options_may_speak_of_the_whole_server() {
    let mut connection = Connection::after("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.request().uri(), "*");
}

#[test]
fn empty_lines_before_a_request_are_read_over() {
    let mut connection = Connection::new();
    for byte in format!("\r\n\r\n{GET}").bytes() {
        connection.send([byte]);
    }
    connection.request();
    connection.answer("");
    connection.written();
    connection.send(format!("\r\n{GET}"));
    connection.request();
}

#[test]
fn every_answer_has_the_date_once_the_time_of_day_was_told() {
    let told = || {
        let mut connection = Connection::new();
        let time_of_day = UNIX_EPOCH + Duration::from_secs(784_111_777);
        connection.server.set_time_of_day(connection.now, time_of_day);
        connection
    };
    let date = |written: &str| {
        let lines: Vec<&str> = written.lines().filter(|line| line.starts_with("date: ")).collect();
        assert_eq!(lines.len(), 1, "{written}");
        lines[0]["date: ".len()..].to_owned()
    };
    let mut connection = told();
    connection.send(GET);
    connection.request();
    connection.answer("");
    assert_eq!(date(&connection.written()), "Sun, 06 Nov 1994 08:49:37 GMT");
    connection.wait(Duration::from_secs(5));
    connection.send(GET);
    connection.request();
    let head = Response::new(());
    connection.server.respond_stream(connection.now, head).unwrap();
    assert_eq!(date(&connection.written()), "Sun, 06 Nov 1994 08:49:42 GMT");

    // What the machine answers by itself.
    let mut bad = told();
    bad.send("nonsense\r\n\r\n");
    assert_eq!(date(&bad.written()), "Sun, 06 Nov 1994 08:49:37 GMT");
    let mut slow = told();
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    slow.wait(Duration::from_secs(30));
    assert_eq!(date(&slow.written()), "Sun, 06 Nov 1994 08:50:07 GMT");
    let mut refused = told();
    refused.server.refuse(refused.now, Response::new(Bytes::new())).unwrap();
    assert_eq!(date(&refused.written()), "Sun, 06 Nov 1994 08:49:37 GMT");

    // The application's own stays, and without a clock there is none.
    let mut own = told();
    own.send(GET);
    own.request();
    let response = Response::builder().header("date", "yesterday").body(Bytes::new()).unwrap();
    own.server.respond(own.now, response).unwrap();
    assert_eq!(date(&own.written()), "yesterday");
    let mut without = Connection::after(GET);
    without.request();
    without.answer("");
    assert!(!without.written().contains("date"));
}

#[test]
fn the_head_of_a_request_is_known_before_its_body_is_complete() {
    let mut connection = Connection::new();
    let method = |connection: &Connection| {
        connection.server.request_head().map(|(method, uri, headers)| {
            assert_eq!((uri.path(), &headers["host"]), ("/a", &HeaderValue::from_static("b")));
            method.clone()
        })
    };
    connection.send("POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r");
    assert_eq!(method(&connection), None);
    connection.send("\n");
    assert_eq!(method(&connection), Some(Method::POST));
    connection.send("xy");
    assert_eq!(method(&connection), Some(Method::POST));
    connection.request();
    assert_eq!(method(&connection), None, "it was taken");
}

#[test]
fn an_upgrade_is_shown_and_not_made() {
    let mut connection = Connection::after(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    );
    assert_eq!(connection.request().headers()["upgrade"], "h2c");
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).body(Bytes::new());
    let error = connection.server.respond(connection.now, response.unwrap()).unwrap_err();
    assert_eq!(error, RespondError::Informational);
    connection.answer("");
    assert!(connection.written().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn an_answer_without_a_request_is_an_error_and_nothing_else() {
    let mut connection = Connection::new();
    let respond = |connection: &mut Connection| {
        connection.server.respond(connection.now, Response::new(Bytes::new()))
    };
    assert_eq!(respond(&mut connection), Err(RespondError::NoRequest));
    connection.send(GET);
    assert_eq!(respond(&mut connection), Err(RespondError::NoRequest), "it was not taken");
    connection.request();
    assert_eq!(respond(&mut connection), Ok(()));
    assert_eq!(respond(&mut connection), Err(RespondError::NoRequest), "it was answered");
    assert_eq!(connection.written(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn an_event_id_with_control_characters_survives_what_headers_cannot_hold() {
    let ask = |id: &[u8]| {
        let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nlast-EVENT-id: ".to_vec();
        request.extend_from_slice(id);
        request.extend_from_slice(b"\r\nX-After: 1\r\n\r\n");
        Connection::after(request)
    };
    let mut connection = ask(b"a\x01\x1f\x7f\xc3\xa9 ");
    let request = connection.request();
    assert!(!request.headers().contains_key(LAST_EVENT_ID));
    assert_eq!(request.headers()["x-after"], "1");
    let id = EventId::new("a\x01\x1f\x7fé").unwrap();
    assert_eq!(accept(&request).unwrap().last_event_id(), &LastEventId::Id(id));

    for forbidden in [&b"a\0b"[..], b"a\rb"] {
        let mut connection = ask(forbidden);
        assert!(connection.server.poll_request().is_none());
        assert!(connection.written().starts_with("HTTP/1.1 400 Bad Request\r\n"));
    }

    let mut both = ask(b"a\x01\r\nLast-Event-ID: b");
    assert_eq!(accept(&both.request()).unwrap().last_event_id(), &LastEventId::Malformed);
}

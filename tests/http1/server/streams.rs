//! Event streams: the last answer of a connection.

use super::{Connection, GET};
use bytes::Bytes;
use http::Response;
use sansse::http::ResponseHead;
use sansse::http1::{RespondError, ServerCloseReason};
use sansse::{Event, Fault, Frame, Framing};
use std::time::Duration;

fn respond_stream(connection: &mut Connection) -> Result<Framing, RespondError> {
    let head = ResponseHead::new().response(&http::HeaderMap::new());
    connection.server.respond_stream(connection.now, head)
}

#[test]
fn the_head_goes_out_at_once_and_frames_are_chunks() {
    let mut connection = Connection::after(GET);
    connection.request();
    let framing = respond_stream(&mut connection).unwrap();
    assert_eq!(framing, Framing::Chunked);
    assert_eq!(
        connection.written(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
         cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let frame = Frame::new(&Event::new("hello"));
    assert_eq!(framing.bytes(&frame), "d\r\ndata: hello\n\n\r\n");
    assert_eq!(framing.end(), b"0\r\n\r\n");
    assert_eq!(connection.server.poll_timeout(), None);
    assert_eq!(connection.closed(), None);
}

#[test]
fn http_1_0_gets_frames_until_the_connection_ends() {
    let mut connection = Connection::after("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    connection.request();
    let framing = respond_stream(&mut connection).unwrap();
    assert_eq!(framing, Framing::Plain);
    let head = connection.written();
    assert!(head.ends_with("x-accel-buffering: no\r\nconnection: close\r\n\r\n"), "{head}");
    assert_eq!(framing.bytes(&Frame::new(&Event::new("hello"))), "data: hello\n\n");
    assert_eq!(framing.end(), b"");
}

#[test]
fn headers_of_framing_are_not_the_applications() {
    let mut connection = Connection::after(GET);
    connection.request();
    let response = Response::builder()
        .header("content-length", "10")
        .header("transfer-encoding", "gzip")
        .header("connection", "keep-alive")
        .body(())
        .unwrap();
    connection.server.respond_stream(connection.now, response).unwrap();
    assert_eq!(
        connection.written(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn a_stream_may_answer_a_post() {
    let mut connection =
        Connection::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(connection.request().body(), "hi");
    assert_eq!(respond_stream(&mut connection), Ok(Framing::Chunked));
}

#[test]
fn an_answer_that_can_have_no_body_cannot_be_a_stream() {
    let mut connection = Connection::after("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.request();
    assert_eq!(respond_stream(&mut connection), Err(RespondError::NoBody));
    connection.answer("");
    assert!(connection.written().starts_with("HTTP/1.1 200 OK\r\n"), "it can still be answered");

    for (status, error) in [
        (204, RespondError::NoBody),
        (304, RespondError::NoBody),
        (101, RespondError::Informational),
    ] {
        let mut connection = Connection::after(GET);
        connection.request();
        let response = Response::builder().status(status).body(()).unwrap();
        assert_eq!(connection.server.respond_stream(connection.now, response), Err(error));
    }
}

#[test]
fn a_request_behind_that_of_a_stream_is_refused() {
    let mut connection = Connection::after(format!("{GET}G"));
    connection.request();
    let reason = ServerCloseReason::BytesAfterStreamRequest;
    assert_eq!(respond_stream(&mut connection), Err(RespondError::Closed(reason)));
    assert!(connection.written().starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(connection.closed_by_both(), reason);
    assert_eq!(reason.fault(), Fault::Peer);
}

#[test]
fn empty_lines_behind_the_request_of_a_stream_are_read_over() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx\r\n";
    for request in [post.to_owned(), format!("{GET}\r\n\r\n"), format!("{GET}\r")] {
        let mut connection = Connection::after(request);
        connection.request();
        respond_stream(&mut connection).unwrap();
        assert!(connection.written().starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(connection.closed(), None);
    }
    let mut later = Connection::after(&post[..post.len() - 2]);
    later.request();
    respond_stream(&mut later).unwrap();
    later.written();
    for byte in b"\r\n\r\n" {
        later.send([*byte]);
        assert_eq!(later.closed(), None);
    }
    later.send("\r");
    assert_eq!(later.closed(), Some(ServerCloseReason::BytesAfterStreamRequest));
}

#[test]
fn more_than_empty_lines_behind_the_request_of_a_stream_are_refused() {
    let mut connection = Connection::after(format!("{GET}\r\n{GET}"));
    connection.request();
    let reason = ServerCloseReason::BytesAfterStreamRequest;
    assert_eq!(respond_stream(&mut connection), Err(RespondError::Closed(reason)));
    assert!(connection.written().starts_with("HTTP/1.1 400 Bad Request\r\n"));
}

#[test]
fn bytes_during_a_stream_close_it() {
    let mut connection = Connection::after(GET);
    connection.request();
    respond_stream(&mut connection).unwrap();
    connection.written();
    assert!(connection.server.wants_data(), "or the end of the peer would not be seen");
    connection.send("G");
    assert_eq!(connection.closed(), Some(ServerCloseReason::BytesAfterStreamRequest));
}

#[test]
fn the_end_of_the_peer_ends_its_stream() {
    let mut connection = Connection::after(GET);
    connection.request();
    respond_stream(&mut connection).unwrap();
    connection.written();
    connection.end();
    assert_eq!(connection.closed(), Some(ServerCloseReason::PeerClosed));
}

#[test]
fn no_stream_begins_for_a_peer_that_is_gone() {
    let mut connection = Connection::after(GET);
    connection.request();
    connection.end();
    let reason = ServerCloseReason::PeerClosed;
    assert_eq!(respond_stream(&mut connection), Err(RespondError::Closed(reason)));
    assert_eq!(connection.closed(), Some(reason));
}

#[test]
fn a_stream_lasts_as_long_as_it_likes_once_its_head_is_written() {
    let mut connection = Connection::after(GET);
    connection.request();
    respond_stream(&mut connection).unwrap();
    connection.written();
    connection.wait(Duration::from_secs(1_000_000));
    assert_eq!(connection.closed(), None);

    let mut unread = Connection::after(GET);
    unread.request();
    respond_stream(&mut unread).unwrap();
    unread.wait(Duration::from_secs(30));
    assert_eq!(unread.closed(), Some(ServerCloseReason::WriteTimeout));
    assert_eq!(unread.server.poll_transmit(unread.now), None);
}

#[test]
fn a_stream_is_answered_once() {
    let mut connection = Connection::after(GET);
    connection.request();
    respond_stream(&mut connection).unwrap();
    assert_eq!(respond_stream(&mut connection), Err(RespondError::NoRequest));
    let plain = Response::new(Bytes::new());
    let refused = connection.server.refuse(connection.now, plain);
    assert_eq!(refused, Err(RespondError::NoRequest));
}

//! Time, and the ways in which a connection ends.

use super::{Connection, GET};
use bytes::Bytes;
use http::{Response, StatusCode};
use sansse::Fault;
use sansse::http1::{RespondError, ServerCloseReason, ServerConnectionConfig};
use std::time::Duration;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_connection_that_says_nothing_is_closed_in_the_time_of_a_head() {
    let mut connection = Connection::new();
    connection.wait(Duration::from_millis(9_999));
    assert_eq!(connection.closed(), None);
    connection.wait(Duration::from_millis(1));
    assert_eq!(connection.closed(), Some(ServerCloseReason::HeadTimeout));
    assert_eq!(connection.server.poll_timeout(), None);
}

#[test]
fn a_slow_head_is_closed_without_an_answer_however_busy_it_is() {
    let mut connection = Connection::new();
    let head = "GET / HTTP/1.1\r\nHost: a\r\n".bytes().chain("A: b\r\n".bytes().cycle());
    for byte in head.take(100) {
        connection.send([byte]);
        connection.wait(Duration::from_millis(100));
    }
    assert_eq!(connection.closed(), Some(ServerCloseReason::HeadTimeout));
    assert_eq!(connection.closed().unwrap().fault(), Fault::Peer);
    assert_eq!(connection.written(), "");
    assert!(!connection.server.wants_data());
}

#[test]
fn the_first_head_is_timed_from_the_acceptance_and_later_ones_from_their_first_byte() {
    let mut connection = Connection::new();
    connection.wait(seconds(9));
    connection.send("G");
    connection.wait(seconds(1));
    assert_eq!(connection.closed(), Some(ServerCloseReason::HeadTimeout));

    let mut connection = Connection::after(GET);
    connection.request();
    connection.answer("");
    connection.written();
    connection.wait(seconds(29));
    connection.send("\r");
    connection.wait(seconds(9));
    assert_eq!(connection.closed(), None);
    connection.wait(seconds(1));
    assert_eq!(connection.closed(), Some(ServerCloseReason::HeadTimeout));
}

#[test]
fn a_request_that_is_complete_though_late_is_served() {
    let mut connection = Connection::new();
    connection.send(&GET[..10]);
    connection.now += seconds(11);
    connection.send(&GET[10..]);
    connection.request();

    let mut connection = Connection::new();
    connection.send(&GET[..10]);
    connection.now += seconds(11);
    connection.send(&GET[10..11]);
    assert_eq!(connection.closed(), Some(ServerCloseReason::HeadTimeout), "no timer had to fire");
}

#[test]
fn a_slow_body_is_answered_with_408() {
    let mut connection =
        Connection::after("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    connection.wait(seconds(29));
    assert_eq!(connection.written(), "");
    connection.wait(seconds(1));
    assert!(connection.written().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(connection.closed_by_both(), ServerCloseReason::BodyTimeout);
}

#[test]
fn a_request_may_be_worked_on_for_any_time() {
    let mut connection = Connection::after(GET);
    connection.wait(seconds(1_000));
    connection.request();
    assert_eq!(connection.server.poll_timeout(), None);
    connection.wait(seconds(1_000));
    connection.answer("");
    assert!(connection.written().starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn an_idle_connection_is_closed_and_nobody_is_at_fault() {
    let mut connection = Connection::after(GET);
    connection.request();
    connection.answer("");
    connection.wait(seconds(20));
    connection.written();
    connection.wait(seconds(29));
    assert_eq!(connection.closed(), None, "the time counts from the end of the answer");
    connection.wait(seconds(1));
    assert_eq!(connection.closed(), Some(ServerCloseReason::IdleTimeout));
    assert_eq!(connection.closed().unwrap().fault(), Fault::Nobody);
}

#[test]
fn a_peer_that_does_not_read_its_answer_is_closed() {
    let mut connection = Connection::after(GET);
    connection.request();
    connection.answer("");
    connection.server.poll_transmit(connection.now).unwrap();
    connection.wait(seconds(30));
    assert_eq!(connection.closed(), Some(ServerCloseReason::WriteTimeout));
}

#[test]
fn a_peer_that_does_not_close_is_waited_for_a_short_time() {
    let mut connection = Connection::after("nonsense\r\n\r\n");
    connection.written();
    assert!(connection.server.wants_shutdown());
    connection.send(vec![b'x'; 1_000_000]);
    assert_eq!(connection.closed(), None, "the peer must get the chance to read");
    connection.wait(seconds(2));
    assert!(matches!(connection.closed(), Some(ServerCloseReason::BadRequest(_))));
}

#[test]
fn the_end_of_the_peer_between_requests_is_an_end_and_inside_one_an_error() {
    let mut fresh = Connection::new();
    fresh.end();
    assert_eq!(fresh.closed(), Some(ServerCloseReason::PeerClosed));

    let mut between = Connection::after(GET);
    between.request();
    between.answer("");
    between.written();
    between.send("\r\n");
    between.end();
    assert_eq!(between.closed(), Some(ServerCloseReason::PeerClosed));

    for part in ["G", "\r", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"] {
        let mut inside = Connection::after(part);
        inside.end();
        assert_eq!(inside.closed(), Some(ServerCloseReason::Truncated), "{part:?}");
        assert_eq!(inside.closed().unwrap().fault(), Fault::Peer);
    }
}

#[test]
fn a_peer_that_closes_one_side_only_gets_all_its_answers() {
    let mut connection = Connection::after(format!("{GET}{GET}"));
    connection.end();
    connection.request();
    connection.answer("one");
    assert!(connection.written().ends_with("\r\ncontent-length: 3\r\n\r\none"));
    connection.request();
    connection.answer("two");
    assert!(connection.written().ends_with("connection: close\r\n\r\ntwo"));
    assert_eq!(
        connection.closed(),
        Some(ServerCloseReason::Finished),
        "there is nobody to wait for"
    );
}

#[test]
fn draining_ends_idle_connections_at_once_and_others_after_their_answer() {
    let mut idle = Connection::new();
    idle.server.drain(idle.now);
    assert_eq!(idle.closed_by_both(), ServerCloseReason::Drained);

    let mut busy = Connection::after(&GET[..10]);
    busy.server.drain(busy.now);
    assert_eq!(busy.closed(), None);
    busy.send(&GET[10..]);
    busy.request();
    busy.answer("");
    assert!(busy.written().ends_with("connection: close\r\n\r\n"));
    assert_eq!(busy.closed_by_both(), ServerCloseReason::Drained);

    let mut writing = Connection::after(format!("{GET}{GET}"));
    writing.request();
    writing.answer("");
    writing.server.drain(writing.now);
    assert!(writing.written().ends_with("content-length: 0\r\n\r\n"));
    assert!(writing.server.poll_request().is_none());
    assert_eq!(writing.closed_by_both(), ServerCloseReason::Drained);
}

#[test]
fn a_connection_that_is_too_many_is_told_when_to_come_back() {
    let busy = || {
        let response = Response::builder().status(503).header("retry-after", "5");
        response.body(Bytes::from_static(b"busy\n")).unwrap()
    };
    let text = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 5\r\n\
                connection: close\r\n\r\nbusy\n";
    for sent in ["", "GET", GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"] {
        let mut connection = Connection::after(sent);
        connection.server.refuse(connection.now, busy()).unwrap();
        assert!(connection.server.poll_request().is_none());
        assert_eq!(connection.written(), text);
        connection.send("GET / HTTP/1.1");
        assert_eq!(connection.closed_by_both(), ServerCloseReason::Refused);
        let again = connection.server.refuse(connection.now, busy());
        assert_eq!(again, Err(RespondError::Closed(ServerCloseReason::Refused)));
    }
    let mut taken = Connection::after(GET);
    taken.request();
    taken.server.refuse(taken.now, busy()).unwrap();
    assert_eq!(taken.written(), text);

    let mut connection = Connection::new();
    let mut early = busy();
    *early.status_mut() = StatusCode::CONTINUE;
    let error = connection.server.refuse(connection.now, early);
    assert_eq!(error, Err(RespondError::Informational));
}

#[test]
fn a_closed_connection_stays_closed_whatever_is_called() {
    let mut connection = Connection::new();
    connection.wait(seconds(10));
    let reason = connection.closed();
    connection.send(GET);
    connection.end();
    connection.server.drain(connection.now);
    connection.wait(seconds(100));
    assert!(connection.server.poll_request().is_none());
    let answer = connection.server.respond(connection.now, Response::new(Bytes::new()));
    assert_eq!(answer, Err(RespondError::Closed(ServerCloseReason::HeadTimeout)));
    assert_eq!(connection.written(), "");
    assert!(!connection.server.wants_data());
    assert!(!connection.server.wants_shutdown());
    assert_eq!(connection.closed(), reason);
}

#[test]
fn early_late_and_repeated_timeouts_do_no_harm() {
    let mut connection = Connection::new();
    let start = connection.now;
    connection.server.handle_timeout(start);
    connection.server.handle_timeout(start + seconds(9));
    connection.server.handle_timeout(start);
    assert_eq!(connection.closed(), None);
    connection.server.handle_timeout(start + seconds(500));
    connection.server.handle_timeout(start);
    assert_eq!(connection.closed(), Some(ServerCloseReason::HeadTimeout));
}

#[test]
fn a_time_that_no_clock_reaches_is_no_limit() {
    let mut connection =
        Connection::with(ServerConnectionConfig::default().with_head_time(Duration::MAX));
    assert_eq!(connection.server.poll_timeout(), None);
    connection.send(GET);
    connection.request();
}

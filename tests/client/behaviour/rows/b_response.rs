//! B: judging the response.

use super::{live, live_with};
use crate::kit::client::{Answer, Life, URL, both, get, head, standard};
use sansse::client::{ClientError, CloseReason, ReadyState};

/// The client fails at an answer: one error, closed, and no further request.
#[track_caller]
fn fails(life: &Life, requests: usize) -> ClientError {
    assert_eq!(life.requests.len(), requests, "{life:?}");
    assert_eq!(life.states.last(), Some(&ReadyState::Closed));
    assert!(!life.shorts().contains(&"data never".to_owned()), "{life:?}");
    match life.close_reason() {
        Some(CloseReason::Failed(error)) => error.clone(),
        other => panic!("it does not fail: {other:?}"),
    }
}

#[track_caller]
fn fails_with_status(status: u16) {
    let life = live(standard(), [Answer::status(status)]);
    assert_eq!(life.shorts(), ["closed"]);
    let ClientError::Status(answer) = fails(&life, 1) else { panic!("{life:?}") };
    assert_eq!(answer.status, status);
}

fn typed(content_type: &str) -> Answer {
    Answer::of(head(200, &[("content-type", content_type)]), "data: never\n\n")
}

#[track_caller]
fn fails_with_type(content_type: &str) {
    for config in both() {
        let life = live(config, [typed(content_type)]);
        assert_eq!(life.shorts(), ["closed"], "{content_type}");
        assert!(matches!(fails(&life, 1), ClientError::ContentType(_)), "{content_type}");
    }
}

#[track_caller]
fn is_good(content_type: &str) {
    for config in both() {
        let answer = Answer::of(head(200, &[("content-type", content_type)]), "data: é\n\n");
        let life = live(config, [answer.held()]);
        assert_eq!(life.shorts(), ["open", "data é"], "{content_type}");
    }
}

#[test]
fn b2_no_content_ends_it_at_first_and_on_a_reconnection() {
    for config in both() {
        let life = live(config.clone(), [Answer::status(204)]);
        assert_eq!(life.shorts(), ["closed"]);
        assert_eq!((life.requests.len(), life.close_reason()), (1, Some(&CloseReason::NoContent)));

        let life = live(config, [Answer::stream(""), Answer::status(204)]);
        assert_eq!(life.shorts(), ["open", "retrying", "closed"]);
        assert_eq!((life.requests.len(), life.close_reason()), (2, Some(&CloseReason::NoContent)));
    }
}

#[test]
fn b3_another_2xx_fails_even_with_the_right_type_and_a_body() {
    [201, 202, 203, 205, 206, 210, 299].into_iter().for_each(fails_with_status);
}

#[test]
fn b4_a_3xx_that_is_no_redirect_fails() {
    [300, 304, 305, 306].into_iter().for_each(fails_with_status);
}

#[test]
fn b5_a_4xx_fails_also_408_and_429() {
    [400, 401, 403, 404, 406, 408, 409, 410, 418, 425, 429].into_iter().for_each(fails_with_status);
}

#[test]
fn b6_a_5xx_fails() {
    [500, 501, 502, 503, 504, 599].into_iter().for_each(fails_with_status);
}

#[test]
fn b7_status_decides_on_reconnections_too() {
    for status in [500, 404] {
        let life = live(standard(), [Answer::stream(""), Answer::status(status)]);
        assert_eq!(life.shorts(), ["open", "retrying", "closed"]);
        assert_eq!(life.states[1..], [ReadyState::Connecting, ReadyState::Closed]);
        fails(&life, 2);
    }
}

#[test]
fn b8_another_type_fails() {
    ["text/plain", "application/octet-stream", "text/x-bogus", "text/html"]
        .into_iter()
        .for_each(fails_with_type);
}

#[test]
fn b9_a_type_that_is_malformed_empty_or_missing_fails() {
    ["x bogus", "", "text/ event-stream", "text"].into_iter().for_each(fails_with_type);
    for config in both() {
        let life = live(config, [Answer::of(head(200, &[]), "data: never\n\n")]);
        assert!(matches!(fails(&life, 1), ClientError::ContentType(_)));
    }
}

#[test]
fn b10_a_type_that_only_begins_alike_fails() {
    fails_with_type("text/event-stream-foobar");
}

#[test]
fn b11_case_and_surrounding_space_do_not_matter() {
    ["TEXT/Event-Stream", " text/event-stream \t"].into_iter().for_each(is_good);
}

#[test]
fn b12_parameters_do_not_matter() {
    [
        "text/event-stream;",
        "text/event-stream; charset=utf-8",
        "text/event-stream; charset=\"UTF-8\"",
        "text/event-stream; x=y",
        "text/event-stream ;x=y",
    ]
    .into_iter()
    .for_each(is_good);
}

/// The text allows it, and so does the client; Chromium fails.
#[test]
fn b13_another_charset_is_good_and_decoded_as_utf_8() {
    is_good("text/event-stream; charset=windows-1252");
}

#[test]
fn b14_another_type_fails_on_a_reconnection_too() {
    for config in both() {
        let life = live(config, [Answer::stream(""), typed("text/html")]);
        assert_eq!(life.shorts(), ["open", "retrying", "closed"]);
        assert!(matches!(fails(&life, 2), ClientError::ContentType(_)));
    }
}

/// The driver decodes what it asked for; what it did not decode is no event stream. The
/// client itself asks for no coding.
#[test]
fn b16_a_content_coding_is_never_asked_for_and_never_read_as_a_stream() {
    for config in both() {
        let encoded =
            head(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")]);
        let life = live(config.clone(), [Answer::of(encoded, "\x1f\u{8b}")]);
        assert_eq!(life.requests[0].headers()["accept-encoding"], "identity");
        assert!(matches!(fails(&life, 1), ClientError::ContentEncoding(_)));

        let mut request = get(URL);
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let life = live_with(request, config, [Answer::stream("data: decoded\n\n").held()]);
        assert_eq!(life.requests[0].headers()["accept-encoding"], "gzip");
        assert_eq!(life.shorts(), ["open", "data decoded"]);
    }
}

#[test]
fn b1_a_good_head_opens_before_any_byte_of_the_body() {
    for config in both() {
        let life = live(config, [Answer::stream("").held()]);
        assert_eq!((life.shorts(), life.states), (vec!["open".to_owned()], vec![ReadyState::Open]));
    }
}

/// The beginning of the body is kept for the report, and is not decoded.
#[test]
fn b15_the_body_of_a_failed_response_is_not_decoded_and_no_end_of_it_waited_for() {
    for config in both() {
        let limit = config.max_error_body;
        let body = format!("data: never\n\n{}", "x".repeat(limit));
        let answer = head(404, &[("content-type", "text/event-stream")]);
        let life = live(config, [Answer::of(answer, body).held()]);
        let ClientError::Status(answer) = fails(&life, 1) else { panic!("{life:?}") };
        assert!(answer.body.starts_with(b"data: never\n\nxxx") && answer.body.len() == limit);
    }
}

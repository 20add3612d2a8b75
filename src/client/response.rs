//! What a response head means: a stream, a redirect, or why it is none.

use super::config::OVERLOADED;
use super::error::{ClientError, RedirectError, UnexpectedResponse};
use super::location;
use crate::http::split_unquoted;
use alloc::boxed::Box;
use core::time::Duration;
use http::header::{self, HeaderMap};
use http::{StatusCode, Uri};

/// What is done about a head.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judgement {
    /// Nothing; the final head is still to come.
    Interim,
    Stream,
    /// The server wants the client to stay away.
    NoContent,
    Redirect,
    /// Report it as this.
    Refuse(fn(Box<UnexpectedResponse>) -> ClientError),
}

pub(super) fn judge(status: StatusCode, headers: &HeaderMap) -> Judgement {
    match status {
        StatusCode::OK if !is_event_stream(headers) => Judgement::Refuse(ClientError::ContentType),
        StatusCode::OK if is_encoded(headers) => Judgement::Refuse(ClientError::ContentEncoding),
        StatusCode::OK => Judgement::Stream,
        StatusCode::NO_CONTENT => Judgement::NoContent,
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => Judgement::Redirect,
        // The connection would speak another protocol from here on (RFC 9110, 15.2.2).
        StatusCode::SWITCHING_PROTOCOLS => Judgement::Refuse(ClientError::Status),
        status if status.is_informational() => Judgement::Interim,
        _ => Judgement::Refuse(ClientError::Status),
    }
}

/// Whether an answer that is no stream may have a body (RFC 9110, 6.4.1).
pub(super) fn has_body(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    !is_empty && status != StatusCode::NOT_MODIFIED && !status.is_informational()
}

/// Where a redirect leads. Lines that say the same count as one.
pub(super) fn redirect_target(url: &Uri, headers: &HeaderMap) -> Result<Uri, RedirectError> {
    let mut locations = headers.get_all(header::LOCATION).iter();
    let location = locations.next().ok_or(RedirectError::NoLocation)?;
    if locations.any(|other| other != location) {
        return Err(RedirectError::Location);
    }
    location::resolve(url, location.as_bytes())
}

/// How long an answer asks to stay away, by RFC 9110, 10.2.3.
///
/// A date is counted from the answer's own `Date`, which is right whatever this machine's clock
/// says, and needs none.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let answered = date(headers.get(header::DATE)?.to_str().ok()?)?;
    Some(date(text)?.duration_since(answered).unwrap_or_default())
}

/// Whether an answer says that the server has not begun to act on the request.
///
/// 503 says so by its meaning, but proxies that lost their server answer with it too; those do not
/// know when it will be back.
pub(super) fn was_not_accepted(answer: &UnexpectedResponse) -> bool {
    match answer.status {
        StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => answer.headers.contains_key(header::RETRY_AFTER),
        status => status.as_u16() == OVERLOADED,
    }
}

/// Whether the type is `text/event-stream`, whatever its parameters, by Fetch's "extract a MIME
/// type": of several, the last that is one counts.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_TYPE)
        .iter()
        .flat_map(|value| split_unquoted(value.as_bytes(), b','))
        .filter_map(essence)
        .last()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Type and subtype by MIME Sniffing, 4.4; `None` if it is none, or only says "any".
fn essence(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
    let essence = text[..end].trim_ascii();
    let slash = essence.iter().position(|byte| *byte == b'/')?;
    let is_token = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
    };
    (is_token(&essence[..slash]) && is_token(&essence[slash + 1..]) && essence != b"*/*")
        .then_some(essence)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn of_several_types_the_last_valid_one_counts() {
        for (lines, expected) in [
            (&["text/html", "text/event-stream"][..], true),
            (&["text/event-stream", "text/html"], false),
            (&["text/html, text/event-stream"], true),
            (&["text/event-stream", "x bogus"], true),
            (&["text/event-stream, */*"], true),
            (&["text/event-stream;a=\",text/html\""], true),
            (&["text/event-stream\t ; x"], true),
            (&["text/ event-stream"], false),
            (&["text /event-stream"], false),
            (&["/event-stream", "text/"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(line));
            }
            assert_eq!(is_event_stream(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_against_the_answers_own() {
        let at = |value, date| retry_after(&headers(&[("retry-after", value), ("date", date)]));
        let noon = "Sun, 06 Nov 1994 12:00:00 GMT";
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(at("120", noon), seconds(120));
        assert_eq!(at("99999999999999999999", noon), seconds(u64::MAX));
        assert_eq!(at("Sun, 06 Nov 1994 12:01:30 GMT", noon), seconds(90));
        assert_eq!(at("Sunday, 06-Nov-94 12:01:30 GMT", noon), seconds(90));
        assert_eq!(at("Sun Nov  6 12:01:30 1994", noon), seconds(90));
        assert_eq!(at("Sun, 06 Nov 1994 11:00:00 GMT", noon), seconds(0));
        for nothing in ["", "-1", "1.5", "soon", "1 2"] {
            assert_eq!(at(nothing, noon), None, "{nothing}");
        }
        assert_eq!(at("Sun, 06 Nov 1994 12:01:30 GMT", "yesterday"), None);
        let without_date = headers(&[("retry-after", "Sun, 06 Nov 1994 12:01:30 GMT")]);
        assert_eq!(retry_after(&without_date), None);
    }

    #[test]
    fn codings_that_change_nothing_are_none() {
        let encoded = |value| is_encoded(&headers(&[("content-encoding", value)]));
        assert!(!encoded("") && !encoded("identity") && !encoded(" Identity ,"));
        assert!(encoded("gzip") && encoded("identity, br"));
    }

    #[test]
    fn locations_that_agree_are_one_and_others_are_none() {
        let url = "http://a/".parse().unwrap();
        let twice = headers(&[("location", "/b"), ("location", "/b")]);
        assert_eq!(redirect_target(&url, &twice).unwrap(), "http://a/b");
        let two = headers(&[("location", "/b"), ("location", "/c")]);
        assert_eq!(redirect_target(&url, &two), Err(RedirectError::Location));
    }
}

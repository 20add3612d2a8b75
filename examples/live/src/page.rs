//! The page: three files that the program carries in itself.

use crate::text;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = concat!(
    include_str!("page/base.js"),
    include_str!("page/shared-event-source.js"),
    include_str!("page/log.js"),
    include_str!("page/stream.js"),
    include_str!("page/people.js"),
    include_str!("page/answer.js"),
    include_str!("page/charts.js"),
    include_str!("page/draw.js"),
);

pub(crate) fn file(path: &str) -> Response<Bytes> {
    let (body, content_type) = match path {
        "/" => (PAGE, "text/html; charset=utf-8"),
        "/live.css" => (STYLE, "text/css; charset=utf-8"),
        "/live.js" => (SCRIPT, "text/javascript; charset=utf-8"),
        _ => return text(StatusCode::NOT_FOUND, "There is no such thing here; see /.\n"),
    };
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

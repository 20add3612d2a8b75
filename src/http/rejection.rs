//! What an extractor answers before it knows the hub: [`rejection`].

use super::accept::accept;
use super::response_head::ResponseHead;
use bytes::Bytes;
use http::header::ORIGIN;
use http::{Request, Response};

/// Returns the answer to a request that asks for no event stream, for an adapter whose extractors look
/// at a request before a handler names its hub: 405, 406, or that to a CORS preflight. `None`: the hub
/// is to answer, by [`Hub::accept`](../hub/struct.Hub.html#method.accept), which looks at all of it once
/// more.
///
/// `head` is the head of the streams where the request's route has one of its own. Without it, only the
/// hub knows which pages of other origins may read an answer: then each request with an `Origin` is left
/// to it, whatever it asks for.
///
/// ```
/// use sansse::http::{Cors, ResponseHead, rejection};
///
/// let page = http::Request::get("/").header("accept", "text/html");
/// assert_eq!(rejection(&page.body(())?, None).map(|answer| answer.status().as_u16()), Some(406));
///
/// let other = http::Request::put("/").header("origin", "https://app.example").body(())?;
/// assert!(rejection(&other, None).is_none());
/// let head = ResponseHead::new().with_cors(Cors::any_origin());
/// let answer = rejection(&other, Some(&head)).expect("PUT asks for no stream");
/// assert_eq!(answer.status(), 405);
/// assert_eq!(answer.headers()["access-control-allow-origin"], "*");
/// # Ok::<(), http::Error>(())
/// ```
pub fn rejection<B>(request: &Request<B>, head: Option<&ResponseHead>) -> Option<Response<Bytes>> {
    if head.is_none() && request.headers().contains_key(ORIGIN) {
        return None;
    }
    if let Some(preflight) = head.and_then(|head| head.preflight(request)) {
        return Some(preflight);
    }
    let mut response = accept(request).err()?.response();
    if let Some(head) = head {
        head.apply_cors(request.headers(), response.headers_mut());
    }
    Some(response)
}

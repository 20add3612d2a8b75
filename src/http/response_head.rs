//! With what every stream is answered: [`ResponseHead`].

use super::{Cors, Refusal, is_framing};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};

/// The head of the responses that are event streams: status 200, and these
/// headers unless told otherwise.
///
/// | Header | Why |
/// | --- | --- |
/// | `Content-Type: text/event-stream` | without it no client reads the stream; a `charset` is needless, the format is UTF-8 |
/// | `Cache-Control: no-cache, no-transform` | a stream is new each time, and a proxy that compresses it holds events back |
/// | `X-Accel-Buffering: no` | nginx passes events on as they come |
///
/// Headers of the caller's own win over these. The head never holds what belongs
/// to one connection or to the framing of a message (`Connection`,
/// `Transfer-Encoding`, `Content-Length` and their like). The HTTP stack sets
/// those, and HTTP/2 forbids them: setting such a header here does nothing.
///
/// ```
/// use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SERVER};
/// use sansse::http::ResponseHead;
///
/// let head = ResponseHead::new()
///     .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
///     .with_header(SERVER, HeaderValue::from_static("example"))
///     .without_header(HeaderName::from_static("x-accel-buffering"));
///
/// let response = head.response(&http::HeaderMap::new());
/// assert_eq!(response.headers()["cache-control"], "no-store");
/// assert_eq!(response.headers().len(), 3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    headers: HeaderMap,
    cors: Option<Cors>,
}

impl ResponseHead {
    /// Makes the default head, without CORS.
    pub fn new() -> Self {
        const DEFAULTS: [(HeaderName, HeaderValue); 3] = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
            (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        ];
        Self { headers: HeaderMap::from_iter(DEFAULTS), cors: None }
    }

    /// Sets a header, in place of all that had this name.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if !is_framing(&name) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a header line beside those that have this name already, as
    /// `Set-Cookie` needs it.
    pub fn with_appended_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if !is_framing(&name) {
            self.headers.append(name, value);
        }
        self
    }

    /// Leaves out a header, a default one too.
    pub fn without_header(mut self, name: HeaderName) -> Self {
        self.headers.remove(name);
        self
    }

    /// Lets pages of other origins read the streams. Off unless it is set.
    pub fn with_cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// Returns what is configured for pages of other origins, to be applied to answers that are no
    /// streams.
    pub fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }

    /// Returns the head of the stream that answers a request with these headers.
    pub fn response(&self, request: &HeaderMap) -> Response<()> {
        let mut response = Response::new(());
        *response.headers_mut() = self.headers.clone();
        self.apply_cors(request, response.headers_mut());
        response
    }

    /// Returns the answer to a request with these headers that was refused: as
    /// [`Refusal::response`], readable for the pages that may read the stream.
    pub fn refusal(&self, request: &HeaderMap, refusal: Refusal) -> Response<Bytes> {
        let mut response = refusal.response();
        self.apply_cors(request, response.headers_mut());
        response
    }

    /// Returns the answer to a preflight; `None` if the request is none, or CORS is off. Ask this
    /// before [`accept`](super::accept), which refuses OPTIONS.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        self.cors.as_ref()?.preflight(request)
    }

    /// Adds the CORS headers, if CORS is on, to any other answer.
    pub fn apply_cors(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if let Some(cors) = &self.cors {
            cors.apply(request, response);
        }
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

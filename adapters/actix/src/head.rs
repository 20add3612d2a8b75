//! Heads of requests and responses, from the types of one version of the `http` crate to the other's.

use actix_web::HttpRequest;
use actix_web::http::{self as old, Version};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

/// Copies what decides about the answer to a request.
///
/// Both versions of `http` take the same methods, names and values. So what one of them has read, the
/// other has a form for; what has none all the same is as good as not sent.
pub(crate) fn request(from: &HttpRequest) -> Request<()> {
    let mut request = Request::new(());
    if let Ok(method) = Method::from_bytes(from.method().as_str().as_bytes()) {
        *request.method_mut() = method;
    }
    if let Ok(uri) = Uri::try_from(from.uri().to_string()) {
        *request.uri_mut() = uri;
    }
    for (name, value) in from.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

/// Makes a response of this head and body.
pub(crate) fn response<B>(
    from: &http::Response<impl Sized>,
    body: B,
) -> actix_web::HttpResponse<B> {
    let mut response = actix_web::HttpResponse::with_body(status(from.status()), body);
    for (name, value) in from.headers() {
        let name = old::header::HeaderName::from_bytes(name.as_str().as_bytes());
        let value = old::header::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

pub(crate) fn status(from: http::StatusCode) -> old::StatusCode {
    // Both know all numbers from 100 to 999.
    old::StatusCode::from_u16(from.as_u16()).unwrap_or(old::StatusCode::INTERNAL_SERVER_ERROR)
}

/// Has a body that only ends with the connection, where the peer does not know the chunked coding.
///
/// actix-http sends the chunked coding to all alike.
pub(crate) fn without_chunks<B>(request: &HttpRequest, response: &mut actix_web::HttpResponse<B>) {
    if request.version() < Version::HTTP_11 {
        response.head_mut().no_chunking(true);
        response.head_mut().set_connection_type(old::ConnectionType::Close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_request_keeps_its_method_its_query_and_each_value_of_its_headers() {
        let from = TestRequest::default()
            .method(old::Method::from_bytes(b"BREW").unwrap())
            .uri("/events?lastEventId=7%2F8")
            .append_header(("accept", "text/event-stream"))
            .append_header(("x-name", "one"))
            .append_header(("x-name", "two"))
            .append_header(("x-bytes", &b"\xe4\t"[..]))
            .to_http_request();
        let request = request(&from);
        assert_eq!(request.method(), "BREW");
        assert_eq!(request.uri(), "/events?lastEventId=7%2F8");
        assert_eq!(request.headers()["accept"], "text/event-stream");
        assert_eq!(request.headers()["x-bytes"].as_bytes(), b"\xe4\t");
        let names: Vec<_> = request.headers().get_all("x-name").iter().collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[test]
    fn a_response_keeps_its_status_and_each_value_of_its_headers() {
        let from = http::Response::builder()
            .status(599)
            .header("vary", "origin")
            .header("vary", "accept")
            .body(())
            .unwrap();
        let response = response(&from, ());
        assert_eq!(response.status().as_u16(), 599);
        let vary: Vec<_> = response.headers().get_all("vary").collect();
        assert_eq!(vary, ["origin", "accept"]);
    }
}

//! What a stream can be asked for by.

use alloc::string::String;
use bytes::Bytes;
use http::{Request, Uri};

/// What a stream can be asked for by: a URL, as text or as a [`Uri`], or a whole request. A URL
/// stands for a request by GET.
///
/// ```
/// use sansse::feed::IntoRequest;
///
/// let request = "http://127.0.0.1:8080/events".into_request();
/// assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/events"));
/// ```
///
/// A text that is no URL makes a request that no client can send, as any request without a host is.
/// The client then ends at once, by
/// [`RequestError::Url`](crate::client::RequestError::Url): nothing panics, and there is no second
/// error to handle.
pub trait IntoRequest {
    /// Returns the request.
    fn into_request(self) -> Request<Bytes>;
}

impl IntoRequest for Request<Bytes> {
    fn into_request(self) -> Request<Bytes> {
        self
    }
}

/// A request without a body.
impl IntoRequest for Request<()> {
    fn into_request(self) -> Request<Bytes> {
        self.map(|()| Bytes::new())
    }
}

impl IntoRequest for Uri {
    fn into_request(self) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self;
        request
    }
}

impl IntoRequest for &Uri {
    fn into_request(self) -> Request<Bytes> {
        self.clone().into_request()
    }
}

impl IntoRequest for &str {
    fn into_request(self) -> Request<Bytes> {
        // The default has no host, by which the client knows that it is no URL to ask.
        self.parse::<Uri>().unwrap_or_default().into_request()
    }
}

impl IntoRequest for String {
    fn into_request(self) -> Request<Bytes> {
        self.as_str().into_request()
    }
}

impl IntoRequest for &String {
    fn into_request(self) -> Request<Bytes> {
        self.as_str().into_request()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{
        Client, ClientConfig, ClientError, ClientEvent, CloseReason, RequestError,
    };
    use alloc::string::ToString;
    use http::Method;

    #[test]
    fn a_url_is_a_get_request_and_a_request_is_itself() {
        let url = "https://a.example:8443/events?topic=news";
        let uri: Uri = url.parse().unwrap();
        for request in [
            url.into_request(),
            url.to_string().into_request(),
            (&url.to_string()).into_request(),
            uri.clone().into_request(),
            (&uri).into_request(),
        ] {
            assert_eq!((request.method(), request.uri()), (&Method::GET, &uri));
            assert!(request.body().is_empty() && request.headers().is_empty());
        }
        let post = Request::post(&uri).header("x-a", "1");
        let request = post.body(Bytes::from("question")).unwrap().into_request();
        assert_eq!((request.method(), &request.body()[..]), (&Method::POST, &b"question"[..]));
        let request = Request::get(&uri).header("x-a", "1").body(()).unwrap().into_request();
        assert_eq!(request.headers()["x-a"], "1");
    }

    #[test]
    fn a_text_that_is_no_url_ends_the_client_and_says_why() {
        for text in ["", "/events", "localhost:8080", "http://", "http://a b/", "no url at all"] {
            let mut client = Client::new(text.into_request(), ClientConfig::new(7));
            let Some(ClientEvent::Closed(CloseReason::Failed(ClientError::Request(error)))) =
                client.poll_event()
            else {
                panic!("{text:?}");
            };
            assert_eq!(*error, RequestError::Url, "{text:?}");
        }
    }
}

//! The seam between a client and whatever carries its requests.

use crate::net::Failure;
use bytes::Bytes;
use core::future::Future;
use futures_core::Stream;
use http::{Request, Response};

/// What opens connections for an [`EventSource`](crate::EventSource): somebody's HTTP client, or
/// the raw HTTP/1.1 of an adapter.
///
/// It sends the request as it is, adding what belongs to the connection and to framing, and
/// follows no redirect. It asks for no compression that it does not undo. It sets no deadline that
/// the client's [`Timeouts`](crate::client::Timeouts) set already.
///
/// A transport around another sees each request before it is sent and each head when it comes, those
/// of redirects and refusals too. That is the place for cookies, which the client neither keeps nor
/// sends by itself:
///
/// ```
/// use bytes::Bytes;
/// use http::header::{COOKIE, SET_COOKIE};
/// use http::{HeaderValue, Request, Response};
/// use sansse::Transport;
/// use sansse::net::Failure;
/// use std::future::Future;
/// use std::sync::{Arc, Mutex};
///
/// /// Gives the one cookie of a login back to the one host that set it.
/// struct WithCookie<T> {
///     inner: T,
///     cookie: Arc<Mutex<Option<HeaderValue>>>,
/// }
///
/// impl<T: Transport> Transport for WithCookie<T> {
///     type Body = T::Body;
///
///     fn send(
///         &self,
///         mut request: Request<Bytes>,
///     ) -> impl Future<Output = Result<Response<T::Body>, Failure>> + Send + 'static {
///         let cookie = self.cookie.clone();
///         let is_ours = request.uri().host() == Some("login.example");
///         let kept = cookie.lock().expect("nothing panics while it is held").clone();
///         if let Some(kept) = kept.filter(|_| is_ours) {
///             request.headers_mut().insert(COOKIE, kept);
///         }
///         let sending = self.inner.send(request);
///         async move {
///             let response = sending.await?;
///             let set = response.headers().get(SET_COOKIE).filter(|_| is_ours);
///             let pair = set.and_then(|set| set.as_bytes().split(|byte| *byte == b';').next());
///             if let Some(Ok(pair)) = pair.map(HeaderValue::from_bytes) {
///                 *cookie.lock().expect("nothing panics while it is held") = Some(pair);
///             }
///             Ok(response)
///         }
///     }
/// }
/// ```
pub trait Transport: Send + 'static {
    /// The body of a response: chunks as they come. Its end is the proper end of the body; one
    /// that is cut off is a failure. Dropping it drops the connection.
    type Body: Stream<Item = Result<Bytes, Failure>> + Send + Unpin;

    /// Sends a request. The future is ready with the head of the response as soon as that is
    /// complete. Dropping the future drops the connection.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>> + Send + 'static;
}

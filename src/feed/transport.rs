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

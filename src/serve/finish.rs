//! Whether a handler is finished though its peer has left: [`finish_anyway`].

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use http::Extensions;

/// Asks the server to finish the handler of this request, though the peer may leave before it is
/// answered. Without this the handler's future is dropped as soon as the peer is gone, at the
/// `.await` at which it stands; see [`Server`](super::Server).
///
/// The extensions are those of the request, or of its [parts](http::request::Parts), as the handler
/// got them from the server. It may be called whenever the handler runs. Work that does not belong
/// to the answer is better spawned as a task of its own: the end of a shutdown's time drops every
/// handler.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use sansse::serve::finish_anyway;
///
/// async fn order(request: Request<Bytes>) -> Response<Bytes> {
///     let order = check(request.body());
///     // From here on, the order is placed, also if nobody waits for the answer.
///     finish_anyway(request.extensions());
///     charge(order).await;
///     ship(order).await;
///     Response::new(Bytes::from_static(b"It is on its way.\n"))
/// }
/// # fn check(_: &Bytes) -> u32 { 7 }
/// # async fn charge(_: u32) {}
/// # async fn ship(_: u32) {}
/// ```
pub fn finish_anyway(request: &Extensions) {
    if let Some(Finish(is_asked)) = request.get() {
        is_asked.store(true, Ordering::Relaxed);
    }
}

/// What a request carries for [`finish_anyway`].
#[derive(Clone, Debug, Default)]
pub(super) struct Finish(Arc<AtomicBool>);

impl Finish {
    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

//! Which of a host's addresses a connection is made to.

use super::{Failure, FailureKind, Timer};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

/// How long one address is given before the next is tried as well: the recommended "Connection
/// Attempt Delay" of [RFC 8305, 5](https://www.rfc-editor.org/rfc/rfc8305#section-5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers.
///
/// They are tried in their order. The next is tried when one has failed, or has not answered for
/// 250 ms. Attempts under way go on, and the first connection is the one that is kept (RFC 8305).
/// A connector that uses it loses a moment to a broken route, and not the connection.
///
/// # Errors
///
/// The [`Failure`] of the last attempt; [`FailureKind::Resolve`] where there is no address.
pub async fn connect_any<A, F, S>(
    timer: &dyn Timer,
    addresses: impl IntoIterator<Item = A>,
    connect: impl Fn(A) -> F,
) -> Result<S, Failure>
where
    F: Future<Output = Result<S, Failure>> + Send,
{
    let mut addresses = addresses.into_iter().peekable();
    let mut under_way: Vec<Pin<Box<F>>> = Vec::new();
    let mut failed = Failure::new(FailureKind::Resolve);
    loop {
        match addresses.next() {
            Some(address) => under_way.push(Box::pin(connect(address))),
            None if under_way.is_empty() => return Err(failed),
            None => {}
        }
        let mut patience = addresses.peek().map(|_| timer.sleep_until(timer.now() + HEAD_START));
        let outcome = poll_fn(|context| {
            for index in 0..under_way.len() {
                if let Poll::Ready(result) = under_way[index].as_mut().poll(context) {
                    drop(under_way.swap_remove(index));
                    return Poll::Ready(Some(result));
                }
            }
            match &mut patience {
                Some(patience) => patience.as_mut().poll(context).map(|()| None),
                None => Poll::Pending,
            }
        })
        .await;
        match outcome {
            Some(Ok(connection)) => return Ok(connection),
            Some(Err(failure)) => failed = failure,
            None => {}
        }
    }
}

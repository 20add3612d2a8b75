//! What a runtime's connection is to this library: [`Socket`].

use super::Failure;
use alloc::boxed::Box;
use core::task::{Context, Poll};

/// A connection, as a runtime brings it: bytes in, bytes out.
///
/// Clients read and write through it, and so does a server. Each method keeps at most one task
/// waiting for reading and one for writing; here both are the same.
pub trait Socket: Send + Unpin + 'static {
    /// Reads some bytes into `buffer`, which is not empty, and returns how many; 0 is the proper
    /// end. A connection that shows whether its end is proper, as TLS does, fails where it is not.
    ///
    /// It is asked often, whenever the task is woken: where asking costs a system call, look first
    /// whether anything has come.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>>;

    /// Writes some of `bytes`, which are not empty, and returns how many.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>>;

    /// Writes what waits in a buffer of the connection's own. Ready when nothing waits there any
    /// more. By default there is no such buffer.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let _ = context;
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that nothing more will be written, after what was. Reading goes on. Further
    /// calls do no harm.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>>;

    /// Makes the connection end as a broken one when it is dropped, which comes next: by a reset
    /// instead of a proper end. Bytes that the peer has not got yet may be lost.
    ///
    /// A server calls it where nothing but the end of the connection ends an answer, and the answer
    /// is not complete. The peer would take a proper end for the end of a whole answer (RFC 9112,
    /// section 8). For TCP it is `SO_LINGER` with a time of zero.
    fn reset(&mut self);
}

/// A connection of whichever kind, such as `Box<dyn Socket>`.
impl<S: Socket + ?Sized> Socket for Box<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        (**self).poll_read(context, buffer)
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        (**self).poll_write(context, bytes)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        (**self).poll_flush(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        (**self).poll_shutdown(context)
    }

    fn reset(&mut self) {
        (**self).reset();
    }
}

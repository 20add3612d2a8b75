//! The connections that one hello has opened, and that the next one gives up: [`Lines`].

use crate::line::Line;
use crate::link::unreachable;
use async_lock::{Mutex, OnceCell};
use sansse::broker::Epoch;
use sansse::cluster::LogError;
use sansse::net::Target;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The connections that one hello has opened.
pub(crate) struct Lines<S> {
    pub(crate) epoch: Epoch,
    /// For hello, appends and heads.
    pub(crate) append: Mutex<Option<Line<S>>>,
    /// For reads.
    pub(crate) read: Mutex<Option<Line<S>>>,
    /// The master's address, as a Sentinel has named it.
    pub(crate) named: Option<Target>,
    given_up: OnceCell<()>,
}

impl<S> Lines<S> {
    pub(crate) fn new(epoch: Epoch, append: Line<S>, read: Line<S>, named: Option<Target>) -> Self {
        let (append, read) = (Mutex::new(Some(append)), Mutex::new(Some(read)));
        Self { epoch, append, read, named, given_up: OnceCell::new() }
    }

    /// Makes what there is before a hello.
    pub(crate) fn none() -> Self {
        Self {
            epoch: Epoch(0),
            append: Mutex::new(None),
            read: Mutex::new(None),
            named: None,
            given_up: OnceCell::new(),
        }
    }

    /// Ends what goes on over these connections, once and for all.
    pub(crate) fn give_up(&self) {
        // It is set already where two calls give up the same connections.
        let _ = self.given_up.set_blocking(());
    }

    /// Returns what the future does, unless a hello, or a head, gives these connections up.
    pub(crate) async fn until_given_up<R>(
        &self,
        future: impl Future<Output = Result<R, LogError>>,
    ) -> Result<R, LogError> {
        let (mut future, mut given_up) = (pin!(future), pin!(self.given_up.wait()));
        poll_fn(|context| {
            if given_up.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(unreachable("the connection was given up for a new one")));
            }
            future.as_mut().poll(context)
        })
        .await
    }
}

/// Takes the connection out of its slot. A request puts it back with its answer. One that fails, or
/// is dropped before, closes it.
pub(crate) fn taken<S>(slot: &mut Option<Line<S>>) -> Result<Line<S>, LogError> {
    slot.take().ok_or_else(|| unreachable("there is no connection before a hello"))
}

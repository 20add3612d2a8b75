//! The connections that one hello has opened, and that the next one gives up: [`Lines`].

use crate::line::Line;
use crate::link::unreachable;
use async_lock::{Mutex, OnceCell};
use sansse::broker::Epoch;
use sansse::cluster::LogError;
use sansse::net::{Socket, Target};
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
    /// For reads that do not wait, while another one does; it is opened for the first of them.
    pub(crate) beside: Mutex<Option<Line<S>>>,
    /// Where all of them lead, and whether that has to be asked for in a cluster.
    pub(crate) target: Option<(Target, bool)>,
    /// The life of the server there.
    pub(crate) run_id: Box<str>,
    /// The master's address, as a Sentinel has named it.
    pub(crate) named: Option<Target>,
    given_up: OnceCell<()>,
}

impl<S: Socket> Lines<S> {
    pub(crate) fn new(
        epoch: Epoch,
        append: Line<S>,
        read: Line<S>,
        target: (Target, bool),
        named: Option<Target>,
    ) -> Self {
        let run_id = append.run_id().into();
        Self {
            epoch,
            run_id,
            append: Mutex::new(Some(append)),
            read: Mutex::new(Some(read)),
            target: Some(target),
            named,
            ..Self::none()
        }
    }

    /// Makes what there is before a hello.
    pub(crate) fn none() -> Self {
        Self {
            epoch: Epoch(0),
            append: Mutex::new(None),
            read: Mutex::new(None),
            beside: Mutex::new(None),
            target: None,
            run_id: Box::default(),
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

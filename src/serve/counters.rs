//! What a server counts, what its connections hold together, and the tasks that wait until the count
//! of connections is 0.

use super::budget::{Held, SharedBudget};
use crate::caught;
use crate::http1::ServerCloseReason;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A view of what a [`Server`](super::Server) counts, while it serves and after.
#[derive(Clone, Debug, Default)]
pub struct ServerCounters {
    cells: Arc<Cells>,
}

#[derive(Debug, Default)]
struct Cells {
    accepted: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    max_connections: AtomicU64,
    requests: AtomicU64,
    foreign: AtomicU64,
    abandoned: AtomicU64,
    streams: AtomicU64,
    failed_answers: AtomicU64,
    stalled_answers: AtomicU64,
    slow_heads: AtomicU64,
    bad_requests: AtomicU64,
    junk_after_stream: AtomicU64,
    requests_given_up: AtomicU64,
    streams_given_up: AtomicU64,
    answers_given_up: AtomicU64,
    budget: SharedBudget,
    /// The wakers of the tasks that wait for the last connection to go.
    waiting: Mutex<Vec<Waker>>,
}

/// What a server counted up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerCountersSnapshot {
    /// Connections that were accepted, including those refused.
    pub accepted: u64,
    /// Connections that are open now, without those being refused.
    pub open: u64,
    /// Connections that were too many.
    pub refused: u64,
    /// Errors of `accept`, such as too many open files.
    pub accept_errors: u64,
    /// How many connections may be open at a time, as
    /// [`with_max_connections`](super::Server::with_max_connections) says; of several listeners, on
    /// the one that was served last. 0 before a server serves.
    pub max_connections: u64,
    /// Requests that were handed to the handler.
    pub requests: u64,
    /// Requests that were answered 403, since they were for another host or of a page of another
    /// origin.
    pub foreign: u64,
    /// Requests whose handler was dropped, since the peer had left.
    pub abandoned: u64,
    /// Event streams that were begun: those of sessions, and [answers](crate::answer).
    pub streams: u64,
    /// Answers whose stream of events failed.
    pub failed_answers: u64,
    /// Answers that were ended because their reader took nothing for too long. Sessions that end so
    /// are counted by the [hub](crate::broker::Counters::ended).
    pub stalled_answers: u64,
    /// Connections that were closed because a request's head or body did not come in time.
    pub slow_heads: u64,
    /// Connections that were closed because a request broke the protocol or a limit.
    pub bad_requests: u64,
    /// Event streams that were closed because the peer sent bytes behind its request.
    pub junk_after_stream: u64,
    /// Bytes that are held for peers now, as far as they count for
    /// [`with_max_held_bytes`](super::Server::with_max_held_bytes).
    pub held_bytes: u64,
    /// The most bytes that were held at a time, once those had given way who had to.
    pub most_held_bytes: u64,
    /// Requests that were refused before they were complete, since the bytes were needed that they
    /// took.
    pub requests_given_up: u64,
    /// Event streams that were cut off, since the bytes were needed that their readers had not taken.
    /// The sessions among them [ended](crate::broker::EndReason::GaveWay) by that.
    pub streams_given_up: u64,
    /// Other answers that were cut off for the same reason.
    pub answers_given_up: u64,
}

impl ServerCounters {
    /// Returns what has been counted so far.
    pub fn snapshot(&self) -> ServerCountersSnapshot {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let Held { now, most } = self.cells.budget.held();
        ServerCountersSnapshot {
            accepted: read(&self.cells.accepted),
            open: read(&self.cells.open),
            refused: read(&self.cells.refused),
            accept_errors: read(&self.cells.accept_errors),
            max_connections: read(&self.cells.max_connections),
            requests: read(&self.cells.requests),
            foreign: read(&self.cells.foreign),
            abandoned: read(&self.cells.abandoned),
            streams: read(&self.cells.streams),
            failed_answers: read(&self.cells.failed_answers),
            stalled_answers: read(&self.cells.stalled_answers),
            slow_heads: read(&self.cells.slow_heads),
            bad_requests: read(&self.cells.bad_requests),
            junk_after_stream: read(&self.cells.junk_after_stream),
            held_bytes: now as u64,
            most_held_bytes: most as u64,
            requests_given_up: read(&self.cells.requests_given_up),
            streams_given_up: read(&self.cells.streams_given_up),
            answers_given_up: read(&self.cells.answers_given_up),
        }
    }

    /// Counts a connection, and returns how many there were before it.
    pub(super) fn accepted(&self) -> u64 {
        self.cells.accepted.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn refused(&self) {
        count(&self.cells.refused);
    }

    pub(super) fn accept_error(&self) {
        count(&self.cells.accept_errors);
    }

    pub(super) fn request(&self) {
        count(&self.cells.requests);
    }

    pub(super) fn foreign(&self) {
        count(&self.cells.foreign);
    }

    pub(super) fn abandoned(&self) {
        count(&self.cells.abandoned);
    }

    pub(super) fn stream(&self) {
        count(&self.cells.streams);
    }

    pub(super) fn failed_answer(&self) {
        count(&self.cells.failed_answers);
    }

    pub(super) fn stalled_answer(&self) {
        count(&self.cells.stalled_answers);
    }

    pub(super) fn junk_after_stream(&self) {
        count(&self.cells.junk_after_stream);
    }

    pub(super) fn closed(&self, reason: ServerCloseReason) {
        match reason {
            ServerCloseReason::HeadTimeout | ServerCloseReason::BodyTimeout => {
                count(&self.cells.slow_heads);
            }
            ServerCloseReason::BadRequest(_) => count(&self.cells.bad_requests),
            ServerCloseReason::BytesAfterStreamRequest => self.junk_after_stream(),
            _ => {}
        }
    }

    pub(super) fn request_given_up(&self) {
        count(&self.cells.requests_given_up);
        self.trace("request");
    }

    pub(super) fn stream_given_up(&self) {
        count(&self.cells.streams_given_up);
        self.trace("stream");
    }

    pub(super) fn answer_given_up(&self) {
        count(&self.cells.answers_given_up);
        self.trace("answer");
    }

    /// Tells the log that something gave way, where there is one.
    fn trace(&self, what: &'static str) {
        #[cfg(feature = "tracing")]
        super::trace::gave_way(what, &self.snapshot());
        #[cfg(not(feature = "tracing"))]
        let _ = (self, what);
    }

    pub(super) fn set_max_connections(&self, connections: u64) {
        self.cells.max_connections.store(connections, Ordering::Relaxed);
    }

    /// What the connections hold together.
    pub(super) fn budget(&self) -> &SharedBudget {
        &self.cells.budget
    }

    pub(super) fn opened(&self) {
        count(&self.cells.open);
    }

    /// Undoes [`opened`](Self::opened).
    pub(super) fn closed_one(&self) {
        if self.cells.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            let waiting = core::mem::take(&mut *self.waiting());
            caught::wake(waiting);
        }
    }

    pub(super) fn open(&self) -> u64 {
        self.cells.open.load(Ordering::SeqCst)
    }

    /// Is ready when no connection is open.
    pub(super) fn poll_gone(&self, context: &Context<'_>) -> Poll<()> {
        // Before the count is read, so that the last one to go finds the waker.
        self.waiting().push(context.waker().clone());
        if self.open() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        // Nothing is left half done under this lock.
        self.cells.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::SeqCst);
}

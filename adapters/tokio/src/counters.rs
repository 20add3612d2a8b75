//! What a server counts.

use sansse::http1::CloseReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A view of what a [`Server`](crate::Server) counts, while it serves and after.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    cells: Arc<Cells>,
}

#[derive(Debug, Default)]
struct Cells {
    accepted: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    requests: AtomicU64,
    streams: AtomicU64,
    slow_heads: AtomicU64,
    bad_requests: AtomicU64,
    junk_after_stream: AtomicU64,
}

/// What a server counted up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountersSnapshot {
    /// Connections that were accepted, including those refused.
    pub accepted: u64,
    /// Connections that are open now, without those being refused.
    pub open: u64,
    /// Connections that were too many.
    pub refused: u64,
    /// Errors of `accept`, such as too many open files.
    pub accept_errors: u64,
    /// Requests that were handed to the handler.
    pub requests: u64,
    /// Event streams that were begun.
    pub streams: u64,
    /// Connections that were closed because a request's head or body did not come in time.
    pub slow_heads: u64,
    /// Connections that were closed because a request broke the protocol or a limit.
    pub bad_requests: u64,
    /// Event streams that were closed because the peer sent bytes behind its request.
    pub junk_after_stream: u64,
}

impl Counters {
    /// What has been counted so far.
    pub fn snapshot(&self) -> CountersSnapshot {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        CountersSnapshot {
            accepted: read(&self.cells.accepted),
            open: read(&self.cells.open),
            refused: read(&self.cells.refused),
            accept_errors: read(&self.cells.accept_errors),
            requests: read(&self.cells.requests),
            streams: read(&self.cells.streams),
            slow_heads: read(&self.cells.slow_heads),
            bad_requests: read(&self.cells.bad_requests),
            junk_after_stream: read(&self.cells.junk_after_stream),
        }
    }

    pub(crate) fn accepted(&self) {
        count(&self.cells.accepted);
    }

    pub(crate) fn refused(&self) {
        count(&self.cells.refused);
    }

    pub(crate) fn accept_error(&self) {
        count(&self.cells.accept_errors);
    }

    pub(crate) fn request(&self) {
        count(&self.cells.requests);
    }

    pub(crate) fn stream(&self) {
        count(&self.cells.streams);
    }

    pub(crate) fn junk_after_stream(&self) {
        count(&self.cells.junk_after_stream);
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        match reason {
            CloseReason::HeadTimeout | CloseReason::BodyTimeout => count(&self.cells.slow_heads),
            CloseReason::BadRequest(_) => count(&self.cells.bad_requests),
            CloseReason::BytesAfterStreamRequest => self.junk_after_stream(),
            _ => {}
        }
    }

    pub(crate) fn opened(&self) {
        count(&self.cells.open);
    }

    pub(crate) fn open(&self) -> u64 {
        self.cells.open.load(Ordering::SeqCst)
    }

    /// Says whether that was the last.
    pub(crate) fn gone(&self) -> bool {
        self.cells.open.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::SeqCst);
}

//! What the driver of a realm does for sessions that are older than memory.

use super::{BackfillCounters, Backfills, chunk};
use crate::broker::Sequencer;
use crate::cluster::{Log, LogError, Page, Read};
use crate::hub::Hub;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

/// How many bytes are read at once: few enough for appends that wait for the same connection.
const PAGE_BYTES: u32 = 256 << 10;

/// How many sessions are served before other tasks have their turn.
const SERVED: usize = 256;

/// Who waits, and the reads that are under way.
pub(in crate::cluster) struct DriveBackfills {
    backfills: Backfills,
    reads: Vec<(u64, Reading)>,
    is_lossless: bool,
}

type Reading = Pin<Box<dyn Future<Output = Result<Page, LogError>> + Send>>;

impl DriveBackfills {
    pub(in crate::cluster) fn new(is_lossless: bool) -> Self {
        Self { backfills: Backfills::default(), reads: Vec::new(), is_lossless }
    }

    pub(in crate::cluster) fn counters(&self) -> BackfillCounters {
        self.backfills.counters()
    }

    /// Does what is to be done now: asks the hub who waits, the engine for what it has, and hands that
    /// to the sessions. Returns whether there may be more at once.
    ///
    /// `has_applied` says that something was applied since the last time. While the engine is away,
    /// which is without a sequencer, those who wait resume from memory.
    pub(in crate::cluster) fn round<L: Log>(
        &mut self,
        context: &mut Context<'_>,
        hub: &Hub,
        log: &Arc<L>,
        has_applied: bool,
        sequencer: impl FnOnce() -> Option<Sequencer>,
    ) -> bool {
        let mut is_busy = false;
        hub.poll_backfills(context.waker(), has_applied, |request| {
            self.backfills.begin();
            self.backfills.want(request.session, request.after);
            is_busy = true;
        });
        if self.reads.is_empty() && self.backfills.is_idle() {
            return false;
        }
        if let Some(sequencer) = sequencer() {
            is_busy |= self.read(context, log, &sequencer);
        } else {
            self.backfills.fail_all();
            self.reads.clear();
        }
        for _ in 0..SERVED {
            let Some((session, read)) = self.backfills.poll_served() else { break };
            is_busy = true;
            if let Some(after) = hub.backfill(session, read.as_ref()) {
                self.backfills.want(session, after);
            }
        }
        is_busy
    }

    fn read<L: Log>(
        &mut self,
        context: &mut Context<'_>,
        log: &Arc<L>,
        sequencer: &Sequencer,
    ) -> bool {
        let mut is_busy = false;
        while let Some(after) = self.backfills.poll_read() {
            let log = log.clone();
            let read = Read { after, max_bytes: PAGE_BYTES, wait: Duration::ZERO };
            self.reads.push((after, Box::pin(async move { log.read(read).await })));
        }
        let (backfills, is_lossless) = (&mut self.backfills, self.is_lossless);
        self.reads.retain_mut(|(after, reading)| match reading.as_mut().poll(context) {
            Poll::Ready(page) => {
                let read =
                    page.ok().map(|page| chunk::decode(*after, page, sequencer, is_lossless));
                backfills.handle_read(*after, read);
                is_busy = true;
                false
            }
            // Who waited for it was told otherwise since.
            Poll::Pending => backfills.is_reading(*after),
        });
        is_busy
    }
}

impl fmt::Debug for DriveBackfills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriveBackfills").field("reads", &self.reads.len()).finish_non_exhaustive()
    }
}

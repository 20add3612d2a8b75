//! What is to be appended: [`Outbox`].
//!
//! ```text
//!  publish ─► queue: one record a place ─► sent: one batch, with its number ─► settled
//!                │                           │
//!                └─ engine down: refused     └─ in time no answer: unconfirmed, and still sent
//! ```
//!
//! An engine remembers the newest batch of each node, and knows by its number that it has it. So a
//! batch whose answer was lost is sent again, with its number and its bytes, until the engine says
//! whether it has it. Only then is the next batch made. Otherwise the engine would forget the first
//! one, and a request that was given up and comes late could append it a second time.

use super::config::{NodeConfig, WhileDown};
use super::counters::NodeCounters;
use super::deadline::{Deadline, is_due};
use super::request::Ticket;
use crate::broker::PublishError;
use crate::cluster::{Append, Appended, Batch};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use bytes::Bytes;
use core::time::Duration;
use std::time::Instant;

/// Owns the records that wait, the batch that is under way, and what came of the others.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// The number of the newest ticket.
    last_ticket: u64,
    /// The number of the newest batch. One that was refused for certain has used its number up.
    last_batch: u64,
    sent: Option<Sent>,
    settled: VecDeque<(Ticket, Result<u64, PublishError>)>,
}

#[derive(Debug)]
struct Queued {
    record: Box<[u8]>,
    /// Until when it waits while the engine is down.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Sent {
    number: u64,
    /// The first of its tickets: they follow each other, since the queue gives up from its front.
    first: u64,
    count: u32,
    payload: Bytes,
    confirm: Deadline,
    /// Whether its publishers were told that it is unconfirmed.
    is_settled: bool,
    /// Whether an earlier request for it may have been obeyed, so that no refusal of a later one
    /// says that it was not appended.
    is_doubtful: bool,
}

/// The first batch has no greater number than this: scripts of engines count in doubles.
const MOST: u64 = 1 << 52;

impl Outbox {
    /// Begins after the microseconds of this time of day. So a life of a process that has the id of an
    /// earlier one, which is not to be, is never taken for that: its batches are not those of before.
    pub(super) fn new(time_of_day: Option<Duration>) -> Self {
        let micros = time_of_day.map_or(0, |time| time.as_micros().min(MOST.into()));
        Self { last_batch: u64::try_from(micros).unwrap_or(MOST), ..Self::default() }
    }

    /// Whether publishers are still to be told what came of something.
    pub(super) fn owes_result(&self) -> bool {
        !self.queue.is_empty() || self.sent.as_ref().is_some_and(|sent| !sent.is_settled)
    }

    pub(super) fn count(&self, counters: &mut NodeCounters) {
        counters.queued_records = self.queue.len() as u64;
        counters.queued_bytes = self.queued_bytes as u64;
    }

    pub(super) fn push(
        &mut self,
        now: Instant,
        config: &NodeConfig,
        record: Box<[u8]>,
    ) -> Result<Ticket, PublishError> {
        // What nobody has taken yet takes room as well.
        let records = self.queue.len() + self.settled.len();
        if records >= config.queued_records.get()
            || self.queued_bytes.saturating_add(record.len()) > config.queued_bytes.get()
        {
            return Err(PublishError::Busy);
        }
        let until = match config.while_down {
            WhileDown::Wait(wait) => now.checked_add(wait),
            WhileDown::Refuse => None,
        };
        self.queued_bytes += record.len();
        self.queue.push_back(Queued { record, until });
        self.last_ticket += 1;
        Ok(Ticket(self.last_ticket))
    }

    /// Returns what is to be sent now: the same batch as before until its fate is known, then what
    /// waits.
    pub(super) fn next(&mut self, now: Instant, config: &NodeConfig, seen: u64) -> Option<Append> {
        if self.sent.is_none() {
            self.sent = Some(self.pack(now, config)?);
        }
        let Sent { number, count, payload, .. } = self.sent.as_ref()?;
        let (number, count, payload) = (*number, *count, payload.clone());
        Some(Append { node: config.node, number, seen, count, payload })
    }

    fn pack(&mut self, now: Instant, config: &NodeConfig) -> Option<Sent> {
        let first = self.last_ticket + 1 - self.queue.len() as u64;
        let mut batch = Batch::new(config.node);
        while let Some(next) = self.queue.front() {
            let size = batch.size().saturating_add(next.record.len());
            let is_full =
                size > config.batch_bytes.get() || batch.count() >= config.batch_records.get();
            // The first record is never too many: what is larger than a batch was refused.
            if is_full && batch.count() > 0 {
                break;
            }
            self.queued_bytes -= next.record.len();
            batch.push_encoded(&next.record);
            self.queue.pop_front();
        }
        if batch.count() == 0 {
            return None;
        }
        self.last_batch += 1;
        Some(Sent {
            number: self.last_batch,
            first,
            count: batch.count(),
            payload: batch.payload(),
            confirm: Deadline::after(now, config.confirm_within),
            is_settled: false,
            is_doubtful: false,
        })
    }

    /// The batch was appended. Returns whether that can be.
    pub(super) fn appended(&mut self, appended: Appended, counters: &mut NodeCounters) -> bool {
        let fits = |sent: &mut Sent| {
            appended.count == sent.count && appended.last >= u64::from(sent.count)
        };
        let Some(sent) = self.sent.take_if(fits) else {
            self.doubt();
            return false;
        };
        counters.appended_batches += 1;
        counters.appended_records += u64::from(sent.count);
        let before = appended.last - u64::from(sent.count);
        self.settle_sent(&sent, |number| Ok(before + number));
        true
    }

    /// The engine said that nothing was appended. Returns whether that is the end of the batch: an
    /// earlier request for it may have been obeyed.
    pub(super) fn refused(&mut self, counters: &mut NodeCounters) -> bool {
        let Some(sent) = self.sent.take_if(|sent| !sent.is_doubtful) else { return false };
        counters.refused_down += self.settle_sent(&sent, |_| Err(PublishError::EngineDown));
        true
    }

    /// Nobody knows whether the batch was appended.
    pub(super) const fn doubt(&mut self) {
        if let Some(sent) = &mut self.sent {
            sent.is_doubtful = true;
        }
    }

    /// The engine went down, or stays so to the end: nothing that waits is sent.
    pub(super) fn refuse_queue(&mut self, counters: &mut NodeCounters) {
        while !self.queue.is_empty() {
            self.refuse_first(counters);
        }
    }

    /// Tells those who wait for the batch that nobody knows.
    pub(super) fn give_up_sent(&mut self, counters: &mut NodeCounters) {
        if let Some(mut sent) = self.sent.take() {
            counters.unconfirmed += self.settle_sent(&sent, |_| Err(PublishError::Unconfirmed));
            sent.is_settled = true;
            self.sent = Some(sent);
        }
    }

    #[cfg(feature = "record")]
    pub(super) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    pub(super) fn poll_settled(&mut self) -> Option<(Ticket, Result<u64, PublishError>)> {
        self.settled.pop_front()
    }

    pub(super) fn next_timeout(&self, is_down: bool) -> Option<Instant> {
        let sent = self.sent.as_ref().filter(|sent| !sent.is_settled);
        let confirm = sent.and_then(|sent| sent.confirm.at());
        let waits = self.queue.front().filter(|_| is_down).and_then(|first| first.until);
        [confirm, waits].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        is_down: bool,
        counters: &mut NodeCounters,
    ) {
        if let Some(sent) = &mut self.sent
            && !sent.is_settled
            && sent.confirm.is_over(now)
        {
            self.give_up_sent(counters);
        }
        if is_down {
            self.refuse_overdue(now, counters);
        }
    }

    /// The engine is down: what has waited long enough waits no more.
    pub(super) fn refuse_overdue(&mut self, now: Instant, counters: &mut NodeCounters) {
        while self.queue.front().is_some_and(|first| is_due(first.until, now)) {
            self.refuse_first(counters);
        }
    }

    fn refuse_first(&mut self, counters: &mut NodeCounters) {
        let ticket = self.last_ticket + 1 - self.queue.len() as u64;
        if let Some(first) = self.queue.pop_front() {
            self.queued_bytes -= first.record.len();
            self.settled.push_back((Ticket(ticket), Err(PublishError::EngineDown)));
            counters.refused_down += 1;
        }
    }

    /// Settles all tickets of a batch, the first of which has the number 1. Returns how many were
    /// not settled before.
    fn settle_sent(
        &mut self,
        sent: &Sent,
        result: impl Fn(u64) -> Result<u64, PublishError>,
    ) -> u64 {
        if sent.is_settled {
            return 0;
        }
        let count = u64::from(sent.count);
        let tickets = (1..=count).map(|number| (Ticket(sent.first + number - 1), result(number)));
        self.settled.extend(tickets);
        count
    }
}

//! From the entries of the log to what shards do: [`Reader`].
//!
//! ```text
//!  applied      entry: after, position
//!     6            6 ─────── 9            follows:     7 8 9
//!     6                7 ─── 9            hole:        cut through 7, 8 9
//!     6      4 ───────────── 9            overlap:     cut through 9
//!     6      4 ─── 6                      passed over
//! ```
//!
//! Nothing comes twice, and nothing is left out without a cut.

use super::counters::NodeCounters;
use super::request::Announcement;
use crate::broker::{Audience, LogRecordError, LogStep, PublishError, Sequencer};
use crate::cluster::{Batch, Content, Entry, Head, LogErrorKind, NodeId, Page, Record};
use alloc::vec::Vec;
use core::time::Duration;

/// Owns how far this node has come in the log.
#[derive(Debug)]
pub(super) struct Reader {
    node: NodeId,
    is_lossless: bool,
    sequencer: Sequencer,
    /// The last position of the newest step.
    applied: u64,
    /// From where on is read: after what was applied, or, before the first entry, after the place
    /// where the window begins.
    cursor: u64,
    has_joined: bool,
    /// The head of the log when the node joined. What sessions were told before that concerns none
    /// here.
    joined_at: u64,
    /// While the first entry of the window is looked for.
    seek: Option<Seek>,
    /// What nodes have said of their clients, until it is taken.
    announced: Vec<Announcement>,
}

/// The window with which a node joins, as far as it has been counted from its newest end.
///
/// ```text
///   start          base            cut       end
///     ├─────┬────────┤ . . jump . . ├─────────┤
///           └─ left ─┘         ▲    └ counted ┘
///                              └ the first guess: the end less the window
/// ```
///
/// The jump of a cut is no positions. Where the first entry that is read is a cut over the place from
/// which was read, the node reads again from before the base.
#[derive(Clone, Copy, Debug)]
struct Seek {
    /// Where the log begins.
    start: u64,
    end: u64,
    left: u64,
}

impl Reader {
    pub(super) const fn new(node: NodeId, is_lossless: bool, sequencer: Sequencer) -> Self {
        let applied = sequencer.last();
        let cursor = applied;
        Self {
            node,
            is_lossless,
            sequencer,
            applied,
            cursor,
            has_joined: false,
            joined_at: 0,
            seek: None,
            announced: Vec::new(),
        }
    }

    pub(super) const fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    #[cfg(feature = "signed")]
    pub(super) const fn sequencer_mut(&mut self) -> &mut Sequencer {
        &mut self.sequencer
    }

    pub(super) const fn applied(&self) -> u64 {
        self.applied
    }

    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) const fn has_announced(&self) -> bool {
        !self.announced.is_empty()
    }

    pub(super) fn take_announced(&mut self) -> Vec<Announcement> {
        core::mem::take(&mut self.announced)
    }

    /// Begins to read so many positions before the head, the first time that the head is known.
    pub(super) fn join(&mut self, head: Head, window: u64, steps: &mut Vec<LogStep>) {
        if !self.has_joined {
            self.has_joined = true;
            self.joined_at = head.position;
            let first = head.position.saturating_sub(window);
            self.seek = (first > self.cursor.max(head.start)).then_some(Seek {
                start: head.start,
                end: head.position,
                left: window,
            });
            self.cursor = self.cursor.max(head.start).max(first);
        }
        // There is nothing to read, so that no entry will say what is missing.
        if head.start >= head.position || self.cursor >= head.position {
            self.pass(head.position, steps);
        }
    }

    /// All up to `position` that was not applied is gone.
    pub(super) fn pass(&mut self, position: u64, steps: &mut Vec<LogStep>) {
        if position > self.applied {
            cut(steps, position);
            self.applied = position;
            self.cursor = self.cursor.max(position);
        }
    }

    /// Takes a page that was read after the cursor, and whose positions are less than `end`.
    pub(super) fn take(
        &mut self,
        page: Page,
        end: u64,
        steps: &mut Vec<LogStep>,
        counters: &mut NodeCounters,
    ) -> Result<(), LogErrorKind> {
        let is_possible = |entry: &Entry| entry.after < entry.position && entry.position < end;
        let goes_on = page.entries.iter().any(|entry| entry.position > self.cursor);
        // A page that leads nowhere would be read again and again.
        if !page.entries.iter().all(is_possible) || (!goes_on && !page.entries.is_empty()) {
            return Err(LogErrorKind::Malformed);
        }
        let first = page.entries.iter().find(|entry| entry.position > self.cursor);
        if first.is_some_and(|first| self.seeks_before(first)) {
            return Ok(());
        }
        for entry in page.entries {
            if entry.position > self.cursor {
                self.take_entry(entry, steps, counters);
            }
        }
        Ok(())
    }

    /// Goes back where this first entry is a cut from before the place at which the window was
    /// guessed to begin. Returns whether it did, so that the page is to be read again.
    fn seeks_before(&mut self, first: &Entry) -> bool {
        let Some(seek) = self.seek.take() else { return false };
        if first.content != Content::Cut || first.after >= self.cursor {
            return false;
        }
        // At least one each time, so that no engine makes this go on without end.
        let counted = seek.end.saturating_sub(first.position).max(1);
        let (end, left) = (first.after, seek.left.saturating_sub(counted));
        let cursor = end.saturating_sub(left).max(seek.start).max(self.applied);
        if cursor >= end {
            return false;
        }
        self.cursor = cursor;
        self.seek = (cursor > seek.start.max(self.applied)).then_some(Seek { end, left, ..seek });
        true
    }

    fn take_entry(&mut self, entry: Entry, steps: &mut Vec<LogStep>, counters: &mut NodeCounters) {
        let Entry { after, position, age, content } = entry;
        // What is before the window of a node that joins is no hole.
        if after != self.applied && self.applied > 0 {
            counters.holes += 1;
        }
        if after > self.applied {
            cut(steps, after);
        }
        match content {
            Content::Cut => {
                counters.cuts += 1;
                if self.is_lossless && after >= self.applied {
                    skip(steps, position);
                } else {
                    cut(steps, position);
                }
            }
            // The engine gave these positions a second time, or forgot that it had. Some of them
            // were applied here, and what they hold now is not what sessions have.
            Content::Batch(_) if after < self.applied => cut(steps, position),
            Content::Batch(payload) => match Batch::decode(&payload) {
                Ok((node, records)) if records.len() as u64 == position - after => {
                    for (at, record) in (after + 1..=position).zip(records) {
                        self.take_record(at, node, record, age, steps, counters);
                    }
                }
                Ok(_) | Err(_) => {
                    counters.unreadable += position - after;
                    cut(steps, position);
                }
            },
        }
        self.applied = position;
        self.cursor = position;
    }

    fn take_record(
        &mut self,
        position: u64,
        node: NodeId,
        record: Result<Record, LogRecordError>,
        age: Duration,
        steps: &mut Vec<LogStep>,
        counters: &mut NodeCounters,
    ) {
        match record.map_err(drop).and_then(|record| self.step(position, node, record, age)) {
            Ok(LogStep::Skip { through }) => {
                counters.applied += 1;
                skip(steps, through);
            }
            Ok(step) => {
                counters.applied += 1;
                steps.push(step);
            }
            Err(()) => {
                counters.unreadable += 1;
                cut(steps, position);
            }
        }
    }

    /// Returns what a record of this node is at its position.
    fn step(
        &mut self,
        position: u64,
        node: NodeId,
        record: Record,
        age: Duration,
    ) -> Result<LogStep, ()> {
        match record {
            Record::Publish(record) => {
                // Sessions of several nodes have the same ids.
                if matches!(record.audience(), Audience::Session(_)) && node != self.node {
                    return Ok(LogStep::Skip { through: position });
                }
                // Another node, which knows other rules, may let through what no shard here takes.
                let own_id = record.event().and_then(|event| event.id());
                let checked: Result<(), PublishError> = self.sequencer.check_id(own_id);
                let published = checked.and_then(|()| self.sequencer.place(position, &record));
                let published = published.map_err(drop)?;
                Ok(LogStep::Publish { published, age })
            }
            Record::Revoke(client) => Ok(LogStep::Revoke { position, client }),
            Record::RevokeTopic(client, topic) => {
                Ok(LogStep::RevokeTopic { position, client, topic })
            }
            // A node that was started since is not to let its sessions go for that.
            Record::Drain(_) if position <= self.joined_at => {
                Ok(LogStep::Skip { through: position })
            }
            Record::Drain(drain) => Ok(LogStep::Drain { position, drain }),
            Record::Presence(record) => {
                self.announced.push(Announcement { node, age, record });
                Ok(LogStep::Skip { through: position })
            }
        }
    }
}

/// Adds a cut, to one that is the newest step.
fn cut(steps: &mut Vec<LogStep>, through: u64) {
    if let Some(LogStep::Cut { through: last }) = steps.last_mut() {
        *last = through;
    } else {
        steps.push(LogStep::Cut { through });
    }
}

/// Adds positions of which no session hears, to such that are the newest step.
fn skip(steps: &mut Vec<LogStep>, through: u64) {
    if let Some(LogStep::Skip { through: last }) = steps.last_mut() {
        *last = through;
    } else {
        steps.push(LogStep::Skip { through });
    }
}

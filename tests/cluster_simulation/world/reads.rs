//! Reads for readers that are older than a node's memory.

use super::*;
use crate::node::EPOCH;
use sansse::broker::{Backfilled, EventIds, Sequencer};
use sansse::cluster::{Batch, Content};

impl World {
    /// Sees for whom a node is to read what is older than its memory.
    pub(super) fn read_for_older(&mut self, node: usize) {
        while let Some(request) = self.nodes[node].broker.shard_mut().poll_backfill() {
            self.read_older(node, request.session, request.after);
        }
    }

    fn read_older(&mut self, node: usize, session: SessionId, after: u64) {
        let (wait, life) = (self.latency(), self.nodes[node].life);
        self.after(wait, Happening::ReadsOlder(node, life, session, after));
    }

    pub(super) fn reads_older(&mut self, node: usize, life: u64, session: SessionId, after: u64) {
        let (now, since) = (self.now, self.since());
        let process = &mut self.nodes[node];
        if process.life != life || !process.is_alive {
            return;
        }
        if let Some(until) = process.stalled_until {
            return self.after(until - now, Happening::ReadsOlder(node, life, session, after));
        }
        let connection = process.connection.filter(|(server, run)| {
            self.engine.is_reached(*server, *run) && self.engine.refuses_reads(*server).is_none()
        });
        let Some((server, _)) = connection else {
            self.judge.count("nothing read for a reader");
            process.broker.shard_mut().end_backfill(now, session);
            return;
        };
        let max_bytes = self.scenario.page_bytes;
        let read = Read { after, max_bytes, wait: Duration::ZERO };
        let page = self.engine.read(server, since, &read);
        // What comes before a cut and what comes after it may be the same, and a reader is told of both
        // before its replay.
        let cuts = page.entries.iter().filter(|entry| entry.content == Content::Cut);
        process.lost.extend(cuts.map(|entry| entry.position));
        let mut read = decode(after, page, self.scenario.is_lossless);
        if self.scenario.mutant == Some(Mutant::ReadsOlderWithoutLooking) {
            let (through, published) = (read.through(), read.published().to_vec());
            read = Backfilled::new(read.start(), read.start(), through, published);
        }
        self.judge.count("read for a reader");
        if let Some(next) = process.broker.shard_mut().backfill(now, session, &read) {
            self.read_older(node, session, next);
        }
    }
}

/// What a page has for readers, put together one position after the other.
fn decode(after: u64, page: Page, is_lossless: bool) -> Backfilled {
    let start = page.entries.first().map_or(after, |entry| entry.after.min(after));
    let (mut through, mut whole_from) = (start, start);
    let mut published = Vec::new();
    let mut sequencer = Sequencer::new(EPOCH, 0, EventIds::Assigned);
    for Entry { after, position, content, .. } in page.entries {
        if after != through {
            whole_from = after;
        }
        match content {
            Content::Cut if after == through && is_lossless => {}
            Content::Batch(payload) if after >= through => {
                let (_, records) = Batch::decode(&payload).expect("a node wrote it");
                for (at, record) in (after + 1..).zip(records) {
                    if let Record::Publish(record) = record.expect("a node wrote it") {
                        published.push(sequencer.place(at, &record).unwrap());
                    }
                }
            }
            _ => whole_from = position,
        }
        through = position;
    }
    Backfilled::new(start, whole_from, through, published)
}

//! From a page of the log to what sessions get of it that are older than memory.

use crate::broker::{Audience, Backfilled, LogRecordError, Published, Sequencer};
use crate::cluster::{Batch, Content, Entry, Page, Record};
use alloc::vec::Vec;

/// Decodes what was read after a position, and frames it once for all sessions. `is_lossless` says
/// that a cut which begins where the entry before it ended is no hole.
///
/// What is for one session is left out: sessions of several nodes, and of earlier lives of one, have
/// the same ids.
pub(super) fn decode(
    after: u64,
    page: Page,
    sequencer: &Sequencer,
    is_lossless: bool,
) -> Backfilled {
    // An entry that holds the place in its middle is read as a whole.
    let first = page.entries.first().map_or(after, |entry| entry.after);
    let start = first.min(after);
    let mut chunk = Chunk {
        sequencer: sequencer.begun_anew(),
        is_lossless,
        whole_from: start,
        through: start,
        published: Vec::new(),
    };
    page.entries.into_iter().for_each(|entry| chunk.take(entry));
    Backfilled::new(start, chunk.whole_from, chunk.through.max(after), chunk.published)
}

struct Chunk {
    sequencer: Sequencer,
    is_lossless: bool,
    whole_from: u64,
    through: u64,
    published: Vec<Published>,
}

impl Chunk {
    fn take(&mut self, entry: Entry) {
        let Entry { after, position, content, .. } = entry;
        if position <= self.through || after >= position {
            return;
        }
        let follows = after == self.through;
        match content {
            Content::Cut if follows && self.is_lossless => {}
            Content::Cut => self.whole_from = position,
            // Some of these positions were given a second time.
            Content::Batch(_) if after < self.through => self.whole_from = position,
            Content::Batch(payload) => {
                if !follows {
                    self.whole_from = after;
                }
                match Batch::decode(&payload) {
                    Ok((_, records)) if records.len() as u64 == position - after => {
                        for (at, record) in (after + 1..=position).zip(records) {
                            self.take_record(at, record);
                        }
                    }
                    Ok(_) | Err(_) => self.whole_from = position,
                }
            }
        }
        self.through = position;
    }

    fn take_record(&mut self, at: u64, record: Result<Record, LogRecordError>) {
        let record = match record {
            Ok(Record::Publish(record)) => record,
            // What befell other sessions before a session was opened is not its concern.
            Ok(
                Record::Revoke(_)
                | Record::RevokeTopic(..)
                | Record::Presence(_)
                | Record::Drain(_),
            ) => return,
            Err(_) => {
                self.whole_from = at;
                return;
            }
        };
        if let Audience::Session(_) = record.audience() {
            return;
        }
        let own_id = record.event().and_then(|event| event.id());
        let checked = self.sequencer.check_id(own_id);
        match checked.and_then(|()| self.sequencer.place(at, &record)) {
            Ok(published) => self.published.push(published),
            Err(_) => self.whole_from = at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{ClientId, Epoch, EventIds, LogRecord, SessionId};
    use crate::cluster::NodeId;
    use crate::event::Event;
    use alloc::string::String;
    use core::time::Duration;

    fn batch(after: u64, records: &[Record]) -> Entry {
        let mut batch = Batch::new(NodeId(7));
        for record in records {
            batch.push(record).unwrap();
        }
        let position = after + records.len() as u64;
        let content = Content::Batch(batch.payload());
        Entry { after, position, age: Duration::ZERO, content }
    }

    fn said(data: &str) -> Record {
        LogRecord::new(Audience::Everyone, Event::new(String::from(data))).into()
    }

    fn cut(after: u64, position: u64) -> Entry {
        Entry { after, position, age: Duration::ZERO, content: Content::Cut }
    }

    fn decoded(after: u64, entries: Vec<Entry>, is_lossless: bool) -> (u64, u64, u64, Vec<u64>) {
        // The node has come further.
        let sequencer = Sequencer::new(Epoch(1), 900, EventIds::Assigned);
        let read = decode(after, Page { entries }, &sequencer, is_lossless);
        let positions = read.published().iter().map(Published::position).collect();
        (read.start(), read.whole_from(), read.through(), positions)
    }

    #[test]
    fn entries_that_follow_are_whole_from_where_the_first_begins() {
        let entries = || alloc::vec![batch(2, &[said("3"), said("4")]), batch(4, &[said("5")])];
        assert_eq!(decoded(2, entries(), false), (2, 2, 5, alloc::vec![3, 4, 5]));
        assert_eq!(decoded(3, entries(), false), (2, 2, 5, alloc::vec![3, 4, 5]));
        assert_eq!(decoded(7, Vec::new(), false), (7, 7, 7, Vec::new()));
    }

    #[test]
    fn what_is_trimmed_lost_or_unreadable_is_a_hole() {
        let trimmed = alloc::vec![batch(9, &[said("10")])];
        assert_eq!(decoded(2, trimmed, false), (2, 9, 10, alloc::vec![10]));
        let lost = || alloc::vec![batch(2, &[said("3")]), cut(3, 99), batch(99, &[said("100")])];
        assert_eq!(decoded(2, lost(), false), (2, 99, 100, alloc::vec![3, 100]));
        assert_eq!(decoded(2, lost(), true), (2, 2, 100, alloc::vec![3, 100]));
        let mut spoilt = batch(2, &[said("3")]);
        spoilt.content = Content::Batch(bytes::Bytes::from_static(b"\x09"));
        let entries = alloc::vec![spoilt, batch(3, &[said("4")])];
        assert_eq!(decoded(2, entries, false), (2, 3, 4, alloc::vec![4]));
        let twice =
            alloc::vec![batch(2, &[said("3"), said("4")]), batch(3, &[said("x"), said("y")])];
        assert_eq!(decoded(2, twice, false), (2, 5, 5, alloc::vec![3, 4]));
    }

    #[test]
    fn what_is_for_one_session_or_for_none_is_left_out() {
        let ann = ClientId::new("ann").unwrap();
        let session: SessionId = SessionId::new("0-0-1").unwrap();
        let records = [
            LogRecord::new(session, Event::new("x")).into(),
            Record::Revoke(ann.clone()),
            LogRecord::new(ann, Event::new("y")).into(),
        ];
        assert_eq!(decoded(0, alloc::vec![batch(0, &records)], false), (0, 0, 3, alloc::vec![3]));
    }
}

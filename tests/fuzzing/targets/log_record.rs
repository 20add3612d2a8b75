//! Records of a log outside, as bytes: nothing panics, and what is read is written and read again.

use sansse::broker::{Epoch, EventIds, LogRecord, LogRecordError, Sequencer};

/// Reads records one after the other, as a store does that was given all of these bytes.
pub fn run(bytes: &[u8]) {
    let mut sequencer = Sequencer::new(Epoch(1), 0, EventIds::Assigned);
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = match LogRecord::decode(rest) {
            Ok((record, behind)) => {
                let mut written = Vec::new();
                record.encode(&mut written).unwrap();
                assert_eq!(LogRecord::decode(&written), Ok((record.clone(), &[][..])));
                let published = sequencer.place(sequencer.last() + 1, &record).unwrap();
                assert_eq!(published.audience(), record.audience());
                assert_eq!(published.is_end(), record.event().is_none());
                assert!(behind.len() < rest.len());
                behind
            }
            Err(LogRecordError::Incomplete { missing }) => {
                assert!(missing > 0 && rest.len() + missing <= LogRecord::MAX_SIZE);
                return;
            }
            Err(LogRecordError::TooLarge { size }) => {
                assert!(size > LogRecord::MAX_SIZE);
                return;
            }
            // They are passed over.
            Err(LogRecordError::OtherVersion { size, .. } | LogRecordError::Malformed { size }) => {
                &rest[size..]
            }
            Err(error) => panic!("{error}"),
        };
    }
}

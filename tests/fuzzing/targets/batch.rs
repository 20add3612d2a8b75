//! What nodes write into a realm's log, as bytes: nothing panics, what is read is written and read
//! again, and what nodes say of their clients does not spoil what is known of them.

use super::kit::base_instant;
use sansse::cluster::{Batch, NodeHealth, NodeId, Presence, PresenceConfig, Record};
use std::time::Duration;

/// Reads a batch, as a node does that is ready.
pub fn run(bytes: &[u8]) {
    let Ok((node, records)) = Batch::decode(bytes) else { return };
    let now = base_instant();
    let mut presence = Presence::new(now, NodeId(1), PresenceConfig::new());
    presence.handle_health(now, NodeHealth::Ready);
    assert!(records.len() < bytes.len());
    let mut batch = Batch::new(node);
    let mut readable = Vec::new();
    for record in records.into_iter().flatten() {
        batch.push(&record).unwrap();
        if let Record::Presence(said) = &record {
            presence.handle_record(now, node, said.clone(), Duration::ZERO);
            while presence.poll_change().is_some() {}
            assert!(presence.clients_after(None).count() == presence.len());
        }
        readable.push(Ok(record));
    }
    let again = batch.payload();
    assert!(again.len() <= bytes.len());
    assert_eq!(Batch::decode(&again), Ok((node, readable)));
    // Nobody stays for ever of whom nothing more is said.
    for seconds in [16, 47, 63] {
        presence.handle_timeout(now + Duration::from_secs(seconds));
    }
    assert!(presence.is_empty() && presence.other_nodes().next().is_none());
}

//! What happens to a server, as events of `tracing`, under the target `sansse::serve`.

use super::counters::ServerCountersSnapshot;
use crate::net::Failure;
use tracing::{debug, info, warn};

const TARGET: &str = "sansse::serve";

pub(super) fn serving(connections: u64, open_files: Option<u64>, held_bytes: usize) {
    info!(target: TARGET, connections, open_files, held_bytes, "serving, up to these limits");
}

/// Writes that `accept` failed, and has failed so often since this was written last.
pub(super) fn accept_failed(failure: &Failure, errors: u64) {
    warn!(target: TARGET, %failure, errors, "no connection could be accepted");
}

/// Writes that something gave way. Where that goes on, each warning comes after twice as many as the
/// one before; those between are for debugging.
pub(super) fn gave_way(what: &'static str, counted: &ServerCountersSnapshot) {
    let ServerCountersSnapshot { requests_given_up: requests, .. } = *counted;
    let ServerCountersSnapshot { streams_given_up: streams, answers_given_up: answers, .. } =
        *counted;
    if (requests + streams + answers).is_power_of_two() {
        warn!(target: TARGET, what, requests, streams, answers, "too much is held: the largest gave way");
    } else {
        debug!(target: TARGET, what, requests, streams, answers, "too much is held: the largest gave way");
    }
}

//! What happens to a hub, as events of `tracing`, under the target `sansse::hub`.

use crate::broker::{BrokerEvent, ClientId, EndReason};
use tracing::{debug, error, info, warn};

const TARGET: &str = "sansse::hub";

/// Writes an event of the broker as an event of `tracing`. Losses and ends by a slow peer are
/// warnings; clients and sessions that come and go are for debugging.
pub(super) fn trace(event: &BrokerEvent) {
    match event {
        BrokerEvent::ClientJoined { client } => {
            debug!(target: TARGET, client = client.as_str(), "client joined");
        }
        BrokerEvent::ClientLeft { client } => {
            debug!(target: TARGET, client = client.as_str(), "client left");
        }
        BrokerEvent::SessionOpened { session, client, resumption } => {
            let (outcome, replayed) = (resumption.as_str(), resumption.replayed());
            let client = name(client.as_ref());
            debug!(target: TARGET, %session, client, outcome, replayed, "session opened");
        }
        BrokerEvent::SessionResumed { session, client, resumption } => {
            let (outcome, replayed) = (resumption.as_str(), resumption.replayed());
            let client = name(client.as_ref());
            debug!(target: TARGET, %session, client, outcome, replayed, "session resumed");
        }
        BrokerEvent::SessionSkipped { session, client, lost } => {
            let client = name(client.as_ref());
            warn!(target: TARGET, %session, client, lost, "session skipped events");
        }
        BrokerEvent::SessionSuperseded { session, client, superseded } => {
            let client = name(client.as_ref());
            debug!(target: TARGET, %session, client, superseded, "events were superseded for a session");
        }
        BrokerEvent::LeaseExpiring { session, client, .. } => {
            let client = name(client.as_ref());
            debug!(target: TARGET, %session, client, "lease is about to lapse");
        }
        BrokerEvent::SessionEnded { session, client, reason, undelivered } => {
            let client = name(client.as_ref());
            let is_slow = matches!(
                reason,
                EndReason::Lagged { .. } | EndReason::Stalled | EndReason::GaveWay
            );
            if is_slow {
                warn!(target: TARGET, %session, client, %reason, undelivered, "session ended");
            } else {
                debug!(target: TARGET, %session, client, %reason, undelivered, "session ended");
            }
        }
        BrokerEvent::Drained { shard } => info!(target: TARGET, shard, "drained"),
    }
}

/// Tells that no time passes for a hub any more.
pub(super) fn trace_lost_driver() {
    error!(target: TARGET, "the driver is gone, and the hub closes");
}

fn name(client: Option<&ClientId>) -> Option<&str> {
    client.map(ClientId::as_str)
}

//! What a node counts, for the recorder of `metrics` that the application has.

use super::node::{NodeCounters, NodeHealth};
use super::presence::PresenceCounters;
use super::realm::Realm;
use metrics::{counter, gauge};

impl Realm {
    /// Hands what the node has [counted](Self::counters), and its [health](Self::health), to the
    /// recorder of the `metrics` crate. Call it where [`Hub::record_metrics`](crate::Hub::record_metrics)
    /// is called. It costs nothing between calls.
    ///
    /// What each means, with units and labels, is in the guide
    /// [operating](crate::guide::operating#metrics).
    #[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
    pub fn record_metrics(&self) {
        let health = self.health();
        for (state, is_so) in [
            ("joining", health == NodeHealth::Joining),
            ("ready", health == NodeHealth::Ready),
            ("stale", matches!(health, NodeHealth::Stale { .. })),
            ("down", matches!(health, NodeHealth::Down { .. })),
            ("ended", health == NodeHealth::Ended),
        ] {
            gauge!("sansse_realm_health", "state" => state).set(if is_so { 1.0 } else { 0.0 });
        }
        let NodeCounters {
            queued_records,
            queued_bytes,
            appended_records,
            appended_batches,
            applied,
            unreadable,
            holes,
            cuts,
            refused_busy,
            refused_down,
            unconfirmed,
            failures,
            reconnects,
        } = self.counters();
        set_gauge("sansse_realm_queued_records", queued_records);
        set_gauge("sansse_realm_queued_bytes", queued_bytes);
        counter!("sansse_realm_records_appended").absolute(appended_records);
        counter!("sansse_realm_batches_appended").absolute(appended_batches);
        counter!("sansse_realm_records_applied").absolute(applied);
        counter!("sansse_realm_records_unreadable").absolute(unreadable);
        counter!("sansse_realm_holes").absolute(holes);
        counter!("sansse_realm_cuts").absolute(cuts);
        let refused =
            [("busy", refused_busy), ("engine-down", refused_down), ("unconfirmed", unconfirmed)];
        for (reason, count) in refused {
            counter!("sansse_realm_publishes_refused", "reason" => reason).absolute(count);
        }
        counter!("sansse_realm_engine_failures").absolute(failures);
        counter!("sansse_realm_engine_reconnects").absolute(reconnects);
        if let Some(presence) = self.presence() {
            record_presence(presence.counters());
        }
    }
}

fn record_presence(counters: PresenceCounters) {
    let PresenceCounters {
        clients,
        nodes,
        said,
        pages,
        failed,
        unknown_lists,
        lapsed,
        left_out,
        ignored,
    } = counters;
    set_gauge("sansse_presence_clients", clients);
    set_gauge("sansse_presence_other_nodes", nodes);
    counter!("sansse_presence_records_said").absolute(said);
    counter!("sansse_presence_pages_said").absolute(pages);
    counter!("sansse_presence_records_failed").absolute(failed);
    counter!("sansse_presence_lists_unknown").absolute(unknown_lists);
    counter!("sansse_presence_nodes_lapsed").absolute(lapsed);
    counter!("sansse_presence_clients_left_out").absolute(left_out);
    counter!("sansse_presence_records_ignored").absolute(ignored);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, exact up to 2^53")]
fn set_gauge(name: &'static str, value: u64) {
    gauge!(name).set(value as f64);
}

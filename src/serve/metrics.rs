//! What a server counts, for the recorder of `metrics` that the application has.

use super::ServerCounters;
use metrics::{counter, gauge};

impl ServerCounters {
    /// Hands what the server has counted to the recorder of the `metrics` crate. Call it before the
    /// recorder is read, or every few seconds. It costs nothing between calls.
    ///
    /// Gauges: `sansse_server_connections`, `sansse_server_max_connections`,
    /// `sansse_server_held_bytes`, `sansse_server_most_held_bytes`. Counters:
    /// `sansse_server_connections_accepted`, `sansse_server_connections_refused`,
    /// `sansse_server_accept_errors`, `sansse_server_requests`, `sansse_server_requests_foreign`,
    /// `sansse_server_requests_abandoned`, `sansse_server_streams`, `sansse_server_answers_failed`,
    /// `sansse_server_answers_stalled`, `sansse_server_requests_slow`, `sansse_server_requests_bad`,
    /// `sansse_server_junk_after_stream`, and `sansse_server_given_up` (by `what`: `request`,
    /// `stream` or `answer`).
    ///
    /// What each means is in the guide [operating](crate::guide::operating#metrics).
    pub fn record_metrics(&self) {
        let counted = self.snapshot();
        for (name, value) in [
            ("sansse_server_connections", counted.open),
            ("sansse_server_max_connections", counted.max_connections),
            ("sansse_server_held_bytes", counted.held_bytes),
            ("sansse_server_most_held_bytes", counted.most_held_bytes),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, exact up to 2^53")]
            gauge!(name).set(value as f64);
        }
        for (name, count) in [
            ("sansse_server_connections_accepted", counted.accepted),
            ("sansse_server_connections_refused", counted.refused),
            ("sansse_server_accept_errors", counted.accept_errors),
            ("sansse_server_requests", counted.requests),
            ("sansse_server_requests_foreign", counted.foreign),
            ("sansse_server_requests_abandoned", counted.abandoned),
            ("sansse_server_streams", counted.streams),
            ("sansse_server_answers_failed", counted.failed_answers),
            ("sansse_server_answers_stalled", counted.stalled_answers),
            ("sansse_server_requests_slow", counted.slow_heads),
            ("sansse_server_requests_bad", counted.bad_requests),
            ("sansse_server_junk_after_stream", counted.junk_after_stream),
        ] {
            counter!(name).absolute(count);
        }
        for (what, count) in [
            ("request", counted.requests_given_up),
            ("stream", counted.streams_given_up),
            ("answer", counted.answers_given_up),
        ] {
            counter!("sansse_server_given_up", "what" => what).absolute(count);
        }
    }
}

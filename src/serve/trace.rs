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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;
    use crate::net::FailureKind;
    use crate::serve::{Failing, ServerCounters};
    use alloc::string::{String, ToString};
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::fmt::Write as _;
    use core::time::Duration;
    use std::sync::Mutex;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// The warnings under the target.
    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn core::fmt::Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == TARGET && *metadata.level() == tracing::Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn warnings(work: impl FnOnce()) -> Vec<String> {
        let warnings = Arc::new(Warnings::default());
        // As the hub's test says: with a single subscriber, another thread may be asked.
        let _second = tracing::Dispatch::new(warnings.clone());
        tracing::subscriber::with_default(warnings.clone(), work);
        core::mem::take(&mut *warnings.0.lock().unwrap())
    }

    #[test]
    fn errors_of_accept_do_not_fill_the_log() {
        let failure = Failure::new(FailureKind::Connect).with_detail("Too many open files");
        let lines = warnings(|| {
            let (mut failing, begin) = (Failing::default(), base_instant());
            // One each 50 ms, for 25 s.
            for number in 0..500 {
                failing.log(begin + Duration::from_millis(50) * number, &failure);
            }
        });
        let text = "WARN message=no connection could be accepted \
                    failure=no connection came about: Too many open files errors=";
        assert_eq!(lines, [1, 200, 200].map(|errors| alloc::format!("{text}{errors}")));
    }

    #[test]
    fn of_many_that_give_way_each_warning_tells_of_twice_as_many() {
        let lines = warnings(|| {
            let counters = ServerCounters::default();
            for _ in 0..40 {
                counters.request_given_up();
            }
            counters.stream_given_up();
        });
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert!(lines[5].contains("what=\"request\" requests=32 streams=0 answers=0"), "{lines:?}");
    }
}

//! What a hub counts, and what it tells `tracing` and `metrics`.

use super::BuildStill;
use super::VirtualTimer;
use super::tasks::Probe;
#[cfg(feature = "tracing")]
use super::{client, request_of};
use super::{config, drain, parked, say, sharded};
use sansse::broker::{Audience, LagPolicy, SessionConfig};
use sansse::{EventKey, Hub};

/// Two events of one key.
fn say_twice(hub: &Hub) {
    let event = sansse::Event::new("x");
    for _ in 0..2 {
        let event = event.clone().with_key(EventKey::new("key").unwrap());
        hub.publish(Audience::Everyone, &event).unwrap();
    }
}

#[test]
fn a_hub_counts_for_all_its_shards_and_what_is_published_once() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let mut sessions: Vec<_> = (0..6).map(|_| parked(&hub, SessionConfig::new(), &probe)).collect();
    for _ in 0..4 {
        say(&hub, "x");
    }
    for session in &mut sessions {
        drain(session, &probe);
    }
    drop(sessions.pop());
    let counters = hub.counters();
    assert_eq!(counters.superseded, 0);
    assert_eq!((counters.sessions, counters.resumed.live, counters.ended.total()), (5, 6, 1));
    assert_eq!((counters.published, counters.delivered), (4, 24));
    assert_eq!(counters.delivered_bytes, 6 * counters.published_bytes);

    let newest = SessionConfig::new().with_lag(LagPolicy::KeepNewestPerKey);
    let mut sessions: Vec<_> = (0..3).map(|_| parked(&hub, newest.clone(), &probe)).collect();
    say_twice(&hub);
    for session in &mut sessions {
        drain(session, &probe);
    }
    assert_eq!(hub.counters().superseded, 3, "on each shard");
}

#[cfg(feature = "tracing")]
#[test]
fn what_happens_is_traced_with_no_lock_held() {
    use super::tasks::without_deadlock;
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex, OnceLock};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    struct Lines(Mutex<Vec<String>>, OnceLock<Hub>);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "sansse::hub"
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
            // It may call the hub.
            self.1.get().unwrap().sessions_of(&client("alice"));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    without_deadlock(|| {
        let lines = Arc::new(Lines(Mutex::default(), OnceLock::new()));
        let hub = sharded(config(), 1).build_still(VirtualTimer::new());
        assert!(lines.1.set(hub.clone()).is_ok());
        // Of a single subscriber, `tracing` asks the thread that comes to a place in the code first
        // whether that is of interest, which may be one of another test, where there is none.
        let _second = tracing::Dispatch::new(lines.clone());
        tracing::subscriber::with_default(lines.clone(), || {
            drop(hub.open(request_of("alice")).unwrap());
            let newest = request_of("bob").with_lag(LagPolicy::KeepNewestPerKey);
            let probe = Probe::new();
            let mut session = parked(&hub, newest, &probe);
            say_twice(&hub);
            drain(&mut session, &probe);
        });
        let lines = lines.0.lock().unwrap().join("\n");
        for part in [
            "DEBUG message=client joined client=\"alice\"",
            "message=session opened session=0-0-",
            "outcome=\"live\" replayed=0",
            "DEBUG message=events were superseded for a session session=0-0-",
            "client=\"bob\" superseded=1",
            "message=session ended",
            "reason=the connection is gone undelivered=0",
        ] {
            assert!(lines.contains(part), "{part} is not in:\n{lines}");
        }
    });
}

#[cfg(feature = "metrics")]
#[test]
fn what_is_counted_goes_to_the_recorder() {
    let hub = sharded(config(), 2).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let mut sessions: Vec<_> = (0..3).map(|_| parked(&hub, SessionConfig::new(), &probe)).collect();
    say(&hub, "x");
    drain(&mut sessions[0], &probe);
    let newest = SessionConfig::new().with_lag(LagPolicy::KeepNewestPerKey);
    sessions.push(parked(&hub, newest, &probe));
    say_twice(&hub);
    drain(sessions.last_mut().unwrap(), &probe);
    drop(sessions.pop());
    let map = super::recorder::Map::default();
    metrics::with_local_recorder(&map, || hub.record_metrics());
    #[cfg(feature = "serve")]
    {
        let server = sansse::serve::ServerCounters::default();
        metrics::with_local_recorder(&map, || server.record_metrics());
        let values = map.values();
        for name in [
            "sansse_server_connections ",
            "sansse_server_max_connections ",
            "sansse_server_held_bytes ",
            "sansse_server_most_held_bytes ",
            "sansse_server_accept_errors ",
            "sansse_server_given_up what=request",
            "sansse_server_given_up what=stream",
            "sansse_server_given_up what=answer",
        ] {
            assert_eq!(values.get(name), Some(&0.0), "{name}: {values:?}");
        }
    }
    let values = map.values();
    for (name, value) in [
        ("sansse_sessions ", 3),
        ("sansse_sessions_opened resume=live", 4),
        ("sansse_sessions_opened resume=gap", 0),
        ("sansse_sessions_ended reason=disconnected", 1),
        ("sansse_sessions_ended reason=gave-way", 0),
        ("sansse_sessions_refused reason=address", 0),
        ("sansse_events_published ", 3),
        ("sansse_events_delivered ", 2),
        ("sansse_events_lost reason=skipped", 0),
        ("sansse_events_superseded ", 1),
        ("sansse_queue_age_microseconds_bucket le=0", 2),
        ("sansse_lag_events_bucket le=+Inf", 2),
    ] {
        assert_eq!(values.get(name).copied(), Some(f64::from(value)), "{name}: {values:?}");
    }
}

/// The rows of the tables of a guide, each as its cells.
#[cfg(all(feature = "cluster", feature = "metrics", feature = "serve"))]
fn rows(guide: &str) -> Vec<Vec<&str>> {
    let rows = guide.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(str::trim).collect()).collect()
}

#[cfg(all(feature = "cluster", feature = "metrics", feature = "serve"))]
#[test]
fn the_guide_has_a_row_for_each_metric_and_each_of_its_labels_and_for_no_other() {
    use std::collections::BTreeSet;

    let map = super::recorder::Map::default();
    metrics::with_local_recorder(&map, || {
        sharded(config(), 1).build_still(VirtualTimer::new()).record_metrics();
        sansse::serve::ServerCounters::default().record_metrics();
        let hub = sharded(config(), 1).build_still(VirtualTimer::new());
        let log = sansse::cluster::MemoryLog::new(VirtualTimer::new());
        let node = sansse::cluster::NodeConfig::new(sansse::cluster::NodeId(1), 1);
        let presence = sansse::cluster::RealmPresence::new(sansse::cluster::PresenceConfig::new());
        let config = sansse::cluster::RealmConfig::new(node).with_presence(&presence);
        let (realm, _drive) = sansse::cluster::Realm::new(hub, log, config).unwrap();
        realm.record_metrics();
    });
    let rows = rows(include_str!("../../src/guide/operating.rs"));
    let row_of = |name: &str| {
        let name = format!("`{name}`");
        let row = rows.iter().find(|row| row[0] == name);
        row.unwrap_or_else(|| panic!("the guide has no row for {name}"))
    };
    let mut recorded = BTreeSet::new();
    for value in map.values().into_keys() {
        let (name, label) = value.split_once(' ').unwrap();
        recorded.insert(format!("`{name}`"));
        let row = row_of(name);
        assert!(["gauge", "counter"].contains(&row[1]) && !row[2].is_empty(), "{row:?}");
        let Some((label, value)) = label.split_once('=') else { continue };
        assert!(row[2].contains(&format!("`{label}`")), "{name} by {label}: {row:?}");
        match name {
            // Ends and refusals have tables of their own.
            "sansse_sessions_ended" | "sansse_sessions_refused" => {
                assert!(row_of(value).len() >= 4, "{value}");
            }
            _ if label == "le" => {}
            _ => assert!(row[2].contains(&format!("`{value}`")), "{name} {value}: {row:?}"),
        }
    }
    let told = rows.iter().map(|row| row[0].to_owned()).filter(|cell| cell.starts_with("`sansse_"));
    assert_eq!(told.collect::<BTreeSet<_>>(), recorded);
}

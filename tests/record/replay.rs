//! What was recorded, done again.

use super::kit::broker::present;
use super::world::World;
use super::{small, start};
use crate::kit::number;
use crate::kit::seed;
use sansse::broker::*;
use sansse::record::{Output, Record, RecordErrorKind};

const HISTORIES: u64 = 100;

/// What has to stand in the records.
const CALLS: &[&str] = &[
    "open",
    "handle_disconnect",
    "close_session",
    "close",
    "abort",
    "poll_ready",
    "poll_event",
    "handle_timeout",
    "drain",
    "end_topic",
    "renew_lease",
    "revoke",
    "revoke_topic",
    "publish",
    "apply",
    "apply_aged",
    "skip",
    "cut",
    "set_ahead_wait",
    "set_keeps_for_absent",
    "set_backfill",
    "poll_backfill",
    "backfill",
    "end_backfill",
    "set_retention",
    "retry_after",
    "subscribe",
    "unsubscribe",
    "poll_transmit",
    "poll_transmit_batch",
    "handle_partial_write",
    "handle_progress",
    "wait_for_readers",
    "wait_for_room",
    "poll_wait",
    "newest",
    "other",
    "Malformed",
    "is_end",
    "opening_comment",
    "notices",
    "lease",
    "address",
    "last",
    "topics_only",
    "permitted",
];

#[test]
fn what_is_recorded_and_done_again_gives_the_same_outputs_byte_for_byte() {
    let first = seed(1);
    let histories = number("SANSSE_HISTORIES").unwrap_or(HISTORIES);
    // All of this has to come, or the histories are not worth much.
    let outcomes = [
        "Frame(",
        "Parked",
        "Ended(Some",
        "filled: More",
        "Ready(Some",
        "SessionEnded",
        "SessionSkipped",
        "LeaseExpiring",
        "Drained",
        "Complete { replayed: 1",
        "Gap",
        "OtherEpoch",
        "resumption: Waiting",
        "SessionResumed",
        "Subscribed(Ok(Waiting",
        "BackfillAsked(Some",
        "Backfilled(Some",
        "Backfilled(None",
        "SettingSet(Err(ZeroAheadWait",
        "Evicted",
        "Ok(Published",
        "Err(TooLarge",
        "Err(NoRoom",
        "Waits(Ok(Some",
        "WaitOver(Some",
        "Err(OutOfOrder",
        "Err(TopicsEnded",
        "Err(ZeroStallTimeout",
        "Opened(Err(NotPermitted",
        "Subscribed(Err(NotPermitted",
        "TopicsEnded",
    ];
    let mut seen: Vec<(&str, usize)> =
        CALLS.iter().chain(&outcomes).map(|what| (*what, 0)).collect();
    let (mut steps, mut bytes, mut rests) = (0, 0, 0);
    for seed in first..first + histories {
        let world = World::random(seed);
        let text = world.text();
        let mut replay = Record::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
        let mut outputs = world.outputs.iter();
        let mut lines = text.lines().skip(1);
        for step in replay.by_ref() {
            let step = step.unwrap_or_else(|error| panic!("SANSSE_SEED={seed}: {error}"));
            let line = lines.next().unwrap();
            assert_eq!(Some(&step.output), outputs.next(), "SANSSE_SEED={seed}: {line}");
            // What was read is written as it was.
            assert_eq!(step.input.to_string(), line, "SANSSE_SEED={seed}");
            rests +=
                usize::from(matches!(&step.output, Output::Remainder(rest) if !rest.is_empty()));
        }
        assert_eq!(outputs.next(), None, "SANSSE_SEED={seed}");
        assert_eq!(state(replay.broker()), state(&world.broker), "SANSSE_SEED={seed}");
        let output = format!("{:?}", world.outputs);
        for (number, (what, count)) in seen.iter_mut().enumerate() {
            let count_in = |text: &str, what: &str| text.matches(what).count();
            *count += if number < CALLS.len() {
                count_in(&text, &format!("\"{what}\""))
            } else {
                count_in(&output, what)
            };
        }
        steps += world.outputs.len();
        bytes += text.len();
    }
    println!(
        "{histories} histories, {steps} calls, {bytes} bytes of records, {rests} rests of frames"
    );
    if histories >= HISTORIES {
        for (what, count) in seen {
            assert!(count >= 2, "{what} came {count} times");
        }
        assert!(rests > 100);
    }
}

#[test]
fn a_configuration_can_be_changed_before_the_replay_and_has_to_hold() {
    let (text, outputs) = small();
    let mut record = Record::parse(text.as_bytes()).unwrap();
    record.config.event_ids = EventIds::Own;
    let step = record.replay(start()).unwrap().nth(2).unwrap().unwrap();
    let Output::Frame(frame) = &step.output else { panic!("{step:?}") };
    assert!(frame.payload().starts_with(b"event: sansse-notice\n"), "{frame:?}");
    assert_ne!(outputs[2], step.output, "without an id");

    let mut record = Record::parse(text.as_bytes()).unwrap();
    record.config.session.heartbeat = Some(std::time::Duration::ZERO);
    let error = record.replay(start()).unwrap_err();
    assert_eq!(error.kind(), &RecordErrorKind::Config(ConfigError::ZeroHeartbeat));
}

/// All that can be asked of a broker without changing it.
pub(super) fn state(broker: &Broker) -> String {
    let present = present(broker);
    let page = broker.presence_page(None, 100, |_, _| ());
    let (counters, deadline) = (broker.counters(), broker.poll_timeout());
    let numbers = (
        broker.shard().last_position(),
        broker.shard().last_event(),
        broker.counters().retained_bytes,
    );
    format!("{present:?} {page:?} {counters:?} {deadline:?} {numbers:?} {:?}", broker.state())
}

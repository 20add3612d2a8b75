//! What is recorded, and what is not.

use super::replay::state;
use super::start;
use super::world::World;
use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;
use sansse::record::{Output, Record, RecordedBroker};
use std::sync::{Arc, Mutex};

#[test]
fn a_call_is_told_before_it_is_done_and_not_done_if_the_sink_panics() {
    let (mut entries, told) = (0, Arc::new(Mutex::new(Vec::new())));
    let sink = told.clone();
    let mut broker = RecordedBroker::new(start(), config(), move |entry| {
        sink.lock().unwrap().push(entry.to_string());
        entries += 1;
        assert!(entries < 3, "the sink is full");
    })
    .unwrap();
    broker.publish(start(), Audience::Everyone, &Event::new("one")).unwrap();
    let unwind = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        broker.publish(start(), Audience::Everyone, &Event::new("two"))
    }));
    assert!(unwind.is_err());
    assert_eq!((broker.shard().last_position(), told.lock().unwrap().len()), (1, 3));
    assert!(told.lock().unwrap()[2].contains("two"));
}

#[test]
fn a_record_ends_when_it_is_stopped_and_a_broker_without_one_does_the_same() {
    let mut world = World::new(config(), Rng::new(1));
    assert!(world.broker.is_recording());
    world.broker.stop_recording();
    assert!(!world.broker.is_recording());
    world.broker.publish(start(), Audience::Everyone, &Event::new("unseen")).unwrap();
    assert_eq!(world.text().lines().count(), 1);
    let mut without = RecordedBroker::from(Broker::new(start(), config()).unwrap());
    assert!(!without.is_recording());
    without.publish(start(), Audience::Everyone, &Event::new("unseen")).unwrap();
    assert_eq!(state(&without), state(&world.broker));
}

#[test]
fn metadata_is_in_no_record_and_decides_nothing() {
    #[derive(Clone)]
    struct Token;
    let mut world = World::new(config(), Rng::new(1));
    let alice = client("alice");
    let opened = world.broker.open(start(), session_of("alice").with_metadata(Token));
    world.note(Output::Opened(opened));
    world.broker.client_mut(&alice).metadata().unwrap().insert("more");
    let text = world.text();
    assert_eq!(text.lines().count(), 2);
    let mut replay = Record::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
    assert_eq!(replay.next().unwrap().unwrap().output, world.outputs[0]);
    assert!(world.broker.client(&alice).map(ClientRef::metadata).unwrap().get::<Token>().is_some());
    assert!(replay.broker().client(&alice).map(ClientRef::metadata).unwrap().is_empty());
}

#[cfg(feature = "signed")]
#[test]
fn keys_are_in_no_record_and_have_to_be_given_for_a_replay() {
    use sansse::record::{RecordError, RecordErrorKind};

    let keys = |byte: u8| CursorKeys::new(&[byte; 32]).unwrap();
    let mut config = config();
    config.cursor_keys = Some(keys(0x5a));
    let mut world = World::new(config, Rng::new(1));
    for text in ["one", "two"] {
        let published = world.broker.publish(start(), Audience::Everyone, &Event::new(text));
        world.note(Output::Published(published));
        let set = world.broker.shard_mut().set_cursor_keys(keys(0xa5));
        world.note(Output::KeysSet(set));
    }
    let text = world.text();
    for secret in ["90,90,90", "165,165", "ZZZ", "5a5a"] {
        assert!(!text.contains(secret), "{text}");
    }
    let error = Record::parse(text.as_bytes()).unwrap().replay(start()).unwrap_err();
    assert_eq!((error.line(), error.kind()), (1, &RecordErrorKind::NoKeys));
    for later in 0..=2 {
        let mut record = Record::parse(text.as_bytes()).unwrap();
        record.config.cursor_keys = Some(keys(0x5a));
        record.later_keys = vec![keys(0xa5); later];
        let steps: Vec<_> = record.replay(start()).unwrap().collect();
        let outputs = steps.iter().flatten().map(|step| step.output.clone());
        assert!(outputs.eq(world.outputs.iter().take(1 + 2 * later).cloned()));
        let error = steps.last().unwrap().as_ref().err().map(RecordError::kind);
        assert_eq!(error, (later < 2).then_some(&RecordErrorKind::NoKeys));
    }
}

//! What entries of the log mean to the shards.

use crate::kit::base_instant;
use crate::stage::{
    DOWN, ME, OTHER, Stage, config, cut, entry, event, events, millis, payload, secs,
};
use bytes::Bytes;
use sansse::broker::{
    Audience, Broker, BrokerConfig, ClientId, Epoch, LogRecord, LogStep, SessionConfig, TopicName,
};
use sansse::cluster::{Content, Entry, LogAnswer, NodeId, Page, PresenceRecord, Record};
use sansse::{Event, EventId};
use std::time::Duration;

fn at(after: u64, position: u64, content: Content) -> Entry {
    Entry { after, position, age: Duration::ZERO, content }
}

#[test]
fn entries_are_applied_in_order_with_their_age_and_read_after_the_last() {
    let mut stage = Stage::serving(config());
    assert_eq!(stage.page(vec![events(0, &["a", "b"]), events(2, &["c"])]), ["1:a", "2:b", "3:c"]);
    let (id, read) = stage.read().unwrap();
    assert_eq!((read.after, read.max_bytes, read.wait), (3, 1 << 20, secs(5)));
    stage.answer(id, Ok(LogAnswer::Page(Page { entries: vec![events(3, &["d"])] })));
    assert!(matches!(stage.applied[..], [LogStep::Publish { age, .. }] if age == secs(1)));
    assert_eq!((stage.node.applied(), stage.node.counters().applied), (4, 4));
}

#[test]
fn what_nodes_say_of_their_clients_is_handed_out_and_no_session_hears_of_it() {
    let mut stage = Stage::serving(config());
    let said = [PresenceRecord::Lease { number: 3 }, PresenceRecord::Gone];
    let [lease, gone] = said.clone().map(Record::from);
    let page = vec![entry(0, &[event("a"), lease, gone]), events(3, &["b"])];
    assert_eq!(stage.page(page), ["1:a", "skip 3", "4:b"]);
    let announced: Vec<_> = stage.announced.drain(..).collect();
    assert!(announced.iter().all(|one| one.node == OTHER && one.age == secs(1)));
    assert!(announced.into_iter().map(|one| one.record).eq(said));
    assert_eq!(stage.node.counters().applied, 4);
}

#[test]
fn what_is_said_of_clients_by_a_newer_version_is_no_gap() {
    let lease = PresenceRecord::Lease { number: 3 }.into();
    let mut bytes = payload(OTHER, &[lease, event("a")]).to_vec();
    // The version of the first record, behind that of the batch, the node and its kind.
    bytes[1 + 16 + 1] = 9;
    let mut stage = Stage::serving(config());
    assert_eq!(stage.page(vec![at(0, 2, Content::Batch(bytes.into()))]), ["skip 1", "2:a"]);
    assert_eq!(stage.announced[0].record, PresenceRecord::Unknown { version: 9 });
}

#[test]
fn what_is_missing_before_an_entry_is_cut() {
    let mut stage = Stage::serving(config());
    stage.page(vec![events(0, &["a"])]);
    assert_eq!(
        stage.page(vec![events(4, &["e"]), events(9, &["j"])]),
        ["cut 4", "5:e", "cut 9", "10:j"]
    );
    assert_eq!(stage.node.counters().holes, 2);
}

#[test]
fn what_was_applied_is_passed_over() {
    let mut stage = Stage::serving(config());
    stage.page(vec![events(0, &["a", "b"])]);
    assert_eq!(stage.page(vec![events(0, &["x", "y"]), events(2, &["c"])]), ["3:c"]);
}

#[test]
fn positions_that_come_a_second_time_are_not_believed() {
    let mut stage = Stage::serving(config());
    stage.page(vec![events(0, &["a", "b"])]);
    assert_eq!(stage.page(vec![events(1, &["x", "y"]), events(3, &["d"])]), ["cut 3", "4:d"]);
}

#[test]
fn a_cut_is_a_gap_unless_the_engine_is_declared_lossless_and_the_node_stood_there() {
    let said: [(bool, u64, &[&str]); 5] = [
        (false, 2, &["cut 100", "101:c"]),
        (true, 2, &["skip 100", "101:c"]),
        (true, 1, &["cut 100", "101:c"]),
        // What is missing before the base is another thing.
        (true, 3, &["cut 3", "skip 100", "101:c"]),
        (false, 3, &["cut 100", "101:c"]),
    ];
    for (lossless, base, said) in said {
        let mut settings = config();
        settings.lossless = lossless;
        let mut stage = Stage::serving(settings);
        stage.page(vec![events(0, &["a", "b"])]);
        let page = vec![cut(base, 100), events(100, &["c"])];
        assert_eq!(stage.page(page), said, "{lossless} {base}");
        assert_eq!(stage.node.counters().cuts, 1);
    }
}

#[test]
fn a_record_that_cannot_be_read_is_a_gap_at_its_place_alone() {
    let mut bytes = payload(OTHER, &[event("a"), event("b"), event("c")]).to_vec();
    // The version of the second record, behind its kind.
    let second = payload(OTHER, &[event("a")]).len() + 1;
    bytes[second] = 9;
    let mut stage = Stage::serving(config());
    let page = vec![at(0, 3, Content::Batch(bytes.into()))];
    assert_eq!(stage.page(page), ["1:a", "cut 2", "3:c"]);
    assert_eq!(stage.node.counters().unreadable, 1);
}

#[test]
fn a_batch_that_cannot_be_read_is_a_gap_as_a_whole() {
    for batch in [
        Bytes::from_static(b""),
        Bytes::from_static(b"\x09 of a later version"),
        Bytes::from_static(b"\x01 too short"),
        payload(OTHER, &[event("one too few")]),
        payload(OTHER, &[event("one"), event("too"), event("many")]),
    ] {
        let mut stage = Stage::serving(config());
        let page = vec![at(0, 2, Content::Batch(batch)), events(2, &["c"])];
        assert_eq!(stage.page(page), ["cut 2", "3:c"]);
        assert_eq!(stage.node.counters().unreadable, 2);
    }
}

#[test]
fn an_id_with_which_nobody_could_come_back_is_a_gap() {
    let record = |id: &str| -> Record {
        let event = Event::new("x").with_id(EventId::new(id.to_owned()).unwrap());
        LogRecord::new(Audience::Everyone, event).into()
    };
    let mut stage = Stage::serving(config());
    let page = vec![entry(0, &[record("e-77"), record("mine"), record(" ")])];
    assert_eq!(stage.page(page), ["cut 1", "2:x", "cut 3"]);
}

#[test]
fn control_records_are_steps_at_their_positions() {
    let (ann, news) = (ClientId::new("ann").unwrap(), TopicName::new("news").unwrap());
    let mut stage = Stage::serving(config());
    let records = [event("a"), Record::Revoke(ann.clone()), Record::RevokeTopic(ann, news.clone())];
    let page = vec![entry(0, &records), entry(3, &[LogRecord::end_of(news).into()])];
    assert_eq!(stage.page(page), ["1:a", "2:revoke ann", "3:revoke ann news", "4:"]);
}

#[test]
fn what_is_for_a_session_concerns_the_node_that_wrote_it() {
    let mut broker = Broker::new(base_instant(), BrokerConfig::new(Epoch(0xe))).unwrap();
    let session = broker.open(base_instant(), SessionConfig::new()).unwrap().session;
    let record = |text: &'static str| Record::from(LogRecord::new(session, Event::new(text)));
    let batch = |node: NodeId, text| Content::Batch(payload(node, &[record(text)]));
    let mut stage = Stage::serving(config());
    let page = vec![at(0, 1, batch(OTHER, "theirs")), at(1, 2, batch(ME, "mine"))];
    assert_eq!(stage.page(page), ["skip 1", "2:mine"]);
}

#[test]
fn an_entry_that_cannot_be_makes_the_node_give_up_the_engine() {
    let end = 1 << 53;
    for entry in [
        at(2, 2, Content::Cut),
        at(3, 2, Content::Cut),
        at(1, end, Content::Cut),
        at(1, u64::MAX, Content::Cut),
        // It was not asked for, and no page would ever end.
        events(0, &["a"]),
    ] {
        let mut stage = Stage::serving(config());
        stage.page(vec![events(0, &["a"])]);
        assert!(stage.page(vec![entry.clone()]).is_empty(), "{entry:?}");
        assert_eq!((stage.word(), stage.node.applied()), ("stale", 1), "{entry:?}");
    }
}

#[test]
fn no_page_is_asked_for_before_the_one_before_it_was_taken() {
    let mut stage = Stage::serving(config());
    let (id, _) = stage.read().unwrap();
    let page = Page { entries: vec![events(0, &["a"])] };
    stage.node.handle_answer(stage.now, id, Ok(LogAnswer::Page(page)));
    assert!(stage.node.poll_request(stage.now).is_none());
    assert!(stage.node.poll_effect().is_some());
    assert!(stage.node.poll_request(stage.now).is_some());
}

#[test]
fn an_engine_that_does_not_wait_is_not_asked_without_end() {
    let mut stage = Stage::serving(config());
    assert!(stage.page(Vec::new()).is_empty());
    assert!(stage.read().is_none());
    stage.pass(millis(50));
    assert!(stage.read().is_some());
    // One that waited is asked again at once.
    stage.pass(secs(4));
    stage.page(Vec::new());
    assert!(stage.read().is_some());
}

#[test]
fn the_head_is_asked_for_when_nothing_was_read_for_a_while() {
    let mut stage = Stage::serving(config());
    stage.pass(secs(4));
    stage.page(vec![events(0, &["a"])]);
    stage.pass(secs(4));
    assert!(stage.head().is_none());
    stage.pass(secs(1));
    stage.answer_head(0, 1);
    assert_eq!((stage.word(), stage.node.poll_request(stage.now)), ("ready", None));
    stage.page(Vec::new());
    stage.pass(secs(5));
    assert!(stage.head().is_some(), "again and again");
}

#[test]
fn an_engine_that_has_less_than_was_read_is_told_so_by_a_hello() {
    let mut stage = Stage::serving(config());
    stage.page(vec![events(0, &["a", "b"])]);
    stage.pass(secs(5));
    let (read, _) = stage.read().unwrap();
    stage.answer_head(0, 1);
    assert_eq!(stage.given_up, [read]);
    assert_eq!(stage.hello().unwrap().1.seen, 2);
    assert!(stage.publish("waits").is_ok(), "the engine is there");
    stage.greet(0, 1_000);
    assert_eq!(stage.word(), "ready");
    assert_eq!(stage.page(vec![cut(1, 1_000)]), ["cut 1000"]);
}

#[test]
fn a_log_that_begins_behind_the_reader_and_says_nothing_is_a_gap() {
    let mut stage = Stage::serving(config());
    stage.page(vec![events(0, &["a"])]);
    stage.pass(secs(5));
    let (read, _) = stage.read().unwrap();
    stage.answer_head(7, 7);
    assert_eq!(crate::stage::short(&stage.applied), ["cut 7"]);
    assert_eq!((stage.given_up.as_slice(), stage.read().unwrap().1.after), (&[read][..], 7));
}

#[test]
fn a_read_that_goes_elsewhere_is_found_out() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    stage.appended(1);
    // Reads are answered, by an engine to which nobody appends any more.
    stage.pass(secs(4));
    stage.page(Vec::new());
    stage.pass(secs(1));
    stage.answer_head(0, 1);
    assert_eq!(stage.word(), "stale");
    assert_eq!(stage.reconnect(0, 1).seen, 1);
    assert_eq!(stage.page(vec![events(0, &["a"])]), ["1:a"]);
    assert_eq!(stage.word(), "ready");
}

#[test]
fn a_read_without_an_answer_is_given_up_after_its_wait_and_a_margin() {
    let mut stage = Stage::serving(config());
    let (read, _) = stage.read().unwrap();
    stage.pass(secs(5));
    stage.answer_head(0, 0);
    stage.pass(millis(1_999));
    assert!(stage.given_up.is_empty());
    stage.pass(millis(1));
    assert_eq!((stage.given_up.as_slice(), stage.word()), (&[read][..], "stale"));
    stage.answer(read, Err(DOWN.into()));
    assert_eq!(stage.node.counters().failures, 1, "what is given up does nothing");
}

#[test]
fn a_deadline_that_was_slept_through_leaves_time_for_the_answer() {
    let mut stage = Stage::serving(config());
    stage.stand_still(secs(60));
    assert_eq!(stage.word(), "ready");
    assert_eq!(stage.page(vec![events(0, &["a"])]), ["1:a"]);
    stage.stand_still(secs(60));
    stage.pass(secs(1));
    assert_eq!(stage.word(), "stale");
}

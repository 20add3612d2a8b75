//! How publishes become batches, and what publishers are told.

use crate::stage::{Stage, config, event, events, secs};
use sansse::broker::{Audience, LogRecord, PublishError};
use sansse::cluster::{Appended, Batch, LogAnswer, LogErrorKind, Record, WhileDown};
use sansse::{Event, EventId, UnusableId};

#[test]
fn a_publish_is_settled_with_its_position() {
    let mut stage = Stage::serving(config());
    assert_eq!(stage.publish("a"), Ok(1));
    let append = stage.appended(41);
    assert_eq!((append.number, append.count, append.seen), (1, 1, 0));
    assert_eq!(Batch::decode(&append.payload), Ok((config().node, vec![Ok(event("a"))])));
    assert_eq!(stage.take_settled(), [(1, Ok(41))]);
    let counters = stage.node.counters();
    assert_eq!((counters.appended_records, counters.appended_batches), (1, 1));
}

#[test]
fn what_comes_while_a_batch_is_under_way_is_the_next_batch() {
    let mut stage = Stage::serving(config());
    for text in ["a", "b", "c"] {
        stage.publish(text).unwrap();
    }
    assert_eq!(stage.append().unwrap().1.count, 1);
    assert_eq!(stage.node.counters().queued_records, 2);
    stage.appended(1);
    assert_eq!(stage.node.counters().queued_bytes, 0);
    let second = stage.appended(3);
    assert_eq!((second.number, second.count, second.seen), (2, 2, 1));
    assert_eq!(stage.take_settled(), [(1, Ok(1)), (2, Ok(2)), (3, Ok(3))]);
}

#[test]
fn a_batch_has_no_more_records_and_bytes_than_it_may() {
    let mut settings = config();
    settings.batch_records = 3.try_into().unwrap();
    let mut stage = Stage::serving(settings);
    (0..8).for_each(|_| assert!(stage.publish("x").is_ok()));
    let counts: Vec<u32> = [1, 4, 7, 8].map(|last| stage.appended(last).count).into();
    assert_eq!(counts, [1, 3, 3, 1]);

    let mut settings = config();
    settings.batch_bytes = 100.try_into().unwrap();
    let mut stage = Stage::serving(settings);
    (0..5).for_each(|_| assert!(stage.publish("twenty characters or").is_ok()));
    let mut last = 0;
    while let Some((_, append)) = stage.append() {
        assert!(append.payload.len() <= 100, "{}", append.payload.len());
        last += u64::from(append.count);
        stage.appended(last);
    }
    assert_eq!(last, 5);
}

#[test]
fn a_record_that_no_batch_can_hold_is_refused() {
    let mut settings = config();
    settings.batch_bytes = 100.try_into().unwrap();
    let mut stage = Stage::serving(settings);
    let error = stage.publish(&"x".repeat(100)).unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { size: 101.., limit: 100 }), "{error:?}");
    let far = stage.publish(&"x".repeat(LogRecord::MAX_SIZE)).unwrap_err();
    assert!(matches!(far, PublishError::TooLarge { .. }), "{far:?}");
    assert!(stage.append().is_none());
}

#[test]
fn an_id_with_which_nobody_could_come_back_never_enters_the_log() {
    let mut stage = Stage::serving(config());
    let mut publish = |id: &str| {
        let event = Event::new("x").with_id(EventId::new(id.to_owned()).unwrap());
        let record: Record = LogRecord::new(Audience::Everyone, event).into();
        stage.node.publish(stage.now, record).map(drop)
    };
    assert_eq!(publish(""), Err(PublishError::UnusableId(UnusableId::Empty)));
    assert_eq!(publish("e-17"), Err(PublishError::UnusableId(UnusableId::LikeAPlace)));
    assert_eq!(publish("mine"), Ok(()));
}

#[test]
fn what_waits_is_bounded_and_one_more_is_busy() {
    let mut settings = config();
    settings.queued_records = 3.try_into().unwrap();
    let mut stage = Stage::serving(settings);
    // One is under way.
    (0..4).for_each(|_| assert!(stage.publish("x").is_ok()));
    assert_eq!(stage.publish("x"), Err(PublishError::Busy));
    assert_eq!(stage.node.counters().refused_busy, 1);
    stage.appended(1);
    assert_eq!(stage.publish("x"), Ok(5));

    let mut settings = config();
    settings.queued_bytes = 60.try_into().unwrap();
    let mut stage = Stage::serving(settings);
    stage.publish("x").unwrap();
    let taken = (0..100).take_while(|_| stage.publish("ten or so.").is_ok()).count();
    assert!((1..6).contains(&taken), "{taken}");
    assert!(stage.node.counters().queued_bytes <= 60);
}

#[test]
fn results_that_nobody_takes_take_the_room_of_publishes() {
    let mut settings = config();
    settings.queued_records = 2.try_into().unwrap();
    let mut stage = Stage::serving(settings);
    for text in ["a", "b", "c"] {
        stage.publish(text).unwrap();
    }
    let (id, append) = stage.append().unwrap();
    stage.done(id);
    let answer = LogAnswer::Appended(Appended { last: 1, count: append.count });
    stage.node.handle_answer(stage.now, id, Ok(answer));
    assert_eq!(stage.node.publish(stage.now, event("d")), Err(PublishError::Busy));
    stage.settle();
    assert_eq!(stage.publish("d"), Ok(4));
}

#[test]
fn an_answer_that_cannot_be_settles_nothing() {
    for answer in [
        LogAnswer::Appended(Appended { last: 7, count: 2 }),
        LogAnswer::Appended(Appended { last: 0, count: 1 }),
        LogAnswer::Appended(Appended { last: 1 << 53, count: 1 }),
        LogAnswer::Page(sansse::cluster::Page::default()),
    ] {
        let mut stage = Stage::serving(config());
        stage.publish("a").unwrap();
        let (id, first) = stage.append().unwrap();
        stage.answer(id, Ok(answer));
        assert_eq!((stage.word(), stage.take_settled()), ("stale", vec![]));
        stage.reconnect(0, 1);
        assert_eq!(stage.append().unwrap().1.payload, first.payload, "it may be in the log");
        stage.appended(1);
        assert_eq!(stage.take_settled(), [(1, Ok(1))]);
    }
}

#[test]
fn a_refusal_settles_its_batch_and_its_number_is_not_used_again() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    stage.publish("b").unwrap();
    let (id, _) = stage.append().unwrap();
    stage.fail(id, LogErrorKind::NotReady);
    let down = Err(PublishError::EngineDown);
    assert_eq!(stage.take_settled(), [(1, down), (2, down)]);
    stage.reconnect(0, 0);
    assert_eq!(stage.node.counters().refused_down, 2);
    stage.publish("c").unwrap();
    assert_eq!(stage.appended(1).number, 2);
}

#[test]
fn an_engine_that_is_full_refuses_batches_and_is_read_from_as_ever() {
    let mut stage = Stage::serving(config());
    for ticket in [1, 2] {
        stage.publish("a").unwrap();
        let (id, append) = stage.append().unwrap();
        assert_eq!(append.number, ticket);
        stage.fail(id, LogErrorKind::Full);
        assert_eq!(stage.take_settled(), [(ticket, Err(PublishError::EngineDown))]);
        assert_eq!(stage.word(), "ready");
    }
    assert_eq!(stage.page(vec![events(0, &["of another node"])]), ["1:of another node"]);
    let counters = stage.node.counters();
    assert_eq!((counters.refused_down, counters.failures), (2, 0));
    // There is room again.
    stage.publish("b").unwrap();
    assert_eq!(stage.appended(2).number, 3);
    assert_eq!(stage.take_settled(), [(3, Ok(2))]);
}

#[test]
fn what_is_to_wait_for_an_engine_waits_for_its_room() {
    let mut settings = config();
    settings.while_down = WhileDown::Wait(secs(60));
    let mut stage = Stage::serving(settings);
    stage.publish("a").unwrap();
    let (id, _) = stage.append().unwrap();
    stage.publish("b").unwrap();
    stage.fail(id, LogErrorKind::Full);
    assert_eq!(stage.take_settled(), [(1, Err(PublishError::EngineDown))]);
    assert_eq!(stage.word(), "stale");
    stage.reconnect(0, 0);
    stage.appended(1);
    assert_eq!(stage.take_settled(), [(2, Ok(1))]);
}

#[test]
fn the_head_is_asked_for_between_appends_that_do_not_end() {
    let mut stage = Stage::serving(config());
    stage.publish("x").unwrap();
    for last in 1..20 {
        stage.publish("x").unwrap();
        stage.pass(secs(1));
        if stage.head().is_some() {
            return;
        }
        stage.appended(last);
        if last % 4 == 0 && stage.read().is_some() && last < 4 {
            stage.page(Vec::new());
        }
    }
    panic!("the head was never asked for");
}

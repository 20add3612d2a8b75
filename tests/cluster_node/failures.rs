//! An engine that fails, and comes back.

use crate::stage::{DOWN, Stage, config, event, events, millis, secs};
use sansse::broker::PublishError;
use sansse::cluster::{LogAnswer, LogErrorKind, NodeHealth, WhileDown};
use std::time::Duration;

#[test]
fn any_error_gives_up_both_requests_and_the_node_says_hello_again() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    let (append, _) = stage.append().unwrap();
    let (read, _) = stage.read().unwrap();
    stage.fail(read, DOWN);
    assert_eq!(stage.given_up, [append]);
    assert!(stage.is_quiet());
    assert_eq!(stage.health[1..], [NodeHealth::Stale { since: stage.now, error: DOWN }]);
    stage.reconnect(0, 0);
    assert_eq!((stage.word(), stage.node.counters().reconnects), ("ready", 1));
    assert!(stage.append().is_some() && stage.read().is_some());
}

#[test]
fn a_batch_whose_answer_was_lost_is_sent_again_with_its_number_before_any_other() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    let (id, first) = stage.append().unwrap();
    stage.fail(id, DOWN);
    stage.reconnect(0, 1);
    stage.publish("b").unwrap();
    let (_, again) = stage.append().unwrap();
    assert_eq!((again.number, again.count, &again.payload), (1, 1, &first.payload));
    stage.appended(1);
    assert_eq!(stage.appended(2).number, 2);
    assert_eq!(stage.take_settled(), [(1, Ok(1)), (2, Ok(2))]);
}

#[test]
fn what_was_not_sent_is_refused_when_the_engine_goes_down() {
    let mut stage = Stage::serving(config());
    stage.publish("sent").unwrap();
    stage.publish("waits").unwrap();
    stage.pass(secs(5));
    assert_eq!(stage.take_settled(), [(2, Err(PublishError::EngineDown))]);
    assert_eq!(stage.publish("later"), Err(PublishError::EngineDown));
    stage.reconnect(0, 0);
    stage.appended(1);
    assert_eq!(stage.take_settled(), [(1, Ok(1))]);
}

#[test]
fn what_was_not_sent_waits_if_it_is_to_and_no_longer() {
    let mut settings = config();
    settings.while_down = WhileDown::Wait(secs(2));
    let mut stage = Stage::new(settings);
    let (id, _) = stage.hello().unwrap();
    stage.fail(id, DOWN);
    stage.publish("first").unwrap();
    stage.pass(secs(1));
    stage.publish("second").unwrap();
    stage.pass(millis(999));
    assert!(stage.take_settled().is_empty());
    stage.pass(millis(1));
    assert_eq!(stage.take_settled(), [(1, Err(PublishError::EngineDown))]);
    stage.greet(0, 0);
    stage.appended(1);
    assert_eq!(stage.take_settled(), [(2, Ok(1))]);
}

#[test]
fn what_is_published_before_the_first_hello_is_answered_waits_for_that() {
    let mut stage = Stage::new(config());
    stage.publish("a").unwrap();
    assert!(stage.append().is_none());
    stage.greet(0, 0);
    stage.appended(1);
    assert_eq!(stage.take_settled(), [(1, Ok(1))]);

    let mut stage = Stage::new(config());
    stage.publish("a").unwrap();
    stage.pass(secs(5));
    assert_eq!(stage.take_settled(), [(1, Err(PublishError::EngineDown))]);
    assert_eq!(stage.publish("b"), Err(PublishError::EngineDown));
}

#[test]
fn what_waits_while_the_engine_is_down_is_bounded() {
    let mut settings = config();
    settings.while_down = WhileDown::Wait(Duration::MAX);
    settings.queued_records = 5.try_into().unwrap();
    let mut stage = Stage::new(settings);
    (0..5).for_each(|_| assert!(stage.publish("x").is_ok()));
    (0..1_000).for_each(|_| assert_eq!(stage.publish("x"), Err(PublishError::Busy)));
    assert_eq!(stage.node.counters().queued_records, 5);
}

#[test]
fn what_was_sent_and_not_answered_is_unconfirmed_in_time_and_still_sent_first() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    // Each request takes five seconds to fail.
    stage.pass(millis(9_999));
    assert!(stage.take_settled().is_empty());
    stage.pass(millis(1));
    assert_eq!(stage.take_settled(), [(1, Err(PublishError::Unconfirmed))]);
    assert_eq!(stage.node.counters().unconfirmed, 1);
    stage.reconnect(0, 1);
    stage.publish("b").unwrap();
    assert_eq!(stage.appended(1).number, 1);
    assert!(stage.take_settled().is_empty(), "each ticket is settled once");
    assert_eq!(stage.appended(2).number, 2);
    assert_eq!(stage.take_settled(), [(2, Ok(2))]);
}

#[test]
fn a_refusal_of_what_may_have_been_appended_before_decides_nothing() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    let (id, _) = stage.append().unwrap();
    stage.fail(id, DOWN);
    stage.reconnect(0, 1);
    let (id, _) = stage.append().unwrap();
    stage.fail(id, LogErrorKind::Full);
    assert!(stage.take_settled().is_empty());
    stage.reconnect(0, 1);
    assert_eq!(stage.appended(1).number, 1);
    assert_eq!(stage.take_settled(), [(1, Ok(1))]);
}

#[test]
fn an_append_beside_a_read_that_failed_is_in_doubt() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    let (read, _) = stage.read().unwrap();
    stage.fail(read, LogErrorKind::NotReady);
    stage.reconnect(0, 1);
    let (id, _) = stage.append().unwrap();
    stage.fail(id, LogErrorKind::Full);
    assert!(stage.take_settled().is_empty(), "the first request may have been obeyed");
}

#[test]
fn waits_between_attempts_grow_to_a_bound_and_are_reset_by_a_read() {
    let mut stage = Stage::serving(config());
    let (id, _) = stage.read().unwrap();
    stage.fail(id, DOWN);
    let mut attempts = 0;
    let begin = stage.now;
    while stage.now < begin + secs(600) {
        stage.wait_for_hello();
        let (id, _) = stage.hello().unwrap();
        stage.fail(id, DOWN);
        attempts += 1;
    }
    // The mean of the longest waits is half of five seconds.
    assert!((180..300).contains(&attempts), "{attempts}");
    stage.reconnect(0, 0);
    stage.pass(secs(5));
    stage.page(Vec::new());
    let (id, _) = stage.read().unwrap();
    stage.fail(id, DOWN);
    let failed = stage.now;
    stage.wait_for_hello();
    assert!(stage.now <= failed + millis(50), "{:?}", stage.now - failed);
}

#[test]
fn two_nodes_wait_for_different_times() {
    let wait = |seed| {
        let mut settings = config();
        settings.seed = seed;
        let mut stage = Stage::new(settings);
        let (id, _) = stage.hello().unwrap();
        let failed = stage.now;
        stage.fail(id, DOWN);
        stage.wait_for_hello();
        stage.now - failed
    };
    assert_ne!(wait(1), wait(2));
    assert_eq!(wait(1), wait(1));
}

#[test]
fn a_node_is_stale_until_it_has_caught_up() {
    let mut stage = Stage::serving(config());
    let since = stage.now;
    let (id, _) = stage.read().unwrap();
    stage.fail(id, DOWN);
    stage.reconnect(0, 2);
    stage.page(vec![events(0, &["a"])]);
    assert_eq!(stage.node.health(), NodeHealth::Stale { since, error: DOWN });
    stage.page(vec![events(1, &["b"])]);
    assert_eq!(stage.word(), "ready");
}

#[test]
fn the_stream_goes_on_exactly_after_a_failure_that_lost_nothing() {
    let mut stage = Stage::serving(config());
    assert_eq!(stage.page(vec![events(0, &["a"])]), ["1:a"]);
    let (id, _) = stage.read().unwrap();
    stage.fail(id, DOWN);
    assert_eq!(stage.reconnect(0, 3).seen, 1);
    assert_eq!(stage.page(vec![events(1, &["b", "c"])]), ["2:b", "3:c"]);
}

#[test]
fn answers_that_nobody_waits_for_do_nothing() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    let (append, _) = stage.append().unwrap();
    stage.pass(secs(5));
    let before = format!("{:?}", stage.node);
    let late = sansse::cluster::Appended { last: 1, count: 1 };
    stage.node.handle_answer(stage.now, append, Ok(LogAnswer::Appended(late)));
    assert_eq!(format!("{:?}", stage.node), before);
}

#[test]
fn out_of_date_times_do_no_harm() {
    let mut stage = Stage::serving(config());
    let begin = stage.now;
    stage.pass(secs(3));
    stage.node.handle_timeout(begin);
    stage.node.publish(begin, event("a")).unwrap();
    assert_eq!(stage.node.poll_request(begin).map(|(id, _)| id.get()), Some(3));
    assert!(stage.node.poll_timeout().is_some_and(|at| at > stage.now));
}

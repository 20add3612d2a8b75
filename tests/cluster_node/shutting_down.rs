//! The end of a node in good order.

use crate::stage::{DOWN, Stage, config, events, secs};
use sansse::broker::PublishError;

#[test]
fn what_waits_is_appended_and_read_before_the_end() {
    let mut stage = Stage::serving(config());
    stage.publish("a").unwrap();
    stage.publish("b").unwrap();
    stage.node.shut_down(stage.now);
    assert_eq!(stage.publish("c"), Err(PublishError::Closed));
    stage.appended(1);
    stage.appended(2);
    assert_eq!(stage.take_settled(), [(1, Ok(1)), (2, Ok(2))]);
    assert!(!stage.node.is_over(), "its own sessions have not got it yet");
    stage.page(vec![events(0, &["a", "b"])]);
    assert!(stage.node.is_over() && stage.is_quiet());
    assert_eq!(stage.node.poll_timeout(), None);
}

#[test]
fn a_node_with_nothing_to_do_ends_at_once() {
    let mut stage = Stage::serving(config());
    let (read, _) = stage.read().unwrap();
    stage.node.shut_down(stage.now);
    stage.settle();
    assert!(stage.node.is_over());
    assert_eq!(stage.given_up, [read]);
    stage.pass(secs(100));
    assert!(stage.is_quiet());
}

#[test]
fn an_engine_that_does_not_answer_holds_up_the_end_for_a_bounded_time() {
    let mut stage = Stage::serving(config());
    stage.publish("sent").unwrap();
    stage.pass(secs(1));
    stage.publish("waits").unwrap();
    stage.node.shut_down(stage.now);
    stage.pass(secs(4));
    // The engine is down now.
    assert_eq!(stage.take_settled(), [(2, Err(PublishError::EngineDown))]);
    stage.pass(secs(1));
    assert!(stage.node.is_over() && stage.is_quiet());
    assert_eq!(stage.take_settled(), [(1, Err(PublishError::Unconfirmed))]);
}

#[test]
fn a_node_without_its_engine_ends_at_once() {
    let mut stage = Stage::serving(config());
    let (id, _) = stage.read().unwrap();
    stage.fail(id, DOWN);
    stage.node.shut_down(stage.now);
    stage.node.shut_down(stage.now);
    stage.settle();
    assert!(stage.node.is_over() && stage.is_quiet());
}

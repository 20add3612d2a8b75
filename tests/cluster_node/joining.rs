//! How a node begins: hello, what is kept, and when it is ready.

use crate::stage::{DOWN, Stage, config, cut, events, secs};
use sansse::broker::Epoch;
use sansse::cluster::{LogAnswer, LogErrorKind, NodeHealth, Page};

#[test]
fn a_node_says_hello_before_it_asks_for_anything() {
    let stage = Stage::new(config());
    let (_, hello) = stage.hello().unwrap();
    assert_eq!((hello.node, hello.epoch, hello.seen), (config().node, Epoch(0xe), 0));
    assert!(stage.read().is_none() && stage.append().is_none());
    assert_eq!(stage.word(), "joining");
}

#[test]
fn a_node_is_ready_at_once_where_the_log_is_empty() {
    let mut stage = Stage::serving(config());
    assert_eq!(stage.health, [NodeHealth::Ready]);
    assert_eq!(stage.read().unwrap().1.after, 0);
    assert_eq!(stage.page(vec![events(0, &["a"])]), ["1:a"]);
}

#[test]
fn a_node_is_ready_when_it_has_read_up_to_the_head_of_its_first_hello() {
    let mut stage = Stage::new(config());
    stage.greet(0, 3);
    assert_eq!(stage.page(vec![events(0, &["a", "b"])]), ["1:a", "2:b"]);
    assert_eq!(stage.word(), "joining");
    assert_eq!(stage.page(vec![events(2, &["c"])]), ["3:c"]);
    assert_eq!(stage.health, [NodeHealth::Ready]);
    assert_eq!(stage.node.applied(), 3);
}

#[test]
fn a_node_joins_with_a_window_and_what_lies_before_is_a_gap() {
    let mut settings = config();
    settings.window = 2;
    let mut stage = Stage::new(settings);
    stage.greet(0, 10);
    assert_eq!(stage.read().unwrap().1.after, 8);
    assert_eq!(stage.page(vec![events(7, &["h", "i", "j"])]), ["cut 7", "8:h", "9:i", "10:j"]);
    assert_eq!((stage.word(), stage.node.counters().holes), ("ready", 0));
}

#[test]
fn the_jump_of_a_cut_counts_as_no_position_of_the_window() {
    let mut settings = config();
    settings.window = 5;
    settings.lossless = true;
    let mut stage = Stage::new(settings);
    // 1 to 10, a cut, 1,001 and 1,002.
    stage.greet(0, 1_002);
    assert_eq!(stage.read().unwrap().1.after, 997);
    let (jump, last) = (cut(10, 1_000), events(1_000, &["x", "y"]));
    assert!(stage.page(vec![jump.clone(), last.clone()]).is_empty());
    assert_eq!(stage.read().unwrap().1.after, 7, "two of five are counted");
    let page = vec![events(7, &["h", "i", "j"]), jump, last];
    let read = ["cut 7", "8:h", "9:i", "10:j", "skip 1000", "1001:x", "1002:y"];
    assert_eq!(stage.page(page), read);
    assert_eq!(stage.word(), "ready");
}

#[test]
fn a_window_goes_back_over_several_cuts_and_no_further_than_the_log() {
    let mut settings = config();
    settings.window = 100;
    let mut stage = Stage::new(settings);
    stage.greet(2, 9_001);
    let pages = [cut(1_001, 9_000), cut(3, 1_000)];
    for (page, after) in pages.into_iter().zip([902, 2]) {
        assert!(stage.page(vec![page]).is_empty());
        assert_eq!(stage.read().unwrap().1.after, after);
    }
    assert_eq!(stage.page(vec![events(2, &["c"]), cut(3, 1_000)]), ["cut 2", "3:c", "cut 1000"]);
}

#[test]
fn what_the_engine_has_trimmed_is_a_gap() {
    let mut stage = Stage::new(config());
    stage.greet(5, 7);
    assert_eq!(stage.read().unwrap().1.after, 5);
    assert_eq!(stage.page(vec![events(5, &["f", "g"])]), ["cut 5", "6:f", "7:g"]);
}

#[test]
fn a_log_that_keeps_nothing_of_what_it_had_is_a_gap_without_a_read() {
    for window in [0, 100] {
        let mut settings = config();
        settings.window = window;
        let mut stage = Stage::new(settings);
        stage.greet(if window == 0 { 3 } else { 7 }, 7);
        assert_eq!(crate::stage::short(&stage.applied), ["cut 7"]);
        assert_eq!((stage.word(), stage.read().unwrap().1.after), ("ready", 7));
    }
}

#[test]
fn a_node_that_never_reached_its_engine_is_down_and_then_joins() {
    let mut stage = Stage::new(config());
    let since = stage.now;
    let (id, _) = stage.hello().unwrap();
    stage.fail(id, LogErrorKind::Denied);
    assert_eq!(stage.health, [NodeHealth::Down { since, error: LogErrorKind::Denied }]);
    stage.wait_for_hello();
    let (id, _) = stage.hello().unwrap();
    stage.fail(id, DOWN);
    assert_eq!(stage.health[1..], [NodeHealth::Down { since, error: DOWN }]);
    stage.reconnect(0, 1);
    assert_eq!(stage.health[2..], [NodeHealth::Joining]);
    stage.page(vec![events(0, &["a"])]);
    assert_eq!(stage.health[3..], [NodeHealth::Ready]);
    assert_eq!(stage.node.counters().reconnects, 0, "it was the first");
}

#[test]
fn a_hello_that_gets_no_answer_is_given_up() {
    let mut stage = Stage::new(config());
    let (first, _) = stage.hello().unwrap();
    stage.pass(secs(5));
    assert_eq!((stage.given_up.as_slice(), stage.word()), (&[first][..], "down"));
    stage.wait_for_hello();
    assert_ne!(stage.hello().unwrap().0, first);
}

#[test]
fn a_head_that_cannot_be_is_refused_and_never_applied() {
    let end = 1 << 53;
    for (start, position) in [(3, 2), (0, end), (end, end), (0, u64::MAX)] {
        let mut stage = Stage::new(config());
        stage.greet(start, position);
        assert_eq!(stage.word(), "down", "{start} {position}");
        assert!(stage.applied.is_empty());
    }
}

#[test]
fn a_position_far_ahead_of_the_clock_is_refused_and_never_told_to_the_engine() {
    let year = 366 * 24 * 3_600;
    let mut settings = config();
    settings.time_of_day = Some(secs(50 * year));
    for (years, word) in [(50, "joining"), (59, "joining"), (61, "down")] {
        let mut stage = Stage::new(settings.clone());
        stage.greet(0, years * year * 1_024_000);
        assert_eq!(stage.word(), word, "{years}");
    }
    // The clock goes on.
    let mut stage = Stage::new(settings);
    stage.stand_still(secs(2 * year));
    stage.reconnect(0, 61 * year * 1_024_000);
    assert_eq!(stage.word(), "joining");
    let (id, _) = stage.read().unwrap();
    stage.answer(id, Ok(LogAnswer::Page(Page { entries: vec![cut(0, 1 << 52)] })));
    stage.wait_for_hello();
    assert_eq!(stage.hello().unwrap().1.seen, 61 * year * 1_024_000);
}

#[test]
fn an_engine_that_forgets_what_it_told_is_not_believed() {
    let mut stage = Stage::new(config());
    stage.greet(0, 9);
    let (id, _) = stage.read().unwrap();
    stage.fail(id, DOWN);
    stage.wait_for_hello();
    assert_eq!(stage.hello().unwrap().1.seen, 9, "though nothing of it was applied");
    stage.greet(0, 4);
    assert_eq!(stage.word(), "down");
    let hello = stage.reconnect(0, 1_000);
    assert_eq!(hello.seen, 9);
    assert_eq!(stage.page(vec![cut(4, 1_000)]), ["cut 1000"]);
    assert_eq!(stage.word(), "ready");
}

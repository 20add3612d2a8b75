//! Settings and answers at the ends of what their types can say.

use crate::stage::{Stage, config, cut, secs};
use sansse::cluster::{
    Appended, Content, Entry, Head, LogAnswer, NodeConfig, NodeHealth, Page, WhileDown,
};
use std::time::Duration;

fn with_all(time: Duration) -> NodeConfig {
    let mut settings = config();
    settings.read_wait = time;
    settings.read_margin = time;
    settings.answer_within = time;
    settings.backoff_min = time;
    settings.backoff_max = time;
    settings.check_every = time;
    settings.confirm_within = time;
    settings.shut_down_within = time;
    settings.time_of_day = Some(time);
    settings.while_down = WhileDown::Wait(time);
    settings.window = if time.is_zero() { 0 } else { u64::MAX };
    settings
}

/// All that an engine can be made to say.
fn answers() -> Vec<LogAnswer> {
    let ends = [0, 1, (1 << 53) - 1, 1 << 53, u64::MAX - 1, u64::MAX];
    let mut answers = Vec::new();
    for one in ends {
        for other in ends {
            let head = Head { start: one, position: other };
            answers.extend([LogAnswer::Hello(head), LogAnswer::Head(head)]);
            for content in [Content::Cut, Content::Batch(vec![1; 17].into())] {
                let (after, position, age) = (one, other, Duration::MAX);
                let entries = vec![Entry { after, position, age, content }];
                answers.push(LogAnswer::Page(Page { entries }));
            }
        }
        for count in [0, 1, u32::MAX] {
            answers.push(LogAnswer::Appended(Appended { last: one, count }));
        }
    }
    answers
}

#[test]
fn no_setting_and_no_answer_makes_a_node_panic_or_spin() {
    for time in [Duration::ZERO, Duration::from_nanos(1), secs(5), Duration::MAX] {
        for answer in answers() {
            let mut stage = Stage::new(with_all(time));
            for _ in 0..6 {
                let _ = stage.publish("x");
                let ids = [stage.hello().map(|(id, _)| id), stage.append().map(|(id, _)| id)];
                let ids = ids.into_iter().chain([stage.head(), stage.read().map(|(id, _)| id)]);
                for id in ids.flatten() {
                    stage.answer(id, Ok(answer.clone()));
                }
                if let Some((id, _)) = stage.hello() {
                    stage.answer(id, Ok(LogAnswer::Hello(Head::default())));
                }
                stage.stand_still(secs(1));
            }
            stage.node.shut_down(stage.now);
            stage.settle();
        }
    }
}

#[test]
fn a_clock_that_shows_the_end_of_time_lets_all_positions_pass() {
    let mut settings = config();
    settings.time_of_day = Some(Duration::MAX);
    let mut stage = Stage::serving(settings);
    assert_eq!(stage.page(vec![cut(0, (1 << 53) - 1)]), ["cut 9007199254740991"]);
    assert!(stage.page(vec![cut((1 << 53) - 1, 1 << 53)]).is_empty());
    assert_eq!(stage.health.last().map(NodeHealth::as_str), Some("stale"));
}

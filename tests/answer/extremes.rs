//! Each setting of an answer at its extremes: nothing panics, no time wraps, and all events come out.

use super::kit::base_instant;
use sansse::answer::{AnswerConfig, AnswerEnd, AnswerWriter};
use sansse::{Event, Framing};
use std::time::Duration;

const TIMES: [Option<Duration>; 5] = [
    None,
    Some(Duration::ZERO),
    Some(Duration::from_nanos(1)),
    Some(Duration::from_secs(1 << 40)),
    Some(Duration::MAX),
];

/// The configuration with each of its settings at each extreme.
fn extremes() -> Vec<AnswerConfig> {
    let config = AnswerConfig::DEFAULT;
    let mut all = Vec::new();
    for time in TIMES {
        all.push(config.with_heartbeat(time));
        all.push(config.with_stall_timeout(time));
        all.push(config.with_heartbeat(time).with_stall_timeout(time));
    }
    for bytes in [0, 1, usize::MAX] {
        all.push(config.with_batch(bytes));
    }
    all
}

#[test]
fn no_setting_is_forgotten_here() {
    let source = include_str!("../../src/answer/writer.rs");
    let setters = source.lines().filter_map(|line| line.trim().strip_prefix("pub const fn with_"));
    let names: Vec<_> = setters.filter_map(|rest| Some(rest.split_once('(')?.0)).collect();
    assert_eq!(names, ["heartbeat", "stall_timeout", "batch"]);
}

#[test]
fn an_answer_that_is_taken_at_once_is_whole_at_each_extreme() {
    for config in extremes() {
        for framing in [Framing::Plain, Framing::Chunked] {
            let now = base_instant();
            let mut answer = AnswerWriter::new(now, framing, config);
            let mut text = String::new();
            for number in 0..3 {
                assert!(answer.wants_event(), "{config:?}");
                answer.handle_event(now, &Event::new(number.to_string()));
                while let Some(bytes) = answer.poll_transmit() {
                    text.push_str(std::str::from_utf8(&bytes).unwrap());
                    answer.handle_written(now, bytes.len());
                }
            }
            answer.handle_end(now);
            while let Some(bytes) = answer.poll_transmit() {
                answer.handle_written(now, bytes.len());
            }
            assert_eq!(answer.end(), Some(AnswerEnd::Complete), "{config:?}");
            for number in 0..3 {
                assert!(text.contains(&format!("data: {number}\n\n")), "{config:?}: {text}");
            }
        }
    }
}

#[test]
fn an_answer_that_is_not_taken_lives_through_each_extreme() {
    for config in extremes() {
        for pause in [0, 1, 100_000, 1 << 32] {
            let mut now = base_instant();
            let mut answer = AnswerWriter::new(now, Framing::Chunked, config);
            for round in 0..4 {
                if answer.wants_event() {
                    answer.handle_event(now, &Event::new("x".repeat(50)));
                }
                if let Some(bytes) = answer.poll_transmit() {
                    // A byte less than all.
                    answer.handle_written(now, bytes.len() - usize::from(round % 2 == 0));
                }
                now += Duration::from_secs(pause);
                answer.handle_timeout(now);
                let _ = (answer.poll_timeout(), answer.end());
            }
            answer.handle_failure(now, Some(&Event::new("failed")));
            answer.handle_timeout(now + Duration::from_secs(1 << 33));
        }
    }
}

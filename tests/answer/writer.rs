//! The machine: what is wanted, what goes out, when.

use super::kit::base_instant;
use super::kit::random::Random;
use super::kit::seed;
use super::seconds;
use bytes::{Buf, Bytes};
use sansse::answer::{AnswerConfig, AnswerEnd, AnswerWriter};
use sansse::broker::StreamEnd;
use sansse::{Event, Frame, Framing};
use std::time::{Duration, Instant};

type Act = fn(&mut Answer);

/// A machine with its clock.
struct Answer {
    writer: AnswerWriter,
    now: Instant,
}

impl Answer {
    fn new(framing: Framing, config: AnswerConfig) -> Self {
        let now = base_instant();
        Self { writer: AnswerWriter::new(now, framing, config), now }
    }

    /// One whose events have begun.
    fn begun() -> Self {
        let mut answer = Self::new(Framing::Plain, AnswerConfig::DEFAULT);
        answer.event("a");
        assert_eq!(answer.write(), "data: a\n\n");
        answer
    }

    fn event(&mut self, data: &str) {
        self.writer.handle_event(self.now, &Event::new(data.to_owned()));
    }

    fn take(&mut self) -> String {
        String::from_utf8(self.writer.poll_transmit().unwrap_or_default().to_vec()).unwrap()
    }

    /// Takes all that there is, and writes it.
    fn write(&mut self) -> String {
        let text = self.take();
        self.writer.handle_written(self.now, text.len());
        text
    }

    /// Sleeps until the machine's deadline; says how long that was.
    fn sleep(&mut self) -> Duration {
        let deadline = self.writer.poll_timeout().expect("it waits for a time");
        let slept = deadline - self.now;
        if slept > Duration::ZERO {
            self.now = deadline - Duration::from_nanos(1);
            self.writer.handle_timeout(self.now);
            assert_eq!(self.writer.poll_timeout(), Some(deadline), "early calls do nothing");
        }
        self.now = deadline;
        self.writer.handle_timeout(deadline);
        assert_ne!(self.writer.poll_timeout(), Some(deadline), "the deadline moves");
        slept
    }
}

#[test]
fn what_is_ready_at_once_goes_out_together_up_to_the_batch() {
    let config = AnswerConfig::DEFAULT.with_batch(20);
    let mut answer = Answer::new(Framing::Plain, config);
    let mut wanted = 0;
    while answer.writer.wants_event() {
        answer.event("x");
        wanted += 1;
    }
    // Each has 9 bytes, and the last one may pass the limit.
    assert_eq!((wanted, answer.take().len()), (3, 27));
    assert!(!answer.writer.wants_event(), "nothing more before this is written");
    answer.writer.handle_written(answer.now, 26);
    assert!(!answer.writer.wants_event());
    answer.writer.handle_written(answer.now, 1);
    assert!(answer.writer.wants_event());
    // An event that is larger than the batch is one alone.
    answer.event(&"y".repeat(1000));
    assert!(!answer.writer.wants_event());
    assert_eq!(answer.write().len(), 1008);
}

#[test]
fn a_batch_of_nothing_is_one_event() {
    let mut answer = Answer::new(Framing::Plain, AnswerConfig::DEFAULT.with_batch(0));
    for _ in 0..3 {
        assert!(answer.writer.wants_event());
        answer.event("x");
        assert!(!answer.writer.wants_event());
        answer.write();
    }
}

#[test]
fn a_heartbeat_comes_at_once_if_there_is_no_event_and_then_in_each_silent_interval() {
    let mut answer = Answer::new(Framing::Plain, AnswerConfig::DEFAULT);
    assert_eq!(answer.sleep(), Duration::ZERO);
    let heartbeat = answer.write();
    assert_eq!(heartbeat.as_bytes(), Frame::new(&Event::heartbeat()).as_ref());
    for _ in 0..3 {
        assert_eq!(answer.sleep(), seconds(15));
        assert_eq!(answer.write(), heartbeat);
    }
    // An event puts it off, from when it is written.
    answer.now += seconds(10);
    answer.event("a");
    answer.now += seconds(10);
    answer.write();
    assert_eq!(answer.sleep(), seconds(15));
    assert_eq!(answer.write(), heartbeat);
}

#[test]
fn an_answer_that_begins_with_an_event_begins_without_a_heartbeat() {
    let mut answer = Answer::begun();
    assert_eq!(answer.writer.poll_timeout(), Some(answer.now + seconds(15)));
    assert_eq!(answer.take(), "");
}

#[test]
fn without_heartbeats_a_silent_answer_waits_for_no_time() {
    let mut answer = Answer::new(Framing::Plain, AnswerConfig::DEFAULT.with_heartbeat(None));
    assert_eq!(answer.writer.poll_timeout(), None);
    answer.event("a");
    answer.write();
    assert_eq!(answer.writer.poll_timeout(), None);
}

#[test]
fn a_reader_that_takes_nothing_is_stalled_and_each_byte_is_progress() {
    let mut answer = Answer::begun();
    answer.event("abc");
    let length = answer.take().len();
    for _ in 0..length - 1 {
        answer.now += seconds(59);
        answer.writer.handle_timeout(answer.now);
        answer.writer.handle_written(answer.now, 1);
    }
    assert_eq!(answer.writer.end(), None);
    assert_eq!(answer.sleep(), seconds(60));
    assert_eq!(answer.writer.end(), Some(AnswerEnd::Stalled));
    assert_eq!((answer.take(), answer.writer.poll_timeout()), (String::new(), None));
    assert_eq!(AnswerEnd::Stalled.stream_end(), StreamEnd::Cut);
}

#[test]
fn the_time_of_a_stall_runs_also_where_nobody_asks_what_is_to_be_written() {
    let mut answer = Answer::begun();
    answer.event("a");
    answer.now += seconds(30);
    answer.event("b");
    assert_eq!(answer.sleep(), seconds(30), "from the first that waits");
    assert_eq!(answer.writer.end(), Some(AnswerEnd::Stalled));
}

#[test]
fn a_time_that_was_slept_through_is_no_stall_yet() {
    for takes in [true, false] {
        let mut answer = Answer::begun();
        answer.event("a");
        answer.take();
        answer.now += seconds(3_600);
        answer.writer.handle_timeout(answer.now);
        assert_eq!(answer.writer.end(), None);
        assert_eq!(answer.writer.poll_timeout(), Some(answer.now + seconds(1)));
        if takes {
            answer.writer.handle_written(answer.now, 1);
            assert_eq!(answer.writer.poll_timeout(), Some(answer.now + seconds(60)));
        } else {
            // Once, also for a driver that is always late.
            answer.now += seconds(3_600);
            answer.writer.handle_timeout(answer.now);
            assert_eq!(answer.writer.end(), Some(AnswerEnd::Stalled));
        }
    }
}

#[test]
fn without_a_stall_timeout_a_reader_may_take_nothing_for_ever() {
    let config = AnswerConfig::DEFAULT.with_stall_timeout(None);
    let mut answer = Answer::new(Framing::Plain, config);
    answer.event("a");
    assert_eq!(answer.writer.poll_timeout(), None);
    assert_eq!(answer.write(), "data: a\n\n");
    assert!(answer.writer.poll_timeout().is_some());
}

#[test]
fn it_is_complete_once_the_end_is_written() {
    for (framing, end) in [(Framing::Chunked, "0\r\n\r\n"), (Framing::Plain, "")] {
        let mut answer = Answer::new(framing, AnswerConfig::DEFAULT);
        answer.event("a");
        answer.writer.handle_end(answer.now);
        assert!(!answer.writer.wants_event());
        let text = answer.take();
        assert!(text.ends_with(end) && text.contains("data: a\n\n"), "{text}");
        assert_eq!(answer.writer.end(), None, "it is not written");
        answer.writer.handle_written(answer.now, text.len());
        assert_eq!(answer.writer.end(), Some(AnswerEnd::Complete));
        assert_eq!(answer.writer.poll_timeout(), None);
    }
    // Nothing has to be written for the end of a plain one.
    let mut answer = Answer::new(Framing::Plain, AnswerConfig::DEFAULT);
    answer.writer.handle_end(answer.now);
    assert_eq!(answer.writer.end(), Some(AnswerEnd::Complete));
    assert_eq!(AnswerEnd::Complete.stream_end(), StreamEnd::Clean);
}

#[test]
fn a_failure_is_told_last_of_all_and_has_no_end_that_looks_complete() {
    for framing in [Framing::Chunked, Framing::Plain] {
        let mut answer = Answer::new(framing, AnswerConfig::DEFAULT);
        answer.event("a");
        answer.writer.handle_failure(answer.now, Some(&Event::new("sorry")));
        let text = answer.write();
        let frames = ["a", "sorry"].map(|data| framing.bytes(&Frame::new(&Event::new(data))));
        assert_eq!(text.as_bytes(), frames.concat());
        assert_eq!(answer.writer.end(), Some(AnswerEnd::Failed));
    }
    let mut answer = Answer::new(Framing::Chunked, AnswerConfig::DEFAULT);
    answer.writer.handle_failure(answer.now, None);
    assert_eq!((answer.writer.end(), answer.take()), (Some(AnswerEnd::Failed), String::new()));
    assert_eq!(AnswerEnd::Failed.stream_end(), StreamEnd::Cut);
}

#[test]
fn what_comes_after_the_end_changes_nothing() {
    let ends: [(Act, AnswerEnd); 3] = [
        (|answer| answer.writer.handle_end(answer.now), AnswerEnd::Complete),
        (|answer| answer.writer.handle_failure(answer.now, None), AnswerEnd::Failed),
        (
            |answer| {
                answer.event("not taken");
                answer.sleep();
            },
            AnswerEnd::Stalled,
        ),
    ];
    for (end, expected) in ends {
        let mut answer = Answer::begun();
        end(&mut answer);
        for (other, _) in ends.iter().take(2) {
            other(&mut answer);
            answer.event("late");
            answer.writer.handle_timeout(answer.now + seconds(1000));
            answer.writer.handle_written(answer.now, 1000);
            assert_eq!(answer.writer.end(), Some(expected));
            assert_eq!((answer.take(), answer.writer.poll_timeout()), (String::new(), None));
            assert!(!answer.writer.wants_event());
        }
    }
}

#[test]
fn a_time_beyond_all_clocks_is_never() {
    let config = AnswerConfig::DEFAULT
        .with_heartbeat(Some(Duration::MAX))
        .with_stall_timeout(Some(Duration::MAX));
    let mut answer = Answer::new(Framing::Plain, config);
    answer.event("a");
    assert_eq!(answer.writer.poll_timeout(), None);
    answer.write();
    assert_eq!(answer.writer.poll_timeout(), None);
}

/// Events of any size, written in parts of any size, by a driver that may do things in any order.
fn written(seed: u64) {
    let mut random = Random(seed);
    let framing = [Framing::Chunked, Framing::Plain][random.below(2)];
    let batch = [0, 10, 1_000, 64 << 10][random.below(4)];
    let config = AnswerConfig::DEFAULT.with_batch(batch).with_heartbeat(None);
    let mut answer = Answer::new(framing, config);
    let (mut expected, mut written) = (Vec::new(), Vec::new());
    let (mut left, mut largest) = (random.below(200), 0);
    let mut rest = Bytes::new();
    while answer.writer.end().is_none() {
        answer.now += Duration::from_millis(random.below(100) as u64);
        match random.below(4) {
            0 if answer.writer.wants_event() && left == 0 => {
                answer.writer.handle_end(answer.now);
                expected.extend_from_slice(framing.end());
            }
            0 | 1 if answer.writer.wants_event() && left > 0 => {
                left -= 1;
                let event = Event::new("x".repeat([1, 30, 3_000][random.below(3)]));
                let bytes = framing.bytes(&Frame::new(&event));
                largest = largest.max(bytes.len());
                expected.extend_from_slice(&bytes);
                answer.writer.handle_event(answer.now, &event);
            }
            2 if rest.is_empty() => {
                rest = answer.writer.poll_transmit().unwrap_or_default();
                let bound = batch + largest + framing.end().len();
                assert!(rest.len() <= bound, "seed {seed}: {} of {bound}", rest.len());
            }
            _ => {
                let taken = random.below(rest.len() + 1);
                written.extend_from_slice(&rest[..taken]);
                rest.advance(taken);
                answer.writer.handle_written(answer.now, taken);
            }
        }
        if random.below(10) == 0 {
            answer.writer.handle_timeout(answer.now);
        }
    }
    assert_eq!(answer.writer.end(), Some(AnswerEnd::Complete), "seed {seed}");
    assert!(written == expected, "seed {seed}");
}

#[test]
fn whatever_a_write_takes_the_bytes_are_the_same() {
    let first = seed(0);
    for seed in first..first + 300 {
        written(seed);
    }
}

//! Records that are cut, lack lines, or are nonsense.

use super::world::{STEPS, World};
use super::{outputs_until_error, small, start};
use crate::kit::broker::*;
use crate::kit::number;
use crate::kit::seed;
use sansse::Event;
use sansse::Fault;
use sansse::broker::*;
use sansse::record::{Output, Record, RecordErrorKind, VERSION};
use std::fmt::Write as _;

#[test]
fn a_record_that_was_cut_off_anywhere_is_read_up_to_there_and_says_so() {
    let (text, outputs) = small();
    let text = text.as_bytes();
    for length in 0..text.len() {
        let (read, error) = outputs_until_error(&text[..length]);
        let whole = text[..length].split(|byte| *byte == b'\n').count() - 1;
        let at_line_end = length > 0 && text[length - 1] == b'\n';
        // A line that lacks its end alone is whole.
        let complete = whole + usize::from(text[length] == b'\n' && !at_line_end);
        assert_eq!(read, outputs[..complete.saturating_sub(1)], "{length}");
        let expected = match length {
            0 => Some((1, RecordErrorKind::Empty)),
            _ if at_line_end || complete > whole => None,
            _ => Some((whole + 1, RecordErrorKind::Cut)),
        };
        let error = error.map(|error| (error.line(), error.kind().clone()));
        assert_eq!(error, expected, "{length}");
    }
    assert_eq!(outputs_until_error(text), (outputs, None));
}

#[test]
fn a_record_that_lacks_a_line_or_has_one_twice_is_read_up_to_there() {
    let (text, outputs) = small();
    let lines: Vec<&str> = text.lines().collect();
    for at in 1..lines.len() - 1 {
        let mut lacking = lines.clone();
        lacking.remove(at);
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        for (lines, good) in [(lacking, at), (twice, at + 1)] {
            let (read, error) = outputs_until_error(lines.join("\n").as_bytes());
            assert_eq!(read, outputs[..good - 1]);
            let error = error.unwrap();
            let number = u64::try_from(good).unwrap();
            assert_eq!(error.kind(), &RecordErrorKind::Missing { number });
            assert_eq!(error.line(), good + 1);
        }
    }
}

#[test]
fn a_record_of_another_version_is_refused_whatever_else_is_in_it() {
    let record = br#"{"sansse_record":6,"settings":[1,2]}"#;
    let error = Record::parse(record).unwrap_err();
    assert_eq!((error.line(), error.kind()), (1, &RecordErrorKind::Version { found: VERSION + 1 }));
    assert_eq!(error.fault(), Fault::Peer);
    assert_eq!(error.to_string(), "line 1 of a record: of version 6, where 5 is read");
    for other in ["{}\n", "null\n", "id: 1\n", "\n", "{\"sansse_record\":5}\n"] {
        let error = Record::parse(other.as_bytes()).unwrap_err();
        assert!(matches!(error.kind(), RecordErrorKind::Malformed { .. }), "{other}: {error}");
    }
}

#[test]
fn a_line_that_no_recorder_wrote_is_refused_with_its_number() {
    let (text, _) = small();
    let first = text.lines().next().unwrap();
    let (none, error) = outputs_until_error(first.as_bytes());
    assert_eq!((none, error), (Vec::new(), None));
    let batch = |ends: &str| {
        format!(
            r#"{{"handle_partial_write":{{"session":"0-0-1","written":9,"batch":{{"other":{{"text":"ab","ends":{ends}}}}}}}}}"#
        )
    };
    for (call, part) in [
        (r#""no_such_call""#.to_owned(), "unknown variant"),
        (r#"{"revoke":{"client":""}}"#.to_owned(), "empty"),
        (r#"{"revoke":{"client":"a","more":1}}"#.to_owned(), "unknown field"),
        (r#"{"end_topic":{"topic":"a*"}}"#.to_owned(), "'*' at byte 1"),
        (r#"{"poll_transmit":{"session":"0-0"}}"#.to_owned(), "no session's id"),
        (r#"{"poll_transmit":{"session":"0-0-0"}}"#.to_owned(), "no session's id"),
        (r#"{"publish":{"audience":"Everyone","event":{"id":"a\nb"}}}"#.to_owned(), "'\\n' at byte 1"),
        (
            r#"{"apply":{"published":{"epoch":1,"position":1,"audience":"Everyone","payload":"data: x\n"}}}"#
                .to_owned(),
            "blank line",
        ),
        (
            r#"{"apply":{"published":{"epoch":1,"position":1,"audience":"Everyone","payload":"\n","is_end":true}}}"#
                .to_owned(),
            "no named topic",
        ),
        (batch("[3]"), "cannot"),
        (batch("[2,1,2]"), "cannot"),
        (batch("[]"), "cannot"),
        (
            r#"{"handle_partial_write":{"session":"0-0-1","written":0,"batch":"newest"}}"#
                .to_owned(),
            "got no such batch",
        ),
    ] {
        let record = format!("{first}\n{{\"number\":1,\"at\":0,\"call\":{call}}}\n");
        let (read, error) = outputs_until_error(record.as_bytes());
        let error = error.unwrap();
        assert_eq!((read.len(), error.line()), (0, 2), "{call}: {error}");
        assert!(error.to_string().contains(part), "{call}: {error}");
    }
    // No platform's time is that far, and none panics.
    let call = format!(
        "{first}\n{{\"number\":1,\"at\":{},\"call\":{{\"handle_timeout\":{{}}}}}}\n",
        u64::MAX
    );
    let (read, error) = outputs_until_error(call.as_bytes());
    assert!(read == [Output::Done] || error.unwrap().kind() == &RecordErrorKind::Time);
}

#[test]
fn a_line_beyond_the_limit_is_not_read_and_the_limit_can_be_raised() {
    let mut world = World::new(config(), Rng::new(1));
    world.broker.publish(start(), Audience::Everyone, &Event::new("x".repeat(2_000))).unwrap();
    let text = world.text();
    let length = text.lines().nth(1).unwrap().len();
    for (limit, is_read) in [(length, true), (length - 1, false), (usize::MAX, true)] {
        let mut record = Record::parse(text.as_bytes()).unwrap();
        record.max_line = limit;
        let step = record.replay(start()).unwrap().next().unwrap();
        let fault = step.map(|_| ()).map_err(|error| (error.line(), error.kind().clone()));
        assert_eq!(
            fault,
            if is_read { Ok(()) } else { Err((2, RecordErrorKind::TooLong { limit })) }
        );
    }
}

/// Calls of several histories, in any order, at any times, some with another digit somewhere.
fn nonsense(seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let texts = [seed, seed + 1_000, seed + 2_000].map(|seed| World::random(seed).text());
    let mut record = format!("{}\n", texts[0].lines().next().unwrap());
    let calls: Vec<&str> =
        texts.iter().flat_map(|text| text.lines().skip(1)).map(call_of).collect();
    for number in 1..STEPS {
        let call = calls[usize::try_from(rng.below(calls.len() as u64)).unwrap()];
        if call.contains("newest") && rng.chance(98) {
            // Of most there is no such batch, which ends the replay.
            let _ = writeln!(
                record,
                r#"{{"number":{number},"at":0,"call":{{"handle_timeout":{{}}}}}}"#
            );
            continue;
        }
        let mut call = call.to_owned();
        if rng.chance(5) {
            let digits: Vec<usize> =
                call.match_indices(|c: char| c.is_ascii_digit()).map(|one| one.0).collect();
            if !digits.is_empty() {
                let at = digits[usize::try_from(rng.below(digits.len() as u64)).unwrap()];
                let nines = rng.pick(&["9", "7", "0", "99", "4294967295"]);
                call.replace_range(at..=at, nines);
            }
        }
        let at = rng.pick(&[0, 1, 1_000_000_000, 60_000_000_000, u64::MAX >> 1]) >> rng.below(60);
        let _ = writeln!(record, r#"{{"number":{number},"at":{at},"call":{call}"#);
    }
    record
}

/// What stands after the number and the time, with the bracket that ends the line.
fn call_of(line: &str) -> &str {
    line.split_once(r#","call":"#).unwrap().1
}

#[test]
fn a_record_of_nonsense_never_panics() {
    let first = seed(1);
    let (mut whole, mut broken, mut done) = (0, 0, 0);
    for seed in first..first + number("SANSSE_HISTORIES").unwrap_or(60) {
        let (outputs, error) = outputs_until_error(nonsense(seed).as_bytes());
        done += outputs.len();
        match error {
            None => whole += 1,
            Some(_) => broken += 1,
        }
    }
    println!("{whole} records were read to their end, {broken} were not; {done} calls");
    assert!(whole > 0 && broken > 0 && done > 5_000);
}

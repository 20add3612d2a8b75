//! The conformance vectors, as they are given and under other splits.
//!
//! `SANSSE_VECTORS` names another file of the same form.

use crate::kit::decoder::{Output, poll};
use crate::kit::random::Random;
use sansse::{Decoder, EventId};
use serde_json::Value;
use std::fmt::Write as _;

/// How many random splits of each vector are tried.
const SPLITS: u64 = 50;

struct Vector {
    name: String,
    chunks: Vec<Vec<u8>>,
    start: String,
    expected: Outcome,
    after_chunk: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Type, data and last event ID.
    events: Vec<[String; 3]>,
    last_event_id: String,
    retry: Option<u64>,
}

#[test]
fn each_vector_gives_its_events_at_the_promised_time() {
    for_each_vector(|vector, failures| {
        let chunks: Vec<&[u8]> = vector.chunks.iter().map(Vec::as_slice).collect();
        let (outcome, after_chunk) = run(vector, &chunks);
        compare(failures, vector, "as given", &outcome);
        if after_chunk != vector.after_chunk {
            writeln!(
                failures,
                "{}: events after each chunk: {after_chunk:?}, not {:?}",
                vector.name, vector.after_chunk
            )
            .unwrap();
        }
    });
}

#[test]
fn each_vector_gives_the_same_when_it_comes_whole() {
    for_each_vector(|vector, failures| {
        let (outcome, _) = run(vector, &[&vector.chunks.concat()]);
        compare(failures, vector, "whole", &outcome);
    });
}

#[test]
fn each_vector_gives_the_same_byte_by_byte_and_as_promptly() {
    for_each_vector(|vector, failures| {
        let stream = vector.chunks.concat();
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let (outcome, after_byte) = run(vector, &bytes);
        compare(failures, vector, "byte by byte", &outcome);
        let mut length = 0;
        for (chunk, expected) in vector.chunks.iter().zip(&vector.after_chunk) {
            length += chunk.len();
            let events = if length == 0 { 0 } else { after_byte[length - 1] };
            if events != *expected {
                writeln!(
                    failures,
                    "{}: {events} events after {length} bytes, not {expected}",
                    vector.name
                )
                .unwrap();
            }
        }
    });
}

#[test]
fn each_vector_gives_the_same_however_it_is_split() {
    for_each_vector(|vector, failures| {
        let stream = vector.chunks.concat();
        for seed in 0..SPLITS {
            let (outcome, _) = run(vector, &Random(seed).split(&stream));
            compare(failures, vector, &format!("split by seed {seed}"), &outcome);
        }
    });
}

fn for_each_vector(test: impl Fn(&Vector, &mut String)) {
    let path = std::env::var("SANSSE_VECTORS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/decode.jsonl").into());
    let file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let vectors: Vec<Vector> = file.lines().filter(|line| !line.is_empty()).map(parse).collect();
    assert!(!vectors.is_empty(), "{path} holds no vectors");
    let mut failures = String::new();
    for vector in &vectors {
        test(vector, &mut failures);
    }
    assert!(failures.is_empty(), "of {} vectors:\n{failures}", vectors.len());
}

fn run(vector: &Vector, chunks: &[&[u8]]) -> (Outcome, Vec<usize>) {
    let mut decoder =
        Decoder::new().with_last_event_id(EventId::new(vector.start.clone()).unwrap());
    let mut events = Vec::new();
    let mut after_chunk = Vec::new();
    let mut drain = |decoder: &mut Decoder| {
        while let Some(output) = poll(decoder) {
            match output {
                Output::Message { event_type, data, last_event_id } => {
                    events.push([event_type, data, last_event_id]);
                }
                Output::Comment(_) | Output::Retry(_) => {}
                Output::Error(error) => panic!("{}: {error}", vector.name),
            }
        }
        events.len()
    };
    for chunk in chunks {
        decoder.handle_data(chunk);
        after_chunk.push(drain(&mut decoder));
    }
    decoder.handle_eof();
    drain(&mut decoder);
    let last_event_id = decoder.last_event_id().into();
    let retry = decoder.reconnection_time().map(|time| time.as_millis().try_into().unwrap());
    (Outcome { events, last_event_id, retry }, after_chunk)
}

fn compare(failures: &mut String, vector: &Vector, split: &str, outcome: &Outcome) {
    if *outcome != vector.expected {
        writeln!(failures, "{} {split}: {outcome:?}, not {:?}", vector.name, vector.expected)
            .unwrap();
    }
}

fn parse(line: &str) -> Vector {
    let vector: Value = serde_json::from_str(line).unwrap();
    let expected = &vector["expect"];
    let event = |event: &Value| ["event", "data", "id"].map(|key| string(&event[key]));
    Vector {
        name: string(&vector["name"]),
        chunks: array(&vector["chunks"]).iter().map(|chunk| bytes(&string(chunk))).collect(),
        start: vector.get("start").map(|start| string(&start["last_event_id"])).unwrap_or_default(),
        expected: Outcome {
            events: array(&expected["events"]).iter().map(event).collect(),
            last_event_id: string(&expected["last_event_id"]),
            retry: match &expected["retry"] {
                Value::Null => None,
                Value::String(digits) => Some(digits.parse().unwrap_or(u64::MAX)),
                number => Some(number.as_u64().unwrap()),
            },
        },
        after_chunk: array(&expected["after_chunk"])
            .iter()
            .map(|count| count.as_u64().unwrap().try_into().unwrap())
            .collect(),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap().into()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

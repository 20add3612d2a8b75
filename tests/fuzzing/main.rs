//! The targets of `fuzz/`, on a corpus that is kept, on mutations of it and on random bytes.
//!
//! `SANSSE_FUZZ` sets how many inputs each target gets (3,000 otherwise), `SANSSE_SEED` the first
//! seed.
#![cfg(all(feature = "broker", feature = "http1"))]

mod targets;

use std::path::PathBuf;
use targets::kit::random::Random;
use targets::kit::{number, seed};

#[test]
fn decoder() {
    fuzz("decoder", targets::decoder::run, &DECODER);
}

#[test]
fn http1_server() {
    fuzz("http1_server", targets::http1_server::run, &HTTP);
}

#[test]
fn http1_client() {
    fuzz("http1_client", targets::http1_client::run, &HTTP);
}

#[test]
fn cursor() {
    fuzz("cursor", targets::cursor::run, &CURSOR);
}

#[test]
fn broker() {
    fuzz("broker", targets::broker::run, &BROKER);
}

#[test]
fn pattern() {
    fuzz("pattern", targets::pattern::run, &PATTERN);
}

#[test]
fn log_record() {
    fuzz("log_record", targets::log_record::run, &LOG_RECORD);
}

#[cfg(feature = "cluster")]
#[test]
fn batch() {
    fuzz("batch", targets::batch::run, &BATCH);
}

/// What a mutation may put in.
#[cfg(feature = "cluster")]
const BATCH: [&[u8]; 8] = [
    b"\x01\x01\x03\0\0\0ann",
    b"\x03\x01\x09\0\0\0\x01\x05\0\0\0\0\0\0\0",
    b"\x03\x01\x1c\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0\0ann",
    b"\x03\x01\x15\0\0\0\x02\x05\0\0\0\0\0\0\0\x02\x02\0\0\0\x03\0\0\0ann",
    b"\x03\x01\x01\0\0\0\x04",
    b"\x02\0\0\0\x03\0\0\0bob",
    b"\0\x01\x07\0\0\0\x03\x01\0\0\0a\x01",
    b"\xff\xff\xff\xff",
];

/// What a mutation may put in.
const LOG_RECORD: [&[u8]; 8] = [
    b"\x01\x10\0\0\0\x01\x03\0\0\0ann\0\x01\x02\0\0\0hi",
    b"\x01\x07\0\0\0\x03\x01\0\0\0a\x01",
    b"\x01\0\0\0\0",
    b"\x02",
    b"\x03\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x3f",
    b"3-0-7",
];

/// What a mutation may put in.
const DECODER: [&[u8]; 16] = [
    b"data",
    b"data:",
    b"event: ",
    b"id: ",
    b"id",
    b"retry: ",
    b":",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xe2\x82",
    b"\xff",
    b"18446744073709551616",
];
const HTTP: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"GET / HTTP/1.1\r\n",
    b"HEAD /a HTTP/1.0\r\n",
    b"POST / HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"chunked",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"5;x=\"\r\n\"\r\n",
    b"ffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 \r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
];
const CURSOR: [&[u8]; 12] = [
    b"-",
    b"e-",
    b"beef-",
    b"0",
    b"9",
    b"+",
    b" ",
    b"\xc3\xa9",
    b"\r",
    b"18446744073709551615",
    b"ffffffffffffffff-",
    b"AAAAAAAAAAAAAAAAAAAAAA",
];

/// The first byte of a step says what it is.
const BROKER: [&[u8]; 12] = [
    b"\0", b"\x08", b"\x0c", b"\x0e", b"\x14", b"\x24", b"\x34", b"\x3e", b"\x44", b"\x49",
    b"\x57", b"\xff",
];
const PATTERN: [&[u8]; 10] =
    [b"/", b"*", b"**", b"/*", b"/**", b"\n", b"news", b"\nnews/uk", b"a", b"\xc3\xa9"];

fn fuzz(target: &str, run: fn(&[u8]), words: &[&[u8]]) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        let _named = Named(format!("{target}: {name}"), input);
        run(input);
    }
    let first = seed(0);
    for seed in first..first + number("SANSSE_FUZZ").unwrap_or(3_000) {
        let mut random = Random(seed);
        let input = match random.below(8) {
            0 => random.bytes(1_000),
            _ => mutated(&mut random, &corpus, words),
        };
        let _named = Named(format!("{target}: seed {seed}"), &input);
        run(&input);
    }
}

/// The inputs that are kept with the project, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzzing/corpus").join(target);
    let files =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut corpus: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    corpus.sort();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    corpus
}

/// Some changes of one input, some of which bring in a part of another.
fn mutated(random: &mut Random, corpus: &[(String, Vec<u8>)], words: &[&[u8]]) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].1.clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(16)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.bytes(1).first().copied().unwrap_or(0xff),
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            4 => {
                let other = &corpus[random.below(corpus.len())].1;
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => drop(input.splice(at..at, random.bytes(8))),
            _ => {
                let word = words[random.below(words.len())].to_vec();
                drop(input.splice(at..at, word));
            }
        }
        // Not beyond what a test has time for.
        input.truncate(2_000);
    }
    input
}

/// Says which input it was when a target panics.
struct Named<'a>(String, &'a [u8]);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: \"{}\"", self.0, self.1.escape_ascii());
        }
    }
}

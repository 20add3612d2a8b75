//! The decoder against a naive one, which is written after the text of the standard, on random
//! hostile bytes.
//!
//! `SANSSE_STREAMS` sets how many streams are tried (100,000 otherwise), `SANSSE_SEED` the first
//! seed.

use crate::kit::decoder::{Output, lent, poll};
use crate::kit::naive_decoder::Naive;
use crate::kit::random::Random;
use crate::kit::{number, seed};
use sansse::{Decoder, EventId, Limits};

#[test]
fn usual_limits() {
    agree(4, 0, |_| Limits::default());
}

#[test]
fn small_limits() {
    agree(4, 1, |random| {
        Limits::default()
            .with_max_line(random.below(30))
            .with_max_event(random.below(30))
            .with_max_id(random.below(10))
    });
}

#[test]
fn limits_of_long_lines() {
    agree(4, 2, |random| {
        Limits::default().with_max_line(random.below(400)).with_max_event(random.below(400))
    });
}

#[test]
fn small_limits_of_events() {
    agree(4, 3, |random| Limits::default().with_max_event(random.below(20)));
}

/// Compares the two on this test's part of the streams.
fn agree(parts: u64, part: u64, limits: impl Fn(&mut Random) -> Limits) {
    let (first, count) = (seed(0), number("SANSSE_STREAMS").unwrap_or(100_000));
    let mut outputs = 0;
    for seed in first..first + count {
        if seed % parts == part {
            let mut random = Random(seed);
            let limits = limits(&mut random);
            outputs += compare(seed, &mut random, limits);
        }
    }
    assert!(
        outputs as u64 >= 2 * (count / parts),
        "the streams hold too little: {outputs} outputs"
    );
}

fn compare(seed: u64, random: &mut Random, limits: Limits) -> usize {
    let mut naive = Naive { limits, ..Naive::default() };
    let mut decoder = Decoder::new().with_limits(limits);
    if random.below(4) == 0 {
        naive.last_event_id = "start".into();
        decoder = decoder.with_last_event_id(EventId::new("start").unwrap());
    }
    let mut outputs = 0;
    if random.below(2) == 0 {
        break_off(seed, random, &mut decoder, &mut naive);
    }
    // More than one stream: a decoder is used again for the next connection.
    for connection in 0..=random.below(2) {
        if connection > 0 {
            decoder.reset();
        }
        let stream = stream(random);
        let chunks = random.split(&stream);
        let expected = naive.decode(&stream);
        let actual = decode(random, &mut decoder, &chunks);
        assert!(
            actual == expected
                && decoder.last_event_id() == naive.last_event_id
                && decoder.reconnection_time().map(|time| time.as_millis())
                    == naive.reconnection_time.map(u128::from),
            "seed {seed}, connection {connection}, {limits:?}\n\
             chunks: {:?}\nactual:   {actual:?}\nexpected: {expected:?}\n{decoder:?}\n\
             expected: {:?}, {:?}",
            chunks.iter().map(|chunk| chunk.escape_ascii().to_string()).collect::<Vec<_>>(),
            naive.last_event_id,
            naive.reconnection_time,
        );
        outputs += expected.len();
    }
    outputs
}

/// A connection that is lost, with whatever was not polled yet.
fn break_off(seed: u64, random: &mut Random, decoder: &mut Decoder, naive: &mut Naive) {
    let stream = stream(random);
    let mut actual = Vec::new();
    for chunk in random.split(&stream) {
        decoder.handle_data(chunk);
        actual.extend((0..random.below(4)).map_while(|_| poll(decoder)));
    }
    decoder.reset();
    let expected = naive.decode(&stream);
    assert!(
        expected.starts_with(&actual),
        "seed {seed}, connection that is lost, {:?}\n\
         stream: {}\nactual:   {actual:?}\nexpected: {expected:?}",
        naive.limits,
        stream.escape_ascii(),
    );
    naive.last_event_id = decoder.last_event_id().into();
    naive.reconnection_time =
        decoder.reconnection_time().map(|time| time.as_millis().try_into().unwrap());
}

/// Decodes in one of several manners: polled after each chunk, at times, or late; and what is
/// lent is read at once, or after the next chunk.
fn decode(random: &mut Random, decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<Output> {
    let manner = random.below(4);
    let mut actual = Vec::new();
    let mut step = None;
    for chunk in chunks {
        decoder.handle_data(chunk);
        if let Some(step) = step.take() {
            actual.push(lent(decoder, step));
        }
        match manner {
            0 => actual.extend(std::iter::from_fn(|| poll(decoder))),
            1 => actual.extend(poll(decoder)),
            2 => step = decoder.poll_step(),
            _ => {}
        }
    }
    if let Some(step) = step {
        actual.push(lent(decoder, step));
    }
    decoder.handle_eof();
    decoder.handle_data(b"data: after the end\n\n");
    actual.extend(std::iter::from_fn(|| poll(decoder)));
    actual
}

/// Whole lines and pieces of them, of which most make sense together, and some do not.
fn stream(random: &mut Random) -> Vec<u8> {
    const LINES: &[&[u8]] = &[
        b"data",
        b"data:",
        b"data: a",
        b"data:b",
        b"data:  c ",
        b"data: \xe2\x82\xac",
        b"data: d\xf0\x9f",
        b"event: t",
        b"event",
        b"id: 1",
        b"id: 2",
        b"id: \xc3\xa9",
        b"id: \0",
        b"id",
        b"retry: 7",
        b"retry: 00012",
        b"retry: 7x",
        b": comment",
        b":",
        b"unknown: u",
        b"",
        b"",
        b"",
        b"",
    ];
    const ENDS: &[&[u8]] = &[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b""];
    const PIECES: &[&[u8]] = &[
        b"data",
        b"Data: ",
        b"datax",
        b"event",
        b"event: message\n",
        b"id",
        b"retry",
        b"id: ",
        b"12",
        b"99999999999999999999",
        b":",
        b" ",
        b"\t",
        b"\0",
        b"x",
        b"\x0b",
        b"\x0c",
        b"\n",
        b"\r",
        b"\xef",
        b"\xbb",
        b"\xbf",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\x80",
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
    ];
    let mut stream = Vec::new();
    let noise = 1 + random.below(60);
    let longest = [20, 500][random.below(2)];
    for _ in 0..random.below(25) {
        match random.below(100) {
            0..5 => stream.extend(std::iter::repeat_n(b'l', random.below(longest))),
            5..10 => stream.extend_from_slice(&random.next().to_le_bytes()),
            kind if kind < noise => stream.extend_from_slice(random.pick(PIECES)),
            _ => {
                stream.extend_from_slice(random.pick(LINES));
                stream.extend_from_slice(random.pick(ENDS));
            }
        }
    }
    stream
}

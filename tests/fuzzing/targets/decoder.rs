//! The decoder: the same messages whatever the chunks, and those of the naive one.

use super::input::{Input, sizes};
use super::kit::decoder::{Output, poll};
use super::kit::naive_decoder::Naive;
use sansse::{Decoder, Limits};

/// Three bytes say what the limits are and how the rest is cut; the rest is a stream.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limits = match input.byte() {
        0..64 => Limits::default(),
        small => Limits::default()
            .with_max_line(usize::from(small % 64))
            .with_max_event(usize::from(small / 3))
            .with_max_id(usize::from(small % 16)),
    };
    let mut split = sizes(input.byte());
    let late = input.byte() % 2 == 1;
    let stream = input.rest();

    let mut naive = Naive { limits, ..Naive::default() };
    let expected = naive.decode(stream);
    let whole = decode(limits, stream, || usize::MAX, false);
    let by_bytes = decode(limits, stream, || 1, false);
    let in_pieces = decode(limits, stream, &mut split, late);
    for (manner, (said, decoder)) in
        [("whole", whole), ("by bytes", by_bytes), ("in pieces", in_pieces)]
    {
        assert_eq!(said, expected, "{manner}, {limits:?}");
        assert_eq!(decoder.last_event_id(), naive.last_event_id, "{manner}");
        assert_eq!(
            decoder.reconnection_time().map(|time| time.as_millis()),
            naive.reconnection_time.map(u128::from),
            "{manner}"
        );
    }
}

/// All that a decoder says, polled after each piece or at the end.
fn decode(
    limits: Limits,
    mut stream: &[u8],
    mut next_size: impl FnMut() -> usize,
    late: bool,
) -> (Vec<Output>, Decoder) {
    let mut decoder = Decoder::new().with_limits(limits);
    let mut said = Vec::new();
    while !stream.is_empty() {
        let (piece, rest) = stream.split_at(next_size().min(stream.len()));
        decoder.handle_data(piece);
        stream = rest;
        if !late {
            said.extend(core::iter::from_fn(|| poll(&mut decoder)));
        }
    }
    decoder.handle_eof();
    said.extend(core::iter::from_fn(|| poll(&mut decoder)));
    (said, decoder)
}

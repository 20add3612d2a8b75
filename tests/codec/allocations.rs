//! What the decoder allocates: nothing, once it has seen the largest of the usual events.

use crate::kit::random::Random;
use sansse::{Decoder, Limits, Step};

/// A stream of `events` events of several kinds, with comments and reconnection times.
fn stream(events: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0..events {
        let block = match number % 5 {
            0 => format!("data: {number}\n\n"),
            1 => format!("id: {number}\r\nevent: update\r\ndata: caf\u{e9}\r\n\r\n"),
            2 => format!(": comment\n\nretry: {number}\ndata: a\ndata: b\ndata: c\n\n"),
            3 => format!("id: {number}\n\ndata: {}\n\n", "x".repeat(3000)),
            _ => format!("event: {}\ndata: {}\ndata\n\n", "t".repeat(100), "y".repeat(1000)),
        };
        stream.extend_from_slice(block.as_bytes());
    }
    stream
}

fn decode<'a>(decoder: &mut Decoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> usize {
    let mut events = 0;
    for chunk in chunks {
        decoder.handle_data(chunk);
        while let Some(step) = decoder.poll_step() {
            if step == Step::Message {
                events += usize::from(decoder.message().event_type() != "none");
            }
        }
    }
    events
}

#[test]
fn the_steady_state_allocates_nothing() {
    let stream = stream(1000);
    let random_chunks = Random(1).split(&stream);
    let mut manners: Vec<Vec<&[u8]>> =
        [1, 100, 1024, 16 * 1024].map(|length| stream.chunks(length).collect()).into();
    manners.push(random_chunks);
    for chunks in manners {
        let mut decoder = Decoder::new();
        for _ in 0..3 {
            decode(&mut decoder, chunks.iter().copied());
        }
        let allocations = allocation_counter::measure(|| {
            assert_eq!(decode(&mut decoder, chunks.iter().copied()), 1000);
        });
        assert_eq!(allocations.count_total, 0, "chunks such as {:?} bytes", chunks[0].len());
    }
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let stream = stream(1000);
    // Chunks that hardly ever end where a line does.
    let allocations = allocation_counter::measure(|| {
        assert_eq!(decode(&mut Decoder::new(), stream.chunks(1021)), 1000);
    });
    assert!(allocations.bytes_max < 32 * 1024, "{} bytes", allocations.bytes_max);
}

#[test]
fn large_events_in_a_row_allocate_nothing_either() {
    let large = [b"data: ", &b"z".repeat(1 << 18)[..], b"\n\n"].concat();
    let mut decoder = Decoder::new();
    decode(&mut decoder, large.chunks(16 * 1024));
    let allocations = allocation_counter::measure(|| {
        for _ in 0..20 {
            assert_eq!(decode(&mut decoder, large.chunks(16 * 1024)), 1);
        }
    });
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn the_memory_of_a_huge_event_is_given_back() {
    let line = [b"data: ", &b"z".repeat(2 << 20)[..], b"\n"].concat();
    let events = [
        [&line[..], b"\n"].concat(),
        // Joined, and so in the other buffer.
        [&line[..], b"data\n\n"].concat(),
        [b"id", &line[4..], b"event", &line[4..], b"data\n\nid: 7\ndata\n\n"].concat(),
    ];
    for event in events {
        let mut decoder = None;
        let allocations = allocation_counter::measure(|| {
            let mut kept = Decoder::new();
            decode(&mut kept, event.chunks(16 * 1024));
            for _ in 0..20 {
                decode(&mut kept, [&b"id: 8\nevent: t\ndata: x\n\n"[..]]);
            }
            decoder = Some(kept);
        });
        assert!(allocations.bytes_max > 2 << 20);
        assert!(allocations.bytes_current < 1 << 18, "{} bytes kept", allocations.bytes_current);
    }
}

#[test]
fn a_peer_that_ends_no_line_or_no_event_is_held_to_the_limits() {
    let limits = Limits::default().with_max_line(1 << 18).with_max_event(1 << 18);
    for piece in [&b"x"[..], b"data: x\n", b":\n", b"event: x\n", b"id: x\n", b"y: z\n", b"\xff"] {
        let chunk = piece.repeat(16 * 1024 / piece.len());
        let mut decoder = Decoder::new().with_limits(limits);
        let allocations = allocation_counter::measure(|| {
            for _ in 0..100 {
                decoder.handle_data(&chunk);
                while decoder.poll_step().is_some() {}
            }
        });
        // A growing buffer is up to twice as large as what is in it, and there are two of them
        // while it moves.
        assert!(
            allocations.bytes_max < 1 << 20,
            "{}: {} bytes",
            piece.escape_ascii(),
            allocations.bytes_max
        );
    }
}

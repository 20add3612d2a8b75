//! What [`sansse::messages`] costs beside the decoder alone, which makes the same messages.
//!
//! ```text
//! cargo run --release -p messages
//! ```
//!
//! Each stream is read in chunks of 16 KiB, in turns by each way, and the median of the rounds is
//! printed.

use bytes::Bytes;
use futures_core::Stream;
use sansse::{Decoder, Step, messages};
use std::convert::Infallible;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

const CHUNK: usize = 16 << 10;
const ROUNDS: usize = 31;
/// How many bytes one round reads.
const LENGTH: usize = 4 << 20;

fn main() {
    println!("| Stream | decoder, borrowed | decoder, owned | messages | of owned |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (name, event) in [
        ("tick: 15 B", "data: 12345678\n\n".to_owned()),
        (
            "named: id, type, data, 116 B",
            format!("id: 123456\nevent: price\ndata: {}\n\n", "x".repeat(88)),
        ),
        (
            "llm: JSON, 249 B",
            format!("data: {{\"choices\":[{{\"delta\":\"{}\"}}]}}\n\n", "word ".repeat(42)),
        ),
    ] {
        row(name, &event);
    }
}

/// Nanoseconds a message by each way.
fn row(name: &str, event: &str) {
    let count = u32::try_from(LENGTH / event.len()).expect("some hundred thousand");
    let whole = Bytes::from(event.repeat(count as usize));
    let chunks: Vec<Bytes> = (0..whole.len())
        .step_by(CHUNK)
        .map(|from| whole.slice(from..whole.len().min(from + CHUNK)))
        .collect();
    let ways: [fn(&[Bytes]) -> u32; 3] = [borrowed, owned, by_messages];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (way, times) in ways.iter().zip(&mut times) {
            let begun = Instant::now();
            let seen = way(&chunks);
            times.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(count));
            assert_eq!(seen, count, "all messages were read");
        }
    }
    let [borrowed, owned, messages] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    println!("| {name} | {borrowed:.1} | {owned:.1} | {messages:.1} | {:.2} |", messages / owned);
}

fn borrowed(chunks: &[Bytes]) -> u32 {
    decode(chunks, |decoder| {
        black_box(decoder.message().data());
    })
}

fn owned(chunks: &[Bytes]) -> u32 {
    decode(chunks, |decoder| {
        black_box(decoder.message().into_owned());
    })
}

fn decode(chunks: &[Bytes], mut each: impl FnMut(&Decoder)) -> u32 {
    let (mut decoder, mut seen) = (Decoder::new(), 0);
    for chunk in chunks {
        decoder.handle_data(chunk);
        while let Some(step) = decoder.poll_step() {
            if step == Step::Message {
                each(&decoder);
                seen += 1;
            }
        }
    }
    seen
}

fn by_messages(chunks: &[Bytes]) -> u32 {
    let mut messages = messages(Chunks(chunks.iter()));
    let mut context = Context::from_waker(Waker::noop());
    let mut seen = 0;
    loop {
        match Pin::new(&mut messages).poll_next(&mut context) {
            Poll::Ready(Some(message)) => {
                black_box(message.expect("nothing is wrong with these bytes"));
                seen += 1;
            }
            Poll::Ready(None) => return seen,
            // It lets others have their turn.
            Poll::Pending => {}
        }
    }
}

/// Chunks that are here already.
struct Chunks<'a>(std::slice::Iter<'a, Bytes>);

impl Stream for Chunks<'_> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().cloned().map(Ok))
    }
}

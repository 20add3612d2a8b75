//! Ids as long as a stream lets them be: an id is in force for each message that follows it, so
//! that its length counts once for each of them.

use crate::report::{Broken, Report, Size, promise};
use sansse::{DecodeError, Decoder, Limits, Step};
use std::time::Instant;

/// A stream that sets one long id, and then has small messages.
pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let length = size.pick(1 << 20, 15 << 20);
    let messages = size.pick(200_usize, 2_000);
    let limits = Limits::default();

    let mut stream = b"id: ".to_vec();
    stream.resize(stream.len() + length, b'7');
    stream.extend(b"\ndata: first\n\n");
    stream.extend(b"data: x\n\n".repeat(messages));
    let started = Instant::now();
    let mut decoder = Decoder::new();
    let (mut refused, mut held) = (0_usize, 0);
    let mut read = Vec::new();
    for chunk in stream.chunks(16 << 10) {
        decoder.handle_data(chunk);
        while let Some(step) = decoder.poll_step() {
            match step {
                Step::Message => {
                    let message = decoder.message().into_owned();
                    held += message.last_event_id.as_str().len() + message.data.len();
                    read.push(message);
                }
                Step::Error(DecodeError::IdTooLong { .. }) => refused += 1,
                _ => {}
            }
        }
    }
    report.figure("bytes of the id", length);
    report.figure("messages read behind it", read.len());
    report.figure("bytes that the messages hold", held);
    report.figure("time, all together", format_args!("{:?}", started.elapsed()));
    promise(refused == 1, || format!("the block with the id was refused {refused} times"))?;
    promise(read.len() == messages, || format!("{} of {messages} messages came", read.len()))?;
    promise(held <= messages * limits.max_id(), || format!("{held} bytes are held"))
}

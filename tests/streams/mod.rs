//! What the tests of the decoder share: seeded random numbers, splits, and all that a decoder says.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod naive;

use sansse::{DecodeError, Decoder, Message, Step};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is small enough for the bias not to matter.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Cuts `bytes` in one of several manners: whole, by the byte, at few places, at many.
    pub fn split<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = match self.below(5) {
            0 => return vec![bytes],
            1 => 1,
            2 => 4,
            3 => 20,
            _ => bytes.len().max(1),
        };
        let mut chunks = Vec::new();
        while !bytes.is_empty() {
            // Now and then a chunk is empty.
            let length = if self.below(16) == 0 { 0 } else { 1 + self.below(longest) };
            let (chunk, rest) = bytes.split_at(length.min(bytes.len()));
            chunks.push(chunk);
            bytes = rest;
        }
        chunks
    }
}

/// What a decoder said, with what it lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Message { event_type: String, data: String, last_event_id: String },
    Comment(String),
    Retry(u64),
    Error(DecodeError),
}

impl From<Message<'_>> for Output {
    fn from(message: Message<'_>) -> Self {
        Self::Message {
            event_type: message.event_type().into(),
            data: message.data().into(),
            last_event_id: message.last_event_id().into(),
        }
    }
}

/// The next step of the decoder, with what it lends.
pub fn poll(decoder: &mut Decoder) -> Option<Output> {
    let step = decoder.poll_step()?;
    Some(lent(decoder, step))
}

/// The step, with what the decoder lends for it.
pub fn lent(decoder: &Decoder, step: Step) -> Output {
    match step {
        Step::Message => decoder.message().into(),
        Step::Comment => Output::Comment(decoder.comment().into()),
        Step::Retry(time) => Output::Retry(time.as_millis().try_into().unwrap()),
        Step::Error(error) => Output::Error(error),
    }
}

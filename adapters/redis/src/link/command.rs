//! What is sent: commands, as RESP writes them.

use bytes::{Bytes, BytesMut};
use resp_rs::resp2::{Frame, frame_to_bytes};

/// Some commands that are sent together, each of which gets one reply.
#[derive(Default)]
pub(crate) struct Commands {
    bytes: BytesMut,
    count: usize,
}

impl Commands {
    pub(crate) fn with(mut self, words: impl IntoIterator<Item = Bytes>) -> Self {
        let words = words.into_iter().map(|word| Frame::BulkString(Some(word))).collect();
        self.bytes.extend_from_slice(&frame_to_bytes(&Frame::Array(Some(words))));
        self.count += 1;
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }
}

/// A word that stands in the program.
pub(crate) fn word(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// A number, as Redis reads it.
pub(crate) fn number(number: u64) -> Bytes {
    Bytes::from(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_strings_of_any_bytes() {
        let commands = Commands::default()
            .with([word("GET"), Bytes::from_static(b"a\r\n\0b")])
            .with([word("TIME"), number(12)]);
        assert_eq!(commands.count(), 2);
        assert_eq!(
            commands.into_bytes(),
            &b"*2\r\n$3\r\nGET\r\n$5\r\na\r\n\0b\r\n*2\r\n$4\r\nTIME\r\n$2\r\n12\r\n"[..]
        );
    }
}

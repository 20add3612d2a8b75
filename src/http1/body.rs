//! Where the body of a message ends, for either side: [`BodyReader`].

use super::chunked::{ChunkedDecoder, ChunkedError, Step};

/// Tells which bytes are the content of a body (RFC 9112, 6.3), and keeps none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BodyReader {
    /// This many bytes are still to come.
    Length {
        left: u64,
    },
    Chunked(ChunkedDecoder),
    /// All that comes is content; only responses have such bodies.
    UntilClose,
}

impl BodyReader {
    /// Whether the body is complete, and what follows is none of it.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Length { left } => *left == 0,
            Self::Chunked(decoder) => decoder.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Reads `input` up to the end of its first piece of content at least, or
    /// to its own end, or to the end of the body.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, ChunkedError> {
        let taken = match self {
            Self::Chunked(decoder) => return decoder.step(input),
            Self::UntilClose => input.len(),
            Self::Length { left } => {
                let taken =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                taken
            }
        };
        Ok(Step { consumed: taken, content: 0..taken })
    }
}

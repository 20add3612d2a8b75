//! The body of a request, collected up to a limit.

use super::chunked::ChunkedDecoder;
use super::error::RequestError;
use super::request_head::BodyLength;
use bytes::{Buf, Bytes, BytesMut};

#[derive(Debug)]
pub(super) struct Body {
    reader: Reader,
    limit: usize,
    /// Grows with what arrives, and never by what the peer only announces.
    collected: BytesMut,
}

#[derive(Debug)]
enum Reader {
    Length { left: usize },
    Chunked(ChunkedDecoder),
}

impl Body {
    pub(super) fn new(length: BodyLength, limit: usize) -> Result<Self, RequestError> {
        let reader = match length {
            BodyLength::Chunked => Reader::Chunked(ChunkedDecoder::new()),
            BodyLength::Known(length) => match usize::try_from(length) {
                Ok(left) if left <= limit => Reader::Length { left },
                _ => return Err(RequestError::BodyTooLarge),
            },
        };
        Ok(Self { reader, limit, collected: BytesMut::new() })
    }

    pub(super) fn is_complete(&self) -> bool {
        match &self.reader {
            Reader::Length { left } => *left == 0,
            Reader::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// Takes from `inbox` what belongs to the body, and leaves the rest.
    pub(super) fn take_from(&mut self, inbox: &mut BytesMut) -> Result<(), RequestError> {
        match &mut self.reader {
            Reader::Length { left } => {
                let taken = inbox.len().min(*left);
                *left -= taken;
                self.collected.extend_from_slice(&inbox[..taken]);
                inbox.advance(taken);
            }
            Reader::Chunked(decoder) => {
                while !inbox.is_empty() && !decoder.is_done() {
                    let step = decoder.step(inbox).map_err(RequestError::Chunked)?;
                    if step.content.len() > self.limit - self.collected.len() {
                        return Err(RequestError::BodyTooLarge);
                    }
                    self.collected.extend_from_slice(&inbox[step.content.clone()]);
                    inbox.advance(step.consumed);
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.collected.capacity()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.collected.freeze()
    }
}

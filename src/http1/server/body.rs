//! The body of a request, collected up to a limit.

use super::error::RefusedRequest;
use super::request_head::BodyLength;
use crate::http1::body::BodyReader;
use crate::http1::chunked::ChunkedDecoder;
use bytes::{Buf, Bytes, BytesMut};

#[derive(Debug)]
pub(super) struct Body {
    reader: BodyReader,
    limit: usize,
    /// Grows with what arrives, and never by what the peer only announces.
    collected: BytesMut,
}

impl Body {
    pub(super) fn new(length: BodyLength, limit: usize) -> Result<Self, RefusedRequest> {
        let reader = match length {
            BodyLength::Chunked => BodyReader::Chunked(ChunkedDecoder::strict()),
            BodyLength::Known(left) if left <= limit as u64 => BodyReader::Length { left },
            BodyLength::Known(_) => return Err(RefusedRequest::BodyTooLarge),
        };
        Ok(Self { reader, limit, collected: BytesMut::new() })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.reader.is_complete()
    }

    /// Takes from `inbox` what belongs to the body, and leaves the rest.
    pub(super) fn take_from(&mut self, inbox: &mut BytesMut) -> Result<(), RefusedRequest> {
        while !inbox.is_empty() && !self.is_complete() {
            let step = self.reader.step(inbox).map_err(RefusedRequest::Chunked)?;
            if step.content.len() > self.limit - self.collected.len() {
                return Err(RefusedRequest::BodyTooLarge);
            }
            self.collected.extend_from_slice(&inbox[step.content.clone()]);
            inbox.advance(step.consumed);
        }
        Ok(())
    }

    pub(super) fn held(&self) -> usize {
        self.collected.capacity()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.collected.freeze()
    }
}

//! The body of a request, collected up to a limit.

use super::error::RefusedRequest;
use super::request_head::BodyLength;
use crate::http1::body::BodyReader;
use crate::http1::chunked::ChunkedDecoder;
use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

#[derive(Debug)]
pub(super) struct Body {
    reader: BodyReader,
    limit: usize,
    /// How large it can be: as it says, or the limit.
    largest: usize,
    /// Grows with what arrives, and never by what the peer only announces.
    collected: Vec<u8>,
}

impl Body {
    pub(super) fn new(length: BodyLength, limit: usize) -> Result<Self, RefusedRequest> {
        let (reader, largest) = match length {
            BodyLength::Chunked => (BodyReader::Chunked(ChunkedDecoder::strict()), limit),
            BodyLength::Known(left) => {
                let length = usize::try_from(left).ok().filter(|length| *length <= limit);
                (BodyReader::Length { left }, length.ok_or(RefusedRequest::BodyTooLarge)?)
            }
        };
        Ok(Self { reader, limit, largest, collected: Vec::new() })
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
            self.collect(&inbox[step.content.clone()]);
            inbox.advance(step.consumed);
        }
        Ok(())
    }

    /// Adds bytes. The buffer doubles, and takes no more than the whole body does.
    fn collect(&mut self, bytes: &[u8]) {
        let (length, capacity) = (self.collected.len(), self.collected.capacity());
        let needed = length + bytes.len();
        if needed > capacity {
            let wanted = capacity.saturating_mul(2).min(self.largest).max(needed);
            self.collected.reserve_exact(wanted - length);
        }
        self.collected.extend_from_slice(bytes);
    }

    pub(super) fn held(&self) -> usize {
        self.collected.capacity()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.collected.into()
    }
}

//! What waits to be written, for either side, and how header lines are written.

use crate::encode::decimal;
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem;

/// Up to which size a body is copied behind its head, so that both go out in
/// one write. What is larger than some packets is not worth the copy.
const JOINED_SIZE: usize = 4 * 1024;

/// What is to be written, head first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    head: Bytes,
    body: Bytes,
}

impl Outbox {
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let next = if self.head.is_empty() { &mut self.body } else { &mut self.head };
        Some(mem::take(next)).filter(|bytes| !bytes.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    pub(super) fn held(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// A whole message, of which `head` is complete.
    pub(super) fn push_message(&mut self, mut head: Vec<u8>, body: Bytes) {
        if body.len() <= JOINED_SIZE {
            head.extend_from_slice(&body);
            self.push_head(head);
        } else {
            self.push_head(head);
            self.body = body;
        }
    }

    /// Behind a head that nobody has taken yet, if there is one: a 100 is.
    pub(super) fn push_head(&mut self, bytes: Vec<u8>) {
        self.head = if self.head.is_empty() {
            bytes.into()
        } else {
            [&self.head[..], &bytes].concat().into()
        };
    }
}

pub(super) fn put_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn put_content_length(out: &mut Vec<u8>, length: usize) {
    let mut digits = [0; 20];
    put_line(out, "content-length", decimal(length as u64, &mut digits));
}

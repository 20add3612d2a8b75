//! What records have in common as bytes: a version and a length before each, texts and times within.
//!
//! ```text
//! version  length      body
//! ┌──┬────────────────┬──────────────┬──
//! │1 │ u32 of the body│              │ what stands behind it
//! └──┴────────────────┴──────────────┴──
//! ```

use super::{LogRecord, LogRecordError};
use alloc::vec::Vec;
use core::time::Duration;

/// The version and the length.
pub(crate) const HEAD: usize = 5;

/// Appends a record of this version, whose body `put` appends. Appends nothing if it is too large.
pub(crate) fn put_record(
    out: &mut Vec<u8>,
    version: u8,
    put: impl FnOnce(&mut Vec<u8>),
) -> Result<(), LogRecordError> {
    let begin = out.len();
    out.extend_from_slice(&[version, 0, 0, 0, 0]);
    put(out);
    let size = out.len() - begin;
    if size > LogRecord::MAX_SIZE {
        out.truncate(begin);
        return Err(LogRecordError::TooLarge { size });
    }
    out[begin + 1..begin + HEAD].copy_from_slice(&length_of(size - HEAD));
    Ok(())
}

/// Returns the version of the first record of these bytes, its body, and the bytes behind it.
pub(crate) fn split_record(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), LogRecordError> {
    let incomplete = |size| LogRecordError::Incomplete { missing: size - bytes.len() };
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Err(incomplete(HEAD));
    };
    let [version, length @ ..] = *head;
    // Where an address has 32 bits, the longest length has no room for the head beside it.
    let size = (u32::from_le_bytes(length) as usize).saturating_add(HEAD);
    if size > LogRecord::MAX_SIZE {
        return Err(LogRecordError::TooLarge { size });
    }
    let Some((body, behind)) = rest.split_at_checked(size - HEAD) else {
        return Err(incomplete(size));
    };
    Ok((version, body, behind))
}

/// Appends a text behind its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&length_of(text.len()));
    out.extend_from_slice(text.as_bytes());
}

/// Appends a time.
pub(crate) fn put_time(out: &mut Vec<u8>, time: Duration) {
    out.extend_from_slice(&time.as_secs().to_le_bytes());
    out.extend_from_slice(&time.subsec_nanos().to_le_bytes());
}

/// Bytes from the front of which values are taken. A method gives `None` where no such value stands
/// there; what is left is of no use then.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns what is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.chunk().map(u8::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = u32::from_le_bytes(self.chunk()?) as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        core::str::from_utf8(text).ok()
    }

    pub(crate) fn time(&mut self) -> Option<Duration> {
        let seconds = u64::from_le_bytes(self.chunk()?);
        let nanoseconds = u32::from_le_bytes(self.chunk()?);
        // More would be carried over into the seconds, which may have no room for it.
        (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
    }
}

/// A length as bytes. What is longer than it can say is longer than a record may be.
fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

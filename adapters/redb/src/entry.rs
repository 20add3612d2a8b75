//! What the store keeps of an entry, as bytes that say of themselves whether they are whole.
//!
//! ```text
//!  check   kind  after    when       payload
//! ┌───────┬─────┬────────┬──────────┬─────────
//! │ u32   │ u8  │ u64    │ u64 ms   │ ...
//! └───────┴─────┴────────┴──────────┴─────────
//!          0 a batch   1 a cut, without payload
//! ```
//!
//! The key of an entry is its last position. The check is a CRC-32 of the key and of all that
//! follows the check, so that an entry that stands under another key is found out as well. Numbers
//! are little-endian.

use bytes::Bytes;
use sansse::cluster::Content;

/// How many bytes an entry has beside its payload.
pub(crate) const HEAD: usize = 4 + 1 + 8 + 8;

const BATCH: u8 = 0;
const CUT: u8 = 1;

/// An entry that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The position before its first one.
    pub(crate) after: u64,
    /// When it was appended, in milliseconds since 1970.
    pub(crate) when: u64,
    /// What it holds.
    pub(crate) content: Content,
}

/// Returns the bytes of a batch; of a cut where there is no payload.
pub(crate) fn encode(position: u64, after: u64, when: u64, payload: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + payload.map_or(0, <[u8]>::len));
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(if payload.is_some() { BATCH } else { CUT });
    bytes.extend_from_slice(&after.to_le_bytes());
    bytes.extend_from_slice(&when.to_le_bytes());
    bytes.extend_from_slice(payload.unwrap_or_default());
    let check = check(position, &bytes[4..]);
    bytes[..4].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads the entry that stands at this position. `None` if it is not what was written.
pub(crate) fn decode(position: u64, bytes: &[u8]) -> Option<Stored> {
    let (written, rest) = bytes.split_first_chunk()?;
    if u32::from_le_bytes(*written) != check(position, rest) {
        return None;
    }
    let (kind, rest) = rest.split_first()?;
    let (after, rest) = rest.split_first_chunk()?;
    let (when, payload) = rest.split_first_chunk()?;
    let (after, when) = (u64::from_le_bytes(*after), u64::from_le_bytes(*when));
    let content = match *kind {
        BATCH => Content::Batch(Bytes::copy_from_slice(payload)),
        CUT => Content::Cut,
        _ => return None,
    };
    (after < position).then_some(Stored { after, when, content })
}

/// Returns how many positions an entry takes that hold something, and when it was appended, without
/// a look at its payload. Of one whose head makes no sense: none, and long ago.
pub(crate) fn outline(position: u64, bytes: &[u8]) -> (u64, u64) {
    let number = |at: usize| {
        let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let is_batch = bytes.get(4) == Some(&BATCH);
    let count = if is_batch { position.saturating_sub(number(5)) } else { 0 };
    (count, number(13))
}

/// Returns the check of what stands under this key.
pub(crate) fn check(key: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = encode(9, 7, 42, Some(b"two"));
        let content = Content::Batch(Bytes::from_static(b"two"));
        assert_eq!(decode(9, &bytes), Some(Stored { after: 7, when: 42, content }));
        assert_eq!(outline(9, &bytes), (2, 42));
        let cut = encode(9, 3, 42, None);
        assert_eq!(decode(9, &cut), Some(Stored { after: 3, when: 42, content: Content::Cut }));
        assert_eq!(outline(9, &cut), (0, 42));
    }

    #[test]
    fn no_other_byte_and_no_other_place_passes_for_it() {
        let bytes = encode(9, 7, 42, Some(b"two"));
        assert_eq!(decode(8, &bytes), None);
        for at in 0..bytes.len() {
            assert_eq!(decode(9, &bytes[..at]), None);
            let _ = outline(9, &bytes[..at]);
            for bit in 0..8 {
                let mut spoilt = bytes.clone();
                spoilt[at] ^= 1 << bit;
                assert_eq!(decode(9, &spoilt), None, "byte {at}, bit {bit}");
            }
        }
    }

    /// What is in somebody's file stays readable.
    #[test]
    fn the_bytes_of_this_version_are_these() {
        let mut written = vec![0, 7, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0];
        written.extend(b"two");
        assert_eq!(encode(9, 7, 42, Some(b"two"))[4..], written);
        assert_eq!(check(9, b"two"), 0xfe41_dc1d);
    }
}

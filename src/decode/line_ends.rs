//! Where the line ends of a text lie: found 64 bytes at a time, each byte looked at once.

/// The search of a text that grows at its end and is cut at its front.
///
/// Every CR and every LF is found, also the two of a CRLF.
#[derive(Clone, Debug, Default)]
pub(super) struct LineEnds {
    /// One bit for each line end that was found and not yet taken; bit 0 is the byte at `base`.
    bits: u64,
    base: usize,
    /// What lies before this has been searched.
    searched: usize,
}

impl LineEnds {
    /// The next CR or LF of `text`, which is the text of the last call with more at its end.
    #[inline]
    pub(super) fn next(&mut self, text: &[u8]) -> Option<usize> {
        while self.bits == 0 {
            if self.searched == text.len() {
                return None;
            }
            self.search(text);
        }
        let end = self.base + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(end)
    }

    #[inline]
    fn search(&mut self, text: &[u8]) {
        self.base = self.searched;
        let rest = &text[self.searched..];
        if let Some(block) = rest.first_chunk() {
            self.bits = find(block);
            self.searched += BLOCK;
        } else {
            self.bits = match text.last_chunk() {
                Some(block) => find(block) >> (BLOCK - rest.len()),
                None => find_each(rest),
            };
            self.searched = text.len();
        }
    }

    /// The text has lost `length` bytes at its front, and what lies before `taken` (counted
    /// before the loss) needs no search.
    pub(super) fn cut(&mut self, length: usize, taken: usize) {
        if self.bits != 0 || self.searched < taken {
            self.bits = 0;
            self.searched = taken;
        }
        self.searched -= length;
    }

    /// Searches again from the start, for another text.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

const BLOCK: usize = 64;

/// A bit for each CR and LF of the block.
///
/// The comparison is left to the compiler's vector instructions; the product gathers the lowest
/// bits of eight bytes in its highest byte.
#[inline]
fn find(block: &[u8; BLOCK]) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let flags = block.map(|byte| u8::from(byte == b'\n') | u8::from(byte == b'\r'));
    let (eights, _) = flags.as_chunks::<8>();
    eights
        .iter()
        .rev()
        .fold(0, |bits, eight| bits << 8 | u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56)
}

fn find_each(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(matches!(byte, b'\n' | b'\r')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn all(ends: &mut LineEnds, text: &[u8]) -> Vec<usize> {
        core::iter::from_fn(|| ends.next(text)).collect()
    }

    fn expected(text: &[u8]) -> Vec<usize> {
        (0..text.len()).filter(|&at| matches!(text[at], b'\r' | b'\n')).collect()
    }

    #[test]
    fn every_byte_value_at_every_place_of_a_block_is_told_apart() {
        for length in [1, 63, 64, 65, 130] {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut text = Vec::from([b'.'].repeat(length));
                    text[place] = byte;
                    assert_eq!(all(&mut LineEnds::default(), &text), expected(&text));
                }
            }
        }
    }

    #[test]
    fn a_text_that_grows_byte_by_byte_gives_the_same_line_ends() {
        let text: Vec<u8> = (0..300).map(|n| [b'x', b'\n', b'\r'][n * n % 7 % 3]).collect();
        let mut ends = LineEnds::default();
        let found: Vec<usize> =
            (0..=text.len()).flat_map(|length| all(&mut ends, &text[..length])).collect();
        assert_eq!(found, expected(&text));
    }

    #[test]
    fn a_cut_text_is_searched_from_what_was_not_taken() {
        let text = b"ab\ncd\nef\n";
        let mut ends = LineEnds::default();
        assert_eq!(ends.next(text), Some(2));
        ends.cut(3, 3);
        assert_eq!(all(&mut ends, &text[3..]), [2, 5]);
    }
}

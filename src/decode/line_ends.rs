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
    /// Where the next CR or LF of `text` lies, which is the text of the last call with more at its
    /// end.
    #[inline]
    pub(super) fn peek(&mut self, text: &[u8]) -> Option<usize> {
        if self.bits == 0 {
            self.search(text)?;
        }
        Some(self.base + self.bits.trailing_zeros() as usize)
    }

    /// Takes the line end at `end`, which is known to be the next.
    #[inline]
    pub(super) fn take(&mut self, end: usize) {
        if self.bits == 0 {
            self.searched = end + 1;
        } else {
            self.bits &= self.bits - 1;
        }
    }

    /// Finds the next block that has line ends.
    #[inline(never)]
    fn search(&mut self, text: &[u8]) -> Option<()> {
        let mut rest = &text[self.searched..];
        for _ in 0..BLOCKS {
            let Some((block, next)) = rest.split_first_chunk() else {
                break;
            };
            self.bits = find(block);
            if self.bits != 0 {
                self.base = text.len() - rest.len();
                self.searched = self.base + BLOCK;
                return Some(());
            }
            rest = next;
        }
        // What is shorter than a block, or a long line.
        let Some(length) = memchr::memchr2(b'\r', b'\n', rest) else {
            self.searched = text.len();
            return None;
        };
        self.bits = 1;
        self.base = text.len() - rest.len() + length;
        self.searched = self.base + 1;
        Some(())
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
/// How many blocks without a line end make a line so long that `memchr2` is faster.
const BLOCKS: usize = 4;

/// A bit for each CR and LF of the block.
///
/// Written so that the compiler compares with its vector instructions, whatever the processor:
/// eight rows of eight bytes are laid over each other, row `n` in bit `n` of each byte, and
/// the 8 by 8 bits are transposed where there are any.
#[inline]
fn find(block: &[u8; BLOCK]) -> u64 {
    const ROW_BITS: [u8; BLOCK] = {
        let mut bits = [0; BLOCK];
        let mut place = 0;
        while place < BLOCK {
            bits[place] = 1 << (place / 8);
            place += 1;
        }
        bits
    };
    let mut flags = [0; BLOCK];
    for (flag, (byte, bit)) in flags.iter_mut().zip(block.iter().zip(ROW_BITS)) {
        *flag = if matches!(byte, b'\n' | b'\r') { bit } else { 0 };
    }
    let (rows, _) = flags.as_chunks();
    let folded = rows.iter().fold(0, |folded, row| folded | u64::from_le_bytes(*row));
    if folded == 0 { 0 } else { transpose(folded) }
}

/// Swaps rows and columns of a matrix of 8 by 8 bits: the corners of each 2 by 2, then those
/// of each 4 by 4, then those of the whole.
#[inline]
fn transpose(matrix: u64) -> u64 {
    [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)]
        .into_iter()
        .fold(matrix, |matrix, (distance, corners)| {
            let swapped = (matrix ^ (matrix >> distance)) & corners;
            matrix ^ swapped ^ (swapped << distance)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn all(ends: &mut LineEnds, text: &[u8]) -> Vec<usize> {
        core::iter::from_fn(|| ends.peek(text).inspect(|&end| ends.take(end))).collect()
    }

    fn expected(text: &[u8]) -> Vec<usize> {
        (0..text.len()).filter(|&at| matches!(text[at], b'\r' | b'\n')).collect()
    }

    #[test]
    fn every_byte_value_at_every_place_of_a_block_is_told_apart() {
        for length in [1, 63, 64, 65, 130] {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut text = [b'.'].repeat(length);
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
        assert_eq!(ends.peek(text), Some(2));
        ends.take(2);
        ends.cut(3, 3);
        assert_eq!(all(&mut ends, &text[3..]), [2, 5]);
    }
}

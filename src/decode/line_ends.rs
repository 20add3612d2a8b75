//! Where the line ends of a text lie: found 64 bytes at a time, each byte looked at once.

use super::buffer::Buffer;
use alloc::vec::Vec;

/// The line ends of a text that grows at its end and is cut at its front: every CR and every LF,
/// also the two of a CRLF.
#[derive(Clone, Debug, Default)]
pub(super) struct LineEnds {
    /// One bit for each line end of the block at hand that was not yet taken; bit 0 is the byte at
    /// `base`, which may lie before the text's front.
    bits: u64,
    base: usize,
    /// The blocks after it that hold line ends lie from `next` to `end`: where they begin, and
    /// their bits, folded. The rest is room for others.
    blocks: Vec<(usize, u64)>,
    next: usize,
    end: usize,
    small_uses: u8,
}

impl LineEnds {
    /// Notes the line ends of `bytes`, which come next in the text, at `place`.
    pub(super) fn extend(&mut self, mut place: usize, mut bytes: &[u8]) {
        self.make_room(bytes.len() / BLOCK + 1);
        while bytes.len() >= BLOCK {
            let (blocks, _) = bytes.as_chunks();
            let blocks = &blocks[..blocks.len().min(GROUP)];
            let noted = self.end;
            for (number, block) in blocks.iter().enumerate() {
                self.note(place + BLOCK * number, find(block));
            }
            let mut length = BLOCK * blocks.len();
            if self.end == noted {
                // A long line.
                let rest = &bytes[length..];
                length += memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            }
            place += length;
            bytes = &bytes[length..];
        }
        self.note(place, find_short(bytes));
    }

    /// How many blocks are noted, for [`truncate`](Self::truncate).
    #[inline]
    pub(super) fn noted(&mut self) -> usize {
        if self.next == self.end {
            self.next = 0;
            self.end = 0;
        }
        self.end
    }

    /// Forgets what was noted since [`noted`](Self::noted) gave this number.
    pub(super) fn truncate(&mut self, noted: usize) {
        self.end = noted;
    }

    /// Notes a block, without a branch that would often be mispredicted.
    #[inline]
    fn note(&mut self, place: usize, folded: u64) {
        self.blocks[self.end] = (place, folded);
        self.end += usize::from(folded != 0);
    }

    /// Makes room for as many blocks more, and gives memory back when much less has long been
    /// needed.
    fn make_room(&mut self, length: usize) {
        if self.noted() == 0 && self.blocks.len() > ALWAYS_KEPT {
            self.give_back(length);
        }
        if self.blocks.len() < self.end + length {
            self.blocks.resize(self.end + length, (0, 0));
        }
    }

    #[cold]
    fn give_back(&mut self, length: usize) {
        if length > self.blocks.len() / 4 {
            self.small_uses = 0;
            return;
        }
        self.small_uses += 1;
        if self.small_uses == Buffer::SMALL_USES {
            self.small_uses = 0;
            self.blocks = Vec::new();
        }
    }

    /// Where the next line end lies.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<usize> {
        if self.bits == 0 {
            self.advance()?;
        }
        Some(self.base.wrapping_add(self.bits.trailing_zeros() as usize))
    }

    /// Takes the next line end, if there is one.
    #[inline]
    pub(super) fn take(&mut self) {
        if self.bits != 0 || self.advance().is_some() {
            self.bits &= self.bits - 1;
        }
    }

    /// Goes on to the next block.
    #[inline]
    fn advance(&mut self) -> Option<()> {
        if self.next == self.end {
            return None;
        }
        let (base, folded) = self.blocks[self.next];
        self.next += 1;
        self.base = base;
        self.bits = transpose(folded);
        Some(())
    }

    /// The text has lost `length` bytes at its front.
    pub(super) fn cut(&mut self, length: usize) {
        self.base = self.base.wrapping_sub(length);
        for (base, _) in &mut self.blocks[self.next..self.end] {
            *base = base.wrapping_sub(length);
        }
    }

    /// Forgets all, for another text.
    pub(super) fn clear(&mut self) {
        self.bits = 0;
        self.next = 0;
        self.end = 0;
    }
}

const BLOCK: usize = 64;
/// How few bytes are looked at one by one: a row.
const SHORT: usize = 8;
/// How many blocks without a line end make a line so long that `memchr2` is faster.
const GROUP: usize = 8;
/// How many blocks are always kept room for: those of a chunk of 64 KiB.
const ALWAYS_KEPT: usize = 1024;

/// A bit for each CR and LF of the block, folded: eight rows of eight bytes are laid over each
/// other, row `n` in bit `n` of each byte.
///
/// So written, the compiler uses vector instructions for all of it, whatever the processor.
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
        *flag = if is_line_end(*byte) { bit } else { 0 };
    }
    let (rows, _) = flags.as_chunks();
    rows.iter().fold(0, |folded, row| folded | u64::from_le_bytes(*row))
}

/// As [`find`], of what is shorter than a block.
fn find_short(bytes: &[u8]) -> u64 {
    if bytes.len() <= SHORT {
        return bytes.iter().enumerate().fold(0, |folded, (place, byte)| {
            folded | u64::from(is_line_end(*byte)) << (8 * place)
        });
    }
    let mut block = [0; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    find(&block)
}

#[inline]
fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
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

    fn all(ends: &mut LineEnds) -> Vec<usize> {
        core::iter::from_fn(|| ends.peek().inspect(|_| ends.take())).collect()
    }

    fn expected(text: &[u8]) -> Vec<usize> {
        (0..text.len()).filter(|&at| is_line_end(text[at])).collect()
    }

    fn mixed(length: usize) -> Vec<u8> {
        (0..length).map(|n| [b'x', b'\n', b'\r'][n * n % 7 % 3]).collect()
    }

    #[test]
    fn every_byte_value_at_every_place_is_told_apart() {
        for length in [1, 7, 8, 63, 64, 65, 130] {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut text = [b'.'].repeat(length);
                    text[place] = byte;
                    let mut ends = LineEnds::default();
                    ends.extend(0, &text);
                    assert_eq!(all(&mut ends), expected(&text));
                }
            }
        }
    }

    #[test]
    fn a_line_end_after_a_long_line_is_found_wherever_it_stands() {
        for length in 0..3 * GROUP * BLOCK {
            let text = [&b".".repeat(length)[..], b"\r\n", &b".".repeat(600), b"\n."].concat();
            let mut ends = LineEnds::default();
            ends.extend(0, &text);
            assert_eq!(all(&mut ends), expected(&text));
        }
    }

    #[test]
    fn a_text_that_grows_in_any_steps_gives_the_same_line_ends() {
        let text = mixed(300);
        for step in [1, 3, 64, 100] {
            let mut late = LineEnds::default();
            let mut prompt = LineEnds::default();
            let mut found = Vec::new();
            for (number, chunk) in text.chunks(step).enumerate() {
                late.extend(step * number, chunk);
                prompt.extend(step * number, chunk);
                found.extend(all(&mut prompt));
            }
            assert_eq!(found, expected(&text));
            assert_eq!(all(&mut late), expected(&text));
        }
    }

    #[test]
    fn what_was_not_taken_moves_with_a_cut_text() {
        let text = mixed(200);
        for taken in 0..expected(&text).len() {
            let mut ends = LineEnds::default();
            ends.extend(0, &text);
            let mut front = 0;
            for _ in 0..taken {
                front = ends.peek().unwrap() + 1;
                ends.take();
            }
            ends.cut(front);
            ends.extend(text.len() - front, b"\n");
            let rest = [&text[front..], b"\n"].concat();
            assert_eq!(all(&mut ends), expected(&rest));
        }
    }

    #[test]
    fn what_is_truncated_is_found_no_more() {
        let mut ends = LineEnds::default();
        ends.extend(0, b"\n.");
        let noted = ends.noted();
        ends.extend(2, b"\n.\n");
        ends.truncate(noted);
        ends.extend(2, b".\n");
        assert_eq!(all(&mut ends), [0, 3]);
        let noted = ends.noted();
        ends.extend(4, b"\n");
        ends.truncate(noted);
        assert_eq!(all(&mut ends), []);
    }

    #[test]
    fn room_for_many_is_kept_while_it_is_often_needed() {
        let mut ends = LineEnds::default();
        for number in 0..10 * u32::from(Buffer::SMALL_USES) {
            let many = number % u32::from(Buffer::SMALL_USES) == 0;
            ends.extend(0, &b"\n".repeat(if many { 1 << 18 } else { 1 }));
            ends.clear();
            assert!(ends.blocks.capacity() > ALWAYS_KEPT);
        }
    }

    #[test]
    fn room_for_many_is_given_back_after_some_small_uses() {
        let mut ends = LineEnds::default();
        ends.extend(0, &b"\n".repeat(1 << 20));
        ends.clear();
        for _ in 0..Buffer::SMALL_USES {
            assert!(ends.blocks.capacity() > ALWAYS_KEPT);
            ends.extend(0, b"\n");
            ends.clear();
        }
        assert!(ends.blocks.capacity() <= ALWAYS_KEPT);
    }
}

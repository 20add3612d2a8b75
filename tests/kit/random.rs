//! Random numbers that a seed gives again.

/// `SplitMix64`: small, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is small enough for the bias not to matter.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// Cuts `bytes` in one of several manners: whole, by the byte, at few places, at many.
    pub(crate) fn split<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = match self.below(5) {
            0 => return vec![bytes],
            1 => 1,
            2 => 4,
            3 => 20,
            _ => bytes.len().max(1),
        };
        let mut chunks = Vec::new();
        while !bytes.is_empty() {
            // Now and then a chunk is empty.
            let length = if self.below(16) == 0 { 0 } else { 1 + self.below(longest) };
            let (chunk, rest) = bytes.split_at(length.min(bytes.len()));
            chunks.push(chunk);
            bytes = rest;
        }
        chunks
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

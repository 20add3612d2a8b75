//! What a history is drawn from: bytes, of a random number generator or of a fuzzer.

use super::kit::Rng;
use core::iter::Peekable;

/// Bytes read as decisions. Where none is left, they read as zero.
pub(super) struct Choices<'a>(Peekable<Box<dyn Iterator<Item = u8> + 'a>>);

impl<'a> Choices<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self::new(bytes.iter().copied())
    }

    /// No end of bytes, which follow from the seed.
    pub(super) fn random(seed: u64) -> Self {
        let mut random = Rng::new(seed);
        Self::new(core::iter::repeat_with(move || random.next().to_le_bytes()[0]))
    }

    fn new(bytes: impl Iterator<Item = u8> + 'a) -> Self {
        let bytes: Box<dyn Iterator<Item = u8> + 'a> = Box::new(bytes);
        Self(bytes.peekable())
    }

    pub(super) fn is_over(&mut self) -> bool {
        self.0.peek().is_none()
    }

    /// From 0 to `limit`, exclusive, evenly enough; it takes as many bytes as its greatest value
    /// has.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let (mut drawn, mut greatest) = (0, limit - 1);
        while greatest > 0 {
            drawn = drawn << 8 | u64::from(self.0.next().unwrap_or(0));
            greatest >>= 8;
        }
        drawn % limit
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

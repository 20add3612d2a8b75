//! Random numbers for tests.

pub(super) struct Random(crate::random::Random);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(crate::random::Random::new(seed))
    }

    /// Returns a number from 0 to `bound`, exclusive.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.up_to(bound as u64 - 1)).unwrap()
    }
}

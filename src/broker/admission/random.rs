//! What the broker draws: numbers below a limit, and values in any order.

/// Owns the numbers that one shard draws.
#[derive(Debug)]
pub(super) struct Random(crate::random::Random);

impl Random {
    /// Shards of one configuration draw different numbers.
    pub(super) const fn new(seed: u64, shard: u16) -> Self {
        Self(crate::random::Random::new(seed.wrapping_add((shard as u64) << 48)))
    }

    /// Returns a number from 0 to `limit`, exclusive, each as likely; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0.up_to(limit.saturating_sub(1))
    }

    /// Puts values in any order, each as likely (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            let other = self.below(last as u64 + 1);
            values.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn numbers_are_below_their_limit_where_it_is_one() {
        let mut random = Random::new(7, 0);
        assert!((0..1_000).all(|_| random.below(10) < 10));
        assert!((0..1_000).any(|_| random.below(10) == 9));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn another_shard_draws_other_numbers() {
        let first = |seed, shard| Random::new(seed, shard).below(u64::MAX);
        assert_ne!(first(7, 0), first(8, 0));
        assert_ne!(first(7, 0), first(7, 1));
    }

    #[test]
    fn shuffling_puts_every_value_everywhere_and_loses_none() {
        let mut random = Random::new(7, 0);
        let mut counts = [[0; 4]; 4];
        for _ in 0..4_000 {
            let mut values = [0, 1, 2, 3];
            random.shuffle(&mut values);
            for (place, value) in values.iter().enumerate() {
                counts[place][*value] += 1;
            }
        }
        let all: Vec<_> = counts.iter().flatten().collect();
        assert!(all.iter().all(|count| (900..1_100).contains(*count)), "{counts:?}");
        random.shuffle::<u8>(&mut []);
    }
}

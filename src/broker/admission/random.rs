//! Numbers that look random and follow from a seed, since the core draws none.

/// `SplitMix64`.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Shards of one configuration draw different numbers.
    pub(super) const fn new(seed: u64, shard: u16) -> Self {
        Self(seed.wrapping_add((shard as u64) << 48))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 to `limit`, exclusive, each as likely; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(limit)) >> 64;
        // Less than `limit`.
        u64::try_from(scaled).unwrap_or_default()
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
    fn numbers_below_a_limit_are_spread_evenly_and_follow_from_the_seed() {
        let (mut one, mut same) = (Random::new(7, 0), Random::new(7, 0));
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let number = one.below(10);
            assert_eq!(number, same.below(10));
            counts[usize::try_from(number).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!(one.below(0), 0);
        assert_eq!(one.below(1), 0);
    }

    #[test]
    fn another_seed_or_shard_gives_other_numbers() {
        let first = |seed, shard| Random::new(seed, shard).next();
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

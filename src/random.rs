//! Numbers that look random and follow from a seed, since the core draws none.

#[cfg(any(feature = "client", feature = "cluster"))]
use core::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood, 2014): small, the same everywhere, and good enough to spread
/// what would come at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to and including `most`, each as likely.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        let share = u128::from(self.next()) * (u128::from(most) + 1);
        // No more than `most`.
        (share >> 64) as u64
    }

    /// Returns a duration from zero up to and including `most`, each as likely.
    #[cfg(any(feature = "client", feature = "cluster"))]
    pub(crate) fn duration_up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.up_to(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_follow_from_the_seed() {
        let (mut one, mut same) = (Random::new(7), Random::new(7));
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let number = one.up_to(9);
            assert_eq!(number, same.up_to(9));
            counts[usize::try_from(number).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert_eq!(one.up_to(0), 0);
        assert_ne!(Random::new(7).next(), Random::new(8).next());
    }

    /// What the paper's algorithm gives for the seed 1234567, as its reference implementations do:
    /// records would replay otherwise with another one.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers = [(); 3].map(|()| random.up_to(u64::MAX));
        let expected =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(numbers, expected);
    }

    #[cfg(any(feature = "client", feature = "cluster"))]
    #[test]
    fn durations_fill_their_range_however_long_it_is() {
        let mut random = Random::new(7);
        let second = Duration::from_secs(1);
        let drawn = [(); 1_000].map(|()| random.duration_up_to(second));
        assert!(drawn.iter().all(|one| *one <= second));
        assert!(drawn.iter().any(|one| *one > second * 9 / 10));
        assert!(random.duration_up_to(Duration::MAX) > Duration::from_secs(1 << 20));
        assert_eq!(random.duration_up_to(Duration::ZERO), Duration::ZERO);
    }
}

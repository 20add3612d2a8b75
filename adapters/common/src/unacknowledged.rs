//! Times of `TCP_USER_TIMEOUT`.

use std::time::Duration;

/// The shortest time there is, since 0 stands for the system's own.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest one, almost 25 days: the system takes a signed number of 32 bits.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Returns the time nearest to this one that `TCP_USER_TIMEOUT` (RFC 5482) can be set to: 1 ms to
/// almost 25 days. Linux refuses any longer time and counts milliseconds, of which none are its own
/// default.
pub fn unacknowledged_time(time: Duration) -> Duration {
    time.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_is_one_that_the_system_takes() {
        let milliseconds =
            [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(60), Duration::MAX]
                .map(|time| unacknowledged_time(time).as_millis());
        assert_eq!(milliseconds, [1, 1, 60_000, i32::MAX.try_into().unwrap()]);
    }
}

//! The `Date` of answers ([RFC 9110, 6.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1)),
//! from a time of day that is told once.

use core::cell::Cell;
use httpdate::HttpDate;
use std::io::Write;
use std::thread_local;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// As long as `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

/// The value of a `Date`.
pub(super) type Date = [u8; LENGTH];

thread_local! {
    /// The second that was written last, and how: many answers go out in one second.
    static NEWEST: Cell<(u64, Date)> = const { Cell::new((u64::MAX, [0; LENGTH])) };
}

/// The time of day at some instant, from which that at any other follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeOfDay {
    at: Instant,
    was: SystemTime,
}

impl TimeOfDay {
    pub(super) const fn new(at: Instant, was: SystemTime) -> Self {
        Self { at, was }
    }

    /// Returns the date at this instant; `None` outside of the years that a date can say, 1970 to
    /// 9999.
    pub(super) fn date(self, now: Instant) -> Option<Date> {
        let time = self.was.checked_add(now.saturating_duration_since(self.at))?;
        let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let (newest, text) = NEWEST.get();
        if newest == seconds {
            return Some(text);
        }
        // The first second of the year 10000, where `HttpDate` would panic.
        if seconds >= 253_402_300_800 {
            return None;
        }
        let mut text = [0; LENGTH];
        write!(&mut text[..], "{}", HttpDate::from(time)).ok()?;
        NEWEST.set((seconds, text));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;
    use alloc::string::String;
    use core::time::Duration;

    fn date(was: u64, passed: Duration) -> Option<String> {
        let at = base_instant();
        let time = TimeOfDay::new(at, UNIX_EPOCH + Duration::from_secs(was));
        time.date(at + passed).map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn the_date_goes_on_with_the_clock_that_is_passed_in() {
        let told = |millis| date(784_111_777, Duration::from_millis(millis)).unwrap();
        assert_eq!(told(0), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(told(999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(told(1_000), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(told(24 * 3_600 * 1_000), "Mon, 07 Nov 1994 08:49:37 GMT");
        assert_eq!(told(0), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn a_year_that_no_date_can_say_is_left_out() {
        let second = Duration::from_secs(1);
        assert_eq!(date(253_402_300_799, Duration::ZERO).unwrap(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(253_402_300_799, second), None);
        let at = base_instant();
        assert_eq!(TimeOfDay::new(at, UNIX_EPOCH - second).date(at), None);
    }
}

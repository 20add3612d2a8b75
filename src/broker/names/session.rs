//! The names of sessions.

use super::super::arena::Key;
use super::super::error::NameError;
use crate::text::text_value;
use core::fmt;

/// The id of one session. No other session of the same broker ever has it.
///
/// It says nothing about the next process: a log line that outlives a restart should name the
/// [`Epoch`](crate::broker::Epoch) beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    shard: u16,
    key: Key,
}

impl SessionId {
    pub(crate) const fn of(shard: u16, key: Key) -> Self {
        Self { shard, key }
    }

    /// Reads an id as it is shown, such as from a log line. Whether there is such a session is not
    /// known by that.
    ///
    /// # Errors
    ///
    /// [`NameError::NoSession`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        let mut numbers = text.as_ref().splitn(3, '-');
        let mut number = || numbers.next().filter(|text| is_number(text));
        let (shard, slot, generation) = (number(), number(), number());
        let id = || {
            let key = Key::new(slot?.parse().ok()?, generation?.parse().ok()?);
            Some(Self { shard: shard?.parse().ok()?, key })
        };
        id().ok_or(NameError::NoSession)
    }

    /// Returns the shard on which the session lives:
    /// [`BrokerConfig::shard`](crate::broker::BrokerConfig) of its broker.
    pub const fn shard(self) -> u16 {
        self.shard
    }

    pub(crate) const fn key(self) -> Key {
        self.key
    }
}

/// Returns whether a text is a number as it is shown: digits alone, and no zero before others.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

text_value!(SessionId, NameError);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.key.slot(), self.key.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use core::num::NonZeroU32;

    #[test]
    fn an_id_is_read_as_it_is_shown_and_in_no_other_way() {
        let id = SessionId::of(3, Key::new(70, NonZeroU32::new(8).unwrap()));
        assert_eq!((id.to_string(), "3-70-8".parse()), ("3-70-8".to_string(), Ok(id)));
        for text in
            ["", "3", "3-70", "3-70-8-1", "3-70-0", "+3-70-8", "03-70-8", "3--8", "65536-1-1"]
        {
            assert_eq!(SessionId::new(text), Err(NameError::NoSession), "{text}");
        }
    }
}

//! How old sessions grow.

use super::super::error::ConfigError;
use core::time::Duration;

/// The age at which sessions end, and by how much less it may be.
///
/// ```
/// use sansse::broker::{BrokerConfig, Epoch, MaxAge};
/// use std::time::Duration;
///
/// let mut config = BrokerConfig::new(Epoch(0xbeef));
/// // Between 50 and 60 minutes, evenly.
/// let (age, jitter) = (Duration::from_secs(3_600), Duration::from_secs(600));
/// config.session.max_age = Some(MaxAge::new(age, jitter)?);
/// # Ok::<(), sansse::broker::ConfigError>(())
/// ```
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "(Duration, Duration)", into = "(Duration, Duration)")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    age: Duration,
    jitter: Duration,
}

impl MaxAge {
    /// Returns an age that is up to `jitter` less, evenly, so that sessions that were opened
    /// together do not end together. With a jitter of zero it is the same for all.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroSessionAge`] or [`ConfigError::JitterBeyondAge`].
    pub const fn new(age: Duration, jitter: Duration) -> Result<Self, ConfigError> {
        if age.is_zero() {
            return Err(ConfigError::ZeroSessionAge);
        }
        if age.as_nanos() <= jitter.as_nanos() {
            return Err(ConfigError::JitterBeyondAge);
        }
        Ok(Self { age, jitter })
    }

    /// Returns the age that no session goes beyond.
    pub const fn age(self) -> Duration {
        self.age
    }

    /// Returns by how much less a session's age may be; always less than the age.
    pub const fn jitter(self) -> Duration {
        self.jitter
    }
}

#[cfg(feature = "record")]
impl From<MaxAge> for (Duration, Duration) {
    fn from(max: MaxAge) -> Self {
        (max.age, max.jitter)
    }
}

#[cfg(feature = "record")]
impl TryFrom<(Duration, Duration)> for MaxAge {
    type Error = ConfigError;

    fn try_from((age, jitter): (Duration, Duration)) -> Result<Self, Self::Error> {
        Self::new(age, jitter)
    }
}

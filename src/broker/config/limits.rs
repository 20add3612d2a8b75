//! How many of something there may be.

use super::super::error::ConfigError;
use super::BrokerConfig;

/// What happens when a session is to be opened where there are as many as may be.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitPolicy {
    /// It is refused, with an [`OpenError`](crate::broker::OpenError). Those that are here stay.
    #[default]
    Refuse,
    /// It is opened, and the session that was opened the longest ago ends at once, with
    /// [`EndReason::Evicted`](crate::broker::EndReason::Evicted). A browser then reconnects, so
    /// that more pages than may be take the place of one another again and again: it is for clients
    /// that open no more than one each.
    EvictOldest,
}

/// Checks that no limit is zero.
pub(super) fn check(config: &BrokerConfig) -> Result<(), ConfigError> {
    if config.max_sessions == 0 {
        return Err(ConfigError::ZeroSessions);
    }
    if config.max_sessions_per_client == 0 {
        return Err(ConfigError::ZeroSessionsPerClient);
    }
    if config.max_sessions_per_address == 0 {
        return Err(ConfigError::ZeroSessionsPerAddress);
    }
    if config.max_unread_events == 0 {
        return Err(ConfigError::ZeroUnreadEvents);
    }
    if config.max_retained_bytes == 0 {
        return Err(ConfigError::ZeroRetainedBytes);
    }
    Ok(())
}

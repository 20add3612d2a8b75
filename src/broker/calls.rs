//! What handles call on a broker, and on a broker that is recorded.

#[cfg(feature = "signed")]
use super::CursorKeys;
use super::admission::Elsewhere;
use super::names::AddressKey;
use super::{
    Backfill, BackfillRequest, Backfilled, Broker, ClientId, ConfigError, Drain, DrainError, Lag,
    LeaseError, OpenError, Opened, PublishError, Published, Resumption, Retention, RevokeError,
    SessionConfig, SessionId, StartAt, SubscribeError, TopicFilter, TopicName, TopicSettingError,
};
use core::time::Duration;
use std::time::Instant;

/// Makes the trait of these methods, each of which is the broker's own of the same name.
macro_rules! calls {
    ($($(#[$attribute:meta])*
    fn $name:ident(&mut self $(, $argument:ident: $kind:ty)*) $(-> $result:ty)?;)*) => {
        /// A broker, recorded or not. Its handles have these methods under shorter names, where each
        /// is documented.
        ///
        /// It is public since the handles' types name it, and sealed since its path is private.
        pub trait Calls: AsRef<Broker> {
            $($(#[$attribute])*
            fn $name(&mut self $(, $argument: $kind)*) $(-> $result)?;)*
        }

        impl Calls for Broker {
            $($(#[$attribute])*
            fn $name(&mut self $(, $argument: $kind)*) $(-> $result)? {
                Self::$name(self $(, $argument)*)
            })*
        }
    };
}

calls! {
    fn subscribe(&mut self, now: Instant, session: SessionId, filter: TopicFilter, start: StartAt)
        -> Result<Resumption, SubscribeError>;
    fn unsubscribe(&mut self, now: Instant, session: SessionId, filter: &TopicFilter) -> bool;
    fn renew_lease(&mut self, now: Instant, session: SessionId, until: Instant)
        -> Result<(), LeaseError>;
    fn close_session(&mut self, now: Instant, session: SessionId) -> bool;
    fn revoke(&mut self, now: Instant, client: &ClientId) -> Result<usize, RevokeError>;
    fn revoke_topic(&mut self, now: Instant, client: &ClientId, topic: &TopicName)
        -> Result<usize, RevokeError>;
    fn metadata_mut(&mut self, client: &ClientId) -> Option<&mut http::Extensions>;
    fn end_topic(&mut self, now: Instant, topic: &TopicName) -> Result<Published, PublishError>;
    fn set_retention(&mut self, now: Instant, topic: &TopicName, retention: Option<Retention>)
        -> Result<(), TopicSettingError>;
    fn set_lag(&mut self, now: Instant, topic: &TopicName, lag: Option<Lag>)
        -> Result<(), TopicSettingError>;
    fn open_beside(&mut self, now: Instant, config: SessionConfig, elsewhere: &Elsewhere)
        -> Result<Opened, OpenError>;
    fn evict_oldest(&mut self, now: Instant, address: Option<&AddressKey>);
    fn apply(&mut self, now: Instant, published: &Published) -> Result<(), PublishError>;
    fn apply_aged(&mut self, now: Instant, published: &Published, age: Duration)
        -> Result<(), PublishError>;
    fn drain_by_log(&mut self, now: Instant, drain: Drain) -> Result<(), DrainError>;
    fn skip(&mut self, now: Instant, through: u64) -> Result<(), PublishError>;
    fn cut(&mut self, now: Instant, through: u64) -> Result<(), PublishError>;
    fn apply_beside(&mut self, now: Instant, published: &Published) -> Result<(), PublishError>;
    fn set_ahead_wait(&mut self, now: Instant, wait: Option<Duration>)
        -> Result<(), ConfigError>;
    fn set_keeps_for_absent(&mut self, now: Instant, keeps: bool);
    fn set_backfill(&mut self, now: Instant, backfill: Option<Backfill>);
    fn poll_backfill(&mut self) -> Option<BackfillRequest>;
    fn backfill(&mut self, now: Instant, session: SessionId, read: &Backfilled) -> Option<u64>;
    fn end_backfill(&mut self, now: Instant, session: SessionId) -> bool;
    #[cfg(feature = "signed")]
    fn set_cursor_keys(&mut self, keys: CursorKeys) -> Result<(), ConfigError>;
}

impl AsRef<Self> for Broker {
    fn as_ref(&self) -> &Self {
        self
    }
}

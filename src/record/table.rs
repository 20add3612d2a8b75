//! The calls that are recorded with their arguments as they are, one in a row.
//!
//! ```text
//!            ┌─► a variant of `Call`: what stands in the record
//!     row ───┼─► a method of `RecordedBroker`: records the call, and does it
//!            └─► an arm of `Call::perform`: does it again
//! ```
//!
//! A call stands elsewhere if more than its arguments matter, or less, or if they are changed.

/// Gives all rows to a macro: first the methods that a broker has itself, then those of its handles.
macro_rules! rows {
    ($then:ident) => {
        $then! {
            broker {
                HandleDisconnect: handle_disconnect(session: [SessionId]) -> () => Output::done;
                GiveWay: give_way(session: [SessionId]) -> () => Output::done;
                HandleTimeout: handle_timeout() -> () => Output::done;
                HandleProgress: handle_progress(session: [SessionId]) -> () => Output::done;
                Close: close() -> () => Output::done;
                Abort: abort() -> () => Output::done;
                Drain: drain(drain: [Drain]) -> Result<(), DrainError> => Output::Draining;
                RetryAfter: retry_after(error: [&OpenError]) -> Option<Duration>
                    => Output::RetryAfter;
                WaitForReaders: wait_for_readers(audience: [&Audience], pace: [Pace])
                    -> Result<Option<WaitId>, PublishError> => Output::Waits;
                WaitForRoom: wait_for_room(audience: [&Audience])
                    -> Result<Option<WaitId>, PublishError> => Output::Waits;
            }
            handles {
                Subscribe: subscribe(session: [SessionId], filter: [TopicFilter], start: [StartAt])
                    -> Result<Resumption, SubscribeError> => Output::Subscribed;
                Unsubscribe: unsubscribe(session: [SessionId], filter: [&TopicFilter]) -> bool
                    => Output::Found;
                CloseSession: close_session(session: [SessionId]) -> bool => Output::Found;
                Revoke: revoke(client: [&ClientId]) -> Result<usize, RevokeError>
                    => Output::Revoked;
                RevokeTopic: revoke_topic(client: [&ClientId], topic: [&TopicName])
                    -> Result<usize, RevokeError> => Output::Revoked;
                EndTopic: end_topic(topic: [&TopicName]) -> Result<Published, PublishError>
                    => Output::Published;
                SetRetention: set_retention(topic: [&TopicName], retention: [Option<Retention>])
                    -> Result<(), TopicSettingError> => Output::TopicSet;
                SetLag: set_lag(topic: [&TopicName], lag: [Option<Lag>])
                    -> Result<(), TopicSettingError> => Output::TopicSet;
                Apply: apply(published: [&Published]) -> Result<(), PublishError>
                    => Output::Applied;
                ApplyAged: apply_aged(published: [&Published], age: [Duration])
                    -> Result<(), PublishError> => Output::Applied;
                DrainByLog: drain_by_log(drain: [Drain]) -> Result<(), DrainError>
                    => Output::Draining;
                Skip: skip(through: [u64]) -> Result<(), PublishError> => Output::Applied;
                Cut: cut(through: [u64]) -> Result<(), PublishError> => Output::Applied;
                SetAheadWait: set_ahead_wait(wait: [Option<Duration>]) -> Result<(), ConfigError>
                    => Output::SettingSet;
                SetKeepsForAbsent: set_keeps_for_absent(keeps: [bool]) -> () => Output::done;
                SetBackfill: set_backfill(backfill: [Option<Backfill>]) -> () => Output::done;
                Backfill: backfill(session: [SessionId], read: [&Backfilled]) -> Option<u64>
                    => Output::Backfilled;
                EndBackfill: end_backfill(session: [SessionId]) -> bool => Output::Found;
                ApplyBeside: apply_beside(published: [&Published]) -> Result<(), PublishError>
                    => Output::Applied;
            }
        }
    };
}

/// The type of an argument as it stands in an entry.
macro_rules! stored {
    (& $kind:ty) => {
        $kind
    };
    ($kind:ty) => {
        $kind
    };
}

/// An argument from an entry, as the method takes it.
macro_rules! passed {
    ($value:ident & $kind:ty) => {
        &$value
    };
    ($value:ident $kind:ty) => {
        $value
    };
}

pub(super) use {passed, rows, stored};

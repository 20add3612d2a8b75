//! A record that is read back, and what comes out when the same is done again.

use super::call::Held;
use super::error::{RecordError, RecordErrorKind};
use super::lines::{Head, Lines, MAX_LINE, Numbered};
use super::{Input, Start};
use crate::broker::{
    BackfillRequest, Broker, BrokerConfig, BrokerEvent, ConfigError, DrainError, EndReason,
    EventNumber, Filled, LeaseError, OpenError, Opened, PublishError, Published, Resumption,
    RevokeError, SessionId, SubscribeError, TopicSettingError, WaitId,
};
use crate::encode::Frame;
use alloc::collections::BTreeMap;
use bytes::Bytes;
use core::time::Duration;
use serde::Deserialize;
use std::time::Instant;

/// A record, of which the first line was read.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The broker's configuration. It may be changed before the replay, to see what would have been
    /// otherwise.
    pub config: BrokerConfig,
    /// The longest line that is read, in bytes. Default 64 MiB: several times an event of the size
    /// that a topic keeps by default, with every character escaped.
    pub max_line: usize,
    /// The keys of each [`ShardMut::set_cursor_keys`](crate::broker::ShardMut::set_cursor_keys) in
    /// the record, in order; those of the beginning belong into [`config`](Self::config). Secrets
    /// are in no record. Default: none.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub later_keys: alloc::vec::Vec<crate::broker::CursorKeys>,
    is_signed: bool,
    lines: Lines<'a>,
}

/// A broker to which a record is done again, call by call.
///
/// It is an iterator over the steps. An error is its last item: what follows a line that could not
/// be read would be done to another broker.
#[derive(Debug)]
pub struct Replay<'a> {
    broker: Broker,
    held: Held,
    max_line: usize,
    lines: Lines<'a>,
}

/// A call that was done again, and what came out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReplayStep {
    /// The number of its line; the configuration has the first.
    pub line: usize,
    /// What was called, and when.
    pub input: Input,
    /// What that gave.
    pub output: Output,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Of a method that gives nothing.
    Done,
    /// Of [`Broker::open`].
    Opened(Result<Opened, OpenError>),
    /// Of [`Broker::publish`] and [`TopicMut::end`](crate::broker::TopicMut::end).
    Published(Result<Published, PublishError>),
    /// Of [`ShardMut::apply`](crate::broker::ShardMut::apply).
    Applied(Result<(), PublishError>),
    /// Of [`SessionMut::subscribe`](crate::broker::SessionMut::subscribe).
    Subscribed(Result<Resumption, SubscribeError>),
    /// Of [`Broker::poll_transmit`]: the next frame.
    Frame(Frame),
    /// Of [`Broker::poll_transmit`]: nothing now.
    Parked,
    /// Of [`Broker::poll_transmit`]: the end.
    End(Option<EndReason>),
    /// Of [`Broker::poll_transmit_batch`].
    Batch {
        /// What was to be written.
        bytes: Bytes,
        /// How many frames they are.
        frames: usize,
        /// Why there were no more.
        filled: Filled,
    },
    /// Of [`Broker::handle_partial_write`].
    Remainder(Bytes),
    /// Of [`Broker::poll_ready`].
    Ready(Option<SessionId>),
    /// Of [`Broker::poll_event`].
    Event(Option<(EventNumber, BrokerEvent)>),
    /// Of [`Broker::wait_for_readers`] and [`Broker::wait_for_room`].
    Waits(Result<Option<WaitId>, PublishError>),
    /// Of [`Broker::poll_wait`].
    WaitOver(Option<WaitId>),
    /// Of [`SessionMut::close`](crate::broker::SessionMut::close) and
    /// [`SessionMut::unsubscribe`](crate::broker::SessionMut::unsubscribe).
    Found(bool),
    /// Of [`Broker::retry_after`].
    RetryAfter(Option<Duration>),
    /// Of [`SessionMut::renew_lease`](crate::broker::SessionMut::renew_lease).
    Renewed(Result<(), LeaseError>),
    /// Of [`ClientMut::revoke`](crate::broker::ClientMut::revoke) and
    /// [`ClientMut::revoke_topic`](crate::broker::ClientMut::revoke_topic).
    Revoked(Result<usize, RevokeError>),
    /// Of [`TopicMut::set_retention`](crate::broker::TopicMut::set_retention) and
    /// [`TopicMut::set_lag`](crate::broker::TopicMut::set_lag).
    TopicSet(Result<(), TopicSettingError>),
    /// Of `ShardMut::set_cursor_keys`.
    KeysSet(Result<(), ConfigError>),
    /// Of [`ShardMut::set_ahead_wait`](crate::broker::ShardMut::set_ahead_wait).
    SettingSet(Result<(), ConfigError>),
    /// Of [`ShardMut::poll_backfill`](crate::broker::ShardMut::poll_backfill).
    BackfillAsked(Option<BackfillRequest>),
    /// Of [`ShardMut::backfill`](crate::broker::ShardMut::backfill).
    Backfilled(Option<u64>),
    /// Of [`Broker::drain`].
    Draining(Result<(), DrainError>),
}

impl Output {
    pub(super) const fn done((): ()) -> Self {
        Self::Done
    }
}

impl<'a> Record<'a> {
    /// Reads the first line of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError`], which is the fault of what wrote the record, or cut it.
    pub fn parse(record: &'a [u8]) -> Result<Self, RecordError> {
        let (start, lines) = Lines::begin::<Version, Start>(record)?;
        let Start { config, is_signed, .. } = start;
        Ok(Self {
            config,
            max_line: MAX_LINE,
            #[cfg(feature = "signed")]
            later_keys: alloc::vec::Vec::new(),
            is_signed,
            lines,
        })
    }

    /// Makes a broker with this configuration at `start`, to which the calls are then done. Times in
    /// outputs, such as that of a lease, are counted from `start`.
    ///
    /// # Errors
    ///
    /// [`RecordErrorKind::Config`] for a configuration that cannot hold, and [`RecordErrorKind::NoKeys`]
    /// for one that lacks the keys that the recorded one had.
    pub fn replay(self, start: Instant) -> Result<Replay<'a>, RecordError> {
        if self.is_signed && self.config.cursor_keys.is_none() {
            return Err(RecordErrorKind::NoKeys.at(1));
        }
        let broker = Broker::new(start, self.config)
            .map_err(|error| RecordErrorKind::Config(error).at(1))?;
        let held = Held {
            #[cfg(feature = "signed")]
            keys: self.later_keys.into(),
            newest: BTreeMap::new(),
        };
        Ok(Replay { broker, held, max_line: self.max_line, lines: self.lines })
    }
}

#[derive(Deserialize)]
struct Version {
    sansse_record: u32,
}

impl Head for Version {
    fn version(&self) -> u32 {
        self.sansse_record
    }
}

impl Numbered for Input {
    fn number(&self) -> u64 {
        self.number
    }
}

impl Replay<'_> {
    /// Returns the broker, as it is after the steps so far.
    pub const fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Returns the broker after the steps so far, for the test to go on with.
    pub fn into_broker(self) -> Broker {
        self.broker
    }

    fn perform(&mut self, input: Input) -> Result<ReplayStep, RecordError> {
        let Input { at, call, .. } = input.clone();
        let output = call
            .perform(at, &mut self.broker, &mut self.held)
            .map_err(|fault| self.lines.end(fault))?;
        Ok(ReplayStep { line: self.lines.number(), input, output })
    }
}

impl Iterator for Replay<'_> {
    type Item = Result<ReplayStep, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let input = self.lines.next_call(self.max_line)?;
        Some(input.and_then(|input| self.perform(input)))
    }
}

//! The calls that are in a record, and how each is done again.

use super::error::RecordErrorKind;
use super::read::Output;
use super::table::{passed, rows, stored};
use crate::broker::{
    AddressKey, Audience, Backfill, Backfilled, Batch, Broker, Calls, ClientId, Drain, Elsewhere,
    Filled, Lag, OpenError, Pace, Published, Retention, SessionConfig, SessionId, StartAt, Tick,
    TopicFilter, TopicName, Transmit,
};
use crate::encode::Framing;
use crate::event::Event;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::time::Instant;

macro_rules! calls {
    ($($part:ident { $($variant:ident: $method:ident($($argument:ident: [$($kind:tt)+]),*)
        -> $result:ty => $output:expr;)+ })+) => {
        /// What a method of [`Broker`] was called with. Times are counted from when the broker was
        /// made.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub(super) enum Call {
            // Those of the table.
            $($($variant { $($argument: stored!($($kind)+)),* },)+)+
            Open(Box<Request>),
            OpenBeside { request: Box<Request>, elsewhere: Elsewhere },
            EvictOldest { address: Option<AddressKey> },
            PollReady,
            PollEvent,
            PollWait,
            PollBackfill,
            RenewLease { session: SessionId, until: Tick },
            Publish { audience: Audience, event: Box<Event> },
            PollTransmit { session: SessionId },
            PollTransmitBatch { session: SessionId, limit: usize, framing: Framing },
            HandlePartialWrite { session: SessionId, written: usize, batch: Written },
            SetCursorKeys,
        }

        impl Call {
            /// Does the same to `broker`.
            pub(super) fn perform(
                self,
                at: Tick,
                broker: &mut Broker,
                held: &mut Held,
            ) -> Result<Output, RecordErrorKind> {
                let now = instant(broker, at)?;
                Ok(match self {
                    $($(Self::$variant { $($argument),* } => {
                        $output(calls!(@call $part broker $method(
                            now $(, passed!($argument $($kind)+))*
                        )))
                    })+)+
                    Self::Open(request) => {
                        let request = request.restore(broker)?;
                        Output::Opened(broker.open(now, request))
                    }
                    Self::OpenBeside { request, elsewhere } => {
                        let request = request.restore(broker)?;
                        Output::Opened(Calls::open_beside(broker, now, request, &elsewhere))
                    }
                    Self::EvictOldest { address } => {
                        Calls::evict_oldest(broker, now, address.as_ref());
                        Output::Done
                    }
                    Self::PollReady => Output::Ready(broker.poll_ready()),
                    Self::PollEvent => Output::Event(broker.poll_event()),
                    Self::PollWait => Output::WaitOver(broker.poll_wait()),
                    Self::PollBackfill => Output::BackfillAsked(Calls::poll_backfill(broker)),
                    Self::RenewLease { session, until } => {
                        let until = instant(broker, until)?;
                        Output::Renewed(Calls::renew_lease(broker, now, session, until))
                    }
                    Self::Publish { audience, event } => {
                        Output::Published(broker.publish(now, audience, &event))
                    }
                    Self::PollTransmit { session } => {
                        held.newest.remove(&session);
                        match broker.poll_transmit(now, session) {
                            Some(Transmit::Frame(frame)) => Output::Frame(frame.clone()),
                            Some(Transmit::Ended(reason)) => Output::End(reason),
                            None => Output::Parked,
                        }
                    }
                    Self::PollTransmitBatch { session, limit, framing } => {
                        let mut batch = held.newest.remove(&session).unwrap_or_else(|| Batch::new(framing));
                        batch.reset(framing);
                        let end = broker.poll_transmit_batch(now, session, limit, &mut batch);
                        let (bytes, frames) = (Bytes::copy_from_slice(batch.as_slice()), batch.frames());
                        if !matches!(end, Filled::Ended(_)) {
                            held.keep(broker, session, batch);
                        }
                        Output::Batch { bytes, frames, filled: end }
                    }
                    Self::HandlePartialWrite { session, written, batch } => {
                        let rest = match batch {
                            Written::Newest => match held.newest.get(&session) {
                                Some(batch) => broker.handle_partial_write(now, session, batch, written),
                                None => return Err(RecordErrorKind::NoBatch { session }),
                            },
                            Written::Other { text, ends } => {
                                let batch = Batch::from_parts(text.into_bytes(), &ends);
                                let batch = batch.ok_or(RecordErrorKind::BatchEnds)?;
                                broker.handle_partial_write(now, session, &batch, written)
                            }
                        };
                        Output::Remainder(rest)
                    }
                    #[cfg(feature = "signed")]
                    Self::SetCursorKeys => {
                        let keys = held.keys.pop_front().ok_or(RecordErrorKind::NoKeys)?;
                        Output::KeysSet(Calls::set_cursor_keys(broker, keys))
                    }
                    #[cfg(not(feature = "signed"))]
                    Self::SetCursorKeys => return Err(RecordErrorKind::NoKeys),
                })
            }
        }
    };
    (@call broker $broker:ident $method:ident($($argument:expr),*)) => {
        $broker.$method($($argument),*)
    };
    (@call handles $broker:ident $method:ident($($argument:expr),*)) => {
        Calls::$method($broker, $($argument),*)
    };
}

rows!(calls);

/// A [`SessionConfig`] without its metadata, and its lease by the broker's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    request: SessionConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<Tick>,
}

/// The batch that a partial write was of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Written {
    /// What the session's newest poll gave, which a replay has too.
    Newest,
    /// Any other: its bytes, and where each of its frames ends.
    Other { text: String, ends: Vec<usize> },
}

impl Request {
    pub(super) fn of(config: &SessionConfig, broker: &Broker) -> Self {
        let lease = config.lease().map(|until| broker.tick(until));
        Self { request: config.clone(), lease }
    }

    fn restore(self, broker: &Broker) -> Result<SessionConfig, RecordErrorKind> {
        Ok(match self.lease {
            Some(until) => self.request.with_lease(instant(broker, until)?),
            None => self.request,
        })
    }
}

impl Written {
    pub(super) fn of(batch: &Batch, session: SessionId, broker: &Broker) -> Self {
        if broker.is_newest(session, batch) {
            return Self::Newest;
        }
        // Frames are made of text alone.
        let text = String::from_utf8_lossy(batch.as_slice()).into_owned();
        Self::Other { text, ends: batch.ends() }
    }
}

/// The time so long after the broker was made, if this platform has it.
pub(super) fn instant(broker: &Broker, at: Tick) -> Result<Instant, RecordErrorKind> {
    broker.instant(at).ok_or(RecordErrorKind::Time)
}

/// What the caller had, and a replay must have too.
#[derive(Debug)]
pub(super) struct Held {
    /// The batches that can still be taken back.
    pub(super) newest: BTreeMap<SessionId, Batch>,
    #[cfg(feature = "signed")]
    pub(super) keys: alloc::collections::VecDeque<crate::broker::CursorKeys>,
}

impl Held {
    fn keep(&mut self, broker: &Broker, session: SessionId, batch: Batch) {
        self.newest.insert(session, batch);
        if self.newest.len() as u64 > 2 * broker.counters().sessions + 64 {
            self.newest.retain(|&session, _| broker.session(session).is_open());
        }
    }
}

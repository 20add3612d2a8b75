//! A broker whose calls go to a sink before they are done.

use super::call::{Call, Request, Written};
use super::table::rows;
use super::{Entry, Input, Line, Start, VERSION};
use crate::broker::{
    AddressKey, Audience, Backfill, BackfillRequest, Backfilled, Batch, Broker, BrokerConfig,
    BrokerEvent, Calls, ClientId, ClientMut, ConfigError, Drain, DrainError, Elsewhere,
    EventNumber, Filled, Lag, LeaseError, OpenError, Opened, Pace, PublishError, Published,
    Resumption, Retention, RevokeError, SessionConfig, SessionId, SessionMut, ShardMut, StartAt,
    SubscribeError, TopicFilter, TopicMut, TopicName, TopicSettingError, Transmit, WaitId,
};
use crate::event::Event;
use alloc::boxed::Box;
use bytes::Bytes;
use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use std::time::Instant;

/// A [`Broker`] that [records](super) what is done to it.
///
/// Its methods are the broker's: those that can change it are here, with the same meaning, and the
/// others are reached by `Deref`. There is no way around the record.
///
/// While nothing records, a call costs a look at an `Option` more; without the feature `record`
/// there is no such type, and a broker is what it always was.
pub struct RecordedBroker {
    broker: Broker,
    sink: Option<Sink>,
    recorded: u64,
}

type Sink = Box<dyn FnMut(Entry) + Send>;

impl RecordedBroker {
    /// Makes a broker without sessions, and a record from its beginning on.
    ///
    /// `sink` gets each entry before what it tells of is done. It runs within the call: it should
    /// be quick, or send the entry on to a thread that writes. If it panics, the call is not done.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold; then nothing is recorded.
    pub fn new(
        now: Instant,
        config: BrokerConfig,
        sink: impl FnMut(Entry) + Send + 'static,
    ) -> Result<Self, ConfigError> {
        let mut sink: Sink = Box::new(sink);
        let broker = Broker::new(now, config.clone())?;
        let is_signed = config.cursor_keys.is_some();
        sink(Entry(Line::Start(Box::new(Start { sansse_record: VERSION, is_signed, config }))));
        Ok(Self { broker, sink: Some(sink), recorded: 0 })
    }

    /// Ends the record and drops its sink. It cannot begin again: a record starts with its broker.
    pub fn stop_recording(&mut self) {
        self.sink = None;
    }

    /// Returns whether calls are recorded.
    pub const fn is_recording(&self) -> bool {
        self.sink.is_some()
    }

    #[inline]
    fn note(&mut self, now: Instant, call: impl FnOnce(&Broker) -> Call) {
        if let Some(sink) = &mut self.sink {
            self.recorded += 1;
            let (number, at) = (self.recorded, self.broker.tick(now));
            sink(Entry(Line::Input(Box::new(Input { number, at, call: call(&self.broker) }))));
        }
    }

    /// Records a call that is told no time.
    #[inline]
    fn note_timeless(&mut self, call: Call) {
        if let Some(sink) = &mut self.sink {
            self.recorded += 1;
            let (number, at) = (self.recorded, self.broker.now());
            sink(Entry(Line::Input(Box::new(Input { number, at, call }))));
        }
    }
}

/// Without a record.
impl From<Broker> for RecordedBroker {
    fn from(broker: Broker) -> Self {
        Self { broker, sink: None, recorded: 0 }
    }
}

impl AsRef<Broker> for RecordedBroker {
    fn as_ref(&self) -> &Broker {
        &self.broker
    }
}

impl Deref for RecordedBroker {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.broker
    }
}

/// What [`Broker`] has; each method there says what it does.
impl RecordedBroker {
    /// Opens a session, as [`Broker::open`] does. The metadata in `config` is not recorded.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(&mut self, now: Instant, config: SessionConfig) -> Result<Opened, OpenError> {
        self.note(now, |broker| Call::Open(Box::new(Request::of(&config, broker))));
        self.broker.open(now, config)
    }

    /// Returns what [`Broker::poll_ready`] returns. `None`, and what may change that, is as there.
    pub fn poll_ready(&mut self) -> Option<SessionId> {
        if self.broker.has_ready() {
            self.note_timeless(Call::PollReady);
        }
        self.broker.poll_ready()
    }

    /// Returns what [`Broker::poll_event`] returns. `None`, and what may change that, is as there.
    pub fn poll_event(&mut self) -> Option<(EventNumber, BrokerEvent)> {
        if self.broker.has_events() {
            self.note_timeless(Call::PollEvent);
        }
        self.broker.poll_event()
    }

    /// Returns what [`Broker::poll_wait`] returns. `None`, and what may change that, is as there.
    pub fn poll_wait(&mut self) -> Option<WaitId> {
        if self.broker.has_waits_over() {
            self.note_timeless(Call::PollWait);
        }
        self.broker.poll_wait()
    }

    /// Returns the handle of a session, as [`Broker::session_mut`] does.
    pub const fn session_mut(&mut self, id: SessionId) -> SessionMut<'_, Self> {
        SessionMut::new(self, id)
    }

    /// Returns the handle of a client, as [`Broker::client_mut`] does. What is done to the client's
    /// metadata changes nothing that the broker looks at, and is not recorded.
    pub const fn client_mut<'a>(&'a mut self, id: &'a ClientId) -> ClientMut<'a, Self> {
        ClientMut::new(self, id)
    }

    /// Returns the handle of a topic, as [`Broker::topic_mut`] does.
    pub const fn topic_mut<'a>(&'a mut self, name: &'a TopicName) -> TopicMut<'a, Self> {
        TopicMut::new(self, name)
    }

    /// Returns the handle of the shard, as [`Broker::shard_mut`] does. That the keys were set is
    /// recorded, and the keys are not.
    pub const fn shard_mut(&mut self) -> ShardMut<'_, Self> {
        ShardMut::new(self)
    }

    /// Publishes an event, as [`Broker::publish`] does.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn publish(
        &mut self,
        now: Instant,
        audience: impl Into<Audience>,
        event: &Event,
    ) -> Result<Published, PublishError> {
        let audience = audience.into();
        self.note(now, |_| Call::Publish {
            audience: audience.clone(),
            event: Box::new(event.clone()),
        });
        self.broker.publish(now, audience, event)
    }

    /// Returns what [`Broker::poll_transmit`] returns. `None`, and what may change that, is as
    /// there.
    pub fn poll_transmit(&mut self, now: Instant, session: SessionId) -> Option<Transmit<'_>> {
        self.note(now, |_| Call::PollTransmit { session });
        self.broker.poll_transmit(now, session)
    }

    /// Fills a batch, as [`Broker::poll_transmit_batch`] does.
    pub fn poll_transmit_batch(
        &mut self,
        now: Instant,
        session: SessionId,
        limit: usize,
        batch: &mut Batch,
    ) -> Filled {
        self.note(now, |_| Call::PollTransmitBatch { session, limit, framing: batch.framing() });
        self.broker.poll_transmit_batch(now, session, limit, batch)
    }

    /// Takes back what a write did not take, as [`Broker::handle_partial_write`] does.
    pub fn handle_partial_write(
        &mut self,
        now: Instant,
        session: SessionId,
        batch: &Batch,
        written: usize,
    ) -> Bytes {
        self.note(now, |broker| {
            let batch = Written::of(batch, session, broker);
            Call::HandlePartialWrite { session, written, batch }
        });
        self.broker.handle_partial_write(now, session, batch, written)
    }

    pub(crate) fn keep_let_go(&mut self) {
        self.broker.keep_let_go();
    }

    pub(crate) fn take_let_go(&mut self) -> alloc::vec::Vec<crate::broker::Value> {
        self.broker.take_let_go()
    }
}

macro_rules! methods {
    (broker { $($own:ident: $method:ident($($argument:ident: [$($kind:tt)+]),*)
        -> $result:ty => $output:expr;)+ }
    handles { $($variant:ident: $call:ident($($given:ident: [$($type:tt)+]),*)
        -> $outcome:ty => $told:expr;)+ }) => {
        /// The calls of the table.
        impl RecordedBroker {
            $(
            #[doc = concat!("As [`Broker::", stringify!($method), "`].")]
            #[allow(clippy::missing_errors_doc, reason = "the broker says which")]
            pub fn $method(&mut self, now: Instant $(, $argument: $($kind)+)*) -> $result {
                self.note(now, |_| Call::$own { $($argument: $argument.clone()),* });
                self.broker.$method(now $(, $argument)*)
            }
            )+
        }

        /// What the handles call.
        impl Calls for RecordedBroker {
            $(
            fn $call(&mut self, now: Instant $(, $given: $($type)+)*) -> $outcome {
                self.note(now, |_| Call::$variant { $($given: $given.clone()),* });
                Calls::$call(&mut self.broker, now $(, $given)*)
            }
            )+

            fn renew_lease(
                &mut self,
                now: Instant,
                session: SessionId,
                until: Instant,
            ) -> Result<(), LeaseError> {
                self.note(now, |broker| Call::RenewLease { session, until: broker.tick(until) });
                Calls::renew_lease(&mut self.broker, now, session, until)
            }

            fn metadata_mut(&mut self, client: &ClientId) -> Option<&mut http::Extensions> {
                Calls::metadata_mut(&mut self.broker, client)
            }

            fn open_beside(
                &mut self,
                now: Instant,
                config: SessionConfig,
                elsewhere: &Elsewhere,
            ) -> Result<Opened, OpenError> {
                self.note(now, |broker| Call::OpenBeside {
                    request: Box::new(Request::of(&config, broker)),
                    elsewhere: *elsewhere,
                });
                Calls::open_beside(&mut self.broker, now, config, elsewhere)
            }

            fn poll_backfill(&mut self) -> Option<BackfillRequest> {
                if self.broker.has_unread() {
                    self.note_timeless(Call::PollBackfill);
                }
                Calls::poll_backfill(&mut self.broker)
            }

            fn evict_oldest(&mut self, now: Instant, address: Option<&AddressKey>) {
                self.note(now, |_| Call::EvictOldest { address: address.cloned() });
                Calls::evict_oldest(&mut self.broker, now, address);
            }

            #[cfg(feature = "signed")]
            fn set_cursor_keys(&mut self, keys: crate::broker::CursorKeys) -> Result<(), ConfigError> {
                self.note_timeless(Call::SetCursorKeys);
                Calls::set_cursor_keys(&mut self.broker, keys)
            }
        }
    };
}

rows!(methods);

impl fmt::Debug for RecordedBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedBroker")
            .field("broker", &self.broker)
            .field("is_recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}

//! A broker whose calls are told to somebody before they are done.

use super::call::{Call, Request, Written};
use super::{Entry, Input, Line, Start, VERSION};
use crate::broker::{
    AddressKey, Audience, Batch, Broker, BrokerConfig, BrokerEvent, ClientId, ConfigError, Drain,
    DrainError, Elsewhere, EventNumber, Filled, Lag, LeaseError, OpenError, Opened, Publication,
    PublishError, Published, Resumption, Retention, RevokeError, SessionConfig, SessionId, StartAt,
    SubscribeError, TopicFilter, TopicName, TopicSettingError, Transmit,
};
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
    /// A broker without sessions, and a record from its beginning on.
    ///
    /// `sink` gets each entry before what it tells of is done. It runs within the call: it should
    /// be quick, or send the entry on to whoever writes. If it panics, the call is not done.
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

    /// Whether calls are recorded.
    pub const fn is_recording(&self) -> bool {
        self.sink.is_some()
    }

    #[inline]
    fn note(&mut self, now: Instant, call: impl FnOnce(&Broker) -> Call) {
        if let Some(sink) = &mut self.sink {
            self.recorded += 1;
            let (number, at) = (self.recorded, self.broker.tick(now));
            sink(Entry(Line::Input(Input { number, at, call: call(&self.broker) })));
        }
    }

    /// Of a call that is told no time.
    #[inline]
    fn note_timeless(&mut self, call: Call) {
        if let Some(sink) = &mut self.sink {
            self.recorded += 1;
            let (number, at) = (self.recorded, self.broker.now());
            sink(Entry(Line::Input(Input { number, at, call })));
        }
    }
}

/// Without a record.
impl From<Broker> for RecordedBroker {
    fn from(broker: Broker) -> Self {
        Self { broker, sink: None, recorded: 0 }
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
    /// As [`Broker::open`]. The request's metadata is not recorded.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(&mut self, now: Instant, request: SessionConfig) -> Result<Opened, OpenError> {
        self.note(now, |broker| Call::Open(Box::new(Request::of(&request, broker))));
        self.broker.open(now, request)
    }

    /// As [`Broker::handle_disconnect`].
    pub fn handle_disconnect(&mut self, now: Instant, session: SessionId) {
        self.note(now, |_| Call::HandleDisconnect { session });
        self.broker.handle_disconnect(now, session);
    }

    /// As [`Broker::close_session`].
    pub fn close_session(&mut self, now: Instant, session: SessionId) -> bool {
        self.note(now, |_| Call::CloseSession { session });
        self.broker.close_session(now, session)
    }

    /// As [`Broker::close`].
    pub fn close(&mut self, now: Instant) {
        self.note(now, |_| Call::Close);
        self.broker.close(now);
    }

    /// As [`Broker::abort`].
    pub fn abort(&mut self, now: Instant) {
        self.note(now, |_| Call::Abort);
        self.broker.abort(now);
    }

    /// As [`Broker::poll_ready`]. `None`, and what may change that, is as there.
    pub fn poll_ready(&mut self) -> Option<SessionId> {
        if self.broker.has_ready() {
            self.note_timeless(Call::PollReady);
        }
        self.broker.poll_ready()
    }

    /// As [`Broker::poll_event`]. `None`, and what may change that, is as there.
    pub fn poll_event(&mut self) -> Option<BrokerEvent> {
        self.poll_numbered_event().map(|(_, event)| event)
    }

    /// As [`Broker::poll_numbered_event`]. `None`, and what may change that, is as there.
    pub fn poll_numbered_event(&mut self) -> Option<(EventNumber, BrokerEvent)> {
        if self.broker.has_events() {
            self.note_timeless(Call::PollEvent);
        }
        self.broker.poll_numbered_event()
    }

    /// As [`Broker::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.note(now, |_| Call::HandleTimeout);
        self.broker.handle_timeout(now);
    }

    /// As [`Broker::drain`].
    ///
    /// # Errors
    ///
    /// [`DrainError`]; then nothing was done.
    pub fn drain(&mut self, now: Instant, drain: Drain) -> Result<(), DrainError> {
        self.note(now, |_| Call::Drain(Box::new(drain.clone())));
        self.broker.drain(now, drain)
    }

    /// As [`Broker::end_topic`].
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn end_topic(
        &mut self,
        now: Instant,
        topic: &TopicName,
    ) -> Result<Published, PublishError> {
        self.note(now, |_| Call::EndTopic { topic: topic.clone() });
        self.broker.end_topic(now, topic)
    }

    /// As [`Broker::renew_lease`].
    ///
    /// # Errors
    ///
    /// [`LeaseError`]; then the lease is as it was.
    pub fn renew_lease(
        &mut self,
        now: Instant,
        session: SessionId,
        until: Instant,
    ) -> Result<(), LeaseError> {
        self.note(now, |broker| Call::RenewLease { session, until: broker.tick(until) });
        self.broker.renew_lease(now, session, until)
    }

    /// As [`Broker::revoke`].
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(&mut self, now: Instant, client: &ClientId) -> Result<usize, RevokeError> {
        self.note(now, |_| Call::Revoke { client: client.clone() });
        self.broker.revoke(now, client)
    }

    /// As [`Broker::revoke_topic`].
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke_topic(
        &mut self,
        now: Instant,
        client: &ClientId,
        topic: &TopicName,
    ) -> Result<usize, RevokeError> {
        let call = |_: &Broker| Call::RevokeTopic { client: client.clone(), topic: topic.clone() };
        self.note(now, call);
        self.broker.revoke_topic(now, client, topic)
    }

    /// As [`Broker::publish`].
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn publish<'a>(
        &mut self,
        now: Instant,
        audience: impl Into<Audience>,
        event: impl Into<Publication<'a>>,
    ) -> Result<Published, PublishError> {
        let (audience, publication) = (audience.into(), event.into());
        self.note(now, |_| {
            let (event, key) = publication.clone().into_parts();
            Call::Publish { audience: audience.clone(), event: Box::new(event.clone()), key }
        });
        self.broker.publish(now, audience, publication)
    }

    /// As [`Broker::apply`].
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn apply(&mut self, now: Instant, published: &Published) -> Result<(), PublishError> {
        self.note(now, |_| Call::Apply(Box::new(published.clone())));
        self.broker.apply(now, published)
    }

    /// As [`Broker::set_retention`].
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_retention(
        &mut self,
        now: Instant,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        self.note(now, |_| Call::SetRetention { topic: topic.clone(), retention });
        self.broker.set_retention(now, topic, retention)
    }

    /// As [`Broker::set_lag`].
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_lag(
        &mut self,
        now: Instant,
        topic: &TopicName,
        lag: Option<Lag>,
    ) -> Result<(), TopicSettingError> {
        self.note(now, |_| Call::SetLag { topic: topic.clone(), lag });
        self.broker.set_lag(now, topic, lag)
    }

    /// As [`Broker::retry_after`].
    pub fn retry_after(&mut self, now: Instant, error: &OpenError) -> Option<Duration> {
        self.note(now, |_| Call::RetryAfter { error: *error });
        self.broker.retry_after(now, error)
    }

    /// As [`Broker::subscribe`].
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; then nothing was done.
    pub fn subscribe(
        &mut self,
        now: Instant,
        session: SessionId,
        filter: impl Into<TopicFilter>,
        start: StartAt,
    ) -> Result<Resumption, SubscribeError> {
        let filter = filter.into();
        self.note(now, |_| Call::Subscribe {
            session,
            filter: filter.clone(),
            start: start.clone(),
        });
        self.broker.subscribe(now, session, filter, start)
    }

    /// As [`Broker::unsubscribe`].
    pub fn unsubscribe(&mut self, now: Instant, session: SessionId, filter: &TopicFilter) -> bool {
        self.note(now, |_| Call::Unsubscribe { session, filter: filter.clone() });
        self.broker.unsubscribe(now, session, filter)
    }

    /// As [`Broker::poll_transmit`]. `None`, and what may change that, is as there.
    pub fn poll_transmit(&mut self, now: Instant, session: SessionId) -> Option<Transmit<'_>> {
        self.note(now, |_| Call::PollTransmit { session });
        self.broker.poll_transmit(now, session)
    }

    /// As [`Broker::poll_transmit_batch`].
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

    /// As [`Broker::handle_partial_write`].
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

    /// As [`Broker::handle_progress`].
    pub fn handle_progress(&mut self, now: Instant, session: SessionId) {
        self.note(now, |_| Call::HandleProgress { session });
        self.broker.handle_progress(now, session);
    }

    /// As [`Broker::set_cursor_keys`]. That it was called is recorded, and the keys are not.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] with [`EventIds::Own`](crate::broker::EventIds::Own); then
    /// nothing was done.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&mut self, keys: crate::broker::CursorKeys) -> Result<(), ConfigError> {
        self.note_timeless(Call::SetCursorKeys);
        self.broker.set_cursor_keys(keys)
    }

    /// As [`Broker::metadata_mut`]: it changes nothing that the broker looks at, and is not
    /// recorded.
    pub fn metadata_mut(&mut self, client: &ClientId) -> Option<&mut http::Extensions> {
        self.broker.metadata_mut(client)
    }

    pub(crate) fn open_beside(
        &mut self,
        now: Instant,
        request: SessionConfig,
        elsewhere: &Elsewhere,
    ) -> Result<Opened, OpenError> {
        self.note(now, |broker| Call::OpenBeside {
            request: Box::new(Request::of(&request, broker)),
            elsewhere: *elsewhere,
        });
        self.broker.open_beside(now, request, elsewhere)
    }

    pub(crate) fn evict_oldest(&mut self, now: Instant, address: Option<&AddressKey>) {
        self.note(now, |_| Call::EvictOldest { address: address.cloned() });
        self.broker.evict_oldest(now, address);
    }

    pub(crate) fn apply_beside(
        &mut self,
        now: Instant,
        published: &Published,
    ) -> Result<(), PublishError> {
        self.note(now, |_| Call::ApplyBeside(Box::new(published.clone())));
        self.broker.apply_beside(now, published)
    }

    pub(crate) fn keep_let_go(&mut self) {
        self.broker.keep_let_go();
    }

    pub(crate) fn take_let_go(&mut self) -> alloc::vec::Vec<crate::broker::Value> {
        self.broker.take_let_go()
    }
}

impl fmt::Debug for RecordedBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedBroker")
            .field("broker", &self.broker)
            .field("is_recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}

//! The broker behind futures: shards under short locks, and who is to be woken.
//!
//! A [`Hub`] is shared by all who publish and all who serve. It has no runtime in it: a
//! [`Timer`] brings the clock, and [`Hub::drive`] is a future that is spawned once. Each call
//! locks a shard, calls its [`Broker`], collects wakers, unlocks, and wakes.

mod drive;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "record")]
mod record;
mod session;
mod shards;
mod topics;
#[cfg(feature = "tracing")]
mod trace;

pub use drive::Drive;
pub use session::Session;

use shards::{FollowUp, Inner, Shard, lock};

#[cfg(doc)]
use crate::broker::Broker;
#[cfg(not(feature = "record"))]
use crate::broker::Broker as ShardBroker;
#[cfg(feature = "signed")]
use crate::broker::CursorKeys;
use crate::broker::{
    Audience, BrokerConfig, BrokerEvent, ClientId, ComesBack, ConfigError, Counters, Drain,
    DrainError, EventNumber, Lag, LeaseError, OpenError, PresenceCursor, PresencePage,
    PublishError, Published, Retention, ReturnsOfAll, RevokeError, SessionConfig, SessionId,
    TopicName, TopicSettingError,
};
use crate::event::Event;
use crate::fault::Fault;
use crate::http::{ResponseHead, accept, plain_text};
use crate::net::Timer;
#[cfg(feature = "record")]
use crate::record::RecordedBroker as ShardBroker;
use crate::sync::{AtomicBool, AtomicUsize, Mutex};
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::num::NonZeroU16;
use core::time::Duration;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use std::time::Instant;

/// A shared broker; clones are handles to the same one.
///
/// ```no_run
/// # async fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
/// use sansse::broker::{BrokerConfig, Epoch, SessionConfig, Audience};
/// use sansse::{Event, Hub};
///
/// let hub = Hub::new(timer, BrokerConfig::new(Epoch(0xbeef)))?;
/// // Spawn `hub.drive()` on any executor; then, for each connection:
/// let session = hub.open(SessionConfig::new())?;
/// // and from anywhere:
/// hub.publish(Audience::Everyone, &Event::new("hello"))?;
/// // `session` is a `Stream` of frames; dropping it closes the session.
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// What a hub is made of, beside the configuration of its broker.
pub struct HubBuilder {
    config: BrokerConfig,
    shards: NonZeroU16,
    on_event: Option<Listener>,
    #[cfg(feature = "record")]
    recorder: Option<record::Recorder>,
}

type Listener = Box<dyn Fn(EventNumber, BrokerEvent) + Send + Sync>;

/// An HTTP request's answer: an event stream, or a plain response.
#[derive(Debug)]
pub enum Answer {
    /// An event stream: its head, and the session that is its body.
    Stream(http::Response<()>, Session),
    /// Anything else.
    Response(http::Response<Bytes>),
}

impl From<http::Response<Bytes>> for Answer {
    fn from(response: http::Response<Bytes>) -> Self {
        Self::Response(response)
    }
}

impl HubBuilder {
    /// A hub of one shard, without a listener.
    pub const fn new(config: BrokerConfig) -> Self {
        Self {
            config,
            shards: NonZeroU16::MIN,
            on_event: None,
            #[cfg(feature = "record")]
            recorder: None,
        }
    }

    /// Over how many shards the sessions are spread, each with a lock of its own. Default 1, which
    /// is enough until several cores deliver at once. All sessions of a client share a shard.
    ///
    /// What the configuration says about sessions holds for the hub as a whole, whatever their
    /// number: how many there may be in all, of one client and from one address. Who has to make
    /// room is the one of all shards that was opened first; since sessions are opened one after the
    /// other, one always was. For that, opening one asks each shard for its numbers; ending one
    /// asks nobody.
    ///
    /// What bounds memory holds for each shard. All keep the broadcast and the named topics, in
    /// logs of their own that share the events' bytes, and what is published to one client or
    /// session is kept by its shard alone. So
    /// [`max_retained_bytes`](BrokerConfig::max_retained_bytes) is what all shards keep together
    /// where most is for everybody, and no more than that for each shard;
    /// [`max_topics`](BrokerConfig::max_topics) counts what a shard knows, as there are topics and
    /// patterns to which only sessions there subscribe; and each shard remembers
    /// [`max_absent_clients`](BrokerConfig::max_absent_clients),
    /// [`max_ended_topics`](BrokerConfig::max_ended_topics) and
    /// [`max_unread_events`](BrokerConfig::max_unread_events).
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, LimitPolicy, SessionConfig};
    /// use sansse::hub::HubBuilder;
    /// use std::num::NonZeroU16;
    ///
    /// let mut config = BrokerConfig::new(Epoch(0xbeef));
    /// config.max_sessions = 2;
    /// config.at_max_sessions = LimitPolicy::EvictOldest;
    /// let hub = HubBuilder::new(config).with_shards(NonZeroU16::new(8).unwrap()).build(timer)?;
    /// let sessions = [(); 3].map(|()| hub.open(SessionConfig::new()).unwrap());
    /// assert_eq!(hub.session_count(), 2, "the first made room for the third");
    /// # Ok(()) }
    /// ```
    pub fn with_shards(mut self, shards: NonZeroU16) -> Self {
        self.shards = shards;
        self
    }

    /// What is called for each [`BrokerEvent`], one at a time, in order within a shard, and with
    /// no lock held, so that it may call the hub. It runs on the thread that caused the
    /// event: it should be quick, or send the event on. Default: events are dropped.
    pub fn on_event(self, listener: impl Fn(BrokerEvent) + Send + Sync + 'static) -> Self {
        self.on_numbered_event(move |_, event| listener(event))
    }

    /// As [`on_event`](Self::on_event), in its place, with the number of each event within its
    /// shard, as a [`Roster`](crate::broker::Roster) wants them.
    pub fn on_numbered_event(
        mut self,
        listener: impl Fn(EventNumber, BrokerEvent) + Send + Sync + 'static,
    ) -> Self {
        self.on_event = Some(Box::new(listener));
        self
    }

    /// The hub.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold.
    pub fn build(self, timer: impl Timer) -> Result<Hub, ConfigError> {
        let now = timer.now();
        let sequencer = self.config.sequencer();
        let shards = (0..self.shards.get()).map(|number| {
            let mut config = self.config.clone();
            config.shard = number;
            config.shards = self.shards;
            #[cfg(feature = "record")]
            let mut broker = record::broker(now, config, self.recorder.clone())?;
            #[cfg(not(feature = "record"))]
            let mut broker = ShardBroker::new(now, config)?;
            broker.keep_let_go();
            let (wakers, replaced) = (Vec::new(), Vec::new());
            Ok(Mutex::new(Shard { broker, wakers, replaced, driven_until: None }))
        });
        let inner = Inner {
            timer: Box::new(timer),
            sequencer: Mutex::new(sequencer),
            returns: Mutex::new(ReturnsOfAll::new(now, &self.config)),
            shards: shards.collect::<Result<_, ConfigError>>()?,
            turn: AtomicUsize::new(0),
            driver: Mutex::new(None),
            on_event: self.on_event,
            delivering: AtomicBool::new(false),
        };
        Ok(Hub { inner: Arc::new(inner) })
    }
}

impl Hub {
    /// A hub of one shard, without a listener for events; [`HubBuilder`] has more.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a setting that cannot hold.
    pub fn new(timer: impl Timer, config: BrokerConfig) -> Result<Self, ConfigError> {
        HubBuilder::new(config).build(timer)
    }

    /// The future that makes time pass for the hub: heartbeats, deadlines, ages. It is spawned
    /// once. It is ready when the hub was closed or drained and its last session is gone, and when
    /// all handles to the hub are.
    pub fn drive(&self) -> Drive {
        Drive::new(&self.inner)
    }

    /// Answers a request for an event stream: negotiates, takes the last event id from the
    /// request, opens the session and makes the head. What cannot be is a plain response: 405; 403
    /// where it asks for what is not permitted to it, or its lease is over already; 406; 503 with
    /// `Retry-After` where the broker has no room, or 429 with it where the client or its address
    /// has as many sessions as may be; 204 where all that is asked for has
    /// [ended](Self::end_topic) and nothing is left, so that an `EventSource` asks no more; and so
    /// is the answer to a CORS preflight.
    pub fn accept<B>(
        &self,
        request: &http::Request<B>,
        session: SessionConfig,
        head: &ResponseHead,
    ) -> Answer {
        let headers = request.headers();
        if let Some(preflight) = head.preflight(request) {
            return preflight.into();
        }
        let accepted = match accept(request) {
            Ok(accepted) => accepted,
            Err(refusal) => return head.refusal(headers, refusal).into(),
        };
        let mut session = session.with_last_event_id(accepted.last_event_id().clone());
        if let Some(padding) = accepted.padding_text() {
            session = session.with_opening_comment(padding);
        }
        match self.inner.open(session) {
            Ok(session) => Answer::Stream(head.response(headers), session),
            Err(error) => {
                let mut response = unavailable(error, self.retry_after(&error));
                head.apply_cors(headers, response.headers_mut());
                response.into()
            }
        }
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then nothing was done.
    pub fn open(&self, request: SessionConfig) -> Result<Session, OpenError> {
        self.inner.open(request)
    }

    /// Returns how long a peer that was refused with this error is to wait, for a `Retry-After`;
    /// `None` where waiting does not help. [`accept`](Self::accept) says it by itself. As
    /// [`Broker::retry_after`](crate::broker::Broker::retry_after), for all shards together.
    pub fn retry_after(&self, error: &OpenError) -> Option<Duration> {
        lock(&self.inner.returns).retry_after(self.inner.timer.now(), *error)
    }

    /// Publishes an event to a topic, on all shards. One with a [key](crate::EventKey)
    /// supersedes earlier ones with an equal key.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was published.
    pub fn publish(
        &self,
        topic: impl Into<Audience>,
        event: &Event,
    ) -> Result<Published, PublishError> {
        self.inner.publish(topic.into(), event)
    }

    /// Closes a session: it gets what was published before, then its end. Says whether there was
    /// such a session.
    pub fn close_session(&self, session: SessionId) -> bool {
        usize::from(session.shard()) < self.inner.shards.len()
            && self.inner.with(session.shard().into(), |shard, now| {
                shard.broker.session_mut(session).close(now)
            })
    }

    /// Closes the hub: each session gets what was published before, then its end, and no other is
    /// opened. [`drive`](Self::drive) is ready when the last is gone.
    pub fn close(&self) {
        self.inner.for_all_at_once(|shard, now| shard.broker.close(now));
    }

    /// Says until when a session may listen from now on; see
    /// [`SessionMut::renew_lease`](crate::broker::SessionMut::renew_lease). The time is that of the
    /// hub's timer.
    ///
    /// # Errors
    ///
    /// [`LeaseError`]; then the lease is as it was.
    pub fn renew_lease(&self, session: SessionId, until: Instant) -> Result<(), LeaseError> {
        let shard = usize::from(session.shard());
        if shard >= self.inner.shards.len() {
            return Err(LeaseError::UnknownSession);
        }
        self.inner
            .with(shard, |shard, now| shard.broker.session_mut(session).renew_lease(now, until))
    }

    /// Ends all sessions of a client at once, whatever they have not taken yet; see
    /// [`ClientMut::revoke`](crate::broker::ClientMut::revoke). Says how many there were.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(&self, client: &ClientId) -> Result<usize, RevokeError> {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, now| shard.broker.client_mut(client).revoke(now))
    }

    /// Takes a named topic from all sessions of a client at once; see
    /// [`ClientMut::revoke_topic`](crate::broker::ClientMut::revoke_topic). Says from how many.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke_topic(&self, client: &ClientId, topic: &TopicName) -> Result<usize, RevokeError> {
        let shard = self.inner.shard_of(Some(client));
        self.inner
            .with(shard, |shard, now| shard.broker.client_mut(client).revoke_topic(now, topic))
    }

    /// Lets all sessions go over a period, on all shards: each gets what was published before its
    /// turn, the farewell, and its end, and no other is opened. [`drive`](Self::drive) is ready
    /// when the last is gone.
    ///
    /// # Errors
    ///
    /// [`DrainError`]; then nothing was done.
    pub fn drain(&self, drain: Drain) -> Result<(), DrainError> {
        let mut result = Ok(());
        // All shards are closed, or drain, at once, so that what one says is true of all.
        self.inner.for_all_at_once(|shard, now| {
            result = result.and(shard.broker.drain(now, drain.clone()));
        });
        result
    }

    /// Ends all sessions at once, whatever they have not taken yet, and closes the hub.
    pub fn abort(&self) {
        self.inner.for_all_at_once(|shard, now| shard.broker.abort(now));
    }

    /// How many sessions are open.
    pub fn session_count(&self) -> usize {
        let mut count = 0;
        self.inner.for_all(|shard, _| {
            count += usize::try_from(shard.broker.counters().sessions).unwrap_or(usize::MAX);
        });
        count
    }

    /// What the hub has done, and how much there is in it now: the sum of its shards, one after the
    /// other. What was published is counted once; topics, and what they keep, are counted for each
    /// shard that knows them.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for shard in &self.inner.shards {
            let counters = lock(shard).broker.counters();
            // Each shard has all of it.
            let published = (counters.published, counters.published_bytes);
            sum += &counters;
            (sum.published, sum.published_bytes) = published;
        }
        sum
    }

    /// Whether the client has a session now.
    pub fn is_present(&self, client: &ClientId) -> bool {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, _| {
            shard.broker.client(client).is_some_and(|client| client.sessions().len() > 0)
        })
    }

    /// The clients that have a session now, each with how many. This walks over all of them.
    pub fn present(&self) -> Vec<(ClientId, usize)> {
        let mut present = Vec::new();
        self.inner.for_all(|shard, _| {
            let page = shard.broker.presence_page(None, usize::MAX, |_, _| ());
            let clients = page.clients().iter().filter(|one| one.sessions > 0);
            present.extend(clients.map(|one| (one.client.clone(), one.sessions)));
        });
        present
    }

    /// A page of those who are here, also in their grace time: up to `limit` of them (1 at least)
    /// from the cursor on, and the cursor of the next page. Shard by shard, and in the order of
    /// their ids within one; the default cursor is the beginning. `details` says what of each
    /// one's metadata is wanted; it runs under the lock of a shard, as for
    /// [`metadata`](Self::metadata).
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch, PresenceCursor, Roster};
    /// use sansse::hub::HubBuilder;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let roster = Arc::new(Mutex::new(Roster::new()));
    /// let follower = roster.clone();
    /// let hub = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef)))
    ///     .on_numbered_event(move |number, event| {
    ///         follower.lock().unwrap().apply(number, &event).unwrap();
    ///     })
    ///     .build(timer)?;
    /// let mut next = Some(PresenceCursor::default());
    /// while let Some(cursor) = next {
    ///     // Without the roster's lock, which the listener takes.
    ///     let (page, following) = hub.presence_page(&cursor, 1_000, |_, _| ());
    ///     roster.lock().unwrap().apply_page(page)?;
    ///     next = following;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn presence_page<T>(
        &self,
        cursor: &PresenceCursor,
        limit: usize,
        details: impl FnMut(&ClientId, &http::Extensions) -> T,
    ) -> (PresencePage<T>, Option<PresenceCursor>) {
        // No cursor that was given out lies beyond the last.
        let last = self.inner.shards.len() - 1;
        let shard = usize::from(cursor.shard()).min(last);
        let page = self
            .inner
            .with(shard, |shard, _| shard.broker.presence_page(cursor.after(), limit, details));
        let another = || PresenceCursor::new(cursor.shard() + 1, None);
        let next = page.next_cursor().or_else(|| (shard < last).then(another));
        (page, next)
    }

    /// Reads or changes what the application keeps with a client; `None` if the client is not
    /// known, or was absent for longer than its grace time.
    ///
    /// `access` runs under the lock of the client's shard: it should be quick, and a call of the
    /// hub in it would wait for ever.
    pub fn metadata<R>(
        &self,
        client: &ClientId,
        access: impl FnOnce(&mut http::Extensions) -> R,
    ) -> Option<R> {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, _| shard.broker.client_mut(client).metadata().map(access))
    }

    /// Says how much of one named topic is kept from now on; `None` for the configuration's.
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`].
    pub fn set_retention(
        &self,
        topic: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        let mut result = Ok(());
        self.inner.for_all_at_once(|shard, now| {
            result = result.and(shard.broker.topic_mut(topic).set_retention(now, retention));
        });
        result
    }

    /// Signs the ids of all that is published from now on with other keys, on all shards at once,
    /// as [`ShardMut::set_cursor_keys`](crate::broker::ShardMut::set_cursor_keys) says.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] where the broker makes no ids; then nothing was done.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&self, keys: CursorKeys) -> Result<(), ConfigError> {
        let mut sequencer = lock(&self.inner.sequencer);
        for shard in &self.inner.shards {
            lock(shard).broker.shard_mut().set_cursor_keys(keys.clone())?;
        }
        sequencer.set_cursor_keys(keys);
        Ok(())
    }

    /// Says how far behind sessions may be in one named topic from now on, and what they meet
    /// beyond that, unless they chose for themselves; `None` for the configuration's.
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`].
    pub fn set_lag(&self, topic: &TopicName, lag: Option<Lag>) -> Result<(), TopicSettingError> {
        let mut result = Ok(());
        self.inner.for_all_at_once(|shard, now| {
            result = result.and(shard.broker.topic_mut(topic).set_lag(now, lag));
        });
        result
    }
}

fn unavailable(error: OpenError, retry_after: Option<Duration>) -> http::Response<Bytes> {
    if error == OpenError::TopicsEnded {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let status = match (error.fault(), error.comes_back()) {
        (Fault::Caller, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (Fault::Peer, _) => StatusCode::FORBIDDEN,
        (_, ComesBack::AfterMinimum) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = plain_text(status, format!("{error}\n"));
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
    }
    response
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("shards", &self.inner.shards.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder")
            .field("config", &self.config)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

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
mod topics;
#[cfg(feature = "tracing")]
mod trace;

pub use drive::Drive;
pub use session::{Pending, Session};

#[cfg(doc)]
use crate::broker::Broker;
#[cfg(not(feature = "record"))]
use crate::broker::Broker as ShardBroker;
#[cfg(feature = "signed")]
use crate::broker::CursorKeys;
#[cfg(feature = "record")]
use crate::broker::record::RecordedBroker as ShardBroker;
use crate::broker::{
    BrokerConfig, BrokerEvent, ClientId, ConfigError, Counters, Drain, DrainError, EventNumber,
    Lag, LeaseError, OpenError, PresenceCursor, PresencePage, Publication, PublishError, Published,
    Retention, RevokeError, Sequencer, SessionId, SessionRequest, Topic, TopicName,
    TopicSettingError, Value,
};
use crate::http::{ResponseHead, accept, plain_text};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::time::Timer;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::num::NonZeroU16;
use core::task::Waker;
use core::time::Duration;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use std::sync::PoisonError;
use std::time::Instant;

/// A shared broker; clones are handles to the same one.
///
/// ```no_run
/// # async fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
/// use sansse::broker::{BrokerConfig, Epoch, SessionRequest, Topic};
/// use sansse::{Event, Hub};
///
/// let hub = Hub::new(timer, BrokerConfig::new(Epoch(0xbeef)))?;
/// // Spawn `hub.drive()` on any executor; then, for each connection:
/// let session = hub.open(SessionRequest::new())?;
/// // and from anywhere:
/// hub.publish(Topic::Broadcast, &Event::new("hello"))?;
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

struct Inner {
    timer: Box<dyn Timer>,
    /// Locked for the whole of whatever concerns all shards at once, such as a publish, so that
    /// all see the same order; always before a shard.
    sequencer: Mutex<Sequencer>,
    shards: Box<[Mutex<Shard>]>,
    /// Where the next session of nobody goes.
    turn: AtomicUsize,
    driver: Mutex<Option<Waker>>,
    on_event: Option<Listener>,
    /// Somebody is calling the listener.
    delivering: AtomicBool,
}

struct Shard {
    broker: ShardBroker,
    /// Who waits for each session's output, by the session's slot.
    wakers: Vec<Option<(SessionId, Waker)>>,
    /// Wakers that others have taken the place of, until the lock is gone: the last handle to a
    /// task drops all that the task owns.
    replaced: Vec<Waker>,
    /// Until when the driver sleeps as far as this shard goes.
    driven_until: Option<Instant>,
}

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
    /// The limits of the configuration hold for each shard.
    pub fn with_shards(mut self, shards: NonZeroU16) -> Self {
        self.shards = shards;
        self
    }

    /// What is called for each [`BrokerEvent`], one at a time, in order within a shard, and with
    /// no lock held, so that it may call the hub. It runs on the thread of whoever caused the
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
        let sequencer = Sequencer::of(&self.config);
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
    /// request, opens the session and makes the head. What cannot be is a plain response: 405,
    /// 403 where its lease is over already, 406, 503 with `Retry-After` where the broker has no
    /// room, or 429 with it where the client or its address has as many sessions as may be; 204
    /// where all that is asked for has [ended](Self::end_topic) and nothing is left, so that an
    /// `EventSource` asks no more; and so is the answer to a CORS preflight.
    pub fn accept<B>(
        &self,
        request: &http::Request<B>,
        session: SessionRequest,
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
    pub fn open(&self, request: SessionRequest) -> Result<Session, OpenError> {
        self.inner.open(request)
    }

    /// How long whoever was refused with this error is to wait, for a `Retry-After`; `None` where
    /// waiting does not help. [`accept`](Self::accept) says it by itself. See
    /// [`Broker::retry_after`](crate::broker::Broker::retry_after).
    pub fn retry_after(&self, error: &OpenError) -> Option<Duration> {
        // Each shard spreads its part of them.
        let shard = self.inner.shard_of(None);
        self.inner.with(shard, |shard, now| shard.broker.retry_after(now, error))
    }

    /// Publishes an event to a topic, on all shards. With a [key](crate::broker::EventKey), it is a
    /// [`Publication`].
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was published.
    pub fn publish<'a>(
        &self,
        topic: impl Into<Topic>,
        event: impl Into<Publication<'a>>,
    ) -> Result<Published, PublishError> {
        self.inner.publish(topic.into(), event.into())
    }

    /// Closes a session: it gets what was published before, then its end. Says whether there was
    /// such a session.
    pub fn close_session(&self, session: SessionId) -> bool {
        usize::from(session.shard()) < self.inner.shards.len()
            && self
                .inner
                .with(session.shard().into(), |shard, now| shard.broker.close_session(now, session))
    }

    /// Closes the hub: each session gets what was published before, then its end, and no other is
    /// opened. [`drive`](Self::drive) is ready when the last is gone.
    pub fn close(&self) {
        self.inner.for_all_at_once(|shard, now| shard.broker.close(now));
    }

    /// Says until when a session may listen from now on; see
    /// [`Broker::renew_lease`](crate::broker::Broker::renew_lease). The time is that of the hub's
    /// timer.
    ///
    /// # Errors
    ///
    /// [`LeaseError`]; then the lease is as it was.
    pub fn renew_lease(&self, session: SessionId, until: Instant) -> Result<(), LeaseError> {
        let shard = usize::from(session.shard());
        if shard >= self.inner.shards.len() {
            return Err(LeaseError::UnknownSession);
        }
        self.inner.with(shard, |shard, now| shard.broker.renew_lease(now, session, until))
    }

    /// Ends all sessions of a client at once, whatever they have not taken yet; see
    /// [`Broker::revoke`](crate::broker::Broker::revoke). Says how many there were.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke(&self, client: &ClientId) -> Result<usize, RevokeError> {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, now| shard.broker.revoke(now, client))
    }

    /// Takes a named topic from all sessions of a client at once; see
    /// [`Broker::revoke_topic`](crate::broker::Broker::revoke_topic). Says from how many.
    ///
    /// # Errors
    ///
    /// [`RevokeError`].
    pub fn revoke_topic(&self, client: &ClientId, topic: &TopicName) -> Result<usize, RevokeError> {
        let shard = self.inner.shard_of(Some(client));
        self.inner.with(shard, |shard, now| shard.broker.revoke_topic(now, client, topic))
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
        self.inner.for_all(|shard, _| count += shard.broker.session_count());
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
        self.inner.with(shard, |shard, _| shard.broker.is_present(client))
    }

    /// The clients that have a session now, each with how many. This walks over all of them.
    pub fn present(&self) -> Vec<(ClientId, usize)> {
        let mut present = Vec::new();
        self.inner.for_all(|shard, _| {
            let clients = shard.broker.present();
            present.extend(clients.map(|(client, sessions)| (client.clone(), sessions)));
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
        let shard = usize::from(cursor.shard).min(last);
        let page = self.inner.with(shard, |shard, _| {
            shard.broker.presence_page(cursor.after.as_ref(), limit, details)
        });
        let another = || PresenceCursor { shard: cursor.shard + 1, after: None };
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
        self.inner.with(shard, |shard, _| shard.broker.metadata_mut(client).map(access))
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
            result = result.and(shard.broker.set_retention(now, topic, retention));
        });
        result
    }

    /// Signs the ids of all that is published from now on with other keys, on all shards at once,
    /// as [`Broker::set_cursor_keys`] says.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] where the broker makes no ids; then nothing was done.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn set_cursor_keys(&self, keys: CursorKeys) -> Result<(), ConfigError> {
        let mut sequencer = lock(&self.inner.sequencer);
        for shard in &self.inner.shards {
            lock(shard).broker.set_cursor_keys(keys.clone())?;
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
            result = result.and(shard.broker.set_lag(now, topic, lag));
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
    let status = match error {
        OpenError::TooManyTopicsOfSession { .. }
        | OpenError::ZeroHeartbeat
        | OpenError::ZeroLag => StatusCode::INTERNAL_SERVER_ERROR,
        OpenError::LeaseInThePast => StatusCode::FORBIDDEN,
        OpenError::TooManySessionsOfClient { .. }
        | OpenError::TooManySessionsFromAddress { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = plain_text(status, format!("{error}\n"));
    if let Some(retry_after) = retry_after {
        // In whole seconds (RFC 9110, 10.2.3), and no sooner.
        let part = u64::from(retry_after.subsec_nanos() > 0);
        let seconds = retry_after.as_secs().saturating_add(part);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

impl Inner {
    fn open(self: &Arc<Self>, request: SessionRequest) -> Result<Session, OpenError> {
        let shard = self.shard_of(request.client());
        // Not in the middle of a publish: an event that has left one shard already would be
        // unknown to the shard to which its receiver comes back.
        let sequencer = (self.shards.len() > 1).then(|| lock(&self.sequencer));
        let mut follow_up = FollowUp::default();
        let opened = self.call(shard, &mut follow_up, |shard, now| shard.broker.open(now, request));
        drop(sequencer);
        // Before anybody's code runs: if that panics, the session is closed.
        let session = opened.map(|opened| Session::new(self.clone(), opened));
        self.run(follow_up);
        session
    }

    fn publish(&self, topic: Topic, event: Publication<'_>) -> Result<Published, PublishError> {
        self.publish_with(&topic.clone(), |sequencer| sequencer.publish(topic, event))
    }

    fn publish_with(
        &self,
        topic: &Topic,
        number: impl FnOnce(&mut Sequencer) -> Published,
    ) -> Result<Published, PublishError> {
        let mut sequencer = lock(&self.sequencer);
        self.check_addressee(topic)?;
        let mut next = sequencer.clone();
        let published = number(&mut next);
        let mut follow_up = FollowUp::default();
        // The first shard is the one that may refuse it, before any other knows the position. All
        // have the same configuration, so that where no addressee has a shard, any is.
        let (first, count) = (self.shard_of_topic(published.topic()), self.shards.len());
        let result = (first..first + count).try_for_each(|shard| {
            let shard = shard % count;
            self.call(shard, &mut follow_up, |shard, now| {
                shard.broker.apply_beside(now, &published)
            })
        });
        if result.is_ok() {
            // A position that was refused is given again, so that no shard sees it left out.
            *sequencer = next;
        }
        drop(sequencer);
        self.run(follow_up);
        result.map(|()| published)
    }

    /// Calls all shards between two publishes.
    fn for_all_at_once(&self, mut call: impl FnMut(&mut Shard, Instant)) {
        let sequencer = lock(&self.sequencer);
        let mut follow_up = FollowUp::default();
        for shard in 0..self.shards.len() {
            self.call(shard, &mut follow_up, &mut call);
        }
        drop(sequencer);
        self.run(follow_up);
    }

    fn check_addressee(&self, topic: &Topic) -> Result<(), PublishError> {
        let check = |shard: usize| lock(&self.shards[shard]).broker.check_addressee(topic);
        match topic {
            Topic::Client(client) => check(self.shard_of(Some(client))),
            Topic::Session(session) if usize::from(session.shard()) < self.shards.len() => {
                check(session.shard().into())
            }
            Topic::Session(_) => Err(PublishError::UnknownSession),
            // One shard that has room is enough, and one that knows of the end too.
            Topic::Broadcast | Topic::Named(_) => {
                (1..self.shards.len()).fold(check(0), |result, shard| match result {
                    Err(PublishError::TopicEnded) => result,
                    Ok(()) => check(shard).or_else(|error| match error {
                        PublishError::TopicEnded => Err(error),
                        _ => Ok(()),
                    }),
                    Err(_) => check(shard),
                })
            }
        }
    }

    fn shard_of_topic(&self, topic: &Topic) -> usize {
        match topic {
            Topic::Client(client) => self.shard_of(Some(client)),
            Topic::Session(session) => session.shard().into(),
            Topic::Broadcast | Topic::Named(_) => 0,
        }
    }

    fn shard_of(&self, client: Option<&ClientId>) -> usize {
        let number = match client {
            Some(client) => spread(client.as_str().as_bytes()),
            None => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        number % self.shards.len()
    }

    fn for_all(&self, mut call: impl FnMut(&mut Shard, Instant)) {
        for shard in 0..self.shards.len() {
            self.with(shard, &mut call);
        }
    }

    /// Calls a shard, and does what follows from it once the lock is gone.
    fn with<R>(&self, shard: usize, call: impl FnOnce(&mut Shard, Instant) -> R) -> R {
        let mut follow_up = FollowUp::default();
        let result = self.call(shard, &mut follow_up, call);
        self.run(follow_up);
        result
    }

    /// Calls a shard, and notes what is to follow once no lock is held.
    fn call<R>(
        &self,
        shard: usize,
        follow_up: &mut FollowUp,
        call: impl FnOnce(&mut Shard, Instant) -> R,
    ) -> R {
        let now = self.timer.now();
        let shard = &mut *lock(&self.shards[shard]);
        let result = call(shard, now);
        while let Some(session) = shard.broker.poll_ready() {
            follow_up.wakers.extend(shard.take_waker(session));
        }
        follow_up.replaced.append(&mut shard.replaced);
        follow_up.let_go.append(&mut shard.broker.take_let_go());
        if !self.is_listened_to() {
            while shard.broker.poll_event().is_some() {}
        }
        follow_up.has_events |= shard.broker.has_events();
        follow_up.wakes_driver |= match (shard.broker.poll_timeout(), shard.driven_until) {
            (Some(next), Some(until)) => next < until,
            (next, None) => next.is_some(),
            (None, _) => false,
        };
        // No deadline tells the driver that it is no longer needed.
        follow_up.wakes_driver |= shard.is_over();
        result
    }

    fn run(&self, follow_up: FollowUp) {
        follow_up.wakers.into_iter().for_each(Waker::wake);
        drop((follow_up.replaced, follow_up.let_go));
        if follow_up.wakes_driver {
            self.wake_driver();
        }
        // A listener that panicked is not called by what its panic drops: a second panic would end
        // the process. The driver goes on.
        if follow_up.has_events && std::thread::panicking() {
            self.wake_driver();
        } else if follow_up.has_events {
            self.deliver();
        }
    }

    fn is_listened_to(&self) -> bool {
        self.on_event.is_some() || cfg!(feature = "tracing")
    }

    /// Calls the listener with what happened, unless somebody is doing so already.
    fn deliver(&self) {
        if !self.is_listened_to() {
            return;
        }
        // Whoever finds the flag set leaves its events to the one who set it, who therefore looks
        // once more after clearing it.
        while self.shards.iter().any(|shard| lock(shard).broker.has_events()) {
            let order = Ordering::SeqCst;
            if self.delivering.compare_exchange(false, true, order, order).is_err() {
                return;
            }
            let _delivering = Delivering(&self.delivering);
            for shard in &self.shards {
                while let Some((number, event)) = next_event(shard) {
                    #[cfg(feature = "tracing")]
                    trace::trace(&event);
                    if let Some(listener) = &self.on_event {
                        listener(number, event);
                    }
                }
            }
        }
    }

    fn wake_driver(&self) {
        let waker = lock(&self.driver).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake_driver();
    }
}

impl Shard {
    /// Whether it opens no session any more and its last one is gone.
    fn is_over(&self) -> bool {
        (self.broker.is_closed() || self.broker.is_draining()) && self.broker.session_count() == 0
    }

    fn take_waker(&mut self, session: SessionId) -> Option<Waker> {
        let place = self.wakers.get_mut(session.key().slot as usize)?;
        match place {
            Some((owner, _)) if *owner == session => place.take().map(|(_, waker)| waker),
            _ => None,
        }
    }

    fn set_waker(&mut self, session: SessionId, waker: &Waker) {
        let slot = session.key().slot as usize;
        if self.wakers.len() <= slot {
            self.wakers.resize(slot + 1, None);
        }
        match &mut self.wakers[slot] {
            Some((owner, old)) if *owner == session && old.will_wake(waker) => {}
            place => {
                let old = place.replace((session, waker.clone()));
                self.replaced.extend(old.map(|(_, waker)| waker));
            }
        }
    }
}

/// What follows from a call of a shard. It may run anybody's code, which may call the hub.
#[derive(Default)]
struct FollowUp {
    wakers: Vec<Waker>,
    replaced: Vec<Waker>,
    let_go: Vec<Value>,
    wakes_driver: bool,
    has_events: bool,
}

/// Clears the flag even when the listener panics.
struct Delivering<'a>(&'a AtomicBool);

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A function of its own, so that the lock is gone before the listener is called.
fn next_event(shard: &Mutex<Shard>) -> Option<(EventNumber, BrokerEvent)> {
    lock(shard).broker.poll_numbered_event()
}

/// A panic under a lock can only come from the caller's own closure, which leaves the machine whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same client goes to the same shard, on every platform.
///
/// FNV-1a, whose last bytes reach few of its bits, and then the finalizer of `MurmurHash3`, so
/// that names which differ at their end alone are spread too.
fn spread(bytes: &[u8]) -> usize {
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    usize::try_from(hash >> 33).unwrap_or_default()
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

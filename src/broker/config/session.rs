//! What can be set about one session.

use super::super::error::OpenError;
use super::super::names::{AddressKey, ClientId, TopicFilter};
use super::{Lag, Metadata, Setting, StartAt};
use crate::event::{Event, EventType};
use crate::last_event_id::LastEventId;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

/// A session to be opened: who, with what, from where.
///
/// ```
/// use sansse::broker::{ClientId, SessionConfig, TopicName};
///
/// let config = SessionConfig::new()
///     .with_client(ClientId::new("alice")?)
///     .with_topic(TopicName::new("news")?);
/// # Ok::<(), sansse::broker::NameError>(())
/// ```
// What is not in a record has its default.
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[derive(Clone, Debug, Default)]
pub struct SessionConfig {
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    client: Option<ClientId>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    topics: Vec<TopicFilter>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    permitted: Option<Vec<TopicFilter>>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    topics_only: bool,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    last_event_id: LastEventId,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    start: StartAt,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    heartbeat: Setting<Duration>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    heartbeat_event: Setting<Event>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    stall_timeout: Setting<Duration>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    lag: Option<Lag>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    notices: Setting<EventType>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    opening_comment: Option<Cow<'static, str>>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    event_when_over: Option<Box<Event>>,
    #[cfg_attr(feature = "record", serde(skip_serializing_if = "is_default"))]
    address: Option<AddressKey>,
    // The values may be of any type of the application's.
    #[cfg_attr(feature = "record", serde(skip))]
    metadata: Metadata,
    // Only a broker's clock can tell what time it is.
    #[cfg_attr(feature = "record", serde(skip))]
    lease: Option<Instant>,
}

#[cfg(feature = "record")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl SessionConfig {
    /// Makes a session without a client that gets the broadcast alone, from now on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whose session it is. Default: no client's; nothing that is published to a client
    /// reaches the session.
    pub fn with_client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Subscribes to a topic, or to all topics that match a pattern, those to come included. Naming
    /// one twice is the same as once. What matches several of the session's patterns and topics
    /// reaches it once.
    ///
    /// Where peers choose the names: [what to permit to
    /// strangers](crate::broker#what-to-permit-to-strangers).
    ///
    /// Resuming covers them all, also topics that came to be in the meantime. Where a session falls
    /// behind, an event counts as lost once for each subscription that it was for. A pattern refers to
    /// [so many of the newest events](crate::broker::BrokerLimits::pattern_events), and the first
    /// session with it pays for a look at them.
    ///
    /// ```
    /// use sansse::broker::{NameError, SessionConfig, TopicFilter, TopicName, TopicPattern};
    ///
    /// let config = SessionConfig::new()
    ///     .with_topic(TopicName::new("news/uk")?)
    ///     .with_topic(TopicPattern::new("weather/*")?)
    ///     // From a query, say, where a peer may write either.
    ///     .with_topic(TopicFilter::new("sport/**")?);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn with_topic(mut self, topic: impl Into<TopicFilter>) -> Self {
        let topic = topic.into();
        // In order and each once, so that asking for the same is asking in the same way.
        if let Err(index) = self.topics.binary_search(&topic) {
            self.topics.insert(index, topic);
        }
        self
    }

    /// Sets the named topics and patterns to which the session may subscribe, in place of those set
    /// before. They hold as long as the session lasts. Default: everything is permitted, so that
    /// the caller decides.
    ///
    /// A topic is permitted if one of these filters [covers](TopicFilter::covers) it. A pattern is
    /// permitted if one filter covers all that the pattern matches. Anything else is refused, [when
    /// the session is opened](crate::broker::OpenError::NotPermitted) and
    /// [later](crate::broker::SubscribeError::NotPermitted). An empty list permits no topic.
    ///
    /// [What to permit to strangers](crate::broker#what-to-permit-to-strangers) says what each costs.
    ///
    /// So what a peer asks for can be handed on as it is, and what it may have is said once, where
    /// that is known. The permission is about topics. It keeps from the session neither the
    /// broadcast nor what is published to the client or to the session;
    /// [`topics_only`](Self::topics_only) leaves out the broadcast. A topic that is
    /// [revoked](crate::broker::ClientMut::revoke_topic) is no longer permitted.
    ///
    /// At most
    /// [`permitted_per_session`](crate::broker::BrokerLimits::permitted_per_session);
    /// naming one twice is the same as once.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, OpenError, SessionConfig, TopicFilter};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// // As a token says, say,
    /// let rights = ["news", "team/7/**"].map(|text| TopicFilter::new(text).unwrap());
    /// // and as the query asks.
    /// let asked = |text| Ok::<_, sansse::broker::NameError>(
    ///     SessionConfig::new().with_permitted(rights.clone()).with_topic(TopicFilter::new(text)?),
    /// );
    /// broker.open(now, asked("team/7/*")?)?;
    /// let refused = broker.open(now, asked("team/*/news")?);
    /// assert_eq!(refused, Err(OpenError::NotPermitted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_permitted(mut self, filters: impl IntoIterator<Item = TopicFilter>) -> Self {
        let mut permitted: Vec<TopicFilter> = filters.into_iter().collect();
        permitted.sort_unstable();
        permitted.dedup();
        self.permitted = Some(permitted);
        self
    }

    /// Leaves out the broadcast. Such a session ends when all its topics have
    /// [ended](crate::broker::TopicMut::end). For that it needs a topic, and no pattern: a topic
    /// that matches may yet come to be. What is published to it alone, or to its client, does not
    /// keep it open. Default: every session gets the broadcast.
    pub fn topics_only(mut self) -> Self {
        self.topics_only = true;
        self
    }

    /// Sets where a session starts that brings no last event id, or
    /// [one that leads nowhere](crate::broker::SessionDefaults::on_unknown_id). Default
    /// [`StartAt::Now`], which costs nothing. With [`StartAt::Oldest`] a page that is loaded again
    /// gets all that is kept, and with [`StartAt::Last`] the newest part of it. So does [every
    /// request](crate::broker#what-a-replay-costs) then, at the price of that.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, Resumption, SessionConfig, StartAt};
    /// use sansse::{Event, topic_name};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
    /// for line in ["one", "two", "three"] {
    ///     broker.publish(now, topic_name!("chat"), &Event::new(line))?;
    /// }
    /// let config = SessionConfig::new().with_topic(topic_name!("chat"));
    /// let opened = broker.open(now, config.with_start(StartAt::Last(2)))?;
    /// assert_eq!(opened.resumption, Resumption::Last { replayed: 2 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_start(mut self, start: StartAt) -> Self {
        self.start = start;
        self
    }

    /// Sets where an earlier stream broke off. Default: nowhere. [`Hub::accept`](crate::Hub::accept)
    /// sets it from the request, unless it is set already.
    pub fn with_last_event_id(mut self, id: LastEventId) -> Self {
        self.last_event_id = id;
        self
    }

    /// Sets the heartbeat interval of this session; `None` for no heartbeats. Default: the
    /// broker's.
    pub fn with_heartbeat(mut self, interval: Option<Duration>) -> Self {
        self.heartbeat = interval.into();
        self
    }

    /// Sets what a heartbeat of this session is: an event that a page can see, or with `None` a
    /// comment line, which it cannot. Default: [the
    /// broker's](crate::broker::SessionDefaults::heartbeat_event), whose documentation says more. An id in it
    /// is left out.
    ///
    /// ```
    /// use sansse::{Event, broker::SessionConfig, event_type};
    ///
    /// let heartbeat = Event::new("").with_type(event_type!("heartbeat"));
    /// let config = SessionConfig::new().with_heartbeat_event(Some(heartbeat));
    /// ```
    pub fn with_heartbeat_event(mut self, event: Option<Event>) -> Self {
        self.heartbeat_event = event.into();
        self
    }

    /// Sets how long this session may have output without taking any before it is [ended as
    /// stalled](crate::broker::EndReason::Stalled), more than zero; `None`: for ever. Default: [the
    /// broker's](crate::broker::SessionDefaults::stall_timeout).
    ///
    /// ```
    /// use sansse::broker::SessionConfig;
    /// use std::time::Duration;
    ///
    /// // A service nearby that takes nothing for so long is not coming back.
    /// let config = SessionConfig::new().with_stall_timeout(Some(Duration::from_secs(5)));
    /// ```
    pub fn with_stall_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.stall_timeout = timeout.into();
        self
    }

    /// Sets how far this session may be behind in each of its topics, and what it meets beyond
    /// that. Default: what was [said for the topic](crate::broker::TopicMut::set_lag), or else the
    /// broker's.
    pub fn with_lag(mut self, lag: impl Into<Lag>) -> Self {
        self.lag = Some(lag.into());
        self
    }

    /// Tells the peer its place and every gap by [notices](crate::broker#what-a-peer-is-told) of
    /// this type. `None` turns them off, with the consequences that
    /// [`SessionDefaults::notices`](crate::broker::SessionDefaults::notices) names. Default: the
    /// broker's.
    pub fn with_notices(mut self, event_type: Option<EventType>) -> Self {
        self.notices = event_type.into();
        self
    }

    /// Begins the stream with a comment, such as the padding that some polyfills ask for. It is
    /// part of the first notice. Default: none.
    pub fn with_opening_comment(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.opening_comment = Some(text.into());
        self
    }

    /// Answers a request that comes when every topic it asks for has
    /// [ended](crate::broker::TopicMut::end), and nothing is left of them to replay, by this event
    /// and a clean end. Default: by the status 204.
    ///
    /// A 204 stops an `EventSource` for good, as the standard has it. To many other readers it is a
    /// failure, and they ask again: htmx 4 twice a second, without end. An event that the page
    /// knows, such as one of the type `done`, lets the page close its source itself. An
    /// `EventSource` whose page does not do that comes back after its reconnection time, and gets
    /// the event again; a [`retry`](Event::with_retry) in the event makes that seldom.
    ///
    /// It is for [`Hub::accept`](crate::Hub::accept). A broker without a hub says
    /// [`OpenError::TopicsEnded`](crate::broker::OpenError::TopicsEnded) as always.
    ///
    /// ```
    /// use sansse::broker::{SessionConfig, TopicName};
    /// use sansse::{Event, event_type};
    ///
    /// let config = SessionConfig::new()
    ///     .topics_only()
    ///     .with_topic(TopicName::new("job/7")?)
    ///     .with_event_when_over(Event::new("").with_type(event_type!("done")));
    /// # Ok::<(), sansse::broker::NameError>(())
    /// ```
    pub fn with_event_when_over(mut self, event: Event) -> Self {
        self.event_when_over = Some(Box::new(event));
        self
    }

    /// Keeps `value` with the client, in place of an earlier one of its type. It is there before
    /// any event tells of the session. For a session without a client it is dropped.
    pub fn with_metadata<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.metadata.insert(value);
        self
    }

    /// Sets the address from which the session comes, to be counted with the others from there.
    /// Default: it is not counted.
    ///
    /// ```
    /// use sansse::broker::{AddressKey, SessionConfig};
    ///
    /// # let peer: std::net::SocketAddr = "192.0.2.1:50000".parse().unwrap();
    /// let config = SessionConfig::new().with_address(AddressKey::from(peer.ip()));
    /// ```
    pub fn with_address(mut self, address: AddressKey) -> Self {
        self.address = Some(address);
        self
    }

    /// Sets until when the session may listen, such as the time at which a token expires. Before
    /// that the application is asked by
    /// [`BrokerEvent::LeaseExpiring`](crate::broker::BrokerEvent), and may
    /// [renew](crate::broker::SessionMut::renew_lease) the lease. If it does not, the session ends
    /// at that time with [`EndReason::LeaseExpired`](crate::broker::EndReason), and does not get
    /// what it has not taken yet. Default: no lease.
    pub fn with_lease(mut self, until: Instant) -> Self {
        self.lease = Some(until);
        self
    }

    /// Checks what can be checked without a broker.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        if self.heartbeat == Setting::Set(Duration::ZERO) {
            return Err(OpenError::ZeroHeartbeat);
        }
        if self.stall_timeout == Setting::Set(Duration::ZERO) {
            return Err(OpenError::ZeroStallTimeout);
        }
        Ok(())
    }

    /// Returns whose session it is.
    pub(crate) const fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }

    /// Returns the topics and patterns to which it subscribes.
    pub(crate) fn topics(&self) -> &[TopicFilter] {
        &self.topics
    }

    /// Returns what its subscriptions have to be covered by; `None` for anything.
    pub(crate) fn permitted(&self) -> Option<&[TopicFilter]> {
        self.permitted.as_deref()
    }

    /// Takes out what [`permitted`](Self::permitted) returns.
    pub(crate) fn take_permitted(&mut self) -> Option<Vec<TopicFilter>> {
        self.permitted.take()
    }

    /// Returns whether it does without the broadcast.
    pub(crate) const fn is_topics_only(&self) -> bool {
        self.topics_only
    }

    /// Returns where an earlier stream broke off.
    pub(crate) const fn last_event_id(&self) -> &LastEventId {
        &self.last_event_id
    }

    /// Returns where it starts if there was no earlier stream.
    pub(crate) const fn start(&self) -> &StartAt {
        &self.start
    }

    /// Takes out what answers it where its topics are over.
    pub(crate) fn take_event_when_over(&mut self) -> Option<Box<Event>> {
        self.event_when_over.take()
    }

    /// Takes out what its heartbeats are.
    pub(crate) fn take_heartbeat_event(&mut self) -> Setting<Event> {
        core::mem::take(&mut self.heartbeat_event)
    }

    /// Returns its heartbeat interval.
    pub(crate) const fn heartbeat(&self) -> Setting<Duration> {
        self.heartbeat
    }

    /// Returns how long it may take nothing.
    pub(crate) const fn stall_timeout(&self) -> Setting<Duration> {
        self.stall_timeout
    }

    /// Returns how far it may be behind, if it says so itself.
    pub(crate) const fn lag(&self) -> Option<Lag> {
        self.lag
    }

    /// Returns the type of the events that tell it its place and its gaps.
    pub(crate) const fn notices(&self) -> &Setting<EventType> {
        &self.notices
    }

    /// Returns the comment with which its stream begins.
    pub(crate) const fn opening_comment(&self) -> Option<&Cow<'static, str>> {
        self.opening_comment.as_ref()
    }

    /// Returns where it comes from.
    pub(crate) const fn address(&self) -> Option<&AddressKey> {
        self.address.as_ref()
    }

    /// Takes out what [`address`](Self::address) returns.
    pub(crate) fn take_address(&mut self) -> Option<AddressKey> {
        self.address.take()
    }

    /// Returns until when it may listen.
    pub(crate) const fn lease(&self) -> Option<Instant> {
        self.lease
    }

    /// Takes out what is to be kept with the client.
    pub(crate) fn take_metadata(&mut self) -> Metadata {
        core::mem::take(&mut self.metadata)
    }
}

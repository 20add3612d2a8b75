//! What is published: an event, and the key by which a newer one takes its place.

use super::names::EventKey;
use crate::event::Event;

/// An event and how it is published. A plain `&Event` becomes one without a key.
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{
///     Broker, BrokerConfig, Epoch, EventKey, LagPolicy, Publication, SessionRequest, Topic,
/// };
/// # let now = std::time::Instant::now();
///
/// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
/// let request = SessionRequest::new().with_lag(LagPolicy::KeepNewestPerKey);
/// let session = broker.open(now, request)?.session;
/// while broker.poll_transmit(now, session).is_some() {}
///
/// let (gold, tin) = (EventKey::new("gold")?, EventKey::new("tin")?);
/// for (key, price) in [(&gold, "1900"), (&tin, "31"), (&gold, "1901"), (&gold, "1902")] {
///     let price = Event::new(format!("{key} {price}"));
///     broker.publish(now, Topic::Broadcast, Publication::new(&price).with_key(key.clone()))?;
/// }
/// // The session was not polled in between, and gets the newest price of each.
/// let mut got = Vec::new();
/// while let Some(sansse::broker::Transmit::Frame(frame)) = broker.poll_transmit(now, session) {
///     got.push(String::from_utf8(frame.as_ref().to_vec())?);
/// }
/// assert_eq!(got, ["id: 1-2\ndata: tin 31\n\n", "id: 1-4\ndata: gold 1902\n\n"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    event: &'a Event,
    key: Option<EventKey>,
}

impl<'a> Publication<'a> {
    /// Publishes `event` without a key.
    pub const fn new(event: &'a Event) -> Self {
        Self { event, key: None }
    }

    /// Says what the event is about, so that it supersedes earlier ones with an equal key.
    /// Default: nothing; it supersedes none and is never superseded.
    pub fn with_key(mut self, key: EventKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Returns the event, and its key.
    pub(crate) fn into_parts(self) -> (&'a Event, Option<EventKey>) {
        (self.event, self.key)
    }
}

impl<'a> From<&'a Event> for Publication<'a> {
    fn from(event: &'a Event) -> Self {
        Self::new(event)
    }
}

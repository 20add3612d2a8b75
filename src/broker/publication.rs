//! What is published: an event, and the key by which a newer one takes its place.

use super::names::{NameError, check_length};
use crate::event::Event;
use alloc::sync::Arc;
use core::fmt;

/// What an event is about, where only the newest of a kind matters: a price, a position, a cell.
///
/// An event supersedes those that were published before it to the same topic with an equal key.
/// What that means is said where it has an effect: a session that
/// [keeps the newest of each key](super::LagPolicy::KeepNewestPerKey) is spared the superseded
/// ones when it is behind, and a log that is [compact](super::Retention::compact) lets them go
/// first. A key never goes over the wire.
///
/// 1 to [`MAX_NAME`](super::MAX_NAME) bytes of any text. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(Arc<str>);

impl EventKey {
    /// Validates `text` as a key.
    ///
    /// # Errors
    ///
    /// [`NameError::Empty`] and [`NameError::TooLong`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check_length(text.as_ref()).map(|text| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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
    pub(super) event: &'a Event,
    pub(super) key: Option<EventKey>,
}

impl<'a> Publication<'a> {
    /// `event`, without a key.
    pub const fn new(event: &'a Event) -> Self {
        Self { event, key: None }
    }

    /// Says what the event is about, so that it supersedes earlier ones with an equal key.
    /// Default: nothing; it supersedes none and is never superseded.
    pub fn with_key(mut self, key: EventKey) -> Self {
        self.key = Some(key);
        self
    }
}

impl<'a> From<&'a Event> for Publication<'a> {
    fn from(event: &'a Event) -> Self {
        Self::new(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::MAX_NAME;

    #[test]
    fn a_key_is_refused_with_its_reason() {
        assert_eq!(EventKey::new(""), Err(NameError::Empty));
        let length = MAX_NAME + 1;
        assert_eq!(EventKey::new("k".repeat(length)), Err(NameError::TooLong { length }));
        assert_eq!(EventKey::new("k".repeat(MAX_NAME)).unwrap().as_str().len(), MAX_NAME);
    }
}

//! What is asked of requests for event streams beyond the standard: [`AcceptConfig`].

use super::accept::{Accepted, Asked, Refusal};
use super::hosts::{ForeignRequest, Hosts};
use alloc::borrow::Cow;
use http::Request;

/// Which requests for event streams are accepted, and how the query may name the last event id.
///
/// ```
/// use sansse::http::{AcceptConfig, ForeignRequest, Hosts, Refusal};
///
/// let config = AcceptConfig::new()
///     .with_hosts(Hosts::new().with_name("app.example")?)
///     .with_id_parameters(["since"]);
/// let request = http::Request::get("/events?since=7").header("host", "app.example").body(())?;
/// let accepted = config.accept(&request)?;
/// assert_eq!(accepted.last_event_id().id().map(|id| id.as_str()), Some("7"));
///
/// let request = http::Request::get("/events").header("host", "evil.example").body(())?;
/// assert_eq!(config.accept(&request), Err(Refusal::Foreign(ForeignRequest::Host)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`HubBuilder::with_accept`](crate::hub::HubBuilder::with_accept) sets it for all that a hub
/// answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptConfig {
    hosts: Option<Hosts>,
    id_parameters: Cow<'static, [Cow<'static, str>]>,
}

impl AcceptConfig {
    /// Every host and every origin, and the parameters `lastEventId` (polyfills of `EventSource`),
    /// `last_event_id` (libraries whose other names are written so) and `evs_last_event_id` (Yaffle's
    /// polyfill).
    pub const DEFAULT: Self = Self {
        hosts: None,
        id_parameters: Cow::Borrowed(&[
            Cow::Borrowed("lastEventId"),
            Cow::Borrowed("last_event_id"),
            Cow::Borrowed("evs_last_event_id"),
        ]),
    };

    /// Makes the default configuration, [`DEFAULT`](Self::DEFAULT).
    pub fn new() -> Self {
        Self::DEFAULT
    }

    /// Answers a request for an event stream only if it is for these hosts and, if a page asks, from
    /// their origins; any other gets a 403 before anything is opened. Default: every request.
    ///
    /// [`Cors`](super::Cors) only keeps a page from reading an answer. This keeps a page of another
    /// origin, and one whose name was rebound to this machine, from opening streams at all.
    pub fn with_hosts(mut self, hosts: Hosts) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Sets the query parameters that may name the last event id, in place of the default ones, for
    /// readers that cannot set a header. Upper and lower case differ. None: the header alone counts.
    pub fn with_id_parameters<I>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item: Into<Cow<'static, str>>>,
    {
        self.id_parameters = names.into_iter().map(Into::into).collect();
        self
    }

    /// Judges a request for an event stream, as [`accept`](super::accept) does with the default
    /// configuration.
    ///
    /// # Errors
    ///
    /// [`Refusal`], by the peer's fault; [`Refusal::response`] is what to answer.
    pub fn accept<B>(&self, request: &Request<B>) -> Result<Accepted, Refusal> {
        Asked::from(request).accept(self)
    }

    pub(super) fn check(&self, asked: Asked<'_>) -> Result<(), ForeignRequest> {
        self.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check_parts(asked.uri, asked.headers))
    }

    pub(super) fn is_id_parameter(&self, name: &[u8]) -> bool {
        self.id_parameters.iter().any(|own| own.as_bytes() == name)
    }
}

impl Default for AcceptConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn id(config: &AcceptConfig, query: &str) -> Option<alloc::string::String> {
        let request = Request::get(alloc::format!("/?{query}")).body(()).unwrap();
        let accepted = config.accept(&request).unwrap();
        accepted.last_event_id().id().map(|id| id.as_str().into())
    }

    #[test]
    fn the_query_names_the_id_in_the_usual_ways_or_in_those_that_are_set() {
        let usual = AcceptConfig::new();
        for name in ["lastEventId", "last_event_id", "evs_last_event_id"] {
            assert_eq!(id(&usual, &alloc::format!("{name}=7")).as_deref(), Some("7"), "{name}");
        }
        assert_eq!(id(&usual, "last-event-id=7&LASTEVENTID=8"), None);
        let own = AcceptConfig::new().with_id_parameters(["since"]);
        assert_eq!(id(&own, "lastEventId=7"), None);
        assert_eq!(id(&own, "since=7&since=9&since=").as_deref(), Some("9"));
        let none = AcceptConfig::new().with_id_parameters(Vec::<&str>::new());
        assert_eq!(id(&none, "lastEventId=7"), None);
    }

    #[test]
    fn without_hosts_every_host_and_origin_is_answered() {
        let request = Request::get("/").header("host", "a, b").header("origin", "null").body(());
        assert!(AcceptConfig::new().accept(&request.unwrap()).is_ok());
    }
}

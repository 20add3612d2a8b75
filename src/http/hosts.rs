//! Under which names a server answers, and the pages of which origins it answers: [`Hosts`].

use super::{OriginError, cors::serialized_origin, plain_text};
use crate::fault::Fault;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::Authority;
use http::{Request, Response, StatusCode, Uri};

/// The names under which a server answers, and the origins whose pages may ask it.
///
/// A browser sends what a page asks for to any server that it can reach, also to one on this
/// machine or behind a firewall. Two kinds of requests are therefore told from the others:
///
/// - **A page of another origin.** Its requests carry an `Origin` (Fetch standard, 3.2), which is
///   not that of the server. Without [`Cors`](super::Cors) the page cannot read the answer, but what
///   it posts has been done by then.
/// - **A name that is rebound.** The owner of `evil.example` lets the name mean `127.0.0.1` for a
///   moment. For the browser a page from there is then of the server's own origin. The `Host` of its
///   requests still is `evil.example`.
///
/// A request passes [`check`](Self::check) if its `Host` is an address such as `192.0.2.1` or
/// `[::1]`, which cannot be rebound; or `localhost` or a name below it, which means this machine
/// (RFC 6761, 6.3); or one of the [names given](Self::with_name). If it brings an `Origin`, that has to
/// be of the same host and port, or one of the [origins given](Self::with_origin). The scheme is not
/// compared, since a proxy in front may have taken the TLS away. A request without a `Host` passes,
/// as HTTP/1.0 has it: no browser sends such a one.
///
/// [`Server::with_hosts`](crate::serve::Server::with_hosts) checks all requests of a server in one
/// line. In another HTTP stack, [`AcceptConfig::with_hosts`](super::AcceptConfig::with_hosts) checks
/// those for event streams. A proxy in front of it has to pass the `Host` of the request on, or its public name is to be
/// given as an origin.
///
/// ```
/// use sansse::http::{ForeignRequest, Hosts};
///
/// let hosts = Hosts::new().with_name("app.example")?.with_origin("https://partner.example")?;
/// let asked = |host, origin| {
///     let request = http::Request::get("/").header("host", host).header("origin", origin);
///     hosts.check(&request.body(()).unwrap())
/// };
/// assert_eq!(asked("app.example", "https://app.example"), Ok(()));
/// assert_eq!(asked("app.example", "https://partner.example"), Ok(()));
/// assert_eq!(asked("app.example", "https://evil.example"), Err(ForeignRequest::Origin));
/// assert_eq!(asked("evil.example", "http://evil.example"), Err(ForeignRequest::Host));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<Place>,
    origins: Vec<HeaderValue>,
}

/// A host and perhaps a port, as requests name it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// In lower case, without a dot at its end.
    host: String,
    port: Option<u16>,
}

impl Hosts {
    /// Makes the hosts of a server that has no name: addresses and `localhost`, each with any port.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a name, such as `app.example`, with any port; or `app.example:8443`, with this port
    /// alone. A name does not stand for those below it.
    ///
    /// # Errors
    ///
    /// [`HostError`] for a text that is no host, by the caller's fault.
    pub fn with_name(mut self, name: impl AsRef<str>) -> Result<Self, HostError> {
        let name = name.as_ref();
        let place = Place::parse(name.as_bytes()).ok_or_else(|| HostError(name.to_string()))?;
        self.names.push(place);
        Ok(self)
    }

    /// Adds an origin whose pages may ask as those of the server's own may, such as
    /// `https://partner.example`. To read the answers they need [`Cors`](super::Cors) beside this.
    ///
    /// # Errors
    ///
    /// [`OriginError`] for a text that no browser would send as an origin, by the caller's fault.
    pub fn with_origin(mut self, origin: impl AsRef<str>) -> Result<Self, OriginError> {
        self.origins.push(serialized_origin(origin.as_ref())?);
        Ok(self)
    }

    /// Checks for whom a request is, and which page it comes from.
    ///
    /// # Errors
    ///
    /// [`ForeignRequest`], by the peer's fault; [`ForeignRequest::response`] is what to answer.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), ForeignRequest> {
        self.check_parts(request.uri(), request.headers())
    }

    pub(crate) fn check_parts(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignRequest> {
        let place = host_of(uri, headers)?;
        if place.as_ref().is_some_and(|place| !self.is_own(place)) {
            return Err(ForeignRequest::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let fits = |origin: &HeaderValue| {
            self.origins.contains(origin)
                || place.as_ref().is_some_and(|place| place.is_of_origin(origin))
        };
        if origins.all(fits) { Ok(()) } else { Err(ForeignRequest::Origin) }
    }

    fn is_own(&self, place: &Place) -> bool {
        place.is_address()
            || place.host == "localhost"
            || place.host.ends_with(".localhost")
            || self.names.iter().any(|name| {
                name.host == place.host && (name.port.is_none() || name.port == place.port)
            })
    }
}

/// The host that a request names; `None` if it names none.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Place>, ForeignRequest> {
    // A whole URL as the target, and all of HTTP/2, name the host there.
    if let Some(authority) = uri.authority() {
        return Place::of(authority).map(Some).ok_or(ForeignRequest::Host);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(host), None) if host.is_empty() => Ok(None),
        (Some(host), None) => Place::parse(host.as_bytes()).map(Some).ok_or(ForeignRequest::Host),
        (Some(_), Some(_)) => Err(ForeignRequest::Host),
    }
}

impl Place {
    fn parse(text: &[u8]) -> Option<Self> {
        Self::of(&Authority::try_from(text).ok()?)
    }

    fn of(authority: &Authority) -> Option<Self> {
        let (text, host) = (authority.as_str(), authority.host());
        let port = authority.port_u16();
        // A user, a colon without a port, or a port that is none.
        if text.contains(['@', '*']) || (port.is_none() && text != host) {
            return None;
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        (!host.is_empty()).then_some(Self { host, port })
    }

    fn is_address(&self) -> bool {
        let inside = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match inside {
            Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
            None => self.host.parse::<Ipv4Addr>().is_ok(),
        }
    }

    /// Returns whether pages of this origin are of this host and port.
    fn is_of_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = Uri::try_from(origin.as_bytes()) else { return false };
        let Some(place) = origin.authority().and_then(Self::of) else { return false };
        let usual = match origin.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return false,
        };
        // Without one, a request is for the usual port of its scheme, whichever that is.
        self.host == place.host
            && match self.port {
                Some(port) => port == place.port.unwrap_or(usual),
                None => place.port.unwrap_or(usual) == usual,
            }
    }
}

/// A request that is not for this server, or of a page that may not ask it, by the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignRequest {
    /// The `Host` is none of the server's: 403.
    Host,
    /// The `Origin` is another than the server's, and none of those that may ask: 403.
    Origin,
}

impl ForeignRequest {
    /// Returns the status of the answer: 403.
    pub const fn status(self) -> StatusCode {
        StatusCode::FORBIDDEN
    }

    /// Returns whose fault it is.
    pub const fn fault(self) -> Fault {
        Fault::Peer
    }

    /// Returns the answer: a line of plain text.
    pub fn response(self) -> Response<Bytes> {
        plain_text(
            self.status(),
            match self {
                Self::Host => "This server does not answer under the name in the Host header.\n",
                Self::Origin => "This server does not answer pages of the origin that asks.\n",
            },
        )
    }
}

impl From<ForeignRequest> for Response<Bytes> {
    fn from(error: ForeignRequest) -> Self {
        error.response()
    }
}

impl fmt::Display for ForeignRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the request is for a host that is none of the server's",
            Self::Origin => "the request is of a page of another origin",
        })
    }
}

impl core::error::Error for ForeignRequest {}

/// A text that is no host, by the caller's fault.
///
/// A scheme, a path and wildcards are no part of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError(String);

impl HostError {
    /// Returns the text as it was given.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns whose fault it is.
    pub const fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no host: it takes a name and perhaps a port", self.0)
    }
}

impl core::error::Error for HostError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        hosts: &Hosts,
        host: Option<&str>,
        origin: Option<&str>,
    ) -> Result<(), ForeignRequest> {
        let mut request = Request::get("/");
        for (name, value) in [("host", host), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        hosts.check(&request.body(()).unwrap())
    }

    #[test]
    fn addresses_and_localhost_are_always_the_servers_own() {
        let hosts = Hosts::new();
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "192.168.1.5:80",
            "[::1]",
            "[fe80::1]:8080",
            "localhost",
            "LocalHost.",
            "app.localhost:3000",
            "",
        ] {
            assert_eq!(check(&hosts, Some(host), None), Ok(()), "{host}");
        }
        assert_eq!(check(&hosts, None, None), Ok(()));
    }

    #[test]
    fn a_name_that_may_be_rebound_is_foreign_unless_it_was_given() {
        let hosts = Hosts::new().with_name("App.example").unwrap();
        let hosts = hosts.with_name("other.example:8443").unwrap();
        for host in ["app.example", "APP.example:1", "app.example.", "other.example:8443"] {
            assert_eq!(check(&hosts, Some(host), None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "sub.app.example",
            "app.example.evil.example",
            "other.example",
            "other.example:80",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "app.example:99999",
            "user@app.example",
            "app.example:",
        ] {
            assert_eq!(check(&hosts, Some(host), None), Err(ForeignRequest::Host), "{host}");
        }
    }

    #[test]
    fn a_page_is_of_the_servers_origin_if_host_and_port_are() {
        let hosts = Hosts::new().with_name("app.example").unwrap();
        for (host, origin) in [
            ("app.example", "http://app.example"),
            ("app.example", "https://app.example"),
            ("app.example:8080", "http://app.example:8080"),
            ("app.example:443", "https://app.example"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(check(&hosts, Some(host), Some(origin)), Ok(()), "{host} {origin}");
        }
        for (host, origin) in [
            ("app.example", "https://evil.example"),
            ("app.example", "https://app.example:8443"),
            ("app.example:8080", "http://app.example"),
            ("localhost:8080", "http://localhost:3000"),
            ("127.0.0.1:8080", "http://localhost:8080"),
            ("app.example", "null"),
            ("app.example", "file://"),
            ("app.example", "app.example"),
            ("app.example", "https://app.example@evil.example"),
            ("app.example", ""),
        ] {
            let foreign = Err(ForeignRequest::Origin);
            assert_eq!(check(&hosts, Some(host), Some(origin)), foreign, "{host} {origin}");
        }
        // Nothing says whose it would have to be.
        assert_eq!(check(&hosts, None, Some("http://a")), Err(ForeignRequest::Origin));
    }

    #[test]
    fn an_origin_that_was_given_may_ask() {
        let hosts = Hosts::new().with_origin("HTTPS://Partner.example:443/").unwrap();
        assert_eq!(check(&hosts, Some("localhost"), Some("https://partner.example")), Ok(()));
        let other = Some("http://partner.example");
        assert_eq!(check(&hosts, Some("localhost"), other), Err(ForeignRequest::Origin));
    }

    #[test]
    fn the_target_names_the_host_where_it_does_and_two_hosts_are_foreign() {
        let hosts = Hosts::new();
        let request = |uri: &str| Request::get(uri).header("host", "localhost");
        let foreign = request("http://evil.example/").body(()).unwrap();
        assert_eq!(hosts.check(&foreign), Err(ForeignRequest::Host));
        let twice = request("/").header("host", "localhost").body(()).unwrap();
        assert_eq!(hosts.check(&twice), Err(ForeignRequest::Host));
    }

    #[test]
    fn what_is_no_host_is_refused_with_its_text() {
        for text in ["", "https://app.example", "app.example/", "*.app.example", "a b", "a:x"] {
            let error = Hosts::new().with_name(text).unwrap_err();
            assert_eq!((error.text(), error.fault()), (text, Fault::Caller));
        }
    }
}

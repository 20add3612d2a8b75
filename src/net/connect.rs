//! How connections are opened, and where they lead.

use super::{Failure, FailureKind, Socket};
use alloc::string::{String, ToString};
use core::fmt;
use core::future::{Future, ready};
use http::Uri;
use http::uri::Scheme;

/// What opens connections for a client, such as [`feed::Http1`](crate::feed::Http1).
pub trait Connector: Send + Sync + 'static {
    /// A connection.
    type Socket: Socket;

    /// Opens a connection. Dropping the future gives it up. The client's deadlines say how long it
    /// may take. A connector does not wait for ever for one of several addresses.
    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static;

    /// Secures a connection that this connector has opened, by TLS: the peer has to show a
    /// certificate for `host`, a name or an address. It is for the tunnel that a proxy has opened to
    /// a host of `https`. Dropping the future gives the connection up.
    ///
    /// By default it fails, as [`FailureKind::Unsupported`]: without TLS there is no `https`, through
    /// a proxy or not.
    fn secure(
        &self,
        socket: Self::Socket,
        host: &str,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        drop(socket);
        let _ = host;
        ready(Err(no_tls()))
    }
}

fn no_tls() -> Failure {
    let reason = "https needs TLS, which this connector has not: turn the feature `tls` of the \
        adapter on, or put the connector of the crate `sansse-tls` around this one";
    Failure::new(FailureKind::Unsupported).with_detail(reason)
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// A name or an address; an IPv6 address stands without brackets.
    pub host: String,
    /// The port, that of the scheme unless the URL names one.
    pub port: u16,
    /// Whether it is to be secured by TLS, for `https`.
    pub secure: bool,
}

impl Target {
    /// Names a host, by a name or an address without brackets, and a port. It is for protocols whose
    /// URLs are not those of HTTP.
    ///
    /// ```
    /// use sansse::net::Target;
    ///
    /// let target = Target::new("::1", 6379, false);
    /// assert_eq!((target.host.as_str(), target.port, target.secure), ("::1", 6379, false));
    /// ```
    pub fn new(host: impl Into<String>, port: u16, secure: bool) -> Self {
        Self { host: host.into(), port, secure }
    }

    /// Returns where the URL of a request leads.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unsupported`] for a URL without a host, or of another scheme than `http` and
    /// `https`.
    pub fn of(url: &Uri) -> Result<Self, Failure> {
        // Not the URL itself, which may hold a secret.
        let unsupported =
            |reason: &dyn fmt::Display| Failure::caused_by(FailureKind::Unsupported, reason);
        let secure = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) => {
                let reason = format_args!("the scheme of the URL is {scheme}, not http or https");
                return Err(unsupported(&reason));
            }
            None => return Err(unsupported(&"the URL has no scheme, such as http or https")),
        };
        let host = url.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| unsupported(&"the URL has no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { host: host.to_string(), port, secure })
    }

    /// Returns the host and the port, for a connector that speaks no TLS.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unsupported`] where the connection is to be secured.
    pub fn without_tls(self) -> Result<(String, u16), Failure> {
        if self.secure {
            return Err(no_tls());
        }
        Ok((self.host, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsupported_is_said_without_the_url_which_may_hold_a_secret() {
        let said = |url: &str| {
            let failure = Target::of(&url.parse().unwrap()).unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Unsupported);
            assert!(!failure.to_string().contains("secret"), "{failure}");
            failure.detail().to_string()
        };
        assert!(said("ws://a/?secret").starts_with("the scheme of the URL is ws"));
        assert!(said("/secret").contains("no scheme"));
    }

    #[test]
    fn https_without_tls_says_how_to_get_it() {
        let target = Target::of(&"https://a/?secret".parse().unwrap()).unwrap();
        let failure = target.without_tls().unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Unsupported);
        assert!(failure.detail().contains("the feature `tls`"), "{failure}");
        assert!(failure.detail().contains("sansse-tls"), "{failure}");
    }
}

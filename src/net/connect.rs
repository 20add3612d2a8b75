//! How connections are opened, and where they lead.

use super::{Failure, FailureKind, Socket};
use alloc::string::{String, ToString};
use core::future::Future;
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
    /// Returns where the URL of a request leads.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Unsupported`] for a URL without a host, or of another scheme than `http` and
    /// `https`.
    pub fn of(url: &Uri) -> Result<Self, Failure> {
        // Not the URL itself, which may hold a secret.
        let unsupported = || {
            let reason = "the URL has no host, or a scheme other than http and https";
            Failure::new(FailureKind::Unsupported).with_detail(reason)
        };
        let secure = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(unsupported()),
        };
        let host = url.host().filter(|host| !host.is_empty()).ok_or_else(unsupported)?;
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
            let reason = "https needs TLS, which is not on here";
            return Err(Failure::new(FailureKind::Unsupported).with_detail(reason));
        }
        Ok((self.host, self.port))
    }
}

//! Clients over tokio's sockets.

use crate::TokioRuntime;
use crate::socket::{TokioSocket, failure};
use bytes::Bytes;
use http::Request;
use sansse::client::ClientConfig;
use sansse::feed::Http1;
use sansse::net::{Connector, Failure, FailureKind, Socket, Target, connect_any};
use sansse::{EventSource, Feed};
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use tokio::net::TcpStream;

/// Reads an event stream over HTTP/1.1, with the defaults of [`ClientConfig`] and a random seed.
///
/// Nothing is sent before it is polled. `https` takes the feature `tls`; without it, it ends the
/// client.
pub fn connect(request: Request<Bytes>) -> EventSource<Http1<DefaultConnector>> {
    connect_with(request, ClientConfig::new(random_seed()))
}

/// As [`connect`], configured.
pub fn connect_with(
    request: Request<Bytes>,
    config: ClientConfig,
) -> EventSource<Http1<DefaultConnector>> {
    EventSource::new(Http1::new(DefaultConnector), TokioRuntime, request, config)
}

/// A [`Feed`] over HTTP/1.1, with the defaults of [`ClientConfig`] and a random seed, driven by a
/// task on the current runtime.
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::spawn`] does.
pub fn feed(request: Request<Bytes>) -> Feed {
    let (feed, driver) = Feed::new(connect(request));
    tokio::spawn(driver);
    feed
}

/// A seed that no other client has, for [`ClientConfig::new`]: 64 random bits, from what the
/// standard library seeds its hash maps with.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// How [`connect`] opens connections: by [`TokioConnector`], and with the feature `tls` it secures
/// those for `https`, trusting whom the system trusts.
///
/// The system's roots are read with the first such connection of the process, which holds up its
/// thread for some milliseconds. Other roots and configurations go into a `tls::Tls` around a
/// [`TokioConnector`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultConnector;

impl Connector for DefaultConnector {
    /// The same with and without TLS, so that a feature changes no types.
    type Socket = Box<dyn Socket>;

    #[expect(clippy::manual_async_fn, reason = "the future must not borrow the connector")]
    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<Self::Socket, Failure>> + Send + 'static {
        async move {
            #[cfg(feature = "tls")]
            if target.secure {
                let connector = crate::tls::Tls::with_system_roots(TokioConnector);
                let connector = connector.map_err(|error| {
                    Failure::new(FailureKind::Unsupported).with_detail(error.to_string())
                })?;
                return Ok(Box::new(connector.connect(target).await?) as Self::Socket);
            }
            Ok(Box::new(TokioConnector.connect(target).await?) as Self::Socket)
        }
    }
}

/// Opens plain connections by tokio: names by the system's resolver, IPv4 and IPv6, several
/// addresses with a fallback from one to the next, `TCP_NODELAY`.
///
/// For `https` it is [`FailureKind::Unsupported`]: with the feature `tls` on, put it into a
/// `tls::Tls`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioConnector;

impl Connector for TokioConnector {
    type Socket = TokioSocket;

    #[expect(clippy::manual_async_fn, reason = "the future must not borrow the connector")]
    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<TokioSocket, Failure>> + Send + 'static {
        async move {
            if target.secure {
                let reason = "https needs TLS, which is not on here";
                return Err(Failure::new(FailureKind::Unsupported).with_detail(reason));
            }
            let addresses = tokio::net::lookup_host((target.host.as_str(), target.port))
                .await
                .map_err(|error| failure(FailureKind::Resolve, &error))?;
            let stream = connect_any(&TokioRuntime, addresses, |address| async move {
                TcpStream::connect(address)
                    .await
                    .map_err(|error| failure(FailureKind::Connect, &error))
            })
            .await?;
            Ok(TokioSocket::new(stream))
        }
    }
}

//! Clients over tokio's sockets.

use crate::TokioRuntime;
use crate::socket::TokioSocket;
use sansse::client::ClientConfig;
use sansse::feed::{Http1, IntoRequest};
use sansse::net::{Connector, Failure, FailureKind, Target, connect_any};
use sansse::{EventSource, Feed};
use sansse_common::{DefaultConnector, random_seed};
use std::future::Future;
use tokio::net::TcpStream;

/// Reads an event stream over HTTP/1.1, with the defaults of [`ClientConfig`] and a random seed. It
/// is asked for by a URL, as text or as a `Uri`, or by a whole request.
///
/// Nothing is sent before it is polled. `https` takes the feature `tls`; without it, it ends the
/// client.
pub fn connect(request: impl IntoRequest) -> EventSource<Http1<DefaultConnector<TokioConnector>>> {
    connect_with(request, ClientConfig::new(random_seed()))
}

/// Reads an event stream as [`connect`] does, with a configuration.
pub fn connect_with(
    request: impl IntoRequest,
    config: ClientConfig,
) -> EventSource<Http1<DefaultConnector<TokioConnector>>> {
    EventSource::new(
        Http1::new(DefaultConnector::new(TokioConnector)),
        TokioRuntime,
        request,
        config,
    )
}

/// Makes a [`Feed`] of what [`connect`] reads, for several readers. It is driven by a task on the
/// current runtime.
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::spawn`] does.
pub fn feed(request: impl IntoRequest) -> Feed {
    let (feed, driver) = Feed::new(connect(request));
    tokio::spawn(driver);
    feed
}

/// Opens plain connections by tokio: names by the system's resolver, IPv4 and IPv6, several
/// addresses with a fallback from one to the next, `TCP_NODELAY`.
///
/// It refuses `https` as [`FailureKind::Unsupported`]. [`DefaultConnector`], and with the feature
/// `tls` on a `tls::Tls`, put TLS around it.
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
            let (host, port) = target.without_tls()?;
            let addresses = tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|error| Failure::caused_by(FailureKind::Resolve, error))?;
            let stream = connect_any(&TokioRuntime, addresses, |address| async move {
                TcpStream::connect(address)
                    .await
                    .map_err(|error| Failure::caused_by(FailureKind::Connect, error))
            })
            .await?;
            Ok(TokioSocket::new(stream))
        }
    }
}

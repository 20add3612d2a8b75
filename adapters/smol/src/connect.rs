//! Clients over async-io's sockets.

use crate::SmolTimer;
use crate::runtime::Task;
use crate::socket::SmolSocket;
use async_io::Async;
use sansse::client::ClientConfig;
use sansse::feed::{Http1, IntoRequest};
use sansse::net::{Connector, Failure, FailureKind, Target, connect_any};
use sansse::{EventSource, Feed};
use sansse_common::{DefaultConnector, random_seed};
use std::future::Future;
use std::net::{TcpStream, ToSocketAddrs};

/// Reads an event stream over HTTP/1.1, with the defaults of [`ClientConfig`] and a random seed. It
/// is asked for by a URL, as text or as a `Uri`, or by a whole request.
///
/// Nothing is sent before it is polled. `https` takes the feature `tls`; without it, it ends the
/// client.
pub fn connect(request: impl IntoRequest) -> EventSource<Http1<DefaultConnector<SmolConnector>>> {
    connect_with(request, ClientConfig::new(random_seed()))
}

/// Reads an event stream as [`connect`] does, with a configuration.
pub fn connect_with(
    request: impl IntoRequest,
    config: ClientConfig,
) -> EventSource<Http1<DefaultConnector<SmolConnector>>> {
    EventSource::new(Http1::new(DefaultConnector::new(SmolConnector)), SmolTimer, request, config)
}

/// Makes a [`Feed`] of what [`connect`] reads, for several readers. It is driven by a task that
/// `spawn` starts.
pub fn feed(request: impl IntoRequest, spawn: impl FnOnce(Task)) -> Feed {
    let (feed, driver) = Feed::new(connect(request));
    spawn(Box::pin(driver));
    feed
}

/// Opens plain connections by async-io: names by the system's resolver, on a thread for what
/// blocks; IPv4 and IPv6, several addresses with a fallback from one to the next, `TCP_NODELAY`.
///
/// It refuses `https` as [`FailureKind::Unsupported`]. [`DefaultConnector`], and with the feature
/// `tls` on a `tls::Tls`, put TLS around it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmolConnector;

impl Connector for SmolConnector {
    type Socket = SmolSocket;

    #[expect(clippy::manual_async_fn, reason = "the future must not borrow the connector")]
    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<SmolSocket, Failure>> + Send + 'static {
        async move {
            let (host, port) = target.without_tls()?;
            let resolve = move || (host.as_str(), port).to_socket_addrs();
            let addresses = blocking::unblock(resolve)
                .await
                .map_err(|error| Failure::caused_by(FailureKind::Resolve, error))?;
            let stream = connect_any(&SmolTimer, addresses, |address| async move {
                Async::<TcpStream>::connect(address)
                    .await
                    .map_err(|error| Failure::caused_by(FailureKind::Connect, error))
            })
            .await?;
            Ok(SmolSocket::new(stream))
        }
    }
}

//! HTTP/1.1 as a transport for clients, over any socket.

use super::Transport;
use crate::http1::{ClientConnection, ClientConnectionConfig, InvalidRequest, ResponsePart};
use crate::net::{Connector, Failure, FailureKind, Proxies, Proxy, Socket, Target};
use alloc::string::ToString;
use alloc::sync::Arc;
use bytes::{Buf, Bytes};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use http::{Request, Response};

/// A [`Transport`] that speaks HTTP/1.1 itself, over the connections of a [`Connector`]: one
/// connection for each request, straight to the server or through a proxy.
#[derive(Debug)]
pub struct Http1<C> {
    connector: Arc<C>,
    config: ClientConnectionConfig,
    proxies: Proxies,
}

impl<C: Connector> Http1<C> {
    /// Makes a transport with the default limits.
    pub fn new(connector: C) -> Self {
        let (config, proxies) = (ClientConnectionConfig::default(), Proxies::default());
        Self { connector: Arc::new(connector), config, proxies }
    }

    /// Sets the limits on what a peer sends.
    pub fn with_config(mut self, config: ClientConnectionConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets through which proxies connections go. Default none, whatever the environment says;
    /// [`Proxies::from_variables`] reads that.
    ///
    /// - A proxy that cannot be reached, or cannot reach the server, is
    ///   [`FailureKind::Connect`] or [`FailureKind::Resolve`]: the client tries again.
    /// - One that refuses a tunnel for `https`, with another 4xx than 408, 425 and 429, is
    ///   [`FailureKind::ProxyRefused`], such as for want of credentials (407): the client ends.
    /// - To what it answers to a request for `http` the client's policy applies, as to any answer: a
    ///   407 is the end, and a 502 is retried.
    ///
    /// `https` through a proxy takes a connector whose [`secure`](Connector::secure) does TLS.
    ///
    /// ```
    /// use sansse::EventSource;
    /// use sansse::client::ClientConfig;
    /// use sansse::feed::Http1;
    /// use sansse::net::Proxies;
    /// use sansse_tokio::{DefaultConnector, TokioConnector, TokioRuntime, random_seed};
    ///
    /// let proxies = Proxies::from_variables(|name| std::env::var(name).ok())?;
    /// let transport = Http1::new(DefaultConnector::new(TokioConnector)).with_proxies(proxies);
    /// let config = ClientConfig::new(random_seed());
    /// let source = EventSource::new(transport, TokioRuntime, "http://example.org/events", config);
    /// # let _ = source;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_proxies(mut self, proxies: Proxies) -> Self {
        self.proxies = proxies;
        self
    }
}

impl<C: Connector> Transport for Http1<C> {
    type Body = Http1Body<C::Socket>;

    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>> + Send + 'static {
        let (connector, config) = (self.connector.clone(), self.config);
        let target = Target::of(request.uri());
        let proxy = target.as_ref().ok().and_then(|target| self.proxies.of(target)).cloned();
        async move {
            let target = target?;
            let machine = match &proxy {
                Some(proxy) if !target.secure => {
                    ClientConnection::through_proxy(&request, proxy.credentials(), config)
                }
                _ => ClientConnection::new(&request, config),
            };
            let machine = machine.map_err(unsupported)?;
            let socket = match proxy {
                None => connector.connect(target).await?,
                Some(proxy) if target.secure => {
                    open_tunnel(&*connector, &proxy, &target, config).await?
                }
                Some(proxy) => reach(&*connector, &proxy).await?,
            };
            let mut exchange = Exchange { socket, machine, pending: Bytes::new() };
            let head = poll_fn(|context| exchange.poll_head(context)).await?;
            Ok(head.map(|()| Http1Body { exchange, is_over: false }))
        }
    }
}

async fn reach<C: Connector>(connector: &C, proxy: &Proxy) -> Result<C::Socket, Failure> {
    connector.connect(proxy.target().clone()).await.map_err(|failure| of_proxy(proxy, &failure))
}

/// A secured connection to a host, through a proxy that passes on what it cannot read.
async fn open_tunnel<C: Connector>(
    connector: &C,
    proxy: &Proxy,
    target: &Target,
    config: ClientConnectionConfig,
) -> Result<C::Socket, Failure> {
    let asking = ClientConnection::connect(&target.host, target.port, proxy.credentials(), config);
    let machine = asking.map_err(unsupported)?;
    let socket = reach(connector, proxy).await?;
    let mut exchange = Exchange { socket, machine, pending: Bytes::new() };
    let head = poll_fn(|context| exchange.poll_head(context)).await;
    let status = head.map_err(|failure| of_proxy(proxy, &failure))?.status();
    if !status.is_success() {
        // Its words are the proxy's and not the host's, so that nothing else of them counts.
        let may_pass = status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
        let kind = if may_pass { FailureKind::Connect } else { FailureKind::ProxyRefused };
        return Err(of_proxy(
            proxy,
            &Failure::caused_by(kind, format_args!("it answered {status}")),
        ));
    }
    // Its end is told, and then what came too early.
    while let Some(part) = exchange.machine.poll_response() {
        part.map_err(|error| of_proxy(proxy, &error.into()))?;
    }
    connector.secure(exchange.socket, &target.host).await
}

/// A failure on the way to the host. No part of the request has left, whatever it is.
fn of_proxy(proxy: &Proxy, failure: &Failure) -> Failure {
    let Target { host, port, .. } = proxy.target();
    let (kind, what) = match failure.kind() {
        kind if kind.is_before_request() && !failure.detail().is_empty() => {
            (kind, failure.detail().to_string())
        }
        kind if kind.is_before_request() => (kind, kind.to_string()),
        _ => (FailureKind::Connect, failure.to_string()),
    };
    Failure::caused_by(kind, format_args!("by the proxy {host}, port {port}: {what}"))
}

fn unsupported(error: InvalidRequest) -> Failure {
    Failure::caused_by(FailureKind::Unsupported, error)
}

/// The body of a response. After its end, or a failure, it has ended for good.
#[derive(Debug)]
pub struct Http1Body<S> {
    exchange: Exchange<S>,
    is_over: bool,
}

impl<S: Socket> Stream for Http1Body<S> {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let part = ready!(self.exchange.poll_part(context));
        self.is_over = !matches!(part, Ok(ResponsePart::Data(_)));
        Poll::Ready(match part {
            Ok(ResponsePart::Data(bytes)) => Some(Ok(bytes)),
            Ok(ResponsePart::End) => None,
            Ok(ResponsePart::Head(_)) => Some(Err(FailureKind::Protocol.into())),
            Err(failure) => Some(Err(failure)),
        })
    }
}

struct Exchange<S> {
    socket: S,
    machine: ClientConnection,
    /// What is being written.
    pending: Bytes,
}

/// How much is read at once. What one read brings is held until it is polled.
const READ: usize = 8 << 10;

impl<S: Socket> Exchange<S> {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Response<()>, Failure>> {
        Poll::Ready(match ready!(self.poll_part(context))? {
            ResponsePart::Head(head) => Ok(head),
            // The machine gives the head first.
            ResponsePart::Data(_) | ResponsePart::End => Err(FailureKind::Protocol.into()),
        })
    }

    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Result<ResponsePart, Failure>> {
        loop {
            if let Some(part) = self.machine.poll_response() {
                return Poll::Ready(part.map_err(Failure::from));
            }
            // A server may answer before it has read all, and refuse the rest: a write that fails
            // is the end only when there is nothing to be read either.
            let refused = match self.poll_write(context) {
                Poll::Ready(Err(failure)) => Some(failure),
                _ => None,
            };
            let mut buffer = [0; READ];
            match (self.socket.poll_read(context, &mut buffer), refused) {
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(failure)) | (Poll::Ready(Err(failure)), _) => {
                    return Poll::Ready(Err(failure));
                }
                (Poll::Ready(Ok(0)), _) => self.machine.handle_eof(),
                (Poll::Ready(Ok(length)), _) => self.machine.handle_data(&buffer[..length]),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if self.pending.is_empty() {
                match self.machine.poll_transmit() {
                    Some(bytes) => self.pending = bytes,
                    None => return self.socket.poll_flush(context),
                }
            }
            let written = ready!(self.socket.poll_write(context, &self.pending))?;
            if written == 0 {
                // Asking again would get the same answer, for ever.
                return Poll::Ready(Err(FailureKind::Closed.into()));
            }
            self.pending.advance(written);
        }
    }
}

impl<S> fmt::Debug for Exchange<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("machine", &self.machine).finish_non_exhaustive()
    }
}

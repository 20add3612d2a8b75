//! HTTP/1.1 as a transport for clients, over any socket.

use super::Transport;
use crate::http1::{ClientConnection, ClientConnectionConfig, ResponsePart};
use crate::net::{Connector, Failure, FailureKind, Socket, Target};
use alloc::sync::Arc;
use bytes::{Buf, Bytes};
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use http::{Request, Response};

/// A [`Transport`] that speaks HTTP/1.1 itself, over the connections of a [`Connector`]: one
/// connection for each request.
#[derive(Debug)]
pub struct Http1<C> {
    connector: Arc<C>,
    config: ClientConnectionConfig,
}

impl<C: Connector> Http1<C> {
    /// Makes a transport with the default limits.
    pub fn new(connector: C) -> Self {
        Self { connector: Arc::new(connector), config: ClientConnectionConfig::default() }
    }

    /// Sets the limits on what a peer sends.
    pub fn with_config(mut self, config: ClientConnectionConfig) -> Self {
        self.config = config;
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
        async move {
            let target = Target::of(request.uri())?;
            let machine = ClientConnection::new(&request, config)
                .map_err(|error| Failure::caused_by(FailureKind::Unsupported, error))?;
            let socket = connector.connect(target).await?;
            let mut exchange = Exchange { socket, machine, pending: Bytes::new() };
            let head = poll_fn(|context| exchange.poll_head(context)).await?;
            Ok(head.map(|()| Http1Body { exchange, is_over: false }))
        }
    }
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

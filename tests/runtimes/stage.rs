//! A client and its peer, step by step, in one task.

use crate::kit::client::{URL, get};
use crate::peer::{Exchange, Peer};
use crate::platform::Platform;
use crate::reader::Reader;
use crate::watched::{Watch, Watching};
use sansse::SourceEvent;
use sansse::client::{ClientConfig, ClientError, ReadyState};
use sansse::net::Listener;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

pub(crate) struct Stage<P: Platform> {
    pub(crate) reader: Reader<P::Connector>,
    pub(crate) peer: Peer<P::Listener>,
}

pub(crate) type PeerExchange<P> = Exchange<<<P as Platform>::Listener as Listener>::Socket>;

impl<P: Platform> Stage<P> {
    /// A client that has not been polled.
    pub(crate) fn new(platform: &P, config: ClientConfig) -> Self {
        let (listener, address) = platform.listen(None);
        let connector = Watching::new(platform.connector(), address);
        Self { reader: Reader::new(connector, get(URL), config), peer: Peer::new(listener) }
    }

    /// A client whose stream is open.
    pub(crate) async fn open(platform: &P, config: ClientConfig) -> (Self, PeerExchange<P>) {
        let mut stage = Self::new(platform, config);
        let exchange = stage.reopen().await;
        (stage, exchange)
    }

    pub(crate) async fn reopen(&mut self) -> PeerExchange<P> {
        let mut exchange = self.accept().await;
        exchange.write(crate::peer::STREAM).await;
        let event = self.next().await;
        assert!(matches!(event, Some(SourceEvent::Open { .. })), "{event:?}");
        assert_eq!(self.reader.source.state(), ReadyState::Open);
        exchange
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.reader.watch
    }

    /// The next request, before which the client has nothing to tell.
    pub(crate) async fn accept(&mut self) -> PeerExchange<P> {
        let Self { reader, peer } = self;
        let mut accept = pin!(peer.accept());
        poll_fn(|context| {
            let event = reader.poll(context);
            assert!(event.is_pending(), "{event:?}");
            accept.as_mut().poll(context)
        })
        .await
    }

    /// The next thing that the client has to tell, for which no time passes.
    pub(crate) async fn next(&mut self) -> Option<SourceEvent> {
        poll_fn(|context| self.reader.poll(context)).await
    }

    pub(crate) async fn message(&mut self) -> String {
        match self.next().await {
            Some(SourceEvent::Message(message)) => message.data,
            event => panic!("no message: {event:?}"),
        }
    }

    pub(crate) async fn retrying(&mut self) -> (ClientError, Duration) {
        match self.next().await {
            Some(SourceEvent::Retrying { error, wait, .. }) => (error, wait),
            event => panic!("no loss: {event:?}"),
        }
    }

    /// Polls until the client has all that was written to its newest connection, and waits. It has
    /// nothing to tell.
    pub(crate) async fn quiet(&mut self, exchange: Option<&PeerExchange<P>>) {
        let written = exchange.map_or(0, Exchange::written);
        poll_fn(|context| {
            let event = self.reader.poll(context);
            assert!(event.is_pending(), "{event:?}");
            let read = self.reader.watch.read(self.reader.watch.count().saturating_sub(1));
            let is_quiet = self.reader.is_quiet && (exchange.is_none() || read == written);
            if is_quiet { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Time passes, and the client is polled if it wants to be.
    pub(crate) async fn pass(&mut self, time: Duration) {
        self.reader.timer.advance(time);
        self.quiet(None).await;
    }

    /// How many requests were sent.
    pub(crate) fn sent(&self) -> usize {
        self.reader.sent().len()
    }

    /// Nothing is told and nothing asked for, whatever happens from now on.
    pub(crate) async fn is_closed_for_good(&mut self) {
        let sent = self.sent();
        for _ in 0..3 {
            assert_eq!(self.reader.source.state(), ReadyState::Closed);
            assert_eq!(self.watch().held(), 0);
            assert!(self.reader.timer.sleeps().is_empty());
            assert_eq!(self.next().await, None);
            self.reader.timer.advance(Duration::from_secs(1000));
            self.reader.source.wake();
            self.reader.source.restart();
            self.reader.source.close();
        }
        assert_eq!(self.sent(), sent);
    }
}

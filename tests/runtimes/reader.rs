//! An `EventSource` with a clock that the test moves, polled as by a task of its own.

use crate::kit::time::VirtualTimer;
use crate::watched::{Watch, Watching};
use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use sansse::client::ClientConfig;
use sansse::feed::Http1;
use sansse::net::{Connector, Failure};
use sansse::{EventSource, SourceEvent, Transport};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub(crate) struct Reader<C: Connector> {
    pub(crate) source: EventSource<Recorded<Http1<Watching<C>>>>,
    pub(crate) timer: VirtualTimer,
    pub(crate) watch: Watch,
    sent: Arc<Mutex<Vec<Sent>>>,
    /// How often the source was polled.
    pub(crate) polls: usize,
    /// Whether it waits, and not only lets others have their turn.
    pub(crate) is_quiet: bool,
}

/// A request, and when it was handed to the transport.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) request: Request<Bytes>,
    pub(crate) at: Duration,
}

impl<C: Connector> Reader<C> {
    pub(crate) fn new(
        connector: Watching<C>,
        request: Request<Bytes>,
        config: ClientConfig,
    ) -> Self {
        let timer = VirtualTimer::new();
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let watch = connector.watch();
        let inner = Http1::new(connector);
        let transport = Recorded { inner, timer: timer.clone(), sent: sent.clone() };
        let source = EventSource::new(transport, timer.clone(), request, config);
        Self { source, timer, watch, sent, polls: 0, is_quiet: false }
    }

    /// The requests so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The next event, as the source gives it.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<SourceEvent>> {
        let own = Arc::new(Own::default());
        let task = context.waker().clone();
        let waker = Waker::from(Arc::new(Woken { task, own: own.clone() }));
        own.is_polling.store(true, Ordering::SeqCst);
        self.polls += 1;
        let event = Pin::new(&mut self.source).poll_next(&mut Context::from_waker(&waker));
        own.is_polling.store(false, Ordering::SeqCst);
        self.is_quiet = event.is_pending() && !own.is_woken.load(Ordering::SeqCst);
        event
    }

    /// Moves the clock to the client's one deadline, and says by how much.
    #[track_caller]
    pub(crate) fn sleep(&self) -> Duration {
        let [until] = self.timer.sleeps()[..] else { panic!("{:?}", self.timer.sleeps()) };
        let wait = until - self.timer.elapsed();
        self.timer.advance(wait);
        wait
    }
}

/// Notes the requests that a transport is given.
pub(crate) struct Recorded<T> {
    inner: T,
    timer: VirtualTimer,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl<T: Transport> Transport for Recorded<T> {
    type Body = T::Body;

    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>> + Send + 'static {
        let sent = Sent { request: request.clone(), at: self.timer.elapsed() };
        self.sent.lock().unwrap().push(sent);
        self.inner.send(request)
    }
}

/// Tells a wake that comes while the source is being polled from one by the network.
#[derive(Default)]
struct Own {
    is_polling: AtomicBool,
    is_woken: AtomicBool,
}

struct Woken {
    task: Waker,
    own: Arc<Own>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if self.own.is_polling.load(Ordering::SeqCst) {
            self.own.is_woken.store(true, Ordering::SeqCst);
        }
        self.task.wake_by_ref();
    }
}

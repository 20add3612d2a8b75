//! A server of event streams on a platform, and clients of it.

use crate::cutting::{Cuts, Cutting};
use crate::platform::Platform;
use crate::shared::Shared;
use bytes::Bytes;
use http::Request;
use sansse::broker::{
    Audience, BrokerConfig, BrokerEvent, ClientId, EndReason, Epoch, LagPolicy, SessionConfig,
    SessionId, TopicName,
};
use sansse::client::{ClientConfig, ClientError};
use sansse::feed::Http1;
use sansse::hub::HubBuilder;
use sansse::net::{FailureKind, Runtime};
use sansse::serve::{Server, ServerCounters};
use sansse::{Event, EventSource, EventType, Hub, SourceEvent, Timer};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

pub(crate) type Source<P> = EventSource<Http1<<P as Platform>::Connector>>;

/// A hub that is driven, with what happened in it.
#[derive(Clone)]
pub(crate) struct Application {
    pub(crate) hub: Hub,
    pub(crate) happened: Shared<Vec<BrokerEvent>>,
}

/// A server on an address of the platform's.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) counters: ServerCounters,
    pub(crate) cuts: Cuts,
    shutdown: Shared<bool>,
    cancel: Shared<bool>,
    over: Shared<bool>,
}

/// The defaults, but for the reconnection time, which is that of [`quick`].
pub(crate) const fn config() -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(0xa));
    config.reconnect.retry = Some(PAUSE);
    config
}

const PAUSE: Duration = Duration::from_millis(5);

impl Application {
    pub(crate) fn new<P: Platform>(platform: &P, config: BrokerConfig) -> Self {
        Self::with(platform, config, |builder| builder)
    }

    pub(crate) fn with<P: Platform>(
        platform: &P,
        config: BrokerConfig,
        set: impl FnOnce(HubBuilder) -> HubBuilder,
    ) -> Self {
        let happened = Shared::new(Vec::new());
        let heard = happened.clone();
        let builder = set(HubBuilder::new(config))
            .on_event(move |_, event| heard.update(|happened| happened.push(event)));
        let (hub, drive) = builder.build(platform.runtime()).unwrap();
        platform.runtime().spawn(drive);
        Self { hub, happened }
    }

    pub(crate) fn broadcast(&self, data: impl Into<String>) {
        self.hub.publish(Audience::Everyone, &Event::new(data.into())).unwrap();
    }

    /// Broadcasts numbers, as [`numbers`] reads them.
    pub(crate) fn count(&self, numbers: impl IntoIterator<Item = usize>) {
        numbers.into_iter().for_each(|number| self.broadcast(number.to_string()));
    }

    /// Waits until as many sessions have ended, and says why they have.
    pub(crate) async fn ended(&self, count: usize) -> Vec<EndReason> {
        self.happened
            .until(|happened| {
                let reasons: Vec<EndReason> = happened.iter().filter_map(end_reason).collect();
                (reasons.len() >= count).then_some(reasons)
            })
            .await
    }

    /// Waits until as many sessions were opened, and says which.
    pub(crate) async fn opened(&self, count: usize) -> Vec<SessionId> {
        self.happened
            .until(|happened| {
                let opened = |event: &BrokerEvent| match event {
                    BrokerEvent::SessionOpened { session, .. } => Some(*session),
                    _ => None,
                };
                let opened: Vec<SessionId> = happened.iter().filter_map(opened).collect();
                (opened.len() >= count).then_some(opened)
            })
            .await
    }
}

fn end_reason(event: &BrokerEvent) -> Option<EndReason> {
    match event {
        BrokerEvent::SessionEnded { reason, .. } => Some(*reason),
        _ => None,
    }
}

impl Service {
    pub(crate) fn start<P: Platform>(platform: &P, application: &Application) -> Self {
        Self::start_on(platform, application, None)
    }

    pub(crate) fn start_on<P: Platform>(
        platform: &P,
        application: &Application,
        address: Option<SocketAddr>,
    ) -> Self {
        Self::start_with(platform, application, address, |server| server)
    }

    /// A server of which something is set.
    pub(crate) fn start_with<P: Platform>(
        platform: &P,
        application: &Application,
        address: Option<SocketAddr>,
        set: impl FnOnce(Server<P::Runtime>) -> Server<P::Runtime>,
    ) -> Self {
        let (listener, address) = platform.listen(address);
        let server = set(Server::new(platform.runtime(), application.hub.clone()));
        let service = Self {
            address,
            counters: server.counters(),
            cuts: Cuts::default(),
            shutdown: Shared::new(false),
            cancel: Shared::new(false),
            over: Shared::new(false),
        };
        let listener = Cutting::new(listener, &service.cuts);
        let (shutdown, cancel, over) =
            (service.shutdown.clone(), service.cancel.clone(), service.over.clone());
        let (hub, timer) = (application.hub.clone(), platform.runtime());
        platform.runtime().spawn(async move {
            let ends = async move { shutdown.is_set().await };
            let handler = move |request: Request<Bytes>| {
                let answer = hub.accept(&request, session(&request, &timer));
                // Before the session is polled for the first time.
                for number in 0..burst(&request) {
                    hub.publish(Audience::Everyone, &Event::new(number.to_string())).unwrap();
                }
                async move { answer }
            };
            unless(&cancel, server.serve(listener, ends, handler)).await;
            over.set();
        });
        service
    }

    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.set();
    }

    /// Begins the shutdown, and waits until the server has returned.
    pub(crate) async fn shut_down(&self) {
        self.begin_shutdown();
        self.over.is_set().await;
    }

    /// Drops the future that serves.
    pub(crate) async fn cancel(&self) {
        self.cancel.set();
        self.over.is_set().await;
    }

    pub(crate) fn url(&self, query: &str) -> String {
        format!("http://{}/events{query}", self.address)
    }

    pub(crate) fn source<P: Platform>(&self, platform: &P, query: &str) -> Source<P> {
        self.source_with(platform, query, quick())
    }

    pub(crate) fn source_with<P: Platform>(
        &self,
        platform: &P,
        query: &str,
        config: ClientConfig,
    ) -> Source<P> {
        let request = Request::get(self.url(query)).body(Bytes::new()).unwrap();
        EventSource::new(Http1::new(platform.connector()), platform.runtime(), request, config)
    }
}

impl Drop for Service {
    /// For executors that outlive the scenario.
    fn drop(&mut self) {
        self.cancel.set();
    }
}

/// The items of the query.
fn query(request: &Request<Bytes>) -> impl Iterator<Item = (&str, &str)> {
    let items = request.uri().query().into_iter().flat_map(|query| query.split('&'));
    items.map(|item| item.split_once('=').unwrap_or((item, "")))
}

/// How many events the query asks for at once.
fn burst(request: &Request<Bytes>) -> usize {
    query(request).find(|(name, _)| *name == "burst").map_or(0, |(_, count)| count.parse().unwrap())
}

/// What the query asks for: whose session it is, what it listens to and for how long, what it meets
/// when it is slow, and by which type of event it is told of its place and of gaps, which then come
/// as messages.
fn session(request: &Request<Bytes>, timer: &impl Timer) -> SessionConfig {
    let mut session = SessionConfig::new();
    for item in query(request) {
        session = match item {
            ("client", name) => session.with_client(ClientId::new(name).unwrap()),
            ("lag", "skip") => session.with_lag(LagPolicy::SkipToOldest),
            ("lag", "close") => session.with_lag(LagPolicy::Close),
            ("told", type_name) => {
                session.with_notices(Some(EventType::new(type_name.to_owned()).unwrap()))
            }
            ("topic", name) => session.with_topic(TopicName::new(name).unwrap()).topics_only(),
            ("lease", millis) => {
                session.with_lease(timer.now() + Duration::from_millis(millis.parse().unwrap()))
            }
            ("burst", _) => session,
            _ => panic!("the query is not understood: {item:?}"),
        };
    }
    session
}

/// Runs a future until it is ready, or drops it before.
pub(crate) async fn unless(cancel: &Shared<bool>, future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut cancelled = pin!(cancel.is_set());
    poll_fn(|context| {
        if cancelled.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        future.as_mut().poll(context)
    })
    .await;
}

/// The defaults, but for the pauses, which are short.
pub(crate) fn quick() -> ClientConfig {
    let mut config = ClientConfig::new(1);
    config.policy.reconnection.initial = PAUSE;
    config.policy.reconnection.max_backoff = None;
    config
}

/// Reads until the client knows its place, from which nothing published from now on is lost.
pub(crate) async fn placed<P: Platform>(source: &mut Source<P>) {
    use futures_core::Stream;
    poll_fn(|context| {
        while let Poll::Ready(event) = Pin::new(&mut *source).poll_next(context) {
            match event.expect("it goes on") {
                SourceEvent::Open { .. } | SourceEvent::Retrying { .. } => {}
                event => panic!("before anything was published: {event:?}"),
            }
        }
        if source.last_event_id().is_empty() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

/// The data of the next message, whatever is lost before it.
pub(crate) async fn message<P: Platform>(source: &mut Source<P>) -> String {
    loop {
        match source.next().await.expect("it goes on") {
            SourceEvent::Message(message) => return message.data,
            SourceEvent::Open { .. } | SourceEvent::Retrying { .. } | SourceEvent::Lost { .. } => {}
            event => panic!("no message: {event:?}"),
        }
    }
}

/// The next messages, as numbers.
pub(crate) async fn numbers<P: Platform>(source: &mut Source<P>, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(message::<P>(source).await.parse().unwrap());
    }
    numbers
}

/// Why the connection is lost, which comes next.
pub(crate) async fn loss<P: Platform>(source: &mut Source<P>) -> ClientError {
    match source.next().await {
        Some(SourceEvent::Retrying { error, .. }) => error,
        event => panic!("no loss: {event:?}"),
    }
}

/// The failure by which the connection is lost, which comes next.
pub(crate) async fn lost<P: Platform>(source: &mut Source<P>) -> FailureKind {
    match loss::<P>(source).await {
        ClientError::Transport(failure) => failure.kind(),
        error => panic!("no failure of the connection: {error:?}"),
    }
}

//! What is the same on all stacks: the hub, and what each path answers.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use sansse::broker::{BrokerConfig, Epoch, SessionConfig, TopicName};
use sansse::http::{AcceptConfig, Cors, Hosts, ResponseHead};
use sansse::hub::{Answer, HubBuilder};
use sansse::net::Timer;
use sansse::{Event, Hub};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a peer may take nothing, on each stack by its own means. On a busy machine, a peer that
/// reads is without the processor for a second now and then.
pub(crate) const STALL: Duration = Duration::from_secs(5);

/// How long a server takes to end, at most.
pub(crate) const PERIOD: Duration = Duration::from_secs(4);

/// A hub's configuration, with a few things that scenarios set.
pub(crate) struct Setup {
    pub(crate) broker: BrokerConfig,
    pub(crate) accept: AcceptConfig,
    pub(crate) head: ResponseHead,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let mut broker = BrokerConfig::new(Epoch(0xfeed));
        broker.session.stall_timeout = Some(STALL);
        Self { broker, accept: AcceptConfig::new(), head: ResponseHead::new() }
    }

    pub(crate) fn for_one_session() -> Self {
        let mut setup = Self::new();
        setup.broker.limits.sessions.most = 1.try_into().unwrap();
        setup
    }

    /// One that lets pages of `https://app.example` ask and read, and no others.
    pub(crate) fn for_pages() -> Self {
        let origin = "https://app.example";
        let hosts = Hosts::new().with_name("sansse.example").unwrap().with_origin(origin).unwrap();
        Self {
            accept: AcceptConfig::new().with_hosts(hosts),
            head: ResponseHead::new().with_cors(Cors::origins([origin]).unwrap()),
            ..Self::new()
        }
    }

    /// Makes the hub and spawns what drives it.
    pub(crate) fn hub(self, timer: impl Timer, spawn: impl FnOnce(sansse::hub::Drive)) -> Hub {
        let builder =
            HubBuilder::new(self.broker).with_accept(self.accept).with_response_head(self.head);
        let (hub, drive) = builder.build(timer).unwrap();
        spawn(drive);
        hub
    }
}

/// A server of a stack, which stops by `stop`.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Hub,
    /// Begins to stop it as its users do, and waits until it has.
    pub(crate) stop: Box<dyn FnOnce() -> futures_util::future::BoxFuture<'static, ()> + Send>,
}

pub(crate) trait Stack {
    /// Which version its peers speak.
    const HTTP2: bool = false;
    /// Which headers are for a proxy that is part of it, and come no further.
    const KEPT_BY_A_PROXY: &[&str] = &[];

    fn start(setup: Setup) -> impl Future<Output = Served>;
}

/// What a request listens to: `?topic=a` to a topic alone, `?topic=a&over=b` the same with an event
/// in place of 204 when that is over.
pub(crate) fn session(uri: &Uri) -> SessionConfig {
    let query = uri.query().unwrap_or_default();
    let mut config = SessionConfig::new();
    for item in query.split('&') {
        config = match item.split_once('=') {
            Some(("topic", name)) => config.with_topic(TopicName::new(name).unwrap()).topics_only(),
            Some(("over", data)) => config.with_event_when_over(Event::new(data.to_owned())),
            _ => config,
        };
    }
    config
}

pub(crate) type Events = stream::BoxStream<'static, Result<Event, String>>;

/// `/whole`: three events. `/fails`: one, and an error that is nobody's business.
pub(crate) fn events(is_whole: bool) -> Events {
    let three = stream::iter(1..=3).map(|number| Ok(Event::new(number.to_string())));
    if is_whole {
        three.boxed()
    } else {
        three.take(1).chain(stream::iter([Err("the secret reason".to_owned())])).boxed()
    }
}

/// `/panics/stream`: one event, and a panic.
pub(crate) fn panicking() -> impl Stream<Item = Result<Event, String>> + Send + 'static {
    stream::iter(0..2).then(|number| async move {
        // The event before it is on its way.
        yield_once().await;
        assert!(number == 0, "this is what the test wants");
        Ok(Event::new("before"))
    })
}

/// Lets others run once, on any executor.
async fn yield_once() {
    let mut has_yielded = false;
    std::future::poll_fn(|context| {
        if has_yielded {
            return std::task::Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// What a stack without routes of its own answers.
pub(crate) fn answer<B>(hub: &Hub, request: &Request<B>) -> Answer {
    match (request.method(), request.uri().path()) {
        (_, "/events") => hub.accept(request, session(request.uri())),
        (&Method::GET, "/whole") => Answer::stream(events(true)),
        (&Method::GET, "/fails") => Answer::stream(events(false)),
        (&Method::GET, "/panics/stream") => Answer::stream(panicking()),
        (&Method::GET, "/panics") => panic!("this is what the test wants"),
        _ => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response.into()
        }
    }
}

/// The headers of an answer that are not those of its connection and its day.
pub(crate) fn is_said_by_the_core(name: &HeaderName) -> bool {
    !["connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"]
        .contains(&name.as_str())
}

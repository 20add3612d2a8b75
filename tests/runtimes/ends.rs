//! What a reader is told at the end of its stream: whether that was all.

use crate::platform::Platform;
use crate::raw::Raw;
use crate::service::{Application, Service, config, quick};
use sansse::broker::{
    BrokerConfig, ClientId, Drain, EndReason, LimitPolicy, MaxAge, SessionConfig, StreamEnd,
    TopicName,
};
use sansse::client::{ClientError, CloseReason};
use sansse::net::FailureKind;
use sansse::{Hub, SourceEvent};
use std::num::NonZeroUsize;
use std::time::Duration;

/// More bytes than sockets hold.
const LARGE: NonZeroUsize = NonZeroUsize::new(16 << 20).unwrap();

/// A reader's query, and what is done to the session that it gets.
struct Way {
    query: &'static str,
    config: fn(&mut BrokerConfig),
    act: fn(&Application),
    reason: EndReason,
}

const UNTOUCHED: Way =
    Way { query: "?client=a", config: |_| {}, act: |_| {}, reason: EndReason::Disconnected };

/// Ends of sessions that lost something, or may get no more.
fn cuts() -> [Way; 5] {
    [
        Way {
            query: "?lag=close&burst=10",
            config: |config| config.retention.events = 4.try_into().unwrap(),
            reason: EndReason::Lagged { lost: 6 },
            ..UNTOUCHED
        },
        Way {
            config: |config| {
                config.limits.sessions.most = 1.try_into().unwrap();
                config.limits.sessions.policy = LimitPolicy::EvictOldest;
            },
            act: |application| drop(application.hub.open(SessionConfig::new()).unwrap()),
            reason: EndReason::Evicted,
            ..UNTOUCHED
        },
        Way {
            act: |application| {
                assert_eq!(application.hub.revoke(&ClientId::new("a").unwrap()), Ok(1));
            },
            reason: EndReason::Revoked,
            ..UNTOUCHED
        },
        Way { query: "?lease=100", reason: EndReason::LeaseExpired, ..UNTOUCHED },
        Way { act: |application| application.hub.abort(), reason: EndReason::Aborted, ..UNTOUCHED },
    ]
}

/// Ends of sessions that have all that was published so far.
fn early() -> [Way; 3] {
    [
        Way {
            act: |application| application.hub.close(),
            reason: EndReason::Shutdown,
            ..UNTOUCHED
        },
        Way {
            act: |application| application.hub.drain(Drain::new(Duration::ZERO)).unwrap(),
            reason: EndReason::Drained,
            ..UNTOUCHED
        },
        Way {
            config: |config| {
                let age = Duration::from_millis(100);
                config.session.max_age = Some(MaxAge::new(age, Duration::ZERO).unwrap());
            },
            reason: EndReason::MaxAge,
            ..UNTOUCHED
        },
    ]
}

fn complete() -> [Way; 2] {
    [
        Way {
            act: |application| {
                let session = application.happened.update(|happened| {
                    happened.iter().find_map(|event| match event {
                        sansse::broker::BrokerEvent::SessionOpened { session, .. } => {
                            Some(*session)
                        }
                        _ => None,
                    })
                });
                assert!(application.hub.close_session(session.unwrap()));
            },
            reason: EndReason::Closed,
            ..UNTOUCHED
        },
        Way {
            query: "?topic=t",
            act: |application| end_topic(&application.hub),
            reason: EndReason::TopicsEnded,
            ..UNTOUCHED
        },
    ]
}

fn end_topic(hub: &Hub) {
    hub.end_topic(&TopicName::new("t").unwrap()).unwrap();
}

pub(crate) async fn a_stream_that_is_not_complete_is_truncated_for_one_who_reads_once<
    P: Platform,
>(
    platform: P,
) {
    for way in cuts().into_iter().chain(early()) {
        let end = read_once(&platform, &way).await;
        let CloseReason::Failed(ClientError::Truncated(by)) = &end else {
            panic!("{}: {end:?}", way.reason)
        };
        let ClientError::Transport(failure) = &**by else { panic!("{}: {by:?}", way.reason) };
        assert_eq!(failure.kind(), FailureKind::Truncated, "{}", way.reason);
    }
}

pub(crate) async fn a_stream_that_is_complete_is_finished_for_one_who_reads_once<P: Platform>(
    platform: P,
) {
    for way in complete() {
        assert_eq!(read_once(&platform, &way).await, CloseReason::Finished, "{}", way.reason);
    }
}

/// On the wire; our own client knows from the notice before it that there will be more.
pub(crate) async fn an_early_end_is_in_good_order_where_that_is_set<P: Platform>(platform: P) {
    for way in early() {
        for early_end in [StreamEnd::Clean, StreamEnd::Cut] {
            let (application, service) = start(&platform, &way, Some(early_end));
            let mut peer = Raw::connect(&platform, service.address).await;
            peer.write(format!("GET /events{} HTTP/1.1\r\nhost: a\r\n\r\n", way.query)).await;
            application.opened(1).await;
            (way.act)(&application);
            let (bytes, end) = peer.read_to_end().await;
            assert_eq!(application.ended(1).await[0], way.reason);
            let is_complete = bytes.ends_with(b"\r\n0\r\n\r\n");
            assert_eq!(is_complete, early_end == StreamEnd::Clean, "{}", way.reason);
            assert_eq!(end, Ok(()), "{}", way.reason);
        }
    }
}

/// How it ends for a client of one answer.
async fn read_once<P: Platform>(platform: &P, way: &Way) -> CloseReason {
    let (application, service) = start(platform, way, None);
    let mut config = quick();
    config.one_shot = true;
    let mut source = service.source_with(platform, way.query, config);
    loop {
        match source.next().await.expect("it has an end") {
            SourceEvent::Open { .. } => (way.act)(&application),
            SourceEvent::Message(_) => {}
            SourceEvent::Closed(end) => {
                assert_eq!(application.ended(1).await[0], way.reason);
                return end;
            }
            event => panic!("{}: {event:?}", way.reason),
        }
    }
}

fn start<P: Platform>(
    platform: &P,
    way: &Way,
    early_end: Option<StreamEnd>,
) -> (Application, Service) {
    let mut config = config();
    (way.config)(&mut config);
    let application = match early_end {
        None => Application::new(platform, config),
        Some(end) => Application::with(platform, config, |builder| builder.with_early_end(end)),
    };
    let service = Service::start(platform, &application);
    (application, service)
}

/// To a peer of HTTP/1.0 nothing ends the stream but the end of the connection.
pub(crate) async fn an_old_peer_is_told_by_a_reset_that_its_stream_is_not_complete<P: Platform>(
    platform: P,
) {
    let stalls = Way {
        config: |config| {
            config.session.stall_timeout = Some(Duration::from_millis(200));
            config.retention.bytes = LARGE.saturating_mul(2.try_into().unwrap());
            config.limits.retained_bytes = config.retention.bytes;
        },
        reason: EndReason::Stalled,
        ..UNTOUCHED
    };
    let mut ended = Vec::new();
    for way in complete().into_iter().chain(cuts()).chain(early()).chain([stalls]) {
        let (application, service) = start(&platform, &way, None);
        let mut peer = Raw::connect(&platform, service.address).await;
        peer.write(format!("GET /events{} HTTP/1.0\r\n\r\n", way.query)).await;
        application.opened(1).await;
        if way.reason == EndReason::Stalled {
            application.broadcast("x".repeat(LARGE.get()));
            application.ended(1).await;
        }
        (way.act)(&application);
        ended.push((way, application, service, peer));
    }
    for (way, application, _service, mut peer) in ended {
        let (bytes, end) = peer.read_to_end().await;
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", way.reason);
        assert_eq!(application.ended(1).await[0], way.reason);
        let expected = match way.reason {
            EndReason::Closed | EndReason::TopicsEnded => Ok(()),
            _ => Err(FailureKind::Closed),
        };
        assert_eq!(end, expected, "{}", way.reason);
    }
}

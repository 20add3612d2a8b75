//! Refusals for now over sockets: a client comes back by itself, whatever it was refused for.

use crate::platform::Platform;
use crate::service::{Application, Service, Source, config, loss, message, placed};
use futures_core::Stream;
use sansse::broker::{BrokerConfig, Drain, Epoch, SessionConfig};
use sansse::client::ClientError;
use sansse::{Event, RefusalReason, SourceEvent};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

/// As short as the time can be that refusals tell: it is in whole seconds.
const SECOND: Duration = Duration::from_secs(1);

fn calling_back() -> BrokerConfig {
    let mut config = config();
    config.reconnect.retry_after = SECOND;
    config
}

/// Reads until the client was refused so often, for this reason.
async fn refused<P: Platform>(source: &mut Source<P>, times: usize, reason: RefusalReason) {
    let mut heard = 0;
    while heard < times {
        match source.next().await {
            Some(SourceEvent::Retrying { error: ClientError::Refused(why), wait, .. }) => {
                assert_eq!(why, reason);
                assert!(wait >= SECOND, "{wait:?}");
                heard += 1;
            }
            Some(SourceEvent::Open { .. } | SourceEvent::Comment(_)) => {}
            event => panic!("it was to come back: {event:?}"),
        }
    }
}

/// Publishes something when so many sessions have been opened, and reads until it comes.
async fn served<P: Platform>(source: &mut Source<P>, application: &Application, sessions: usize) {
    let mut opened = pin!(application.opened(sessions));
    let mut is_published = false;
    poll_fn(|context| {
        loop {
            if !is_published && opened.as_mut().poll(context).is_ready() {
                application.broadcast("after");
                is_published = true;
            }
            match ready!(Pin::new(&mut *source).poll_next(context)) {
                Some(SourceEvent::Message(message)) => {
                    assert_eq!(message.data, "after");
                    return Poll::Ready(());
                }
                event @ (None | Some(SourceEvent::Closed(_))) => {
                    panic!("it was to come back: {event:?}")
                }
                Some(_) => {}
            }
        }
    })
    .await;
}

pub(crate) async fn a_client_comes_back_to_a_hub_that_was_full<P: Platform>(platform: P) {
    let mut config = calling_back();
    config.limits.sessions.most = 1.try_into().unwrap();
    let application = Application::new(&platform, config);
    let service = Service::start(&platform, &application);
    let other = application.hub.open(SessionConfig::new()).unwrap();
    let mut source = service.source(&platform, "");
    refused::<P>(&mut source, 2, RefusalReason::Full).await;
    drop(other);
    served::<P>(&mut source, &application, 2).await;
}

pub(crate) async fn a_client_comes_back_to_a_server_that_had_no_room<P: Platform>(platform: P) {
    let application = Application::new(&platform, calling_back());
    let service =
        Service::start_with(&platform, &application, None, |server| server.with_max_connections(1));
    let mut first = service.source(&platform, "");
    placed::<P>(&mut first).await;
    let mut source = service.source(&platform, "");
    refused::<P>(&mut source, 2, RefusalReason::Connections).await;
    assert!(service.counters.snapshot().refused >= 2);
    drop(first);
    served::<P>(&mut source, &application, 2).await;
}

/// Called back into the drain, which a session that takes nothing makes last, and then to another
/// server at the same address.
pub(crate) async fn a_client_comes_back_after_a_drain_and_a_restart<P: Platform>(platform: P) {
    let application = Application::new(&platform, calling_back());
    let service = Service::start(&platform, &application);
    let mut source = service.source(&platform, "");
    placed::<P>(&mut source).await;
    let stuck = application.hub.open(SessionConfig::new()).unwrap();
    application.broadcast("never taken");
    let drain = Drain::new(Duration::from_millis(1))
        .with_retry(SECOND, Duration::ZERO)
        .with_farewell(Event::new("bye"));
    application.hub.drain(drain).unwrap();
    for expected in ["never taken", "bye"] {
        assert_eq!(message::<P>(&mut source).await, expected);
    }
    assert_eq!(loss::<P>(&mut source).await, ClientError::EndOfStream, "it was announced");
    refused::<P>(&mut source, 2, RefusalReason::Draining).await;
    assert!(application.hub.counters().refused.closing >= 2);

    let mut other = config();
    other.epoch = Epoch(0xb);
    let again = Application::new(&platform, other);
    service.shut_down().await;
    drop(stuck);
    let _service = Service::start_on(&platform, &again, Some(service.address));
    served::<P>(&mut source, &again, 1).await;
}

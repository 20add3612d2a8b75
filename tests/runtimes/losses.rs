//! Connections that break, and servers that come back.

use crate::platform::Platform;
use crate::service::{Application, Service, config, loss, lost, message, numbers, placed};
use sansse::SourceEvent;
use sansse::broker::{BrokerConfig, Epoch, OnUnknownId};
use sansse::client::ClientError;
use sansse::net::FailureKind;

/// At any byte: in the head, between the chunks, and in the middle of events.
pub(crate) async fn resume_after_cut<P: Platform>(platform: P) {
    const EVENTS: usize = 30;
    for first in (1..900).step_by(43) {
        let application = Application::new(&platform, config());
        let service = Service::start(&platform, &application);
        service.cuts.after([first, first * 7 % 900 + 1, 1000 - first]);
        let mut source = service.source(&platform, "");
        placed::<P>(&mut source).await;
        application.count(0..EVENTS);
        let mut received = Vec::new();
        while received.len() < EVENTS {
            match source.next().await.unwrap() {
                SourceEvent::Message(message) => {
                    received.push(message.data.parse::<usize>().unwrap());
                }
                SourceEvent::Retrying { error: ClientError::Transport(failure), .. } => {
                    let kind = failure.kind();
                    let is_cut = matches!(kind, FailureKind::Truncated | FailureKind::Closed);
                    assert!(is_cut, "{failure:?}");
                }
                SourceEvent::Open { .. } => {}
                event => panic!("cut after {first}: {event:?}"),
            }
        }
        assert!(received.into_iter().eq(0..EVENTS), "cut after {first}");
        let accepted = service.counters.snapshot().accepted;
        assert!((2..=4).contains(&accepted), "cut after {first}: {accepted}");
        assert_eq!(source.last_event_id(), format!("a-{EVENTS}"));
    }
}

/// The hub goes on, and so nothing is lost, though it is published while nobody listens.
pub(crate) async fn restart_with_the_same_hub<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let mut service = Service::start(&platform, &application);
    let mut source = service.source(&platform, "?told=about");
    assert!(matches!(source.next().await, Some(SourceEvent::Open { .. })));
    assert_eq!(
        message::<P>(&mut source).await,
        r#"{"stream":"live","replayed":0,"lost":0,"reason":null}"#
    );
    for round in 0..3 {
        let first = round * 20;
        application.count(first..first + 10);
        let expected: Vec<usize> = (first..first + 10).collect();
        assert_eq!(numbers::<P>(&mut source, 10).await, expected);

        service.cancel().await;
        service.cuts.all();
        let error = loss::<P>(&mut source).await;
        assert!(matches!(error, ClientError::Transport(_)), "{error:?}");
        application.count(first + 10..first + 20);
        let error = loss::<P>(&mut source).await;
        let refused = FailureKind::Connect;
        assert!(
            matches!(&error, ClientError::Transport(failure) if failure.kind() == refused),
            "{error:?}"
        );

        service = Service::start_on(&platform, &application, Some(service.address));
        let told = message::<P>(&mut source).await;
        assert_eq!(told, r#"{"stream":"complete","replayed":10,"lost":0,"reason":null}"#);
        let expected: Vec<usize> = (first + 10..first + 20).collect();
        assert_eq!(numbers::<P>(&mut source, 10).await, expected);
    }
}

/// Another process cannot know what the first one published, and says so.
pub(crate) async fn restart_with_a_new_epoch<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut source = service.source(&platform, "?told=about");
    assert!(matches!(source.next().await, Some(SourceEvent::Open { .. })));
    assert_eq!(
        message::<P>(&mut source).await,
        r#"{"stream":"live","replayed":0,"lost":0,"reason":null}"#
    );
    application.count(0..10);
    assert_eq!(numbers::<P>(&mut source, 10).await, (0..10).collect::<Vec<_>>());
    service.shut_down().await;
    assert_eq!(lost::<P>(&mut source).await, FailureKind::Truncated);

    let mut config = BrokerConfig::new(Epoch(0xb));
    config.session.on_unknown_id = OnUnknownId::ReplayKept;
    let application = Application::new(&platform, config);
    application.count(100..105);
    let _service = Service::start_on(&platform, &application, Some(service.address));
    let told = message::<P>(&mut source).await;
    assert_eq!(told, r#"{"stream":"gap","replayed":5,"lost":null,"reason":"restart"}"#);
    assert_eq!(numbers::<P>(&mut source, 5).await, (100..105).collect::<Vec<_>>());
    application.count(105..110);
    assert_eq!(numbers::<P>(&mut source, 5).await, (105..110).collect::<Vec<_>>());
    assert_eq!(source.last_event_id(), "b-10");
}

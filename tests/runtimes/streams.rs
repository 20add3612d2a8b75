//! Who gets what.

use crate::platform::Platform;
use crate::service::{Application, Service, config, message, numbers, placed};
use sansse::broker::{Audience, ClientId};
use sansse::client::ReadyState;
use sansse::{Event, EventType, SourceEvent};

pub(crate) async fn connect<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut source = service.source(&platform, "");
    assert_eq!(source.state(), ReadyState::Connecting);
    let event = source.next().await;
    let Some(SourceEvent::Open(head)) = &event else { panic!("{event:?}") };
    assert_eq!((&head.url, source.state()), (source.url(), ReadyState::Open));
    assert_eq!(head.url.to_string(), service.url(""));
    assert_eq!(head.headers["content-type"], "text/event-stream");
    assert_eq!(head.resumed_from, None);

    placed::<P>(&mut source).await;
    assert_eq!((application.hub.counters().sessions, source.last_event_id()), (1, "a-0"));
    let hello = Event::new("hello\nworld").with_type(EventType::new("greeting").unwrap());
    application.hub.publish(Audience::Everyone, &hello).unwrap();
    let event = source.next().await;
    let Some(SourceEvent::Message(message)) = event else { panic!("{event:?}") };
    assert_eq!((message.event_type.as_str(), message.data.as_str()), ("greeting", "hello\nworld"));
    assert_eq!(message.last_event_id.as_str(), "a-1");
    let counted = service.counters.snapshot();
    assert_eq!((counted.accepted, counted.requests, counted.streams, counted.open), (1, 1, 1, 1));
}

pub(crate) async fn broadcast<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut sources = Vec::new();
    for _ in 0..10 {
        let mut source = service.source(&platform, "");
        placed::<P>(&mut source).await;
        sources.push(source);
    }
    let all: Vec<usize> = (0..200).collect();
    application.count(0..100);
    application.count(100..200);
    for source in &mut sources {
        assert_eq!(numbers::<P>(source, 200).await, all);
    }
    // It was that, and nothing beside it.
    application.broadcast("the last");
    for source in &mut sources {
        assert_eq!(message::<P>(source).await, "the last");
        assert_eq!(source.last_event_id(), "a-201");
    }
}

pub(crate) async fn per_client_send<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut sources = Vec::new();
    for name in ["?client=alice", "?client=alice", "?client=bob", ""] {
        let mut source = service.source(&platform, name);
        placed::<P>(&mut source).await;
        sources.push(source);
    }
    let sessions = application.opened(4).await;
    let send = |topic: Audience, data: String| {
        application.hub.publish(topic, &Event::new(data)).unwrap();
    };
    let of = |name| Audience::Client(ClientId::new(name).unwrap());
    for round in 0..20 {
        send(of("alice"), format!("{round} to alice"));
        send(of("bob"), format!("{round} to bob"));
        send(Audience::Session(sessions[1]), format!("{round} to her second"));
        send(Audience::Everyone, format!("{round} to all"));
    }
    let expected: [&[&str]; 4] =
        [&["alice", "all"], &["alice", "her second", "all"], &["bob", "all"], &["all"]];
    for (source, expected) in sources.iter_mut().zip(expected) {
        for round in 0..20 {
            for whom in expected {
                assert_eq!(message::<P>(source).await, format!("{round} to {whom}"));
            }
        }
    }
    assert!(application.hub.sessions_of(&ClientId::new("bob").unwrap()) == Some(1));
}

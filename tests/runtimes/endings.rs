//! How servers end, and what dropping something ends: that, and nothing else.

use crate::platform::Platform;
use crate::service::{
    Application, Service, config, loss, lost, message, numbers, placed, quick, unless,
};
use crate::shared::Shared;
use futures_core::Stream;
use sansse::broker::{Audience, EndReason, PublishError, SessionConfig};
use sansse::client::ClientError;
use sansse::feed::{FeedEvent, Subscription};
use sansse::net::{FailureKind, Runtime};
use sansse::{Event, Feed, OwnedMessage, SourceEvent};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

pub(crate) async fn drain<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut sources = Vec::new();
    for _ in 0..3 {
        let mut source = service.source(&platform, "");
        placed::<P>(&mut source).await;
        sources.push(source);
    }
    application.count(0..50);
    service.shut_down().await;
    assert_eq!(application.ended(3).await, [EndReason::Shutdown; 3]);
    assert_eq!((application.hub.counters().sessions, service.counters.snapshot().open), (0, 0));
    assert!(application.hub.publish(Audience::Everyone, &Event::new("late")).is_err());
    for source in &mut sources {
        // All that was published, an end that calls it back, and then nobody is there any more.
        assert_eq!(numbers::<P>(source, 50).await, (0..50).collect::<Vec<_>>());
        assert_eq!(lost::<P>(source).await, FailureKind::Truncated);
        let error = loss::<P>(source).await;
        let refused = FailureKind::Connect;
        assert!(
            matches!(&error, ClientError::Transport(failure) if failure.kind() == refused),
            "{error:?}"
        );
    }
}

/// The other client, and the hub, notice nothing.
pub(crate) async fn cancel_a_client_by_drop<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut stays = service.source(&platform, "");
    placed::<P>(&mut stays).await;
    for round in 0..3 {
        let mut leaves = service.source(&platform, "");
        placed::<P>(&mut leaves).await;
        application.count([2 * round]);
        assert_eq!(numbers::<P>(&mut leaves, 1).await, [2 * round]);
        drop(leaves);
        let ends = application.ended(round + 1).await;
        assert_eq!(ends, vec![EndReason::Disconnected; round + 1]);
        application.count([2 * round + 1]);
        assert_eq!(numbers::<P>(&mut stays, 2).await, [2 * round, 2 * round + 1]);
        assert_eq!(application.hub.counters().sessions, 1);
    }
    // Before anything was sent, too.
    drop(service.source(&platform, ""));
    assert_eq!(service.counters.snapshot().accepted, 4);
}

/// A wait that nobody waits for any more makes no request.
pub(crate) async fn cancel_a_wait_by_drop<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut stays = service.source(&platform, "");
    let mut leaves = service.source(&platform, "");
    placed::<P>(&mut stays).await;
    placed::<P>(&mut leaves).await;
    service.cuts.all();
    loss::<P>(&mut leaves).await;
    drop(leaves);
    application.count([1]);
    assert_eq!(numbers::<P>(&mut stays, 1).await, [1]);
    assert_eq!(service.counters.snapshot().accepted, 3);
}

pub(crate) async fn cancel_readers_of_a_feed_by_drop<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let (feed, driver) = Feed::new(service.source(&platform, "?told=hello"));
    let over = Shared::new(false);
    let cancel = Shared::new(false);
    let (told, cancelled) = (over.clone(), cancel.clone());
    // Before the driver runs, or it might have told the first one before there is a second.
    let mut first = feed.subscribe();
    let mut second = feed.subscribe();
    platform.runtime().spawn(async move {
        unless(&cancelled, driver).await;
        told.set();
    });
    for reader in [&mut first, &mut second] {
        assert_eq!(message_of_feed(reader).await.event_type.as_str(), "hello");
    }
    // A reader that leaves is missed by nobody.
    drop(first);
    application.broadcast("a");
    assert_eq!(message_of_feed(&mut second).await.data, "a");
    assert_eq!(application.hub.counters().sessions, 1);
    // The last handle but one is not the last.
    drop(feed);
    application.broadcast("b");
    assert_eq!(message_of_feed(&mut second).await.data, "b");
    drop(second);
    over.is_set().await;
    assert_eq!(application.ended(1).await, [EndReason::Disconnected]);

    // The driver takes all its readers along.
    let (feed, driver) = Feed::new(service.source(&platform, "?told=hello"));
    let (over, cancel) = (Shared::new(false), Shared::new(false));
    let (told, cancelled) = (over.clone(), cancel.clone());
    let mut readers = [feed.subscribe(), feed.subscribe()];
    platform.runtime().spawn(async move {
        unless(&cancelled, driver).await;
        told.set();
    });
    for reader in &mut readers {
        assert_eq!(message_of_feed(reader).await.event_type.as_str(), "hello");
    }
    cancel.set();
    for reader in &mut readers {
        assert!(reader.next().await.is_none());
    }
    over.is_set().await;
    assert_eq!(application.ended(2).await, [EndReason::Disconnected; 2]);
}

/// A feed's next message, after the news that its stream is open.
async fn message_of_feed(reader: &mut Subscription) -> Arc<OwnedMessage> {
    loop {
        match reader.next().await {
            Some(FeedEvent::Message(message)) => return message,
            Some(FeedEvent::Open(_)) => {}
            event => panic!("{event:?}"),
        }
    }
}

/// The notice with which a stream begins, without its id.
const LIVE: &str = "event: sansse-notice\n\
    data: {\"stream\":\"live\",\"replayed\":0,\"lost\":0,\"reason\":null}\n\n";

pub(crate) async fn cancel_a_session_by_drop<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let stays = application.hub.open(SessionConfig::new()).unwrap();
    let leaves = application.hub.open(SessionConfig::new()).unwrap();
    application.broadcast("a");
    drop(leaves);
    assert_eq!(application.ended(1).await, [EndReason::Disconnected]);
    application.broadcast("b");
    let mut stays = stays;
    let mut frames = String::new();
    while !frames.contains("data: b") {
        let frame =
            poll_fn(|context| Pin::new(&mut stays).poll_next(context)).await.unwrap().unwrap();
        frames.push_str(std::str::from_utf8(frame.as_ref()).unwrap());
    }
    let events = "id: a-1\ndata: a\n\nid: a-2\ndata: b\n\n";
    assert_eq!(frames, format!("retry: 5\nid: a-0\n{LIVE}{events}"));
    // A future that is dropped while it waits takes nothing with it.
    {
        let mut next = Box::pin(poll_fn(|context| Pin::new(&mut stays).poll_next(context)));
        poll_fn(|context| {
            assert!(next.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    application.broadcast("c");
    let frame = poll_fn(|context| Pin::new(&mut stays).poll_next(context)).await.unwrap().unwrap();
    assert_eq!(frame.as_ref(), b"id: a-3\ndata: c\n\n");
}

/// Nobody is accepted any more, and the streams go on.
pub(crate) async fn cancel_a_server_by_drop<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut source = service.source(&platform, "");
    placed::<P>(&mut source).await;
    service.cancel().await;
    application.broadcast("still here");
    assert_eq!(message::<P>(&mut source).await, "still here");
    let mut late = service.source(&platform, "");
    let error = loss::<P>(&mut late).await;
    let refused = FailureKind::Connect;
    assert!(
        matches!(&error, ClientError::Transport(failure) if failure.kind() == refused),
        "{error:?}"
    );
    assert_eq!(application.hub.counters().sessions, 1);
}

/// A hub closes when its driver is dropped: sessions get what came before, and their end. The driver
/// ends when nobody has the hub, and not before.
pub(crate) async fn cancel_a_hub_by_drop<P: Platform>(platform: P) {
    let (hub, drive) = sansse::Hub::new(platform.runtime(), config()).unwrap();
    let mut session = hub.open(SessionConfig::new()).unwrap();
    hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    drop(drive);
    let refused = hub.publish(Audience::Everyone, &Event::new("b"));
    assert_eq!(refused, Err(PublishError::NotDriven));
    for expected in [&format!("retry: 5\nid: a-0\n{LIVE}"), "id: a-1\ndata: a\n\n"] {
        let frame =
            poll_fn(|context| Pin::new(&mut session).poll_next(context)).await.unwrap().unwrap();
        assert_eq!(frame.as_ref(), expected.as_bytes());
    }
    let cut = poll_fn(|context| Pin::new(&mut session).poll_next(context)).await.unwrap();
    assert_eq!(cut.unwrap_err().reason(), Some(EndReason::Shutdown));

    let over = Shared::new(false);
    let (hub, drive) = sansse::Hub::new(platform.runtime(), config()).unwrap();
    let (session, told) = (hub.open(SessionConfig::new()).unwrap(), over.clone());
    platform.runtime().spawn(async move {
        drive.await;
        told.set();
    });
    drop(hub);
    assert!(!over.update(|is_over| *is_over), "a session has it");
    drop(session);
    over.is_set().await;
}

/// `next` may be dropped and asked again: nothing is lost by it.
pub(crate) async fn cancel_a_read_by_drop<P: Platform>(platform: P) {
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let mut source = service.source_with(&platform, "", quick());
    placed::<P>(&mut source).await;
    application.count(0..20);
    let mut received = Vec::new();
    while received.len() < 20 {
        // One poll of each future, wherever it is by then.
        let mut next = Box::pin(source.next());
        let polled = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
        drop(next);
        match polled {
            Poll::Ready(Some(SourceEvent::Message(message))) => {
                received.push(message.data.parse::<usize>().unwrap());
            }
            Poll::Ready(event) => panic!("{event:?}"),
            Poll::Pending => {
                let message = message::<P>(&mut source).await;
                received.push(message.parse().unwrap());
            }
        }
    }
    assert!(received.into_iter().eq(0..20));
}

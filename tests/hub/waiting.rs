//! Publishers that wait, as futures.

use super::BuildStill;
use super::driving::pass;
use super::tasks::{Driver, Probe, block_on, next};
use super::{
    VirtualTimer, client, client_on, config, data, data_of, drain, driven, hub_of, parked,
    request_of, say, seconds, sharded, topic,
};
use sansse::broker::{Audience, BrokerConfig, Pace, PublishError, Published, SessionConfig};
use sansse::hub::Session;
use sansse::{Event, Hub};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a publisher is doing, polled by hand.
struct Task<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    probe: Probe,
}

impl<T> Task<T> {
    fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { future: Box::pin(future), probe: Probe::new() }
    }

    fn poll(&mut self) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.probe.waker()))
    }

    /// Polls it if it was woken.
    fn run(&mut self) -> Poll<T> {
        if self.probe.take_wakes() > 0 { self.poll() } else { Poll::Pending }
    }
}

fn publish_when_room(
    hub: &Hub,
    audience: impl Into<Audience>,
    text: &'static str,
) -> Task<Result<Published, PublishError>> {
    let (hub, audience) = (hub.clone(), audience.into());
    Task::new(async move { hub.publish_when_room(audience, &Event::new(text)).await })
}

fn ready(hub: &Hub, audience: impl Into<Audience>, pace: Pace) -> Task<Result<(), PublishError>> {
    let (hub, audience) = (hub.clone(), audience.into());
    Task::new(async move { hub.ready(audience, pace).await })
}

/// What is kept for one session, and half of what is kept for all, is four events.
fn little() -> BrokerConfig {
    let mut config = config();
    config.private_retention.events = 4.try_into().unwrap();
    config.retention.events = 8.try_into().unwrap();
    config
}

fn ten(hub: &Hub) {
    (0..10).for_each(|_| say(hub, "x"));
}

#[test]
fn what_is_for_one_session_waits_for_room_and_arrives_in_order() {
    let (hub, _) = hub_of(little());
    let probe = Probe::new();
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    for text in ["1", "2", "3", "4"] {
        let mut task = publish_when_room(&hub, session.id(), text);
        assert!(task.poll().is_ready(), "there is room for {text}");
    }
    assert_eq!(hub.publish(session.id(), &Event::new("5")), Err(PublishError::NoRoom));
    let mut task = publish_when_room(&hub, session.id(), "5");
    assert!(task.poll().is_pending() && task.poll().is_pending());
    assert_eq!(hub.counters().published, 4);
    let Poll::Ready(Some(first)) = next(&mut session, &probe) else { panic!() };
    let Poll::Ready(Ok(published)) = task.run() else { panic!("one event makes room for one") };
    assert_eq!(published.position(), 5);
    let rest = data(&drain(&mut session, &probe));
    assert_eq!((data_of(&first).as_deref(), rest.join(" ")), (Some("1"), "2 3 4 5".to_owned()));
}

#[test]
fn who_waits_for_a_session_that_ends_gets_an_error() {
    let (hub, _) = hub_of(little());
    let session = hub.open(SessionConfig::new()).unwrap();
    let id = session.id();
    for _ in 0..4 {
        hub.publish(id, &Event::new("x")).unwrap();
    }
    let mut task = publish_when_room(&hub, id, "x");
    assert!(task.poll().is_pending());
    drop(session);
    assert_eq!(task.run(), Poll::Ready(Err(PublishError::UnknownSession)));
    assert_eq!(
        publish_when_room(&hub, id, "x").poll(),
        Poll::Ready(Err(PublishError::UnknownSession))
    );
    let mut task = publish_when_room(&hub, client("nobody"), "x");
    assert_eq!(task.poll(), Poll::Ready(Err(PublishError::UnknownClient)));
    assert_eq!(ready(&hub, id, Pace::new()).poll(), Poll::Ready(Err(PublishError::UnknownSession)));
    // An id of a hub with more shards than this has.
    let other = sharded(config(), 2).build_still(VirtualTimer::new());
    let stranger = other.open(client_on(1, 2)).unwrap().id();
    let unknown = Poll::Ready(Err(PublishError::UnknownSession));
    assert_eq!(ready(&hub, stranger, Pace::new()).poll(), unknown);
    assert_eq!(publish_when_room(&hub, stranger, "x").poll().map(|one| one.map(|_| ())), unknown);
}

#[test]
fn a_future_that_is_dropped_publishes_nothing_and_leaves_no_waker() {
    let (hub, _) = hub_of(little());
    let probe = Probe::new();
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    for _ in 0..4 {
        hub.publish(session.id(), &Event::new("x")).unwrap();
    }
    ten(&hub);
    let mut tasks = [
        publish_when_room(&hub, session.id(), "not this"),
        publish_when_room(&hub, Audience::Everyone, "nor this"),
    ];
    let wakers = tasks.each_mut().map(|task| {
        assert!(task.poll().is_pending());
        task.probe.clone()
    });
    drop(tasks);
    let all = data(&drain(&mut session, &probe));
    assert!(!all.iter().any(|text| text.ends_with("this")), "{all:?}");
    assert_eq!(wakers.map(|waker| waker.take_wakes()), [0, 0]);
    assert_eq!(hub.counters().published, 14);
}

#[test]
fn what_is_for_all_waits_for_those_who_read_on_every_shard() {
    let (hub, _drive) = sharded(little(), 2).build(VirtualTimer::new()).unwrap();
    let probe = Probe::new();
    let mut readers: [Session; 2] = [0, 1].map(|shard| parked(&hub, client_on(shard, 2), &probe));
    let mut published = 0;
    let mut task = loop {
        let mut task = publish_when_room(&hub, Audience::Everyone, "x");
        if task.poll().is_pending() {
            break task;
        }
        published += 1;
    };
    assert_eq!(published, 5, "four are within half of what is kept, and then comes one more");
    for reader in &mut readers {
        assert!(task.run().is_pending(), "both are waited for");
        assert_eq!(drain(reader, &probe).len(), 5);
    }
    assert!(matches!(task.run(), Poll::Ready(Ok(_))));
    for reader in &mut readers {
        assert_eq!(drain(reader, &probe).len(), 1);
    }
}

#[test]
fn a_reader_that_is_stopped_holds_up_nobody_beyond_the_patience() {
    let mut config = little();
    config.pace = Pace::new().with_patience(seconds(2));
    let (hub, drive, timer) = driven(config);
    let mut driver = Driver::new(drive);
    let probe = Probe::new();
    let (mut reader, stopped) =
        (parked(&hub, SessionConfig::new(), &probe), parked(&hub, SessionConfig::new(), &probe));
    for _ in 0..5 {
        assert!(publish_when_room(&hub, Audience::Everyone, "x").poll().is_ready());
    }
    let mut task = publish_when_room(&hub, Audience::Everyone, "x");
    assert!(task.poll().is_pending());
    drain(&mut reader, &probe);
    pass(&timer, &mut driver, seconds(1));
    assert!(task.run().is_pending());
    pass(&timer, &mut driver, seconds(1));
    assert!(task.run().is_ready());
    for _ in 0..50 {
        assert!(publish_when_room(&hub, Audience::Everyone, "x").poll().is_ready());
        drain(&mut reader, &probe);
    }
    drop(stopped);
}

#[test]
fn all_who_wait_for_the_same_go_on_together_and_one_by_one_when_there_is_room_for_few() {
    let (hub, _) = hub_of(little());
    let probe = Probe::new();
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    ten(&hub);
    let mut all: Vec<_> = (0..20).map(|_| ready(&hub, Audience::Everyone, Pace::new())).collect();
    for task in &mut all {
        assert!(task.poll().is_pending());
    }
    drop(session);
    for task in &mut all {
        assert_eq!(task.run(), Poll::Ready(Ok(())));
    }

    session = parked(&hub, SessionConfig::new(), &probe);
    let id = session.id();
    for _ in 0..4 {
        hub.publish(id, &Event::new("x")).unwrap();
    }
    let mut tasks: Vec<_> = (0..6).map(|_| publish_when_room(&hub, id, "y")).collect();
    let mut waiting = tasks.iter_mut().map(|task| task.poll().is_pending()).collect::<Vec<_>>();
    assert_eq!(waiting, [true; 6]);
    let mut polls = 0;
    while waiting.contains(&true) {
        let _ = next(&mut session, &probe);
        for (task, waits) in tasks.iter_mut().zip(&mut waiting).filter(|(_, waits)| **waits) {
            *waits = task.run().is_pending();
        }
        polls += 1;
        assert!(polls < 20, "a wake is lost");
    }
    assert_eq!(hub.counters().published, 20);
}

#[test]
fn a_hub_that_closes_and_a_topic_that_ends_are_told_to_who_waits() {
    let (hub, _) = hub_of(little());
    let probe = Probe::new();
    let session = parked(&hub, request_of("alice").with_topic(topic("news")), &probe);
    ten(&hub);
    let mut task = publish_when_room(&hub, Audience::Everyone, "x");
    assert!(task.poll().is_pending());
    hub.end_topic(&topic("news")).unwrap();
    let ended = Poll::Ready(Err(PublishError::TopicEnded));
    assert_eq!(ready(&hub, topic("news"), Pace::new()).poll(), ended);
    assert_eq!(ready(&hub, topic("other"), Pace::new()).poll(), Poll::Ready(Ok(())));
    hub.close();
    assert_eq!(task.run(), Poll::Ready(Err(PublishError::Closed)));
    drop(session);
}

/// Threads that publish and threads that read, with nothing but wakes between them.
#[test]
fn no_wake_is_lost_between_publishers_and_readers_on_threads() {
    const EVENTS: usize = 400;
    const PUBLISHERS: usize = 3;
    for audience_is_one in [true, false] {
        let hub = sharded(little(), 2).build_still(VirtualTimer::new());
        let sessions: Vec<Session> =
            [0, 1].map(|shard| hub.open(client_on(shard, 2)).unwrap()).into();
        let ids: Vec<_> = sessions.iter().map(Session::id).collect();
        std::thread::scope(|scope| {
            for number in 0..PUBLISHERS {
                let (hub, ids) = (&hub, &ids);
                scope.spawn(move || {
                    for event in 0..EVENTS {
                        let event = Event::new(format!("{number} {event}"));
                        if audience_is_one {
                            for id in ids {
                                block_on(hub.publish_when_room(*id, &event)).unwrap();
                            }
                        } else {
                            block_on(hub.publish_when_room(Audience::Everyone, &event)).unwrap();
                        }
                    }
                });
            }
            for mut session in sessions {
                scope.spawn(move || {
                    let mut next_of = [0; PUBLISHERS];
                    while next_of != [EVENTS; PUBLISHERS] {
                        let next = std::future::poll_fn(|context| {
                            futures_core::Stream::poll_next(Pin::new(&mut session), context)
                        });
                        let frame =
                            block_on(next).expect("nothing is lost").expect("it is not cut");
                        let Some(text) = data_of(&frame) else { continue };
                        let (number, event) = text.split_once(' ').unwrap();
                        let next = &mut next_of[number.parse::<usize>().unwrap()];
                        assert_eq!(event.parse(), Ok(*next), "each publisher's in order");
                        *next += 1;
                    }
                });
            }
        });
    }
}

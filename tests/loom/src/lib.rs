//! What must hold of a hub whatever the order in which its threads run. A wake that is lost shows
//! as a deadlock, which loom reports.
#![cfg(all(loom, test))]

use futures_core::Stream;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use sansse::broker::{
    Audience, BrokerConfig, BrokerEvent, ClientId, Drain, EndReason, Epoch, LimitPolicy, OpenError,
    Resumption, SessionConfig,
};
use sansse::hub::{Drive, HubBuilder, Session};
use sansse::{Event, Frame, Hub, LastEventId, Timer};
use std::future::Future;
use std::num::NonZeroU16;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A clock that stands still: nothing here is about time.
struct Still;

impl Timer for Still {
    fn now(&self) -> Instant {
        static NOW: OnceLock<Instant> = OnceLock::new();
        *NOW.get_or_init(Instant::now)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

/// Wakes a thread of the model that is blocked on a future.
struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let parker = Arc::new(Parker { woken: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(parker.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        let mut woken = parker.woken.lock().unwrap();
        while !*woken {
            woken = parker.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

fn next(session: &mut Session) -> Option<Frame> {
    let item = block_on(std::future::poll_fn(|context| Pin::new(&mut *session).poll_next(context)));
    item.and_then(Result::ok)
}

/// The text of the next event, or `None` at the end; notices are passed over.
fn next_event(session: &mut Session) -> Option<String> {
    loop {
        let frame = next(session)?;
        let text = std::str::from_utf8(frame.as_ref()).unwrap();
        if !text.contains("event: sansse-notice\n") {
            return Some(text.to_owned());
        }
    }
}

/// The value of a field of an event.
fn field<'a>(event: &'a str, name: &str) -> Option<&'a str> {
    event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The next data, or `None` at the end.
fn next_data(session: &mut Session) -> Option<String> {
    let event = next_event(session)?;
    Some(field(&event, "data").expect("only events with data are published").to_owned())
}

fn config() -> BrokerConfig {
    // No deadlines, which would only wake the driver.
    let mut config = BrokerConfig::new(Epoch(0xe));
    config.session.heartbeat = None;
    config.session.stall_timeout = None;
    config.retention.age = None;
    config
}

fn hub(shards: u16) -> Hub {
    hub_of(config(), shards)
}

fn hub_of(config: BrokerConfig, shards: u16) -> Hub {
    let (hub, drive) = built(config, shards);
    // A hub whose driver is dropped closes.
    std::mem::forget(drive);
    hub
}

fn built(config: BrokerConfig, shards: u16) -> (Hub, Drive) {
    HubBuilder::new(config).with_shards(NonZeroU16::new(shards).unwrap()).build(Still).unwrap()
}

fn say(hub: &Hub, data: &'static str) {
    hub.publish(Audience::Everyone, &Event::new(data)).unwrap();
}

/// A request whose session lives on this shard of two.
fn on(shard: u16) -> SessionConfig {
    // Which client goes where does not change from one run to the next.
    let name = ["a", "e"][usize::from(shard)];
    SessionConfig::new().with_client(ClientId::new(name).unwrap())
}

#[test]
fn no_wake_is_lost_between_a_poll_and_a_publish() {
    loom::model(|| {
        let hub = hub(1);
        let mut session = hub.open(SessionConfig::new()).unwrap();
        assert!(next(&mut session).is_some(), "the place comes first");
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || {
                say(&hub, "1");
                say(&hub, "2");
            })
        };
        assert_eq!(next_data(&mut session).as_deref(), Some("1"));
        assert_eq!(next_data(&mut session).as_deref(), Some("2"));
        publisher.join().unwrap();
    });
}

#[test]
fn no_wake_is_lost_between_a_publisher_that_waits_for_room_and_a_session_that_takes_or_leaves() {
    for leaves in [false, true] {
        loom::model(move || {
            let mut config = config();
            config.private_retention.events = 1.try_into().unwrap();
            let hub = hub_of(config, 1);
            let mut session = hub.open(SessionConfig::new()).unwrap();
            let id = session.id();
            hub.publish(id, &Event::new("1")).unwrap();
            let publisher = {
                let hub = hub.clone();
                thread::spawn(move || block_on(hub.publish_when_room(id, &Event::new("2"))))
            };
            if leaves {
                drop(session);
                // It may have taken the place of the first, if not of the session.
                let _ = publisher.join().unwrap();
            } else {
                assert_eq!(next_data(&mut session).as_deref(), Some("1"));
                assert_eq!(next_data(&mut session).as_deref(), Some("2"));
                publisher.join().unwrap().unwrap();
            }
        });
    }
}

#[test]
fn no_wake_is_lost_between_a_publisher_that_waits_for_readers_and_readers_on_both_shards() {
    loom::model(|| {
        let mut config = config();
        // Half of it is none: everybody has taken everything before there is more.
        config.retention.events = 1.try_into().unwrap();
        let hub = hub_of(config, 2);
        let mut sessions = [hub.open(on(0)).unwrap(), hub.open(on(1)).unwrap()];
        say(&hub, "1");
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || {
                let event = Event::new("2");
                block_on(hub.publish_when_room(Audience::Everyone, &event)).unwrap();
            })
        };
        for session in &mut sessions {
            assert_eq!(next_data(session).as_deref(), Some("1"));
        }
        for session in &mut sessions {
            assert_eq!(next_data(session).as_deref(), Some("2"));
        }
        publisher.join().unwrap();
    });
}

#[test]
fn two_publishers_are_heard_in_one_order_on_both_shards() {
    loom::model(|| {
        let hub = hub(2);
        let mut sessions = [hub.open(on(0)).unwrap(), hub.open(on(1)).unwrap()];
        assert_ne!(sessions[0].id().shard(), sessions[1].id().shard());
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || say(&hub, "theirs"))
        };
        say(&hub, "ours");
        let heard =
            sessions.each_mut().map(|session| [(); 2].map(|()| next_data(session).unwrap()));
        assert_eq!(heard[0], heard[1]);
        assert_ne!(heard[0][0], heard[0][1]);
        publisher.join().unwrap();
    });
}

#[test]
fn a_session_that_is_dropped_while_something_is_published_is_gone_and_nobody_else_is() {
    loom::model(|| {
        let hub = hub(1);
        let mut leaving = hub.open(SessionConfig::new()).unwrap();
        let mut staying = hub.open(SessionConfig::new()).unwrap();
        assert!(next(&mut leaving).is_some() && next(&mut staying).is_some());
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || say(&hub, "1"))
        };
        let leaver = thread::spawn(move || drop(leaving));
        assert_eq!(next_data(&mut staying).as_deref(), Some("1"));
        publisher.join().unwrap();
        leaver.join().unwrap();
        assert_eq!(hub.counters().sessions, 1);
        // A waker that is left behind would wake the next session in its place.
        say(&hub, "2");
        assert_eq!(next_data(&mut staying).as_deref(), Some("2"));
    });
}

#[test]
fn a_hub_that_closes_ends_each_session_that_was_let_in() {
    loom::model(|| {
        let hub = hub(2);
        let mut first = hub.open(on(0)).unwrap();
        assert!(next(&mut first).is_some());
        let closer = {
            let hub = hub.clone();
            thread::spawn(move || hub.close())
        };
        match hub.open(on(1)) {
            Ok(mut late) => {
                assert_eq!(next_data(&mut late), None);
                assert_eq!(late.end_reason(), Some(EndReason::Shutdown));
            }
            Err(error) => assert_eq!(error, OpenError::Closed),
        }
        assert_eq!(next_data(&mut first), None);
        assert_eq!(first.end_reason(), Some(EndReason::Shutdown));
        closer.join().unwrap();
        assert_eq!(hub.counters().sessions, 0);
    });
}

#[test]
fn what_was_published_before_a_hub_closes_is_heard_and_the_driver_ends() {
    loom::model(|| {
        let (hub, drive) = built(config(), 1);
        let mut session = hub.open(SessionConfig::new()).unwrap();
        assert!(next(&mut session).is_some());
        let driver = thread::spawn(move || block_on(drive));
        say(&hub, "last");
        hub.close();
        assert_eq!(next_data(&mut session).as_deref(), Some("last"));
        assert_eq!(next_data(&mut session), None);
        drop(session);
        driver.join().unwrap();
    });
}

#[test]
fn a_drain_ends_all_sessions_and_the_driver() {
    loom::model(|| {
        let (hub, drive) = built(config(), 1);
        let mut session = hub.open(SessionConfig::new()).unwrap();
        assert!(next(&mut session).is_some());
        let driver = thread::spawn(move || block_on(drive));
        hub.drain(Drain::new(Duration::ZERO)).unwrap();
        assert_eq!(hub.open(SessionConfig::new()).err(), Some(OpenError::Draining));
        assert_eq!(next_data(&mut session), None);
        driver.join().unwrap();
        assert_eq!(hub.counters().sessions, 0);
    });
}

#[test]
fn a_session_that_comes_back_to_another_shard_has_everything_once() {
    loom::model(|| {
        let hub = hub(2);
        let mut first = hub.open(on(0)).unwrap();
        let publisher = {
            let hub = hub.clone();
            thread::spawn(move || {
                say(&hub, "1");
                say(&hub, "2");
            })
        };
        // It leaves with the place of the first event, perhaps in the middle of the publish.
        let event = next_event(&mut first).unwrap();
        let id = field(&event, "id").unwrap();
        let id = LastEventId::from_header(id.as_bytes());
        drop(first);
        let mut second = hub.open(on(1).with_last_event_id(id)).unwrap();
        assert!(
            matches!(second.resumption(), Resumption::Complete { .. }),
            "{:?}",
            second.resumption()
        );
        assert_eq!(next_data(&mut second).as_deref(), Some("2"));
        publisher.join().unwrap();
        hub.close();
        assert_eq!(next_data(&mut second), None, "nothing comes twice");
    });
}

#[test]
fn of_two_that_come_at_once_to_two_shards_where_there_is_room_for_one_one_is_let_in() {
    loom::model(|| {
        let mut config = config();
        config.limits.sessions.most = 1.try_into().unwrap();
        let hub = hub_of(config, 2);
        let other = {
            let hub = hub.clone();
            thread::spawn(move || hub.open(on(0)))
        };
        let opened = [hub.open(on(1)), other.join().unwrap()];
        assert_eq!(hub.counters().sessions, 1);
        let refused: Vec<_> = opened.iter().filter_map(|one| one.as_ref().err()).collect();
        assert_eq!(refused, [&OpenError::TooManySessions]);
    });
}

#[test]
fn a_session_evicted_from_another_shard_learns_of_it_while_it_waits() {
    loom::model(|| {
        let mut config = config();
        config.limits.sessions.most = 1.try_into().unwrap();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        let hub = hub_of(config, 2);
        let mut old = hub.open(on(0)).unwrap();
        let other = {
            let hub = hub.clone();
            thread::spawn(move || hub.open(on(1)).unwrap())
        };
        assert_eq!(next_data(&mut old), None);
        assert_eq!(old.end_reason(), Some(EndReason::Evicted));
        let new = other.join().unwrap();
        assert_eq!(hub.counters().sessions, 1);
        drop((old, new));
        assert_eq!(hub.counters().sessions, 0);
    });
}

#[test]
fn a_session_that_ends_by_itself_and_one_that_evicts_it_leave_one() {
    loom::model(|| {
        let mut config = config();
        config.limits.sessions.most = 1.try_into().unwrap();
        config.limits.sessions.policy = LimitPolicy::EvictOldest;
        let hub = hub_of(config, 2);
        let old = hub.open(on(0)).unwrap();
        let leaver = thread::spawn(move || drop(old));
        let new = hub.open(on(1)).unwrap();
        leaver.join().unwrap();
        assert_eq!(hub.counters().sessions, 1);
        let ended = hub.counters().ended;
        assert_eq!((ended.total(), ended.evicted + ended.disconnected), (1, 1));
        drop(new);
    });
}

#[test]
fn an_end_is_told_to_one_who_waits_whenever_it_comes() {
    loom::model(|| {
        let hub = hub(1);
        let session = hub.open(SessionConfig::new()).unwrap();
        let (before, id) = (hub.ended(session.id()), session.id());
        let leaver = thread::spawn(move || drop(session));
        // Beside one who asks while it ends, and may come too late.
        let beside = block_on(hub.ended(id));
        assert!(matches!(beside, None | Some(EndReason::Disconnected)), "{beside:?}");
        assert_eq!(block_on(before), Some(EndReason::Disconnected));
        leaver.join().unwrap();
    });
}

#[test]
fn every_event_reaches_the_listener_once() {
    loom::model(|| {
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let listener = {
            let heard = heard.clone();
            move |_, event| heard.lock().unwrap().push(event)
        };
        let (hub, _drive) = HubBuilder::new(config()).on_event(listener).build(Still).unwrap();
        let other = {
            let hub = hub.clone();
            thread::spawn(move || drop(hub.open(SessionConfig::new()).unwrap()))
        };
        drop(hub.open(SessionConfig::new()).unwrap());
        other.join().unwrap();
        let heard = heard.lock().unwrap();
        let count = |is: fn(&BrokerEvent) -> bool| heard.iter().filter(|event| is(event)).count();
        assert_eq!(count(|event| matches!(event, BrokerEvent::SessionOpened { .. })), 2);
        assert_eq!(count(|event| matches!(event, BrokerEvent::SessionEnded { .. })), 2);
        assert_eq!(heard.len(), 4);
    });
}

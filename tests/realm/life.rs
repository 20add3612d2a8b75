//! How a node begins and ends, and what it says of itself meanwhile.

use super::{SECOND, World, after, data, listen};
use sansse::Hub;
use sansse::broker::{
    Audience, BrokerConfig, Epoch, OpenError, PublishError, Resumption, SessionConfig,
};
use sansse::cluster::{
    Append, Appended, Head, Hello, Log, LogError, LogErrorKind, MemoryLog, NodeConfig, NodeHealth,
    NodeId, Page, Read, Realm,
};
use sansse::hub::{Answer, Health};
use sansse::net::Runtime;
use sansse::testing::SessionReader;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn a_node_that_shuts_down_settles_what_was_published_and_takes_no_more() {
    let world = World::new();
    let realm = world.join(1);
    let result = world.publish(&realm, Audience::Everyone, "last");
    let done = world.begin({
        let realm = realm.clone();
        async move { realm.shut_down().await }
    });
    world.runtime.advance(6 * SECOND);
    assert_eq!(done(), Some(()));
    assert_eq!(result(), Some(Ok(1)));
    assert!(world.say(&realm, "more").is_err());
    // Twice does no harm.
    let again = world.begin({
        let realm = realm.clone();
        async move { realm.shut_down().await }
    });
    assert_eq!(again(), Some(()));
}

#[test]
fn a_shut_down_ends_where_nobody_polls_the_driver() {
    let world = World::new();
    let (realm, drive) =
        Realm::new(world.hub(), world.log.clone(), NodeConfig::new(NodeId(1), 7)).unwrap();
    let done = world.begin({
        let realm = realm.clone();
        async move { realm.shut_down().await }
    });
    world.runtime.advance(5 * SECOND);
    assert_eq!(done(), None);
    world.runtime.advance(SECOND);
    assert_eq!(done(), Some(()));
    drop(drive);
    assert_eq!(realm.health(), NodeHealth::Ended);
}

#[test]
fn a_node_whose_driver_is_gone_says_so_to_publishers() {
    let world = World::new();
    let (realm, drive) =
        Realm::new(world.hub(), world.log.clone(), NodeConfig::new(NodeId(1), 7)).unwrap();
    drop(drive);
    assert_eq!(world.say(&realm, "x"), Err(PublishError::NotDriven));
    assert_eq!(realm.health(), NodeHealth::Ended);
    assert!(!realm.health().serves());
    let ready = world.begin(async move { realm.ready().await });
    assert_eq!(ready(), Some(false));
}

/// Who waits with a time-out waits once, and not for ever.
#[test]
fn a_wait_that_is_dropped_leaves_nothing_behind() {
    struct Counted(Arc<Mutex<usize>>);
    impl std::task::Wake for Counted {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }
    let world = World::new();
    world.log.fail(Some(LogErrorKind::Unreachable));
    let realm = world.join(1);
    let wakers = Arc::new(Mutex::new(0));
    for _ in 0..100 {
        *wakers.lock().unwrap() += 1;
        let waker = std::task::Waker::from(Arc::new(Counted(wakers.clone())));
        let mut ready = Box::pin(realm.ready());
        for _ in 0..2 {
            let mut context = std::task::Context::from_waker(&waker);
            assert!(ready.as_mut().poll(&mut context).is_pending());
        }
    }
    assert_eq!(*wakers.lock().unwrap(), 0);
}

/// An engine that may hang.
#[derive(Clone)]
struct Silent {
    log: MemoryLog,
    is_silent: Arc<AtomicBool>,
}

impl Silent {
    async fn when_it_speaks<T>(&self, answer: impl Future<Output = T>) -> T {
        if self.is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        answer.await
    }
}

impl Log for Silent {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        self.when_it_speaks(self.log.hello(hello)).await
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        self.when_it_speaks(self.log.append(append)).await
    }

    async fn read(&self, read: Read) -> Result<Page, LogError> {
        self.when_it_speaks(self.log.read(read)).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.when_it_speaks(self.log.head()).await
    }
}

#[test]
fn what_went_wrong_last_is_told_also_where_the_node_found_it() {
    let world = World::new();
    let log = Silent { log: world.log.clone(), is_silent: Arc::default() };
    let node = NodeConfig::new(NodeId(1), 7);
    let realm = Realm::join(world.hub(), log.clone(), node, &world.runtime).unwrap();
    world.runtime.run_tasks();
    assert_eq!(realm.last_error(), None);
    world.log.fail(Some(LogErrorKind::Denied));
    world.say(&realm, "a").unwrap_err();
    assert_eq!(realm.last_error().map(|error| error.kind()), Some(LogErrorKind::Denied));
    world.log.fail(None);
    world.runtime.advance(10 * SECOND);
    assert_eq!(realm.health(), NodeHealth::Ready);
    // It answers nothing more, and says nothing of that.
    log.is_silent.store(true, Ordering::SeqCst);
    let _result = world.publish(&realm, Audience::Everyone, "b");
    world.runtime.advance(10 * SECOND);
    assert_eq!(realm.health().as_str(), "stale");
    assert_eq!(realm.last_error().map(|error| error.kind()), Some(LogErrorKind::Unreachable));
}

/// Nobody can say yet what a page has missed.
#[test]
fn a_node_opens_no_session_before_it_has_read_what_there_was() {
    let world = World::new();
    let one = world.join(1);
    for text in ["a", "b", "c"] {
        world.say(&one, text).unwrap();
    }
    world.log.fail(Some(LogErrorKind::Unreachable));
    let late = world.join(2);
    let refused = late.hub().open(after(3)).map(|_| ());
    assert_eq!(refused, Err(OpenError::Joining));
    assert_eq!(late.hub().health(), Health::Joining);
    assert_eq!(late.hub().counters().refused.joining, 1);
    let request = http::Request::get("/events").body(()).unwrap();
    let answer = late.hub().accept(&request, SessionConfig::new());
    let Answer::Response(response) = answer else { panic!("it is refused") };
    let said = String::from_utf8(response.into_body().to_vec()).unwrap();
    assert!(
        said.contains(r#""stream":"refused","replayed":0,"lost":0,"reason":"joining""#),
        "{said}"
    );

    world.log.fail(None);
    world.runtime.advance(10 * SECOND);
    assert_eq!(late.hub().health(), Health::Ready);
    let session = late.hub().open(after(1)).unwrap();
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 2 });
    // Once it has read that, it serves from memory while the engine is away.
    world.log.fail(Some(LogErrorKind::Unreachable));
    world.runtime.advance(10 * SECOND);
    assert!(late.hub().open(after(1)).is_ok());
}

#[test]
fn a_realm_ends_when_nobody_has_a_handle_to_it_nor_to_its_hub() {
    let world = World::new();
    let dropped = Arc::new(());
    let (realm, drive) =
        Realm::new(world.hub(), world.log.clone(), NodeConfig::new(NodeId(1), 7)).unwrap();
    let held = dropped.clone();
    world.runtime.spawn(async move {
        drive.await;
        drop(held);
    });
    world.runtime.run_tasks();
    // The hub alone is enough: it goes on following the log.
    let hub = realm.hub().clone();
    drop(realm);
    world.runtime.advance(60 * SECOND);
    assert_eq!(Arc::strong_count(&dropped), 2);
    let other = world.join(2);
    let session = hub.open(SessionConfig::new()).unwrap();
    let mut reader = SessionReader::new(session);
    world.say(&other, "on").unwrap();
    world.runtime.run_tasks();
    assert_eq!(data(&mut reader), ["on"]);
    drop((hub, reader));
    world.runtime.advance(60 * SECOND);
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[test]
fn a_life_that_has_the_id_of_an_earlier_one_is_not_taken_for_that() {
    let world = World::new();
    let one = world.join(1);
    world.say(&one, "a").unwrap();
    drop(one);
    world.runtime.advance(60 * SECOND);
    // It is not to be, and yet no publish is acknowledged that is not in the log.
    let again = world.join(1);
    let mut reader = listen(&again, SessionConfig::new());
    assert_eq!(world.say(&again, "b"), Ok(2));
    world.runtime.run_tasks();
    assert_eq!(data(&mut reader), ["b"]);
}

#[test]
fn a_realm_whose_hub_is_closed_ends() {
    let world = World::new();
    let (one, other) = (world.join(1), world.join(2));
    one.hub().close();
    world.say(&other, "x").unwrap();
    world.runtime.run_tasks();
    assert!(world.say(&one, "y").is_err());
    assert_eq!(world.say(&other, "z"), Ok(2));
}

#[test]
fn a_node_with_another_epoch_is_told_which_is_the_realms() {
    let world = World::new();
    let _realm = world.join(1);
    let (hub, drive) = Hub::new(world.runtime.clone(), BrokerConfig::new(Epoch(0xf00d))).unwrap();
    world.runtime.spawn(drive);
    let config = NodeConfig::new(NodeId(2), 7);
    let other = Realm::join(hub, world.log.clone(), config, &world.runtime).unwrap();
    world.runtime.run_tasks();
    let error = LogErrorKind::OtherEpoch { epoch: Epoch(0xbeef) };
    assert!(matches!(other.health(), NodeHealth::Down { error: said, .. } if said == error));
}

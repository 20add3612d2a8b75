//! What the application keeps with a client: it may call the hub when it is dropped, so that no
//! lock is held then.

use super::VirtualTimer;
use super::tasks::{Driver, without_deadlock};
use super::{client, config, request_of, seconds, sharded};
use sansse::Hub;
use sansse::broker::SessionConfig;
use sansse::hub::Drive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Calls the hub when the last clone is dropped.
#[derive(Clone)]
struct Calling {
    _inner: Arc<Inner>,
}

struct Inner {
    hub: Arc<OnceLock<Hub>>,
    drops: Arc<AtomicUsize>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.get() {
            hub.sessions_of(&client("alice"));
        }
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

struct World {
    hub: Arc<OnceLock<Hub>>,
    drive: Option<Drive>,
    timer: VirtualTimer,
    drops: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        let mut config = config();
        config.limits.sessions.most = 2.try_into().unwrap();
        let timer = VirtualTimer::new();
        let hub = Arc::new(OnceLock::new());
        let (built, drive) = sharded(config, 1).build(timer.clone()).unwrap();
        assert!(hub.set(built).is_ok());
        Self { hub, drive: Some(drive), timer, drops: Arc::default() }
    }

    fn hub(&self) -> &Hub {
        self.hub.get().unwrap()
    }

    fn with(&self, request: SessionConfig) -> SessionConfig {
        let inner = Inner { hub: self.hub.clone(), drops: self.drops.clone() };
        request.with_metadata(Calling { _inner: Arc::new(inner) })
    }

    fn drops(&self) -> usize {
        self.drops.load(Ordering::SeqCst)
    }
}

#[test]
fn metadata_of_a_client_that_is_forgotten_may_call_the_hub() {
    without_deadlock(|| {
        let mut world = World::new();
        let mut driver = Driver::new(world.drive.take().unwrap());
        drop(world.hub().open(world.with(request_of("alice"))).unwrap());
        driver.run();
        assert_eq!(world.drops(), 0);
        world.timer.advance(seconds(30));
        driver.run();
        assert_eq!(world.drops(), 1);
    });
}

#[test]
fn metadata_that_is_replaced_may_call_the_hub() {
    without_deadlock(|| {
        let world = World::new();
        let _first = world.hub().open(world.with(request_of("alice"))).unwrap();
        let _second = world.hub().open(world.with(request_of("alice"))).unwrap();
        assert_eq!(world.drops(), 1);
    });
}

#[test]
fn metadata_that_nobody_keeps_may_call_the_hub() {
    without_deadlock(|| {
        let world = World::new();
        let _nobodys = world.hub().open(world.with(SessionConfig::new())).unwrap();
        assert_eq!(world.drops(), 1);
        let _another = world.hub().open(SessionConfig::new()).unwrap();
        assert!(world.hub().open(world.with(request_of("alice"))).is_err(), "there is no room");
        assert_eq!(world.drops(), 2);
    });
}

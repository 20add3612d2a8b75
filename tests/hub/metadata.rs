//! What the application keeps with a client: it may call the hub when it is dropped, so that no
//! lock is held then.

use super::VirtualTimer;
use super::tasks::{Driver, without_deadlock};
use super::{client, config, request_of, seconds, sharded};
use sansse::Hub;
use sansse::broker::SessionConfig;
use sansse::hub::{ClientMetadata, Drive};
use std::panic::{AssertUnwindSafe, catch_unwind};
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

    fn value(&self) -> Calling {
        let inner = Inner { hub: self.hub.clone(), drops: self.drops.clone() };
        Calling { _inner: Arc::new(inner) }
    }

    fn with(&self, request: SessionConfig) -> SessionConfig {
        request.with_metadata(self.value())
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

#[test]
fn metadata_that_a_closure_replaces_or_removes_may_call_the_hub() {
    without_deadlock(|| {
        let world = World::new();
        let (hub, alice) = (world.hub(), client("alice"));
        let _session = hub.open(world.with(request_of("alice"))).unwrap();
        hub.metadata(&alice, |metadata| metadata.insert(world.value())).unwrap();
        assert_eq!(world.drops(), 1);
        let updated = |metadata: &mut ClientMetadata<'_>| {
            let updated = metadata.update(|_: &Calling| world.value());
            assert_eq!(world.drops(), 1, "not under the lock");
            updated
        };
        assert_eq!(hub.metadata(&alice, updated), Some(true));
        assert_eq!(world.drops(), 2);
        let remove = |metadata: &mut ClientMetadata<'_>| metadata.remove::<Calling>();
        assert_eq!(hub.metadata(&alice, remove), Some(true));
        assert_eq!(world.drops(), 3);

        assert_eq!(hub.metadata(&alice, remove), Some(false));
        let nothing = hub.metadata(&alice, |metadata| {
            (metadata.update(|_: &Calling| world.value()), metadata.get::<Calling>().is_some())
        });
        assert_eq!(nothing, Some((false, false)));
        assert_eq!(world.drops(), 3);
    });
}

#[test]
fn what_a_closure_replaced_before_it_panicked_may_call_the_hub() {
    without_deadlock(|| {
        let world = World::new();
        let (hub, alice) = (world.hub(), client("alice"));
        let _session = hub.open(world.with(request_of("alice")).with_metadata(1_u8)).unwrap();
        let panics = || {
            hub.metadata(&alice, |metadata| {
                metadata.insert(world.value());
                metadata.insert(PanicsWhenDropped::default());
                metadata.remove::<PanicsWhenDropped>();
                metadata.update(|_: &u8| panic!("as it was asked to"))
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(world.drops(), 1);
        assert_eq!(hub.counters().panics.values, 1);
        let kept = hub.metadata(&alice, |metadata| {
            (metadata.get::<u8>().copied(), metadata.get::<Calling>().is_some())
        });
        assert_eq!(kept, Some((Some(1), true)), "what was changed stays changed");
    });
}

/// Panics when its last clone is dropped.
#[derive(Clone, Default)]
struct PanicsWhenDropped {
    _inner: Arc<Panicking>,
}

#[derive(Default)]
struct Panicking;

impl Drop for Panicking {
    fn drop(&mut self) {
        std::panic::panic_any("as it was asked to");
    }
}

//! The hand-written executor of the example, over async-io's sockets, which need none.

#[path = "../../examples/own_executor/src/executor.rs"]
mod executor;

use crate::platform::{Platform, patiently};
use executor::Executor;
use sansse::Timer;
use sansse::net::Runtime;
use sansse_smol::{SmolAcceptor, SmolConnector, SmolTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

#[derive(Clone)]
pub(crate) struct OwnExecutor(Executor);

impl Platform for OwnExecutor {
    type Runtime = Self;
    type Listener = SmolAcceptor;
    type Connector = SmolConnector;

    fn run<F: Future>(_: u64, scenario: impl FnOnce(Self) -> F) -> F::Output {
        Executor::run(|executor| async {
            let platform = Self(executor);
            patiently(&SmolTimer, scenario(platform)).await
        })
    }

    fn runtime(&self) -> Self {
        self.clone()
    }

    fn connector(&self) -> SmolConnector {
        SmolConnector
    }

    fn listen(&self, address: Option<SocketAddr>) -> (SmolAcceptor, SocketAddr) {
        let listener = crate::bind(address);
        let address = listener.local_addr().unwrap();
        (SmolAcceptor::new(listener).unwrap(), address)
    }
}

impl Timer for OwnExecutor {
    fn now(&self) -> Instant {
        SmolTimer.now()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SmolTimer.sleep_until(deadline)
    }
}

impl Runtime for OwnExecutor {
    #[expect(clippy::disallowed_methods, reason = "the core's clock comes from here")]
    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

scenarios!(OwnExecutor);
processes!(OwnExecutor);

#[path = "../client/behaviour/rows/mod.rs"]
mod rows;

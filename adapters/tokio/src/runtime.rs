//! tokio's clock, timer and tasks.

use sansse::Timer;
use sansse::net::Runtime;
use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

/// tokio's clock, which can be paused in tests, its timer, and its tasks.
///
/// It spawns onto the runtime on which it is called, and panics outside one.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioRuntime;

impl Timer for TokioRuntime {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

impl Runtime for TokioRuntime {
    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }
}

//! tokio's clock and timer.

use sansse::Timer;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

/// tokio's clock, which can be paused in tests, and its timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        now()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

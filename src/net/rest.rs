//! How the body of a response waits before the error that cuts it off.

use super::Timer;
use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::time::Instant;

/// How long a body waits after its last bytes before it ends by an error.
///
/// HTTP stacks drop what they have not written yet when a body fails, and with it the farewell and
/// the time after which to come back. So they get the time to write it.
const REST_TIME: Duration = Duration::from_millis(100);

pub(crate) struct Rest {
    until: Instant,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Rest {
    pub(crate) fn new(timer: &dyn Timer) -> Self {
        let until = timer.now() + REST_TIME;
        Self { until, sleep: timer.sleep_until(until) }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>, timer: &dyn Timer) -> Poll<()> {
        while timer.now() < self.until {
            ready!(self.sleep.as_mut().poll(context));
            if timer.now() < self.until {
                // A sleep may end early.
                self.sleep = timer.sleep_until(self.until);
            }
        }
        Poll::Ready(())
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("until", &self.until).finish_non_exhaustive()
    }
}

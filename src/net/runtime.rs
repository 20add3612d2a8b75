//! What a runtime must bring: a clock, sleep, and tasks.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use std::time::{Instant, SystemTime};

/// A runtime's clock and timer, the only thing that the async layer needs of it.
///
/// A sleep may end early: the sleeper compares the clock before it goes on.
pub trait Timer: Send + Sync + 'static {
    /// Returns the time now.
    fn now(&self) -> Instant;

    /// Returns a future that is ready once `deadline` has come.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What a server needs of an executor: a clock, sleep, and tasks.
pub trait Runtime: Timer + Clone + Unpin {
    /// Returns the time of day, which a server says in the `Date` of its answers. It is asked once
    /// for each connection; within one, time passes as [`now`](Timer::now) says.
    ///
    /// This is the system's clock, `SystemTime::now()`, but for a runtime whose time is virtual: that
    /// says its own, so that the same run gives the same answers.
    fn time_of_day(&self) -> SystemTime;

    /// Runs a task to its end, beside the others.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

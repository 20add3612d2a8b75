//! async-io's clock and timer, and the tasks of whatever executor there is.

use async_io::Timer as Sleep;
use sansse::Timer;
use sansse::net::Runtime;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

/// The system's clock and async-io's timer, which need no executor.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmolTimer;

impl Timer for SmolTimer {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            Sleep::at(deadline).await;
        })
    }
}

/// What an executor is given to run.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A [`SmolTimer`], and the tasks of an executor: smol's, async-std's, or any other, since
/// async-io's reactor asks nothing of it.
///
/// ```
/// use sansse_smol::SmolRuntime;
///
/// let on_smol = SmolRuntime::new(|task| smol::spawn(task).detach());
/// let on_async_std = SmolRuntime::new(|task| drop(async_std::task::spawn(task)));
/// ```
#[derive(Clone, Copy)]
pub struct SmolRuntime<F> {
    spawn: F,
}

impl<F: Fn(Task)> SmolRuntime<F> {
    /// Makes a runtime that spawns by `spawn`. A task that `spawn` is given has to run to its end
    /// though nobody waits for it.
    pub const fn new(spawn: F) -> Self {
        Self { spawn }
    }
}

impl<F: Send + Sync + 'static> Timer for SmolRuntime<F> {
    fn now(&self) -> Instant {
        SmolTimer.now()
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SmolTimer.sleep_until(deadline)
    }
}

impl<F: Fn(Task) + Clone + Send + Sync + Unpin + 'static> Runtime for SmolRuntime<F> {
    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.spawn)(Box::pin(task));
    }
}

impl<F> fmt::Debug for SmolRuntime<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmolRuntime").finish_non_exhaustive()
    }
}

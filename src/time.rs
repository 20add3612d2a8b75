//! What a runtime must bring: a clock, and sleep.

use alloc::boxed::Box;
use core::future::Future;
use core::pin::Pin;
use std::time::Instant;

/// A runtime's clock and timer, the only thing that the async layer needs of it.
///
/// A sleep may end early: whoever sleeps compares the clock before trusting it.
pub trait Timer: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Instant;

    /// A future that is ready once `deadline` has come.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

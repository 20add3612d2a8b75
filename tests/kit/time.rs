//! A clock that moves when it is told to, and the sleeps that wait for it.

use super::base_instant;
use sansse::Timer;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[derive(Clone)]
pub(crate) struct VirtualTimer {
    state: Arc<Mutex<State>>,
    base: Instant,
}

struct State {
    now: Instant,
    sleeps: BTreeMap<u64, Sleeping>,
    begun: u64,
}

struct Sleeping {
    until: Instant,
    waker: Option<Waker>,
    ends_early: bool,
}

struct Sleep {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl VirtualTimer {
    pub(crate) fn new() -> Self {
        let base = base_instant();
        let state = State { now: base, sleeps: BTreeMap::new(), begun: 0 };
        Self { state: Arc::new(Mutex::new(state)), base }
    }

    /// The time since the clock was made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state.lock().unwrap().now - self.base
    }

    /// Moves the clock and wakes those whose time has come.
    pub(crate) fn advance(&self, by: Duration) {
        let now = {
            let mut state = self.state.lock().unwrap();
            state.now += by;
            state.now
        };
        self.wake(|sleeping| sleeping.until <= now);
    }

    /// Ends all sleeps, though the clock stands still.
    pub(crate) fn end_sleeps_early(&self) {
        for sleeping in self.state.lock().unwrap().sleeps.values_mut() {
            sleeping.ends_early = true;
        }
        self.wake(|_| true);
    }

    /// Until when somebody sleeps, as times since the clock was made.
    pub(crate) fn sleeps(&self) -> Vec<Duration> {
        let state = self.state.lock().unwrap();
        state.sleeps.values().map(|sleeping| sleeping.until - self.base).collect()
    }

    /// How many sleeps were begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.state.lock().unwrap().begun
    }

    fn wake(&self, which: impl Fn(&Sleeping) -> bool) {
        let mut state = self.state.lock().unwrap();
        let due = state.sleeps.values_mut().filter(|sleeping| which(sleeping));
        let wakers: Vec<Waker> = due.filter_map(|sleeping| sleeping.waker.take()).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Timer for VirtualTimer {
    fn now(&self) -> Instant {
        self.state.lock().unwrap().now
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut state = self.state.lock().unwrap();
        let number = state.begun;
        state.begun += 1;
        let sleeping = Sleeping { until: deadline, waker: None, ends_early: false };
        state.sleeps.insert(number, sleeping);
        Box::pin(Sleep { state: self.state.clone(), number })
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.state.lock().unwrap();
        let sleeping = state.sleeps.get_mut(&self.number).unwrap();
        if sleeping.ends_early || sleeping.until <= state.now {
            return Poll::Ready(());
        }
        sleeping.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let sleeping = self.state.lock().unwrap().sleeps.remove(&self.number);
        drop(sleeping);
    }
}

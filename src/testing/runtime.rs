//! Time that passes when it is told to, and tasks that run when it does.

use crate::base_instant::base_instant;
use crate::net::{Runtime, Timer};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// A runtime for tests: a clock that stands still until it is [moved](Self::advance), and tasks that
/// run on the thread that calls [`run`](Self::run), [`run_tasks`](Self::run_tasks) or
/// [`advance`](Self::advance). Clones are handles to the same one.
///
/// Whatever takes a [`Timer`] or a [`Runtime`] takes it. What happens does not depend on how fast
/// the machine is.
///
/// ```
/// use sansse::Timer;
/// use sansse::net::Runtime;
/// use sansse::testing::VirtualRuntime;
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let runtime = VirtualRuntime::new();
/// let (ticks, clock) = (Arc::new(AtomicU32::new(0)), runtime.clone());
/// let counter = ticks.clone();
/// runtime.spawn(async move {
///     loop {
///         clock.sleep_until(clock.now() + Duration::from_secs(60)).await;
///         counter.fetch_add(1, Relaxed);
///     }
/// });
/// runtime.advance(Duration::from_secs(3600));
/// assert_eq!(ticks.load(Relaxed), 60);
/// ```
#[derive(Clone)]
pub struct VirtualRuntime {
    shared: Arc<Mutex<Shared>>,
    start: Instant,
}

struct Shared {
    now: Instant,
    sleeps: BTreeMap<u64, Sleeping>,
    tasks: BTreeMap<u64, (Task, Arc<Turn>)>,
    ready: VecDeque<u64>,
    /// The number of the next sleep or task.
    next: u64,
    /// Somebody runs the tasks.
    is_running: bool,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Sleeping {
    until: Instant,
    waker: Option<Waker>,
}

struct Sleep {
    runtime: VirtualRuntime,
    number: u64,
}

/// Gives a task its turn.
struct Turn {
    number: u64,
    is_queued: AtomicBool,
    shared: Arc<Mutex<Shared>>,
}

/// How many turns tasks may take while the time stands still.
const TURNS: u32 = 1_000_000;

impl VirtualRuntime {
    /// Makes a runtime. Its clock begins at the present time, since an `Instant` has no other
    /// beginning, and stands still from then on.
    #[expect(clippy::new_without_default, reason = "two of them are not equal")]
    pub fn new() -> Self {
        let start = base_instant();
        let shared = Shared {
            now: start,
            sleeps: BTreeMap::new(),
            tasks: BTreeMap::new(),
            ready: VecDeque::new(),
            next: 0,
            is_running: false,
        };
        Self { shared: Arc::new(Mutex::new(shared)), start }
    }

    /// Returns by how much the clock was moved so far.
    pub fn elapsed(&self) -> Duration {
        self.lock().now - self.start
    }

    /// Returns how long it is until the first sleep ends; `None` where nobody sleeps.
    pub fn next_sleep(&self) -> Option<Duration> {
        let shared = self.lock();
        shared.next_sleep().map(|until| until - shared.now)
    }

    /// Moves the clock. It stops at the end of each sleep, in their order, so that what sleeps
    /// until then runs at that time and at no later one.
    ///
    /// # Panics
    ///
    /// As [`run_tasks`](Self::run_tasks).
    pub fn advance(&self, by: Duration) {
        self.run_tasks();
        let end = self.lock().now + by;
        loop {
            let mut shared = self.lock();
            let next = shared.next_sleep().filter(|next| *next <= end);
            let wakers = shared.move_to(next.unwrap_or(end));
            drop(shared);
            wakers.into_iter().for_each(Waker::wake);
            self.run_tasks();
            if next.is_none() {
                return;
            }
        }
    }

    /// Runs the tasks until all of them wait. The clock stands still.
    ///
    /// # Panics
    ///
    /// When tasks have taken a million turns, since then one wakes itself for ever.
    pub fn run_tasks(&self) {
        {
            let mut shared = self.lock();
            // A task that calls this is in the middle of a run, which goes on after it.
            if mem::replace(&mut shared.is_running, true) {
                return;
            }
        }
        let _running = Running(self);
        for _ in 0..TURNS {
            let mut shared = self.lock();
            let Some(number) = shared.ready.pop_front() else { return };
            let Some((mut task, turn)) = shared.tasks.remove(&number) else { continue };
            drop(shared);
            turn.is_queued.store(false, Ordering::SeqCst);
            let waker = turn.clone().into();
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.lock().tasks.insert(number, (task, turn));
            }
        }
        panic!("a task wakes itself for ever");
    }

    /// Runs a future, and the tasks beside it, and returns what comes of it. The clock stands still.
    ///
    /// `None` where the future waits for something that nobody does without time: then it is
    /// dropped. To go on with it later, lend it by `as_mut` of a pinned one.
    ///
    /// # Panics
    ///
    /// As [`run_tasks`](Self::run_tasks).
    pub fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = woken.clone().into();
        for _ in 0..TURNS {
            if !woken.0.swap(false, Ordering::SeqCst) {
                return None;
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
            self.run_tasks();
        }
        panic!("a future wakes itself for ever");
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Timer for VirtualRuntime {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut shared = self.lock();
        let number = shared.number();
        shared.sleeps.insert(number, Sleeping { until: deadline, waker: None });
        drop(shared);
        Box::pin(Sleep { runtime: self.clone(), number })
    }
}

impl Runtime for VirtualRuntime {
    /// Returns the time since the runtime was made, from the beginning of 1970 on.
    fn time_of_day(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now() - self.start)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut shared = self.lock();
        let number = shared.number();
        let turn = Arc::new(Turn {
            number,
            is_queued: AtomicBool::new(true),
            shared: self.shared.clone(),
        });
        shared.tasks.insert(number, (Box::pin(task), turn));
        shared.ready.push_back(number);
    }
}

impl Shared {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The first end of a sleep that has not come.
    fn next_sleep(&self) -> Option<Instant> {
        self.sleeps.values().map(|sleeping| sleeping.until).filter(|until| *until > self.now).min()
    }

    /// Moves the clock. Returns whom to wake.
    fn move_to(&mut self, now: Instant) -> Vec<Waker> {
        self.now = self.now.max(now);
        let now = self.now;
        let due = self.sleeps.values_mut().filter(|sleeping| sleeping.until <= now);
        due.filter_map(|sleeping| sleeping.waker.take()).collect()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.runtime.lock();
        let now = shared.now;
        let Some(sleeping) = shared.sleeps.get_mut(&self.number) else { return Poll::Ready(()) };
        if sleeping.until <= now {
            return Poll::Ready(());
        }
        let replaced = sleeping.waker.replace(context.waker().clone());
        drop(shared);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let sleeping = self.runtime.lock().sleeps.remove(&self.number);
        // A waker may be the last handle to a task, which is dropped without the lock.
        drop(sleeping);
    }
}

/// Ends a run, also by a panic of a task.
struct Running<'a>(&'a VirtualRuntime);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().is_running = false;
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            lock(&self.shared).ready.push_back(self.number);
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Nothing runs under the lock that could panic.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for VirtualRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.lock();
        f.debug_struct("VirtualRuntime")
            .field("elapsed", &(shared.now - self.start))
            .field("tasks", &shared.tasks.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    /// What was noted, with the time of it.
    type Notes = Arc<Mutex<Vec<(Duration, u64)>>>;

    /// Notes its number each `every` seconds.
    fn note(runtime: &VirtualRuntime, notes: &Notes, every: u64) {
        let (clock, notes) = (runtime.clone(), notes.clone());
        runtime.spawn(async move {
            loop {
                clock.sleep_until(clock.now() + seconds(every)).await;
                notes.lock().unwrap().push((clock.elapsed(), every));
            }
        });
    }

    #[test]
    fn each_sleep_ends_at_its_own_time_and_in_order() {
        let (runtime, notes) = (VirtualRuntime::new(), Notes::default());
        note(&runtime, &notes, 2);
        note(&runtime, &notes, 3);
        runtime.advance(Duration::ZERO);
        assert_eq!(runtime.next_sleep(), Some(seconds(2)));
        runtime.advance(seconds(6).checked_sub(Duration::from_nanos(1)).unwrap());
        let expected = vec![(seconds(2), 2), (seconds(3), 3), (seconds(4), 2)];
        assert_eq!(mem::take(&mut *notes.lock().unwrap()), expected);
        runtime.advance(Duration::from_nanos(1));
        assert_eq!(*notes.lock().unwrap(), [(seconds(6), 3), (seconds(6), 2)]);
        assert_eq!(runtime.elapsed(), seconds(6));
    }

    #[test]
    fn a_future_runs_with_the_tasks_and_time_stands_still() {
        let runtime = VirtualRuntime::new();
        let (sender, receiver) = futures_channel::oneshot::channel();
        let clock = runtime.clone();
        runtime.spawn(async move {
            clock.sleep_until(clock.now() + seconds(1)).await;
            sender.send(7).unwrap();
        });
        let mut receiver = pin!(receiver);
        assert_eq!(runtime.run(receiver.as_mut()), None);
        assert_eq!(runtime.elapsed(), Duration::ZERO);
        runtime.advance(seconds(1));
        assert_eq!(runtime.run(receiver.as_mut()), Some(Ok(7)));
    }

    #[test]
    fn a_task_may_call_the_runtime() {
        let (runtime, notes) = (VirtualRuntime::new(), Notes::default());
        let (inner, noted) = (runtime.clone(), notes.clone());
        runtime.spawn(async move {
            inner.run_tasks();
            note(&inner, &noted, 1);
            inner.advance(seconds(1));
        });
        runtime.run_tasks();
        runtime.advance(seconds(1));
        assert_eq!(*notes.lock().unwrap(), [(seconds(2), 1)]);
    }

    #[test]
    #[should_panic(expected = "a task wakes itself for ever")]
    fn a_task_that_spins_is_found_out() {
        let runtime = VirtualRuntime::new();
        runtime.spawn(core::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        runtime.run_tasks();
    }
}

//! An executor: tasks take their turns on the thread that waits for one future.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

/// The tasks of one thread. Clones are handles to the same ones.
#[derive(Clone)]
pub(crate) struct Executor(Arc<(Thread, Mutex<State>)>);

#[derive(Default)]
struct State {
    ready: VecDeque<u64>,
    tasks: BTreeMap<u64, Task>,
    last: u64,
}

type Task = (Pin<Box<dyn Future<Output = ()> + Send>>, Arc<Turn>);

/// Gives a task its turn. It does not hold the task, which may hold whatever holds this.
struct Turn {
    number: u64,
    is_queued: AtomicBool,
    executor: Executor,
}

impl Executor {
    /// Runs a future to its end on this thread, and beside it whatever is spawned by the executor
    /// that `main` is given. What has not ended by then is dropped.
    pub(crate) fn run<F: Future>(main: impl FnOnce(Self) -> F) -> F::Output {
        let executor = Self(Arc::new((thread::current(), Mutex::default())));
        let output = executor.block_on(main(executor.clone()));
        // Named, so that they are dropped without the lock.
        let _tasks = std::mem::take(&mut executor.lock().tasks);
        output
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.lock();
        state.last += 1;
        let turn = self.turn(state.last);
        state.tasks.insert(turn.number, (Box::pin(future), turn.clone()));
        drop(state);
        turn.wake();
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let main = self.turn(0);
        main.clone().wake();
        loop {
            let next = self.lock().ready.pop_front();
            // Whatever wakes a task unparks this thread, before or after it parks.
            let Some(number) = next else {
                thread::park();
                continue;
            };
            let task = self.lock().tasks.remove(&number);
            if let Some((mut future, turn)) = task {
                if turn.poll(future.as_mut()).is_pending() {
                    self.lock().tasks.insert(number, (future, turn));
                }
            } else if number == 0
                && let Poll::Ready(output) = main.poll(future.as_mut())
            {
                return output;
            }
        }
    }

    fn turn(&self, number: u64) -> Arc<Turn> {
        Arc::new(Turn { number, is_queued: AtomicBool::new(false), executor: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        self.is_queued.store(false, SeqCst);
        future.poll(&mut Context::from_waker(&self.clone().into()))
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, SeqCst) {
            self.executor.lock().ready.push_back(self.number);
            self.executor.0.0.unpark();
        }
    }
}

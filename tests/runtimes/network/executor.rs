//! Tasks that have their turn in an order that a seed gives.

use crate::kit::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// More turns without a moment passing than any test needs.
const SPINNING: u64 = 200_000;

/// The number of the future that is run to its end.
const MAIN: u64 = 0;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone)]
pub(super) struct Executor {
    queue: Arc<Mutex<Queue>>,
    seed: u64,
}

#[derive(Default)]
struct Queue {
    /// Whose turn it is, each once.
    ready: Vec<u64>,
    is_ready: BTreeSet<u64>,
    spawned: Vec<(u64, Task)>,
    next: u64,
    polls: u64,
}

impl Queue {
    fn make_ready(&mut self, number: u64) {
        if self.is_ready.insert(number) {
            self.ready.push(number);
        }
    }
}

/// Holds no task, so that it may be dropped under any lock.
struct Turn {
    queue: Arc<Mutex<Queue>>,
    number: u64,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut queue = self.queue.lock().unwrap();
        queue.make_ready(self.number);
    }
}

impl Executor {
    pub(super) fn new(seed: u64) -> Self {
        Self { queue: Arc::default(), seed }
    }

    pub(super) fn polls(&self) -> u64 {
        self.queue.lock().unwrap().polls
    }

    pub(super) fn spawn(&self, task: Task) {
        let mut queue = self.queue.lock().unwrap();
        queue.next += 1;
        let number = queue.next;
        queue.make_ready(number);
        queue.spawned.push((number, task));
    }

    /// Runs the tasks until `future` is ready. `pass_time` is called when none has its turn; it
    /// says whether anything is to happen any more.
    pub(super) fn block_on<F: Future>(
        &self,
        future: F,
        mut pass_time: impl FnMut() -> bool,
    ) -> F::Output {
        let _seed = PrintedOnPanic(self.seed);
        let mut random = Random(self.seed);
        let mut future = pin!(future);
        let mut tasks: BTreeMap<u64, Task> = BTreeMap::new();
        let mut turns = 0;
        self.waker(MAIN).wake();
        loop {
            let (next, spawned) = {
                let mut queue = self.queue.lock().unwrap();
                let spawned = mem::take(&mut queue.spawned);
                let count = queue.ready.len();
                let next = (count > 0).then(|| queue.ready.swap_remove(random.below(count)));
                if let Some(number) = next {
                    queue.is_ready.remove(&number);
                }
                queue.polls += u64::from(next.is_some());
                (next, spawned)
            };
            tasks.extend(spawned);
            let Some(number) = next else {
                assert!(pass_time(), "everybody waits, and nothing is to happen any more");
                turns = 0;
                continue;
            };
            turns += 1;
            assert!(turns < SPINNING, "somebody spins");
            let waker = self.waker(number);
            let context = &mut Context::from_waker(&waker);
            if number == MAIN {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    // They hold this executor.
                    let spawned = mem::take(&mut self.queue.lock().unwrap().spawned);
                    drop(spawned);
                    return output;
                }
            } else if let Some(mut task) = tasks.remove(&number)
                && task.as_mut().poll(context).is_pending()
            {
                tasks.insert(number, task);
            }
        }
    }

    fn waker(&self, number: u64) -> Waker {
        Arc::new(Turn { queue: self.queue.clone(), number }).into()
    }
}

struct PrintedOnPanic(u64);

impl Drop for PrintedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {} (SANSSE_SEED)", self.0);
        }
    }
}

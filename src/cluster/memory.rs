//! A log in memory: [`MemoryLog`], for tests of what is built on a realm.

use super::batch::NodeId;
use super::error::{LogError, LogErrorKind};
use super::log::{Append, Appended, Content, Entry, Head, Hello, Log, Page, Read};
use crate::broker::Epoch;
use crate::net::Timer;
use crate::sync::{Mutex, MutexGuard};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::mem;
use core::task::{Poll, Waker};
use std::sync::PoisonError;
use std::time::Instant;

/// A log that is kept in memory, and can be told to fail as engines do. Clones are handles to the same
/// one, so that several nodes of one process share a realm.
///
/// It is for tests: with it a realm needs no engine, and with a
/// [`VirtualRuntime`](crate::testing::VirtualRuntime) no time. What it keeps ends with its last
/// handle.
///
/// ```
/// use sansse::cluster::{Append, Content, Hello, Log, MemoryLog, NodeId, Read};
/// use sansse::broker::Epoch;
/// use sansse::testing::VirtualRuntime;
/// use std::time::Duration;
///
/// let runtime = VirtualRuntime::new();
/// let log = MemoryLog::new(runtime.clone());
/// let node = NodeId(1);
/// let page = runtime.run(async move {
///     log.hello(Hello { node, epoch: Epoch(7), seen: 0 }).await?;
///     let payload = bytes::Bytes::from_static(b"three records");
///     log.append(Append { node, number: 1, seen: 0, count: 3, payload }).await?;
///     // The newest two are lost, as by an engine that was started again without them.
///     log.lose(2);
///     log.hello(Hello { node, epoch: Epoch(7), seen: 3 }).await?;
///     log.read(Read { after: 0, max_bytes: 1 << 20, wait: Duration::ZERO }).await
/// });
/// let entries = page.expect("it waits for nothing")?.entries;
/// assert_eq!(entries.len(), 1);
/// assert_eq!((entries[0].after, &entries[0].content), (0, &Content::Cut));
/// # Ok::<(), sansse::cluster::LogError>(())
/// ```
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    timer: Box<dyn Timer>,
    state: Mutex<State>,
}

struct State {
    epoch: Option<Epoch>,
    entries: VecDeque<Stored>,
    /// The position before the oldest entry.
    start: u64,
    /// The newest position.
    position: u64,
    /// The highest position that there ever was, also of what is lost.
    highest: u64,
    /// Of each node the last batch, those of the nodes that appended last.
    batches: VecDeque<(NodeId, u64, Appended)>,
    /// What it has lost is not marked by a cut yet.
    has_lost: bool,
    kept: u64,
    failure: Option<LogErrorKind>,
    waiting: Vec<Waker>,
}

struct Stored {
    after: u64,
    position: u64,
    at: Instant,
    content: Content,
}

/// Of how many nodes the last batch is known.
const NODES: usize = 256;

impl MemoryLog {
    /// Makes a log without entries that keeps the newest 100,000 positions: as many as a node reads
    /// when it joins.
    pub fn new(timer: impl Timer) -> Self {
        let state = State {
            epoch: None,
            entries: VecDeque::new(),
            start: 0,
            position: 0,
            highest: 0,
            batches: VecDeque::new(),
            has_lost: false,
            kept: 100_000,
            failure: None,
            waiting: Vec::new(),
        };
        let (timer, state) = (Box::new(timer), Mutex::new(state));
        Self { shared: Arc::new(Shared { timer, state }) }
    }

    /// Sets how many of the newest positions are kept. What is older goes with the next append.
    pub fn set_kept(&self, positions: u64) {
        self.lock().kept = positions;
    }

    /// Lets every request fail from now on, also a read that waits; `None` ends that. What is kept
    /// stays.
    pub fn fail(&self, failure: Option<LogErrorKind>) {
        self.change(|state| state.failure = failure);
    }

    /// Loses at least so many of the newest positions, whole entries, as an engine that is started
    /// again from an older copy, or another one that takes over without them. The next hello or append
    /// writes a cut.
    pub fn lose(&self, positions: u64) {
        self.change(|state| {
            let end = state.position.saturating_sub(positions);
            while let Some(newest) = state.entries.back().filter(|entry| entry.position > end) {
                state.position = newest.after;
                state.entries.pop_back();
            }
            state.start = state.start.min(state.position);
            let position = state.position;
            state.batches.retain(|(_, _, appended)| appended.last <= position);
            state.has_lost = true;
        });
    }

    /// Returns where it begins and ends.
    pub fn ends(&self) -> Head {
        self.lock().head()
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        let now = self.shared.timer.now();
        self.change(|state| {
            state.check()?;
            let epoch = *state.epoch.get_or_insert(hello.epoch);
            if epoch != hello.epoch {
                return Err(LogErrorKind::OtherEpoch { epoch }.into());
            }
            state.cut(now, hello.seen);
            Ok(state.head())
        })
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        let now = self.shared.timer.now();
        self.change(|state| {
            state.check()?;
            state.append(now, &append)
        })
    }

    fn read(&self, read: Read) -> impl Future<Output = Result<Page, LogError>> + Send {
        let log = self.clone();
        let until = self.shared.timer.now().checked_add(read.wait);
        let mut sleep = until.map(|until| self.shared.timer.sleep_until(until));
        poll_fn(move |context| {
            let now = log.shared.timer.now();
            let mut state = log.lock();
            state.check()?;
            let page = state.page(now, read);
            let is_over = until.is_some_and(|until| until <= now);
            if !page.entries.is_empty() || is_over {
                return Poll::Ready(Ok(page));
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            drop(state);
            if let Some(waiting) = &mut sleep
                && waiting.as_mut().poll(context).is_ready()
            {
                // It may end early: the clock decides.
                sleep = until.map(|until| log.shared.timer.sleep_until(until));
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
    }

    async fn head(&self) -> Result<Head, LogError> {
        let state = self.lock();
        state.check().map(|()| state.head())
    }
}

impl State {
    fn check(&self) -> Result<(), LogError> {
        self.failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    const fn head(&self) -> Head {
        Head { start: self.start, position: self.position }
    }

    /// Marks what was lost, or what a node has seen and this log has not.
    fn cut(&mut self, now: Instant, seen: u64) {
        if !self.has_lost && seen <= self.position {
            return;
        }
        // Beyond all that there ever was, and with a hole before it wherever a reader stands.
        let position = self.highest.max(seen).saturating_add(2);
        self.push(now, position, Content::Cut);
        self.has_lost = false;
    }

    fn append(&mut self, now: Instant, append: &Append) -> Result<Appended, LogError> {
        if append.count == 0 {
            return Err(LogError::from(LogErrorKind::Malformed).with_detail("an empty batch"));
        }
        let known = self.batches.iter().position(|(node, ..)| *node == append.node);
        if let Some((_, number, appended)) = known.and_then(|index| self.batches.get(index)) {
            if *number == append.number {
                return Ok(*appended);
            }
            // A request that was given up, and comes behind a later one.
            if *number > append.number {
                let error = LogError::from(LogErrorKind::Malformed);
                return Err(error.with_detail("the batch comes after a later one"));
            }
        }
        self.cut(now, append.seen);
        let last = self.position + u64::from(append.count);
        self.push(now, last, Content::Batch(append.payload.clone()));
        let appended = Appended { last, count: append.count };
        if let Some(index) = known {
            self.batches.remove(index);
        }
        self.batches.push_back((append.node, append.number, appended));
        if self.batches.len() > NODES {
            self.batches.pop_front();
        }
        let oldest = self.position.saturating_sub(self.kept);
        while let Some(gone) = self.entries.front().filter(|entry| entry.position <= oldest) {
            self.start = gone.position;
            self.entries.pop_front();
        }
        Ok(appended)
    }

    fn push(&mut self, at: Instant, position: u64, content: Content) {
        self.entries.push_back(Stored { after: self.position, position, at, content });
        self.position = position;
        self.highest = self.highest.max(position);
    }

    fn page(&self, now: Instant, read: Read) -> Page {
        let first = self.entries.partition_point(|entry| entry.position <= read.after);
        let mut bytes = 0;
        let mut entries = Vec::new();
        for stored in self.entries.range(first..) {
            bytes += match &stored.content {
                Content::Batch(payload) => payload.len(),
                Content::Cut => 0,
            };
            if !entries.is_empty() && bytes > read.max_bytes as usize {
                break;
            }
            entries.push(Entry {
                after: stored.after,
                position: stored.position,
                age: now.saturating_duration_since(stored.at),
                content: stored.content.clone(),
            });
        }
        Page { entries }
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("ends", &self.ends()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::net::Runtime;
    use crate::testing::VirtualRuntime;
    use bytes::Bytes;
    use core::time::Duration;

    const NODE: NodeId = NodeId(1);
    const EPOCH: Epoch = Epoch(7);

    struct World {
        runtime: VirtualRuntime,
        log: MemoryLog,
    }

    impl World {
        fn new() -> Self {
            let runtime = VirtualRuntime::new();
            let log = MemoryLog::new(runtime.clone());
            Self { runtime, log }
        }

        fn run<T>(&self, future: impl Future<Output = T>) -> T {
            self.runtime.run(future).expect("it waits for nothing")
        }

        fn hello(&self, seen: u64) -> Result<Head, LogError> {
            self.run(self.log.hello(Hello { node: NODE, epoch: EPOCH, seen }))
        }

        fn append(&self, number: u64, count: u32) -> Result<Appended, LogError> {
            let payload = Bytes::from_static(b"0123456789");
            let append = Append { node: NODE, number, seen: 0, count, payload };
            self.run(self.log.append(append))
        }

        fn read(&self, after: u64) -> Vec<(u64, u64, bool)> {
            let read = Read { after, max_bytes: 1 << 20, wait: Duration::ZERO };
            let page = self.run(self.log.read(read)).expect("nothing fails");
            let entries = page.entries.into_iter();
            entries.map(|one| (one.after, one.position, one.content == Content::Cut)).collect()
        }
    }

    #[test]
    fn entries_follow_each_other_and_the_same_batch_is_appended_once() {
        let world = World::new();
        assert_eq!(world.hello(0), Ok(Head::default()));
        assert_eq!(world.append(1, 3), Ok(Appended { last: 3, count: 3 }));
        assert_eq!(world.append(1, 3), Ok(Appended { last: 3, count: 3 }));
        assert_eq!(world.append(2, 1), Ok(Appended { last: 4, count: 1 }));
        let late = world.append(1, 3).map_err(|error| error.kind());
        assert_eq!(late, Err(LogErrorKind::Malformed), "it comes after a later one");
        assert_eq!(world.read(0), [(0, 3, false), (3, 4, false)]);
        assert_eq!(world.read(3), [(3, 4, false)]);
        assert_eq!(world.read(4), []);
    }

    #[test]
    fn what_is_lost_leaves_a_hole_and_its_positions_are_never_given_again() {
        let world = World::new();
        world.append(1, 3).unwrap();
        world.append(2, 2).unwrap();
        world.log.lose(1);
        assert_eq!(world.log.ends(), Head { start: 0, position: 3 });
        assert_eq!(world.hello(3), Ok(Head { start: 0, position: 7 }));
        // The batch that was lost is appended again, since nobody has it.
        assert_eq!(world.append(2, 2), Ok(Appended { last: 9, count: 2 }));
        assert_eq!(world.read(0), [(0, 3, false), (3, 7, true), (7, 9, false)]);
        // A node that has seen more than there is.
        assert_eq!(world.hello(20), Ok(Head { start: 0, position: 22 }));
    }

    #[test]
    fn a_read_waits_for_an_append_a_failure_or_its_end() {
        let World { runtime, log } = World::new();
        let read = Read { after: 0, max_bytes: 1, wait: Duration::from_secs(5) };
        let begin = || {
            let answer = Arc::new(Mutex::new(None));
            let (log, slot) = (log.clone(), answer.clone());
            runtime.spawn(async move {
                let page = log.read(read).await;
                *slot.lock().unwrap() = Some(page);
            });
            runtime.run_tasks();
            move || answer.lock().unwrap().take()
        };
        let waiting = begin();
        assert_eq!(waiting(), None);
        runtime.advance(Duration::from_secs(5));
        assert_eq!(waiting(), Some(Ok(Page::default())));
        let waiting = begin();
        log.fail(Some(LogErrorKind::Unreachable));
        runtime.run_tasks();
        assert_eq!(waiting(), Some(Err(LogErrorKind::Unreachable.into())));
        log.fail(None);
        let waiting = begin();
        let payload = Bytes::from_static(b"x");
        let append = Append { node: NODE, number: 1, seen: 0, count: 1, payload };
        runtime.run(log.append(append)).unwrap().unwrap();
        runtime.run_tasks();
        assert_eq!(waiting().unwrap().unwrap().entries.len(), 1);
    }

    #[test]
    fn a_page_has_one_entry_at_least_and_old_ones_go() {
        let world = World::new();
        for number in 1..=10 {
            world.append(number, 1).unwrap();
        }
        let read = Read { after: 2, max_bytes: 25, wait: Duration::ZERO };
        assert_eq!(world.run(world.log.read(read)).unwrap().entries.len(), 2);
        let read = Read { max_bytes: 1, ..read };
        assert_eq!(world.run(world.log.read(read)).unwrap().entries.len(), 1);
        world.log.set_kept(4);
        world.append(11, 1).unwrap();
        assert_eq!(world.log.ends(), Head { start: 7, position: 11 });
        assert_eq!(world.read(0).len(), 4);
    }

    #[test]
    fn a_realm_has_one_epoch() {
        let world = World::new();
        world.hello(0).unwrap();
        let other = Hello { node: NODE, epoch: Epoch(8), seen: 0 };
        let error = LogErrorKind::OtherEpoch { epoch: EPOCH };
        assert_eq!(world.run(world.log.hello(other)), Err(error.into()));
    }
}

//! Tasks without an executor: polled by hand, or each on a thread of its own.

use futures_core::Stream;
use sansse::Frame;
use sansse::hub::{Cut, Drive, Session};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// How long a thread may wait before a test gives it up for lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// A task that is nothing but its waker, which counts.
#[derive(Clone, Default)]
pub(super) struct Probe {
    wakes: Arc<Count>,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Probe {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn waker(&self) -> Waker {
        self.wakes.clone().into()
    }

    /// How often it was woken since this was last asked.
    pub(super) fn take_wakes(&self) -> usize {
        self.wakes.0.swap(0, Ordering::SeqCst)
    }
}

/// Polls a session for its next frame; `None` at its end, whichever way it ends.
pub(super) fn next(session: &mut Session, probe: &Probe) -> Poll<Option<Frame>> {
    next_item(session, probe).map(|item| item.and_then(Result::ok))
}

/// Polls a session for its next frame, or for its end.
pub(super) fn next_item(session: &mut Session, probe: &Probe) -> Poll<Option<Result<Frame, Cut>>> {
    Pin::new(session).poll_next(&mut Context::from_waker(&probe.waker()))
}

pub(super) fn poll_ended(session: &mut Session, probe: &Probe) -> Poll<()> {
    session.poll_ended(&mut Context::from_waker(&probe.waker()))
}

/// A hub's driver, polled when it was woken and not otherwise.
pub(super) struct Driver {
    drive: Pin<Box<Drive>>,
    probe: Probe,
    is_over: bool,
}

impl Driver {
    /// A driver that has been polled once, as an executor does with a new task.
    pub(super) fn new(drive: Drive) -> Self {
        let mut driver = Self { drive: Box::pin(drive), probe: Probe::new(), is_over: false };
        driver.poll();
        driver
    }

    /// Polls it as often as it was woken. Says how often that was.
    pub(super) fn run(&mut self) -> usize {
        let mut polls = 0;
        while !self.is_over && self.probe.take_wakes() > 0 {
            self.poll();
            polls += 1;
            assert!(polls < 100, "the driver spins");
        }
        polls
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn poll(&mut self) {
        let waker = self.probe.waker();
        self.is_over = self.drive.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    }
}

/// Runs a future on this thread; a wake that never comes fails.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let signal = Arc::new(Signal::default());
    let waker = signal.clone().into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let woken = signal.woken.lock().unwrap();
        let (mut woken, waited) =
            signal.changed.wait_timeout_while(woken, PATIENCE, |woken| !*woken).unwrap();
        assert!(!waited.timed_out(), "a wake is lost");
        *woken = false;
    }
}

#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// Fails if `call` waits for ever, as it does for a lock that its own thread holds.
pub(super) fn without_deadlock(call: impl FnOnce() + Send + 'static) {
    let (done, waits) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        call();
        done.send(()).unwrap();
    });
    match waits.recv_timeout(PATIENCE) {
        Ok(()) => thread.unwrap().join().unwrap(),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it waits for ever"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.unwrap().join().unwrap_err())
        }
    }
}

/// A waker whose every use calls back, as those of executors may that run tasks at once.
pub(super) struct Calling<F: Fn() + Send + Sync + 'static>(pub(super) F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calling<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl<F: Fn() + Send + Sync + 'static> Drop for Calling<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

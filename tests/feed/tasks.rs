//! Tasks without an executor: polled when they were woken, and not otherwise.

use futures_core::Stream;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// More polls in a row than any test needs.
const SPINNING: usize = 10_000;

#[derive(Default)]
pub(super) struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    pub(super) fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// A stream that is polled as by a task of its own: a lost wake is a lost item.
pub(super) struct Polled<S> {
    pub(super) stream: S,
    wakes: Arc<Wakes>,
}

impl<S: Stream + Unpin> Polled<S> {
    pub(super) fn new(stream: S) -> Self {
        let wakes = Arc::new(Wakes::default());
        wakes.clone().wake();
        Self { stream, wakes }
    }

    /// Polls once, woken or not.
    pub(super) fn poll(&mut self) -> Poll<Option<S::Item>> {
        let waker = Waker::from(self.wakes.clone());
        Pin::new(&mut self.stream).poll_next(&mut Context::from_waker(&waker))
    }

    /// All that comes while it is woken.
    pub(super) fn drain(&mut self) -> Vec<S::Item> {
        let mut items = Vec::new();
        for _ in 0..SPINNING {
            if self.wakes.take() == 0 {
                return items;
            }
            loop {
                match self.poll() {
                    Poll::Ready(Some(item)) => items.push(item),
                    Poll::Ready(None) => return items,
                    Poll::Pending => break,
                }
            }
        }
        panic!("it spins");
    }

    /// As if its owner had something to do: the next drain polls it, woken or not.
    pub(super) fn touch(&mut self) -> &mut S {
        self.wakes.clone().wake();
        &mut self.stream
    }

    pub(super) fn take_wakes(&self) -> usize {
        self.wakes.take()
    }
}

/// A future as a task.
pub(super) struct Task<F: Future> {
    future: Option<Pin<Box<F>>>,
    output: Option<F::Output>,
    wakes: Arc<Wakes>,
}

impl<F: Future> Task<F> {
    pub(super) fn new(future: F) -> Self {
        let wakes = Arc::new(Wakes::default());
        wakes.clone().wake();
        Self { future: Some(Box::pin(future)), output: None, wakes }
    }

    /// Polls it as often as it is woken. Says how often that was.
    pub(super) fn run(&mut self) -> usize {
        let mut polls = 0;
        while self.wakes.take() > 0 {
            polls += 1;
            assert!(polls < SPINNING, "it spins");
            self.poll_once();
        }
        polls
    }

    pub(super) fn poll_once(&mut self) {
        let waker = Waker::from(self.wakes.clone());
        if let Some(future) = &mut self.future
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            // As an executor does.
            self.future = None;
            self.output = Some(output);
        }
    }

    pub(super) fn output(&mut self) -> Option<F::Output> {
        self.run();
        self.output.take()
    }

    pub(super) fn is_over(&self) -> bool {
        self.future.is_none()
    }

    pub(super) fn abort(&mut self) {
        self.future = None;
    }
}

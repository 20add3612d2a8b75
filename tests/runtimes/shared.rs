//! A value that tasks wait for, on any executor.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

pub(crate) struct Shared<T> {
    state: Arc<Mutex<(T, Vec<Waker>)>>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone() }
    }
}

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { state: Arc::new(Mutex::new((value, Vec::new()))) }
    }

    /// Changes it, and wakes all who wait.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let (result, wakers) = {
            let mut state = self.state.lock().unwrap();
            (change(&mut state.0), std::mem::take(&mut state.1))
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Waits until `wanted` gives something.
    pub(crate) async fn until<R>(&self, mut wanted: impl FnMut(&mut T) -> Option<R>) -> R {
        poll_fn(|context| {
            let mut state = self.state.lock().unwrap();
            if let Some(result) = wanted(&mut state.0) {
                return Poll::Ready(result);
            }
            if !state.1.iter().any(|waker| waker.will_wake(context.waker())) {
                state.1.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

impl Shared<bool> {
    pub(crate) fn set(&self) {
        self.update(|is_set| *is_set = true);
    }

    pub(crate) async fn is_set(&self) {
        self.until(|is_set| is_set.then_some(())).await;
    }
}

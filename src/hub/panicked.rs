//! How many calls of the application's code panicked.

use crate::broker::Panics;
use crate::caught::Code;
use core::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(super) struct Panicked {
    listener: AtomicU64,
    wakers: AtomicU64,
    values: AtomicU64,
}

impl Panicked {
    pub(super) fn add(&self, code: Code, panics: u64) {
        if panics > 0 {
            let cell = match code {
                Code::Listener => &self.listener,
                Code::Waker => &self.wakers,
                _ => &self.values,
            };
            cell.fetch_add(panics, Ordering::Relaxed);
        }
    }

    pub(super) fn counted(&self) -> Panics {
        Panics {
            listener: self.listener.load(Ordering::Relaxed),
            wakers: self.wakers.load(Ordering::Relaxed),
            values: self.values.load(Ordering::Relaxed),
        }
    }
}

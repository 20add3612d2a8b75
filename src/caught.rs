//! Calls of the application's code, each of which costs itself alone where it panics.
//!
//! Where panics abort the process (`panic = "abort"`), nothing can be caught.

use alloc::boxed::Box;
#[cfg(feature = "tracing")]
use alloc::string::String;
use core::any::Any;
use core::mem;
use core::task::Waker;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Which code of the application's is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A listener, with the subscriber of `tracing` before it.
    #[cfg(feature = "broker")]
    Listener,
    /// The waker of a task.
    Waker,
    /// A value that is dropped, or a waker that is.
    #[cfg(feature = "broker")]
    Value,
    /// The clock.
    #[cfg(feature = "broker")]
    Timer,
}

/// Wakes tasks, each whatever the wakers before it do. Returns how many panicked.
pub(crate) fn wake(wakers: impl IntoIterator<Item = Waker>) -> u64 {
    each(Code::Waker, wakers, Waker::wake)
}

/// Makes a call for each of these, also after one that panicked. Returns how many did.
///
/// One frame catches for all of them, so that a list costs as much as one call.
pub(crate) fn each<T>(
    code: Code,
    items: impl IntoIterator<Item = T>,
    mut call: impl FnMut(T),
) -> u64 {
    let (mut items, mut panics) = (items.into_iter(), 0);
    while let Err(panic) = catch_unwind(AssertUnwindSafe(|| items.by_ref().for_each(&mut call))) {
        panics += 1;
        note(code, panic);
    }
    panics
}

/// Makes a call; `None` where it panics.
#[cfg(feature = "broker")]
pub(crate) fn once<R>(code: Code, call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| note(code, panic)).ok()
}

/// Tells the log of a panic.
#[cold]
fn note(code: Code, panic: Box<dyn Any + Send>) {
    #[cfg(feature = "tracing")]
    {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        // A subscriber is the application's too, and may be what panicked.
        let told = catch_unwind(|| {
            tracing::error!(target: "sansse::panic", code = code.as_str(), message, "the application panicked");
        });
        told.unwrap_or_else(let_go);
    }
    #[cfg(not(feature = "tracing"))]
    let _ = code;
    let_go(panic);
}

/// Drops what was thrown, which may throw once more.
fn let_go(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another);
    }
}

#[cfg(feature = "tracing")]
impl Code {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Waker => "waker",
            Self::Value => "value",
            Self::Timer => "timer",
        }
    }
}

#[cfg(all(test, feature = "broker"))]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use std::panic::panic_any;

    #[test]
    fn those_behind_one_that_panics_have_their_turn() {
        let mut called = Vec::new();
        let panics = each(Code::Waker, 0..9, |number| {
            called.push(number);
            assert!(number % 3 != 0, "as it was asked to");
        });
        assert_eq!((panics, called), (3, (0..9).collect()));
    }

    #[test]
    fn what_is_thrown_may_panic_when_it_is_dropped() {
        struct Throws;
        impl Drop for Throws {
            fn drop(&mut self) {
                panic_any("as it was asked to");
            }
        }
        assert_eq!(once(Code::Value, || panic_any(Throws)), None::<()>);
    }

    #[test]
    fn a_panic_while_another_unwinds_is_caught_as_well() {
        struct Calls<'a>(&'a mut u64);
        impl Drop for Calls<'_> {
            fn drop(&mut self) {
                *self.0 = each(Code::Waker, 0..2, |_| panic_any("as it was asked to"));
            }
        }
        let mut panics = 0;
        let calls = Calls(&mut panics);
        let first = once(Code::Value, move || {
            let _calls = calls;
            panic_any("as it was asked to")
        });
        assert_eq!((first, panics), (None::<()>, 2));
    }
}

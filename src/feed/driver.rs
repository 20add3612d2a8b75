//! The future that drives a feed.

use super::handle::{Commands, Driver, Shared, abandon, lock};
use super::{EventSource, FeedEvent, FeedLoss, SourceEvent, Transport};
use crate::caught;
use crate::client::CloseReason;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;
use std::sync::Mutex;

/// The future that drives a [`Feed`](super::Feed). It is ready when all handles and all
/// subscriptions are dropped: a feed that has ended can be [opened again](super::Feed::reopen) until
/// then. Dropping it ends the feed for good.
#[must_use = "nothing is read unless this is spawned"]
pub struct FeedDriver<T: Transport> {
    shared: Arc<Mutex<Shared>>,
    source: EventSource<T>,
    /// What came and went to no reader yet: not more than [`AHEAD`].
    ahead: VecDeque<FeedEvent>,
    flush: Flush,
}

/// Whether readers that are waited for get what they have no room for, since the connection is
/// over. What came of one connection is handed out so, and no more before there is room again, or a
/// connection that is lost again and again would fill their buffers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Possible,
    UnderWay,
    Done,
}

/// How far a feed that waits looks ahead: the message that is held back, and what comes next.
const AHEAD: usize = 2;

/// How many events are passed on before others of the thread have their turn.
const STEPS: usize = 32;

impl<T: Transport> FeedDriver<T> {
    pub(super) fn new(shared: Arc<Mutex<Shared>>, source: EventSource<T>) -> Self {
        Self { shared, source, ahead: VecDeque::new(), flush: Flush::Possible }
    }

    /// Does what was asked for. Says no when nobody needs the feed any more.
    fn obey(&mut self, context: &mut Context<'_>) -> bool {
        let mut shared = lock(&self.shared);
        // Whatever this waits for: it is to be woken by what the handles ask for, too.
        let replaced = match &mut shared.driver {
            Driver::Over => None,
            Driver::Lives(waker) => waker.replace(context.waker().clone()),
        };
        let is_needed = matches!(shared.driver, Driver::Lives(_));
        let commands = mem::take(&mut shared.commands);
        drop(shared);
        // Dropping a waker or a connection may run any code, so that the lock must be gone.
        drop(replaced);
        let Commands { close, reopen, restart, wake } = commands;
        if close || !is_needed {
            self.source.close();
            self.ahead.clear();
        }
        if reopen {
            self.source.reopen();
        }
        if restart {
            self.source.restart();
        }
        if wake {
            self.source.wake();
        }
        is_needed
    }

    /// Passes on what came, as far as there is room for it. Says no where there is nothing to read
    /// for, since nobody has subscribed or the feed has ended.
    fn pass_on(&mut self) -> bool {
        loop {
            let mut shared = lock(&self.shared);
            // What came before a feed was closed is not for those who subscribe when it is open
            // again.
            if shared.commands.close {
                self.ahead.clear();
            }
            let Some(event) = self.ahead.front() else {
                // An id that stands alone moves the place without a message.
                shared.set_last_event_id(self.source.last_event_id());
                return shared.has_begun && !shared.is_ended();
            };
            if let FeedEvent::Message(message) = event {
                let is_held_back = shared.holds_back(message);
                if is_held_back && (self.flush == Flush::Done || self.source.is_connected()) {
                    return true;
                }
                self.flush = if is_held_back { Flush::UnderWay } else { Flush::Possible };
            }
            if matches!(event, FeedEvent::Open(_)) && self.flush == Flush::UnderWay {
                self.flush = Flush::Done;
            }
            let wakers = shared.deliver(event);
            drop(shared);
            self.ahead.pop_front();
            caught::wake(wakers);
        }
    }

    /// Says no when nothing has come.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        if self.ahead.len() == AHEAD {
            let was_connected = self.source.is_connected();
            self.source.poll_behind(context);
            return was_connected && !self.source.is_connected();
        }
        let event = match Pin::new(&mut self.source).poll_next(context) {
            Poll::Pending => return false,
            Poll::Ready(Some(event)) => event,
            // It was closed before it became a feed.
            Poll::Ready(None) => SourceEvent::Closed(CloseReason::Requested),
        };
        self.ahead.extend(match event {
            SourceEvent::Message(message) => Some(FeedEvent::Message(message.into())),
            SourceEvent::Comment(_) => None,
            SourceEvent::Open(head) => Some(FeedEvent::Open(head.into())),
            SourceEvent::Dropped(error) => {
                Some(FeedEvent::Lost { events: Some(1), reason: FeedLoss::Limit(error) })
            }
            SourceEvent::Lost { events, reason } => {
                Some(FeedEvent::Lost { events, reason: FeedLoss::Server(reason) })
            }
            SourceEvent::Retrying { error, wait, attempts } => {
                Some(FeedEvent::Retrying { error, wait, attempts })
            }
            SourceEvent::Closed(reason) => Some(FeedEvent::Closed(reason)),
        });
        true
    }
}

impl<T: Transport> Future for FeedDriver<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            if !self.obey(context) {
                return Poll::Ready(());
            }
            if !self.pass_on() || !self.read(context) {
                // An id that came last moves the place without a message.
                self.pass_on();
                return Poll::Pending;
            }
        }
        // Messages come faster than they are passed on; it is the readers' turn.
        self.pass_on();
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Transport> Drop for FeedDriver<T> {
    /// Nothing comes any more, however it came to this.
    fn drop(&mut self) {
        abandon(&self.shared);
    }
}

impl<T: Transport> fmt::Debug for FeedDriver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedDriver").field("source", &self.source).finish_non_exhaustive()
    }
}

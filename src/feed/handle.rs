//! The handles to a feed, and what they share with its driver.

use super::buffer::{Buffer, SubscriptionConfig};
use super::{EventSource, FeedDriver, FeedEvent, Transport};
use crate::caught;
use crate::client::{CloseReason, ReadyState};
use crate::decode::OwnedMessage;
use crate::event::EventType;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use futures_core::Stream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An event stream to which several readers subscribe. Clones are handles to the same one.
///
/// The feed connects when the first subscription is made, and goes on until it is closed or the
/// client ends; while nobody subscribes, messages go nowhere. When all handles and all
/// subscriptions are dropped, it is over.
///
/// Each subscription has a buffer with [bounds](SubscriptionConfig). One that is held and not read
/// loses its oldest messages and is told how many; the others notice nothing.
///
/// ```
/// # async fn example(source: sansse::EventSource<impl sansse::Transport>) {
/// use sansse::event_type;
/// use sansse::{Feed, FeedEvent};
///
/// # fn spawn(_: impl Future) {}
/// let (feed, driver) = Feed::new(source);
/// // A task of any executor:
/// spawn(driver);
/// let mut orders = feed.subscribe_to(event_type!("order"));
/// while let Some(event) = orders.next().await {
///     match event {
///         FeedEvent::Message(order) => println!("{}", order.data),
///         FeedEvent::Lost { .. } => println!("ask for all orders again: {event}"),
///         told => eprintln!("{told}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Feed {
    handle: Arc<Handle>,
}

/// Ends the feed with the last of its handles and subscriptions.
struct Handle {
    shared: Arc<Mutex<Shared>>,
}

pub(super) struct Shared {
    readers: BTreeMap<u64, Reader>,
    next_reader: u64,
    /// Somebody has subscribed since the feed was made or opened again.
    pub(super) has_begun: bool,
    end: Option<CloseReason>,
    state: ReadyState,
    last_event_id: String,
    /// What the driver is to do next.
    pub(super) commands: Commands,
    pub(super) driver: Driver,
    /// The driver waits until there is room for what came.
    wants_room: bool,
}

/// What handles ask of the driver. It does them in this order.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each may be asked for beside the others")]
pub(super) struct Commands {
    pub(super) close: bool,
    pub(super) reopen: bool,
    pub(super) restart: bool,
    pub(super) wake: bool,
}

pub(super) enum Driver {
    /// To be woken by this, where it was polled.
    Lives(Option<Waker>),
    /// It is gone, or nobody needs it.
    Over,
}

struct Reader {
    buffer: Buffer,
    /// The feed has ended since this reader subscribed.
    is_over: bool,
    waker: Option<Waker>,
}

impl Feed {
    /// Makes a feed, and the future that drives it. The future is to be spawned once.
    pub fn new<T: Transport>(source: EventSource<T>) -> (Self, FeedDriver<T>) {
        let shared = Arc::new(Mutex::new(Shared {
            readers: BTreeMap::new(),
            next_reader: 0,
            has_begun: false,
            end: None,
            state: source.state(),
            last_event_id: source.last_event_id().to_owned(),
            commands: Commands::default(),
            driver: Driver::Lives(None),
            wants_room: false,
        }));
        let driver = FeedDriver::new(shared.clone(), source);
        (Self { handle: Arc::new(Handle { shared }) }, driver)
    }

    /// Subscribes to all messages, with the default [`SubscriptionConfig`].
    pub fn subscribe(&self) -> Subscription {
        self.subscribe_with(SubscriptionConfig::default())
    }

    /// Subscribes to the messages of one type, otherwise with the default [`SubscriptionConfig`].
    pub fn subscribe_to(&self, event_type: EventType) -> Subscription {
        let event_type = Some(event_type);
        self.subscribe_with(SubscriptionConfig { event_type, ..SubscriptionConfig::default() })
    }

    /// Subscribes with a configuration.
    ///
    /// A subscription gets what comes after it was made. One that is made when the feed has ended
    /// is told why, and ends.
    pub fn subscribe_with(&self, config: SubscriptionConfig) -> Subscription {
        let mut shared = lock(&self.handle.shared);
        let number = shared.next_reader;
        shared.next_reader += 1;
        let is_over = shared.end.is_some();
        let mut reader = Reader { buffer: Buffer::new(config), is_over, waker: None };
        if let Some(reason) = &shared.end {
            reader.buffer.push_end(FeedEvent::Closed(reason.clone()));
        }
        shared.readers.insert(number, reader);
        let has_begun = shared.has_begun || is_over;
        shared.has_begun |= !is_over;
        // The feed may have waited for the one that was its only reader.
        let driver = if has_begun { shared.room_made() } else { shared.driver.take_waker() };
        drop(shared);
        caught::wake(driver);
        Subscription { handle: self.handle.clone(), number }
    }

    /// Returns whether there is a stream, as of the last event that went to the subscriptions.
    pub fn state(&self) -> ReadyState {
        lock(&self.handle.shared).state
    }

    /// Returns the last event ID string, as of the last event that went to the subscriptions; empty
    /// if there is none. The next request sends it.
    ///
    /// An application that keeps a place in order to go on in another process keeps that of the
    /// messages that it has dealt with, [`OwnedMessage::last_event_id`]: subscriptions may hold
    /// messages that were not read yet.
    pub fn last_event_id(&self) -> String {
        lock(&self.handle.shared).last_event_id.clone()
    }

    /// Tells that the machine slept, or that the network came back. A wait is cut short, and a
    /// connection has to give a sign of life; see [`EventSource::wake`].
    pub fn wake(&self) {
        self.command(|commands| commands.wake = true);
    }

    /// Drops the connection and asks again at once. Messages that had come still reach the
    /// subscriptions. Does nothing before the first subscription and after the end.
    pub fn restart(&self) {
        self.command(|commands| commands.restart = true);
    }

    /// Ends the feed and the stream of each subscription, after what its buffer holds.
    pub fn close(&self) {
        let mut shared = lock(&self.handle.shared);
        shared.commands = Commands { close: true, ..Commands::default() };
        let wakers = shared.finish(None, CloseReason::Requested);
        drop(shared);
        caught::wake(wakers);
    }

    /// Opens the feed again after it has ended, for whatever reason. It connects when the next
    /// subscription is made, and goes on after the last event ID, with a new
    /// [`total`](crate::client::Timeouts::total) time. Subscriptions from before the end have
    /// ended.
    ///
    /// Returns whether it did so: `false` where the feed has not ended, and where its driver is
    /// gone, so that nothing can open it any more.
    pub fn reopen(&self) -> bool {
        let mut shared = lock(&self.handle.shared);
        if shared.end.is_none() || matches!(shared.driver, Driver::Over) {
            return false;
        }
        shared.end = None;
        shared.has_begun = false;
        shared.state = ReadyState::Connecting;
        shared.commands.reopen = true;
        let driver = shared.driver.take_waker();
        drop(shared);
        caught::wake(driver);
        true
    }

    fn command(&self, set: impl FnOnce(&mut Commands)) {
        let mut shared = lock(&self.handle.shared);
        if !shared.has_begun || shared.end.is_some() {
            return;
        }
        set(&mut shared.commands);
        let driver = shared.driver.take_waker();
        drop(shared);
        caught::wake(driver);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        abandon(&self.shared);
    }
}

/// Ends the feed for good.
pub(super) fn abandon(shared: &Mutex<Shared>) {
    let mut shared = lock(shared);
    let mut wakers = shared.finish(None, CloseReason::Requested);
    if let Driver::Lives(waker) = mem::replace(&mut shared.driver, Driver::Over) {
        wakers.extend(waker);
    }
    drop(shared);
    caught::wake(wakers);
}

/// What one reader gets of a [`Feed`]: a [`Stream`] of [`FeedEvent`]s. Dropping it leaves the others
/// in peace.
#[must_use = "what it gets is to be read"]
pub struct Subscription {
    handle: Arc<Handle>,
    number: u64,
}

impl Subscription {
    /// Returns what comes next; `None` once the subscription has ended. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<FeedEvent> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Subscription {
    type Item = FeedEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<FeedEvent>> {
        let mut shared = lock(&self.handle.shared);
        let Some(reader) = shared.readers.get_mut(&self.number) else { return Poll::Ready(None) };
        if let Some(item) = reader.buffer.pop() {
            let driver = shared.room_made();
            drop(shared);
            caught::wake(driver);
            return Poll::Ready(Some(item));
        }
        if reader.is_over {
            return Poll::Ready(None);
        }
        let replaced = reader.waker.replace(context.waker().clone());
        drop(shared);
        // The last handle to a task drops all that the task owns, which may be of this feed.
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shared = lock(&self.handle.shared);
        let reader = shared.readers.remove(&self.number);
        // The feed may have waited for this one.
        let driver = shared.room_made();
        drop(shared);
        drop(reader);
        caught::wake(driver);
    }
}

impl Driver {
    fn take_waker(&mut self) -> Option<Waker> {
        match self {
            Self::Lives(waker) => waker.take(),
            Self::Over => None,
        }
    }
}

impl Shared {
    pub(super) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether a reader wants this message and is waited for; then the driver is woken when that
    /// may have changed.
    pub(super) fn holds_back(&mut self, message: &OwnedMessage) -> bool {
        let is_alone = self.has_one_reader();
        let holds_back = |reader: &Reader| {
            !reader.is_over && reader.buffer.is_waited_for(is_alone) && reader.buffer.wants(message)
        };
        self.wants_room = self.readers.values().any(holds_back);
        self.wants_room
    }

    /// Whether a feed that waits for a reader holds up no other.
    fn has_one_reader(&self) -> bool {
        self.readers.values().filter(|reader| !reader.is_over).nth(1).is_none()
    }

    /// Gives an event to the readers. Returns whom to wake.
    pub(super) fn deliver(&mut self, event: &FeedEvent) -> Vec<Waker> {
        match event {
            FeedEvent::Closed(reason) => return self.finish(Some(event), reason.clone()),
            FeedEvent::Open(_) => self.state = ReadyState::Open,
            FeedEvent::Retrying { .. } => self.state = ReadyState::Connecting,
            // A reader may ask for it as soon as it has the message.
            FeedEvent::Message(message) => self.set_last_event_id(message.last_event_id.as_str()),
            FeedEvent::Lost { .. } => {}
        }
        let is_alone = self.has_one_reader();
        let readers = self.readers.values_mut().filter(|reader| !reader.is_over);
        let mut wakers = Vec::new();
        for reader in readers {
            match event {
                FeedEvent::Message(message) if !reader.buffer.wants(message) => continue,
                FeedEvent::Message(message) => {
                    reader.buffer.push_message(message.clone(), is_alone);
                }
                told => reader.buffer.push_told(told.clone()),
            }
            wakers.extend(reader.waker.take());
        }
        wakers
    }

    /// Ends the feed. Returns whom to wake.
    fn finish(&mut self, last: Option<&FeedEvent>, reason: CloseReason) -> Vec<Waker> {
        self.end.get_or_insert(reason);
        self.state = ReadyState::Closed;
        let mut wakers = Vec::new();
        for reader in self.readers.values_mut().filter(|reader| !reader.is_over) {
            reader.is_over = true;
            if let Some(last) = last {
                reader.buffer.push_end(last.clone());
            }
            wakers.extend(reader.waker.take());
        }
        wakers.extend(self.driver.take_waker());
        wakers
    }

    pub(super) fn set_last_event_id(&mut self, id: &str) {
        if self.last_event_id != id {
            id.clone_into(&mut self.last_event_id);
        }
    }

    /// Whom to wake when a buffer has become shorter.
    fn room_made(&mut self) -> Option<Waker> {
        if mem::take(&mut self.wants_room) { self.driver.take_waker() } else { None }
    }
}

/// Nothing runs under the lock that could panic.
pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = lock(&self.handle.shared);
        f.debug_struct("Feed")
            .field("subscriptions", &shared.readers.len())
            .field("state", &shared.state)
            .field("end", &shared.end)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}

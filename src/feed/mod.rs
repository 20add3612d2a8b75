//! The client behind streams, over any transport and any runtime.
//!
//! [`EventSource`] is one event stream through all its connections. [`Feed`] shares one among
//! several readers, each with the types that it wants. What carries the requests is a [`Transport`]:
//! an HTTP client of the application's, or [`Http1`], which speaks HTTP/1.1 over a runtime's
//! sockets.

mod event_source;
#[cfg(feature = "http1")]
mod http1;
mod transport;

pub use event_source::{EventSource, HeadersWanted, SourceEvent};
#[cfg(feature = "http1")]
#[cfg_attr(docsrs, doc(cfg(feature = "http1")))]
pub use http1::{Http1, Http1Body};
pub use transport::Transport;

use crate::client::{ClientError, CloseReason};
use crate::decode::{DecodeError, OwnedMessage};
use crate::event::EventType;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::mem;
use core::num::NonZeroUsize;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use futures_core::Stream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An event stream to which several readers subscribe. Clones are handles to the same one.
///
/// The feed connects when the first subscription is made, and goes on until it is closed or the
/// client ends; while nobody subscribes, messages go nowhere. When all handles and all
/// subscriptions are dropped, it closes.
#[derive(Clone)]
pub struct Feed {
    handle: Arc<Handle>,
}

/// Closes the feed with the last of its handles and subscriptions.
struct Handle {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    readers: BTreeMap<u64, Reader>,
    next_reader: u64,
    has_begun: bool,
    is_closed: bool,
    end: Option<CloseReason>,
    driver: Option<Waker>,
    /// The driver waits until there is room for what came.
    wants_room: bool,
}

struct Reader {
    event_type: Option<EventType>,
    overflow: Overflow,
    capacity: NonZeroUsize,
    queue: VecDeque<Result<Arc<OwnedMessage>, FeedError>>,
    /// How many messages were dropped since the reader was last told.
    dropped: u64,
    waker: Option<Waker>,
}

/// How many events are passed on before others of the thread have their turn.
const STEPS: usize = 32;

/// What happens to a subscription whose buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The feed waits, and with it all its other subscriptions, and at last the server: nothing is
    /// lost, and the slowest reader sets the pace.
    #[default]
    Wait,
    /// The oldest message in this buffer is dropped, and counted; the other subscriptions notice
    /// nothing. The reader is told by [`FeedError::Overflowed`]. An error stays, unless the buffer
    /// holds nothing but errors: then the oldest of them makes room.
    DropOldest,
}

/// What a subscription gets in place of a message. Only after [`Closed`](Self::Closed), or when
/// the feed was closed by its holders, is it over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedError {
    /// The connection was lost; the feed reconnects.
    Lost(ClientError),
    /// An event of the stream was beyond a limit and is lost.
    Dropped(DecodeError),
    /// This subscription did not keep up, and so many messages were dropped from its buffer.
    Overflowed {
        /// How many.
        dropped: u64,
    },
    /// The client has ended, and the feed with it.
    Closed(CloseReason),
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Dropped(error) => write!(f, "an event was lost: {error}"),
            Self::Overflowed { dropped } => {
                write!(f, "{dropped} messages were dropped, since they were not read in time")
            }
            Self::Closed(reason) => write!(f, "the feed has ended: {reason}"),
        }
    }
}

impl core::error::Error for FeedError {}

impl Feed {
    /// Makes a feed, and the future that drives it. The future is to be spawned once.
    pub fn new<T: Transport>(source: EventSource<T>) -> (Self, FeedDriver<T>) {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let driver = FeedDriver { shared: shared.clone(), source, held: None };
        (Self { handle: Arc::new(Handle { shared }) }, driver)
    }

    /// Subscribes to all messages, with a buffer of 256 and [`Overflow::Wait`].
    pub fn subscribe(&self) -> Subscription {
        self.subscribe_with(None, Self::CAPACITY, Overflow::Wait)
    }

    /// Subscribes to messages of one type, with a buffer of 256 and [`Overflow::Wait`].
    pub fn subscribe_to(&self, event_type: EventType) -> Subscription {
        self.subscribe_with(Some(event_type), Self::CAPACITY, Overflow::Wait)
    }

    /// Subscribes to messages of one type, or of all where it is `None`, with a buffer of
    /// `capacity` items.
    ///
    /// A subscription gets what comes after it was made. One that is made when the feed has ended
    /// is told why.
    pub fn subscribe_with(
        &self,
        event_type: Option<EventType>,
        capacity: NonZeroUsize,
        overflow: Overflow,
    ) -> Subscription {
        let mut shared = lock(&self.handle.shared);
        let number = shared.next_reader;
        shared.next_reader += 1;
        let (queue, dropped, waker) = (VecDeque::new(), 0, None);
        let mut reader = Reader { event_type, overflow, capacity, queue, dropped, waker };
        if let Some(reason) = &shared.end {
            reader.queue.push_back(Err(FeedError::Closed(reason.clone())));
        }
        shared.readers.insert(number, reader);
        let driver =
            if mem::replace(&mut shared.has_begun, true) { None } else { shared.driver.take() };
        drop(shared);
        driver.into_iter().for_each(Waker::wake);
        Subscription { handle: self.handle.clone(), number }
    }

    /// Ends the feed and the stream of each subscription, after what its buffer holds.
    pub fn close(&self) {
        close(&self.handle.shared);
    }

    const CAPACITY: NonZeroUsize = NonZeroUsize::new(256).unwrap();
}

impl Drop for Handle {
    fn drop(&mut self) {
        close(&self.shared);
    }
}

fn close(shared: &Mutex<Shared>) {
    let mut shared = lock(shared);
    shared.is_closed = true;
    shared.end.get_or_insert(CloseReason::Requested);
    let wakers: Vec<Waker> =
        shared.readers.values_mut().filter_map(|reader| reader.waker.take()).collect();
    let driver = shared.driver.take();
    drop(shared);
    wakers.into_iter().chain(driver).for_each(Waker::wake);
}

/// What one reader gets of a [`Feed`]: messages, and errors between them. Dropping it
/// leaves the others in peace.
pub struct Subscription {
    handle: Arc<Handle>,
    number: u64,
}

impl Subscription {
    /// Returns the next message or error; `None` once the subscription has ended. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<<Self as Stream>::Item> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Subscription {
    type Item = Result<Arc<OwnedMessage>, FeedError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shared = lock(&self.handle.shared);
        let is_over = shared.is_closed || shared.end.is_some();
        let Some(reader) = shared.readers.get_mut(&self.number) else { return Poll::Ready(None) };
        if reader.dropped > 0 {
            let dropped = mem::take(&mut reader.dropped);
            return Poll::Ready(Some(Err(FeedError::Overflowed { dropped })));
        }
        if let Some(item) = reader.queue.pop_front() {
            let driver = shared.room_made();
            drop(shared);
            driver.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(item));
        }
        if is_over {
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
        driver.into_iter().for_each(Waker::wake);
    }
}

/// The future that drives a [`Feed`]. It is ready when the feed has ended. Dropping it closes the
/// feed.
#[must_use = "nothing is read unless this is spawned"]
pub struct FeedDriver<T: Transport> {
    shared: Arc<Mutex<Shared>>,
    source: EventSource<T>,
    /// What came and waits for room.
    held: Option<Result<Arc<OwnedMessage>, FeedError>>,
}

impl<T: Transport> Future for FeedDriver<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..STEPS {
            {
                let mut shared = lock(&this.shared);
                if shared.is_closed {
                    drop(shared);
                    this.source.close();
                    return Poll::Ready(());
                }
                let has_room = this.held.as_ref().is_none_or(|item| shared.has_room(item));
                // Whatever it waits for: to be woken when the feed is closed, too.
                let replaced = shared.driver.replace(context.waker().clone());
                shared.wants_room = !has_room;
                if !shared.has_begun || !has_room {
                    drop(shared);
                    drop(replaced);
                    return Poll::Pending;
                }
                let wakers = this.held.take().map(|item| shared.deliver(&item));
                drop(shared);
                drop(replaced);
                wakers.into_iter().flatten().for_each(Waker::wake);
            }
            match Pin::new(&mut this.source).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(event)) => match event {
                    SourceEvent::Message(message) => this.held = Some(Ok(Arc::new(message))),
                    SourceEvent::Retrying { error, .. } => {
                        this.held = Some(Err(FeedError::Lost(error)));
                    }
                    SourceEvent::Dropped(error) => {
                        this.held = Some(Err(FeedError::Dropped(error)));
                    }
                    SourceEvent::Closed(reason) => {
                        let mut shared = lock(&this.shared);
                        // Not held back by a full buffer: nothing comes after it.
                        let wakers = shared.deliver_end(&reason);
                        shared.end = Some(reason);
                        drop(shared);
                        wakers.into_iter().for_each(Waker::wake);
                    }
                    SourceEvent::Open { .. } | SourceEvent::Comment(_) => {}
                },
            }
        }
        // Messages come faster than they are passed on; it is the readers' turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: Transport> Drop for FeedDriver<T> {
    /// Nothing comes any more, however it came to this.
    fn drop(&mut self) {
        close(&self.shared);
    }
}

impl Shared {
    /// Whom to wake when a buffer has become shorter.
    fn room_made(&mut self) -> Option<Waker> {
        if mem::take(&mut self.wants_room) { self.driver.take() } else { None }
    }

    /// Whether all whom the feed waits for have room.
    fn has_room(&self, item: &Result<Arc<OwnedMessage>, FeedError>) -> bool {
        self.readers.values().filter(|reader| reader.wants(item)).all(|reader| {
            reader.overflow == Overflow::DropOldest || reader.queue.len() < reader.capacity.get()
        })
    }

    fn deliver(&mut self, item: &Result<Arc<OwnedMessage>, FeedError>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for reader in self.readers.values_mut().filter(|reader| reader.wants(item)) {
            if reader.overflow == Overflow::DropOldest
                && reader.queue.len() >= reader.capacity.get()
            {
                let oldest = reader.queue.iter().position(Result::is_ok).unwrap_or(0);
                let dropped = reader.queue.remove(oldest);
                reader.dropped += u64::from(dropped.is_some_and(|dropped| dropped.is_ok()));
            }
            reader.queue.push_back(item.clone());
            wakers.extend(reader.waker.take());
        }
        wakers
    }
}

impl Shared {
    /// What comes last has room in every buffer.
    fn deliver_end(&mut self, reason: &CloseReason) -> Vec<Waker> {
        for reader in self.readers.values_mut() {
            reader.queue.push_back(Err(FeedError::Closed(reason.clone())));
        }
        self.readers.values_mut().filter_map(|reader| reader.waker.take()).collect()
    }
}

impl Reader {
    /// Errors are everyone's.
    fn wants(&self, item: &Result<Arc<OwnedMessage>, FeedError>) -> bool {
        match (item, &self.event_type) {
            (Ok(message), Some(event_type)) => message.event_type == *event_type,
            _ => true,
        }
    }
}

/// Nothing runs under the lock that could panic.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = lock(&self.handle.shared);
        f.debug_struct("Feed")
            .field("subscriptions", &shared.readers.len())
            .field("end", &shared.end)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<T: Transport> fmt::Debug for FeedDriver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedDriver").field("source", &self.source).finish_non_exhaustive()
    }
}

//! What a connection has of its server: it is counted, and so is what it holds.

use super::budget::{Buffer, EntryKey, LITTLE, PeerKey};
use super::counters::ServerCounters;
use bytes::Bytes;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_channel::oneshot::Receiver;

/// A connection that counts as open while this exists, and that holds bytes for its peer.
///
/// Each stream has one, so it is two words.
#[derive(Debug)]
pub(super) struct Open {
    counters: ServerCounters,
    peer: PeerKey,
}

impl Open {
    /// Counts a connection of this peer.
    pub(super) fn new(counters: ServerCounters, peer: PeerKey) -> Self {
        counters.opened();
        Self { counters, peer }
    }

    pub(super) const fn counters(&self) -> &ServerCounters {
        &self.counters
    }

    /// Says what `holding` holds of requests, and whether it is with the application, which cannot
    /// give way.
    pub(super) fn hold(&self, holding: &mut Option<Holding>, bytes: usize, is_kept: bool) {
        match holding {
            None if bytes <= LITTLE => {}
            Some(_) if bytes <= LITTLE => *holding = None,
            Some(held) => held.set(bytes, is_kept),
            None => {
                let held = holding.insert(self.add(Buffer::Own(bytes)));
                held.bytes = bytes;
                held.set(bytes, is_kept);
            }
        }
    }

    /// Ready when a write of `rest` that waits for its peer is to wait no more, since the bytes are
    /// needed that it holds. They are `kept` in all, and others may hold them too. They are counted
    /// from the first call on.
    pub(super) fn poll_gives_way(
        &self,
        holding: &mut Option<Holding>,
        rest: &Bytes,
        kept: usize,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if kept <= LITTLE {
            return Poll::Pending;
        }
        let held = holding.get_or_insert_with(|| {
            let place = rest.as_ptr_range().end.addr();
            self.add(Buffer::Shared { place, bytes: kept })
        });
        held.poll_gives_way(context)
    }

    fn add(&self, buffer: Buffer) -> Holding {
        let (key, told) = self.counters.budget().add(self.peer, buffer);
        Holding { counters: self.counters.clone(), key, told, bytes: 0, is_kept: false }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counters.closed_one();
    }
}

/// Bytes of a connection that count for its peer while this exists.
///
/// It is to be dropped before the bytes are, since their place in memory stands for them.
#[derive(Debug)]
pub(super) struct Holding {
    counters: ServerCounters,
    key: EntryKey,
    told: Receiver<()>,
    bytes: usize,
    is_kept: bool,
}

impl Holding {
    /// Is ready when it has to give way.
    pub(super) fn poll_gives_way(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.told).poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Small changes are no news, so that not each packet of a body takes a lock.
    fn set(&mut self, bytes: usize, is_kept: bool) {
        let is_news = self.bytes.div_ceil(LITTLE) != bytes.div_ceil(LITTLE);
        if is_news || self.is_kept != is_kept {
            (self.bytes, self.is_kept) = (bytes, is_kept);
            self.counters.budget().set(self.key, bytes, is_kept);
        }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.counters.budget().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::task::Waker;

    fn is_told(holding: &mut Option<Holding>) -> bool {
        let context = &mut Context::from_waker(Waker::noop());
        holding.as_mut().is_some_and(|held| held.poll_gives_way(context).is_ready())
    }

    fn open(number: u64) -> Open {
        Open::new(ServerCounters::default(), PeerKey::of(&(), number))
    }

    #[test]
    fn little_is_not_counted_and_what_becomes_little_no_more() {
        let open = open(1);
        let mut holding = None;
        open.hold(&mut holding, LITTLE, false);
        assert!(holding.is_none());
        let held = |bytes| (open.counters().budget().held().now, bytes);
        for (bytes, counted) in
            [(LITTLE + 1, LITTLE + 1), (LITTLE + 9, LITTLE + 1), (9_000, 9_000), (100, 0)]
        {
            open.hold(&mut holding, bytes, false);
            let (now, expected) = held(counted);
            assert_eq!(now, expected, "{bytes}");
        }
        assert!(holding.is_none());
    }

    #[test]
    fn a_body_gives_way_until_the_application_has_it() {
        let (first, counters) = (open(1), ServerCounters::default());
        drop(first);
        counters.budget().set_limit(30_000);
        let [first, second] =
            [1, 2].map(|number| Open::new(counters.clone(), PeerKey::of(&(), number)));
        let [mut one, mut two] = [None, None];
        first.hold(&mut one, 20_000, true);
        second.hold(&mut two, 15_000, false);
        assert!(!is_told(&mut one) && is_told(&mut two));
        two = None;
        second.hold(&mut two, 9_000, false);
        assert!(!is_told(&mut two));
        first.hold(&mut one, 25_000, false);
        assert!(is_told(&mut one) && !is_told(&mut two));
        drop((one, two));
        assert_eq!(counters.snapshot().held_bytes, 0);
    }

    #[test]
    fn an_event_that_many_wait_to_take_counts_once() {
        let counters = ServerCounters::default();
        let event = Bytes::from(alloc::vec![b'x'; 100_000]);
        let context = &mut Context::from_waker(Waker::noop());
        let mut holdings = alloc::vec::Vec::new();
        for number in 0..50_usize {
            let open = Open::new(counters.clone(), PeerKey::of(&(), number as u64));
            let rest = event.slice(number * 100..);
            let mut holding = None;
            assert!(open.poll_gives_way(&mut holding, &rest, event.len(), context).is_pending());
            holdings.push(holding);
        }
        assert_eq!(counters.snapshot().held_bytes, 100_000);
        let another = Bytes::from(alloc::vec![b'x'; 5_000]);
        let open = Open::new(counters.clone(), PeerKey::of(&(), 99));
        let mut holding = None;
        assert!(open.poll_gives_way(&mut holding, &another, another.len(), context).is_pending());
        assert_eq!(counters.snapshot().held_bytes, 105_000);
        holdings.clear();
        assert_eq!(counters.snapshot().held_bytes, 5_000);
        drop(holding);
        let snapshot = counters.snapshot();
        assert_eq!((snapshot.held_bytes, snapshot.most_held_bytes), (0, 105_000));
    }
}

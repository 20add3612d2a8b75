//! What waits for one reader of a feed, within bounds.

use super::{FeedEvent, FeedLoss};
use crate::decode::OwnedMessage;
use crate::event::EventType;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::num::NonZeroUsize;

/// What a subscription gets, and how much may wait for its reader.
///
/// ```
/// use sansse::event_type;
/// use sansse::feed::{Overflow, SubscriptionConfig};
///
/// let mut every_order = SubscriptionConfig::default();
/// every_order.event_type = Some(event_type!("order"));
/// every_order.overflow = Overflow::Wait;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionConfig {
    /// The type whose messages it gets. Default `None`: all types.
    pub event_type: Option<EventType>,
    /// How many messages may wait for the reader. Default 256, as many as a server's session is
    /// usually allowed to be behind: enough for a reader that does something else for a moment.
    pub messages: NonZeroUsize,
    /// How many bytes may wait for the reader, of the data, types and ids of messages. Default
    /// 4 MiB: 16 KiB for each message, and little enough that a program can forget some
    /// subscriptions. The newest message is kept whatever its size, so that any message that the
    /// client's [`Limits`](crate::Limits) allow arrives.
    pub bytes: NonZeroUsize,
    /// What happens when more than that waits. Default [`Overflow::SpareOthers`].
    pub overflow: Overflow,
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self {
            event_type: None,
            messages: const { NonZeroUsize::new(256).unwrap() },
            bytes: const { NonZeroUsize::new(4 << 20).unwrap() },
            overflow: Overflow::default(),
        }
    }
}

/// What happens to a subscription for whose reader more waits than its
/// [bounds](SubscriptionConfig) allow.
///
/// Either way only messages are held back or dropped. What is told of the connection
/// ([`FeedEvent::Open`], [`Retrying`](FeedEvent::Retrying), [`Closed`](FeedEvent::Closed)) has room
/// in each buffer. Of that, the newest 32 are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The feed waits, as with [`Wait`](Self::Wait), while this is its only subscription: nobody
    /// else is held up, and a reader that is slower than the server gets everything. As soon as
    /// there is another subscription, the oldest messages are dropped, as with
    /// [`DropOldest`](Self::DropOldest). So a subscription that is held and forgotten stops no other.
    ///
    /// Several readers that are all read to the end lose nothing with [`Wait`](Self::Wait).
    #[default]
    SpareOthers,
    /// The oldest messages are dropped, and counted. The reader is told by [`FeedEvent::Lost`], at
    /// the place where they are missing. The other subscriptions notice nothing.
    DropOldest,
    /// The feed waits once the bounds are passed, and with it all its other subscriptions, and at
    /// last the server. Nothing is lost, and the slowest reader sets the pace. A subscription that
    /// waits is to be read: one that is held and forgotten stops all the others.
    ///
    /// While it waits, the feed looks ahead by one message and by what one read of the transport
    /// brings. Where the connection turns out to be over by that, by a deadline or by
    /// [`restart`](super::Feed::restart), all subscriptions are told at once: the little that had
    /// come of that connection is handed out before, though it is beyond the bounds. This happens
    /// once until there is room again. What lies behind more messages than that nobody can know
    /// without reading them.
    Wait,
}

/// How many items that are told may wait. A connection can be lost any number of times while
/// nobody reads.
const TOLD: usize = 32;

pub(super) struct Buffer {
    config: SubscriptionConfig,
    items: VecDeque<FeedEvent>,
    messages: usize,
    bytes: usize,
    /// How many items are neither messages nor losses by overflow. Of the latter there is at most
    /// one between two others.
    told: usize,
}

impl Buffer {
    pub(super) fn new(config: SubscriptionConfig) -> Self {
        Self { config, items: VecDeque::new(), messages: 0, bytes: 0, told: 0 }
    }

    /// Whether the reader has asked for it.
    pub(super) fn wants(&self, message: &OwnedMessage) -> bool {
        self.config.event_type.as_ref().is_none_or(|wanted| message.event_type == *wanted)
    }

    /// Whether the feed is to wait for the reader before it brings another message, which
    /// `is_alone` says of the feed's only one.
    pub(super) fn is_waited_for(&self, is_alone: bool) -> bool {
        match self.config.overflow {
            Overflow::Wait => self.exceeds(),
            // Nothing is dropped when another subscription comes, unless messages come too.
            Overflow::SpareOthers => is_alone && self.is_full(),
            Overflow::DropOldest => false,
        }
    }

    pub(super) fn push_message(&mut self, message: Arc<OwnedMessage>, is_alone: bool) {
        self.messages += 1;
        self.bytes += size(&message);
        self.items.push_back(FeedEvent::Message(message));
        let drops = match self.config.overflow {
            Overflow::Wait => false,
            Overflow::SpareOthers => !is_alone,
            Overflow::DropOldest => true,
        };
        while drops && self.messages > 1 && self.exceeds() {
            self.drop_oldest();
        }
    }

    /// Adds what is told between messages.
    pub(super) fn push_told(&mut self, event: FeedEvent) {
        if let (Some(last), FeedEvent::Lost { events, reason }) = (self.items.back_mut(), &event)
            && is_loss_by(last, reason)
        {
            return add(last, *events);
        }
        self.items.push_back(event);
        self.told += 1;
        if self.told > TOLD {
            self.forget_oldest_told();
        }
    }

    /// Adds the last item of all.
    pub(super) fn push_end(&mut self, event: FeedEvent) {
        self.items.push_back(event);
        self.told += 1;
    }

    pub(super) fn pop(&mut self) -> Option<FeedEvent> {
        let item = self.items.pop_front()?;
        match &item {
            FeedEvent::Message(message) => {
                self.messages -= 1;
                self.bytes -= size(message);
            }
            item if is_loss_by(item, &FeedLoss::Overflow) => {}
            _ => self.told -= 1,
        }
        Some(item)
    }

    fn exceeds(&self) -> bool {
        self.messages > self.config.messages.get() || self.bytes > self.config.bytes.get()
    }

    fn is_full(&self) -> bool {
        self.messages >= self.config.messages.get() || self.bytes >= self.config.bytes.get()
    }

    /// Puts the loss in the place of the message.
    ///
    /// ```text
    /// open  m1 m2 m3      open  lost:1 m2 m3      open  lost:2 m3
    /// ```
    fn drop_oldest(&mut self) {
        let is_message = |item: &FeedEvent| matches!(item, FeedEvent::Message(_));
        let Some(oldest) = self.items.iter().position(is_message) else { return };
        let one = FeedEvent::Lost { events: Some(1), reason: FeedLoss::Overflow };
        if let FeedEvent::Message(message) = core::mem::replace(&mut self.items[oldest], one) {
            self.messages -= 1;
            self.bytes -= size(&message);
        }
        self.merge(oldest);
    }

    /// Drops the oldest news of the connection. A loss is never dropped: where nothing else is
    /// left, the two oldest become one, at the place of the first.
    fn forget_oldest_told(&mut self) {
        let is_news =
            |item: &FeedEvent| matches!(item, FeedEvent::Open(_) | FeedEvent::Retrying { .. });
        let newest = self.items.len() - 1;
        if let Some(oldest) = self.items.iter().take(newest).position(is_news) {
            self.items.remove(oldest);
            self.told -= 1;
            return self.merge(oldest);
        }
        let told = |item: &FeedEvent| matches!(item, FeedEvent::Lost { reason, .. } if *reason != FeedLoss::Overflow);
        let mut losses = (0..self.items.len()).filter(|&index| told(&self.items[index]));
        let (Some(first), Some(second)) = (losses.next(), losses.next()) else { return };
        if let Some(FeedEvent::Lost { events, .. }) = self.items.remove(second) {
            self.told -= 1;
            add(&mut self.items[first], events);
            self.merge(second);
        }
    }

    /// Makes one loss of the one at `index` and the one before it, where they have one reason.
    fn merge(&mut self, index: usize) {
        let Some(before) = index.checked_sub(1) else { return };
        let Some(FeedEvent::Lost { events, reason }) = self.items.get(index) else { return };
        if is_loss_by(&self.items[before], reason) {
            let (events, is_told) = (*events, *reason != FeedLoss::Overflow);
            add(&mut self.items[before], events);
            self.items.remove(index);
            self.told -= usize::from(is_told);
        }
    }
}

fn is_loss_by(item: &FeedEvent, by: &FeedLoss) -> bool {
    matches!(item, FeedEvent::Lost { reason, .. } if reason == by)
}

/// Adds so many events to a loss. What is not known in part is not known.
fn add(loss: &mut FeedEvent, more: Option<u64>) {
    if let FeedEvent::Lost { events, .. } = loss {
        *events = events.zip(more).map(|(events, more)| events.saturating_add(more));
    }
}

fn size(message: &OwnedMessage) -> usize {
    let OwnedMessage { event_type, data, last_event_id } = message;
    data.len() + event_type.as_str().len() + last_event_id.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{ClientError, CloseReason};
    use crate::decode::{DecodeError, Decoder, Step};
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use core::time::Duration;

    fn buffer(messages: usize, bytes: usize, overflow: Overflow) -> Buffer {
        let [messages, bytes] = [messages, bytes].map(|bound| NonZeroUsize::new(bound).unwrap());
        Buffer::new(SubscriptionConfig { event_type: None, messages, bytes, overflow })
    }

    fn message(data: &str) -> Arc<OwnedMessage> {
        let mut decoder = Decoder::new();
        decoder.handle_data(format!("event: t\ndata: {data}\n\n").as_bytes());
        assert_eq!(decoder.poll_step(), Some(Step::Message));
        Arc::new(decoder.message().into_owned())
    }

    fn retrying(attempts: u32) -> FeedEvent {
        let wait = Duration::from_secs(3);
        FeedEvent::Retrying { error: ClientError::EndOfStream, wait, attempts }
    }

    fn too_large(limit: usize) -> FeedLoss {
        FeedLoss::Limit(DecodeError::EventTooLarge { limit })
    }

    fn words(buffer: &mut Buffer) -> Vec<String> {
        let mut words = Vec::new();
        while let Some(item) = buffer.pop() {
            words.push(match item {
                FeedEvent::Message(message) => message.data.clone(),
                FeedEvent::Lost { events, reason: FeedLoss::Overflow } => {
                    format!("lost {events:?}")
                }
                FeedEvent::Lost { events, .. } => format!("limit {events:?}"),
                FeedEvent::Retrying { attempts, .. } => format!("retry {attempts}"),
                FeedEvent::Closed(_) => "closed".to_string(),
                FeedEvent::Open(_) => "open".to_string(),
            });
        }
        assert_eq!((buffer.messages, buffer.bytes, buffer.told), (0, 0, 0));
        words
    }

    #[test]
    fn a_loss_stands_where_the_messages_are_missing() {
        let mut buffer = buffer(2, 1 << 20, Overflow::DropOldest);
        buffer.push_told(retrying(1));
        for data in ["a", "b", "c"] {
            buffer.push_message(message(data), false);
        }
        buffer.push_told(retrying(2));
        for data in ["d", "e", "f"] {
            buffer.push_message(message(data), false);
        }
        let told = ["retry 1", "lost Some(3)", "retry 2", "lost Some(1)", "e", "f"];
        assert_eq!(words(&mut buffer), told);
    }

    #[test]
    fn bytes_are_a_bound_too_and_the_newest_message_is_kept_whatever_its_size() {
        // Each message has its data and one byte of its type.
        let mut buffer = buffer(100, 10, Overflow::DropOldest);
        for data in ["1234", "5678"] {
            buffer.push_message(message(data), false);
        }
        assert_eq!(buffer.bytes, 10);
        buffer.push_message(message("9"), false);
        assert_eq!(words(&mut buffer), ["lost Some(1)", "5678", "9"]);

        buffer.push_message(message("a"), false);
        buffer.push_message(message(&"x".repeat(1000)), false);
        assert_eq!(words(&mut buffer), ["lost Some(1)".to_string(), "x".repeat(1000)]);
    }

    #[test]
    fn one_that_waits_drops_nothing() {
        let mut buffer = buffer(2, 1 << 20, Overflow::Wait);
        for (number, is_waited_for) in [(1, false), (2, false), (3, true), (4, true)] {
            buffer.push_message(message(&number.to_string()), false);
            assert_eq!(buffer.is_waited_for(false), is_waited_for, "{number}");
        }
        assert_eq!(words(&mut buffer), ["1", "2", "3", "4"]);
        assert!(!buffer.is_waited_for(false));
    }

    #[test]
    fn news_of_the_connection_are_bounded_and_the_newest_are_kept() {
        let mut buffer = buffer(2, 1 << 20, Overflow::DropOldest);
        for number in 0..100 {
            buffer.push_message(message("x"), false);
            buffer.push_told(retrying(number));
        }
        buffer.push_end(FeedEvent::Closed(CloseReason::NoContent));
        assert!(buffer.items.len() < 100, "{}", buffer.items.len());
        let words = words(&mut buffer);
        let retries = words.iter().filter(|word| word.starts_with("retry")).count();
        assert_eq!(retries, 32);
        assert_eq!(words.last().unwrap(), "closed");
        assert!(
            words.contains(&"retry 68".to_string()) && !words.contains(&"retry 67".to_string())
        );
        let lost: u64 = words
            .iter()
            .filter_map(|word| {
                word.strip_prefix("lost Some(")?.strip_suffix(')')?.parse::<u64>().ok()
            })
            .sum();
        assert_eq!(lost, 98, "forgotten news take no count with them");
    }

    #[test]
    fn no_count_of_a_loss_is_forgotten() {
        let mut buffer = buffer(2, 1 << 20, Overflow::DropOldest);
        for limit in 0..100 {
            buffer.push_told(FeedEvent::Lost { events: Some(2), reason: too_large(limit) });
        }
        // One reason in a row is one item.
        for _ in 0..3 {
            buffer.push_told(FeedEvent::Lost { events: Some(1), reason: too_large(7) });
        }
        assert!(buffer.items.len() <= TOLD);
        let mut sum = 0;
        while let Some(FeedEvent::Lost { events, .. }) = buffer.pop() {
            sum += events.unwrap();
        }
        assert_eq!(sum, 203);

        buffer.push_told(FeedEvent::Lost { events: Some(2), reason: too_large(1) });
        buffer.push_told(FeedEvent::Lost { events: None, reason: too_large(1) });
        assert_eq!(words(&mut buffer), ["limit None"]);
    }

    #[test]
    fn the_only_reader_is_waited_for_and_one_of_several_loses_its_oldest() {
        let mut buffer = buffer(2, 1_000, Overflow::SpareOthers);
        buffer.push_message(message("a"), true);
        assert!(!buffer.is_waited_for(true));
        buffer.push_message(message("b"), true);
        assert!(buffer.is_waited_for(true) && !buffer.is_waited_for(false));
        // What a connection had brought that is over goes beyond the bounds.
        buffer.push_message(message("c"), true);
        assert!(matches!(buffer.items.front(), Some(FeedEvent::Message(_))));
        buffer.push_message(message("d"), false);
        let lost = FeedEvent::Lost { events: Some(2), reason: FeedLoss::Overflow };
        assert_eq!((buffer.pop(), buffer.messages), (Some(lost), 2));
    }
}

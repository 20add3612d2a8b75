//! One channel: whatever can be published to, with what it keeps and the subscriptions that wait
//! for more.

use super::log::Log;
use super::waiting::{Waiting, WaitingList};
use crate::broker::clock::Tick;
use crate::broker::config::{Lag, Retention};
use crate::broker::names::TopicName;
use alloc::boxed::Box;
use core::num::NonZeroU64;

/// A deadline that is not set.
const NEVER: Tick = Tick::MAX;

/// For whom a channel is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// All sessions with the broadcast.
    Everyone,
    /// The subscribers of a topic. Boxed, since each client has a channel, and topics are few.
    Named(Box<Named>),
    /// The subscribers of a pattern: it has no log, but references into those of the topics that
    /// match, which stand in this slot.
    Pattern(u32),
    /// All sessions of one client.
    Client,
    /// One session.
    Session,
}

#[derive(Debug)]
pub(crate) struct Channel {
    kind: Kind,
    log: Log,
    waiting: WaitingList,
    /// When its timer comes up.
    armed: Tick,
    subscribers: u32,
    /// Whether this is a topic that was last seen to be there without a subscriber too.
    is_kept: bool,
    rare: Option<Box<Rare>>,
}

/// The name of a topic, and which patterns match it.
#[derive(Debug)]
pub(crate) struct Named {
    name: TopicName,
    /// The slots of the patterns that match, if they are few, as of a change of those in use.
    patterns: Box<[u32]>,
    /// `None`: they are not known, or too many to be remembered.
    as_of: Option<NonZeroU64>,
}

/// How many matching patterns a topic remembers. More are found anew at each publish, so that what
/// topics remember stays small however many patterns peers choose.
const REMEMBERED: usize = 8;

/// What few channels have.
#[derive(Debug, Default, PartialEq)]
struct Rare {
    retention: Option<Retention>,
    lag: Option<Lag>,
    end: Option<End>,
}

/// The end of a topic, to which nothing more is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    position: u64,
    at: Tick,
    /// Until when it is remembered without a subscriber; `None` once that is over.
    until: Option<Tick>,
}

impl Channel {
    /// Makes a channel whose events through the position `lost_through` may have existed and are
    /// gone.
    pub(crate) fn new(kind: Kind, lost_through: u64) -> Self {
        let (log, waiting) = (Log::new(lost_through), WaitingList::default());
        Self { kind, log, waiting, armed: NEVER, subscribers: 0, is_kept: false, rare: None }
    }

    #[inline]
    pub(crate) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Returns the name of a topic.
    pub(crate) const fn name(&self) -> Option<&TopicName> {
        match &self.kind {
            Kind::Named(named) => Some(&named.name),
            _ => None,
        }
    }

    #[inline]
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// Lends the log to be changed. Only the topics do so, which tell the ledger and the patterns
    /// what became of it.
    pub(super) const fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    #[inline]
    pub(crate) const fn waiting(&self) -> &WaitingList {
        &self.waiting
    }

    pub(super) const fn waiting_mut(&mut self) -> &mut WaitingList {
        &mut self.waiting
    }

    /// Returns whether the subscription waits here under this index, and not on a list that was
    /// handed over.
    #[inline]
    pub(crate) fn is_waiting(&self, waiting: Waiting, index: u32) -> bool {
        self.waiting.get(index) == Some(waiting)
    }

    pub(super) const fn join(&mut self) {
        self.subscribers += 1;
    }

    pub(super) const fn leave(&mut self) {
        self.subscribers -= 1;
    }

    pub(super) const fn has_subscribers(&self) -> bool {
        self.subscribers > 0
    }

    /// Returns the slots of the patterns in use that match the topic, if they are remembered as of
    /// this change of those in use.
    pub(crate) fn patterns(&self, as_of: NonZeroU64) -> Option<&[u32]> {
        match &self.kind {
            Kind::Named(named) if named.as_of == Some(as_of) => Some(&named.patterns),
            _ => None,
        }
    }

    /// Remembers the patterns in use that match the topic, if they are few.
    pub(super) fn remember_patterns(&mut self, patterns: &[u32], as_of: NonZeroU64) {
        if let Kind::Named(named) = &mut self.kind {
            let few = Some(patterns).filter(|patterns| patterns.len() <= REMEMBERED);
            named.as_of = few.map(|_| as_of);
            let few = few.unwrap_or_default();
            if *named.patterns != *few {
                named.patterns = few.into();
            }
        }
    }

    /// Returns the retention that was set for this channel alone.
    pub(crate) fn retention(&self) -> Option<&Retention> {
        self.rare.as_ref()?.retention.as_ref()
    }

    pub(super) fn set_retention(&mut self, retention: Option<Retention>) {
        self.change_rare(|rare| rare.retention = retention);
    }

    /// Returns the lag that was set for this channel alone.
    #[inline]
    pub(crate) fn lag(&self) -> Option<&Lag> {
        self.rare.as_ref()?.lag.as_ref()
    }

    pub(super) fn set_lag(&mut self, lag: Option<Lag>) {
        self.change_rare(|rare| rare.lag = lag);
    }

    #[inline]
    pub(crate) fn end(&self) -> Option<End> {
        self.rare.as_ref()?.end
    }

    pub(super) fn set_end(&mut self, now: Tick, position: u64, until: Tick) {
        self.change_rare(|rare| rare.end = Some(End { position, at: now, until: Some(until) }));
    }

    /// Lets the end be forgotten as soon as the topic has no subscriber.
    pub(super) fn forget_end(&mut self) {
        self.change_rare(|rare| {
            if let Some(end) = &mut rare.end {
                end.until = None;
            }
        });
    }

    /// Returns whether this is a topic that there would be without a subscriber too, as of the last
    /// [`classify`](Self::classify).
    pub(crate) const fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Looks whether this is a topic that there would be without a subscriber too: it keeps
    /// something, or is remembered. Returns that if it was otherwise before.
    pub(super) fn classify(&mut self) -> Option<bool> {
        let is_topic = matches!(self.kind, Kind::Named(_));
        let is_kept = is_topic && (!self.log.is_empty() || self.is_remembered());
        (core::mem::replace(&mut self.is_kept, is_kept) != is_kept).then_some(is_kept)
    }

    /// Returns whether the channel can go without any difference to be seen from outside.
    pub(crate) fn is_idle(&self) -> bool {
        let is_free = self.subscribers == 0;
        match &self.kind {
            Kind::Pattern(_) => is_free,
            Kind::Named(_) => is_free && self.log.is_empty() && !self.is_remembered(),
            // `Topics::close` closes these; the one for everyone stays.
            Kind::Everyone | Kind::Client | Kind::Session => false,
        }
    }

    fn is_remembered(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| match rare.end {
            Some(end) => end.until.is_some(),
            None => rare.retention.is_some() || rare.lag.is_some(),
        })
    }

    /// Returns when the channel is to be looked at: when its oldest event is too old, or its end
    /// is to be forgotten.
    pub(crate) fn deadline(&self, retention: &Retention) -> Option<Tick> {
        let remembered = self.end().and_then(|end| end.until);
        self.log.next_expiry(retention).into_iter().chain(remembered).min()
    }

    /// Sets when the timer comes up, if that is sooner than before. Returns whether it is.
    pub(super) const fn arm(&mut self, at: Tick) -> bool {
        let is_sooner = at < self.armed;
        if is_sooner {
            self.armed = at;
        }
        is_sooner
    }

    /// Returns whether the timer that came up is the one that counts, which it does once.
    pub(super) fn disarm(&mut self, at: Tick) -> bool {
        let is_current = self.armed == at;
        if is_current {
            self.armed = NEVER;
        }
        is_current
    }

    pub(super) fn is_armed_for(&self, at: Tick) -> bool {
        self.armed == at
    }

    fn change_rare(&mut self, change: impl FnOnce(&mut Rare)) {
        let rare = self.rare.get_or_insert_default();
        change(rare);
        if **rare == Rare::default() {
            self.rare = None;
        }
    }
}

impl Named {
    pub(crate) fn new(name: TopicName) -> Self {
        Self { name, patterns: Box::default(), as_of: None }
    }

    pub(crate) const fn name(&self) -> &TopicName {
        &self.name
    }
}

impl End {
    pub(crate) const fn position(self) -> u64 {
        self.position
    }

    /// Returns when the topic was ended.
    pub(crate) const fn at(self) -> Tick {
        self.at
    }

    pub(crate) fn is_over(self, now: Tick) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Channel {
        Channel::new(Kind::Named(Box::new(Named::new(TopicName::new("news").unwrap()))), 0)
    }

    #[test]
    fn a_topic_is_idle_when_nobody_subscribes_nothing_is_kept_and_nothing_is_set() {
        let mut channel = named();
        assert!(channel.is_idle());
        channel.join();
        assert!(!channel.is_idle());
        channel.leave();
        channel.set_lag(Some(Lag::default()));
        assert!(!channel.is_idle());
        channel.set_lag(None);
        assert!(channel.is_idle() && channel.rare.is_none());
    }

    #[test]
    fn an_end_outweighs_settings_and_is_remembered_until_its_time() {
        let mut channel = named();
        channel.set_lag(Some(Lag::default()));
        channel.set_end(50, 9, 100);
        assert!(!channel.is_idle());
        let end = channel.end().unwrap();
        assert_eq!((end.position(), end.at()), (9, 50));
        assert_eq!((end.is_over(99), end.is_over(100)), (false, true));
        channel.forget_end();
        assert!(channel.is_idle(), "its settings were those of a topic that is over");
        assert!(channel.end().is_some(), "as long as it is there, it has ended");
    }

    #[test]
    fn a_timer_is_moved_forward_and_comes_up_once() {
        let mut channel = named();
        assert!(channel.arm(20) && channel.arm(10) && !channel.arm(15));
        assert!(!channel.disarm(20), "void since it was moved");
        assert!(channel.disarm(10) && !channel.disarm(10));
    }

    #[test]
    fn the_patterns_that_match_are_remembered_while_they_are_few_and_until_others_are_in_use() {
        let change = |number| NonZeroU64::new(number).unwrap();
        let mut channel = named();
        assert_eq!(channel.patterns(change(1)), None);
        channel.remember_patterns(&[4, 2], change(1));
        assert_eq!(channel.patterns(change(1)), Some(&[4, 2][..]));
        assert_eq!(channel.patterns(change(2)), None);
        channel.remember_patterns(&[7; REMEMBERED + 1], change(2));
        assert_eq!(channel.patterns(change(2)), None);
        channel.remember_patterns(&[], change(3));
        assert_eq!(channel.patterns(change(3)), Some(&[][..]));
    }

    #[test]
    fn a_channel_is_small() {
        assert!(size_of::<Channel>() <= 144, "{}", size_of::<Channel>());
    }
}

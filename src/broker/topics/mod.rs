//! Whatever can be published to: channels, what each keeps, the subscriptions that wait for more,
//! and which channels match a pattern.
//!
//! A channel is for everyone, for the subscribers of a topic or a pattern, for a client's sessions,
//! or for one session. Each has a log, which is the buffer for replay and the delivery queue of
//! all its sessions at once. A pattern's channel has no log: it refers to those of the topics that
//! match.

mod channel;
mod ledger;
mod log;
mod lost;
mod matched;
mod patterns;
mod ready;
mod recent;
mod room;
mod tree;
mod view;
mod waiting;

pub(crate) use channel::Kind;
pub(crate) use log::{Entry, Log, Margin, NewEntry};
pub(crate) use ready::{HandOver, Ready, ReadyQueue};
pub(crate) use view::{Take, View};
pub(crate) use waiting::Waiting;

use super::arena::Arena;
use super::clock::{Tick, ticks};
use super::config::{BrokerLimits, Lag, Retention};
use super::error::{PublishError, TopicSettingError};
use super::names::{TopicFilter, TopicName, TopicPattern};
use super::timers::Timers;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use channel::{Channel, Named};
use ledger::Ledger;
use matched::Matched;
use patterns::Patterns;

/// All channels of a broker.
#[derive(Debug)]
pub(crate) struct Topics {
    channels: Arena<Channel>,
    everyone: u32,
    names: BTreeMap<TopicName, u32>,
    /// How many of these there would be without a subscriber too.
    kept: usize,
    patterns: Patterns,
    ledger: Ledger,
    timers: Timers,
    /// By the position of the end, the topics whose end is remembered even without a subscriber.
    ended: BTreeMap<u64, u32>,
    /// The newest position lost with a topic that is no longer known. A session that comes back
    /// from before it may have missed something, and is told so.
    forgotten: u64,
    retention: Retention,
    private_retention: Retention,
    max_kept: usize,
    max_subscribed: usize,
    max_ended: usize,
    /// Whether a log was ever compact.
    may_compact: bool,
}

/// What a subscription leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: it waited nowhere, or was the last of its channel's list.
    Nothing,
    /// Its index on the waiting list is another subscription's now.
    Moved(Waiting),
    /// An entry of the ready queue that means nothing any more.
    Void,
}

/// What there is for a subscription that was on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It waits: the list was not handed over.
    Waits,
    /// Events after its cursor.
    More,
    /// No event, but its topic has ended.
    Ended,
    Nothing,
}

impl Topics {
    pub(crate) fn new(
        limits: &BrokerLimits,
        retention: Retention,
        private_retention: Retention,
    ) -> Self {
        let mut channels = Arena::new();
        let everyone = channels.insert(Channel::new(Kind::Everyone, 0)).slot();
        Self {
            channels,
            everyone,
            names: BTreeMap::new(),
            kept: 0,
            patterns: Patterns::new(limits),
            ledger: Ledger::new(limits.retained_bytes.get()),
            timers: Timers::default(),
            ended: BTreeMap::new(),
            forgotten: 0,
            retention,
            private_retention,
            max_kept: limits.topics as usize,
            max_subscribed: limits.subscribed_topics as usize,
            max_ended: limits.ended_topics as usize,
            may_compact: retention.compact || private_retention.compact,
        }
    }

    /// Returns the slot of the channel for everyone.
    #[inline]
    pub(crate) const fn everyone(&self) -> u32 {
        self.everyone
    }

    /// Returns the slot of a topic that is known.
    pub(crate) fn named(&self, name: &TopicName) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Returns the slot of a topic or a pattern that is known.
    pub(crate) fn get(&self, filter: &TopicFilter) -> Option<u32> {
        match filter {
            TopicFilter::Topic(name) => self.named(name),
            TopicFilter::Pattern(pattern) => self.patterns.get(pattern),
        }
    }

    /// Returns how many topics and patterns are known.
    pub(crate) fn len(&self) -> usize {
        self.names.len() + self.patterns.len()
    }

    /// Returns how many topics and patterns there are only because somebody subscribed.
    pub(crate) fn subscribed_only(&self) -> usize {
        self.len() - self.kept
    }

    /// Checks whether something can be published to a topic of this name.
    pub(crate) fn check_publish(&self, name: &TopicName) -> Result<(), PublishError> {
        let channel = self.named(name).and_then(|slot| self.channels.at(slot));
        match channel {
            Some(channel) if channel.end().is_some() => Err(PublishError::TopicEnded),
            Some(channel) if channel.is_kept() => Ok(()),
            _ if self.kept < self.max_kept => Ok(()),
            _ => Err(PublishError::TooManyTopics),
        }
    }

    fn has_room_to_publish(&self, name: &TopicName) -> bool {
        let channel = self.named(name).and_then(|slot| self.channels.at(slot));
        channel.is_some_and(Channel::is_kept) || self.kept < self.max_kept
    }

    /// Returns whether sessions may subscribe to so many topics and patterns that are not known.
    pub(crate) fn has_room_to_subscribe(&self, new: usize) -> bool {
        new == 0 || self.subscribed_only() + new <= self.max_subscribed
    }

    /// Returns how many bytes all channels keep.
    pub(crate) const fn retained_bytes(&self) -> usize {
        self.ledger.bytes()
    }

    /// Returns how many bytes what patterns refer to takes.
    pub(crate) const fn pattern_bytes(&self) -> usize {
        self.patterns.bytes()
    }

    /// Returns the slot of a topic or a pattern to which a session subscribes, which is opened if
    /// need be. Whether there is [room](Self::has_room_to_subscribe) was asked before.
    pub(crate) fn ensure(&mut self, filter: &TopicFilter) -> u32 {
        self.get(filter).unwrap_or_else(|| match filter {
            TopicFilter::Topic(name) => self.open_topic(name),
            TopicFilter::Pattern(pattern) => self.open_pattern(pattern),
        })
    }

    /// Returns the slot of a topic that is published to, or is set. One that is not known is opened;
    /// `None`: there may be no more.
    fn ensure_topic(&mut self, name: &TopicName) -> Option<u32> {
        // Who subscribes to a topic here gets what another shard had room for.
        self.named(name).or_else(|| (self.kept < self.max_kept).then(|| self.open_topic(name)))
    }

    fn open_topic(&mut self, name: &TopicName) -> u32 {
        let named = Box::new(Named::new(name.clone()));
        let channel = Channel::new(Kind::Named(named), self.forgotten);
        let slot = self.channels.insert(channel).slot();
        self.names.insert(name.clone(), slot);
        slot
    }

    fn open_pattern(&mut self, pattern: &TopicPattern) -> u32 {
        let number = self.patterns.open(pattern, &self.names, &self.channels, self.forgotten);
        let slot = self.channels.insert(Channel::new(Kind::Pattern(number), 0)).slot();
        self.patterns.name(pattern, slot);
        slot
    }

    /// Opens the channel of a client, whose events through `lost_through` may have existed and are
    /// gone.
    pub(crate) fn open_client(&mut self, lost_through: u64) -> u32 {
        self.channels.insert(Channel::new(Kind::Client, lost_through)).slot()
    }

    /// Returns when the newest event was published that a client's channel keeps.
    pub(crate) fn newest_at(&self, slot: u32) -> Option<Tick> {
        let log = self.channels.at(slot)?.log();
        log.end().checked_sub(1).and_then(|newest| log.get(newest)).map(Entry::at)
    }

    /// Opens the channel of one session.
    pub(crate) fn open_session(&mut self) -> u32 {
        self.channels.insert(Channel::new(Kind::Session, 0)).slot()
    }

    /// Closes the channel of a client or a session, which has no subscriber any more. Returns the
    /// position of its newest event.
    pub(crate) fn close(&mut self, slot: u32) -> u64 {
        let key = self.channels.key_at(slot);
        key.and_then(|key| self.channels.remove(key)).map_or(0, |channel| {
            self.ledger.update(slot, channel.log().footprint(), None);
            channel.log().last_position()
        })
    }

    /// Returns what the cursors of a channel's subscribers go through.
    #[inline]
    pub(crate) fn view(&self, slot: u32) -> Option<View<'_>> {
        let channel = self.channels.at(slot)?;
        match channel.kind() {
            Kind::Pattern(matched) => self.view_of_pattern(*matched),
            _ => Some(View::Log(channel.log())),
        }
    }

    // Out of the way of sessions without patterns.
    #[inline(never)]
    fn view_of_pattern(&self, matched: u32) -> Option<View<'_>> {
        Some(View::Matched(self.patterns.at(matched)?, &self.channels))
    }

    /// Returns the cursor of the next event to come.
    #[inline]
    pub(crate) fn end_of(&self, slot: u32) -> u64 {
        self.view(slot).map_or(0, View::end)
    }

    /// Returns whether each number that is missing in this channel is that of a lost event, and of
    /// no superseded one.
    pub(crate) fn is_counted(&self, slot: u32) -> bool {
        match self.view(slot) {
            Some(View::Log(log)) => log.is_counted(),
            _ => !self.may_compact,
        }
    }

    /// Returns for whom the channel is.
    #[inline]
    pub(crate) fn kind(&self, slot: u32) -> Option<&Kind> {
        self.channels.at(slot).map(Channel::kind)
    }

    /// Returns what a session subscribes to by this channel; `None` for one that it has anyway.
    pub(crate) fn filter(&self, slot: u32) -> Option<TopicFilter> {
        match self.kind(slot)? {
            Kind::Named(named) => Some(TopicFilter::Topic(named.name().clone())),
            Kind::Pattern(_) => self.pattern(slot).map(|pattern| pattern.clone().into()),
            Kind::Everyone | Kind::Client | Kind::Session => None,
        }
    }

    /// Returns whether a session has subscribed to this channel, by the name of a topic or a pattern.
    pub(crate) fn is_subscribed_to(&self, slot: u32) -> bool {
        matches!(self.kind(slot), Some(Kind::Named(_) | Kind::Pattern(_)))
    }

    /// Returns the pattern whose channel this is.
    pub(crate) fn pattern(&self, slot: u32) -> Option<&TopicPattern> {
        match self.kind(slot)? {
            Kind::Pattern(number) => self.patterns.at(*number).map(Matched::pattern),
            _ => None,
        }
    }

    /// Returns the numbers of what there is from `cursor` on of topics that one of `filters` is,
    /// or matches.
    pub(crate) fn numbers_from(&self, slot: u32, cursor: u64, filters: &[TopicFilter]) -> Vec<u64> {
        let name = self.channels.at(slot).and_then(Channel::name);
        let is_wanted = |name: &TopicName| filters.iter().any(|filter| filter.matches(name));
        self.view(slot).map_or(Vec::new(), |view| view.numbers_from(cursor, name, is_wanted))
    }

    /// Returns the lag that was set for this topic alone.
    #[inline]
    pub(crate) fn lag(&self, slot: u32) -> Option<&Lag> {
        self.channels.at(slot)?.lag()
    }

    /// Returns whether the topic was ended, and that is remembered.
    #[inline]
    pub(crate) fn has_ended(&self, slot: u32) -> bool {
        self.channels.at(slot).is_some_and(|channel| channel.end().is_some())
    }

    /// Returns when the topic was ended, if that is remembered.
    pub(crate) fn ended_at(&self, slot: u32) -> Option<Tick> {
        Some(self.channels.at(slot)?.end()?.at())
    }

    /// Returns the position at which the topic was ended, if that is remembered.
    pub(crate) fn ended_through(&self, slot: u32) -> Option<u64> {
        Some(self.channels.at(slot)?.end()?.position())
    }

    /// Counts one subscriber more.
    pub(crate) fn join(&mut self, slot: u32) {
        if let Some(channel) = self.channels.at_mut(slot) {
            channel.join();
        }
    }

    /// Counts one subscriber less, which waits under `index` if it has one. Forgets the channel if
    /// it is idle then.
    pub(crate) fn leave(&mut self, slot: u32, waiting: Waiting, index: Option<u32>) -> Left {
        let Some(channel) = self.channels.at_mut(slot) else { return Left::Nothing };
        channel.leave();
        let left = match index {
            None => Left::Nothing,
            Some(index) if channel.is_waiting(waiting, index) => {
                let moved = channel.waiting_mut().swap_remove(index);
                moved.map_or(Left::Nothing, Left::Moved)
            }
            Some(_) => Left::Void,
        };
        self.release(slot);
        left
    }

    /// Puts a subscription on the channel's waiting list, and returns its index there. The channel
    /// of one session has no list: its session is woken.
    #[inline]
    pub(crate) fn wait(&mut self, slot: u32, waiting: Waiting) -> Option<u32> {
        match self.channels.at_mut(slot)? {
            channel if matches!(channel.kind(), Kind::Session) => None,
            channel => Some(channel.waiting_mut().push(waiting)),
        }
    }

    /// Returns what there is for a subscription with this cursor and this index on a list that may
    /// have been handed over.
    #[inline]
    pub(crate) fn news(&self, slot: u32, waiting: Waiting, index: u32, cursor: u64) -> News {
        match self.channels.at(slot) {
            Some(channel) if channel.is_waiting(waiting, index) => News::Waits,
            Some(_) if self.end_of(slot) > cursor => News::More,
            Some(channel) if channel.end().is_some() => News::Ended,
            _ => News::Nothing,
        }
    }

    /// Returns whether the subscription waits under this index, and not on a list that was handed
    /// over.
    #[inline]
    pub(crate) fn is_waiting(&self, slot: u32, waiting: Waiting, index: u32) -> bool {
        self.channels.at(slot).is_some_and(|channel| channel.is_waiting(waiting, index))
    }

    /// Appends an event to a topic, which is opened if need be, as [`append`](Self::append) does.
    pub(crate) fn append_to_topic(
        &mut self,
        now: Tick,
        name: &TopicName,
        new: NewEntry,
        ready: &mut ReadyQueue,
    ) -> Result<(), PublishError> {
        let slot = self.ensure_topic(name).ok_or(PublishError::TooManyTopics)?;
        let result = self.append(now, slot, new, ready);
        self.release(slot);
        result
    }

    /// Appends an event to a channel that has a log, and hands over the channel's waiting list.
    pub(crate) fn append(
        &mut self,
        now: Tick,
        slot: u32,
        new: NewEntry,
        ready: &mut ReadyQueue,
    ) -> Result<(), PublishError> {
        if self.has_ended(slot) {
            return Err(PublishError::TopicEnded);
        }
        let retention = *self.retention_of(slot);
        self.check_size(&new, &retention)?;
        let emptied = self.make_room(new.size(), slot);
        self.change_log(slot, |log| log.push(now, new, &retention));
        self.hand_over(now, slot, ready);
        self.arm(slot);
        self.tell_patterns(now, slot, ready);
        for slot in emptied {
            self.release(slot);
        }
        Ok(())
    }

    /// Returns an error for an event that is too large for the channel of a session or a client.
    pub(crate) fn check_private(&self, new: &NewEntry) -> Result<(), PublishError> {
        self.check_size(new, &self.private_retention)
    }

    fn check_size(&self, new: &NewEntry, retention: &Retention) -> Result<(), PublishError> {
        let (size, limit) = (new.size(), retention.bytes.get().min(self.ledger.limit()));
        if size > limit { Err(PublishError::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Counts an event that no topic can keep as lost to sessions with a matching pattern.
    pub(crate) fn miss(
        &mut self,
        now: Tick,
        name: &TopicName,
        position: u64,
        ready: &mut ReadyQueue,
    ) {
        self.note_forgotten(position);
        for slot in self.patterns.matching(name) {
            self.change_pattern(now, slot, ready, |matched, _| matched.miss(position));
        }
    }

    /// Ends a topic.
    pub(crate) fn end(
        &mut self,
        now: Tick,
        name: &TopicName,
        position: u64,
        ready: &mut ReadyQueue,
    ) -> Result<(), PublishError> {
        let slot = self.ensure_topic(name).ok_or(PublishError::TooManyTopics)?;
        if self.has_ended(slot) {
            return Err(PublishError::TopicEnded);
        }
        let until =
            self.retention_of(slot).age.map_or(Tick::MAX, |age| now.saturating_add(ticks(age)));
        if let Some(channel) = self.channels.at_mut(slot) {
            channel.set_end(now, position, until);
        }
        self.classify(slot);
        self.hand_over(now, slot, ready);
        self.ended.insert(position, slot);
        self.arm(slot);
        while self.ended.len() > self.max_ended
            && let Some((_, &slot)) = self.ended.first_key_value()
        {
            self.forget_end(slot);
            self.release(slot);
        }
        Ok(())
    }

    /// Sets how much of one topic is kept from now on; `None` for what all keep.
    pub(crate) fn set_retention(
        &mut self,
        now: Tick,
        name: &TopicName,
        retention: Option<Retention>,
    ) -> Result<(), TopicSettingError> {
        if !self.has_room_to_publish(name) {
            return Err(TopicSettingError::TooManyTopics);
        }
        let slot = self.ensure_topic(name).ok_or(TopicSettingError::TooManyTopics)?;
        if let Some(channel) = self.channels.at_mut(slot) {
            channel.set_retention(retention);
        }
        self.may_compact |= retention.is_some_and(|retention| retention.compact);
        let retention = *self.retention_of(slot);
        self.change_log(slot, |log| log.trim(now, &retention));
        self.arm(slot);
        self.release(slot);
        Ok(())
    }

    /// Sets how far behind sessions may be in one topic; `None` for what holds in all.
    pub(crate) fn set_lag(
        &mut self,
        name: &TopicName,
        lag: Option<Lag>,
    ) -> Result<(), TopicSettingError> {
        if !self.has_room_to_publish(name) {
            return Err(TopicSettingError::TooManyTopics);
        }
        let slot = self.ensure_topic(name).ok_or(TopicSettingError::TooManyTopics)?;
        if let Some(channel) = self.channels.at_mut(slot) {
            channel.set_lag(lag);
        }
        self.release(slot);
        Ok(())
    }

    /// Drops from a session's channel what the session has got, and what is too old.
    pub(crate) fn trim_delivered(&mut self, now: Tick, slot: u32, cursor: u64) {
        let retention = self.private_retention;
        self.change_log(slot, |log| {
            log.trim_delivered(cursor);
            log.trim_aged(now, &retention);
        });
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Tick> {
        self.timers.next()
    }

    /// Drops what is too old by now, and forgets ends.
    pub(crate) fn handle_timeout(&mut self, now: Tick) {
        while let Some(timer) = self.timers.pop_due(now) {
            let slot = timer.slot();
            if self.channels.at_mut(slot).is_some_and(|channel| channel.disarm(timer.at())) {
                let retention = *self.retention_of(slot);
                self.change_log(slot, |log| log.trim_aged(now, &retention));
                let end = self.channels.at(slot).and_then(Channel::end);
                if end.is_some_and(|end| end.is_over(now)) {
                    self.forget_end(slot);
                }
                self.arm(slot);
                self.release(slot);
            }
        }
    }

    /// Records that what was published to some topic at `position` is lost.
    pub(crate) fn note_forgotten(&mut self, position: u64) {
        self.forgotten = self.forgotten.max(position);
    }

    fn retention_of(&self, slot: u32) -> &Retention {
        match self.channels.at(slot) {
            Some(channel) if matches!(channel.kind(), Kind::Client | Kind::Session) => {
                &self.private_retention
            }
            Some(channel) => channel.retention().unwrap_or(&self.retention),
            None => &self.retention,
        }
    }

    /// Changes a log. Nothing else does, so that the ledger and the patterns know of each change.
    fn change_log(&mut self, slot: u32, change: impl FnOnce(&mut Log)) {
        let Some(channel) = self.channels.at_mut(slot) else { return };
        let log = channel.log_mut();
        let (before, lost) = (log.footprint(), log.lost_through());
        change(log);
        let (after, lost_through) = (log.footprint(), log.lost_through());
        self.ledger.update(slot, before, after);
        // What a topic had lost when it was opened was lost under the same name before. A pattern
        // that was in use then has counted it.
        if lost_through > lost {
            self.patterns.note_gone(&self.channels);
        }
        if lost_through > lost && self.patterns.len() > 0 {
            let patterns = self.patterns.of_topic(slot, &mut self.channels);
            for &pattern in &patterns {
                self.change_matched(pattern, |matched, channels| {
                    matched.trim(channels, lost_through);
                });
            }
            self.patterns.give_back(patterns);
        }
    }

    /// Makes room for an event of this size, which is no more than may be kept, in the log of this
    /// channel. Returns the channels that gave up all they kept, which may be idle now.
    fn make_room(&mut self, size: usize, slot: u32) -> Vec<u32> {
        let mut emptied = Vec::new();
        let footprint = |channels: &Arena<Channel>, slot| channels.at(slot)?.log().footprint();
        while let Some(owner) =
            self.ledger.next_to_trim(size, slot, footprint(&self.channels, slot))
        {
            self.change_log(owner, Log::trim_oldest);
            if footprint(&self.channels, owner).is_none() {
                emptied.push(owner);
            }
        }
        emptied
    }

    /// Moves the channel's waiting list to the ready queue.
    fn hand_over(&mut self, now: Tick, slot: u32, ready: &mut ReadyQueue) {
        if let Some(channel) = self.channels.at_mut(slot)
            && !channel.waiting().is_empty()
        {
            ready.push_list(now, channel.waiting_mut());
        }
    }

    /// Tells the patterns that match of a topic's newest event.
    fn tell_patterns(&mut self, now: Tick, slot: u32, ready: &mut ReadyQueue) {
        let Some(topic) = self.channels.key_at(slot) else { return };
        let Some(channel) = self.channels.at(slot) else { return };
        if channel.name().is_none() {
            return;
        }
        let log = channel.log();
        if let Some(newest) = log.end().checked_sub(1).and_then(|newest| log.get(newest)) {
            self.patterns.note(&self.channels, topic, newest);
        }
        if self.patterns.len() == 0 {
            return;
        }
        let patterns = self.patterns.of_topic(slot, &mut self.channels);
        for &pattern in &patterns {
            self.change_pattern(now, pattern, ready, |matched, channels| {
                matched.push(channels, topic);
            });
        }
        self.patterns.give_back(patterns);
        self.patterns.give_up();
    }

    fn change_pattern(
        &mut self,
        now: Tick,
        slot: u32,
        ready: &mut ReadyQueue,
        change: impl FnOnce(&mut Matched, &Arena<Channel>),
    ) {
        self.change_matched(slot, change);
        self.hand_over(now, slot, ready);
    }

    fn change_matched(&mut self, slot: u32, change: impl FnOnce(&mut Matched, &Arena<Channel>)) {
        if let Some(&Kind::Pattern(number)) = self.kind(slot) {
            self.patterns.change(number, &self.channels, change);
        }
    }

    /// Arms the channel's timer for its deadline, if that is sooner than the timer comes up.
    fn arm(&mut self, slot: u32) {
        let retention = *self.retention_of(slot);
        let Some(channel) = self.channels.at_mut(slot) else { return };
        if let Some(at) = channel.deadline(&retention)
            && channel.arm(at)
        {
            let channels = &self.channels;
            self.timers.push(at, slot);
            self.timers.compact(channels.len(), |timer| {
                channels.at(timer.slot()).is_some_and(|channel| channel.is_armed_for(timer.at()))
            });
        }
    }

    fn forget_end(&mut self, slot: u32) {
        if let Some(channel) = self.channels.at_mut(slot)
            && let Some(end) = channel.end()
        {
            channel.forget_end();
            self.ended.remove(&end.position());
        }
    }

    /// Counts a topic as one that there is anyway, or as one that there is only because somebody
    /// subscribed, whichever it is now.
    fn classify(&mut self, slot: u32) {
        if let Some(channel) = self.channels.at_mut(slot)
            && let Some(is_kept) = channel.classify()
        {
            if is_kept {
                self.kept += 1;
            } else {
                self.kept -= 1;
            }
        }
    }

    /// Forgets a topic without a subscriber that keeps nothing, or a pattern without a subscriber.
    fn release(&mut self, slot: u32) {
        self.classify(slot);
        if self.channels.at(slot).is_some_and(Channel::is_idle)
            && let Some(key) = self.channels.key_at(slot)
            && let Some(channel) = self.channels.remove(key)
        {
            match channel.kind() {
                Kind::Pattern(number) => self.patterns.close(*number),
                Kind::Named(named) => {
                    self.note_forgotten(channel.log().lost_through());
                    self.names.remove(named.name());
                    self.patterns.note_gone(&self.channels);
                }
                Kind::Everyone | Kind::Client | Kind::Session => {}
            }
        }
    }
}

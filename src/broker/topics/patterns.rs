//! The patterns in use: which match a topic, what each refers to, and how much all that may take.

use super::channel::Channel;
use super::ledger::Ledger;
use super::log::Entry;
use super::matched::Matched;
use super::recent::{Beginning, Recent};
use super::tree::PatternTree;
use crate::broker::arena::{Arena, Key};
use crate::broker::config::BrokerLimits;
use crate::broker::names::{TopicName, TopicPattern};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

type Channels = Arena<Channel>;

/// How many bytes what patterns refer to may always take, all together.
const REFERENCES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Patterns {
    /// The slots of their channels.
    tree: PatternTree,
    matched: Arena<Matched>,
    /// What was published to topics last, with which a new pattern begins.
    recent: Recent,
    /// What each refers to, by the slots of `matched`.
    references: Ledger,
    /// The patterns that match a topic, for the length of a call.
    matching: Vec<u32>,
    /// To how many events one may refer.
    limit: usize,
}

impl Patterns {
    pub(super) fn new(limits: &BrokerLimits) -> Self {
        let limit = limits.pattern_events.get() as usize;
        Self {
            tree: PatternTree::default(),
            matched: Arena::new(),
            recent: Recent::new(limit),
            references: Ledger::new((limits.retained_bytes.get() / 8).max(REFERENCES)),
            matching: Vec::new(),
            limit,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns the slot of a pattern's channel.
    pub(super) fn get(&self, pattern: &TopicPattern) -> Option<u32> {
        self.tree.get(pattern)
    }

    /// Returns what a pattern refers to, by the number that [`open`](Self::open) gave it.
    pub(super) fn at(&self, number: u32) -> Option<&Matched> {
        self.matched.at(number)
    }

    /// Returns how many bytes it takes to know what the patterns match.
    pub(super) const fn bytes(&self) -> usize {
        self.references.bytes()
    }

    /// Opens a pattern, which begins with the newest of what the topics that match keep. Returns its
    /// number. It matches nothing more before it is [named](Self::name).
    pub(super) fn open(
        &mut self,
        pattern: &TopicPattern,
        names: &BTreeMap<TopicName, u32>,
        channels: &Channels,
        forgotten: u64,
    ) -> u32 {
        let mut beginning = match self.topics_of(pattern, names, channels) {
            Some(topics) => Beginning::newest_of(&topics, self.limit, channels),
            None => self.recent.matching(pattern, channels),
        };
        beginning.lost_through = beginning.lost_through.max(forgotten);
        let matched = Matched::new(pattern.clone(), channels, beginning, self.limit);
        let footprint = matched.footprint();
        let number = self.matched.insert(matched).slot();
        self.references.update(number, None, footprint);
        self.give_up();
        number
    }

    /// Sets in which slot the pattern's channel is.
    pub(super) fn name(&mut self, pattern: &TopicPattern, slot: u32) {
        self.tree.insert(pattern, slot);
    }

    /// Forgets a pattern.
    pub(super) fn close(&mut self, number: u32) {
        let key = self.matched.key_at(number);
        if let Some(matched) = key.and_then(|key| self.matched.remove(key)) {
            self.references.update(number, matched.footprint(), None);
            self.tree.remove(matched.pattern());
        }
    }

    /// Returns the topics that match; `None` if more than the limit have names that begin as the
    /// pattern does.
    fn topics_of(
        &self,
        pattern: &TopicPattern,
        names: &BTreeMap<TopicName, u32>,
        channels: &Channels,
    ) -> Option<Vec<Key>> {
        let names = names
            .range::<str, _>((Bound::Included(pattern.prefix()), Bound::Unbounded))
            .take_while(|(name, _)| name.as_str().starts_with(pattern.prefix()));
        // Counting is cheap beside matching.
        let is_few = names.clone().nth(self.limit).is_none();
        is_few.then(|| {
            names
                .filter(|(name, _)| pattern.matches(name))
                .filter_map(|(_, &slot)| channels.key_at(slot))
                .collect()
        })
    }

    /// Returns the slots of the patterns that match this name.
    pub(super) fn matching(&self, name: &TopicName) -> Vec<u32> {
        self.tree.matching(name)
    }

    /// Returns the slots of the patterns that match a topic, in a list that is to be
    /// [given back](Self::give_back).
    pub(super) fn of_topic(&mut self, slot: u32, channels: &mut Channels) -> Vec<u32> {
        let mut found = core::mem::take(&mut self.matching);
        found.clear();
        if self.tree.len() > 0
            && let Some(channel) = channels.at_mut(slot)
        {
            let as_of = self.tree.as_of();
            if let Some(patterns) = channel.patterns(as_of) {
                found.extend_from_slice(patterns);
            } else if let Some(name) = channel.name() {
                self.tree.matching_into(name, &mut found);
                channel.remember_patterns(&found, as_of);
            }
        }
        found
    }

    pub(super) fn give_back(&mut self, matching: Vec<u32>) {
        self.matching = matching;
    }

    /// Records the newest event of a topic.
    pub(super) fn note(&mut self, channels: &Channels, topic: Key, newest: &Entry) {
        self.recent.push(channels, topic, newest);
    }

    /// Records that events of topics are gone.
    pub(super) fn note_gone(&mut self, channels: &Channels) {
        self.recent.forget_gone(channels);
    }

    /// Changes what a pattern refers to. Nothing else does, so that all of it is counted.
    pub(super) fn change(
        &mut self,
        number: u32,
        channels: &Channels,
        change: impl FnOnce(&mut Matched, &Channels),
    ) {
        if let Some(matched) = self.matched.at_mut(number) {
            let before = matched.footprint();
            change(matched, channels);
            self.references.update(number, before, matched.footprint());
        }
    }

    /// Lets the patterns that refer to the most give something up until there is room for all.
    pub(super) fn give_up(&mut self) {
        while let Some(number) = self.references.next_to_trim(0, u32::MAX, None)
            && let Some(matched) = self.matched.at_mut(number)
        {
            let before = matched.footprint();
            matched.give_up();
            self.references.update(number, before, matched.footprint());
        }
    }
}

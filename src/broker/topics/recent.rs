//! What a pattern that is new begins with: the newest events that match, found with a bounded look.
//!
//! Where the names that begin as the pattern does are no more than the limit, their logs are merged
//! from the end. Otherwise the events that were published last are looked through, whatever their
//! topics:
//!
//! ```text
//!   published last     … 41 42 43 44 45 46 47 48        limit 8
//!                        │  a  b  a  c  b  a  c  a
//!   pattern that         │     ▲        ▲              a name with few neighbours: all it keeps
//!   matches b        ◀───┘ what may have matched up to 41 counts as lost
//! ```

use super::channel::Channel;
use super::log::Entry;
use super::matched::Reference;
use crate::broker::arena::{Arena, Key};
use crate::broker::names::TopicPattern;
use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;

type Channels = Arena<Channel>;

/// The events that were published to topics last.
#[derive(Debug)]
pub(crate) struct Recent {
    events: VecDeque<Published>,
    limit: usize,
    /// How many may come before those that are gone are looked for.
    room: usize,
    /// The position of the newest one that had to make room for others; 0 if there is none.
    passed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Published {
    position: u64,
    topic: Key,
    /// The number in the topic's log.
    cursor: u64,
}

/// How many events may always come before those that are gone are looked for.
const ROOM: usize = 64;

/// What a pattern begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// In the order of their positions.
    pub(super) events: Vec<Reference>,
    /// What matches and has a position up to this is there, or is lost.
    pub(super) lost_through: u64,
}

impl Recent {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { events: VecDeque::new(), limit, room: ROOM, passed: 0 }
    }

    /// Records the newest event of a topic.
    pub(crate) fn push(&mut self, channels: &Channels, topic: Key, entry: &Entry) {
        if self.room == 0 && self.events.len() < self.limit {
            self.events.retain(|one| one.is_needed(channels));
            // As many may come as there are, so that looking costs each event the same.
            self.room = self.events.len() + ROOM;
        }
        self.room = self.room.saturating_sub(1);
        if self.events.len() == self.limit
            && let Some(oldest) = self.events.pop_front()
        {
            self.passed = oldest.position;
        }
        let (position, cursor) = (entry.position(), entry.number());
        self.events.push_back(Published { position, topic, cursor });
    }

    /// Forgets the oldest ones that nobody needs any more. What is lost of a topic that is gone, the
    /// topics know together.
    pub(crate) fn forget_gone(&mut self, channels: &Channels) {
        while self.events.front().is_some_and(|one| !one.is_needed(channels)) {
            self.events.pop_front();
        }
        if self.events.is_empty() {
            self.events.shrink_to(8);
        }
    }

    /// Returns those that match and are kept.
    pub(crate) fn matching(&self, pattern: &TopicPattern, channels: &Channels) -> Beginning {
        let (mut events, mut lost_through) = (Vec::new(), self.passed);
        for one in &self.events {
            if let Some(channel) = channels.get(one.topic)
                && channel.name().is_some_and(|name| pattern.matches(name))
            {
                let log = channel.log();
                lost_through = lost_through.max(log.lost_through());
                events.extend(log.get(one.cursor).map(|entry| Reference::new(one.topic, entry)));
            }
        }
        Beginning { events, lost_through }
    }
}

impl Published {
    /// Returns whether the event is kept, or is what leads to a topic that has lost it: a log is asked
    /// what it has lost if one of its events is here.
    fn is_needed(&self, channels: &Channels) -> bool {
        channels.get(self.topic).is_some_and(|topic| {
            let log = topic.log();
            log.get(self.cursor).is_some() || self.cursor + 1 == log.end()
        })
    }
}

impl Beginning {
    /// Merges what these topics keep, and returns the newest of that, no more than `limit`.
    pub(crate) fn newest_of(topics: &[Key], limit: usize, channels: &Channels) -> Self {
        let mut lost_through = 0;
        let mut logs = Vec::with_capacity(topics.len());
        let mut newest = BinaryHeap::with_capacity(topics.len());
        for &topic in topics {
            let Some(channel) = channels.get(topic) else { continue };
            let log = channel.log();
            lost_through = lost_through.max(log.lost_through());
            let mut entries =
                log.from(log.start()).rev().map(move |one| Reference::new(topic, one));
            if let Some(first) = entries.next() {
                newest.push((first.position(), logs.len()));
                logs.push((first, entries));
            }
        }
        let mut events = Vec::new();
        while let Some(&(position, index)) = newest.peek() {
            if events.len() == limit {
                lost_through = lost_through.max(position);
                break;
            }
            newest.pop();
            let Some((next, entries)) = logs.get_mut(index) else { continue };
            events.push(*next);
            if let Some(older) = entries.next() {
                *next = older;
                newest.push((older.position(), index));
            }
        }
        events.reverse();
        Self { events, lost_through }
    }
}

//! A session's place in one channel.

use crate::broker::topics::{Topics, Waiting};

/// A cursor into what a channel keeps, and the place on its waiting list.
#[derive(Debug)]
pub(crate) struct Subscription {
    cursor: u64,
    /// The channel's slot, which no other channel gets as long as this one has a subscriber.
    channel: u32,
    /// Where on a waiting list, or [`UNLISTED`]. The list is the channel's present one if the
    /// subscription stands there under this index, and else one that was handed over.
    index: u32,
}

/// The index of what stands on no list.
const UNLISTED: u32 = u32::MAX;

/// The slot of no channel.
const NONE: u32 = u32::MAX;

impl Subscription {
    /// What is left of one that was ended: those after it keep their numbers.
    pub(super) const VACANT: Self = Self { cursor: 0, channel: NONE, index: UNLISTED };

    pub(crate) const fn new(channel: u32, cursor: u64) -> Self {
        Self { cursor, channel, index: UNLISTED }
    }

    pub(crate) const fn is_vacant(&self) -> bool {
        self.channel == NONE
    }

    #[inline]
    pub(crate) const fn cursor(&self) -> u64 {
        self.cursor
    }

    #[inline]
    pub(crate) const fn cursor_mut(&mut self) -> &mut u64 {
        &mut self.cursor
    }

    #[inline]
    pub(crate) const fn channel(&self) -> u32 {
        self.channel
    }

    /// Returns the index on a waiting list, if the subscription stands on one.
    #[inline]
    pub(super) fn index(&self) -> Option<u32> {
        (self.index != UNLISTED).then_some(self.index)
    }

    pub(super) const fn set_index(&mut self, index: u32) {
        self.index = index;
    }

    /// Takes the subscription off a list that was handed over.
    #[inline]
    pub(super) const fn come_off(&mut self) {
        self.index = UNLISTED;
    }

    /// Puts the subscription on the channel's waiting list, if it stands on none.
    #[inline]
    pub(super) fn wait(&mut self, waiting: Waiting, topics: &mut Topics) {
        if self.index == UNLISTED
            && let Some(index) = topics.wait(self.channel, waiting)
        {
            self.index = index;
        }
    }
}

//! A session's place in one channel.

use crate::broker::topics::{Topics, Waiting};

/// A cursor into what a channel keeps, and the place on its waiting list.
#[derive(Debug)]
pub(crate) struct Subscription {
    cursor: u64,
    /// The channel's slot, which no other channel gets as long as this one has a subscriber.
    channel: u32,
    /// Where on a waiting list, or [`UNLISTED`]. The list is the channel's present one if the
    /// subscription stands there under this index, and else one that was handed over. It has the
    /// bit [`MOVED`] once the cursor was moved, from when on it may be either.
    index: u32,
}

/// The index of what stands on no list.
const UNLISTED: u32 = u32::MAX;

/// That the cursor was moved since the subscription was put on the list. There is nothing after the
/// cursor of a session that waits, so that without it the list was not handed over.
const MOVED: u32 = 1 << 31;

/// The slot of no channel.
const NONE: u32 = u32::MAX;

impl Subscription {
    /// What is left of one that was ended: those after it keep their numbers.
    pub(super) const VACANT: Self = Self { cursor: 0, channel: NONE, index: UNLISTED };

    /// The cursor of one whose place is not decided yet: nothing comes after it.
    pub(crate) const NOWHERE: u64 = u64::MAX;

    pub(crate) const fn new(channel: u32, cursor: u64) -> Self {
        Self { cursor, channel, index: UNLISTED }
    }

    /// Returns whether its place is not decided yet.
    pub(crate) const fn is_nowhere(&self) -> bool {
        self.cursor == Self::NOWHERE
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
        self.index |= MOVED;
        &mut self.cursor
    }

    #[inline]
    pub(crate) const fn channel(&self) -> u32 {
        self.channel
    }

    /// Returns the index on a waiting list, if the subscription stands on one.
    #[inline]
    pub(super) fn index(&self) -> Option<u32> {
        (self.index != UNLISTED).then_some(self.index & !MOVED)
    }

    pub(super) const fn set_index(&mut self, index: u32) {
        self.index = index;
    }

    /// Takes the subscription off a list that was handed over.
    #[inline]
    pub(super) const fn come_off(&mut self) {
        self.index = UNLISTED;
    }

    /// Puts the subscription on the channel's present waiting list, if it does not stand there.
    /// Returns whether it leaves an entry behind that tells nothing any more, on a list that was
    /// handed over.
    #[inline]
    pub(super) fn wait(&mut self, waiting: Waiting, topics: &mut Topics) -> bool {
        // Most that stand on a list are still there.
        self.index & MOVED != 0 && self.list(waiting, topics)
    }

    fn list(&mut self, waiting: Waiting, topics: &mut Topics) -> bool {
        let mut is_void = false;
        if let Some(index) = self.index() {
            if topics.is_waiting(self.channel, waiting, index) {
                self.index = index;
                return false;
            }
            is_void = true;
        }
        self.index = topics.wait(self.channel, waiting).unwrap_or(UNLISTED);
        is_void
    }
}

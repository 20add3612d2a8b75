//! What was read of a log outside for sessions that are older than a broker's memory: [`Backfilled`].

use super::sequence::Published;
use alloc::sync::Arc;
#[cfg(feature = "cluster")]
use alloc::sync::Weak;
use alloc::vec::Vec;

/// A stretch of a log outside, as it was read for sessions that are older than what a broker has in
/// memory: see [`ShardMut::backfill`](super::ShardMut::backfill). It is decoded once for all who
/// wait for it, and clones are handles to the same one.
///
/// ```text
///   start       whole_from                    through
///     │    hole    │  event   event   event      │
///     40           45   47      48      52      60
/// ```
///
/// ```
/// use sansse::Event;
/// use sansse::broker::{Audience, Backfilled, Epoch, EventIds, Sequencer};
///
/// let mut log = Sequencer::new(Epoch(0xbeef), 40, EventIds::Assigned);
/// let published = vec![log.publish(Audience::Everyone, &Event::new("hello"))];
/// let read = Backfilled::new(40, 40, 60, published);
/// assert_eq!((read.start(), read.through(), read.published().len()), (40, 60, 1));
/// ```
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "record", serde(from = "Stretch", into = "Stretch"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfilled {
    stretch: Arc<Stretch>,
}

#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    start: u64,
    whole_from: u64,
    through: u64,
    published: Vec<Published>,
}

impl Backfilled {
    /// Says that these events are all that the log has after `start`, up to and including
    /// `through`, and that nothing which was published there after `whole_from` is missing. Where
    /// nothing at all is missing, that is `start`.
    ///
    /// What is not within these positions, or not in their order, is left out.
    pub fn new(start: u64, whole_from: u64, through: u64, published: Vec<Published>) -> Self {
        let through = through.max(start);
        let mut published = published;
        let mut last = start;
        published.retain(|one| {
            let fits = one.position() > last && one.position() <= through;
            if fits {
                last = one.position();
            }
            fits
        });
        let whole_from = whole_from.clamp(start, through);
        Self { stretch: Arc::new(Stretch { start, whole_from, through, published }) }
    }

    /// Returns the position after which it begins.
    pub fn start(&self) -> u64 {
        self.stretch.start
    }

    /// Returns the position from which on nothing is missing.
    pub fn whole_from(&self) -> u64 {
        self.stretch.whole_from
    }

    /// Returns its last position.
    pub fn through(&self) -> u64 {
        self.stretch.through
    }

    /// Returns what was published, in the order of the positions.
    pub fn published(&self) -> &[Published] {
        &self.stretch.published
    }

    /// Returns what was published after this position.
    pub(crate) fn after(&self, position: u64) -> &[Published] {
        let begin = self.published().partition_point(|one| one.position() <= position);
        self.published().get(begin..).unwrap_or_default()
    }

    /// Returns about how many bytes of memory it has.
    pub(crate) fn size(&self) -> usize {
        self.published().iter().map(Self::size_of).sum()
    }

    /// Returns about how many bytes of memory one event takes in it.
    pub(crate) fn size_of(published: &Published) -> usize {
        published.frame().len() + size_of::<Published>()
    }

    /// Returns the same stretch with those events alone of which this is so.
    pub(crate) fn filtered(&self, is_so: impl Fn(&Published) -> bool) -> Self {
        let published = self.published().iter().filter(|one| is_so(one)).cloned().collect();
        let Stretch { start, whole_from, through, .. } = *self.stretch;
        Self { stretch: Arc::new(Stretch { start, whole_from, through, published }) }
    }

    /// Returns by what one may find it again as long as a session has it.
    #[cfg(feature = "cluster")]
    pub(crate) fn watched(&self) -> Weak<Stretch> {
        Arc::downgrade(&self.stretch)
    }

    /// Returns the stretch that is [watched](Self::watched), if somebody has it.
    #[cfg(feature = "cluster")]
    pub(crate) fn found(watched: &Weak<Stretch>) -> Option<Self> {
        watched.upgrade().map(|stretch| Self { stretch })
    }
}

#[cfg(feature = "record")]
impl From<Stretch> for Backfilled {
    fn from(stretch: Stretch) -> Self {
        let Stretch { start, whole_from, through, published } = stretch;
        Self::new(start, whole_from, through, published)
    }
}

#[cfg(feature = "record")]
impl From<Backfilled> for Stretch {
    fn from(backfilled: Backfilled) -> Self {
        Arc::unwrap_or_clone(backfilled.stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sequence::{Audience, Epoch, EventIds, Sequencer};
    use crate::event::Event;

    fn published(positions: &[u64]) -> Vec<Published> {
        let one = |position: &u64| {
            let mut sequencer = Sequencer::new(Epoch(1), position - 1, EventIds::Assigned);
            sequencer.publish(Audience::Everyone, &Event::new("x"))
        };
        positions.iter().map(one).collect()
    }

    fn positions(published: &[Published]) -> Vec<u64> {
        published.iter().map(Published::position).collect()
    }

    #[test]
    fn what_does_not_belong_to_it_is_left_out() {
        let read = Backfilled::new(4, 0, 9, published(&[3, 4, 5, 8, 7, 8, 9, 10]));
        assert_eq!(positions(read.published()), [5, 8, 9]);
        assert_eq!((read.start(), read.whole_from(), read.through()), (4, 4, 9));
        assert_eq!(positions(read.after(5)), [8, 9]);
        assert_eq!(positions(read.after(9)), [0; 0]);
        let never = Backfilled::new(9, 20, 5, Vec::new());
        assert_eq!((never.start(), never.whole_from(), never.through()), (9, 9, 9));
    }
}

//! What a store holds and has done, in numbers: [`RedbLogCounters`].

use std::time::Duration;

/// What a store holds, and what it has done since it was opened: [`RedbLog::counters`].
///
/// [`RedbLog::counters`]: crate::RedbLog::counters
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedbLogCounters {
    /// How many entries there are.
    pub entries: u64,
    /// How many events are in them.
    pub positions: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many batches were appended.
    pub appended: u64,
    /// How many groups of batches the disk was asked to keep. Fewer than batches means that groups
    /// form.
    pub commits: u64,
    /// How long the last one of these took. Where it comes near to the interval, the disk is too
    /// slow for it.
    pub last_commit: Duration,
    /// How long the longest one took.
    pub longest_commit: Duration,
    /// How many entries went because of their age or number, or for room.
    pub trimmed: u64,
    /// How many cuts were written.
    pub cuts: u64,
    /// How often an entry was read that was not what was written; readers are told of a gap in its
    /// place. Anything but 0 is a disk or a memory that fails.
    pub damaged: u64,
    /// How often the file could not be written or read, for whatever reason.
    pub failures: u64,
}

//! What a store is opened with: [`RedbLogConfig`].

use sansse::broker::Epoch;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When what was appended is written to the disk, and answered.
///
/// Nothing is answered, and nothing is read, before the disk has it. So both settings lose nothing
/// of what was answered, neither when the process is killed nor when the power goes. They differ in
/// how often the disk is asked to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// One write of the disk in this time, for all that came in it. A publish waits for its write:
    /// not at all where none came in the time before it, else up to this time. So who publishes one
    /// after the other, each after the answer to the one before, publishes one in this time; take
    /// [`EachBatch`](Self::EachBatch) for that. What fills a group,
    /// [`RedbLogConfig::FULL_GROUP`] events or [`RedbLogConfig::FULL_GROUP_BYTES`], does not wait.
    ///
    /// Times of more than 3 s are taken for 3 s, since a node waits for an answer for 5 s.
    Interval(Duration),
    /// A write of the disk as soon as there is something to write. What comes while the disk is
    /// busy is the next group.
    EachBatch,
}

impl Default for Durability {
    /// 50 ms: 20 writes of the disk a second while little is published, and a delay that people do
    /// not notice.
    fn default() -> Self {
        Self::Interval(Duration::from_millis(50))
    }
}

/// What a [`RedbLog`](crate::RedbLog) is opened with.
///
/// ```
/// use sansse_redb::{Durability, RedbLogConfig};
/// use std::time::Duration;
///
/// let config = RedbLogConfig::new("stream.redb")
///     .with_durability(Durability::EachBatch)
///     .with_kept(100_000)
///     .with_max_age(Duration::from_secs(24 * 3600));
/// assert_eq!(config.path().to_str(), Some("stream.redb"));
/// ```
#[derive(Clone, Debug)]
pub struct RedbLogConfig {
    pub(crate) path: PathBuf,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) durability: Durability,
    pub(crate) kept: u64,
    pub(crate) max_bytes: u64,
    pub(crate) max_age: Duration,
    pub(crate) cache: usize,
    pub(crate) is_older_copy: bool,
}

impl RedbLogConfig {
    /// How many events are kept by default: 1,000,000. At one event a second, these are eleven
    /// days; at 1,000, a quarter of an hour.
    pub const DEFAULT_KEPT: u64 = 1_000_000;
    /// How many bytes are kept by default: 256 MiB. The whole file is checked before it is used, and
    /// so much is checked in about a second.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
    /// How long events are kept by default: 7 days, so that a page that slept over a weekend or a
    /// short holiday misses nothing, and nobody's words stay on a disk for ever.
    pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
    /// How much memory the store takes by default, beside what is asked for: 16 MiB, which hold
    /// what was written last, hence what readers ask for.
    pub const DEFAULT_CACHE: usize = 16 << 20;
    /// How many events make a group that does not wait for the [interval](Durability::Interval):
    /// 256, which are a full batch of a node. A node whose batches are set to be smaller publishes one
    /// of them in each interval.
    pub const FULL_GROUP: u64 = 256;
    /// How many bytes make a group that does not wait for the [interval](Durability::Interval):
    /// 256 KiB, so that a group of large events takes the disk no longer than one of many.
    pub const FULL_GROUP_BYTES: usize = 256 << 10;

    /// Configures the store in this file, with the defaults. The file is made if there is none or
    /// if it is empty; the folder has to be there. No other process may use it, and no network file
    /// system should hold it: redb needs locks, and a disk that keeps what it says it keeps.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            epoch: None,
            durability: Durability::default(),
            kept: Self::DEFAULT_KEPT,
            max_bytes: Self::DEFAULT_MAX_BYTES,
            max_age: Self::DEFAULT_MAX_AGE,
            cache: Self::DEFAULT_CACHE,
            is_older_copy: false,
        }
    }

    /// Sets the life of the stream. The first opening decides it, at random if it is not set here.
    /// Later openings have to name the same one, or none; another one is
    /// [`OtherEpoch`](sansse::cluster::LogErrorKind::OtherEpoch).
    pub fn with_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Sets when what was appended is written to the disk. Default [`Durability::default`]: each 50 ms.
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many events are kept. Default [`DEFAULT_KEPT`](Self::DEFAULT_KEPT). The newest batch is kept in any case.
    pub fn with_kept(mut self, positions: u64) -> Self {
        self.kept = positions;
        self
    }

    /// Sets how many bytes of events are kept. Default [`DEFAULT_MAX_BYTES`](Self::DEFAULT_MAX_BYTES).
    /// The newest batch is kept in any case. The file is larger: it has room that was used before, and it does not shrink while it is in use.
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how long events are kept, by the clock of the system. Default
    /// [`DEFAULT_MAX_AGE`](Self::DEFAULT_MAX_AGE). What is older goes with the next
    /// append, and within a minute where there is none.
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Sets how many bytes of memory redb may take for what it has read and what it is about to write.
    /// Default [`DEFAULT_CACHE`](Self::DEFAULT_CACHE).
    pub fn with_cache(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// Says that the file is an older copy of what was in use: one from a backup, or from a disk
    /// that has lost what it had said it kept. Events may have been given positions after the last
    /// one in it. So this opening writes a [cut](sansse::cluster::Content::Cut): it gives none of
    /// these positions again, and who has seen them is told of a gap.
    ///
    /// Set it for the one opening after the copy was put in place. The store cannot know this by
    /// itself.
    pub fn with_older_copy(mut self, is_older_copy: bool) -> Self {
        self.is_older_copy = is_older_copy;
        self
    }

    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how long a group waits that is not full; `None` if not at all.
    pub(crate) fn interval(&self) -> Option<Duration> {
        match self.durability {
            Durability::Interval(time) if !time.is_zero() => Some(time.min(LONGEST_INTERVAL)),
            _ => None,
        }
    }
}

/// Below the time that a node waits for an answer, with some for the disk.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3);

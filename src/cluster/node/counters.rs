//! What a node has done, in numbers: [`NodeCounters`].

/// What a [`Node`](super::Node) has done since it was made, and how much there is in it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeCounters {
    /// How many records wait to be appended now.
    pub queued_records: u64,
    /// How many bytes these have.
    pub queued_bytes: u64,
    /// How many records the engine confirmed to have appended.
    pub appended_records: u64,
    /// In how many batches.
    pub appended_batches: u64,
    /// How many records of the log were applied here, by whatever node they were appended.
    pub applied: u64,
    /// How many records of the log could not be read here: of a newer version, or malformed. Each
    /// is a gap.
    pub unreadable: u64,
    /// How often positions were missing in the log, which is a gap. What lies before the window
    /// with which the node joined does not count.
    pub holes: u64,
    /// How many cuts were in the log.
    pub cuts: u64,
    /// How many publishes were refused since too much waited.
    pub refused_busy: u64,
    /// How many publishes were refused since the engine was down, at once or later.
    pub refused_down: u64,
    /// How many publishes were given up unconfirmed.
    pub unconfirmed: u64,
    /// How often the engine failed: how often the node has said hello for that, or will.
    pub failures: u64,
    /// How many hellos the engine answered, after the first.
    pub reconnects: u64,
}

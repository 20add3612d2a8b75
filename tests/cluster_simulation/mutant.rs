//! What must not be done, done on purpose: each of these has to be seen by the judge.

/// A fault of an engine's script or of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Each read begins at the end that the log has when the engine gets it.
    ReadsFromTheEnd,
    /// A cut goes on with the next position.
    CutOfOne,
    /// A cut goes on where the server's clock is, or two positions later where that is behind.
    CutByTheClock,
    /// What is missing before an entry is passed over.
    NoPredecessorCheck,
    /// A reader that is ahead of a node is told of a gap at once.
    AheadIsAGap,
    /// The engine numbers by its clock and says of nothing what came before it.
    AutomaticIds,
    /// Publishers are told that something was appended when it is sent.
    AcknowledgesFirst,
    /// A batch that was given up and comes late is appended behind later ones.
    OldBatchesAreAppended,
    /// What is missing in what is read for readers older than memory is passed over.
    ReadsOlderWithoutLooking,
}

impl Mutant {
    pub(crate) const ALL: [Self; 9] = [
        Self::ReadsFromTheEnd,
        Self::CutOfOne,
        Self::CutByTheClock,
        Self::NoPredecessorCheck,
        Self::AheadIsAGap,
        Self::AutomaticIds,
        Self::AcknowledgesFirst,
        Self::OldBatchesAreAppended,
        Self::ReadsOlderWithoutLooking,
    ];
}

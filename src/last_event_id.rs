//! Stub for the merge.
use crate::EventId;
/// Stub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LastEventId {
    /// Nothing.
    #[default]
    Absent,
    /// An id.
    Id(EventId),
    /// Junk.
    Malformed,
}

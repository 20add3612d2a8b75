//! What the application is told of who is there: [`PresenceChange`].

use crate::broker::ClientId;

/// A client came, left, or has another number of sessions, over all nodes of a realm.
///
/// ```
/// use sansse::cluster::PresenceChange;
///
/// fn tell(change: &PresenceChange) -> Option<String> {
///     if change.has_come() {
///         Some(format!("{} has come", change.client))
///     } else if change.has_left() {
///         Some(format!("{} has left", change.client))
///     } else {
///         // Another tab, or a connection that is lost and will come again.
///         None
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceChange {
    /// The client.
    pub client: ClientId,
    /// What was told of it before; `None` if it was not present.
    pub before: Option<usize>,
    /// How many sessions it has now on all nodes together. 0: it has none, and stays for its grace
    /// time. `None`: it has left.
    pub sessions: Option<usize>,
}

impl PresenceChange {
    /// Returns whether the client was not present before.
    pub const fn has_come(&self) -> bool {
        self.before.is_none()
    }

    /// Returns whether the client is not present any more.
    pub const fn has_left(&self) -> bool {
        self.sessions.is_none()
    }
}

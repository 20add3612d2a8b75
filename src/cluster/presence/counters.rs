//! What was done for presence, in numbers: [`PresenceCounters`].

/// What a [`Presence`](super::Presence) has done since it was made, and how much there is in it
/// now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceCounters {
    /// How many clients are present now, those included that stay without a session.
    pub clients: u64,
    /// How many other nodes are there now.
    pub nodes: u64,
    /// How many records this node has given out to be appended.
    pub said: u64,
    /// How many of these were pages of its list.
    pub pages: u64,
    /// How many were not appended, or may not have been, and were said again.
    pub failed: u64,
    /// How often a node's list was not known, or not any more, and the node was to be asked.
    pub unknown_lists: u64,
    /// How many nodes were given up, since they said nothing for as long as their lease.
    pub lapsed: u64,
    /// How many times a client was not taken up, since
    /// [as many are known as may be](super::PresenceConfig::clients).
    pub left_out: u64,
    /// How many records were passed over: of nodes beyond
    /// [those that may be known](super::PresenceConfig::nodes), or such as cannot be read here.
    pub ignored: u64,
}

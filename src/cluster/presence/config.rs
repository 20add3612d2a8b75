//! What is set of presence over nodes: [`PresenceConfig`], with the defaults and why they are so.

use core::num::NonZeroUsize;
use core::time::Duration;

/// The settings of a [`Presence`](super::Presence).
///
/// ```
/// use sansse::cluster::PresenceConfig;
/// use std::time::Duration;
///
/// let mut config = PresenceConfig::new();
/// // Somebody who reloads a page in a train stays.
/// config.grace = Duration::from_secs(120);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceConfig {
    /// How long a client that has no session on any node stays. Default 30 s, as
    /// [`BrokerConfig::client_grace`](crate::broker::BrokerConfig::client_grace) of one hub.
    pub grace: Duration,
    /// How long a node is taken to be there after the last that it said. Default 15 s: three times
    /// [`renew`](Self::renew), so that a pause of some seconds takes no node away. Zero is for a realm
    /// of one node, as in a file: what others said there was said in earlier lives of it, whose
    /// sessions are gone.
    pub lease: Duration,
    /// After how long a node that has nothing else to say says that it is there. Default 5 s: of
    /// three in a row, two may be lost or late. 100 ms at least.
    pub renew: Duration,
    /// How much time is between two records of changes at least. Default 100 ms: a page that is
    /// loaded again is no change, and one node takes no more than ten positions a second for
    /// changes, however many clients come and go.
    pub spacing: Duration,
    /// Of how many clients a node that is behind says what has changed; beyond that it says its
    /// whole list, in pages. Default 10,000.
    pub queued_changes: NonZeroUsize,
    /// How large a record is at most, in bytes, if it has more than one client. Default 32 KiB: no
    /// event waits for long behind one. It is to be less than
    /// [`NodeConfig::batch_bytes`](crate::cluster::NodeConfig::batch_bytes) by a kibibyte.
    pub record_bytes: usize,
    /// How many clients of other nodes are known at most, those included that stay without a
    /// session. Default 1,000,000: a bound for memory, beyond what one log serves. Beyond that those leave early that have been without a session
    /// for longest; then further ones are not known, and are
    /// [counted](super::PresenceCounters::left_out).
    pub clients: NonZeroUsize,
    /// How many other nodes are known at most. Default 1,000, far more than one log can serve. What further ones say is passed over,
    /// and [counted](super::PresenceCounters::ignored).
    pub nodes: NonZeroUsize,
}

impl PresenceConfig {
    /// Makes a configuration that has all the defaults.
    pub const fn new() -> Self {
        Self {
            grace: Duration::from_secs(30),
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            spacing: Duration::from_millis(100),
            queued_changes: QUEUED_CHANGES,
            record_bytes: 32 << 10,
            clients: CLIENTS,
            nodes: NODES,
        }
    }
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self::new()
    }
}

const QUEUED_CHANGES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
const CLIENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999_999);
const NODES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

//! Whether a hub does its work.

use super::{Hub, lock};
use crate::broker::BrokerState;
use crate::sync::Ordering;
use core::fmt;

/// Whether a [`Hub`] does its work, in one word: for the answer to a load balancer, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It opens sessions, publishes, and time passes for it.
    Ready,
    /// Nobody has polled its [driver](super::Drive) yet. It opens sessions and publishes, but no
    /// time passes. It stays so where the driver was not spawned.
    Starting,
    /// It belongs to a [realm](crate::cluster), and its node has not read yet what there was when it
    /// joined. Until then it opens no sessions.
    Joining,
    /// It was [drained](Hub::drain), and opens no more sessions.
    Draining,
    /// It was [closed](Hub::close) or [aborted](Hub::abort).
    Closed,
    /// Its [driver](super::Drive) was dropped, and it has closed for that. It does not heal: the hub
    /// is to be built anew, as by a restart of the process.
    NotDriven,
}

impl Health {
    /// Returns whether new requests for streams are to be sent here.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Ready)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Joining => "joining",
            Self::Draining => "draining",
            Self::Closed => "closed",
            Self::NotDriven => "not-driven",
        })
    }
}

impl Hub {
    /// Returns whether the hub does its work. It looks at one shard, so that it may be asked often.
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::Hub;
    /// use sansse::broker::{BrokerConfig, Epoch};
    /// use sansse::hub::Health;
    ///
    /// let (hub, drive) = Hub::new(timer, BrokerConfig::new(Epoch(0xbeef)))?;
    /// assert_eq!(hub.health(), Health::Starting, "until the driver is polled");
    /// drop(drive);
    /// assert_eq!(hub.health().to_string(), "not-driven");
    /// assert!(!hub.health().is_ready());
    /// # Ok(()) }
    /// ```
    pub fn health(&self) -> Health {
        let driver = &self.inner.driver;
        if driver.is_gone() {
            return Health::NotDriven;
        }
        // All shards close at once, and drain at once.
        let shard = lock(&self.inner.shards[0]);
        match shard.broker.state() {
            BrokerState::Open if !driver.has_begun() => Health::Starting,
            BrokerState::Open if self.inner.is_joining.load(Ordering::Acquire) => Health::Joining,
            BrokerState::Open => Health::Ready,
            BrokerState::Draining | BrokerState::Drained => Health::Draining,
            BrokerState::Closed => Health::Closed,
        }
    }
}

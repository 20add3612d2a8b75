//! How well a node is: [`NodeHealth`].

use crate::cluster::LogErrorKind;
use core::fmt;
use std::time::Instant;

/// How well a [`Node`](super::Node) is: what a load balancer is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeHealth {
    /// It reads what its engine keeps. Sessions that came now would miss what it has not read yet.
    Joining,
    /// It has read all that there was when it joined, and goes on.
    Ready,
    /// It was ready, and the engine cannot be used, or could not, and the node has not caught up
    /// yet. What it has serves on: sessions stay, and new ones resume from its memory.
    Stale {
        /// Since when.
        since: Instant,
        /// What went wrong, last.
        error: LogErrorKind,
    },
    /// It has shut down, or nothing drives it any more: its future was dropped, or its hub was closed.
    /// Only a [`Realm`](crate::cluster::Realm) says so.
    Ended,
    /// It was never ready, and the engine cannot be used.
    Down {
        /// Since when.
        since: Instant,
        /// What went wrong, last.
        error: LogErrorKind,
    },
}

impl NodeHealth {
    /// Returns a word for it: `joining`, `ready`, `stale`, `down` or `ended`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Stale { .. } => "stale",
            Self::Down { .. } => "down",
            Self::Ended => "ended",
        }
    }
}

impl NodeHealth {
    /// Returns whether new requests for streams are to be sent here: not before the node has read
    /// what there was, and also while its engine is away, since what it has serves on.
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Ready | Self::Stale { .. })
    }
}

impl fmt::Display for NodeHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joining | Self::Ready | Self::Ended => f.write_str(self.as_str()),
            Self::Stale { error, .. } | Self::Down { error, .. } => {
                write!(f, "{}: {error}", self.as_str())
            }
        }
    }
}

/// Follows how well a node is, and what was told of it.
#[derive(Debug)]
pub(super) struct State {
    was_ready: bool,
    /// Since when something is wrong, and what.
    wrong: Option<(Instant, LogErrorKind)>,
    /// The position from which on nothing is wrong any more, while the engine serves.
    target: Option<u64>,
    told: NodeHealth,
}

impl State {
    pub(super) const fn new() -> Self {
        Self { was_ready: false, wrong: None, target: None, told: NodeHealth::Joining }
    }

    pub(super) const fn get(&self) -> NodeHealth {
        match (self.wrong, self.was_ready) {
            (None, false) => NodeHealth::Joining,
            (None, true) => NodeHealth::Ready,
            (Some((since, error)), true) => NodeHealth::Stale { since, error },
            (Some((since, error)), false) => NodeHealth::Down { since, error },
        }
    }

    /// Returns whether it is not what was told last.
    #[cfg(feature = "record")]
    pub(super) fn is_news(&self) -> bool {
        self.get() != self.told
    }

    /// Returns what it is, if that is not what was told last.
    pub(super) fn poll(&mut self) -> Option<NodeHealth> {
        let health = self.get();
        let is_new = health != self.told;
        self.told = health;
        is_new.then_some(health)
    }

    pub(super) fn failed(&mut self, now: Instant, error: LogErrorKind) {
        let since = self.wrong.map_or(now, |(since, _)| since);
        self.wrong = Some((since, error));
        // A node that is joining still has what it was to read then.
        if self.was_ready {
            self.target = None;
        }
    }

    /// The engine serves, and its newest position is this one.
    pub(super) fn greeted(&mut self, position: u64) {
        if !self.was_ready {
            self.wrong = None;
        }
        if self.get() != NodeHealth::Ready {
            self.target.get_or_insert(position);
        }
    }

    pub(super) fn applied(&mut self, position: u64) {
        if self.target.is_some_and(|target| target <= position) {
            *self = Self { was_ready: true, wrong: None, target: None, told: self.told };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;

    const ERROR: LogErrorKind = LogErrorKind::Unreachable;

    #[test]
    fn a_node_is_ready_when_it_has_read_what_there_was_at_its_first_hello() {
        let mut state = State::new();
        assert_eq!((state.get(), state.poll()), (NodeHealth::Joining, None));
        state.greeted(7);
        state.applied(6);
        assert_eq!(state.get(), NodeHealth::Joining);
        state.applied(9);
        assert_eq!((state.poll(), state.poll()), (Some(NodeHealth::Ready), None));
    }

    #[test]
    fn an_engine_that_goes_makes_a_node_stale_until_it_has_caught_up() {
        let now = base_instant();
        let mut state = State::new();
        state.greeted(0);
        state.applied(0);
        state.failed(now, ERROR);
        state.failed(now + core::time::Duration::from_secs(1), LogErrorKind::Full);
        let stale = NodeHealth::Stale { since: now, error: LogErrorKind::Full };
        assert_eq!(state.poll(), Some(stale));
        state.greeted(5);
        assert_eq!(state.get(), stale);
        state.applied(5);
        assert_eq!(state.get(), NodeHealth::Ready);
    }

    #[test]
    fn a_node_that_was_never_ready_is_down_and_then_joins_again() {
        let mut state = State::new();
        state.failed(base_instant(), ERROR);
        assert_eq!(state.get().as_str(), "down");
        state.greeted(3);
        assert_eq!(state.get(), NodeHealth::Joining);
        state.failed(base_instant(), ERROR);
        state.greeted(8);
        state.applied(3);
        assert_eq!(state.get(), NodeHealth::Ready, "it is the head of the first hello that counts");
    }
}

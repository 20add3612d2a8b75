//! On what terms a session is here, beyond what all have: from where, until when, to what, how
//! often it is told that all is well, and how long it may take nothing.

use super::arena::Key;
use super::clock::{Tick, ticks};
use super::error::OpenError;
use super::event::EndReason;
use super::lease::Lease;
use super::names::TopicFilter;
use super::permission::Permission;
use super::state::{NEVER, Session};
use super::{Broker, SessionRequest, Told};
use alloc::boxed::Box;
use core::time::Duration;

/// Kept apart, so that a session without such terms takes no room for them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// From which address it is, if that counts.
    pub(super) address: Option<Key>,
    /// When it has the maximum age.
    expires_at: Tick,
    pub(super) lease: Lease,
    /// The heartbeat interval, or [`NEVER`], if it is not the broker's.
    heartbeat: Option<Tick>,
    /// How long it may take nothing, or [`NEVER`], if it is not the broker's.
    stall_timeout: Option<Tick>,
    /// To what it may subscribe, if not to everything.
    pub(super) permission: Option<Box<Permission>>,
}

impl Terms {
    pub(super) const NONE: Self = Self {
        address: None,
        expires_at: NEVER,
        lease: Lease::NONE,
        heartbeat: None,
        stall_timeout: None,
        permission: None,
    };
}

impl Broker {
    pub(super) fn check_terms(&self, now: Tick, request: &SessionRequest) -> Result<(), OpenError> {
        let is_over = |until| self.lease(now, until).is_none();
        if request.lease().is_some_and(is_over) { Err(OpenError::LeaseInThePast) } else { Ok(()) }
    }

    /// What a new session's terms are; `None` for no more than all have.
    pub(super) fn terms(&mut self, now: Tick, request: &mut SessionRequest) -> Option<Box<Terms>> {
        let address = request.take_address().map(|address| self.address_key(address));
        let expires_at = self.expiry(now).unwrap_or(NEVER);
        let lease = request.lease().map_or(Lease::NONE, |until| {
            // One that lapsed while room was made for the session ends it at once.
            let lapsed = Lease { until: self.clock.tick(until), ask_at: NEVER };
            self.lease(now, until).unwrap_or(lapsed)
        });
        let unlike =
            |own: Option<Duration>, usual| (own != usual).then(|| own.map_or(NEVER, ticks));
        let usual = (self.config.heartbeat, self.config.stall_timeout);
        let heartbeat = unlike(request.heartbeat().or(usual.0), usual.0);
        let stall_timeout = unlike(request.stall_timeout().or(usual.1), usual.1);
        let permission = Permission::of(request);
        let terms = Terms { address, expires_at, lease, heartbeat, stall_timeout, permission };
        (terms != Terms::NONE).then(|| Box::new(terms))
    }

    /// Does what the terms of a session ask for by now. Says whether there was something.
    pub(super) fn terms_due(&mut self, key: Key) -> bool {
        let now = self.clock.now();
        let Some(session) = self.sessions.get(key) else { return false };
        if session.terms_deadline() > now {
            return false;
        }
        let Some(terms) = &session.terms else { return false };
        if session.is_lapsed(now) {
            self.end(key, EndReason::LeaseExpired, Told::ByReady);
        } else if terms.expires_at <= now {
            self.finish(key, EndReason::MaxAge);
        } else {
            self.ask_for_lease(key);
        }
        true
    }
}

impl Session {
    pub(super) fn address(&self) -> Option<Key> {
        self.terms.as_ref()?.address
    }

    pub(super) fn permits(&self, filter: &TopicFilter) -> bool {
        let permission = self.terms.as_ref().and_then(|terms| terms.permission.as_ref());
        permission.is_none_or(|permission| permission.permits(filter))
    }

    /// The interval, or [`NEVER`].
    pub(super) fn heartbeat(&self, default: Option<Duration>) -> Tick {
        let own = self.terms.as_ref().and_then(|terms| terms.heartbeat);
        own.unwrap_or_else(|| default.map_or(NEVER, ticks))
    }

    /// How long it may take nothing, or [`NEVER`].
    pub(super) fn stall_timeout(&self, default: Option<Duration>) -> Tick {
        let own = self.terms.as_ref().and_then(|terms| terms.stall_timeout);
        own.unwrap_or_else(|| default.map_or(NEVER, ticks))
    }

    /// Whether it may listen no more.
    pub(super) fn is_lapsed(&self, now: Tick) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.lease.until <= now)
    }

    /// When the session is to be looked at because of its terms.
    pub(super) fn terms_deadline(&self) -> Tick {
        let Some(terms) = &self.terms else { return NEVER };
        let lease = &terms.lease;
        if self.ending().is_some() {
            // It grows no older, and nobody is asked about it.
            return lease.until;
        }
        terms.expires_at.min(lease.until).min(lease.ask_at)
    }
}

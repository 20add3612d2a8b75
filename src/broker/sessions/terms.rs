//! The terms of a session that differ from those of all: until when it may listen and to what, how
//! often it gets a heartbeat and which, and how long it may take nothing.

use crate::broker::arena::Key;
use crate::broker::clock::Tick;
use crate::broker::config::Setting;
use crate::broker::names::{TopicFilter, TopicName};
use crate::event::Event;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A deadline that is not set.
const NEVER: Tick = Tick::MAX;

/// Kept apart, so that a session without such terms takes no room for them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// From which address it is, if that counts.
    address: Option<Key>,
    /// When it has the maximum age.
    expires_at: Tick,
    lease: Lease,
    /// The heartbeat interval, or [`NEVER`], if it is not the broker's.
    heartbeat: Option<Tick>,
    /// What a heartbeat is, if it is not the broker's.
    heartbeat_event: Setting<Box<Event>>,
    /// How long it may take nothing, or [`NEVER`], if it is not the broker's.
    stall_timeout: Option<Tick>,
    /// To what it may subscribe, if not to everything.
    permission: Option<Box<Permission>>,
}

/// Until when a session may listen, and when the application is to be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    until: Tick,
    /// [`NEVER`] once it was asked.
    ask_at: Tick,
}

/// What the filters cover, without the topics that were taken away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    filters: Box<[TopicFilter]>,
    revoked: Vec<TopicName>,
}

impl Terms {
    const NONE: Self = Self {
        address: None,
        expires_at: NEVER,
        lease: Lease::NONE,
        heartbeat: None,
        heartbeat_event: Setting::Default,
        stall_timeout: None,
        permission: None,
    };

    pub(crate) fn new() -> Self {
        Self::NONE
    }

    pub(crate) fn with_address(self, address: Option<Key>) -> Self {
        Self { address, ..self }
    }

    /// Sets when the session has the maximum age.
    pub(crate) fn with_expiry(self, at: Option<Tick>) -> Self {
        Self { expires_at: at.unwrap_or(NEVER), ..self }
    }

    pub(crate) fn with_lease(self, lease: Option<Lease>) -> Self {
        Self { lease: lease.unwrap_or(Lease::NONE), ..self }
    }

    /// Sets the heartbeat interval, [`Tick::MAX`] for none, where it is not the broker's.
    pub(crate) fn with_heartbeat(self, own: Option<Tick>) -> Self {
        Self { heartbeat: own, ..self }
    }

    /// Sets what a heartbeat is, where it is not the broker's.
    pub(crate) fn with_heartbeat_event(self, own: Setting<Event>) -> Self {
        Self { heartbeat_event: own.map(Box::new), ..self }
    }

    /// Sets the stall timeout, [`Tick::MAX`] for none, where it is not the broker's.
    pub(crate) fn with_stall_timeout(self, own: Option<Tick>) -> Self {
        Self { stall_timeout: own, ..self }
    }

    pub(crate) fn with_permission(self, filters: Option<Vec<TopicFilter>>) -> Self {
        let permission =
            filters.map(|filters| Permission { filters: filters.into(), revoked: Vec::new() });
        Self { permission: permission.map(Box::new), ..self }
    }

    /// Returns the terms in a box; `None` if they are those of all.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::NONE).then(|| Box::new(self))
    }

    pub(super) const fn address(&self) -> Option<Key> {
        self.address
    }

    pub(super) const fn expires_at(&self) -> Tick {
        self.expires_at
    }

    pub(super) const fn lease(&self) -> Lease {
        self.lease
    }

    pub(super) const fn lease_mut(&mut self) -> &mut Lease {
        &mut self.lease
    }

    pub(super) const fn heartbeat(&self) -> Option<Tick> {
        self.heartbeat
    }

    pub(super) fn heartbeat_event<'a>(&'a self, usual: Option<&'a Event>) -> Option<&'a Event> {
        self.heartbeat_event.as_ref().map(|event| &**event).or(usual)
    }

    pub(super) const fn stall_timeout(&self) -> Option<Tick> {
        self.stall_timeout
    }

    pub(super) fn permission(&self) -> Option<&Permission> {
        self.permission.as_deref()
    }

    pub(super) fn permission_mut(&mut self) -> Option<&mut Permission> {
        self.permission.as_deref_mut()
    }
}

impl Lease {
    /// A session without a lease may listen for as long as it lasts.
    const NONE: Self = Self { until: NEVER, ask_at: NEVER };

    /// Makes a lease about which the application is asked `lead` before it lapses. `None`: it has
    /// lapsed already.
    pub(crate) fn new(now: Tick, until: Tick, lead: Tick) -> Option<Self> {
        // Of a lease that is shorter than the lead, half is over by then, so that an application
        // that renews it for as long again is not asked without end.
        (until > now).then(|| Self { until, ask_at: until - lead.min((until - now) / 2) })
    }

    /// Makes a lease that ends the session as soon as time passes.
    pub(crate) const fn lapsed(until: Tick) -> Self {
        Self { until, ask_at: NEVER }
    }

    /// Returns until when the session may listen, or [`Tick::MAX`].
    pub(crate) const fn until(self) -> Tick {
        self.until
    }

    pub(super) const fn ask_at(self) -> Tick {
        self.ask_at
    }

    /// Records that the application was asked.
    pub(super) const fn asked(&mut self) {
        self.ask_at = NEVER;
    }
}

impl Permission {
    /// Returns whether the session may subscribe to this.
    pub(crate) fn permits(&self, filter: &TopicFilter) -> bool {
        // A pattern is heard as a whole, so that one that matches a revoked topic is not permitted.
        is_covered(&self.filters, filter) && !self.revoked.iter().any(|name| filter.matches(name))
    }

    /// Takes a topic out. Returns whether there was room to remember that.
    pub(super) fn revoke(&mut self, topic: &TopicName, limit: usize) -> bool {
        if !self.permits(&TopicFilter::Topic(topic.clone())) {
            return true;
        }
        let has_room = self.revoked.len() < limit;
        if has_room {
            self.revoked.push(topic.clone());
        }
        has_room
    }
}

/// Returns whether one of the permitted filters covers all that `filter` matches.
pub(crate) fn is_covered(permitted: &[TopicFilter], filter: &TopicFilter) -> bool {
    permitted.iter().any(|one| one.covers(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_asked_about_before_it_lapses_and_a_short_one_at_its_half() {
        let lease = Lease::new(100, 1_000, 30).unwrap();
        assert_eq!((lease.until(), lease.ask_at()), (1_000, 970));
        assert_eq!(Lease::new(100, 120, 30).unwrap().ask_at(), 110);
        assert_eq!(Lease::new(100, 101, 30).unwrap().ask_at(), 101);
        assert_eq!(Lease::new(100, 100, 30), None);
    }

    #[test]
    fn a_permission_without_a_topic_permits_no_pattern_that_matches_it() {
        let filter = |text| TopicFilter::new(text).unwrap();
        let name = |text| TopicName::new(text).unwrap();
        let terms = Terms::new().with_permission(Some(alloc::vec![filter("room/*")]));
        let mut terms = terms.boxed().unwrap();
        let permission = terms.permission_mut().unwrap();
        assert!(permission.revoke(&name("room/1"), 1));
        assert!(!permission.permits(&filter("room/1")) && !permission.permits(&filter("room/*")));
        assert!(permission.permits(&filter("room/2")));
        assert!(permission.revoke(&name("room/1"), 1), "it is not permitted any more");
        assert!(permission.revoke(&name("news"), 1), "it never was");
        assert!(!permission.revoke(&name("room/2"), 1), "there is no room for another");
    }

    #[test]
    fn the_terms_of_all_take_no_room() {
        assert_eq!(Terms::new().with_expiry(None).with_lease(None).boxed(), None);
    }
}

//! What the model does about permissions: it tries names.

use super::model::{LogName, Model, Wish};
use sansse::broker::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock};

#[derive(Clone, Debug)]
pub(super) struct Permission {
    filters: BTreeSet<LogName>,
    revoked: BTreeSet<TopicName>,
}

impl Permission {
    pub(super) fn new(filters: &[LogName]) -> Self {
        Self { filters: filters.iter().cloned().collect(), revoked: BTreeSet::new() }
    }

    pub(super) fn permits(&self, filter: &LogName) -> bool {
        let is_revoked = |name: &TopicName| filter.covers(&LogName::Named(name.clone()));
        is_covered(&self.filters, filter) && !self.revoked.iter().any(is_revoked)
    }
}

fn is_covered(filters: &BTreeSet<LogName>, filter: &LogName) -> bool {
    filters.iter().any(|one| covers_all(one, filter))
}

/// Whether one covers each of the names that the other one does. Names of these levels tell: all that
/// the histories' filters name, and one that none of them does.
fn covers_all(one: &LogName, other: &LogName) -> bool {
    static NAMES: OnceLock<Vec<LogName>> = OnceLock::new();
    static KNOWN: Mutex<BTreeMap<(LogName, LogName), bool>> = Mutex::new(BTreeMap::new());
    let names = NAMES.get_or_init(|| {
        let mut all = vec![String::new()];
        for _ in 0..4 {
            let longer = all
                .iter()
                .flat_map(|name| ["a", "b", "c", "x", "?"].map(|level| format!("{name}/{level}")));
            all = longer.chain([String::new()]).collect();
        }
        let names = all.iter().filter_map(|name| name.strip_prefix('/'));
        names.map(|name| LogName::Named(TopicName::new(name).unwrap())).collect()
    });
    let tell = || names.iter().all(|name| one.covers(name) || !other.covers(name));
    let mut known = KNOWN.lock().unwrap();
    *known.entry((one.clone(), other.clone())).or_insert_with(tell)
}

impl Model {
    pub(super) fn forbids(&self, wish: &Wish) -> Option<OpenError> {
        let filters: BTreeSet<LogName> = wish.permitted.as_ref()?.iter().cloned().collect();
        let limit = self.config.limits.permitted_per_session;
        if filters.len() > limit as usize {
            return Some(OpenError::TooManyPermitted { limit });
        }
        let topics = wish.topics.iter().cloned().map(LogName::Named);
        let mut all = topics.chain(wish.patterns.iter().cloned().map(LogName::Pattern));
        (!all.all(|filter| is_covered(&filters, &filter))).then_some(OpenError::NotPermitted)
    }

    pub(super) fn forbid(&mut self, session: SessionId, topic: &TopicName, broker: &Broker) {
        let member = self.members.get_mut(&session).unwrap();
        let Some(permission) = &mut member.permission else { return };
        if !permission.permits(&LogName::Named(topic.clone())) {
            return;
        }
        permission.revoked.insert(topic.clone());
        if permission.revoked.len() > self.config.limits.permitted_per_session as usize {
            self.ended_untold.push(session);
            self.ended_ready.push(session);
            self.end(session, EndReason::Revoked, broker);
        }
    }
}

//! All clients of the realm, with their sessions on all nodes together: [`Everybody`].

use super::change::PresenceChange;
use crate::broker::ClientId;
use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;
use core::time::Duration;
use std::time::Instant;

/// Owns how many sessions each client has in all, when those without one leave, and what the
/// application has not been told of that.
#[derive(Debug)]
pub(super) struct Everybody {
    clients: BTreeMap<ClientId, Total>,
    /// Those without a session that leave at some time, the first to leave first.
    leaving: BTreeSet<(Instant, ClientId)>,
    /// What the application knows of those clients of which it does not know how they are now.
    untold: BTreeMap<ClientId, Option<usize>>,
    grace: Duration,
    most: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    sessions: usize,
    /// `None` while it has a session, or where the platform cannot express the time.
    leaves_at: Option<Instant>,
}

/// Why a client was not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Everybody {
    pub(super) const fn new(grace: Duration, most: usize) -> Self {
        Self {
            clients: BTreeMap::new(),
            leaving: BTreeSet::new(),
            untold: BTreeMap::new(),
            grace,
            most,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns whether so many may still be known that it is worth asking for lists again.
    pub(super) fn has_room(&self) -> bool {
        self.clients.len() - self.leaving.len() < self.most - self.most / 10
    }

    pub(super) fn sessions(&self, client: &ClientId) -> Option<usize> {
        self.clients.get(client).map(|total| total.sessions)
    }

    pub(super) fn after(
        &self,
        after: Option<&ClientId>,
    ) -> impl Iterator<Item = (&ClientId, usize)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.clients.range::<ClientId, _>((start, Bound::Unbounded));
        rest.map(|(client, total)| (client, total.sessions))
    }

    /// Returns the name as it is kept here, so that equal ones share their bytes.
    pub(super) fn name(&self, client: &ClientId) -> ClientId {
        self.clients.get_key_value(client).map_or_else(|| client.clone(), |(name, _)| name.clone())
    }

    /// Makes room for a client that is not known yet. Those who leave next leave early.
    pub(super) fn make_room(&mut self, client: &ClientId) -> Result<(), Full> {
        if self.clients.len() >= self.most && !self.clients.contains_key(client) {
            let (_, first) = self.leaving.pop_first().ok_or(Full)?;
            self.remove(&first);
        }
        Ok(())
    }

    /// One node's sessions of a client were `before` and are `now_there`. A client that has none on
    /// any node from then on leaves when the grace time is over that began at `since`.
    pub(super) fn change(&mut self, client: &ClientId, before: u32, now_there: u32, since: Since) {
        let known = self.clients.get(client).copied();
        if before == now_there || (known.is_none() && now_there == 0) {
            return;
        }
        self.note(client, known);
        let old = known.unwrap_or_default();
        let sessions =
            old.sessions.saturating_add(now_there as usize).saturating_sub(before as usize);
        let leaves_at = if sessions == 0 { since.after(self.grace) } else { None };
        let name = self.name(client);
        if let Some(at) = old.leaves_at {
            self.leaving.remove(&(at, name.clone()));
        }
        if let Some(at) = leaves_at {
            self.leaving.insert((at, name.clone()));
        }
        self.clients.insert(name, Total { sessions, leaves_at });
    }

    /// Returns when the next client leaves, where they leave with this delay.
    pub(super) fn next_timeout(&self, delay: Duration) -> Option<Instant> {
        self.leaving.first().and_then(|(at, _)| at.checked_add(delay))
    }

    /// Lets all leave whose grace time is over, and this delay.
    pub(super) fn handle_timeout(&mut self, now: Instant, delay: Duration) {
        while self.next_timeout(delay).is_some_and(|at| at <= now) {
            if let Some((_, client)) = self.leaving.pop_first() {
                self.remove(&client);
            }
        }
    }

    fn remove(&mut self, client: &ClientId) {
        let known = self.clients.get(client).copied();
        self.note(client, known);
        self.clients.remove(client);
        // Nobody needs to know of a client that came and went unseen.
        if self.untold.get(client) == Some(&None) {
            self.untold.remove(client);
        }
    }

    /// Keeps what the application knows of a client that is about to change.
    fn note(&mut self, client: &ClientId, known: Option<Total>) {
        if !self.untold.contains_key(client) {
            self.untold.insert(self.name(client), known.map(|total| total.sessions));
        }
    }

    pub(super) fn poll_change(&mut self) -> Option<PresenceChange> {
        while let Some((client, told)) = self.untold.pop_first() {
            let sessions = self.sessions(&client);
            if sessions != told {
                return Some(PresenceChange { client, before: told, sessions });
            }
        }
        None
    }
}

/// Since when something is so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    pub(super) now: Instant,
    /// How long before that.
    pub(super) age: Duration,
}

impl Since {
    pub(super) const fn now(now: Instant) -> Self {
        Self { now, age: Duration::ZERO }
    }

    /// Returns the time so long after it; `None` where the platform cannot express it, which is as
    /// good as never. What the platform cannot express since it is too long ago is now.
    pub(super) fn after(self, wait: Duration) -> Option<Instant> {
        if wait >= self.age {
            self.now.checked_add(wait - self.age)
        } else {
            Some(self.now.checked_sub(self.age - wait).unwrap_or(self.now))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_instant::base_instant;
    use alloc::vec::Vec;

    const GRACE: Duration = Duration::from_secs(30);

    fn client(name: &str) -> ClientId {
        ClientId::new(name).unwrap()
    }

    fn changes(everybody: &mut Everybody) -> Vec<(&'static str, Option<usize>, Option<usize>)> {
        let names = ["ann", "bob", "cid"];
        core::iter::from_fn(|| everybody.poll_change())
            .map(|change| {
                let name = names.into_iter().find(|name| change.client == client(name)).unwrap();
                (name, change.before, change.sessions)
            })
            .collect()
    }

    #[test]
    fn sessions_add_up_over_nodes_and_changes_that_cancel_are_not_told() {
        let since = Since::now(base_instant());
        let mut everybody = Everybody::new(GRACE, 10);
        let ann = client("ann");
        everybody.change(&ann, 0, 2, since);
        everybody.change(&ann, 0, 1, since);
        assert_eq!(changes(&mut everybody), [("ann", None, Some(3))]);
        everybody.change(&ann, 2, 0, since);
        everybody.change(&ann, 1, 3, since);
        assert_eq!(changes(&mut everybody), []);
    }

    #[test]
    fn a_client_without_a_session_leaves_after_the_grace_time_that_began_with_the_last() {
        let now = base_instant() + 2 * GRACE;
        let mut everybody = Everybody::new(GRACE, 10);
        let ann = client("ann");
        everybody.change(&ann, 0, 1, Since::now(now));
        everybody.change(&ann, 1, 0, Since { now, age: GRACE / 3 });
        assert_eq!(everybody.next_timeout(Duration::ZERO), Some(now + GRACE * 2 / 3));
        assert_eq!(changes(&mut everybody), [("ann", None, Some(0))]);
        everybody.change(&ann, 0, 1, Since::now(now));
        assert_eq!(everybody.next_timeout(Duration::ZERO), None);
        everybody.change(&ann, 1, 0, Since::now(now));
        everybody.handle_timeout(now + GRACE, Duration::from_nanos(1));
        assert_eq!(everybody.sessions(&ann), Some(0));
        everybody.handle_timeout(now + GRACE, Duration::ZERO);
        assert_eq!((everybody.sessions(&ann), everybody.len()), (None, 0));
        assert_eq!(changes(&mut everybody), [("ann", Some(0), None)]);
    }

    #[test]
    fn who_came_and_went_untold_leaves_nothing_behind() {
        let now = base_instant();
        let mut everybody = Everybody::new(Duration::ZERO, 10);
        everybody.change(&client("ann"), 0, 1, Since::now(now));
        everybody.change(&client("ann"), 1, 0, Since::now(now));
        everybody.handle_timeout(now, Duration::ZERO);
        assert!(everybody.untold.is_empty() && everybody.clients.is_empty());
    }

    #[test]
    fn where_there_is_no_room_those_leave_early_who_leave_next() {
        let now = base_instant();
        let mut everybody = Everybody::new(GRACE, 2);
        for (name, later) in [("ann", 1), ("bob", 0)] {
            let since = Since::now(now + Duration::from_secs(later));
            everybody.change(&client(name), 0, 1, since);
            everybody.change(&client(name), 1, 0, since);
        }
        let cid = client("cid");
        assert_eq!(everybody.make_room(&cid), Ok(()));
        everybody.change(&cid, 0, 1, Since::now(now));
        assert_eq!(everybody.sessions(&client("bob")), None);
        everybody.change(&client("ann"), 0, 1, Since::now(now));
        assert_eq!(everybody.make_room(&client("dan")), Err(Full));
        assert_eq!(everybody.make_room(&cid), Ok(()), "it is known");
    }
}

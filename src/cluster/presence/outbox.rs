//! What this node is to say: [`Outbox`].
//!
//! One record is under way at a time. What changes meanwhile waits, each client once, and is read
//! from the list when the next record is made.

use super::config::PresenceConfig;
use super::here::Here;
use super::record::PresenceRecord;
use crate::broker::{ClientId, PublishError};
use crate::cluster::NodeId;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use std::time::Instant;

/// Owns what is to be said next, and the number of this node's list.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The number of the newest record of changes that may be in the log.
    number: u64,
    /// Up to which number all changes are in the log for certain, or in pages that are to come.
    confirmed: u64,
    /// The clients of which something is to be said.
    changed: BTreeSet<ClientId>,
    pages: Pages,
    under_way: Option<UnderWay>,
    /// A page was said last, so that changes have their turn.
    had_page: bool,
    /// When the node has to say that it is there; `None` when that time has come.
    renew_at: Option<Instant>,
    /// Before that time no changes are said.
    spaced_until: Option<Instant>,
    /// Before that time nothing is said, since the last record failed.
    retry_at: Option<Instant>,
}

/// How far the pages of the list have come.
#[derive(Debug)]
enum Pages {
    NotWanted,
    /// The next begins after this client; the first after none.
    After(Option<ClientId>),
    /// As before; and they are wanted once more, by somebody who has missed the first of these.
    AfterAndAgain(Option<ClientId>),
}

#[derive(Debug)]
enum UnderWay {
    Changes {
        number: u64,
        clients: Vec<ClientId>,
    },
    /// The last client of the page, if it is not the last page.
    Page {
        through: Option<ClientId>,
    },
    Other,
}

/// How long to wait after a record that failed.
const RETRY: Duration = Duration::from_secs(1);

/// How often a node says at most that it is there, whatever is configured, so that it never does
/// without end.
const LEAST_RENEW: Duration = Duration::from_millis(100);

impl Outbox {
    /// Begins with the whole list, so that nobody has to ask for it.
    pub(super) const fn new() -> Self {
        Self {
            number: 0,
            confirmed: 0,
            changed: BTreeSet::new(),
            pages: Pages::After(None),
            under_way: None,
            had_page: false,
            renew_at: None,
            spaced_until: None,
            retry_at: None,
        }
    }

    /// The sessions of a client here are not what they were.
    pub(super) fn change(&mut self, client: ClientId, config: &PresenceConfig) {
        self.changed.insert(client);
        if self.changed.len() > config.queued_changes.get() {
            self.changed.clear();
            let under_way = match &self.under_way {
                Some(UnderWay::Changes { number, .. }) => *number,
                _ => 0,
            };
            // Nobody has the list with this number, unless by the pages.
            self.number = self.number.max(under_way) + 1;
            self.confirmed = self.number;
            self.pages = Pages::After(None);
            // A page that is under way is older than that, and is none of these.
            if let Some(UnderWay::Page { .. }) = self.under_way {
                self.under_way = Some(UnderWay::Other);
            }
        }
    }

    /// Somebody does not know the list.
    pub(super) fn want_pages(&mut self) {
        let pages = core::mem::replace(&mut self.pages, Pages::NotWanted);
        self.pages = match pages {
            Pages::NotWanted | Pages::After(None) => Pages::After(None),
            Pages::After(Some(after)) => Pages::AfterAndAgain(Some(after)),
            pages @ Pages::AfterAndAgain(_) => pages,
        };
    }

    /// The node is to say at once that it is there, and which number its list has.
    pub(super) const fn renew(&mut self) {
        (self.renew_at, self.retry_at) = (None, None);
    }

    /// Returns what is to be said now.
    pub(super) fn next(
        &mut self,
        now: Instant,
        here: &Here,
        config: &PresenceConfig,
        ask: impl FnOnce() -> Option<Vec<NodeId>>,
    ) -> Option<PresenceRecord> {
        if self.under_way.is_some() || self.retry_at.is_some() {
            return None;
        }
        let has_changes = !self.changed.is_empty() && self.spaced_until.is_none();
        let has_page = !matches!(self.pages, Pages::NotWanted) && here.is_known();
        let record = if let Some(nodes) = ask() {
            self.under_way = Some(UnderWay::Other);
            PresenceRecord::Ask { nodes }
        } else if has_changes && (self.had_page || !has_page) {
            self.had_page = false;
            self.spaced_until = now.checked_add(config.spacing).filter(|at| *at > now);
            self.next_changes(here, config)
        } else if has_page {
            self.had_page = true;
            self.next_page(here, config)
        } else if self.renew_at.is_none()
            && self.changed.is_empty()
            && matches!(self.pages, Pages::NotWanted)
        {
            self.under_way = Some(UnderWay::Other);
            PresenceRecord::Lease { number: self.number }
        } else {
            return None;
        };
        self.renew_at = now.checked_add(config.renew.max(LEAST_RENEW));
        Some(record)
    }

    fn next_changes(&mut self, here: &Here, config: &PresenceConfig) -> PresenceRecord {
        let mut size = PresenceRecord::MOST_BESIDE;
        let (mut names, mut clients) = (Vec::new(), Vec::new());
        while let Some(client) = self.changed.first() {
            size += PresenceRecord::size_of(client);
            if size > config.record_bytes && !names.is_empty() {
                break;
            }
            clients.push((client.clone(), here.sessions(client)));
            names.extend(self.changed.pop_first());
        }
        let (after, number) = (self.confirmed, self.number + 1);
        self.under_way = Some(UnderWay::Changes { number, clients: names });
        PresenceRecord::Changes { after, number, clients }
    }

    fn next_page(&mut self, here: &Here, config: &PresenceConfig) -> PresenceRecord {
        let after = match &self.pages {
            Pages::After(after) | Pages::AfterAndAgain(after) => after.clone(),
            Pages::NotWanted => None,
        };
        let mut size = PresenceRecord::MOST_BESIDE;
        let mut clients = Vec::new();
        let mut is_last = true;
        for (client, sessions) in here.after(after.as_ref()) {
            size += PresenceRecord::size_of(client);
            if size > config.record_bytes && !clients.is_empty() {
                is_last = false;
                break;
            }
            clients.push((client.clone(), sessions));
        }
        let through = clients.last().map(|(client, _)| client.clone()).filter(|_| !is_last);
        self.under_way = Some(UnderWay::Page { through });
        PresenceRecord::Page { number: self.number, after, clients, is_last }
    }

    /// What was under way is in the log, or it failed.
    pub(super) fn settled(&mut self, now: Instant, result: Result<(), PublishError>) {
        let Some(under_way) = self.under_way.take() else { return };
        if result.is_err() {
            self.retry_at = now.checked_add(RETRY);
        }
        match (under_way, result) {
            (UnderWay::Changes { number, .. }, Ok(())) => {
                self.number = self.number.max(number);
                self.confirmed = self.confirmed.max(number);
            }
            (UnderWay::Changes { number, clients }, Err(error)) => {
                if error == PublishError::Unconfirmed {
                    self.number = self.number.max(number);
                }
                self.changed.extend(clients);
                self.spaced_until = None;
            }
            (UnderWay::Page { through }, Ok(())) => self.said_page(through),
            // A page that failed is said again, from the same client on.
            (UnderWay::Page { .. }, Err(_)) | (UnderWay::Other, Ok(())) => {}
            (UnderWay::Other, Err(_)) => self.renew_at = None,
        }
    }

    fn said_page(&mut self, through: Option<ClientId>) {
        let pages = core::mem::replace(&mut self.pages, Pages::NotWanted);
        self.pages = match (pages, through) {
            (Pages::NotWanted, _) | (Pages::After(_), None) => Pages::NotWanted,
            (Pages::AfterAndAgain(_), None) => Pages::After(None),
            (Pages::After(_), through) => Pages::After(through),
            (Pages::AfterAndAgain(_), through) => Pages::AfterAndAgain(through),
        };
    }

    /// Returns when there may be more to say.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if self.under_way.is_some() {
            return None;
        }
        if let Some(retry) = self.retry_at {
            return Some(retry);
        }
        let spaced = self.spaced_until.filter(|_| !self.changed.is_empty());
        [spaced, self.renew_at].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let is_due = |at: &mut Instant| *at <= now;
        self.retry_at.take_if(is_due);
        self.spaced_until.take_if(is_due);
        self.renew_at.take_if(is_due);
    }
}

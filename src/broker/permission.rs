//! To what a session may subscribe, where the application said so.

use super::arena::Key;
use super::config::SessionRequest;
use super::error::OpenError;
use super::event::EndReason;
use super::names::{TopicFilter, TopicName};
use super::{Broker, Told};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What the filters cover, without the topics that were taken away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Permission {
    filters: Box<[TopicFilter]>,
    revoked: Vec<TopicName>,
}

impl Permission {
    pub(super) fn of(request: &mut SessionRequest) -> Option<Box<Self>> {
        let filters = request.take_permitted()?.into();
        Some(Box::new(Self { filters, revoked: Vec::new() }))
    }

    pub(super) fn permits(&self, filter: &TopicFilter) -> bool {
        // A pattern is heard as a whole, so that one without a revoked topic is none.
        is_covered(&self.filters, filter) && !self.revoked.iter().any(|name| filter.matches(name))
    }
}

fn is_covered(permitted: &[TopicFilter], filter: &TopicFilter) -> bool {
    permitted.iter().any(|one| one.covers(filter))
}

impl Broker {
    /// Whether the session may have all that it asks for.
    pub(super) fn check_permission(&self, request: &SessionRequest) -> Result<(), OpenError> {
        let Some(permitted) = request.permitted() else { return Ok(()) };
        let limit = self.config.max_permitted_per_session;
        if permitted.len() > limit as usize {
            return Err(OpenError::TooManyPermitted { limit });
        }
        let topics = request.topics().iter().cloned().map(TopicFilter::Topic);
        let patterns = request.patterns().iter().cloned().map(TopicFilter::Pattern);
        if topics.chain(patterns).all(|filter| is_covered(permitted, &filter)) {
            Ok(())
        } else {
            Err(OpenError::NotPermitted)
        }
    }

    /// Takes a topic out of what a session may subscribe to, if the application said what that is.
    pub(super) fn forbid(&mut self, key: Key, topic: &TopicName) {
        let limit = self.config.max_permitted_per_session as usize;
        let session = self.sessions.get_mut(key);
        let terms = session.and_then(|session| session.terms.as_mut());
        let Some(permission) = terms.and_then(|terms| terms.permission.as_mut()) else { return };
        let filter = TopicFilter::Topic(topic.clone());
        if !permission.permits(&filter) {
            return;
        }
        if permission.revoked.len() < limit {
            permission.revoked.push(topic.clone());
        } else {
            self.end(key, EndReason::Revoked, Told::ByReady);
        }
    }
}

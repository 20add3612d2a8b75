//! On what terms a session is here, beyond what all have.

use super::arena::Key;
use super::state::Session;
use super::{Broker, SessionRequest};
use alloc::boxed::Box;

/// Kept apart, so that a session without such terms takes no room for them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// From which address it is, if that counts.
    pub(super) address: Option<Key>,
}

impl Broker {
    /// What a new session's terms are; `None` for no more than all have.
    pub(super) fn terms(&mut self, request: &mut SessionRequest) -> Option<Box<Terms>> {
        let address = request.address.take().map(|address| self.address_key(address));
        let terms = Terms { address };
        (terms != Terms::default()).then(|| Box::new(terms))
    }
}

impl Session {
    pub(super) fn address(&self) -> Option<Key> {
        self.terms.as_ref()?.address
    }
}

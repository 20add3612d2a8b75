//! On what terms a session is here, beyond what all have: from where, and until when.

use super::arena::Key;
use super::clock::Tick;
use super::outcome::EndReason;
use super::state::{NEVER, Session};
use super::{Broker, SessionRequest};
use alloc::boxed::Box;

/// Kept apart, so that a session without such terms takes no room for them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// From which address it is, if that counts.
    pub(super) address: Option<Key>,
    /// When it has the maximum age.
    expires_at: Tick,
}

const NONE: Terms = Terms { address: None, expires_at: NEVER };

impl Broker {
    /// What a new session's terms are; `None` for no more than all have.
    pub(super) fn terms(&mut self, now: Tick, request: &mut SessionRequest) -> Option<Box<Terms>> {
        let address = request.address.take().map(|address| self.address_key(address));
        let terms = Terms { address, expires_at: self.expiry(now).unwrap_or(NEVER) };
        (terms != NONE).then(|| Box::new(terms))
    }

    /// Does what the terms of a session ask for by now. Says whether there was something.
    pub(super) fn terms_due(&mut self, key: Key) -> bool {
        let now = self.clock.now();
        let Some(session) = self.sessions.get(key) else { return false };
        if session.terms_deadline() > now {
            return false;
        }
        self.finish(key, EndReason::MaxAge)
    }
}

impl Session {
    pub(super) fn address(&self) -> Option<Key> {
        self.terms.as_ref()?.address
    }

    /// When the session is to be looked at because of its terms.
    pub(super) fn terms_deadline(&self) -> Tick {
        match &self.terms {
            // One that is ending grows no older.
            Some(terms) if self.ending.is_none() => terms.expires_at,
            _ => NEVER,
        }
    }
}

//! What the clients say of themselves, by the site that each reads.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// What each client has said so far.
#[derive(Default)]
pub(crate) struct Heard(Mutex<BTreeMap<u16, Vec<Value>>>);

impl Heard {
    /// Notes what was said, which names the port of its site.
    pub(crate) fn note(&self, said: Value) {
        let port = said["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let port = port.unwrap_or_else(|| panic!("no port in {said}"));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(port).or_default().push(said);
    }

    /// How much was noted so far.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }

    /// Whether the client of this site has had this message.
    pub(crate) fn has(&self, port: u16, message: &str) -> bool {
        self.any(port, |said| said["message"] == message)
    }

    /// Whether it has said an error, not before this time in milliseconds.
    pub(crate) fn error_since(&self, port: u16, time: u128) -> bool {
        let since = |said: &Value| said["at"].as_u64().is_some_and(|at| u128::from(at) >= time);
        self.any(port, |said| !said["error"].is_null() && since(said))
    }

    /// Whether its page was told that it is hidden.
    pub(crate) fn was_hidden(&self, port: u16) -> bool {
        self.any(port, |said| said["hidden"] == true)
    }

    /// All that it has said.
    pub(crate) fn all(&self, port: u16) -> Vec<Value> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&port).cloned().unwrap_or_default()
    }

    fn any(&self, port: u16, is: impl Fn(&Value) -> bool) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&port).is_some_and(|said| said.iter().any(is))
    }
}

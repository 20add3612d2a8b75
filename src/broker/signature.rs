//! How the keys that sign ids are changed.

use super::error::ConfigError;
use super::{Broker, CursorKeys, EventIds};

impl Broker {
    /// Signs the ids of all that is published from now on with other keys. What the earlier ones
    /// signed stays valid if the new keys [accept](CursorKeys::accepting) it. Without that, a peer
    /// that holds such an id is told that it is [forged](super::Resume::Forged).
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] with [`EventIds::Own`]; then nothing was done.
    pub fn set_cursor_keys(&mut self, keys: CursorKeys) -> Result<(), ConfigError> {
        if self.sequencer.ids() == EventIds::Own {
            return Err(ConfigError::NothingToSign);
        }
        self.sequencer.set_cursor_keys(keys);
        Ok(())
    }
}

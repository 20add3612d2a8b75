//! Random numbers for configurations.

use sansse::broker::Epoch;
use sansse::cluster::NodeId;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a seed that no other client has, for [`ClientConfig::new`]: 64 random bits, from what
/// the standard library seeds its hash maps with.
///
/// [`ClientConfig::new`]: https://docs.rs/sansse/latest/sansse/client/struct.ClientConfig.html
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Returns an epoch that no other process has, of 48 random bits from [`random_seed`]'s source.
pub fn random_epoch() -> Epoch {
    Epoch(random_seed() >> 16)
}

/// Returns a node that no other process is, nor another life of this one: 128 random bits from
/// [`random_seed`]'s source.
pub fn random_node() -> NodeId {
    NodeId(u128::from(random_seed()) << 64 | u128::from(random_seed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_epochs_and_nodes_differ() {
        assert_ne!(random_seed(), random_seed());
        assert_ne!(random_epoch(), random_epoch());
        assert_ne!(random_node(), random_node());
    }
}

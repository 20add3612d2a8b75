//! A hub with what drives it.

use crate::random_epoch;
use sansse::Hub;
use sansse::broker::{BrokerConfig, ConfigError};
use sansse::hub::HubBuilder;
use sansse::net::Runtime;

/// Makes a hub with the defaults, in a [`random_epoch`], driven by a task of the runtime.
pub fn hub(runtime: &impl Runtime) -> Hub {
    let config = BrokerConfig::new(random_epoch());
    // The defaults hold, which each adapter's test `the_defaults_make_a_hub` shows.
    spawn_hub(runtime, HubBuilder::new(config)).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Builds a hub and drives it by a task of the runtime.
///
/// # Errors
///
/// [`ConfigError`] for a setting that cannot hold.
pub fn spawn_hub(runtime: &impl Runtime, builder: HubBuilder) -> Result<Hub, ConfigError> {
    let (hub, drive) = builder.build(runtime.clone())?;
    runtime.spawn(drive);
    Ok(hub)
}

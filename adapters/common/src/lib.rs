//! What the adapters of [`sansse`] share, whatever the runtime.
//!
//! - [`random_seed`], [`random_epoch`] and [`random_node`] draw the random numbers that the core, which draws none,
//!   is configured with.
//! - [`hub`] and [`spawn_hub`] make a hub and spawn what drives it.
//! - [`max_open_files`] reads how many connections there is room for.
//! - [`unacknowledged_time`] makes a time one that `TCP_USER_TIMEOUT` can be set to.
//! - [`DefaultConnector`] secures connections for `https` where the feature `tls` is on.
//!
//! Applications find all of it in the adapter that they use. This crate is for those who write
//! one.

#![warn(clippy::unwrap_used)]

mod connect;
mod files;
mod hub;
mod random;
mod unacknowledged;

pub use connect::DefaultConnector;
pub use files::max_open_files;
pub use hub::{hub, spawn_hub};
pub use random::{random_epoch, random_node, random_seed};
pub use unacknowledged::unacknowledged_time;

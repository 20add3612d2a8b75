//! tokio on one thread.

use crate::tokio_runtime::Tokio;

scenarios!(Tokio<0>);
processes!(Tokio<0>);

#[path = "../client/behaviour/rows/mod.rs"]
mod rows;

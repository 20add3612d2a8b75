//! tokio on several threads.

use crate::tokio_runtime::Tokio;

scenarios!(Tokio<2>);
processes!(Tokio<2>);

#[path = "../client/behaviour/rows/mod.rs"]
mod rows;

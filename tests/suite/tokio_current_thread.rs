//! tokio on one thread.

use crate::tokio_runtime::Tokio;

pub(crate) type This = Tokio<0>;

scenarios!(This);

#[path = "rows.rs"]
mod rows;

//! tokio on several threads.

use crate::tokio_runtime::Tokio;

pub(crate) type This = Tokio<2>;

scenarios!(This);

#[path = "rows.rs"]
mod rows;

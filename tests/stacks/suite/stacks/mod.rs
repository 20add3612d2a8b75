//! The stacks, each served as its users serve it.

mod axum;
mod hyper;
mod raw;

//! The stacks, each served as its users serve it.

mod actix;
mod axum;
mod hyper;
mod raw;

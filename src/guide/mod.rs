//! Guides.
#![cfg_attr(
    not(all(feature = "http-body", feature = "record", feature = "testing", feature = "signed", feature = "metrics", feature = "tracing", feature = "serde")),
    allow(rustdoc::broken_intra_doc_links, reason = "links to what other features bring")
)]

pub mod axum;
pub mod behind_proxies;
pub mod choosing_a_layer;
pub mod from_axum_sse;
pub mod from_go_sse;
pub mod language_models;
pub mod own_executor;
pub mod own_http_stack;
pub mod resuming;
pub mod slow_readers;
pub mod testing;

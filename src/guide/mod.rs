//! Guides: from what you want to the part that does it, with programs that compile.
//!
//! | I want to… | Guide |
//! | --- | --- |
//! | find out what to take | [choosing a layer](choosing_a_layer) |
//! | serve streams in axum | [axum] |
//! | serve streams in hyper, or another HTTP stack | [an HTTP stack of your own](own_http_stack) |
//! | run on an executor of my own, or on none | [an executor of your own](own_executor) |
//! | stream the answer of a language model, or read one | [language models](language_models) |
//! | let pages go on where they were, and know what they missed | [resuming] |
//! | know what slow readers do to my memory | [slow readers](slow_readers) |
//! | know how browsers and libraries take each end of a stream | [what clients do](clients) |
//! | write pages by Datastar or htmx | [Datastar and htmx](datastar_and_htmx) |
//! | test my handlers and my client | [testing] |
//! | put nginx, HAProxy or Caddy in front | [behind proxies](behind_proxies) |
//! | run it: metrics, logs, limits, deploys | [operating] |
//! | run several processes, or lose nothing at a restart | [many nodes](many_nodes) |
//! | come from axum's `Sse` | [from axum's `Sse`](from_axum_sse) |
//! | come from reqwest-eventsource | [from reqwest-eventsource](from_reqwest_eventsource) |
//! | come from SubChord/go-sse | [from go-sse](from_go_sse) |
//!
//! There is no code in this module, and nothing of it in a program.
#![cfg_attr(
    not(all(
        feature = "cluster",
        feature = "http-body",
        feature = "metrics",
        feature = "record",
        feature = "serde",
        feature = "signed",
        feature = "testing",
    )),
    allow(rustdoc::broken_intra_doc_links, reason = "links to what other features bring")
)]

pub mod axum;
pub mod behind_proxies;
pub mod choosing_a_layer;
pub mod clients;
pub mod datastar_and_htmx;
pub mod from_axum_sse;
pub mod from_go_sse;
pub mod from_reqwest_eventsource;
pub mod language_models;
pub mod many_nodes;
pub mod operating;
pub mod own_executor;
pub mod own_http_stack;
pub mod resuming;
pub mod slow_readers;
pub mod testing;

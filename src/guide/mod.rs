//! Guides: event streams in axum, what clients of others do, pages by Datastar and htmx, a server
//! behind proxies, and how to come from another library. There is no code here.

pub mod axum;
pub mod behind_proxies;
pub mod clients;
pub mod datastar_and_htmx;
pub mod from_go_sse;

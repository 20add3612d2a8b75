//! Examples as processes, and the peers that come to them: browsers, and `curl`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real peers need sockets, threads and a clock"
)]

#[cfg(unix)]
mod browser;
mod curl;
#[cfg(all(feature = "feed", feature = "serve"))]
mod ends;
#[cfg(unix)]
mod event_source;
#[cfg_attr(not(unix), allow(dead_code, reason = "the tests of the page use the rest"))]
mod live;
#[cfg(unix)]
mod live_engine;
#[cfg(unix)]
mod live_page;
#[cfg(all(feature = "feed", feature = "serve"))]
mod llm;
#[cfg(unix)]
mod nodes;
#[cfg(unix)]
mod piped;
#[cfg(unix)]
mod proxy;
#[cfg(unix)]
mod refusals;
#[cfg(unix)]
mod shared_tabs;
#[cfg(unix)]
mod site;

//! Examples as processes, and the peers that come to them: a browser, and `curl`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real peers need sockets, threads and a clock"
)]

#[cfg(unix)]
mod browser;
#[cfg(unix)]
mod chromium;
mod curl;
#[cfg_attr(not(unix), allow(dead_code, reason = "the tests of the browser use the rest"))]
mod live;
#[cfg(all(feature = "feed", feature = "serve"))]
mod llm;
#[cfg(unix)]
mod piped;
#[cfg(unix)]
mod proxy;

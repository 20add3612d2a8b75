//! [`sansse`] on tokio: its [`Runtime`](sansse::net::Runtime), a small HTTP/1.1 server for event
//! streams, and a client that reads them.
//!
//! ```no_run
//! use sansse::Event;
//! use sansse::broker::{SessionConfig, Audience};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = sansse_tokio::hub();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let publisher = hub.clone();
//! tokio::spawn(async move {
//!     loop {
//!         tokio::time::sleep(std::time::Duration::from_secs(1)).await;
//!         publisher.publish(Audience::Everyone, &Event::new("tick")).expect("the hub is open");
//!     }
//! });
//! let streams = hub.clone();
//! sansse_tokio::serve(listener, hub, move |request| {
//!     let answer = streams.accept(&request, SessionConfig::new());
//!     async { answer }
//! })
//! .await;
//! # Ok(()) }
//! ```
//!
//! A client is a stream of what happens, through all its connections:
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() {
//! let mut source = sansse_tokio::connect("http://127.0.0.1:8080/");
//! while let Some(event) = source.next().await {
//!     println!("{event:?}");
//! }
//! # }
//! ```
//!
//! When not to use it: with an HTTP stack of your own, put a
//! [`Session`](sansse::hub::Session) into its body type instead; this server speaks HTTP/1.1
//! alone, and so does the client.
//!
//! # TLS
//!
//! With the feature `tls`, [`connect`] and [`feed`] speak `https`. Other roots than the system's,
//! and a server with TLS, are in the module `tls`, which is the crate `sansse-tls`.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
mod runtime;
mod socket;

pub use connect::{TokioConnector, connect, connect_with, feed};
pub use runtime::TokioRuntime;
pub use sansse_common::{DefaultConnector, random_epoch, random_node, random_seed};
#[cfg(feature = "tls")]
pub use sansse_tls as tls;
pub use socket::{TokioAcceptor, TokioSocket};

use bytes::Bytes;
use http::Request;
use sansse::Hub;
use sansse::broker::ConfigError;
use sansse::hub::{Answer, HubBuilder};
use sansse::serve::Server;
use std::future::{Future, pending};
use tokio::net::TcpListener;

/// Serves with the defaults of [`Server`], for ever, on the current runtime.
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::spawn`] does.
pub async fn serve<H, F, A>(listener: TcpListener, hub: Hub, handler: H)
where
    H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = A> + Send + 'static,
    A: Into<Answer> + 'static,
{
    Server::new(TokioRuntime, hub).serve(TokioAcceptor::new(listener), pending(), handler).await;
}

/// Makes a hub with the defaults, in a [`random_epoch`], driven by a task on the current runtime.
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::spawn`] does.
pub fn hub() -> Hub {
    sansse_common::hub(&TokioRuntime)
}

/// Builds a hub and drives it by a task on the current runtime.
///
/// # Errors
///
/// [`ConfigError`] for a setting that cannot hold.
///
/// # Panics
///
/// Outside a tokio runtime, as [`tokio::spawn`] does.
pub fn spawn_hub(builder: HubBuilder) -> Result<Hub, ConfigError> {
    sansse_common::spawn_hub(&TokioRuntime, builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_defaults_make_a_hub() {
        assert_eq!(hub().counters().sessions, 0);
    }
}

//! [`sansse`] on async-io, hence on smol and on async-std: its [`Runtime`], its sockets, a small
//! HTTP/1.1 server for event streams, and a client that reads them.
//!
//! async-io's reactor asks nothing of the executor, so any will do; what starts tasks is given
//! once, as a [`SmolRuntime`].
//!
//! ```no_run
//! use sansse::Event;
//! use sansse::broker::{SessionConfig, Audience};
//! use sansse_smol::SmolRuntime;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
//! let hub = sansse_smol::hub(&runtime);
//! let listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
//! let publisher = hub.clone();
//! smol::spawn(async move {
//!     loop {
//!         smol::Timer::after(std::time::Duration::from_secs(1)).await;
//!         publisher.publish(Audience::Everyone, &Event::new("tick")).expect("the hub is open");
//!     }
//! })
//! .detach();
//! let streams = hub.clone();
//! smol::block_on(sansse_smol::serve(runtime, listener, hub, move |request| {
//!     let answer = streams.accept(&request, SessionConfig::new());
//!     async { answer }
//! }))?;
//! # Ok(()) }
//! ```
//!
//! A client is a stream of what happens, through all its connections:
//!
//! ```no_run
//! # async_std::task::block_on(async {
//! let mut source = sansse_smol::connect("http://127.0.0.1:8080/");
//! while let Some(event) = source.next().await {
//!     println!("{event:?}");
//! }
//! # });
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

pub use connect::{SmolConnector, connect, connect_with, feed};
pub use runtime::{SmolRuntime, SmolTimer, Task};
pub use sansse_common::{DefaultConnector, hub, random_epoch, random_node, random_seed, spawn_hub};
#[cfg(feature = "tls")]
pub use sansse_tls as tls;
pub use socket::{SmolAcceptor, SmolSocket};

use bytes::Bytes;
use http::Request;
use sansse::Hub;
use sansse::hub::Answer;
use sansse::net::Runtime;
use sansse::serve::Server;
use std::future::{Future, pending};
use std::io;
use std::net::TcpListener;

/// Serves with the defaults of [`Server`], for ever.
///
/// # Errors
///
/// The system's, where the listener cannot be watched.
pub async fn serve<R, H, F, A>(
    runtime: R,
    listener: TcpListener,
    hub: Hub,
    handler: H,
) -> io::Result<()>
where
    R: Runtime,
    H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
    F: Future<Output = A> + Send + 'static,
    A: Into<Answer> + 'static,
{
    let acceptor = SmolAcceptor::new(listener)?;
    Server::new(runtime, hub).serve(acceptor, pending(), handler).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_a_hub() {
        let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
        assert_eq!(hub(&runtime).counters().sessions, 0);
    }
}

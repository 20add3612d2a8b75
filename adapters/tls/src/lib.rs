//! TLS for [`sansse`], by [`rustls`], on any runtime: `https` for clients and for the server.
//!
//! [`Tls`] is a [`Connector`](sansse::net::Connector) around another, and
//! [`TlsListener`] a [`Listener`](sansse::net::Listener) around another; both work on the
//! [`Socket`](sansse::net::Socket)s of any runtime. An adapter with its feature `tls` has this crate
//! as its module `tls`. Its `connect` and `feed` then speak `https` by themselves, and trust the
//! authorities that the system trusts. What follows is for other needs.
//!
//! A client that trusts a certificate authority of one's own besides:
//!
//! ```no_run
//! use sansse::EventSource;
//! use sansse::client::ClientConfig;
//! use sansse::feed::Http1;
//! use sansse_tokio::{TokioConnector, TokioRuntime, random_seed};
//! use sansse_tls::{Roots, Tls};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let roots = Roots::system()?.with_pem(&std::fs::read("authority.pem")?)?;
//! let connector = Tls::new(TokioConnector, roots.client_config());
//! let (url, config) = ("https://intranet.example/events", ClientConfig::new(random_seed()));
//! let mut source = EventSource::new(Http1::new(connector), TokioRuntime, url, config);
//! while let Some(event) = source.next().await {
//!     println!("{event:?}");
//! }
//! # Ok(()) }
//! ```
//!
//! A server:
//!
//! ```no_run
//! use sansse::broker::SessionConfig;
//! use sansse::serve::Server;
//! use sansse_tokio::{TokioAcceptor, TokioRuntime};
//! use sansse_tls::{TlsListener, server_config};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = server_config(&std::fs::read("chain.pem")?, &std::fs::read("key.pem")?)?;
//! let listener = tokio::net::TcpListener::bind("[::]:443").await?;
//! let listener = TlsListener::new(TokioAcceptor::new(listener), config);
//! let hub = sansse_tokio::hub();
//! let streams = hub.clone();
//! let server = Server::new(TokioRuntime, hub);
//! server.serve(listener, std::future::pending(), move |request| {
//!     let answer = streams.accept(&request, SessionConfig::new());
//!     async { answer }
//! })
//! .await;
//! # Ok(()) }
//! ```
//!
//! # What fails, and how
//!
//! - A handshake that does not succeed says why, in the words that people look up:
//!
//!   | what is wrong | kind | and then |
//!   | --- | --- | --- |
//!   | wrong name, unknown issuer, revoked, bad signature, wrong purpose | [`Certificate`](sansse::net::FailureKind::Certificate) | the client ends |
//!   | the port speaks no TLS | [`NotTls`](sansse::net::FailureKind::NotTls) | the client ends |
//!   | no TLS 1.2 or 1.3, no HTTP/1.1 by ALPN | [`Unsupported`](sansse::net::FailureKind::Unsupported) | the client ends |
//!   | expired, not valid yet, anything else | [`Tls`](sansse::net::FailureKind::Tls) | the client tries again |
//!
//!   A certificate that has expired is renewed sooner or later, often within the hour, and the clients
//!   should be back then. The request was not sent. The time for a handshake is within
//!   [`Timeouts::response`](sansse::client::Timeouts::response) of a client, and within the time
//!   for a request head of a server.
//! - A connection that is closed without `close_notify` did not end properly (RFC 8446, 6.1):
//!   where the end of a body is the end of the connection, somebody may have cut it off. That is
//!   [`FailureKind::Truncated`](sansse::net::FailureKind::Truncated). A body that has said
//!   itself that it is complete does not need the `close_notify`.
//! - Anything else that goes wrong after the handshake is
//!   [`FailureKind::Closed`](sansse::net::FailureKind::Closed), also a client certificate that
//!   the server refuses, since in TLS 1.3 that comes after the request may have been sent.
//!
//! # What is spoken
//!
//! TLS 1.3 and 1.2, with the cryptography of `ring` unless a configuration of one's own brings
//! another. By ALPN (RFC 7301) a client offers `http/1.1` alone, and a server accepts that,
//! `http/1.0`, and peers that offer nothing. Certificates are not looked up in lists of revoked
//! ones. Sessions are resumed where the peer allows it. No data is sent early, since it could be
//! replayed.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod connect;
mod fault;
mod listen;
mod socket;

pub use config::{Roots, TlsConfigError, server_config};
pub use connect::Tls;
pub use listen::TlsListener;
pub use rustls;
pub use socket::{MaybeTls, TlsSocket};

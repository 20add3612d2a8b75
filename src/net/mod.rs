//! The seam to a runtime: its clock, its tasks and its connections, as traits of a few lines.
//!
//! An adapter such as `sansse-tokio` implements them once; everything above them is written once
//! too, for every runtime.
//!
//! | Trait | What it brings | Who needs it |
//! | --- | --- | --- |
//! | [`Timer`] | a clock, and sleep | [`Hub`](crate::Hub), [`EventSource`](crate::EventSource) |
//! | [`Runtime`] | a timer, and tasks | [`serve::Server`](crate::serve::Server) |
//! | [`Socket`] | a connection: bytes in, bytes out | both sides of HTTP/1.1 |
//! | [`Listener`] | connections that peers open | [`serve::Server`](crate::serve::Server) |
//! | [`Connector`] | connections to a [`Target`] | [`feed::Http1`](crate::feed::Http1) |
//!
//! Through which proxies a client's connections go, if any, is for [`Proxies`] to say.
//!
//! What goes wrong with a connection is a [`Failure`]: what failed, in one of a few kinds, and what
//! the system said about it, as text. [`connect_any`] helps a connector with hosts that have
//! several addresses.
//!
//! The module needs nothing but the `http` crate. It therefore comes with each of the features
//! `broker`, `client` and `http1`, whole but for the proxies, which are for clients.

mod connect;
#[cfg(feature = "client")]
mod credentials;
mod failure;
mod fallback;
mod listen;
#[cfg(feature = "client")]
mod no_proxy;
#[cfg(feature = "client")]
mod proxy;
#[cfg(feature = "http-body")]
mod rest;
mod runtime;
mod socket;

pub use connect::{Connector, Target};
#[cfg(feature = "cluster")]
pub(crate) use failure::cut_detail;
pub use failure::{Failure, FailureKind};
pub use fallback::connect_any;
pub use listen::Listener;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub use proxy::{Proxies, Proxy, ProxyError, ProxyErrorKind};
pub use runtime::{Runtime, Timer};
pub use socket::Socket;

#[cfg(feature = "client")]
pub(crate) use credentials::{basic_credentials, take_userinfo};
#[cfg(feature = "http-body")]
pub(crate) use rest::Rest;

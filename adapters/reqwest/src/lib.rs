//! Event streams over [reqwest](https://docs.rs/reqwest): sources that reconnect and resume, and the
//! messages of a response.
//!
//! # Which of the two
//!
//! **A stream that is to go on**, through lost connections and restarts of the server, is an
//! [`EventSource`]: [`EventSourceExt::event_source`] makes one of a request.
//!
//! ```no_run
//! use sansse_reqwest::{EventSourceExt, SourceEvent};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[cfg(feature = "reqwest-0_13")] {
//! # use reqwest_0_13 as reqwest;
//! let client = reqwest::Client::new();
//! let mut source = client.get("http://127.0.0.1:8080/events").event_source()?;
//! while let Some(event) = source.next().await {
//!     match event {
//!         SourceEvent::Message(message) => println!("{}", message.data),
//!         told => eprintln!("{told:?}"),
//!     }
//! }
//! # }
//! # Ok(()) }
//! ```
//!
//! **One answer**, such as that of a language model, is a response that one has:
//! [`MessagesExt::messages`] reads it.
//!
//! ```no_run
//! use sansse_reqwest::MessagesExt;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[cfg(feature = "reqwest-0_13")] {
//! # use reqwest_0_13 as reqwest;
//! let request = reqwest::Client::new().post("http://127.0.0.1:8080/answers").body("Why?");
//! let mut messages = request.send().await?.error_for_status()?.messages();
//! while let Some(message) = messages.next().await {
//!     print!("{}", message?.data);
//! }
//! # }
//! # Ok(()) }
//! ```
//!
//! To have several readers of one stream, or one type of event for each, put a
//! [`Feed`](sansse::Feed) around a source.
//!
//! # What is reqwest's, and what is sansse's
//!
//! | | |
//! | --- | --- |
//! | connections, TLS, HTTP/2, proxies, cookies, decompression | reqwest, as its client is built |
//! | redirects | reqwest, unless its client is built with `redirect::Policy::none()`: then sansse, by [`ClientConfig::policy`](sansse::client::ClientConfig::policy) |
//! | reconnecting, `Last-Event-ID`, `retry`, back-off, which statuses are an end | sansse |
//! | timeouts | both: see below |
//!
//! A client as reqwest builds it follows redirects by itself, and each attempt asks the first URL
//! again. sansse, where they are left to it, can
//! [go on at the target](sansse::client::NextAttempt::Target), and goes from `https` to `http` only
//! if it [may](sansse::client::Redirects::allow_insecure).
//!
//! **Build the client without a total timeout.** `ClientBuilder::timeout` and
//! `RequestBuilder::timeout` count from the request to the end of the body, which a stream does not
//! have: the connection is cut each time they run out. The source comes back and loses nothing that
//! the server keeps, but that is no way to run it. `ClientBuilder::read_timeout` does the same in
//! silence. sansse notices a server that has fallen silent by itself:
//! [`Timeouts`](sansse::client::Timeouts). `ClientBuilder::connect_timeout` does no harm.
//!
//! A request whose body is a stream cannot be sent twice, and makes no source:
//! [`UnusableRequest::StreamedBody`]. What the application adds to each attempt, such as a fresh
//! token, is given by [`EventSource::with_headers`](sansse::EventSource::with_headers).
//!
//! # Versions
//!
//! The features `reqwest-0_13`, which is on by default, and `reqwest-0_12` bring the same for each
//! version. Both may be on.
//!
//! # From reqwest-eventsource
//!
//! The guide [from reqwest-eventsource] has a table of what became of each name.
//!
//! [from reqwest-eventsource]: https://docs.rs/sansse/latest/sansse/guide/from_reqwest_eventsource/index.html
//!
//! # When not to use it
//!
//! `sansse-tokio` and `sansse-smol` read event streams over HTTP/1.1 and TLS with a fraction of the
//! code. Use reqwest where the application has it anyway, or needs HTTP/2, cookies, or its proxies.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod request;
#[cfg(any(feature = "reqwest-0_12", feature = "reqwest-0_13"))]
mod version;

pub use request::UnusableRequest;
#[doc(no_inline)]
pub use sansse::{EventSource, Messages, OwnedMessage, SourceEvent};

use futures_core::Stream;
use sansse::Transport;
use sansse::client::ClientConfig;

/// Makes an event source of a request of reqwest's. It is implemented for the `RequestBuilder` of
/// each version.
///
/// ```no_run
/// # #[cfg(feature = "reqwest-0_13")] {
/// # use reqwest_0_13 as reqwest;
/// use sansse_reqwest::EventSourceExt;
///
/// let client = reqwest::Client::new();
/// let source = client.get("https://example.org/events").bearer_auth("token").event_source();
/// assert!(source.is_ok());
/// # }
/// ```
pub trait EventSourceExt {
    /// What carries the requests of the source: a client of reqwest's.
    type Transport: Transport;

    /// Makes a source with the defaults of [`ClientConfig`] and a random seed. Nothing is sent
    /// before it is polled, which has to be in a tokio runtime.
    ///
    /// The request's own timeout and version are not those of the source's attempts: they last as
    /// long as the stream does, and the client decides how they are sent.
    ///
    /// # Errors
    ///
    /// [`UnusableRequest`] if there is no request that could be sent, or none that could be sent
    /// again.
    fn event_source(self) -> Result<EventSource<Self::Transport>, UnusableRequest>
    where
        Self: Sized,
    {
        self.event_source_with(ClientConfig::new(sansse_tokio::random_seed()))
    }

    /// Makes a source with a configuration, as [`event_source`](Self::event_source) does with the
    /// defaults.
    ///
    /// ```no_run
    /// # #[cfg(feature = "reqwest-0_13")] {
    /// # use reqwest_0_13 as reqwest;
    /// use sansse::{EventId, client::ClientConfig};
    /// use sansse_reqwest::EventSourceExt;
    ///
    /// let mut config = ClientConfig::new(0x5eed);
    /// config.last_event_id = EventId::new("kept from an earlier process").ok();
    /// let request = reqwest::Client::new().get("https://example.org/events");
    /// let source = request.event_source_with(config);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`event_source`](Self::event_source).
    fn event_source_with(
        self,
        config: ClientConfig,
    ) -> Result<EventSource<Self::Transport>, UnusableRequest>;
}

/// Reads a response of reqwest's as an event stream. It is implemented for the `Response` of each
/// version.
pub trait MessagesExt {
    /// The bytes of the response's body.
    type Bytes: Stream;

    /// Returns the messages of the response, as [`sansse::messages`] reads them.
    ///
    /// Neither status nor content type are looked at: call `error_for_status` before. A body that is
    /// no event stream brings no messages, and mostly
    /// [`MessageError::Unfinished`](sansse::MessageError::Unfinished) at its end.
    ///
    /// ```no_run
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "reqwest-0_13")] {
    /// # use reqwest_0_13 as reqwest;
    /// use sansse_reqwest::MessagesExt;
    ///
    /// let response = reqwest::get("https://example.org/events").await?.error_for_status()?;
    /// let mut messages = response.messages();
    /// while let Some(message) = messages.next().await {
    ///     println!("{}", message?.data);
    /// }
    /// # }
    /// # Ok(()) }
    /// ```
    fn messages(self) -> Messages<Self::Bytes>;
}

/// reqwest 0.12 as a transport.
#[cfg(feature = "reqwest-0_12")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-0_12")))]
pub mod v0_12 {
    crate::version::over!(reqwest_0_12);
}

/// reqwest 0.13 as a transport.
#[cfg(feature = "reqwest-0_13")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest-0_13")))]
pub mod v0_13 {
    crate::version::over!(reqwest_0_13);
}

/// The README's examples, compiled with the tests.
#[cfg(all(doctest, feature = "reqwest-0_13"))]
#[doc = include_str!("../README.md")]
struct Readme;

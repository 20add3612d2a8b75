//! From reqwest-eventsource, which is no longer maintained: what became of each name.
//!
//! The loop stays. A lost connection is no error here: the source says that it asks again, and when.
//!
//! ```
//! use sansse::SourceEvent; // before: reqwest_eventsource::Event
//! use sansse_reqwest::EventSourceExt; // before: reqwest_eventsource::RequestBuilderExt
//!
//! /// Such as `read(client.get("http://127.0.0.1:8080/events"))`.
//! async fn read(request: impl EventSourceExt) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut source = request.event_source()?; // before: request.eventsource()?
//!     while let Some(event) = source.next().await {
//!         match event {
//!             SourceEvent::Open(head) => println!("open: {:?}", head.headers),
//!             SourceEvent::Message(it) => println!("{}: {}", it.event_type, it.data),
//!             // before: Err(error), after which one had to know whether it goes on
//!             SourceEvent::Retrying { error, wait, .. } => {
//!                 eprintln!("{error}; again in {wait:?}");
//!             }
//!             SourceEvent::Lost { reason, .. } => eprintln!("events are missing: {reason}"),
//!             SourceEvent::Closed(reason) => return Err(reason.to_string().into()),
//!             told => eprintln!("{told:?}"),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! ```text
//! cargo remove reqwest-eventsource
//! cargo add sansse sansse-reqwest      # for reqwest 0.13; --features reqwest-0_12 for 0.12
//! ```
//!
//! # Each name
//!
//! | reqwest-eventsource | here |
//! | --- | --- |
//! | `RequestBuilderExt::eventsource` | [`EventSourceExt::event_source`] |
//! | `EventSource::new(builder)` | `builder.event_source()` |
//! | `EventSource::get(url)` | `client.get(url).event_source()` |
//! | `CannotCloneRequestError` | [`UnusableRequest::StreamedBody`] |
//! | `Event::Open` | [`SourceEvent::Open`], with the response's head |
//! | `Event::Message(message)` | [`SourceEvent::Message`] |
//! | `message.event`, `.data`, `.id` | `.event_type`, `.data`, `.last_event_id` |
//! | `message.retry` | [`EventSource::reconnection_time`] |
//! | `Err(Error::StreamEnded)`, `Err(Error::Transport(_))` | [`SourceEvent::Retrying`]: the source goes on by itself |
//! | `Err(Error::InvalidStatusCode(..))`, `Err(Error::InvalidContentType(..))` | [`SourceEvent::Closed`], or `Retrying` for a status that may pass (500, 502, 503, 504, 429 …) |
//! | `Err(Error::Utf8(_))` | none: ill-formed bytes are U+FFFD, as the standard has it |
//! | `Err(Error::Parser(_))` | none: every stream of bytes is an event stream; what is beyond a limit is [`SourceEvent::Dropped`] |
//! | `Err(Error::InvalidLastEventId(_))` | none: an id that no header can carry is sent as what the standard makes of it |
//! | `set_retry_policy`, `retry::ExponentialBackoff`, `retry::Constant` | [`Reconnection`] in [`ClientConfig::policy`] |
//! | `retry::DEFAULT_RETRY`: 300 ms, doubling up to 5 s | 3 to 6 s at first, doubling up to 60 s, as [`Reconnection`] says |
//! | a `RetryPolicy` of one's own | [`Policy`]: which statuses, how long, how often; [`EventSource::restart`] asks at once |
//! | `retry::Never` | [`ClientConfig::one_shot`], or [`MessagesExt::messages`] |
//! | `source.close()` | [`EventSource::close`] |
//! | `last_event_id()`, `ready_state()`, `ReadyState` | [`EventSource::last_event_id`], [`EventSource::state`], [`ReadyState`] |
//! | `while let Some(event) = source.next().await` with `futures::StreamExt` | the same, with [`EventSource::next`]; it is a `Stream` too |
//!
//! What has no name there: a server that falls silent is noticed, a gap that the server tells of is
//! [`SourceEvent::Lost`], a failed attempt is told once with the time until the next, memory is bounded, and
//! a reader that reads no more holds the server back.
//!
//! # How long it waits
//!
//! ```
//! use sansse::client::ClientConfig;
//! use std::time::Duration;
//!
//! # let seed = 7;
//! // A random number, such as of `sansse_tokio::random_seed`: so that clients come back apart.
//! let mut config = ClientConfig::new(seed);
//! // before: ExponentialBackoff::new(start, factor, Some(max), Some(5))
//! config.policy.reconnection.initial = Duration::from_millis(300);
//! config.policy.reconnection.max_backoff = Some(Duration::from_secs(5));
//! config.policy.max_attempts = Some(5);
//! // Then: request.event_source_with(config)
//! ```
//!
//! The waits double and are spread at random, a server's `retry` and `Retry-After` count, and a stream that was
//! open for 5 s makes them begin anew.
//!
//! # What to know
//!
//! - **Build the reqwest client without a total timeout.** It would cut each stream:
//!   [what is reqwest's, and what is sansse's](https://docs.rs/sansse-reqwest).
//! - One response, read once, such as a model's answer, needs no source: `response.messages()`, by
//!   [`MessagesExt::messages`].
//! - Several readers of one source, or one type of events for each: a [`Feed`](crate::Feed) around it.
//! - A program that has reqwest for event streams alone does without: `sansse_tokio::connect(url)` reads them over
//!   HTTP/1.1, and TLS, with a fraction of the code.
//!
//! # Next
//!
//! - [Language models](super::language_models): answers that end by themselves.
//! - [Testing](super::testing): a client that loses its connection, without a socket.
//! - [Resuming](super::resuming): what the server promises to one that comes back.
//!
//! [`EventSourceExt::event_source`]: https://docs.rs/sansse-reqwest/latest/sansse_reqwest/trait.EventSourceExt.html#tymethod.event_source
//! [`MessagesExt::messages`]: https://docs.rs/sansse-reqwest/latest/sansse_reqwest/trait.MessagesExt.html#tymethod.messages
//! [`UnusableRequest::StreamedBody`]: https://docs.rs/sansse-reqwest/latest/sansse_reqwest/enum.UnusableRequest.html#variant.StreamedBody
//! [`SourceEvent::Open`]: crate::SourceEvent::Open
//! [`SourceEvent::Message`]: crate::SourceEvent::Message
//! [`SourceEvent::Retrying`]: crate::SourceEvent::Retrying
//! [`SourceEvent::Closed`]: crate::SourceEvent::Closed
//! [`SourceEvent::Dropped`]: crate::SourceEvent::Dropped
//! [`SourceEvent::Lost`]: crate::SourceEvent::Lost
//! [`EventSource::reconnection_time`]: crate::EventSource::reconnection_time
//! [`EventSource::close`]: crate::EventSource::close
//! [`EventSource::last_event_id`]: crate::EventSource::last_event_id
//! [`EventSource::state`]: crate::EventSource::state
//! [`EventSource::next`]: crate::EventSource::next
//! [`EventSource::restart`]: crate::EventSource::restart
//! [`ReadyState`]: crate::client::ReadyState
//! [`Policy`]: crate::client::Policy
//! [`Reconnection`]: crate::client::Reconnection
//! [`ClientConfig::policy`]: crate::client::ClientConfig::policy
//! [`ClientConfig::one_shot`]: crate::client::ClientConfig::one_shot

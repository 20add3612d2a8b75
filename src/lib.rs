//! Server-Sent Events ([WHATWG HTML,
//! 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)), both sides, with no I/O
//! inside.
//!
//! | You want to… | Read |
//! | --- | --- |
//! | begin, or find out what to take | [choosing a layer](guide::choosing_a_layer) |
//! | serve streams in axum, actix-web, hyper, or another HTTP stack | [axum](guide::axum), [sansse-actix](https://docs.rs/sansse-actix), [an HTTP stack of your own](guide::own_http_stack) |
//! | run on an executor of your own, or on none | [an executor of your own](guide::own_executor) |
//! | write pages by Datastar or htmx | [Datastar and htmx](guide::datastar_and_htmx) |
//! | know what browsers and other clients do | [what clients do](guide::clients) |
//! | stream a language model's answer, or read one | [language models](guide::language_models) |
//! | know what readers get that come back, or are slow | [resuming](guide::resuming), [slow readers](guide::slow_readers) |
//! | test without sockets | [testing](guide::testing) |
//! | run it | [operating](guide::operating), [behind proxies](guide::behind_proxies) |
//! | come from another library | [axum's `Sse`](guide::from_axum_sse), [reqwest-eventsource](guide::from_reqwest_eventsource), [go-sse](guide::from_go_sse) |
//!
//! [All guides](guide). The rest of this page is how the library is built, and what it promises.
//!
//! Everything is a machine. What happened goes in, together with the time, and what is to be done
//! comes out:
//!
//! ```text
//!   bytes of a request ─▶ ┌──────────────────┐ ─▶ http::Request
//!   http::Response ─────▶ │ ServerConnection │ ─▶ bytes of the answer
//!                         └──────────────────┘
//!   open, disconnect ───▶ ┌──────────────────┐ ─▶ poll_ready: sessions that have output
//!   publish, apply ─────▶ │      Broker      │ ─▶ poll_transmit: frames, or the end
//!   handle_timeout ─────▶ │                  │ ─▶ poll_event: joins, ends, skips, with reasons
//!                         └──────────────────┘ ─▶ poll_timeout: when to come back
//!   heads, bytes, ends ─▶ ┌──────────────────┐ ─▶ poll_request: what to ask for, when it is time
//!   failures ───────────▶ │      Client      │ ─▶ poll_event: messages, losses, the end
//!   handle_timeout ─────▶ └──────────────────┘ ─▶ poll_timeout: when to come back
//!   bytes of a stream ──▶ ┌──────────────────┐ ─▶ messages, comments, reconnection times
//!                         │     Decoder      │ ─▶ errors, after which it goes on
//!                         └──────────────────┘
//!   Event ──────────────▶ Frame: encoded once, shared by all who receive it
//! ```
//!
//! - The codec ([`Event`], [`Frame`], [`Framing`], [`Decoder`]) needs `alloc` alone.
//! - [`broker`] is the bookkeeping of a server: who is connected, who gets what, what is replayed.
//! - [`http`] judges requests and makes response heads; [`http1`] speaks HTTP/1.1 for those who
//!   have no HTTP stack.
//! - [`client`] is the `EventSource`: connect, read, lose the connection, back off, resume.
//! - [`EventSource`] and [`Feed`] put the client behind streams, over any [`Transport`].
//! - [`hub`] puts the broker behind futures and streams. All that it needs of a runtime is a
//!   [`Timer`].
//! - With the feature `http-body`, sessions and answers are bodies of responses, for hyper and what is
//!   built on it; `sansse-axum` is for axum, and `sansse-actix` for actix-web.
//! - [`answer`] is a stream of events for one reader, such as a language model's answer.
//! - [`serve`] is a small HTTP/1.1 server, and [`feed::Http1`] a client's transport, over any
//!   runtime's sockets.
//! - `testing` (feature `testing`) is time that passes when it is told to, and a reader of what a
//!   session gets, for tests of applications.
//! - [`net`] is what the last three need of a runtime, as traits; adapters such as `sansse-tokio`
//!   implement them.
//!
//! # The contract
//!
//! Each sentence has a test.
//!
//! 1. The machines never read a clock, open a socket, spawn, sleep, lock or draw a random number.
//!    Time is an `Instant` passed in, as the first argument; randomness is a seed in the
//!    configuration. The async layer over them locks briefly and reads time only through [`Timer`].
//! 2. Inputs are `handle_*` or plain verbs, and act at once. Outputs are `poll_*`. No call order is
//!    forbidden: a machine takes an input whether or not the outputs of the one before were polled.
//! 3. `None` from `poll_transmit` means that a session is *parked*, as `Poll::Pending` does: its id
//!    comes out of `poll_ready` exactly once when there is output again. Every other `poll_*` says
//!    what its `None` means, and what may change it.
//! 4. `poll_timeout(&self)` is cheap. A driver that sleeps exactly until it delays nothing, and
//!    `handle_timeout(now)` at the deadline moves the deadline. Times that come early, late, twice or
//!    out of order do no harm. A deadline that was slept through is not taken for the peer's
//!    silence.
//! 5. Any split of the same bytes gives the same messages. The same inputs with the same seed give
//!    the same outputs.
//! 6. Work per call is proportional to what is ready, never to how many sessions exist.
//! 7. Everything is bounded, with a finite default that can be changed, and a documented behaviour
//!    at the bound.
//! 8. No input from a peer, and no string of the caller's, makes the library panic. A value that
//!    exists is valid: what cannot be sent cannot be built.
//! 9. Errors say whose [`Fault`] it is: the peer's, the caller's, the transport's, a limit's, or
//!    that of a state, such as a closed broker. None of them is an `io::Error`.
//! 10. A stream that was cut short never ends in good order.
//!
//! Where a promise has an exception, the method says so: [`Broker::drain`](broker::Broker::drain),
//! for example, walks over all sessions once.
//! [`Broker::wait_for_readers`](broker::Broker::wait_for_readers) does so the first time that
//! somebody has to wait for a topic.
#![no_std]
#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "cluster", feature = "feed", feature = "serve")),
    allow(rustdoc::broken_intra_doc_links, reason = "links to what other features bring")
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
pub mod answer;
#[cfg(any(
    feature = "testing",
    all(test, any(feature = "broker", feature = "client", feature = "http1"))
))]
mod base_instant;
#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
pub mod broker;
#[cfg(any(feature = "broker", feature = "feed"))]
mod caught;
#[cfg(feature = "client")]
#[cfg_attr(docsrs, doc(cfg(feature = "client")))]
pub mod client;
#[cfg(feature = "cluster")]
#[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
pub mod cluster;
mod decode;
mod encode;
mod event;
mod event_key;
mod fault;
#[cfg(feature = "feed")]
#[cfg_attr(docsrs, doc(cfg(feature = "feed")))]
pub mod feed;
#[cfg(all(any(doc, doctest), feature = "feed", feature = "serve"))]
pub mod guide;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
#[cfg(feature = "http1")]
#[cfg_attr(docsrs, doc(cfg(feature = "http1")))]
pub mod http1;
#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
pub mod hub;
#[cfg(feature = "http")]
mod last_event_id;
#[cfg(feature = "messages")]
mod messages;
#[cfg(any(feature = "broker", feature = "client", feature = "http1"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "broker", feature = "client", feature = "http1"))))]
pub mod net;
#[cfg(any(feature = "broker", feature = "client"))]
mod notice;
#[cfg(any(feature = "broker", feature = "client", all(test, feature = "http1")))]
mod random;
#[cfg(feature = "record")]
#[cfg_attr(docsrs, doc(cfg(feature = "record")))]
pub mod record;
#[cfg(feature = "serve")]
#[cfg_attr(docsrs, doc(cfg(feature = "serve")))]
pub mod serve;
#[cfg(feature = "broker")]
mod sync;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
mod text;

pub use decode::{DecodeError, Decoder, Limits, Message, OwnedMessage, Step};
pub use encode::{Frame, Framing};
pub use event::{Event, EventId, EventType, FieldError};
pub use event_key::{EventKey, EventKeyError};
pub use fault::Fault;
#[cfg(feature = "feed")]
#[cfg_attr(docsrs, doc(cfg(feature = "feed")))]
pub use feed::{EventSource, Feed, FeedEvent, SourceEvent, Transport};
#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
pub use hub::Hub;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use last_event_id::{LastEventId, UnusableId};
#[cfg(feature = "messages")]
#[cfg_attr(docsrs, doc(cfg(feature = "messages")))]
pub use messages::{MessageError, Messages, messages};
#[cfg(any(feature = "broker", feature = "client", feature = "http1"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "broker", feature = "client", feature = "http1"))))]
pub use net::Timer;
#[cfg(any(feature = "broker", feature = "client"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "broker", feature = "client"))))]
pub use notice::{LossReason, Notice, RefusalReason};

/// The README's examples, compiled and run with the tests.
#[cfg(all(doctest, feature = "feed", feature = "serve"))]
#[doc = include_str!("../README.md")]
struct Readme;

//! Server-Sent Events, both sides, with no I/O inside.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
pub mod broker;
mod encode;
mod event;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
#[cfg(feature = "http1")]
#[cfg_attr(docsrs, doc(cfg(feature = "http1")))]
pub mod http1;
#[cfg(feature = "hub")]
#[cfg_attr(docsrs, doc(cfg(feature = "hub")))]
pub mod hub;
#[cfg(any(feature = "broker", feature = "http"))]
mod last_event_id;
#[cfg(feature = "hub")]
mod time;

pub use encode::Frame;
pub use event::{Event, EventId, EventType, FieldError};
#[cfg(any(feature = "broker", feature = "http"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "broker", feature = "http"))))]
pub use last_event_id::LastEventId;
#[cfg(feature = "hub")]
#[cfg_attr(docsrs, doc(cfg(feature = "hub")))]
pub use {hub::Hub, time::Timer};

//! Server-Sent Events, both sides, with no I/O inside.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "broker")]
pub mod broker;
mod encode;
mod event;
#[cfg(any(feature = "broker", feature = "http"))]
mod last_event_id;

pub use encode::Frame;
pub use event::{Event, EventId, EventType, FieldError};
#[cfg(any(feature = "broker", feature = "http"))]
pub use last_event_id::LastEventId;

//! Server-Sent Events, both sides, with no I/O inside.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod encode;
mod event;

pub use encode::Frame;
pub use event::{Event, EventId, EventType, FieldError};

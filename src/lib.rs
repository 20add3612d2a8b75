//! Server-Sent Events, both sides, with no I/O inside.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod decode;
mod encode;
mod event;

pub use decode::{DecodeError, Decoder, Limits, Message, OwnedMessage, Step};
pub use encode::Frame;
pub use event::{Event, EventId, EventType, FieldError};

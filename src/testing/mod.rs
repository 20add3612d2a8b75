//! What tests of an application need: time that passes when it is told to, and a reader of what a
//! session gets. A test of a handler then needs no clock, no socket and no runtime, and takes no
//! time.
//!
//! ```
//! use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig};
//! use sansse::net::Runtime;
//! use sansse::testing::{SessionReader, VirtualRuntime};
//! use sansse::{Event, Hub, hub::Answer};
//! use std::time::Duration;
//!
//! // What is to be tested.
//! async fn handler(hub: Hub, request: http::Request<()>) -> Answer {
//!     let answer = hub.accept(&request, SessionConfig::new());
//!     hub.publish(Audience::Everyone, &Event::new("somebody came")).unwrap();
//!     answer
//! }
//!
//! let runtime = VirtualRuntime::new();
//! let (hub, drive) = Hub::new(runtime.clone(), BrokerConfig::new(Epoch(1)))?;
//! runtime.spawn(drive);
//!
//! let request = http::Request::get("/events").body(())?;
//! let answer = runtime.run(handler(hub.clone(), request)).expect("it waits for nothing");
//! let (head, mut reader) = SessionReader::of(answer).expect("it is a stream");
//! assert_eq!(head.headers()["content-type"], "text/event-stream");
//! assert_eq!(reader.messages()[0].data, "somebody came");
//!
//! // Two heartbeats, in no time.
//! runtime.advance(Duration::from_secs(15));
//! assert_eq!(reader.comments().len(), 1);
//! runtime.advance(Duration::from_secs(15));
//! assert_eq!(reader.comments().len(), 1);
//!
//! hub.close();
//! assert!(reader.messages().is_empty() && reader.is_over());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The machines below need none of this: a [`Broker`](crate::broker::Broker) is a value, and time is
//! an argument of its methods. The client's side is tested with a
//! [`Transport`](crate::feed::Transport) of the test's own, and the same runtime.

mod reader;
mod runtime;

pub use reader::SessionReader;
pub use runtime::VirtualRuntime;

//! What was done to a broker, as text, from which the same can be done again.
//!
//! A broker draws no random numbers and reads no clock: its configuration and what is called, when,
//! decide all that it does. A [`RecordedBroker`] hands out one [`Entry`] for its configuration and
//! one for each call that can change it, and a [`Record`] of them, read back, does the same to a
//! new broker, with the same outputs, byte for byte. So a fault seen in production becomes a test.
//!
//! ```
//! use sansse::Event;
//! use sansse::record::{Output, Record, RecordedBroker};
//! use sansse::broker::{BrokerConfig, Epoch, SessionConfig, Audience, Transmit};
//! use std::fmt::Write;
//! use std::sync::{Arc, Mutex};
//! # let now = std::time::Instant::now();
//!
//! // In production it would go to a file, by way of a thread that writes.
//! let text = Arc::new(Mutex::new(String::new()));
//! let sink = text.clone();
//! let config = BrokerConfig::new(Epoch(0xbeef));
//! let mut broker = RecordedBroker::new(now, config, move |entry| {
//!     writeln!(sink.lock().unwrap(), "{entry}").unwrap();
//! })?;
//! let session = broker.open(now, SessionConfig::new())?.session;
//! while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
//! broker.publish(now, Audience::Everyone, &Event::new("hello"))?;
//! let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
//! let sent = frame.clone();
//!
//! // The test: all of it again, from the text.
//! let text = text.lock().unwrap().clone();
//! let mut outputs = Vec::new();
//! for step in Record::parse(text.as_bytes())?.replay(now)? {
//!     outputs.push(step?.output);
//! }
//! assert_eq!(outputs.last(), Some(&Output::Frame(sent)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is in a record
//!
//! One JSON object a line: first the version and the configuration, then the calls, each with its
//! number and its time in nanoseconds since the broker was made. Calls are told before they are
//! done, so that one that panics is the last of its record. `poll_ready`, `poll_event` and
//! `poll_wait` where there is nothing, and methods that take `&self`, change nothing and are not in it. Nor is the
//! metadata of clients, of any type of the application's, which a broker keeps and never looks at:
//! in a replay there is none.
//!
//! **A record holds everything that was published**, and who was there: client ids, addresses, last
//! event ids. It is to be kept as safe as those. The keys that sign ids (feature
//! `signed`) are not in it: they are to be given to [`Record`] before the replay.
//!
//! # Nodes of a realm
//!
//! A `Node` (feature `cluster`) is recorded in the same way, by a
//! `RecordedNode` into a `NodeRecord`: what was published, what the engine answered, and when. A
//! realm that went wrong in production is so done again without its engine.
//!
//! # Versions
//!
//! A library of the same [`VERSION`] can replay a record; another refuses it, since outputs would
//! not be the same. With the feature `record`, types that are in records implement serde's traits,
//! in the form that they have there, which may change with each version.

mod call;
mod error;
mod lines;
#[cfg(feature = "cluster")]
mod node;
mod read;
mod recorded;
mod table;
mod text;

pub use error::{RecordError, RecordErrorKind};
#[cfg(feature = "cluster")]
pub(crate) use node::bytes_as_text;
#[cfg(feature = "cluster")]
#[cfg_attr(docsrs, doc(cfg(feature = "cluster")))]
pub use node::{NodeInput, NodeOutput, NodeRecord, NodeReplay, NodeReplayStep, RecordedNode};
pub use read::{Output, Record, Replay, ReplayStep};
pub use recorded::RecordedBroker;

use crate::broker::BrokerConfig;
use alloc::boxed::Box;
use call::Call;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The version of the records that are written and read.
pub const VERSION: u32 = 5;

/// One line of a record. As text (by `Display`) it is JSON on one line, without the line end.
#[derive(Clone, Debug)]
pub struct Entry(Line);

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Line {
    Start(Box<Start>),
    Input(Box<Input>),
    #[cfg(feature = "cluster")]
    NodeStart(Box<node::Start>),
    #[cfg(feature = "cluster")]
    NodeInput(Box<NodeInput>),
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    sansse_record: u32,
    /// Whether the configuration has keys, which are not here.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    is_signed: bool,
    config: BrokerConfig,
}

/// A call of a broker, and when. As text (by `Display`) it is the line of the record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// From 1 on, so that one that is missing is noticed.
    number: u64,
    /// In nanoseconds.
    at: u64,
    call: Call,
}

impl Input {
    /// When, since the broker was made; for a call without a time, the latest before it.
    pub const fn at(&self) -> Duration {
        Duration::from_nanos(self.at)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_json(&self.0, f)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_json(self, f)
    }
}

fn write_json(value: &impl Serialize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Nothing that is in a record is without a form in JSON.
    f.write_str(&serde_json::to_string(value).map_err(|_| fmt::Error)?)
}

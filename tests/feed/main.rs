//! The client behind streams: tested without a runtime, without a socket and in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(all(feature = "feed", feature = "http1"))]

#[path = "../kit/mod.rs"]
mod kit;

mod command;
mod event_source;
mod fallback;
mod network;
mod proxy;
mod sharing;
mod tasks;
mod threads;
mod transport;

use bytes::Bytes;
use http::Request;
use kit::time::VirtualTimer;
use network::Network;
use sansse::client::ClientConfig;
use sansse::{EventSource, SourceEvent};
use std::time::Duration;
use tasks::Polled;

fn request() -> Request<Bytes> {
    Request::get("http://example.org/events").body(Bytes::new()).unwrap()
}

/// A client that has been polled as a new task is, and has sent its first request.
fn source_of(config: ClientConfig) -> (Polled<EventSource<Network>>, Network, VirtualTimer) {
    let (network, timer) = (Network::default(), VirtualTimer::new());
    let source = EventSource::new(network.clone(), timer.clone(), request(), config);
    let mut source = Polled::new(source);
    assert_eq!(source.drain(), []);
    (source, network, timer)
}

fn source() -> (Polled<EventSource<Network>>, Network, VirtualTimer) {
    source_of(ClientConfig::new(7))
}

/// The data of the messages among the events.
fn data(events: &[SourceEvent]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match event {
            SourceEvent::Message(message) => Some(message.data.as_str()),
            _ => None,
        })
        .collect()
}

fn nanosecond() -> Duration {
    Duration::from_nanos(1)
}

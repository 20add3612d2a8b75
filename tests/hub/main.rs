//! The hub: a broker behind futures, tested without a runtime, without a socket and in virtual
//! time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(feature = "broker")]

#[path = "../kit/mod.rs"]
mod kit;

mod accepting;
#[cfg(feature = "http-body")]
mod body;
mod counting;
mod draining;
mod driving;
mod ended;
mod ends;
mod following;
mod interleavings;
mod leases;
mod limits;
mod listening;
mod metadata;
mod panicking;
mod presence;
#[cfg(feature = "metrics")]
mod recorder;
#[cfg(feature = "record")]
mod recording;
mod refusing;
mod sessions;
mod sharding;
mod slow_peers;
mod stress;
mod tasks;
mod topics;
mod waiting;
mod wakes;

use kit::random::Random;
use kit::time::VirtualTimer;
use sansse::broker::{Audience, BrokerConfig, ClientId, Epoch, SessionConfig, TopicName};
use sansse::hub::{Drive, HubBuilder, Session};
use sansse::{Event, Frame, Hub, Notice};
use std::num::NonZeroU16;
use std::time::Duration;
use tasks::{Probe, next};

fn config() -> BrokerConfig {
    BrokerConfig::new(Epoch(0xbeef))
}

/// A hub for which no time passes.
fn hub_of(config: BrokerConfig) -> (Hub, VirtualTimer) {
    let (hub, drive, timer) = driven(config);
    stand_still(drive);
    (hub, timer)
}

/// Keeps a driver, or what holds it, for ever without polling it: no time passes for its hub.
fn stand_still<D>(drive: D) {
    std::mem::forget(drive);
}

fn driven(config: BrokerConfig) -> (Hub, Drive, VirtualTimer) {
    let timer = VirtualTimer::new();
    let (hub, drive) = Hub::new(timer.clone(), config).unwrap();
    (hub, drive, timer)
}

fn hub() -> Hub {
    hub_of(config()).0
}

fn sharded(config: BrokerConfig, shards: u16) -> HubBuilder {
    HubBuilder::new(config).with_shards(NonZeroU16::new(shards).unwrap())
}

/// For hubs for which no time passes.
trait BuildStill {
    fn build_still(self, timer: VirtualTimer) -> Hub;
}

impl BuildStill for HubBuilder {
    fn build_still(self, timer: VirtualTimer) -> Hub {
        let (hub, drive) = self.build(timer).unwrap();
        stand_still(drive);
        hub
    }
}

fn client(name: impl AsRef<str>) -> ClientId {
    ClientId::new(name).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn request_of(name: &str) -> SessionConfig {
    SessionConfig::new().with_client(client(name))
}

/// A client that lives on this shard of so many.
fn client_on(shard: u16, shards: u16) -> SessionConfig {
    let hub = sharded(config(), shards).build_still(VirtualTimer::new());
    let mut requests = (0..).map(|number| request_of(&format!("client {number}")));
    requests
        .find(|request| hub.open(request.clone()).unwrap().id().shard() == shard)
        .expect("clients are spread")
}

/// A session that has taken its first frame, which tells it its place, and waits.
fn parked(hub: &Hub, request: SessionConfig, probe: &Probe) -> Session {
    let mut session = hub.open(request).unwrap();
    drain(&mut session, probe);
    session
}

/// All that is pending for a session, until it waits or has ended.
fn drain(session: &mut Session, probe: &Probe) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let std::task::Poll::Ready(Some(frame)) = next(session, probe) {
        frames.push(frame);
    }
    frames
}

/// With what a stream begins: the usual reconnection time, and a notice with the id of this position,
/// in the epoch of [`config`].
fn told_at(position: u64, notice: Notice) -> String {
    let frame = Frame::new(&notice.to_event(&Notice::EVENT_TYPE));
    format!("retry: 3000\nid: beef-{position}\n{}", std::str::from_utf8(frame.as_ref()).unwrap())
}

/// The data of all frames that have some; notices are passed over.
fn data(frames: &[Frame]) -> Vec<String> {
    frames.iter().filter_map(data_of).collect()
}

fn data_of(frame: &Frame) -> Option<String> {
    let text = std::str::from_utf8(frame.as_ref()).unwrap();
    let is_event = |block: &&str| !block.contains("event: sansse-notice\n");
    let mut lines = text.split("\n\n").filter(is_event).flat_map(str::lines);
    lines.find_map(|line| line.strip_prefix("data: ")).map(str::to_owned)
}

fn say(hub: &Hub, text: impl Into<String>) {
    hub.publish(Audience::Everyone, &Event::new(text.into())).unwrap();
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

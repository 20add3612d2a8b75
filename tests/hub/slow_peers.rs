//! Keys, policies and bounds through the hub, on several shards.

use super::BuildStill;
use super::{Probe, VirtualTimer, config, next, sharded, told_at, topic};
use sansse::broker::{Lag, LagPolicy, SessionConfig};
use sansse::hub::Session;
use sansse::{Event, EventKey, Hub, Notice};
use std::task::Poll;

const SHARDS: u16 = 3;

fn publish(hub: &Hub, key: &str, data: &'static str) {
    let event = Event::new(data);
    let event = event.with_key(EventKey::new(key).unwrap());
    hub.publish(topic("prices"), &event).unwrap();
}

#[test]
fn a_topic_spares_sessions_that_are_behind_on_every_shard() {
    let hub = sharded(config(), SHARDS).build_still(VirtualTimer::new());
    let lag = Lag::new(LagPolicy::KeepNewestPerKey);
    hub.set_lag(&topic("prices"), Some(lag)).unwrap();
    let probe = Probe::new();
    let request = || SessionConfig::new().with_topic(topic("prices"));
    let mut sessions: Vec<_> = (0..2 * SHARDS).map(|_| hub.open(request()).unwrap()).collect();
    let frames = |session: &mut Session| {
        let mut frames = Vec::new();
        while let Poll::Ready(Some(frame)) = next(session, &probe) {
            frames.push(String::from_utf8(frame.as_ref().to_vec()).unwrap());
        }
        frames
    };
    for session in &mut sessions {
        assert_eq!(frames(session), [told_at(0, Notice::Live)]);
    }
    for (key, data) in [("gold", "gold 1"), ("tin", "tin 1"), ("gold", "gold 2")] {
        publish(&hub, key, data);
    }
    let expected = ["id: beef-2\ndata: tin 1\n\n", "id: beef-3\ndata: gold 2\n\n"];
    for session in &mut sessions {
        assert_eq!(frames(session), expected);
    }
}

//! Records of brokers: the same done again, byte for byte, and records that are not whole.
#![cfg(feature = "record")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../kit/mod.rs"]
mod kit;

mod damaged;
mod drawn;
#[cfg(feature = "cluster")]
mod nodes;
mod recording;
mod replay;
mod world;

use kit::broker::{Rng, config, secs, session_of};
use sansse::Event;
use sansse::broker::{Audience, Transmit};
use sansse::record::{Output, Record, RecordError};
use std::time::Instant;
use world::World;

#[expect(clippy::disallowed_methods, reason = "no other way to have a first `Instant`")]
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// A record of a session that gets an event, and what came out.
fn small() -> (String, Vec<Output>) {
    let mut world = World::new(config(), Rng::new(1));
    let opened = world.broker.open(start(), session_of("alice"));
    world.note(Output::Opened(opened));
    let published = world.broker.publish(start() + secs(1), Audience::Everyone, &Event::new("é"));
    world.note(Output::Published(published));
    let session = opened.unwrap().session;
    for _ in 0..2 {
        let output = match world.broker.poll_transmit(start() + secs(2), session) {
            Some(Transmit::Frame(frame)) => Output::Frame(frame.clone()),
            _ => panic!("two frames are pending"),
        };
        world.note(output);
    }
    (world.text(), world.outputs)
}

fn outputs_until_error(record: &[u8]) -> (Vec<Output>, Option<RecordError>) {
    let mut outputs = Vec::new();
    let replay = Record::parse(record).and_then(|record| record.replay(start()));
    match replay {
        Err(error) => return (outputs, Some(error)),
        Ok(mut replay) => {
            while let Some(step) = replay.next() {
                match step {
                    Ok(step) => outputs.push(step.output),
                    Err(error) => {
                        assert!(replay.next().is_none(), "nothing follows an error");
                        return (outputs, Some(error));
                    }
                }
            }
        }
    }
    (outputs, None)
}

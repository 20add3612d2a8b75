//! A broker and a naive model of it, under operations that are drawn from bytes.
#![allow(dead_code, reason = "each program uses its part")]

mod choices;
mod counters;
mod drain;
mod history;
mod lag;
mod lease;
mod limits;
mod model;
mod presence;
mod publish;
mod resume;
mod time;
mod topics;
mod transmit;
mod world;

use super::common;
pub(super) use history::History;
use world::World;

/// Does what the history says to a broker and to the model. Gives what came out.
pub(super) fn run(history: &History) -> Result<String, String> {
    let mut world = World::new(history.config.clone());
    for (number, step) in history.steps.iter().enumerate() {
        world
            .step(step)
            .and_then(|()| world.check_deadline())
            .map_err(|failure| format!("step {number}, {:?}: {failure}", step.op))?;
        if number % 8 == 0 {
            world.model.check_presence(&world.broker)?;
            world.model.check_counters(&world.broker)?;
        }
    }
    // At the end, everybody is served.
    world.serve()?;
    world.check_events()?;
    world.model.check_presence(&world.broker)?;
    world.model.check_counters(&world.broker)?;
    Ok(world.transcript)
}

//! A broker and a naive model of it, under operations that are drawn from bytes.
#![allow(dead_code, reason = "each program uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod ahead;
mod choices;
mod counters;
mod drain;
mod drawn;
mod history;
mod lag;
mod lease;
mod limits;
mod model;
mod names;
mod naming;
mod notice;
mod permission;
mod presence;
mod publish;
mod request;
mod resume;
mod shards;
mod signed;
mod time;
mod topics;
mod transmit;
mod waits;
mod watch;
mod world;

use super::kit::broker as kit;
pub(crate) use history::History;
use shards::Shards;

/// Does what the history says to a broker and to the model, or to several. Gives what came out.
pub(crate) fn run(history: &History) -> Result<String, String> {
    let mut shards = Shards::new(history);
    for (number, step) in history.steps.iter().enumerate() {
        shards
            .step(step)
            .and_then(|()| shards.check_deadline(step))
            .map_err(|failure| format!("step {number}, {:?}: {failure}", step.op))?;
        if number % 8 == 0 {
            shards.check()?;
        }
    }
    shards.finish()
}

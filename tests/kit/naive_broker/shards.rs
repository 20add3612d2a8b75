//! The shards of one stream: what is published gets its place in one order, and comes to each of
//! them in it, as late as it likes.

use super::history::{History, Op, Step};
use super::model::Content;
use super::naming::{event, keyed, own_id_text, topic_name};
use super::world::World;
use sansse::broker::*;
use std::collections::VecDeque;
use std::time::Duration;

/// What was published to all shards.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Event {
        published: Published,
        content: Content,
        own_id: Option<String>,
        key: Option<u64>,
        age: Duration,
    },
    End {
        published: Published,
        topic: TopicName,
    },
}

impl Said {
    pub(super) fn event(
        sequencer: &mut Sequencer,
        topic: Audience,
        content: &Content,
        own_id: Option<u64>,
        key: Option<u64>,
    ) -> Self {
        let own_id = own_id.map(own_id_text);
        let event = event(content, own_id.as_ref());
        let published = sequencer.publish(topic, &keyed(event, key));
        let age = Duration::ZERO;
        Self::Event { published, content: content.clone(), own_id, key, age }
    }

    /// Says that it is so old already.
    pub(super) fn aged(mut self, by: Duration) -> Self {
        if let Self::Event { age, .. } = &mut self {
            *age = by;
        }
        self
    }

    pub(super) fn end(sequencer: &mut Sequencer, topic: TopicName) -> Self {
        Self::End { published: sequencer.end_topic(topic.clone()), topic }
    }

    pub(super) const fn published(&self) -> &Published {
        match self {
            Self::Event { published, .. } | Self::End { published, .. } => published,
        }
    }
}

pub(super) struct Shards {
    /// Each with what it has not got yet.
    shards: Vec<(World, VecDeque<Said>)>,
    sequencer: Sequencer,
}

impl Shards {
    pub(super) fn new(history: &History) -> Self {
        let count = u16::try_from(history.shards).unwrap();
        let first = history.config.shard;
        let of = first.of().max((first.get() + count).try_into().unwrap());
        let shards: Vec<_> = (first.get()..first.get() + count)
            .map(|number| {
                let mut config = history.config.clone();
                config.shard = ShardNumber::new(number, of).unwrap();
                (World::new(config, history.secret), VecDeque::new())
            })
            .collect();
        let sequencer = shards[0].0.sequencer(0);
        Self { shards, sequencer }
    }

    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        let index = step.shard % self.shards.len();
        let is_alone = self.shards.len() == 1;
        let (world, _) = &mut self.shards[index];
        if is_alone {
            return world.step(step);
        }
        let said = match &step.op {
            Op::Publish { to, content, own_id, key }
            | Op::Apply { to, content, own_id, key, .. } => {
                let Some(topic) = world.topic(to) else { return Ok(()) };
                Said::event(&mut self.sequencer, topic, content, *own_id, *key)
            }
            Op::EndTopic { topic } | Op::ApplyEnd { topic, .. } => {
                Said::end(&mut self.sequencer, topic_name(*topic))
            }
            Op::CatchUp | Op::Skip { .. } | Op::Cut { .. } | Op::ApplyAged { .. } => {
                return self.catch_up(index, step);
            }
            Op::SetKeys { .. } => return self.set_keys(step),
            _ => return world.step(step),
        };
        for (_, coming) in &mut self.shards {
            coming.push_back(said.clone());
        }
        self.catch_up(index, step)
    }

    fn catch_up(&mut self, index: usize, step: &Step) -> Result<(), String> {
        let (world, coming) = &mut self.shards[index];
        coming.drain(..).try_for_each(|said| world.catch_up(step.late, &said))
    }

    /// All of them change their keys between the same two events.
    fn set_keys(&mut self, step: &Step) -> Result<(), String> {
        for index in 0..self.shards.len() {
            self.catch_up(index, step)?;
            self.shards[index].0.step(step)?;
        }
        self.sequencer = self.shards[0].0.sequencer(self.sequencer.last());
        Ok(())
    }

    /// A driver of the shard that slept until its deadline would miss nothing.
    pub(super) fn check_deadline(&mut self, step: &Step) -> Result<(), String> {
        let index = step.shard % self.shards.len();
        self.shards[index].0.check_deadline()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.shards.iter().try_for_each(|(world, _)| {
            world.model.check_presence(&world.broker)?;
            world.model.check_counters(&world.broker)
        })
    }

    /// At the end, everybody is served, and all is over. Gives what came out.
    pub(super) fn finish(mut self) -> Result<String, String> {
        let mut transcript = String::new();
        for (mut world, coming) in self.shards.drain(..) {
            coming.iter().try_for_each(|said| world.catch_up(0, said))?;
            world.serve()?;
            world.check_events()?;
            world.model.check_presence(&world.broker)?;
            world.model.check_counters(&world.broker)?;
            world.finish()?;
            transcript += &world.transcript;
        }
        Ok(transcript)
    }
}

//! Where replay meets live: no hole and no duplicate, whenever a session leaves and comes back,
//! whatever it was polled for, and on whichever shard.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, LastEventId};
use std::num::NonZeroU16;

const SHARDS: u16 = 2;
const EVENTS: usize = 3;
/// Before the first event, between them, and after the last.
const POINTS: usize = EVENTS + 1;

/// What is done about a session at one point.
#[derive(Clone, Copy, Debug)]
enum Poll {
    No,
    OneFrame,
    AllFrames,
    /// A batch, of which the peer gets half; the rest is written at the next point or lost.
    HalfABatch,
}

const POLLS: [Poll; 4] = [Poll::No, Poll::OneFrame, Poll::AllFrames, Poll::HalfABatch];

/// One way in which it can go.
#[derive(Debug)]
struct Story {
    opened: usize,
    lost: usize,
    back: usize,
    first_shard: usize,
    second_shard: usize,
    topics: [Option<TopicName>; EVENTS],
    polls: [Poll; POINTS],
}

fn settings(shard: u16) -> BrokerConfig {
    let mut config = config();
    config.shard = ShardNumber::new(shard, NonZeroU16::MAX).unwrap();
    #[cfg(feature = "signed")]
    {
        config.cursor_keys = Some(CursorKeys::new(&[3; 32]).unwrap());
    }
    config
}

fn sequencer() -> Sequencer {
    #[cfg_attr(not(feature = "signed"), expect(unused_mut, reason = "nothing to set"))]
    let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    #[cfg(feature = "signed")]
    sequencer.set_cursor_keys(CursorKeys::new(&[3; 32]).unwrap());
    sequencer
}

/// A reader with a connection, or without one.
#[derive(Default)]
struct Reader {
    session: Option<SessionId>,
    /// What was given back by a write and is to be written first.
    unwritten: Vec<u8>,
    received: Vec<u8>,
    data: Vec<String>,
    last_id: Option<String>,
}

impl Reader {
    fn request(&self) -> SessionConfig {
        let request = anyone().with_topic(topic("news"));
        match &self.last_id {
            Some(last) => request.with_last_event_id(LastEventId::Id(id(last))),
            None => request,
        }
    }

    fn open(&mut self, shard: &mut Shard) {
        let opened = shard.broker.open(shard.now, self.request()).unwrap();
        let expected = match &self.last_id {
            Some(_) => matches!(opened.resumption, Resumption::Complete { .. }),
            None => opened.resumption == Resumption::Live,
        };
        assert!(expected, "{:?} after {:?}", opened.resumption, self.last_id);
        self.session = Some(opened.session);
    }

    fn lose(&mut self, shard: &mut Shard) {
        let Some(session) = self.session.take() else { return };
        shard.broker.handle_disconnect(shard.now, session);
        self.unwritten.clear();
        // What was cut off in the middle is not an event.
        self.received.clear();
    }

    fn poll(&mut self, shard: &mut Shard, poll: Poll) {
        let Some(session) = self.session else { return };
        if !matches!(poll, Poll::No) {
            let rest = core::mem::take(&mut self.unwritten);
            self.take(&rest);
        }
        match poll {
            Poll::No => {}
            Poll::OneFrame => {
                let frame = shard.next(session).unwrap_or_default();
                self.take(frame.as_bytes());
            }
            Poll::AllFrames => {
                for frame in shard.take(session) {
                    self.take(frame.as_bytes());
                }
            }
            Poll::HalfABatch => {
                let (batch, _) = shard.batch(session, 1 << 16, Framing::Plain);
                let half = batch.len() / 2;
                self.take(&batch.as_slice()[..half]);
                let rest = shard.broker.handle_partial_write(shard.now, session, &batch, half);
                self.unwritten = rest.to_vec();
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        while let Some(end) = self.received.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.received.drain(..end + 2).collect();
            let block = text(&block);
            let is_notice = block.contains("event: sansse-notice\n");
            for line in block.lines() {
                if let Some(id) = line.strip_prefix("id: ") {
                    self.last_id = Some(id.to_owned());
                } else if let Some(data) = line.strip_prefix("data: ").filter(|_| !is_notice) {
                    self.data.push(data.to_owned());
                }
            }
        }
    }
}

fn run(story: &Story) {
    let mut shards: Vec<Shard> = (0..SHARDS).map(|shard| Shard::new(settings(shard))).collect();
    let mut sequencer = sequencer();
    let mut reader = Reader::default();
    // A reader that has learnt no place yet has missed nothing that it could know of.
    let mut from = None;
    let mut on = story.first_shard;
    for point in 0..POINTS {
        if point == story.opened {
            reader.open(&mut shards[on]);
        }
        if point == story.lost {
            reader.lose(&mut shards[on]);
        }
        if point == story.back {
            on = story.second_shard;
            if reader.last_id.is_none() {
                from = Some(point);
            }
            reader.open(&mut shards[on]);
        }
        reader.poll(&mut shards[on], story.polls[point]);
        if let Some(topic) = story.topics.get(point) {
            let topic = topic.clone().map_or(Audience::Everyone, Audience::from);
            let published = sequencer.publish(topic, &Event::new(point.to_string()));
            for shard in &mut shards {
                shard.broker.shard_mut().apply(shard.now, &published).unwrap();
            }
        }
    }
    reader.poll(&mut shards[on], Poll::AllFrames);
    // The naive truth: everything that it listens to, from when it was there.
    let expected: Vec<String> = (from.unwrap_or(story.opened)..EVENTS)
        .filter(|&event| story.topics[event].as_ref().is_none_or(|name| *name == topic("news")))
        .map(|event| event.to_string())
        .collect();
    assert_eq!(reader.data, expected, "{story:?}");
}

#[test]
fn a_session_that_comes_back_has_everything_once_whenever_it_left() {
    let topics = [None, Some(topic("news")), Some(topic("other"))];
    let mut runs = 0;
    for polls in 0..POLLS.len().pow(u32::try_from(POINTS).unwrap()) {
        let polls = core::array::from_fn(|point| {
            POLLS[polls / POLLS.len().pow(u32::try_from(point).unwrap()) % POLLS.len()]
        });
        // Each way to leave and come back, and each pair of shards, with topics that differ.
        for opened in 0..POINTS {
            for lost in opened..POINTS {
                for back in lost..POINTS {
                    for shards in 0..4 {
                        runs += 1;
                        let topics = core::array::from_fn(|event| {
                            topics[(runs / 3_usize.pow(u32::try_from(event).unwrap())) % 3].clone()
                        });
                        let (first_shard, second_shard) = (shards / 2, shards % 2);
                        run(&Story {
                            opened,
                            lost,
                            back,
                            first_shard,
                            second_shard,
                            topics,
                            polls,
                        });
                    }
                }
            }
        }
    }
    assert_eq!(runs, 256 * 20 * 4);
}

#[test]
fn a_shard_that_is_behind_says_so_and_leaves_no_hole() {
    for seen in 0..=EVENTS as u64 {
        for applied in 0..=EVENTS as u64 {
            let mut sequencer = sequencer();
            let published: Vec<Published> = (1..=EVENTS as u64)
                .map(|number| {
                    sequencer.publish(Audience::Everyone, &Event::new(number.to_string()))
                })
                .collect();
            let mut first = Shard::new(settings(0));
            let mut second = Shard::new(settings(1));
            let mut reader = Reader::default();
            reader.open(&mut first);
            reader.poll(&mut first, Poll::AllFrames);
            for (position, published) in (1..).zip(&published) {
                if position <= seen {
                    first.broker.shard_mut().apply(first.now, published).unwrap();
                }
                if position <= applied {
                    second.broker.shard_mut().apply(second.now, published).unwrap();
                }
            }
            reader.poll(&mut first, Poll::AllFrames);
            reader.lose(&mut first);
            let opened = second.broker.open(second.now, reader.request()).unwrap();
            if seen > applied {
                assert_eq!(opened.resumption, Resumption::Ahead { replayed: 0 });
            } else {
                assert_eq!(opened.resumption, Resumption::Complete { replayed: applied - seen });
            }
            reader.session = Some(opened.session);
            for published in &published[usize::try_from(applied).unwrap()..] {
                second.broker.shard_mut().apply(second.now, published).unwrap();
            }
            reader.poll(&mut second, Poll::AllFrames);
            let mut had: Vec<String> = reader.data.clone();
            had.sort_unstable();
            had.dedup();
            let all: Vec<String> = (1..=EVENTS).map(|number| number.to_string()).collect();
            assert_eq!(had, all, "{seen} seen, {applied} applied");
            assert!(
                opened.resumption.may_miss() || reader.data == all,
                "each once unless it is told"
            );
        }
    }
}

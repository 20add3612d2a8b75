//! What a request costs: how many bytes are sent for it, by what it brings.

use crate::kit::broker::*;
#[cfg(feature = "signed")]
use sansse::EventId;
use sansse::broker::*;
use sansse::{Event, LastEventId};

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
const ONE: usize = 1_000;

/// How many bytes a stream may begin with for a request that gets no replay: a notice with its id.
const OPENING: usize = 256;

/// A shard whose logs are as full as they are by default: four topics and the broadcast, 4 MiB
/// each.
fn full(config: BrokerConfig) -> Shard {
    let mut shard = Shard::new(config);
    let data = "x".repeat(ONE);
    for _ in 0..4_400 {
        for name in TOPICS {
            shard.broker.publish(shard.now, topic(name), &Event::new(data.clone())).unwrap();
        }
        shard.broker.publish(shard.now, Audience::Everyone, &Event::new(data.clone())).unwrap();
    }
    shard
}

/// How many bytes such a session is sent, until it has no more.
fn price(shard: &mut Shard, config: SessionConfig) -> usize {
    let config = TOPICS.iter().fold(config, |config, name| config.with_topic(topic(name)));
    let session = shard.broker.open(shard.now, config).unwrap().session;
    let mut batch = Batch::new(Framing::Plain);
    let mut bytes = 0;
    loop {
        let filled = shard.broker.poll_transmit_batch(shard.now, session, 1 << 20, &mut batch);
        bytes += batch.len();
        batch.reset(Framing::Plain);
        if filled != Filled::More {
            break;
        }
    }
    shard.broker.handle_disconnect(shard.now, session);
    shard.events();
    bytes
}

#[test]
fn an_id_that_leads_nowhere_costs_no_more_than_none() {
    let mut shard = full(config());
    let newcomer = price(&mut shard, anyone());
    assert!(newcomer <= OPENING, "{newcomer}");
    let long = "7".repeat(2_000);
    let nowhere = [
        "nonsense",
        "e-01",
        "d-1",
        "0-0",
        "e-99999999",
        "e-18446744073709551615",
        "\u{1f980}",
        &long,
    ];
    for id in nowhere {
        let last = LastEventId::from_header(id.as_bytes());
        let bytes = price(&mut shard, anyone().with_last_event_id(last.clone()));
        assert!(bytes <= OPENING, "{id:?} costs {bytes} bytes");
        // As much as it asks for who brings none.
        let start = || anyone().with_start(StartAt::Last(10));
        let without = price(&mut shard, start());
        let with = price(&mut shard, start().with_last_event_id(last));
        assert!(with.abs_diff(without) <= OPENING, "{id:?}: {with} bytes, {without} without");
    }
    let malformed = anyone().with_last_event_id(LastEventId::Malformed);
    assert!(price(&mut shard, malformed) <= OPENING);
}

#[test]
fn an_id_of_this_stream_costs_no_more_than_its_topics_keep() {
    let mut shard = full(config());
    let kept = retained_bytes(&shard.broker);
    assert!(kept <= 5 * (4 << 20) && kept > 4 * (4 << 20), "{kept}");
    let bytes = price(&mut shard, after("e-1"));
    assert!(bytes <= kept + OPENING && bytes > kept * 9 / 10, "{bytes} of {kept}");
    // And no more than came after it.
    let near = price(&mut shard, after("e-21995"));
    assert!(near <= 5 * (ONE + 100) + OPENING, "{near}");
    // Or nothing, where what lies beyond a gap is not wanted.
    let mut config = config();
    config.session.on_gap = OnGap::StartNow;
    let mut shard = full(config);
    let bytes = price(&mut shard, after("e-1"));
    assert!(bytes <= OPENING, "{bytes}");
}

#[cfg(feature = "signed")]
#[test]
fn where_ids_are_signed_a_place_that_was_made_up_costs_no_more_than_none() {
    let mut config = config();
    config.cursor_keys = Some(CursorKeys::new(&[7; 32]).unwrap());
    let mut shard = full(config);
    for text in ["e-1", "e-1-AAAAAAAAAAAAAAAAAAAAAA", "d-1", "nonsense"] {
        let bytes = price(&mut shard, after(text));
        assert!(bytes <= OPENING, "{text}: {bytes}");
    }
    let id: EventId = {
        let session = shard.open(anyone());
        let opening = shard.next(session).unwrap();
        id(opening.lines().find_map(|line| line.strip_prefix("id: ")).unwrap())
    };
    shard.broadcast("later");
    let bytes = price(&mut shard, after(id.as_str()));
    assert!(bytes <= OPENING + 100, "what came after it: {bytes}");
}

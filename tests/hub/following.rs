//! A hub that follows the log of an engine outside, page by page.

use super::tasks::Probe;
use super::{BuildStill, VirtualTimer};
use super::{client, client_on, config, data, drain, parked, sharded};
use sansse::broker::{
    Audience, Epoch, EventIds, LogStep, PublishError, Resumption, Sequencer, SessionConfig,
};
use sansse::{Event, LastEventId};
use std::time::Duration;

fn placed(position: u64, audience: Audience, data: &'static str) -> LogStep {
    let mut sequencer = Sequencer::new(Epoch(0xbeef), position - 1, EventIds::Assigned);
    let published = sequencer.publish(audience, &Event::new(data));
    LogStep::Publish { published, age: Duration::ZERO }
}

fn everyone(position: u64, data: &'static str) -> LogStep {
    placed(position, Audience::Everyone, data)
}

#[test]
fn a_page_reaches_the_sessions_of_all_shards_and_wakes_each_of_them_once() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let probes: Vec<Probe> = (0..3).map(|_| Probe::new()).collect();
    let mut sessions: Vec<_> = (0..3)
        .zip(&probes)
        .map(|(shard, probe)| parked(&hub, client_on(shard, 3), probe))
        .collect();
    hub.apply_all(&[everyone(1, "a"), LogStep::Skip { through: 5 }, everyone(6, "b")]).unwrap();
    for (session, probe) in sessions.iter_mut().zip(&probes) {
        assert_eq!(probe.take_wakes(), 1);
        assert_eq!(data(&drain(session, probe)), ["a", "b"]);
    }
    let again =
        hub.open(SessionConfig::new().with_last_event_id(LastEventId::from_header(b"beef-3")));
    assert_eq!(again.unwrap().resumption(), Resumption::Complete { replayed: 1 });
    assert_eq!(hub.counters().published, 2);
}

#[test]
fn what_is_for_one_client_is_kept_on_its_shard_and_passes_on_the_others() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let name = client("ann");
    let mut its = parked(&hub, SessionConfig::new().with_client(name.clone()), &probe);
    let elsewhere = (its.id().shard() + 1) % 3;
    let mut other = parked(&hub, client_on(elsewhere, 3), &probe);
    hub.apply_all(&[placed(1, name.clone().into(), "for one"), everyone(2, "for all")]).unwrap();
    assert_eq!(data(&drain(&mut its, &probe)), ["for one", "for all"]);
    assert_eq!(data(&drain(&mut other, &probe)), ["for all"]);
    hub.apply_all(&[LogStep::Revoke { position: 3, client: name.clone() }]).unwrap();
    assert_eq!(hub.sessions_of(&name), Some(0));
    assert_eq!(hub.sessions_of(&client("nobody")), None);
    hub.apply_all(&[everyone(4, "after")]).unwrap();
    assert!(data(&drain(&mut its, &probe)).is_empty());
    assert_eq!(data(&drain(&mut other, &probe)), ["after"]);
}

#[test]
fn a_page_that_is_out_of_order_or_of_another_stream_does_nothing_on_any_shard() {
    let hub = sharded(config(), 2).build_still(VirtualTimer::new());
    let probe = Probe::new();
    let mut session = parked(&hub, client_on(1, 2), &probe);
    hub.apply_all(&[everyone(1, "a")]).unwrap();
    let last = |last| Err(PublishError::OutOfOrder { last });
    assert_eq!(hub.apply_all(&[everyone(1, "again")]), last(1));
    assert_eq!(hub.apply_all(&[everyone(2, "b"), everyone(2, "twice")]), last(2));
    let foreign = Sequencer::new(Epoch(1), 4, EventIds::Assigned)
        .publish(Audience::Everyone, &Event::new("c"));
    let foreign = LogStep::Publish { published: foreign, age: Duration::ZERO };
    assert_eq!(hub.apply_all(&[everyone(2, "b"), foreign]), Err(PublishError::OtherEpoch));
    assert_eq!(hub.apply_all(&[]), Ok(()));
    hub.apply_all(&[everyone(2, "b")]).unwrap();
    assert_eq!(data(&drain(&mut session, &probe)), ["a", "b"]);
    hub.close();
    assert_eq!(hub.apply_all(&[everyone(3, "c")]), Err(PublishError::Closed));
}

#[test]
fn a_hub_counts_a_cut_once_however_many_shards_it_has() {
    let hub = sharded(config(), 3).build_still(VirtualTimer::new());
    hub.apply_all(&[LogStep::Cut { through: 7 }]).unwrap();
    assert_eq!(hub.counters().cuts, 1);
}

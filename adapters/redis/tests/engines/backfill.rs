//! Readers that are older than a node's memory, for which a real server is read beside all else.

use crate::ALL;
use crate::engine::{Engine, Kind};
use crate::node::{EPOCH, log};
use sansse::broker::{Audience, BrokerConfig, SessionConfig};
use sansse::cluster::{NodeConfig, NodeId, Realm};
use sansse::hub::HubBuilder;
use sansse::testing::SessionReader;
use sansse::{Event, LastEventId, Notice};
use sansse_tokio::{TokioRuntime, spawn_hub};
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

on_each_engine! {
    readers_older_than_memory_get_everything_while_others_publish
}

const OLD: usize = 2_000;
const NEW: usize = 200;

async fn readers_older_than_memory_get_everything_while_others_publish(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut config = BrokerConfig::new(EPOCH);
    config.retention.events = NonZeroUsize::new(NEW).unwrap();
    let hub = spawn_hub(HubBuilder::new(config)).unwrap();
    let node = NodeConfig::new(NodeId(1), 7);
    let realm = Realm::join(hub.clone(), log(&engine.url()), node, &TokioRuntime).unwrap();
    assert!(realm.ready().await);
    let mut first = 0;
    for number in 0..OLD {
        // So large that they are several pages.
        let event = Event::new(format!("{number} {}", "x".repeat(500)));
        let position = realm.publish(Audience::Everyone, &event).await.unwrap();
        if number == 0 {
            first = position;
        }
    }
    let id = format!("{:x}-{first}", EPOCH.0);
    let config = SessionConfig::new().with_last_event_id(LastEventId::from_header(id.as_bytes()));
    let mut readers: Vec<_> =
        (0..100).map(|_| SessionReader::new(hub.open(config.clone()).unwrap())).collect();
    assert_eq!(hub.counters().waiting, 100);
    for number in OLD..OLD + NEW / 2 {
        realm.publish(Audience::Everyone, &Event::new(format!("{number} "))).await.unwrap();
    }
    let began = Instant::now();
    for reader in &mut readers {
        let mut numbers: Vec<usize> = Vec::new();
        while numbers.len() < OLD + NEW / 2 - 1 {
            let number = |text: &str| text.split(' ').next().unwrap().parse::<usize>().unwrap();
            numbers.extend(reader.messages().iter().map(|message| number(&message.data)));
            assert!(began.elapsed() < ALL, "{} came", numbers.len());
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(numbers, (1..OLD + NEW / 2).collect::<Vec<_>>());
        let notices = reader.notices();
        assert!(matches!(notices[..], [Notice::Complete { .. }]), "{notices:?}");
    }
    let counters = realm.backfilled();
    assert_eq!((counters.sessions, counters.failed), (100, 0));
    assert!((3..20).contains(&counters.reads), "{counters:?}");
    realm.shut_down().await;
}

//! A hub that keeps its stream in a store, over the lives of its process.

use super::kit::{place, run};
use futures_util::future::join_all;
use sansse::broker::{Audience, BrokerConfig, Resumption, SessionConfig};
use sansse::cluster::{NodeConfig, Realm};
use sansse::hub::HubBuilder;
use sansse::testing::SessionReader;
use sansse::{Event, Hub};
use sansse::{LastEventId, Notice};
use sansse_redb::{RedbLog, RedbLogConfig};
use sansse_smol::SmolRuntime;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// One life of a process.
pub(crate) struct Life {
    hub: Hub,
    pub(crate) realm: Realm,
    log: RedbLog,
}

pub(crate) async fn begin(path: &Path) -> Life {
    let log = RedbLog::open(RedbLogConfig::new(path)).unwrap();
    let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
    let builder = HubBuilder::new(BrokerConfig::new(log.epoch()));
    let hub = sansse_smol::spawn_hub(&runtime, builder).unwrap();
    let node = NodeConfig::new(log.node(), 1);
    let realm = Realm::join(hub.clone(), log.clone(), node, &runtime).unwrap();
    assert!(realm.ready().await);
    Life { hub, realm, log }
}

impl Life {
    /// Publishes these from as many publishers at once.
    async fn publish(&self, numbers: Range<u32>) {
        let events: Vec<_> = numbers.map(|number| Event::new(number.to_string())).collect();
        let all = events.iter().map(|event| self.realm.publish(Audience::Everyone, event));
        for published in join_all(all).await {
            published.unwrap();
        }
    }

    pub(crate) fn open(&self, id: &str) -> (Resumption, SessionReader) {
        let last = LastEventId::from_header(id.as_bytes());
        let session = self.hub.open(SessionConfig::new().with_last_event_id(last)).unwrap();
        (session.resumption(), SessionReader::new(session))
    }
}

async fn read(reader: &mut SessionReader, count: usize) -> Vec<String> {
    let mut read = Vec::new();
    while read.len() < count {
        read.extend(reader.messages().into_iter().map(|message| message.data));
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    read
}

fn words(numbers: Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn a_page_that_comes_back_after_a_kill_has_every_event_once_and_is_told_that_it_is_complete() {
    let place = place();
    run(async {
        let life = begin(&place.path).await;
        let (resumption, mut reader) = life.open("");
        assert_eq!(resumption, Resumption::Live);
        life.publish(0..300).await;
        assert_eq!(read(&mut reader, 300).await, words(0..300));
        let id = reader.last_event_id().to_owned();
        life.publish(300..500).await;
        // The file as a kill would leave it at this moment.
        let killed = place.path.with_extension("killed");
        fs::copy(&place.path, &killed).unwrap();

        let life = begin(&killed).await;
        let (resumption, mut reader) = life.open(&id);
        assert_eq!(resumption, Resumption::Complete { replayed: 200 });
        life.publish(500..510).await;
        assert_eq!(read(&mut reader, 210).await, words(300..510));
        // In good order this time.
        let id = reader.last_event_id().to_owned();
        life.realm.shut_down().await;
        life.log.close().await;
        let life = begin(&killed).await;
        let (resumption, _) = life.open(&id);
        assert_eq!(resumption, Resumption::Complete { replayed: 0 });
    });
}

#[test]
fn a_page_that_is_older_than_memory_gets_the_rest_from_the_file_and_is_told_that_it_is_complete() {
    let place = place();
    run(async {
        let life = begin(&place.path).await;
        let (_, mut reader) = life.open("");
        life.publish(0..1).await;
        assert_eq!(read(&mut reader, 1).await, words(0..1));
        let id = reader.last_event_id().to_owned();
        drop(reader);
        // More than a broker keeps of one topic.
        for start in (1..9_001).step_by(1_000) {
            life.publish(start..start + 1_000).await;
        }
        let (resumption, mut reader) = life.open(&id);
        assert_eq!(resumption, Resumption::Waiting);
        assert_eq!(read(&mut reader, 9_000).await, words(1..9_001));
        assert_eq!(reader.notices(), [Notice::Complete { replayed: 9_000 }]);
        assert_eq!(life.realm.backfilled().failed, 0);
    });
}

//! Who is present on the nodes of a realm in a real server, also where that loses all that it has.

use crate::ALL;
use crate::engine::{Engine, Kind};
use crate::node::{EPOCH, log};
use sansse::broker::{BrokerConfig, ClientId, SessionConfig};
use sansse::cluster::{NodeConfig, NodeId, PresenceConfig, Realm, RealmConfig, RealmPresence};
use sansse::hub::{HubBuilder, Session};
use sansse_tokio::spawn_hub;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

on_each_engine! {
    nodes_know_who_is_there_also_when_the_server_loses_all_and_when_a_node_dies
}

struct Member {
    realm: Realm,
    presence: RealmPresence,
    driver: JoinHandle<()>,
}

impl Member {
    async fn join(id: u128, url: &str) -> Self {
        let mut config = PresenceConfig::new();
        // So that the test does not take a minute.
        (config.lease, config.renew) = (Duration::from_secs(6), Duration::from_secs(1));
        config.grace = Duration::from_secs(1);
        let presence = RealmPresence::new(config);
        let builder = HubBuilder::new(BrokerConfig::new(EPOCH)).on_event(presence.listener());
        let hub = spawn_hub(builder).unwrap();
        let config = RealmConfig::new(NodeConfig::new(NodeId(id), 7)).with_presence(&presence);
        let (realm, drive) = Realm::new(hub, log(url), config).unwrap();
        let driver = tokio::spawn(drive);
        assert!(realm.ready().await);
        Self { realm, presence, driver }
    }

    fn open(&self, name: &str) -> Session {
        let client = ClientId::new(name).unwrap();
        self.realm.hub().open(SessionConfig::new().with_client(client)).unwrap()
    }

    async fn knows(&self, expected: &[(&str, usize)]) {
        let began = Instant::now();
        loop {
            let here = self.presence.clients(None, 10);
            let here: Vec<_> = here.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            if here == expected {
                return;
            }
            assert!(began.elapsed() < ALL, "{here:?} is known, not {expected:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn nodes_know_who_is_there_also_when_the_server_loses_all_and_when_a_node_dies(kind: Kind) {
    let mut engine = Engine::start(kind, &[]);
    let (one, other) = (Member::join(1, &engine.url()).await, Member::join(2, &engine.url()).await);
    let _stay = [one.open("ann"), other.open("ann"), other.open("bob")];
    for member in [&one, &other] {
        member.knows(&[("ann", 2), ("bob", 1)]).await;
    }
    // It begins again with nothing, and who comes meanwhile is known afterwards.
    engine.kill();
    let _came = one.open("cid");
    engine.start_again();
    for member in [&one, &other] {
        member.knows(&[("ann", 2), ("bob", 1), ("cid", 1)]).await;
    }
    let late = Member::join(3, &engine.url()).await;
    late.knows(&[("ann", 2), ("bob", 1), ("cid", 1)]).await;
    other.driver.abort();
    for member in [&one, &late] {
        member.knows(&[("ann", 1), ("cid", 1)]).await;
    }
    late.realm.shut_down().await;
}

//! A master that Sentinels know, and its successor.

use crate::engine::{Engine, Kind};
use crate::node::{EPOCH, Node, TokioLog, Witness, is_whole, log_with};
use crate::{ALL, PATIENCE};
use resp_rs::resp2::Frame;
use sansse::Event;
use sansse::broker::{Audience, BrokerConfig};
use sansse::cluster::{
    Append, Appended, Content, Head, Hello, Log, LogError, LogErrorKind, NodeConfig, NodeHealth,
    NodeId, Page, Read, Realm,
};
use sansse::hub::HubBuilder;
use sansse_redis::RedisLogConfig;
use sansse_tokio::{TokioRuntime, spawn_hub};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::sleep;

on_each_engine! {
    a_stopped_master_is_followed_by_its_replica
    an_unknown_master_and_absent_sentinels_are_told_apart
    a_master_goes_on_while_its_sentinels_are_away
    a_hello_that_is_given_up_for_a_sentinel_that_hangs_begins_with_the_next_one
    a_head_asks_the_next_sentinel_where_one_hangs
    a_sentinel_that_hangs_takes_no_node_down
    sentinels_have_passwords_of_their_own
}

/// A Sentinel that decides alone, and quickly.
fn sentinel(kind: Kind, master: &Engine, more: &str) -> Engine {
    let port = master.port;
    let configuration = format!(
        "sentinel monitor mymaster 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds mymaster 1000\n\
         sentinel failover-timeout mymaster 20000\n{more}\n"
    );
    Engine::sentinel(kind, &configuration)
}

fn node(id: u128, url: &str, witness: &Witness) -> Node {
    // The node's deadlines, which are shorter than those of the library.
    let short = Duration::from_millis(700);
    let config = RedisLogConfig::from_url(url).unwrap();
    Node::with(id, log_with(config.with_answer_time(short).with_connect_time(short)), witness)
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < ALL, "not in {ALL:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn a_stopped_master_is_followed_by_its_replica(kind: Kind) {
    let (master, replica) = (Engine::start(kind, &[]), Engine::start(kind, &[]));
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let sentinel = sentinel(kind, &master, "");
    until("the Sentinel knows the replica", || {
        let replicas = sentinel.command(&["SENTINEL", "replicas", "mymaster"]);
        replicas.as_array().is_some_and(|replicas| replicas.len() == 1)
    })
    .await;
    let witness = Witness::default();
    let absent = crate::engine::free_port();
    let url = format!("redis+sentinel://127.0.0.1:{absent},127.0.0.1:{}/mymaster", sentinel.port);
    let mut nodes = [node(1, &url, &witness), node(2, &url, &witness)];
    for node in &mut nodes {
        node.hello_at_last().await;
        for number in 0..10 {
            node.append_at_last(2, &format!("{number} of {}", node.id)).await;
        }
    }
    until("the replica has all", || replica.command(&["XLEN", "{realm}:l"]) == Frame::Integer(21))
        .await;
    // A node that knows the old master alone, and does not look.
    let mut late = Node::new(3, &master.url(), &witness);
    late.hello_at_last().await;

    master.pause();
    let began = Instant::now();
    for node in &mut nodes {
        node.append_at_last(1, &format!("after, {}", node.id)).await;
    }
    println!("{kind:?}: appended {:?} after the master was stopped", began.elapsed());
    // Until a Sentinel has told it otherwise, the old one takes itself for a master.
    master.go_on();
    let _ = late.append(1, "to the old master").await;
    until("the old master follows", || {
        let role = master.client().try_ask(&["ROLE"]);
        role.is_some_and(|role| role.as_array().unwrap()[0].as_str() == Some("slave"))
    })
    .await;
    assert!(late.log.head().await.is_err());
    assert_eq!(late.hello().await.unwrap_err().kind(), LogErrorKind::NotReady);
    for node in &mut nodes {
        node.hello_at_last().await;
        let entries = node.read_all().await;
        assert!(is_whole(0, &entries), "the replica had everything");
        let cuts = entries.iter().filter(|entry| entry.content == Content::Cut).count();
        assert_eq!(cuts, 2, "the first one, and that of the new master");
        assert_eq!(entries.len(), 24);
    }
}

async fn an_unknown_master_and_absent_sentinels_are_told_apart(kind: Kind) {
    let master = Engine::start(kind, &[]);
    let sentinel = sentinel(kind, &master, "");
    let error = async |url: String| {
        Node::new(1, &url, &Witness::default()).hello().await.unwrap_err().kind()
    };
    let at = format!("127.0.0.1:{}", sentinel.port);
    assert_eq!(error(format!("redis+sentinel://{at}/other")).await, LogErrorKind::NotReady);
    let nobody = format!("redis+sentinel://127.0.0.1:{}/mymaster", crate::engine::free_port());
    assert_eq!(error(nobody).await, LogErrorKind::Unreachable);
    let server = format!("redis+sentinel://127.0.0.1:{}/mymaster", master.port);
    assert_eq!(error(server).await, LogErrorKind::Unsupported);
    assert_eq!(error(format!("redis://{at}")).await, LogErrorKind::Unsupported);
}

async fn a_master_goes_on_while_its_sentinels_are_away(kind: Kind) {
    let (master, other) = (Engine::start(kind, &[]), Engine::start(kind, &[]));
    let mut sentinel = sentinel(kind, &master, "");
    let url = format!("redis+sentinel://127.0.0.1:{}/mymaster", sentinel.port);
    let mut node = Node::new(1, &url, &Witness::default());
    node.hello().await.unwrap();
    node.log.head().await.unwrap();
    // It names another one, though this one still takes itself for a master.
    let other = other.port.to_string();
    sentinel.command(&["SENTINEL", "remove", "mymaster"]);
    sentinel.command(&["SENTINEL", "monitor", "mymaster", "127.0.0.1", &other, "1"]);
    assert_eq!(node.log.head().await.unwrap_err().kind(), LogErrorKind::NotReady);
    assert_eq!(node.append(1, "x").await.unwrap_err().kind(), LogErrorKind::Unreachable);
    node.hello().await.unwrap();
    sentinel.kill();
    node.log.head().await.unwrap();
    node.append(1, "one").await.unwrap();
}

async fn a_hello_that_is_given_up_for_a_sentinel_that_hangs_begins_with_the_next_one(kind: Kind) {
    let master = Engine::start(kind, &[]);
    let (first, second) = (sentinel(kind, &master, ""), sentinel(kind, &master, ""));
    let node = Node::with(1, log_with(patient(&[&first, &second])), &Witness::default());
    first.pause();
    let hello = tokio::time::timeout(Duration::from_millis(500), node.hello());
    assert!(hello.await.is_err(), "the first one is asked first");
    tokio::time::timeout(ALL, node.hello()).await.unwrap().unwrap();
    node.log.head().await.unwrap();
    first.go_on();
}

async fn a_head_asks_the_next_sentinel_where_one_hangs(kind: Kind) {
    let (master, other) = (Engine::start(kind, &[]), Engine::start(kind, &[]));
    let (first, second) = (sentinel(kind, &master, ""), sentinel(kind, &master, ""));
    let node = Node::with(1, log_with(patient(&[&first, &second])), &Witness::default());
    node.hello().await.unwrap();
    let other = other.port.to_string();
    second.command(&["SENTINEL", "remove", "mymaster"]);
    second.command(&["SENTINEL", "monitor", "mymaster", "127.0.0.1", &other, "1"]);
    node.log.head().await.unwrap();
    first.pause();
    let head = tokio::time::timeout(PATIENCE, node.log.head()).await.unwrap();
    assert_eq!(head.unwrap_err().kind(), LogErrorKind::NotReady);
    first.go_on();
}

async fn a_sentinel_that_hangs_takes_no_node_down(kind: Kind) {
    let master = Engine::start(kind, &[]);
    let sentinel = sentinel(kind, &master, "");
    let log = log_with(patient(&[&sentinel]));
    let (told, mut heads) = mpsc::unbounded_channel();
    let hub = spawn_hub(HubBuilder::new(BrokerConfig::new(EPOCH))).unwrap();
    let mut config = NodeConfig::new(NodeId(1), 7);
    config.check_every = Duration::from_millis(100);
    let realm = Realm::join(hub, Timed { log, told }, config, &TokioRuntime).unwrap();
    assert!(realm.ready().await);
    sentinel.pause();
    let mut times = Vec::new();
    // The first one may have begun before.
    for _ in 0..4 {
        times.push(tokio::time::timeout(ALL, heads.recv()).await.unwrap().unwrap().unwrap());
        assert_eq!(realm.health(), NodeHealth::Ready);
        realm.publish(Audience::Everyone, &Event::new("x")).await.unwrap();
    }
    assert_eq!(realm.counters().failures, 0);
    println!("{kind:?}: heads took {times:?}");
    assert!(*times[1..].iter().min().unwrap() < Duration::from_secs(2), "{times:?}");
    realm.shut_down().await;
    sentinel.go_on();
}

/// Sentinels that are waited for longer than any test waits.
fn patient(sentinels: &[&Engine]) -> RedisLogConfig {
    let at: Vec<_> = sentinels.iter().map(|engine| format!("127.0.0.1:{}", engine.port)).collect();
    let url = format!("redis+sentinel://{}/mymaster", at.join(","));
    RedisLogConfig::from_url(&url).unwrap().with_connect_time(ALL * 2)
}

/// A log that tells how long each head took, or that it failed.
struct Timed {
    log: TokioLog,
    told: mpsc::UnboundedSender<Result<Duration, LogError>>,
}

impl Log for Timed {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        self.log.hello(hello).await
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        self.log.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, LogError> {
        self.log.read(read).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        let began = Instant::now();
        let head = self.log.head().await;
        // The test may be over.
        let _ = self.told.send(head.as_ref().map(|_| began.elapsed()).map_err(Clone::clone));
        head
    }
}

async fn sentinels_have_passwords_of_their_own(kind: Kind) {
    let master = Engine::start(kind, &["--requirepass", "masters"]);
    let sentinel =
        sentinel(kind, &master, "sentinel auth-pass mymaster masters\nrequirepass sentinels");
    let url = format!("redis+sentinel://:masters@127.0.0.1:{}/mymaster", sentinel.port);
    let config = RedisLogConfig::from_url(&url).unwrap();
    let without = Node::with(1, log_with(config.clone()), &Witness::default());
    assert_eq!(without.hello().await.unwrap_err().kind(), LogErrorKind::Denied);
    let config = config.with_sentinel_credentials(None, "sentinels");
    Node::with(1, log_with(config), &Witness::default()).hello().await.unwrap();
}

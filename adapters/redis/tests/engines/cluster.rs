//! A Redis Cluster whose slot moves while nodes append and read.

use crate::ALL;
use crate::engine::{Engine, Kind};
use crate::node::{Node, Witness, is_whole, payloads};
use sansse::cluster::{Content, Log, LogErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

on_each_engine! {
    a_realm_is_found_wherever_its_slot_is
    a_realm_whose_slot_is_on_its_way_is_found
    a_slot_that_moves_under_load_loses_nothing
    a_cluster_without_the_slot_is_not_ready
}

struct Cluster {
    servers: Vec<Engine>,
}

impl Cluster {
    /// Three masters, each with every third slot.
    async fn start(kind: Kind) -> Self {
        let servers: Vec<_> = (0..3).map(|_| Engine::of_cluster(kind)).collect();
        for (number, server) in servers.iter().enumerate() {
            let slots = (0..16384).skip(number).step_by(3).map(|slot: u32| slot.to_string());
            let slots: Vec<_> = slots.collect();
            let words = ["CLUSTER", "ADDSLOTS"].into_iter();
            server.command(&words.chain(slots.iter().map(String::as_str)).collect::<Vec<_>>());
            let epoch = (number + 1).to_string();
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for server in &servers[1..] {
            let port = servers[0].port.to_string();
            server.command(&["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        let cluster = Self { servers };
        cluster.settle().await;
        cluster
    }

    /// Waits until all know that all is well.
    async fn settle(&self) {
        let began = Instant::now();
        let is_well = |server: &Engine| {
            let text = server.command(&["CLUSTER", "INFO"]).as_str().unwrap().to_owned();
            text.contains("cluster_state:ok")
                && text.contains("cluster_slots_ok:16384")
                && text.contains("cluster_known_nodes:3")
        };
        while !self.servers.iter().all(is_well) {
            assert!(began.elapsed() < ALL, "the cluster does not come about");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn url(&self) -> String {
        let hosts = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        format!("redis://{}", hosts.collect::<Vec<_>>().join(","))
    }

    fn slot(&self) -> String {
        let slot = self.servers[0].command(&["CLUSTER", "KEYSLOT", "{realm}:m"]);
        slot.as_integer().unwrap().to_string()
    }

    /// Which server has the realm.
    fn owner(&self) -> usize {
        let holds = |server: &Engine| {
            !server.client().try_ask(&["EXISTS", "{realm}:m"]).unwrap().is_error()
        };
        self.servers.iter().position(holds).unwrap()
    }

    /// Moves the slot, one key after the other, with time between the steps.
    async fn move_slot(&self, from: usize, to: usize) {
        self.move_keys(from, to).await;
        sleep(Duration::from_millis(200)).await;
        self.finish(from, to);
    }

    /// Moves the keys, of which the target knows more than the cluster.
    async fn move_keys(&self, from: usize, to: usize) {
        let slot = self.slot();
        let id =
            |at: usize| self.servers[at].command(&["CLUSTER", "MYID"]).as_str().unwrap().to_owned();
        let (source, target) = (id(from), id(to));
        let at = |at: usize| self.servers[at].client();
        at(to).ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        at(from).ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        let port = self.servers[to].port.to_string();
        for key in ["{realm}:l", "{realm}:m"] {
            sleep(Duration::from_millis(100)).await;
            at(from).ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
    }

    fn finish(&self, from: usize, to: usize) {
        let slot = self.slot();
        let target = self.servers[to].command(&["CLUSTER", "MYID"]).as_str().unwrap().to_owned();
        for at in [to, from] {
            self.servers[at].command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }
}

async fn a_realm_is_found_wherever_its_slot_is(kind: Kind) {
    let cluster = Cluster::start(kind).await;
    let witness = Witness::default();
    for (id, server) in (1..).zip(&cluster.servers) {
        let mut node = Node::new(id, &server.url(), &witness);
        node.hello().await.unwrap();
        node.append(1, &format!("from {id}")).await.unwrap();
        node.log.head().await.unwrap();
        assert_eq!(node.read_all().await.len(), usize::try_from(id).unwrap() + 1);
    }
    let other = format!("{}/1", cluster.servers[cluster.owner()].url());
    let error = Node::new(9, &other, &witness).hello().await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Unsupported);
}

async fn a_realm_whose_slot_is_on_its_way_is_found(kind: Kind) {
    let cluster = Cluster::start(kind).await;
    let mut node = Node::new(1, &cluster.url(), &Witness::default());
    node.hello().await.unwrap();
    node.append(1, "before").await.unwrap();
    let (from, to) = (cluster.owner(), (cluster.owner() + 1) % 3);
    cluster.move_keys(from, to).await;
    assert_eq!(node.append(1, "on its way").await.unwrap_err().kind(), LogErrorKind::NotReady);
    node.hello().await.unwrap();
    node.append_again(1, "on its way").await.unwrap();
    node.log.head().await.unwrap();
    assert_eq!(payloads(&node.read_all().await), ["cut", "before", "cut", "on its way"]);
    cluster.finish(from, to);
    node.append(1, "after").await.unwrap();
    assert_eq!(payloads(&node.read_all().await), ["after"]);
    node.hello().await.unwrap();
    assert!(node.read_all().await.is_empty(), "it is the same server");
}

async fn a_slot_that_moves_under_load_loses_nothing(kind: Kind) {
    let cluster = Cluster::start(kind).await;
    let witness = Witness::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let begin = Node::new(9, &cluster.url(), &witness).hello().await.unwrap().position;
    let writers = (1..=3).map(|id| {
        let mut node = Node::new(id, &cluster.url(), &witness);
        let is_over = is_over.clone();
        tokio::spawn(async move {
            node.hello_at_last().await;
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                last = node.append_at_last(3, &format!("{id}/{}", node.number)).await.last;
            }
            (node.number, last)
        })
    });
    let writers: Vec<_> = writers.collect();
    let reader = {
        let mut node = Node::new(4, &cluster.url(), &witness);
        node.cursor = begin;
        let is_over = is_over.clone();
        tokio::spawn(async move {
            let mut all = Vec::new();
            node.hello_at_last().await;
            loop {
                let over = is_over.load(Ordering::Relaxed);
                match node.read(Duration::from_millis(200)).await {
                    Ok(entries) if entries.is_empty() && over => return all,
                    Ok(entries) => all.extend(entries),
                    Err(_) => {
                        node.hello_at_last().await;
                    }
                }
            }
        })
    };
    let mut owner = cluster.owner();
    for _ in 0..3 {
        sleep(Duration::from_millis(200)).await;
        let next = (owner + 1) % 3;
        cluster.move_slot(owner, next).await;
        owner = next;
    }
    sleep(Duration::from_millis(300)).await;
    is_over.store(true, Ordering::Relaxed);
    let (mut batches, mut last) = (0, 0);
    for writer in writers {
        let (number, position) = writer.await.unwrap();
        batches += number;
        last = position.max(last);
    }
    let mut entries = reader.await.unwrap();
    // What came while the reader stopped.
    let mut rest = Node::new(5, &cluster.url(), &witness);
    rest.hello_at_last().await;
    rest.cursor = entries.last().unwrap().position;
    entries.extend(rest.read_all().await);
    assert!(is_whole(begin, &entries), "a migration loses nothing");
    let cuts = entries.iter().filter(|entry| entry.content == Content::Cut).count();
    println!("{kind:?}: {batches} batches, {cuts} cuts");
    assert!(cuts >= 3, "each server is another life: {cuts}");
    assert_eq!(entries.len() - cuts, usize::try_from(batches).unwrap());
    assert!(entries.last().unwrap().position >= last);
    assert!(batches >= 3, "{batches}");
}

async fn a_cluster_without_the_slot_is_not_ready(kind: Kind) {
    let server = Engine::of_cluster(kind);
    let error = Node::new(1, &server.url(), &Witness::default()).hello().await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::NotReady);
}

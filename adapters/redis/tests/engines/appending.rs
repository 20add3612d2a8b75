//! Positions, batches that come twice, what a realm refuses.

use crate::engine::{Engine, Kind};
use crate::node::{EPOCH, Node, Witness, is_whole, payloads};
use bytes::Bytes;
use resp_rs::resp2::Frame;
use sansse::broker::Epoch;
use sansse::cluster::{Content, Hello, Log, LogErrorKind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

on_each_engine! {
    a_realm_begins_beyond_the_clock
    several_nodes_append_in_one_order
    a_batch_whose_answer_was_lost_is_appended_once
    a_batch_that_comes_after_a_later_one_is_refused
    a_script_that_was_flushed_is_sent_again
    another_epoch_is_refused
    data_of_a_newer_version_is_refused
    nodes_that_are_gone_for_a_day_are_forgotten
    positions_end_below_what_a_script_can_count
    what_no_engine_can_take_is_refused_unasked
    a_realm_in_another_database_is_another
}

async fn a_realm_begins_beyond_the_clock(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let head = node.hello().await.unwrap();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(head.start, 0, "the first entry is a cut after nothing");
    assert!((seconds - 60) * 1_024_000 < head.position, "{head:?}");
    // By no more than is drawn for each cut.
    assert!(head.position < (seconds + 60) * 1_024_000 + (1 << 36), "{head:?}");
    let entries = node.read_all().await;
    assert_eq!(payloads(&entries), ["cut"]);
    assert_eq!((entries[0].after, entries[0].position), (0, head.position));
    assert_eq!(node.log.head().await.unwrap(), head);
    assert_eq!(node.hello().await.unwrap(), head, "a second hello cuts nothing");
}

async fn several_nodes_append_in_one_order(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let witness = Witness::default();
    let begin = Node::new(9, &engine.url(), &witness).hello().await.unwrap().position;
    let tasks = (1..=4).map(|id| {
        let mut node = Node::new(id, &engine.url(), &witness);
        tokio::spawn(async move {
            node.hello().await.unwrap();
            for number in 1..=50 {
                node.append(number % 7 + 1, &format!("{id}/{number}")).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut reader = Node::new(5, &engine.url(), &witness);
    let head = reader.hello().await.unwrap();
    reader.cursor = begin;
    let entries = reader.read_all().await;
    assert_eq!(entries.len(), 200);
    assert!(is_whole(begin, &entries));
    assert_eq!(entries[199].position, head.position);
    for id in 1..=4 {
        let prefix = format!("{id}/");
        let all = payloads(&entries);
        let own: Vec<_> = all.iter().filter_map(|text| text.strip_prefix(&prefix)).collect();
        let wanted: Vec<_> = (1..=50).map(|number: u32| number.to_string()).collect();
        assert_eq!(own, wanted, "a node's batches are in its order");
    }
}

async fn a_batch_whose_answer_was_lost_is_appended_once(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let head = node.hello().await.unwrap();
    node.number = 1;
    // The server has it, and nobody waits for the answer.
    let before = engine.command(&["XLEN", "{realm}:l"]);
    let append = node.batch(3, Bytes::from("one"));
    let mut lost = Box::pin(node.log.append(append));
    while engine.command(&["XLEN", "{realm}:l"]) == before {
        tokio::select! {
            biased;
            () = sleep(Duration::from_millis(1)) => {}
            result = &mut lost => { result.unwrap(); break }
        }
    }
    drop(lost);
    node.hello().await.unwrap();
    let appended = node.append_again(3, "one").await.unwrap();
    assert_eq!(appended.last, head.position + 3);
    // Without a new connection as well, and from the same number on.
    assert_eq!(node.append_again(3, "one").await.unwrap(), appended);
    assert_eq!(node.append(1, "two").await.unwrap().last, head.position + 4);
    node.cursor = head.position;
    assert_eq!(payloads(&node.read_all().await), ["one", "two"]);
}

async fn a_batch_that_comes_after_a_later_one_is_refused(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let head = node.hello().await.unwrap();
    node.append(1, "one").await.unwrap();
    node.append(1, "two").await.unwrap();
    node.number = 1;
    let error = node.append_again(1, "one").await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::NotReady);
    node.hello().await.unwrap();
    node.cursor = head.position;
    assert_eq!(payloads(&node.read_all().await), ["one", "two"]);
}

async fn a_script_that_was_flushed_is_sent_again(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let head = node.hello().await.unwrap();
    engine.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(node.append(1, "one").await.unwrap().last, head.position + 1);
    engine.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(node.log.head().await.unwrap().position, head.position + 1);
}

async fn another_epoch_is_refused(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let head = node.hello().await.unwrap();
    let other = Node::new(2, &engine.url(), &Witness::default());
    let hello = Hello { node: other.id, epoch: Epoch(0xbad), seen: 0 };
    let error = other.log.hello(hello).await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::OtherEpoch { epoch: EPOCH });
    // The realm changes hands behind a node's back.
    engine.command(&["FLUSHALL"]);
    other.log.hello(hello).await.unwrap();
    let error = node.append(1, "one").await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::OtherEpoch { epoch: Epoch(0xbad) });
    assert_ne!(other.log.head().await.unwrap().position, head.position);
}

async fn data_of_a_newer_version_is_refused(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    engine.command(&["HSET", "{realm}:m", "v", "2"]);
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::Newer);
}

async fn nodes_that_are_gone_for_a_day_are_forgotten(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    node.append(1, "one").await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut client = engine.client();
    for old in 0..2000 {
        let at = if old % 10 == 0 { now - 3600 } else { now - 100_000 };
        client.ask(&["HSET", "{realm}:m", &format!("n:{old}"), &format!("1:5:1:{at}")]);
    }
    let fields = |client: &mut crate::client::Client| {
        client.ask(&["HLEN", "{realm}:m"]).as_integer().unwrap()
    };
    let before = fields(&mut client);
    node.hello().await.unwrap();
    let gone = before - fields(&mut client);
    assert!((1..=500).contains(&gone), "one hello looks at some: {gone}");
    let began = std::time::Instant::now();
    // All but the 200 of the last day, the own one, and the five of the realm.
    while fields(&mut client) > 206 {
        assert!(began.elapsed() < crate::ALL);
        node.hello().await.unwrap();
    }
    assert_eq!(fields(&mut client), 206);
    let kept = client.ask(&["HEXISTS", "{realm}:m", "n:0"]);
    assert_eq!(kept, Frame::Integer(1));
    let last = node.append(1, "two").await.unwrap().last;
    assert_eq!(node.append_again(1, "two").await.unwrap().last, last);
}

async fn positions_end_below_what_a_script_can_count(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    let near = ((1_u64 << 53) - 8).to_string();
    engine.command(&["HSET", "{realm}:m", "p", &near]);
    let head = node.hello().await.unwrap();
    assert_eq!(head.position, (1 << 53) - 8);
    assert_eq!(node.append(7, "fits").await.unwrap().last, (1 << 53) - 1);
    assert_eq!(node.append(1, "no more").await.unwrap_err().kind(), LogErrorKind::Full);
    let other = Node::new(2, &engine.url(), &Witness::default());
    assert_eq!(other.hello().await.unwrap().position, (1 << 53) - 1);
    node.seen = (1 << 53) - 1;
    assert_eq!(node.hello().await.unwrap().position, (1 << 53) - 1);
    node.cursor = head.position;
    let entries = node.read_all().await;
    assert_eq!((entries[0].after, entries[0].position), (head.position, (1 << 53) - 1));
    assert!(matches!(entries[0].content, Content::Batch(_)));
    // There is no room for a cut either.
    engine.command(&["DEL", "{realm}:m", "{realm}:l"]);
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::Full);
    assert_eq!(engine.command(&["EXISTS", "{realm}:l"]), Frame::Integer(0));
}

async fn what_no_engine_can_take_is_refused_unasked(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    assert_eq!(node.append(0, "").await.unwrap_err().kind(), LogErrorKind::Unsupported);
    let large = Bytes::from(vec![0; (32 << 20) + 1]);
    let error = node.log.append(node.batch(1, large)).await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Full);
    // The connection is as good as before.
    node.append(1, "one").await.unwrap();
    node.seen = 1 << 53;
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::Unsupported);
}

async fn a_realm_in_another_database_is_another(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &format!("{}/3", engine.url()), &Witness::default());
    node.hello().await.unwrap();
    node.append(1, "one").await.unwrap();
    assert_eq!(engine.command(&["EXISTS", "{realm}:l"]), Frame::Integer(0));
    let none = Node::new(1, &format!("{}/99", engine.url()), &Witness::default());
    assert_eq!(none.hello().await.unwrap_err().kind(), LogErrorKind::Unsupported);
}

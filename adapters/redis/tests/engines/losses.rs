//! What the engine loses is a hole or a cut, and no position ever names two things.

use crate::engine::{Engine, Kind};
use crate::node::{Node, Witness, is_whole, payloads};
use crate::{ALL, PATIENCE};
use sansse::cluster::{Content, Head, Log, LogErrorKind, Read};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

on_each_engine! {
    a_server_that_keeps_nothing_begins_with_a_cut_after_nothing
    a_server_that_keeps_each_append_cuts_after_the_last_one
    a_server_that_keeps_what_it_can_cuts_after_what_it_kept
    what_was_acknowledged_under_load_survives_a_kill
    a_batch_that_survived_a_restart_is_not_appended_again
    a_flush_under_a_reader_that_waits_is_told_by_the_next_append
    a_head_behind_what_was_applied_tells_of_a_flush
    without_its_state_a_log_is_cut_after_its_last_entry
    a_log_that_is_ahead_of_the_clock_is_cut_with_a_hole
    without_its_log_a_state_goes_on_and_the_hole_shows
    a_state_that_is_older_than_its_log_is_cut_after_the_log
    a_server_with_an_older_copy_is_cut_and_gives_nothing_twice
    a_master_that_has_followed_another_one_is_another_life
    two_servers_from_one_copy_give_nothing_twice
    positions_never_name_two_things
}

/// Appends ten batches, kills the server, starts it again, and says hello as a node that has read
/// all: what was the last position before, and what a new reader reads.
async fn killed(kind: Kind, keep: &[&str]) -> (u64, Vec<sansse::cluster::Entry>) {
    let mut engine = Engine::start(kind, keep);
    let witness = Witness::default();
    let mut node = Node::new(1, &engine.url(), &witness);
    node.hello().await.unwrap();
    for number in 0..10 {
        node.append(3, &number.to_string()).await.unwrap();
    }
    node.read_all().await;
    let last = node.seen;
    engine.kill();
    assert_eq!(node.append(1, "x").await.unwrap_err().kind(), LogErrorKind::Unreachable);
    assert_eq!(node.hello().await.unwrap_err().kind(), LogErrorKind::Unreachable);
    engine.start_again();
    let head = node.hello_at_last().await;
    assert!(head.position > last + 1, "{head:?} {last}");
    let appended = node.append(1, "after").await.unwrap();
    assert_eq!(appended.last, head.position + 1);
    let mut reader = Node::new(2, &engine.url(), &witness);
    reader.hello().await.unwrap();
    let entries = reader.read_all().await;
    assert_eq!(payloads(&entries).last().unwrap(), "after");
    (last, entries)
}

async fn a_server_that_keeps_nothing_begins_with_a_cut_after_nothing(kind: Kind) {
    let (_, entries) = killed(kind, &[]).await;
    assert_eq!(payloads(&entries), ["cut", "after"]);
    assert_eq!(entries[0].after, 0);
    assert_eq!(entries[1].after, entries[0].position);
}

async fn a_server_that_keeps_each_append_cuts_after_the_last_one(kind: Kind) {
    let (last, entries) = killed(kind, &["--appendonly", "yes", "--appendfsync", "always"]).await;
    assert!(is_whole(0, &entries));
    let cut = &entries[11];
    assert_eq!((cut.after, &cut.content), (last, &Content::Cut));
    assert_eq!(entries.len(), 13);
}

async fn a_server_that_keeps_what_it_can_cuts_after_what_it_kept(kind: Kind) {
    for appendfsync in ["everysec", "no"] {
        let keep = ["--appendonly", "yes", "--appendfsync", appendfsync];
        let (last, entries) = killed(kind, &keep).await;
        // A killed process loses nothing that it has written, though a machine would.
        assert!(is_whole(0, &entries));
        let cut = entries.iter().rev().find(|entry| entry.content == Content::Cut).unwrap();
        assert!(cut.after <= last && cut.position > last + 1);
    }
}

/// With each append on disk, acknowledged means kept, whenever the server is killed.
async fn what_was_acknowledged_under_load_survives_a_kill(kind: Kind) {
    let mut engine = Engine::start(kind, &["--appendonly", "yes", "--appendfsync", "always"]);
    let witness = Witness::default();
    let begin = Node::new(9, &engine.url(), &witness).hello().await.unwrap().position;
    let is_over = Arc::new(AtomicBool::new(false));
    let writers = (1..=3).map(|id| {
        let mut node = Node::new(id, &engine.url(), &witness);
        let is_over = is_over.clone();
        tokio::spawn(async move {
            let mut all = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let payload = format!("{id}/{}", node.number);
                all.push((node.append_at_last(2, &payload).await.last, payload));
            }
            all
        })
    });
    let writers: Vec<_> = writers.collect();
    for life in 0..=4 {
        let length = || engine.command(&["XLEN", "{realm}:l"]).as_integer().unwrap();
        let (began, before) = (Instant::now(), length());
        while length() < before + 20 {
            assert!(began.elapsed() < ALL, "too few appends");
            sleep(Duration::from_millis(5)).await;
        }
        if life < 4 {
            engine.kill();
            engine.start_again();
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    acknowledged.sort();
    let mut reader = Node::new(10, &engine.url(), &witness);
    reader.hello_at_last().await;
    reader.cursor = begin;
    let entries = reader.read_all().await;
    assert!(is_whole(begin, &entries));
    let places = entries.iter().map(|entry| entry.position);
    let kept: Vec<_> = places.zip(payloads(&entries)).filter(|(_, text)| text != "cut").collect();
    // Each once, and nothing else: also the batches whose answer the kill has taken.
    assert_eq!(kept, acknowledged);
    assert_eq!(entries.len() - kept.len(), 4, "a cut for each life");
}

async fn a_batch_that_survived_a_restart_is_not_appended_again(kind: Kind) {
    let mut engine = Engine::start(kind, &["--appendonly", "yes", "--appendfsync", "always"]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    let appended = node.append(3, "one").await.unwrap();
    engine.kill();
    engine.start_again();
    // With a hello before, as nodes do, and the same by an append that is the first to come.
    let head = node.hello_at_last().await;
    assert_eq!(node.append_again(3, "one").await.unwrap(), appended);
    engine.command(&["HSET", "{realm}:m", "r", "another life"]);
    assert_eq!(node.append_again(3, "one").await.unwrap(), appended);
    node.cursor = begin;
    let entries = node.read_all().await;
    assert_eq!(payloads(&entries), ["one", "cut", "cut"]);
    assert_eq!((entries[1].after, entries[1].position), (appended.last, head.position));
}

async fn a_flush_under_a_reader_that_waits_is_told_by_the_next_append(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let witness = Witness::default();
    let (mut reader, mut writer) =
        (Node::new(1, &engine.url(), &witness), Node::new(2, &engine.url(), &witness));
    writer.hello().await.unwrap();
    let last = writer.append(5, "one").await.unwrap().last;
    reader.hello().await.unwrap();
    reader.read_all().await;
    let (entries, ()) = tokio::join!(reader.read(Duration::from_secs(3)), async {
        engine.until_a_read_waits().await;
        engine.command(&["FLUSHALL"]);
        // It knows of nothing.
        writer.append(2, "two").await.unwrap();
    });
    let mut entries = entries.unwrap();
    entries.extend(reader.read_all().await);
    if entries.is_empty() {
        // What was drawn for the new life lies below. A node looks for that while nothing comes.
        assert!(reader.log.head().await.unwrap().position < last);
        reader.hello().await.unwrap();
        assert_eq!(payloads(&reader.read_all().await), ["cut"]);
        return;
    }
    assert_eq!(payloads(&entries), ["cut", "two"]);
    assert_eq!(entries[0].after, 0);
    assert!(entries[0].position > last + 1 && is_whole(0, &entries));
}

async fn a_head_behind_what_was_applied_tells_of_a_flush(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.hello().await.unwrap();
    node.append(1, "one").await.unwrap();
    node.read_all().await;
    engine.command(&["FLUSHALL"]);
    let head = node.log.head().await.unwrap();
    assert!(head.position < node.seen, "{head:?}");
    let head = node.hello().await.unwrap();
    assert!(head.position > node.seen + 1);
    assert_eq!(payloads(&node.read_all().await), ["cut"]);
}

async fn without_its_state_a_log_is_cut_after_its_last_entry(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let witness = Witness::default();
    let mut node = Node::new(1, &engine.url(), &witness);
    let begin = node.hello().await.unwrap().position;
    let last = node.append(4, "one").await.unwrap().last;
    for other in [2, 3] {
        engine.command(&["DEL", "{realm}:m"]);
        assert_eq!(node.log.head().await.unwrap(), Head::default(), "so that nodes say hello");
        // One begins with a hello, the other does not.
        if other == 2 {
            Node::new(other, &engine.url(), &witness).hello().await.unwrap();
        } else {
            node.append(1, "two").await.unwrap();
        }
    }
    node.cursor = begin;
    let entries = node.read_all().await;
    assert_eq!(payloads(&entries), ["one", "cut", "cut", "two"]);
    assert!(is_whole(begin, &entries));
    assert!(entries[1].after == last && entries[1].position > last + 1);
    assert!(entries[2].position > entries[1].position + 1);
}

/// A position without an entry is what tells sessions of a gap.
async fn a_log_that_is_ahead_of_the_clock_is_cut_with_a_hole(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let ahead = node.hello().await.unwrap().position + 3600 * 1_024_000;
    node.seen = ahead;
    // Beyond what it has seen, and by how much nobody can foresee.
    let first = node.hello().await.unwrap().position;
    assert!((ahead + 2..ahead + 2 + (1 << 36)).contains(&first), "{first} after {ahead}");
    let last = node.append(4, "one").await.unwrap().last;
    engine.command(&["DEL", "{realm}:m"]);
    let head = Node::new(2, &engine.url(), &Witness::default()).hello().await.unwrap();
    assert!((last + 2..last + 2 + (1 << 36)).contains(&head.position), "{head:?} after {last}");
    assert_ne!(head.position - last, first - ahead, "each cut draws anew");
}

async fn without_its_log_a_state_goes_on_and_the_hole_shows(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    let last = node.append(4, "one").await.unwrap().last;
    engine.command(&["DEL", "{realm}:l"]);
    let head = node.log.head().await.unwrap();
    assert_eq!((head.start, head.position), (last, last), "nothing is kept");
    assert_eq!(node.hello().await.unwrap(), head);
    assert_eq!(node.append(2, "two").await.unwrap().last, last + 2);
    node.cursor = begin;
    let entries = node.read_all().await;
    assert_eq!((entries[0].after, entries[0].position), (last, last + 2));
    assert_eq!(node.log.head().await.unwrap().start, last);
}

async fn a_state_that_is_older_than_its_log_is_cut_after_the_log(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    let last = node.append(4, "one").await.unwrap().last;
    engine.command(&["HSET", "{realm}:m", "p", &begin.to_string()]);
    engine.command(&["HDEL", "{realm}:m", &format!("n:{}", node.id)]);
    // An append cannot be where an entry is already, and a hello heals it.
    assert!(node.append(1, "two").await.unwrap_err().kind().is_refusal());
    let head = node.hello().await.unwrap();
    assert!(head.position > last + 1);
    node.append_again(1, "two").await.unwrap();
    node.cursor = begin;
    let entries = node.read_all().await;
    assert_eq!(payloads(&entries), ["one", "cut", "two"]);
    assert!(is_whole(begin, &entries));
}

/// A server that keeps what is in its file at `SAVE`.
fn saving(kind: Kind) -> Engine {
    Engine::start(kind, &["--dbfilename", "copy.rdb"])
}

async fn a_server_with_an_older_copy_is_cut_and_gives_nothing_twice(kind: Kind) {
    let mut engine = saving(kind);
    let witness = Witness::default();
    let mut node = Node::new(1, &engine.url(), &witness);
    node.hello().await.unwrap();
    let saved = node.append(3, "saved").await.unwrap().last;
    engine.command(&["SAVE"]);
    for number in 0..20 {
        node.append(3, &format!("lost {number}")).await.unwrap();
    }
    node.read_all().await;
    let last = node.seen;
    engine.kill();
    engine.start_again();
    // The one that knows nothing comes first.
    let mut new = Node::new(2, &engine.url(), &witness);
    let head = new.hello_at_last().await;
    assert!(head.position > last + 1, "the clock leads beyond what it forgot");
    new.append(3, "new").await.unwrap();
    node.hello().await.unwrap();
    let entries = node.read_all().await;
    assert_eq!(payloads(&entries), ["cut", "new"]);
    assert_eq!(entries[0].after, saved, "what survived ends there");
}

/// It loses what the other one did not have, comes back as a master, and was not started again.
async fn a_master_that_has_followed_another_one_is_another_life(kind: Kind) {
    let (master, other) = (Engine::start(kind, &[]), Engine::start(kind, &[]));
    let follow = |server: &Engine, of: &Engine| {
        server.command(&["REPLICAOF", "127.0.0.1", &of.port.to_string()]);
    };
    let length = |server: &Engine| server.command(&["XLEN", "{realm}:l"]).as_integer().unwrap();
    let until = async |what: &str, condition: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !condition() {
            assert!(began.elapsed() < ALL, "not in {ALL:?}: {what}");
            sleep(Duration::from_millis(20)).await;
        }
    };
    let witness = Witness::default();
    let mut node = Node::new(1, &master.url(), &witness);
    // Its connections outlive all of it, and it has seen nothing.
    let mut idle = Node::new(2, &master.url(), &witness);
    node.hello().await.unwrap();
    idle.hello().await.unwrap();
    let kept = node.append(3, "kept").await.unwrap().last;
    follow(&other, &master);
    until("the other one has all", &|| length(&other) == 2).await;
    other.command(&["REPLICAOF", "NO", "ONE"]);
    node.append(3, "lost").await.unwrap();
    assert_eq!(length(&master), 3);
    follow(&master, &other);
    until("it has what the other one has", &|| length(&master) == 2).await;
    master.command(&["REPLICAOF", "NO", "ONE"]);
    idle.append(3, "new").await.unwrap();
    let mut reader = Node::new(3, &master.url(), &witness);
    reader.hello().await.unwrap();
    let entries = reader.read_all().await;
    assert_eq!(payloads(&entries), ["cut", "kept", "cut", "new"]);
    assert_eq!(entries[2].after, kept);
}

async fn two_servers_from_one_copy_give_nothing_twice(kind: Kind) {
    let (mut one, mut two) = (saving(kind), saving(kind));
    let witness = Witness::default();
    let mut node = Node::new(1, &one.url(), &witness);
    node.hello().await.unwrap();
    node.append(3, "both").await.unwrap();
    one.command(&["SAVE"]);
    two.kill();
    fs::copy(one.directory().join("copy.rdb"), two.directory().join("copy.rdb")).unwrap();
    two.start_again();
    // Both go on, with nodes that know nothing of the other half.
    let mut other = Node::new(2, &two.url(), &witness);
    other.hello().await.unwrap();
    for number in 0..20 {
        node.append(3, &format!("one {number}")).await.unwrap();
        other.append(3, &format!("two {number}")).await.unwrap();
    }
    node.read_all().await;
    // The first half is over, and its node comes to the other one.
    one.kill();
    let mut moved = Node::new(1, &two.url(), &witness);
    (moved.number, moved.seen, moved.cursor) = (node.number, node.seen, node.seen);
    moved.hello().await.unwrap();
    moved.append(1, "moved").await.unwrap();
    other.append(1, "other").await.unwrap();
    moved.cursor = 0;
    let entries = moved.read_all().await;
    assert!(is_whole(0, &entries));
    let payloads = payloads(&entries);
    assert!(payloads.ends_with(&["moved".into(), "other".into()]), "{payloads:?}");
    assert!(!payloads.iter().any(|payload| payload.starts_with("one ")), "{payloads:?}");
}

/// Random misfortunes: restarts from nothing, from a copy and from an older copy, flushes, lost
/// keys, appends whose answer is lost, and nodes that know much or nothing.
async fn positions_never_name_two_things(kind: Kind) {
    let seed = std::env::var("SANSSE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    eprintln!("SANSSE_SEED={seed}");
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    };
    let mut engine = saving(kind);
    let witness = Witness::default();
    let mut nodes: Vec<Node> = (1..=3).map(|id| Node::new(id, &engine.url(), &witness)).collect();
    let mut lives = 3;
    for node in &nodes {
        node.hello().await.unwrap();
    }
    for step in 0..200 {
        let which = usize::try_from(draw(3)).unwrap();
        let node = &mut nodes[which];
        match draw(16) {
            0 => drop(engine.command(&["SAVE"])),
            1 => {
                engine.kill();
                engine.start_again();
            }
            2 => drop(engine.command(&["FLUSHALL"])),
            3 => drop(engine.command(&["DEL", "{realm}:m"])),
            4 => drop(engine.command(&["DEL", "{realm}:l"])),
            5 => {
                lives += 1;
                *node = Node::new(lives, &engine.url(), &witness);
                node.hello_at_last().await;
            }
            6 => {
                // It gives up in the middle, and comes with the same batch.
                node.number += 1;
                let payload = format!("{step}");
                let append = node.batch(2, payload.clone().into());
                let _ =
                    tokio::time::timeout(Duration::from_micros(draw(500)), node.log.append(append))
                        .await;
                node.hello_at_last().await;
                if node.append_again(2, &payload).await.is_err() {
                    node.hello_at_last().await;
                }
            }
            7..10 => {
                let read = Read { after: node.cursor, max_bytes: 1 << 20, wait: Duration::ZERO };
                if node.log.read(read).await.is_ok() {
                    node.read_all().await;
                } else {
                    node.hello_at_last().await;
                }
            }
            _ => {
                let count = u32::try_from(draw(5)).unwrap() + 1;
                node.append_at_last(count, &format!("{step}")).await;
            }
        }
    }
    // All come to the same end.
    let last = nodes[0].append_at_last(1, "the end").await.last;
    for node in &mut nodes {
        node.hello_at_last().await;
        while node.cursor < last {
            node.read(PATIENCE).await.unwrap();
        }
    }
}

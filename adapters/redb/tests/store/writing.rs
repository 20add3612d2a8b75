//! Appending: positions, the same batch twice, groups, limits, cuts.

use super::kit::{append_some, batch, batch_of, hello, now, open, payload, place, read_all, run};
use futures_util::future::join_all;
use sansse::cluster::{Appended, Content, Head, Log, LogErrorKind, NodeId};
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use std::time::{Duration, Instant};

#[test]
fn positions_follow_each_other_from_one() {
    let place = place();
    run(async {
        let log = open(&place.path);
        assert_eq!(hello(&log, 0).await.unwrap(), Head { start: 0, position: 0 });
        let first = log.append(batch(log.node(), 1, 3)).await.unwrap();
        let second = log.append(batch(log.node(), 2, 2)).await.unwrap();
        assert_eq!(first, Appended { last: 3, count: 3 });
        assert_eq!(second, Appended { last: 5, count: 2 });
        assert_eq!(log.head().await.unwrap(), Head { start: 0, position: 5 });
        let entries = read_all(&log).await.unwrap();
        let places: Vec<_> = entries.iter().map(|entry| (entry.after, entry.position)).collect();
        assert_eq!(places, [(0, 3), (3, 5)]);
        assert_eq!(payload(&entries[1]), batch(log.node(), 2, 2).payload);
    });
}

#[test]
fn the_same_batch_twice_is_appended_once() {
    let place = place();
    run(async {
        let log = open(&place.path);
        let (a, b) = (NodeId(1), NodeId(2));
        let first = log.append(batch(a, 1, 2)).await.unwrap();
        log.append(batch(b, 1, 1)).await.unwrap();
        assert_eq!(log.append(batch(a, 1, 2)).await.unwrap(), first);
        // Twice at once: one waits for the disk, and the other one with it.
        let twice = join_all([log.append(batch(a, 2, 1)), log.append(batch(a, 2, 1))]).await;
        assert_eq!(twice[0], twice[1]);
        assert_eq!(log.head().await.unwrap().position, 4);
        // Also in the next life of the store.
        log.close().await;
        let log = open(&place.path);
        assert_eq!(Ok(log.append(batch(a, 2, 1)).await.unwrap()), twice[0]);
        assert_eq!(log.head().await.unwrap().position, 4);
    });
}

#[test]
fn a_batch_that_comes_after_a_later_one_of_its_node_is_refused() {
    let place = place();
    run(async {
        let log = open(&place.path);
        append_some(&log, 1..4).await;
        let error = log.append(batch(log.node(), 2, 1)).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Unsupported);
        assert_eq!(log.head().await.unwrap().position, 3);
    });
}

#[test]
fn a_batch_of_nothing_is_refused() {
    let place = place();
    run(async {
        let log = open(&place.path);
        let error = log.append(batch(log.node(), 1, 0)).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Unsupported);
    });
}

/// What a node forgets that is gone is not asked for again; how many are known is bounded.
#[test]
fn the_last_batches_of_many_nodes_are_not_kept_for_ever() {
    let place = place();
    run(async {
        let log = open(&place.path);
        for node in 0..40 {
            log.append(batch(NodeId(node), 1, 1)).await.unwrap();
        }
        let known = log.append(batch(NodeId(39), 1, 1)).await.unwrap();
        assert_eq!(known, Appended { last: 40, count: 1 });
        // Taken for a new batch, after all that is there.
        let forgotten = log.append(batch(NodeId(0), 1, 1)).await.unwrap();
        assert_eq!(forgotten.last, 41);
    });
}

#[test]
fn many_publishers_share_the_writes_of_the_disk() {
    for durability in [Durability::EachBatch, Durability::default()] {
        let place = place();
        run(async {
            let config = RedbLogConfig::new(&place.path).with_durability(durability);
            let log = RedbLog::open(config).unwrap();
            let appends = (1..=200).map(|node| log.append(batch(NodeId(node), 1, 1)));
            let mut last: Vec<_> =
                join_all(appends).await.into_iter().map(|done| done.unwrap().last).collect();
            last.sort_unstable();
            assert_eq!(last, (1..=200).collect::<Vec<_>>());
            let counters = log.counters();
            assert_eq!(counters.appended, 200);
            assert!(counters.commits < 100, "{counters:?}");
        });
    }
}

/// The first one after a pause is written at once, and those behind it together.
#[test]
fn a_publish_waits_for_the_interval_only_behind_another() {
    let place = place();
    run(async {
        let interval = Duration::from_secs(3);
        let config =
            RedbLogConfig::new(&place.path).with_durability(Durability::Interval(interval));
        let log = RedbLog::open(config).unwrap();
        let began = Instant::now();
        append_some(&log, 1..3).await;
        assert!(began.elapsed() > interval, "{:?}", began.elapsed());
        // A group that is full does not wait. One of them may take its time on a busy machine.
        let mut fastest = interval;
        for number in 3..8 {
            let began = Instant::now();
            log.append(batch(log.node(), number, 256)).await.unwrap();
            fastest = fastest.min(began.elapsed());
        }
        assert!(fastest < interval / 2, "{fastest:?}");
        assert_eq!(log.counters().commits, 7);
    });
}

#[test]
fn the_oldest_go_when_there_are_more_than_are_kept() {
    let place = place();
    run(async {
        let config =
            RedbLogConfig::new(&place.path).with_durability(Durability::EachBatch).with_kept(10);
        let log = RedbLog::open(config).unwrap();
        append_some(&log, 1..31).await;
        assert_eq!(log.head().await.unwrap(), Head { start: 20, position: 30 });
        let entries = read_all(&log).await.unwrap();
        assert_eq!((entries[0].after, entries.len()), (20, 10));
        let counters = log.counters();
        assert_eq!((counters.positions, counters.entries, counters.trimmed), (10, 10, 20));
    });
}

#[test]
fn the_oldest_go_for_room_but_never_the_newest() {
    let place = place();
    run(async {
        let config = RedbLogConfig::new(&place.path)
            .with_durability(Durability::EachBatch)
            .with_max_bytes(10_000);
        let log = RedbLog::open(config).unwrap();
        for number in 1..=20 {
            log.append(batch_of(log.node(), number, 1000)).await.unwrap();
            assert!(log.counters().bytes <= 10_000);
        }
        assert_eq!(log.counters().entries, 9);
        // Larger than all that may be kept.
        log.append(batch_of(log.node(), 21, 50_000)).await.unwrap();
        assert_eq!(log.counters().entries, 1);
        assert_eq!(read_all(&log).await.unwrap()[0].position, 21);
    });
}

#[test]
fn what_is_too_old_goes_and_its_positions_with_it() {
    let place = place();
    run(async {
        let log = open(&place.path);
        append_some(&log, 1..4).await;
        log.close().await;
        let old = Duration::from_millis(1);
        smol::Timer::after(old * 20).await;
        let config = RedbLogConfig::new(&place.path).with_max_age(old);
        let log = RedbLog::open(config).unwrap();
        // The look at the opening, in which nothing is appended.
        let deadline = Instant::now() + Duration::from_secs(60);
        while log.counters().entries > 0 {
            assert!(Instant::now() < deadline);
            smol::Timer::after(Duration::from_millis(5)).await;
        }
        assert_eq!(log.head().await.unwrap(), Head { start: 3, position: 3 });
        log.close().await;
        let log = open(&place.path);
        assert_eq!(log.append(batch(NodeId(9), 1, 1)).await.unwrap().last, 4);
    });
}

/// Limits that were lowered are reached in steps, while the store serves.
#[test]
fn lowered_limits_are_reached_in_steps() {
    let place = place();
    run(async {
        let log = open(&place.path);
        let all = (1..=500).map(|node| log.append(batch(NodeId(node), 1, 1)));
        join_all(all).await;
        log.close().await;
        let log = RedbLog::open(RedbLogConfig::new(&place.path).with_kept(10)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while log.counters().entries > 10 {
            assert!(Instant::now() < deadline, "{:?}", log.counters());
            assert_eq!(log.head().await.unwrap().position, 500);
            smol::Timer::after(Duration::from_millis(5)).await;
        }
        assert!(log.counters().commits >= 490 / 64, "{:?}", log.counters());
    });
}

#[test]
fn a_node_that_is_ahead_makes_a_cut_and_no_position_twice() {
    let place = place();
    run(async {
        let log = open(&place.path);
        append_some(&log, 1..3).await;
        let head = hello(&log, 1_000).await.unwrap();
        assert!(head.position > 1_000);
        let entries = read_all(&log).await.unwrap();
        let cut = entries.last().unwrap();
        assert_eq!((cut.after, cut.position), (2, head.position));
        assert_eq!(cut.content, Content::Cut);
        // And in an append, which may come from a node that never said hello.
        let mut ahead = batch(log.node(), 3, 1);
        ahead.seen = head.position + 5;
        let appended = log.append(ahead).await.unwrap();
        assert!(appended.last > head.position + 6);
        let entries = read_all(&log).await.unwrap();
        assert_eq!(entries.len(), 5);
        assert_eq!((entries[3].after, &entries[3].content), (head.position, &Content::Cut));
        assert_eq!(entries[4].after, entries[3].position);
        assert_eq!(log.counters().cuts, 2);
        // The cut takes no room of what is kept.
        assert_eq!(log.counters().positions, 3);
    });
}

#[test]
fn a_position_that_no_log_has_is_refused() {
    let place = place();
    run(async {
        let log = open(&place.path);
        let error = hello(&log, u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Unsupported);
        assert_eq!(log.head().await.unwrap().position, 0);
    });
}

#[test]
fn what_waits_is_bounded() {
    let place = place();
    run(async {
        let interval = Duration::from_secs(3);
        let config =
            RedbLogConfig::new(&place.path).with_durability(Durability::Interval(interval));
        let log = RedbLog::open(config).unwrap();
        let size = 20 << 20;
        let appends = (1..=8).map(|node| log.append(batch_of(NodeId(node), 1, size)));
        let results = join_all(appends).await;
        let refused = results.iter().filter_map(|result| result.as_ref().err());
        let kinds: Vec<_> = refused.map(sansse::cluster::LogError::kind).collect();
        // Fewer where the disk is faster than this thread.
        assert!((1..=5).contains(&kinds.len()), "{kinds:?}");
        assert!(kinds.iter().all(|kind| *kind == LogErrorKind::NotReady), "{kinds:?}");
        let error = log.append(batch_of(NodeId(9), 1, 65 << 20)).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Unsupported);
        // There is room again.
        log.append(batch_of(NodeId(9), 1, size)).await.unwrap();

        let mut reads = Vec::new();
        for _ in 0..1030 {
            let mut read = now(u64::MAX - 1);
            read.wait = Duration::from_secs(5);
            reads.push(log.read(read));
        }
        let refused = join_all(reads).await.into_iter().filter(Result::is_err).count();
        assert!((6..100).contains(&refused), "{refused}");
    });
}

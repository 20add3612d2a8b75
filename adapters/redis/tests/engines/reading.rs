//! Pages, readers that wait, ages, what is trimmed, and futures that are dropped.

use crate::PATIENCE;
use crate::engine::{Engine, Kind};
use crate::node::{Node, Witness, is_whole, log_with, payloads};
use bytes::Bytes;
use sansse::cluster::{Content, Log, LogErrorKind, Read};
use sansse_redis::RedisLogConfig;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

on_each_engine! {
    a_reader_that_waits_wakes_for_what_is_appended
    a_read_that_does_not_wait_goes_beside_one_that_does
    a_wait_that_is_over_is_an_empty_page
    a_wait_may_be_longer_than_an_answer_may_take
    a_hello_ends_a_read_that_waits
    pages_keep_to_their_size_and_leave_nothing_out
    a_page_that_is_far_too_large_is_read_in_smaller_ones
    entries_have_the_age_of_the_engines_clock
    a_reader_that_was_overtaken_by_the_trimming_sees_the_hole
    what_survives_a_cut_is_not_trimmed_by_it
    a_request_that_was_dropped_leaves_no_reply_to_the_next_one
    requests_before_a_hello_find_no_connection
}

async fn a_reader_that_waits_wakes_for_what_is_appended(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let witness = Witness::default();
    let (mut reader, mut writer) =
        (Node::new(1, &engine.url(), &witness), Node::new(2, &engine.url(), &witness));
    reader.cursor = reader.hello().await.unwrap().position;
    writer.hello().await.unwrap();
    for number in 0..20 {
        let payload = number.to_string();
        let (entries, appended) = tokio::join!(reader.read(PATIENCE), writer.append(1, &payload));
        let last = appended.unwrap().last;
        let entries = entries.unwrap();
        assert_eq!((entries[0].after, entries[0].position), (last - 1, last));
        assert_eq!(payloads(&entries), [payload]);
    }
}

async fn a_read_that_does_not_wait_goes_beside_one_that_does(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    let last = node.append(1, "one").await.unwrap().last;
    let read = |after, wait| Read { after, max_bytes: 1 << 20, wait };
    let mut waiting = Box::pin(node.log.read(read(last, PATIENCE * 2)));
    assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    let connections =
        || format!("{:?}", engine.command(&["CLIENT", "LIST"])).matches(" addr=").count();
    let before = connections();
    let beside = timeout(PATIENCE, node.log.read(read(begin, Duration::ZERO)));
    let page = beside.await.unwrap().unwrap();
    assert_eq!(payloads(&page.entries), ["one"]);
    // Over a third connection, so that no append waits for it, until the node has nothing to do.
    assert_eq!(connections(), before + 1);
    node.log.head().await.unwrap();
    while connections() > before {
        sleep(Duration::from_millis(10)).await;
    }
    let batch = Bytes::from("two");
    node.number += 1;
    node.log.append(node.batch(1, batch)).await.unwrap();
    assert_eq!(payloads(&waiting.await.unwrap().entries), ["two"]);
}

async fn a_wait_that_is_over_is_an_empty_page(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.cursor = node.hello().await.unwrap().position;
    let began = Instant::now();
    assert!(node.read(Duration::from_millis(200)).await.unwrap().is_empty());
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(node.read(Duration::from_nanos(1)).await.unwrap().is_empty());
    assert!(node.read(Duration::ZERO).await.unwrap().is_empty());
}

async fn a_wait_may_be_longer_than_an_answer_may_take(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let config = RedisLogConfig::from_url(&engine.url()).unwrap();
    let config = config.with_answer_time(Duration::from_secs(5));
    let mut node = Node::with(1, log_with(config), &Witness::default());
    node.cursor = node.hello().await.unwrap().position;
    assert!(node.read(Duration::from_secs(6)).await.unwrap().is_empty());
    node.append(1, "one").await.unwrap();
    assert_eq!(payloads(&node.read(Duration::MAX).await.unwrap()), ["one"]);
}

async fn a_hello_ends_a_read_that_waits(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let node = Node::new(1, &engine.url(), &Witness::default());
    let after = node.hello().await.unwrap().position;
    let read = Read { after, max_bytes: 1, wait: Duration::from_secs(3000) };
    let (ended, hello) = tokio::join!(timeout(PATIENCE, node.log.read(read)), async {
        engine.until_a_read_waits().await;
        node.hello().await
    });
    assert_eq!(ended.unwrap().unwrap_err().kind(), LogErrorKind::Unreachable);
    hello.unwrap();
}

async fn pages_keep_to_their_size_and_leave_nothing_out(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    for number in 0..400_usize {
        // Small ones, and every now and then a large one.
        let length = if number % 40 == 39 { 300_000 } else { 10 + number % 100 };
        node.append(1, &format!("{number}{}", " ".repeat(length))).await.unwrap();
    }
    let max_bytes = 500_000;
    let (mut after, mut number) = (begin, 0);
    let mut pages = 0;
    while number < 400 {
        let read = Read { after, max_bytes, wait: Duration::ZERO };
        let entries = node.log.read(read).await.unwrap().entries;
        assert!(is_whole(after, &entries) && !entries.is_empty());
        let mut bytes = 0;
        for entry in &entries {
            let Content::Batch(payload) = &entry.content else { panic!("{entry:?}") };
            bytes += payload.len();
            let text = std::str::from_utf8(payload).unwrap().trim();
            assert_eq!(text, number.to_string());
            number += 1;
            after = entry.position;
        }
        assert!(bytes <= max_bytes as usize, "{bytes}");
        pages += 1;
    }
    assert!(pages < 60, "{pages}");
}

async fn a_page_that_is_far_too_large_is_read_in_smaller_ones(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    for _ in 0..32 {
        node.append(1, &"x".repeat(2_500_000)).await.unwrap();
    }
    node.cursor = begin;
    // 32 entries have 80 MB.
    let error = node.read(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Malformed);
    node.hello().await.unwrap();
    assert_eq!(node.read_all().await.len(), 32);
}

async fn entries_have_the_age_of_the_engines_clock(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    node.cursor = node.hello().await.unwrap().position;
    let began = Instant::now();
    node.append(1, "one").await.unwrap();
    let appended = Instant::now();
    sleep(Duration::from_millis(300)).await;
    let least = appended.elapsed();
    let age = node.read(Duration::ZERO).await.unwrap()[0].age;
    // Both ends are rounded down to milliseconds.
    assert!(age + Duration::from_millis(2) >= least, "{age:?} {least:?}");
    assert!(age <= began.elapsed() + Duration::from_millis(2), "{age:?}");
}

async fn a_reader_that_was_overtaken_by_the_trimming_sees_the_hole(kind: Kind) {
    let engine = Engine::start(kind, &["--stream-node-max-entries", "10"]);
    let config = RedisLogConfig::from_url(&engine.url()).unwrap().with_kept(50);
    let mut node = Node::with(1, log_with(config), &Witness::default());
    let begin = node.hello().await.unwrap().position;
    for number in 0..300 {
        node.append(1, &number.to_string()).await.unwrap();
    }
    node.cursor = begin;
    let head = node.log.head().await.unwrap();
    let entries = node.read_all().await;
    assert_eq!(entries[0].after, head.start);
    assert!(head.start > begin && is_whole(head.start, &entries));
    assert!((50..=70).contains(&entries.len()), "{}", entries.len());
    assert_eq!(entries.last().unwrap().position, head.position);
    assert_eq!(payloads(&entries).last().unwrap(), "299");
}

async fn what_survives_a_cut_is_not_trimmed_by_it(kind: Kind) {
    let keep =
        ["--appendonly", "yes", "--appendfsync", "always", "--stream-node-max-entries", "10"];
    let mut engine = Engine::start(kind, &keep);
    let config = RedisLogConfig::from_url(&engine.url()).unwrap().with_kept(100);
    let mut node = Node::with(1, log_with(config), &Witness::default());
    let mut last = node.hello().await.unwrap().position;
    for life in 0..3 {
        for number in 0..30 {
            last = node.append(1, &format!("{life}/{number}")).await.unwrap().last;
        }
        engine.kill();
        engine.start_again();
        node.hello_at_last().await;
    }
    node.cursor = last - 30;
    let entries = node.read_all().await;
    assert_eq!(entries.len(), 31);
    node.cursor = 0;
    let entries = node.read_all().await;
    assert!(entries.len() >= 93, "all three lives are there: {}", entries.len());
    assert!(is_whole(0, &entries), "no cut lost anything");
    // And what is too much goes, over the cuts as well.
    for number in 0..60 {
        node.append(1, &format!("3/{number}")).await.unwrap();
    }
    node.cursor = 0;
    let payloads = payloads(&node.read_all().await);
    assert!(!payloads.iter().any(|payload| payload.starts_with("0/")), "{payloads:?}");
    assert!(payloads.iter().any(|payload| payload.starts_with("1/")), "{payloads:?}");
    assert!((100..=125).contains(&payloads.len()), "{payloads:?}");
}

/// The futures are dropped after one poll, after two, and so on: at every stage of a request.
async fn a_request_that_was_dropped_leaves_no_reply_to_the_next_one(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    let mut last = node.hello().await.unwrap().position;
    let begin = last;
    let mut dropped = 0;
    for round in 0..30 {
        node.number += 1;
        let payload = Bytes::from(format!("{round} {}", "x".repeat(200_000)));
        let append = node.batch(2, payload.clone());
        dropped += u32::from(polled(round % 5, node.log.append(append)).await.is_none());
        let read = Read { after: begin, max_bytes: 1 << 20, wait: Duration::from_millis(50) };
        dropped += u32::from(polled(round % 7, node.log.read(read)).await.is_none());
        // Whatever was dropped, there is no reply of another request: there is an error, or the
        // right answer.
        if let Ok(head) = node.log.head().await {
            assert!(head.position == last || head.position == last + 2, "{head:?} {last}");
        }
        node.hello().await.unwrap();
        let appended = node.append_again(2, std::str::from_utf8(&payload).unwrap()).await.unwrap();
        assert_eq!(appended.last, last + 2);
        last = appended.last;
    }
    assert!(dropped > 20, "{dropped}");
    node.cursor = begin;
    let entries = node.read_all().await;
    assert!(is_whole(begin, &entries) && entries.len() == 30);
}

/// The output of a future that is polled so many times at most.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polls = 0;
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

async fn requests_before_a_hello_find_no_connection(kind: Kind) {
    let engine = Engine::start(kind, &[]);
    let mut node = Node::new(1, &engine.url(), &Witness::default());
    assert_eq!(node.log.head().await.unwrap_err().kind(), LogErrorKind::Unreachable);
    assert_eq!(node.append(1, "x").await.unwrap_err().kind(), LogErrorKind::Unreachable);
    assert_eq!(node.read(PATIENCE).await.unwrap_err().kind(), LogErrorKind::Unreachable);
}

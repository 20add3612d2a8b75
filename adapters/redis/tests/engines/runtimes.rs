//! The same log on smol and on async-std.

use crate::engine::{Engine, Kind};
use bytes::Bytes;
use sansse::cluster::{Append, Content, Hello, Log, NodeId, Read};
use sansse_redis::{RedisLog, RedisLogConfig};
use sansse_smol::{SmolConnector, SmolTimer};
use std::time::{Duration, Instant};

#[test]
#[ignore = "needs redis-server; .ci/run runs it"]
fn a_log_lives_on_smol() {
    if Kind::Redis.is_here() {
        let engine = Engine::start(Kind::Redis, &[]);
        smol::block_on(live(&engine.url()));
    }
}

#[test]
#[ignore = "needs redis-server; .ci/run runs it"]
fn a_log_lives_on_async_std() {
    if Kind::Redis.is_here() {
        let engine = Engine::start(Kind::Redis, &[]);
        async_std::task::block_on(live(&engine.url()));
    }
}

async fn live(url: &str) {
    let config = RedisLogConfig::from_url(url).unwrap();
    let log = RedisLog::new("realm", config, SmolConnector, SmolTimer).unwrap();
    let node = NodeId(7);
    let head = log.hello(Hello { node, epoch: crate::node::EPOCH, seen: 0 }).await.unwrap();
    let read = |after, wait| Read { after, max_bytes: 1 << 20, wait };
    let began = Instant::now();
    let wait = Duration::from_millis(100);
    assert!(log.read(read(head.position, wait)).await.unwrap().entries.is_empty());
    assert!(began.elapsed() >= wait);
    let mut last = head.position;
    for number in 1..=100 {
        let payload = Bytes::from(vec![b'x'; 50_000]);
        let append = Append { node, number, seen: last, count: 2, payload };
        last = log.append(append).await.unwrap().last;
    }
    assert_eq!(last, head.position + 200);
    assert_eq!(log.head().await.unwrap().position, last);
    let (mut after, mut entries) = (head.position, 0);
    while after < last {
        for entry in log.read(read(after, wait)).await.unwrap().entries {
            assert_eq!(entry.after, after);
            assert!(matches!(&entry.content, Content::Batch(payload) if payload.len() == 50_000));
            (after, entries) = (entry.position, entries + 1);
        }
    }
    assert_eq!(entries, 100);
}

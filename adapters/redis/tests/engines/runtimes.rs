//! The same log on smol and on async-std, and over sockets that take and give single bytes.

use crate::engine::{Engine, Kind};
use bytes::Bytes;
use sansse::cluster::{Append, Content, Hello, Log, NodeId, Read};
use sansse::net::{Connector, Failure, Socket, Target};
use sansse_redis::{RedisLog, RedisLogConfig};
use sansse_smol::{SmolConnector, SmolSocket, SmolTimer};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

#[test]
#[ignore = "needs redis-server; .ci/run runs it"]
fn a_log_lives_on_smol() {
    if Kind::Redis.is_here() {
        let engine = Engine::start(Kind::Redis, &[]);
        smol::block_on(live(&engine.url(), SmolConnector, 100, 50_000));
    }
}

#[test]
#[ignore = "needs redis-server; .ci/run runs it"]
fn a_log_lives_on_async_std() {
    if Kind::Redis.is_here() {
        let engine = Engine::start(Kind::Redis, &[]);
        async_std::task::block_on(live(&engine.url(), SmolConnector, 100, 50_000));
    }
}

#[test]
#[ignore = "needs redis-server; .ci/run runs it"]
fn a_log_lives_on_single_bytes() {
    if Kind::Redis.is_here() {
        let engine = Engine::start(Kind::Redis, &[]);
        smol::block_on(live(&engine.url(), SingleBytes, 20, 300));
    }
}

/// Opens connections that write and read one byte at a time, and are not ready every other time.
struct SingleBytes;

impl Connector for SingleBytes {
    type Socket = SingleByte;

    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<SingleByte, Failure>> + Send + 'static {
        let opening = SmolConnector.connect(target);
        async { Ok(SingleByte { socket: opening.await?, reads: false, writes: false }) }
    }
}

struct SingleByte {
    socket: SmolSocket,
    /// Whether the last read, and the last write, was ready.
    reads: bool,
    writes: bool,
}

/// Ready every other time.
fn poll_ready(was_ready: &mut bool, context: &mut Context<'_>) -> Poll<()> {
    *was_ready = !*was_ready;
    if *was_ready {
        return Poll::Ready(());
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

impl Socket for SingleByte {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        ready!(poll_ready(&mut self.reads, context));
        self.socket.poll_read(context, &mut buffer[..1])
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        ready!(poll_ready(&mut self.writes, context));
        self.socket.poll_write(context, &bytes[..1])
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.socket.poll_shutdown(context)
    }

    fn reset(&mut self) {
        self.socket.reset();
    }
}

async fn live<C: Connector>(url: &str, connector: C, batches: u64, size: usize) {
    let config = RedisLogConfig::from_url(url).unwrap();
    let log = RedisLog::new("realm", config, connector, SmolTimer).unwrap();
    let node = NodeId(7);
    let head = log.hello(Hello { node, epoch: crate::node::EPOCH, seen: 0 }).await.unwrap();
    let read = |after, wait| Read { after, max_bytes: 1 << 20, wait };
    let began = Instant::now();
    let wait = Duration::from_millis(100);
    assert!(log.read(read(head.position, wait)).await.unwrap().entries.is_empty());
    assert!(began.elapsed() >= wait);
    let mut last = head.position;
    for number in 1..=batches {
        let payload = Bytes::from(vec![b'x'; size]);
        let append = Append { node, number, seen: last, count: 2, payload };
        last = log.append(append).await.unwrap().last;
    }
    assert_eq!(last, head.position + 2 * batches);
    assert_eq!(log.head().await.unwrap().position, last);
    let (mut after, mut entries) = (head.position, 0);
    while after < last {
        for entry in log.read(read(after, wait)).await.unwrap().entries {
            assert_eq!(entry.after, after);
            assert!(matches!(&entry.content, Content::Batch(payload) if payload.len() == size));
            (after, entries) = (entry.position, entries + 1);
        }
    }
    assert_eq!(entries, batches);
}

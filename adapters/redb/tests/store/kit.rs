//! What the tests of a store share.

use bytes::Bytes;
use sansse::cluster::{Append, Appended, Content, Entry, Hello, Log, LogError, NodeId, Read};
use sansse_redb::{RedbLog, RedbLogConfig};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A folder of its own with a file for a store, gone when it is dropped.
pub(crate) struct Place {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place { path: folder.path().join("stream.redb"), _folder: folder }
}

pub(crate) fn open(path: &Path) -> RedbLog {
    RedbLog::open(RedbLogConfig::new(path)).unwrap()
}

/// A batch of `count` positions whose payload says which it is.
pub(crate) fn batch(node: NodeId, number: u64, count: u32) -> Append {
    let payload = Bytes::from(format!("batch {number} of {node}"));
    Append { node, number, seen: 0, count, payload }
}

pub(crate) fn batch_of(node: NodeId, number: u64, size: usize) -> Append {
    let payload = Bytes::from(vec![b'x'; size]);
    Append { node, number, seen: 0, count: 1, payload }
}

pub(crate) async fn hello(log: &RedbLog, seen: u64) -> Result<sansse::cluster::Head, LogError> {
    log.hello(Hello { node: log.node(), epoch: log.epoch(), seen }).await
}

/// Appends so many batches of one event, one after the other.
pub(crate) async fn append_some(log: &RedbLog, numbers: std::ops::Range<u64>) -> Vec<Appended> {
    let mut appended = Vec::new();
    for number in numbers {
        appended.push(log.append(batch(log.node(), number, 1)).await.unwrap());
    }
    appended
}

pub(crate) fn now(after: u64) -> Read {
    Read { after, max_bytes: 1 << 20, wait: Duration::ZERO }
}

/// Reads all that is there, page by page, and looks whether entries follow each other.
pub(crate) async fn read_all(log: &RedbLog) -> Result<Vec<Entry>, LogError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |entry| entry.position);
        let page = log.read(now(after)).await?.entries;
        if page.is_empty() {
            return Ok(entries);
        }
        for entry in page {
            assert!(entry.position > entry.after, "{entry:?}");
            if let Some(before) = entries.last() {
                assert!(entry.after >= before.position, "{before:?}, {entry:?}");
            }
            entries.push(entry);
        }
    }
}

pub(crate) fn payload(entry: &Entry) -> &[u8] {
    match &entry.content {
        Content::Batch(payload) => payload,
        other => panic!("{other:?}"),
    }
}

/// Runs this, for as long as a test may take.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    smol::block_on(smol::future::or(future, async {
        smol::Timer::after(Duration::from_secs(120)).await;
        panic!("it did not come to an end");
    }))
}

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Begins with a seed that is printed, so that a failure can be had again.
    pub(crate) fn seeded() -> Self {
        let seed = std::env::var("SANSSE_SEED").map_or(1, |seed| seed.parse().unwrap());
        println!("SANSSE_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub(crate) fn rounds(default: u64) -> u64 {
    std::env::var("SANSSE_ROUNDS").map_or(default, |rounds| rounds.parse().unwrap())
}

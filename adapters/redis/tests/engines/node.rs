//! A node of a realm, as far as a test needs one, and the witness of what positions name.

use crate::ALL;
use bytes::Bytes;
use sansse::broker::Epoch;
use sansse::cluster::{
    Append, Appended, Content, Entry, Head, Hello, Log, LogError, NodeId, Page, Read,
};
use sansse_redis::{RedisLog, RedisLogConfig};
use sansse_tokio::{TokioConnector, TokioRuntime};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) type TokioLog = RedisLog<TokioConnector, TokioRuntime>;

pub(crate) const EPOCH: Epoch = Epoch(0xe0);

pub(crate) fn log(url: &str) -> TokioLog {
    log_with(RedisLogConfig::from_url(url).unwrap())
}

pub(crate) fn log_with(config: RedisLogConfig) -> TokioLog {
    RedisLog::new("realm", config, TokioConnector, TokioRuntime).unwrap()
}

/// What each position names, as all nodes and all publishers of a test were told. Two things at one
/// position are a failure.
#[derive(Clone, Default)]
pub(crate) struct Witness(Arc<Mutex<BTreeMap<u64, Bytes>>>);

impl Witness {
    /// A batch names its positions by its bytes and their place in it.
    fn note(&self, last: u64, count: u64, payload: &Bytes) {
        let mut names = self.0.lock().unwrap();
        for place in 0..count {
            let position = last - place;
            let name = Bytes::from([payload.as_ref(), b"#", place.to_string().as_bytes()].concat());
            let before = names.entry(position).or_insert_with(|| name.clone());
            assert_eq!(*before, name, "position {position} names two things");
        }
    }
}

/// One life of a process.
pub(crate) struct Node {
    pub(crate) log: TokioLog,
    pub(crate) id: NodeId,
    pub(crate) number: u64,
    /// The last position that it has read, or was told of.
    pub(crate) seen: u64,
    /// Where it reads on.
    pub(crate) cursor: u64,
    witness: Witness,
}

impl Node {
    pub(crate) fn new(id: u128, url: &str, witness: &Witness) -> Self {
        Self::with(id, log(url), witness)
    }

    pub(crate) fn with(id: u128, log: TokioLog, witness: &Witness) -> Self {
        let witness = witness.clone();
        Self { log, id: NodeId(id), number: 0, seen: 0, cursor: 0, witness }
    }

    pub(crate) async fn hello(&self) -> Result<Head, LogError> {
        self.log.hello(Hello { node: self.id, epoch: EPOCH, seen: self.seen }).await
    }

    /// Says hello until it is taken.
    pub(crate) async fn hello_at_last(&self) -> Head {
        let began = Instant::now();
        loop {
            match self.hello().await {
                Ok(head) => return head,
                Err(error) => assert!(began.elapsed() < ALL, "no hello: {error}"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Appends a new batch.
    pub(crate) async fn append(&mut self, count: u32, payload: &str) -> Result<Appended, LogError> {
        self.number += 1;
        self.append_again(count, payload).await
    }

    /// Appends a batch of the same number as before.
    pub(crate) async fn append_again(
        &mut self,
        count: u32,
        payload: &str,
    ) -> Result<Appended, LogError> {
        let payload = Bytes::from(payload.to_owned());
        let appended = self.log.append(self.batch(count, payload.clone())).await?;
        self.witness.note(appended.last, count.into(), &payload);
        Ok(appended)
    }

    pub(crate) fn batch(&self, count: u32, payload: Bytes) -> Append {
        Append { node: self.id, number: self.number, seen: self.seen, count, payload }
    }

    /// Appends a new batch, with hello and the same number again until it is in.
    pub(crate) async fn append_at_last(&mut self, count: u32, payload: &str) -> Appended {
        self.number += 1;
        let began = Instant::now();
        loop {
            match self.append_again(count, payload).await {
                Ok(appended) => return appended,
                Err(error) => assert!(began.elapsed() < ALL, "not appended: {error}"),
            }
            sleep(Duration::from_millis(20)).await;
            self.hello_at_last().await;
        }
    }

    /// Reads on, and waits for so long where there is nothing.
    pub(crate) async fn read(&mut self, wait: Duration) -> Result<Vec<Entry>, LogError> {
        let read = Read { after: self.cursor, max_bytes: 1 << 20, wait };
        let Page { entries } = self.log.read(read).await?;
        for entry in &entries {
            assert!(entry.position > self.cursor, "{entry:?} comes after {}", self.cursor);
            self.cursor = entry.position;
            self.seen = self.seen.max(entry.position);
            if let Content::Batch(payload) = &entry.content {
                self.witness.note(entry.position, entry.position - entry.after, payload);
            }
        }
        Ok(entries)
    }

    /// Reads all that is there.
    pub(crate) async fn read_all(&mut self) -> Vec<Entry> {
        let mut all = Vec::new();
        loop {
            let some = self.read(Duration::ZERO).await.unwrap();
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }
}

/// The payloads of entries, `cut` for cuts.
pub(crate) fn payloads(entries: &[Entry]) -> Vec<String> {
    let payload = |entry: &Entry| match &entry.content {
        Content::Batch(payload) => String::from_utf8(payload.to_vec()).unwrap(),
        _ => "cut".to_owned(),
    };
    entries.iter().map(payload).collect()
}

/// Whether nothing is missing between these, the first of which begins after `after`.
pub(crate) fn is_whole(mut after: u64, entries: &[Entry]) -> bool {
    entries.iter().all(|entry| {
        let follows = entry.after == after;
        after = entry.position;
        follows
    })
}

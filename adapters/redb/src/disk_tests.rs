//! A store on a disk in memory that loses what it was not told to keep, tears what was under way, and
//! fails when it is told to.

use super::*;
use crate::file::Disk;
use bytes::Bytes;
use redb::StorageBackend;
use sansse::cluster::{Content, LogErrorKind};
use smol::future::FutureExt as _;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// What the disk has, and what is on the way to it.
#[derive(Debug, Default)]
struct Platter {
    kept: Vec<u8>,
    /// What the system shows, which is what the process wrote.
    shown: Vec<u8>,
    /// What was written since the disk was last asked to keep all.
    under_way: Vec<Write>,
    is_there: bool,
    /// How many more writes and syncs succeed; `None` for all.
    writes_left: Option<u64>,
    syncs_left: Option<u64>,
    /// Whether the file cannot be made shorter, which redb tries after a commit is on the disk.
    refuses_to_shrink: bool,
    /// What the disk had, and what was under way, each time before it was asked to keep all.
    moments: Vec<(Vec<u8>, Vec<Write>)>,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bytes(at, bytes) => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
            Self::Length(length) => to.resize(*length, 0),
        }
    }
}

#[derive(Clone, Debug, Default)]
struct MemoryDisk(Arc<Mutex<Platter>>);

impl MemoryDisk {
    fn with<T>(&self, call: impl FnOnce(&mut Platter) -> T) -> T {
        call(&mut self.0.lock().unwrap())
    }

    fn of(bytes: Vec<u8>) -> Self {
        let platter =
            Platter { kept: bytes.clone(), shown: bytes, is_there: true, ..Platter::default() };
        Self(Arc::new(Mutex::new(platter)))
    }

    fn log(&self) -> RedbLog {
        let config = RedbLogConfig::new("none").with_durability(Durability::EachBatch);
        RedbLog::open_on(Box::new(self.clone()), config).unwrap()
    }
}

impl Disk for MemoryDisk {
    fn open(&self) -> Result<Option<Box<dyn StorageBackend>>, LogError> {
        Ok(self.with(|platter| platter.is_there).then(|| Box::new(self.clone()) as _))
    }

    fn begin(&self) -> Result<Option<Box<dyn StorageBackend>>, LogError> {
        Ok(Some(Box::new(self.clone())))
    }

    fn establish(&self) -> Result<(), LogError> {
        self.with(|platter| platter.is_there = true);
        Ok(())
    }
}

fn spend(left: &mut Option<u64>, kind: ErrorKind) -> io::Result<()> {
    match left {
        Some(0) => Err(kind.into()),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl StorageBackend for MemoryDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|platter| platter.shown.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.with(|platter| {
            let bytes = platter.shown.get(at..at + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let write = Write::Length(usize::try_from(length).unwrap());
        self.with(|platter| {
            if platter.refuses_to_shrink && length < platter.shown.len() as u64 {
                return Err(ErrorKind::Other.into());
            }
            spend(&mut platter.writes_left, ErrorKind::StorageFull)?;
            write.apply(&mut platter.shown);
            platter.under_way.push(write);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|platter| {
            if platter.is_there {
                platter.moments.push((platter.kept.clone(), platter.under_way.clone()));
            }
            if let Err(error) = spend(&mut platter.syncs_left, ErrorKind::Other) {
                // As Linux has it: what was not kept is forgotten, and shown all the same.
                platter.under_way.clear();
                return Err(error);
            }
            platter.kept.clone_from(&platter.shown);
            platter.under_way.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let write = Write::Bytes(usize::try_from(offset).unwrap(), data.to_vec());
        self.with(|platter| {
            spend(&mut platter.writes_left, ErrorKind::StorageFull)?;
            write.apply(&mut platter.shown);
            platter.under_way.push(write);
            Ok(())
        })
    }
}

fn batch(number: u64) -> Append {
    let payload =
        Bytes::from(format!("{number} {}", "x".repeat(usize::try_from(number % 700).unwrap())));
    Append { node: NodeId(1), number, seen: 0, count: 1, payload }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    smol::block_on(future.or(async {
        smol::Timer::after(Duration::from_secs(120)).await;
        panic!("it did not come to an end");
    }))
}

async fn positions(log: &RedbLog) -> BTreeMap<u64, Content> {
    let mut found = BTreeMap::new();
    loop {
        let after = found.last_key_value().map_or(0, |(position, _)| *position);
        let read = Read { after, max_bytes: 1 << 20, wait: Duration::ZERO };
        let page = log.read(read).await.unwrap().entries;
        if page.is_empty() {
            return found;
        }
        for entry in page {
            assert_eq!(entry.after, found.last_key_value().map_or(0, |(position, _)| *position));
            found.insert(entry.position, entry.content);
        }
    }
}

/// The power goes before each sync, with any part of what was under way on the disk: what was
/// answered by then is there, and goes on without a cut.
#[test]
fn no_loss_of_power_takes_what_was_answered() {
    let disk = MemoryDisk::default();
    let log = disk.log();
    // How many syncs had begun when each was answered.
    let mut answered = Vec::new();
    for number in 1..=60 {
        assert_eq!(run(log.append(batch(number))).unwrap().last, number);
        answered.push(disk.with(|platter| platter.moments.len()));
    }
    let moments = disk.with(|platter| platter.moments.clone());
    assert!(moments.len() >= 60, "{}", moments.len());
    let mut seed = 1_u64;
    let mut draw = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for (moment, (kept, under_way)) in moments.into_iter().enumerate() {
        let safe = answered.iter().filter(|syncs| **syncs <= moment).count() as u64;
        for chance in [0, 1, 2, 3, 4, 4] {
            let mut bytes = kept.clone();
            let mut under_way = under_way.clone();
            if chance < 4 && !under_way.is_empty() {
                // The disk writes in the order that it likes.
                let turn = usize::try_from(draw()).unwrap() % under_way.len();
                under_way.rotate_left(turn);
            }
            for write in under_way {
                if draw() % 4 < chance {
                    write.apply(&mut bytes);
                }
            }
            run(async {
                let log = MemoryDisk::of(bytes).log();
                let found = positions(&log).await;
                let newest = found.last_key_value().map_or(0, |(position, _)| *position);
                assert!(newest >= safe, "moment {moment}: {newest} of {safe}");
                for (position, content) in &found {
                    assert_eq!(*content, Content::Batch(batch(*position).payload));
                }
                // The same batch again, or the next one.
                let again = log.append(batch(newest.max(1))).await.unwrap();
                assert_eq!(again.last, newest.max(1));
                assert_eq!(log.append(batch(newest + 2)).await.unwrap().last, newest.max(1) + 1);
                assert_eq!(log.counters().cuts, 0);
            });
        }
    }
}

/// After each number of writes that succeed.
#[test]
fn a_disk_that_fails_at_any_write_keeps_what_it_has_and_is_used_again_when_it_is_back() {
    let mut refused = 0;
    for writes in 0..120 {
        let disk = MemoryDisk::default();
        let log = disk.log();
        run(async {
            for number in 1..=3 {
                log.append(batch(number)).await.unwrap();
            }
            disk.with(|platter| platter.writes_left = Some(writes));
            let mut number = 4;
            let error = loop {
                match log.append(batch(number)).await {
                    Ok(appended) => assert_eq!(appended.last, number),
                    Err(error) => break error,
                }
                number += 1;
            };
            // The file could not be opened again, since that writes, too. So it is not known here.
            assert_eq!(error.kind(), LogErrorKind::Unreachable, "{error}");
            refused += 1;
            let later = log.append(batch(number)).await.unwrap_err();
            assert_eq!(later.kind(), LogErrorKind::Full);
            disk.with(|platter| platter.writes_left = None);
            let hello = Hello { node: NodeId(1), epoch: log.epoch(), seen: number - 1 };
            log.hello(hello).await.unwrap();
            assert_eq!(log.append(batch(number)).await.unwrap().last, number);
            let found = positions(&log).await;
            assert_eq!(found.len() as u64, number);
            for (position, content) in found {
                assert_eq!(content, Content::Batch(batch(position).payload));
            }
        });
    }
    assert_eq!(refused, 120);
}

/// One write fails, and those after it do not: the file is opened again at once.
#[test]
fn a_batch_that_is_refused_as_full_was_not_appended() {
    let disk = MemoryDisk::default();
    let log = disk.log();
    run(async {
        log.append(batch(1)).await.unwrap();
        disk.with(|platter| platter.writes_left = Some(0));
        let back = async {
            // As soon as the first write was refused.
            while log.counters().failures == 0 {
                smol::future::yield_now().await;
            }
            disk.with(|platter| platter.writes_left = None);
        };
        let (result, ()) = futures_util::future::join(log.append(batch(2)), back).await;
        let error = result.unwrap_err();
        // Whether the second opening saw the disk come back is a matter of moments.
        let hello = Hello { node: NodeId(1), epoch: log.epoch(), seen: 1 };
        let head = log.hello(hello).await.unwrap();
        assert!(!error.kind().is_refusal() || head.position == 1, "{error}");
        assert_eq!(log.append(batch(2)).await.unwrap().last, 2);
        assert_eq!(positions(&log).await.len(), 2);
    });
}

#[test]
fn a_batch_that_the_disk_has_although_its_commit_failed_is_answered() {
    let disk = MemoryDisk::default();
    run(async {
        let log = disk.log();
        for number in 1..=40 {
            let large = Append { payload: Bytes::from(vec![0; 100_000]), ..batch(number) };
            log.append(large).await.unwrap();
        }
        log.close().await;
        disk.with(|platter| platter.refuses_to_shrink = true);
        // Each commit makes room in the file, up to the newest.
        let config = RedbLogConfig::new("none").with_durability(Durability::EachBatch).with_kept(1);
        let log = RedbLog::open_on(Box::new(disk.clone()), config).unwrap();
        for number in 41..=60 {
            assert_eq!(log.append(batch(number)).await.unwrap().last, number);
        }
        assert!(log.counters().failures > 0, "no commit failed: {:?}", log.counters());
        assert_eq!(log.counters().entries, 1);
        assert_eq!(log.head().await.unwrap().position, 60);
    });
}

#[test]
fn a_disk_that_did_not_keep_what_was_written_is_not_trusted_again() {
    let disk = MemoryDisk::default();
    let log = disk.log();
    run(async {
        log.append(batch(1)).await.unwrap();
        disk.with(|platter| platter.syncs_left = Some(0));
        let error = log.append(batch(2)).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Unreachable);
        disk.with(|platter| platter.syncs_left = None);
        let hello = Hello { node: NodeId(1), epoch: log.epoch(), seen: 1 };
        let error = log.hello(hello).await.unwrap_err();
        assert_eq!(error.detail(), "the disk did not keep what was written");
        // With the power goes what was only shown; the next process goes on from what is kept.
        let log = MemoryDisk::of(disk.with(|platter| platter.kept.clone())).log();
        assert_eq!(positions(&log).await.len(), 1);
        assert_eq!(log.append(batch(2)).await.unwrap().last, 2);
    });
}

/// Somebody who puts an older file in the place of one that is in use.
#[test]
fn a_file_that_went_back_while_it_was_in_use_is_a_cut() {
    let disk = MemoryDisk::default();
    let log = disk.log();
    run(async {
        log.append(batch(1)).await.unwrap();
        let older = disk.with(|platter| platter.kept.clone());
        log.append(batch(2)).await.unwrap();
        disk.with(|platter| {
            (platter.shown, platter.kept) = (older.clone(), older);
            platter.writes_left = Some(0);
        });
        log.append(batch(3)).await.unwrap_err();
        disk.with(|platter| platter.writes_left = None);
        let hello = Hello { node: NodeId(1), epoch: log.epoch(), seen: 0 };
        assert!(log.hello(hello).await.unwrap().position > 2);
        let found = positions(&log).await;
        assert_eq!(found.values().next_back(), Some(&Content::Cut));
        assert_eq!(log.counters().cuts, 1);
        // One that has gone is not made anew under the same epoch.
        disk.with(|platter| (platter.is_there, platter.writes_left) = (false, Some(0)));
        log.append(batch(4)).await.unwrap_err();
        disk.with(|platter| platter.writes_left = None);
        let error = log.hello(hello).await.unwrap_err();
        assert_eq!(error.detail(), "the file is gone");
    });
}

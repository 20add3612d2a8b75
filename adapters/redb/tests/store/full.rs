//! A disk without room, on a small file system in memory.
//!
//! Where the system does not let this be, the tests are skipped with a word; with `SANSSE_SMALL_DISK=1`
//! that is a failure.

use super::kit::{batch_of, hello, read_all, run};
use super::realm;
use sansse::Event;
use sansse::broker::{Audience, PublishError};
use sansse::cluster::{Log, LogErrorKind};
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A file system of so many bytes, gone when it is dropped.
struct Small(TempDir);

impl Small {
    /// `None`, with the reason in words, where the system does not let this be.
    fn new(size: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "sansse-test"])
            .arg(folder.path())
            .output();
        match output {
            Ok(output) if output.status.success() => Some(Self(folder)),
            other => {
                let words = format!("a small file system needs root and `mount`: {other:?}");
                assert!(std::env::var_os("SANSSE_SMALL_DISK").is_none(), "{words}");
                // Not by a macro, whose output is shown only where a test fails.
                let mut stderr = std::io::stderr();
                writeln!(stderr, "SKIPPED: {words}").unwrap();
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_full_disk_is_said_to_be_full_keeps_what_it_has_and_works_again_with_room() {
    let Some(small) = Small::new(8 << 20) else { return };
    let ballast = small.path().join("ballast");
    fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    run(async {
        let config = RedbLogConfig::new(small.path().join("stream.redb"))
            .with_durability(Durability::EachBatch);
        let log = RedbLog::open(config.clone()).unwrap();
        let mut number = 1;
        let error = loop {
            match log.append(batch_of(log.node(), number, 100_000)).await {
                Ok(appended) => assert_eq!(appended.last, number),
                Err(error) => break error,
            }
            number += 1;
            assert!(number < 1000, "it does not fill");
        };
        assert_eq!(error.kind(), LogErrorKind::Full, "{error}");
        assert!(log.counters().failures > 0);
        let answered = number - 1;
        assert!(answered > 3);

        // What is there is there, and stays there however often more is asked for.
        for _ in 0..3 {
            assert_eq!(hello(&log, answered).await.unwrap().position, answered);
            let error = log.append(batch_of(log.node(), number, 100_000)).await.unwrap_err();
            assert_eq!(error.kind(), LogErrorKind::Full, "{error}");
            let entries = read_all(&log).await.unwrap();
            assert_eq!(entries.len() as u64, answered);
        }
        fs::remove_file(&ballast).unwrap();
        hello(&log, answered).await.unwrap();
        let appended = log.append(batch_of(log.node(), number, 100_000)).await.unwrap();
        assert_eq!(appended.last, number);
        log.close().await;
        let log = RedbLog::open(config).unwrap();
        assert_eq!(read_all(&log).await.unwrap().len() as u64, number);
    });
}

/// What a publisher and a page see of it.
#[test]
fn publishes_to_a_full_disk_are_refused_and_pages_miss_nothing_of_what_was_answered() {
    let Some(small) = Small::new(6 << 20) else { return };
    let ballast = small.path().join("ballast");
    fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    run(async {
        let life = realm::begin(&small.path().join("stream.redb")).await;
        let (_, mut page) = life.open("");
        let event = |number: usize| Event::new(format!("{number} {}", "x".repeat(100_000)));
        let mut answered = Vec::new();
        let error = loop {
            let number = answered.len();
            match life.realm.publish(Audience::Everyone, &event(number)).await {
                Ok(_) => answered.push(number),
                Err(error) => break error,
            }
        };
        assert_eq!(error, PublishError::EngineDown);
        fs::remove_file(&ballast).unwrap();
        // It tries again by itself, after a while.
        let number = answered.len();
        while life.realm.publish(Audience::Everyone, &event(number)).await.is_err() {
            smol::Timer::after(Duration::from_millis(10)).await;
        }
        answered.push(number);
        let mut read = Vec::new();
        while read.len() < answered.len() {
            for message in page.messages() {
                let (number, _) = message.data.split_once(' ').unwrap();
                read.push(number.parse::<usize>().unwrap());
            }
            smol::Timer::after(Duration::from_millis(1)).await;
        }
        assert_eq!(read, answered);
        assert_eq!(life.realm.counters().cuts, 0);
    });
}

#[test]
fn a_store_cannot_be_made_on_a_full_disk_and_can_with_room() {
    let Some(small) = Small::new(2 << 20) else { return };
    let ballast = small.path().join("ballast");
    fs::write(&ballast, vec![0; (2 << 20) - 4096]).unwrap();
    let config = RedbLogConfig::new(small.path().join("stream.redb"));
    assert_eq!(RedbLog::open(config.clone()).unwrap_err().kind(), LogErrorKind::Full);
    assert!(!fs::exists(config.path()).unwrap());
    fs::remove_file(&ballast).unwrap();
    RedbLog::open(config).unwrap();
}

//! Opening and closing: whose file it is, which epoch it has, where positions go on.

use super::kit::{append_some, batch, hello, open, place, read_all, run};
use redb::{Database, TableDefinition};
use sansse::broker::Epoch;
use sansse::cluster::{Content, Head, Hello, Log, LogErrorKind, NodeId};
use sansse_redb::{RedbLog, RedbLogConfig};
use std::fs;
use std::process::Command;

fn kind_of(config: RedbLogConfig) -> LogErrorKind {
    RedbLog::open(config).unwrap_err().kind()
}

#[test]
fn positions_and_the_epoch_go_on_where_they_were() {
    let place = place();
    run(async {
        let log = open(&place.path);
        let (epoch, node) = (log.epoch(), log.node());
        append_some(&log, 1..4).await;
        // Dropping is closing in good order, too.
        drop(log);
        let log = open(&place.path);
        assert_eq!(log.epoch(), epoch);
        assert_ne!(log.node(), node);
        assert_eq!(hello(&log, 3).await.unwrap(), Head { start: 0, position: 3 });
        assert_eq!(append_some(&log, 1..2).await[0].last, 4);
        let entries = read_all(&log).await.unwrap();
        assert!(entries.iter().all(|entry| entry.content != Content::Cut));
    });
}

#[test]
fn two_stores_have_two_epochs() {
    assert_ne!(open(&place().path).epoch(), open(&place().path).epoch());
}

#[test]
fn another_epoch_is_refused() {
    let place = place();
    let log = open(&place.path);
    let epoch = log.epoch();
    run(async {
        let other = Hello { node: NodeId(1), epoch: Epoch(epoch.0 + 1), seen: 0 };
        let error = log.hello(other).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::OtherEpoch { epoch });
    });
    drop(log);
    let config = RedbLogConfig::new(&place.path);
    let other = config.clone().with_epoch(Epoch(epoch.0 + 1));
    assert_eq!(kind_of(other), LogErrorKind::OtherEpoch { epoch });
    assert_eq!(RedbLog::open(config.with_epoch(epoch)).unwrap().epoch(), epoch);
}

/// A file that was lost, for an epoch that goes on: its positions were given before.
#[test]
fn a_store_that_is_made_for_a_given_epoch_gives_no_position_of_another() {
    let place = place();
    run(async {
        let config = RedbLogConfig::new(&place.path).with_epoch(Epoch(7));
        let log = RedbLog::open(config.clone()).unwrap();
        let last = append_some(&log, 1..20).await.pop().unwrap().last;
        drop(log);
        fs::remove_file(&place.path).unwrap();
        let log = RedbLog::open(config.clone()).unwrap();
        let first = append_some(&log, 1..2).await[0].last;
        assert!(first > last, "{first} {last}");
        assert_eq!(read_all(&log).await.unwrap()[0].content, Content::Cut);
        // Once: it is no new store now.
        drop(log);
        let log = RedbLog::open(config).unwrap();
        assert_eq!(append_some(&log, 1..2).await[0].last, first + 1);
    });
}

#[test]
fn an_older_copy_gives_no_position_again() {
    let place = place();
    let copy = place.path.with_extension("copy");
    run(async {
        let log = open(&place.path);
        append_some(&log, 1..3).await;
        log.close().await;
        fs::copy(&place.path, &copy).unwrap();
        let log = open(&place.path);
        append_some(&log, 1..100).await;
        log.close().await;
        fs::rename(&copy, &place.path).unwrap();

        let config = RedbLogConfig::new(&place.path).with_older_copy(true);
        let log = RedbLog::open(config).unwrap();
        assert!(append_some(&log, 1..2).await[0].last > 101);
        let entries = read_all(&log).await.unwrap();
        assert_eq!((entries[2].after, &entries[2].content), (2, &Content::Cut));
    });
}

#[test]
fn a_store_is_locked_for_others_until_it_is_closed() {
    let place = place();
    run(async {
        let log = open(&place.path);
        assert_eq!(kind_of(RedbLogConfig::new(&place.path)), LogErrorKind::Locked);
        let other = log.clone();
        log.close().await;
        let error = other.append(batch(NodeId(1), 1, 1)).await.unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::NotReady);
        // Closed a second time, at no cost.
        other.close().await;
        open(&place.path);
    });
}

#[test]
fn a_store_is_locked_for_another_process() {
    const MARK: &str = "SANSSE_TEST_LOCKED";
    if let Some(path) = std::env::var_os(MARK) {
        println!("kind {:?}", kind_of(RedbLogConfig::new(path)));
        return;
    }
    let place = place();
    let log = open(&place.path);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "opening::a_store_is_locked_for_another_process", "--nocapture"])
        .env(MARK, &place.path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("kind Locked"), "{text}");
    run(append_some(&log, 1..2));
}

#[test]
fn an_empty_file_becomes_a_store_and_what_was_left_half_made_does_no_harm() {
    let place = place();
    fs::write(&place.path, "").unwrap();
    let mut half = place.path.clone().into_os_string();
    half.push(".new");
    fs::write(&half, vec![7; 100_000]).unwrap();
    run(append_some(&open(&place.path), 1..2));
    assert!(!fs::exists(&half).unwrap());
}

#[test]
fn what_is_no_store_is_left_as_it_is() {
    let place = place();
    let long = vec![b'y'; 100_000];
    let texts: [&[u8]; 4] =
        [b"x", b"not a store\n", &long, b"redb\x1a\x0a\xa9\x0d\x0a and no more"];
    for text in texts {
        fs::write(&place.path, text).unwrap();
        assert_eq!(kind_of(RedbLogConfig::new(&place.path)), LogErrorKind::Malformed);
        assert_eq!(fs::read(&place.path).unwrap(), text);
    }
}

#[test]
fn somebody_elses_database_keeps_what_it_has() {
    const THEIRS: TableDefinition<'static, u64, u64> = TableDefinition::new("theirs");
    let place = place();
    let write = |db: &Database| {
        let write = db.begin_write().unwrap();
        write.open_table(THEIRS).unwrap().insert(1, 2).unwrap();
        write.commit().unwrap();
    };
    write(&Database::create(&place.path).unwrap());
    assert_eq!(kind_of(RedbLogConfig::new(&place.path)), LogErrorKind::Malformed);
    let db = Database::create(&place.path).unwrap();
    let read = redb::ReadableDatabase::begin_read(&db).unwrap();
    assert_eq!(read.list_tables().unwrap().count(), 1);
    let theirs = read.open_table(THEIRS).unwrap();
    assert_eq!(theirs.get(1).unwrap().unwrap().value(), 2);
}

#[test]
fn a_store_of_a_newer_version_is_left_to_it() {
    const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("sansse");
    let place = place();
    run(append_some(&open(&place.path), 1..2));
    let db = Database::create(&place.path).unwrap();
    let write = db.begin_write().unwrap();
    write.open_table(META).unwrap().insert("version", [2, 0, 0, 0].as_slice()).unwrap();
    write.commit().unwrap();
    drop(db);
    assert_eq!(kind_of(RedbLogConfig::new(&place.path)), LogErrorKind::Newer);

    // And a file format that redb does not have yet: both of its slots say so.
    let mut bytes = fs::read(&place.path).unwrap();
    (bytes[64], bytes[192]) = (9, 9);
    fs::write(&place.path, bytes).unwrap();
    assert_eq!(kind_of(RedbLogConfig::new(&place.path)), LogErrorKind::Newer);
}

#[test]
fn a_folder_that_is_not_there_is_said_to_be_missing() {
    let place = place();
    let error = RedbLog::open(RedbLogConfig::new(place.path.join("deeper"))).unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Unreachable);
    assert!(error.detail().contains("No such file"), "{error}");
    fs::create_dir(&place.path).unwrap();
    RedbLog::open(RedbLogConfig::new(&place.path)).unwrap_err();
}

#[cfg(unix)]
#[test]
fn a_link_leads_to_the_file_and_stays_also_where_that_is_not_there_yet() {
    use std::os::unix::fs::symlink;
    let place = place();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("data.redb");
    // By a second link, which names its target from its own folder.
    symlink("data.redb", elsewhere.path().join("second")).unwrap();
    symlink(elsewhere.path().join("second"), &place.path).unwrap();
    for _ in 0..2 {
        let log = open(&place.path);
        assert_eq!(kind_of(RedbLogConfig::new(&target)), LogErrorKind::Locked);
        drop(log);
        assert!(fs::symlink_metadata(&place.path).unwrap().is_symlink());
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_a_file_is_refused_at_once() {
    let place = place();
    assert!(Command::new("mkfifo").arg(&place.path).status().unwrap().success());
    assert_eq!(kind_of(RedbLogConfig::new(&place.path)), LogErrorKind::Malformed);
    let folder = place.path.parent().unwrap();
    assert_eq!(kind_of(RedbLogConfig::new(folder)), LogErrorKind::Malformed);
}

//! Reading: pages, waiting, ages.

use super::kit::{append_some, batch, batch_of, now, open, place, run};
use futures_util::future::join;
use sansse::cluster::{Log, Read};
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use std::time::{Duration, Instant};

#[test]
fn a_page_has_what_was_asked_for_and_one_entry_at_least() {
    let place = place();
    run(async {
        let config = RedbLogConfig::new(&place.path).with_durability(Durability::EachBatch);
        let log = RedbLog::open(config).unwrap();
        for number in 1..=10 {
            log.append(batch_of(log.node(), number, 1000)).await.unwrap();
        }
        let read = |after, max_bytes| Read { after, max_bytes, wait: Duration::ZERO };
        let positions = |page: sansse::cluster::Page| {
            page.entries.iter().map(|entry| entry.position).collect::<Vec<_>>()
        };
        assert_eq!(positions(log.read(read(2, 3500)).await.unwrap()), [3, 4, 5]);
        assert_eq!(positions(log.read(read(0, 0)).await.unwrap()), [1]);
        assert_eq!(positions(log.read(read(9, 3500)).await.unwrap()), [10]);
        assert!(log.read(read(10, 3500)).await.unwrap().entries.is_empty());
        assert!(log.read(read(u64::MAX, 3500)).await.unwrap().entries.is_empty());
    });
}

#[test]
fn a_batch_is_read_as_a_whole_also_from_within() {
    let place = place();
    run(async {
        let log = open(&place.path);
        log.append(batch(log.node(), 1, 10)).await.unwrap();
        let page = log.read(now(5)).await.unwrap();
        assert_eq!((page.entries[0].after, page.entries[0].position), (0, 10));
    });
}

#[test]
fn a_read_waits_until_there_is_something() {
    let place = place();
    run(async {
        let log = open(&place.path);
        append_some(&log, 1..2).await;
        let wait = Duration::from_secs(100);
        let reads = join(
            log.read(Read { after: 1, max_bytes: 1 << 20, wait }),
            log.read(Read { after: 1, max_bytes: 1 << 20, wait }),
        );
        let append = async {
            smol::Timer::after(Duration::from_millis(50)).await;
            append_some(&log, 2..3).await;
        };
        let ((one, other), ()) = join(reads, append).await;
        assert_eq!(one.unwrap().entries[0].position, 2);
        assert_eq!(other.unwrap().entries[0].position, 2);
    });
}

#[test]
fn a_read_that_has_waited_long_enough_gets_an_empty_page() {
    let place = place();
    run(async {
        let log = open(&place.path);
        let (began, wait) = (Instant::now(), Duration::from_millis(200));
        let page = log.read(Read { after: 0, max_bytes: 1 << 20, wait }).await.unwrap();
        assert!(page.entries.is_empty());
        assert!(began.elapsed() >= wait);
        // As long as there is: it ends with the store.
        let read = log.read(Read { after: 0, max_bytes: 1 << 20, wait: Duration::MAX });
        let close = async {
            smol::Timer::after(Duration::from_millis(20)).await;
            log.close().await;
        };
        let (page, ()) = join(read, close).await;
        page.unwrap_err();
    });
}

#[test]
fn an_entry_says_how_old_it_is() {
    let place = place();
    run(async {
        let log = open(&place.path);
        append_some(&log, 1..2).await;
        let pause = Duration::from_millis(300);
        smol::Timer::after(pause).await;
        let age = log.read(now(0)).await.unwrap().entries[0].age;
        // The clock of the system counts milliseconds here.
        assert!(age + Duration::from_millis(2) >= pause, "{age:?}");
        assert!(age < Duration::from_secs(100), "{age:?}");
    });
}

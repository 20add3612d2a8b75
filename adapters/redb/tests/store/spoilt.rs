//! Files that are not what they were: cut short, written over, random.

use super::kit::{Random, batch_of, hello, open, place, read_all, rounds, run};
use bytes::Bytes;
use futures_util::future::join_all;
use sansse::cluster::{Append, Content, Log, NodeId};
use sansse_redb::{RedbLog, RedbLogConfig};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Makes a store with some entries. Returns it as it is when it was closed and as it is when it was
/// killed, and what is in it.
fn store(path: &Path, random: &mut Random) -> ([Vec<u8>; 2], BTreeMap<u64, Bytes>) {
    let log = open(path);
    let mut known = BTreeMap::new();
    run(async {
        for group in 0..20_u32 {
            let appends: Vec<_> = (0..20)
                .map(|node| {
                    let size = usize::try_from(random.below(800)).unwrap();
                    let bytes = (0..size).map(|_| random.next().to_le_bytes()[0]);
                    let (node, number) = (NodeId(node), u64::from(group) + 1);
                    Append { node, number, seen: 0, count: 1 + group % 3, payload: bytes.collect() }
                })
                .collect();
            let answers = join_all(appends.iter().map(|append| log.append(append.clone()))).await;
            for (append, answer) in appends.into_iter().zip(answers) {
                known.insert(answer.unwrap().last, append.payload);
            }
        }
    });
    let killed = fs::read(path).unwrap();
    drop(log);
    ([fs::read(path).unwrap(), killed], known)
}

fn spoil(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let length = bytes.len() as u64;
    let at = match random.below(3) {
        // Where the head is, and the pages of the trees.
        0 => random.below(320),
        1 => random.below(length.min(200_000)),
        _ => random.below(length),
    };
    let at = usize::try_from(at.min(length - 1)).unwrap();
    let size = match random.below(4) {
        0 => 1,
        1 => 1 + random.below(16),
        2 => 1 + random.below(4096),
        _ => 1 + random.below(100_000),
    };
    let end = bytes.len().min(at + usize::try_from(size).unwrap());
    match random.below(5) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            bytes[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        2 => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit at {at}")
        }
        3 => {
            for byte in &mut bytes[at..end] {
                *byte = random.next().to_le_bytes()[0];
            }
            format!("noise from {at} to {end}")
        }
        _ => {
            let from = usize::try_from(random.below(length - (end - at) as u64 + 1)).unwrap();
            bytes.copy_within(from..from + (end - at), at);
            format!("{} bytes of {from} at {at}", end - at)
        }
    }
}

#[test]
fn a_spoilt_file_is_an_error_or_gives_what_was_written_and_nothing_else() {
    let mut random = Random::seeded();
    let place = place();
    let (images, known) = store(&place.path, &mut random);
    let newest = *known.keys().next_back().unwrap();
    let (mut opened, mut refused, mut cuts, mut back) = (0, 0, 0, 0);
    for round in 0..rounds(150) {
        let seed = random.0;
        let was_closed = round % 2 == 0;
        let mut bytes = images[usize::from(!was_closed)].clone();
        let mut what = spoil(&mut bytes, &mut random);
        if random.below(4) == 0 && !bytes.is_empty() {
            what = format!("{what}, {}", spoil(&mut bytes, &mut random));
        }
        let words = format!("round {round}, seed {seed}, closed {was_closed}: {what}");
        // So that it is known where the process ends, should it.
        println!("{words}");
        let is_empty = bytes.is_empty();
        fs::write(&place.path, &bytes).unwrap();
        let log = match RedbLog::open(RedbLogConfig::new(&place.path)) {
            Ok(log) => log,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
                continue;
            }
        };
        opened += 1;
        run(async {
            if is_empty {
                return;
            }
            let head = log.head().await.unwrap();
            // The newest commit of a file that was not closed looks as if it had not come to its end.
            back += u64::from(head.position < newest);
            assert!(head.position == newest || !was_closed, "{words}");
            for entry in read_all(&log).await.into_iter().flatten() {
                match &entry.content {
                    Content::Batch(payload) => {
                        assert_eq!(known.get(&entry.position), Some(payload), "{words}");
                    }
                    _ => cuts += 1,
                }
            }
            // It serves, or says that it does not.
            let _ = hello(&log, newest).await;
            let append = log.append(batch_of(log.node(), 1, 100)).await;
            assert!(append.is_err() || append.unwrap().last > newest, "{words}");
        });
    }
    println!("{opened} opened, {refused} refused, {cuts} cuts, {back} went back");
    assert!(opened > 10 && refused > 10);
}

/// Damage that comes after the opening, which looks at all that is there.
#[test]
fn an_entry_that_is_damaged_while_the_store_is_open_is_a_cut_in_its_place() {
    let place = place();
    run(async {
        let log = open(&place.path);
        for number in 1..=3 {
            let payload = Bytes::from(format!("the payload of the number {number}"));
            let append = Append { node: log.node(), number, seen: 0, count: 2, payload };
            assert_eq!(log.append(append).await.unwrap().last, 2 * number);
        }
        log.close().await;
        // Without memory, so that it reads what is in the file now.
        let log = RedbLog::open(RedbLogConfig::new(&place.path).with_cache(0)).unwrap();
        let mut bytes = fs::read(&place.path).unwrap();
        for number in [2, 3] {
            let text = format!("the payload of the number {number}");
            let mut from = 0;
            while let Some(at) =
                bytes[from..].windows(text.len()).position(|at| *at == *text.as_bytes())
            {
                bytes[from + at] ^= 1;
                from += at + text.len();
            }
            assert!(from > 0);
        }
        fs::write(&place.path, bytes).unwrap();

        let entries = read_all(&log).await.unwrap();
        let told: Vec<_> = entries.iter().map(|entry| (entry.after, entry.position)).collect();
        assert_eq!(told, [(0, 2), (2, 4), (4, 6)]);
        assert_ne!(entries[0].content, Content::Cut);
        assert_eq!((&entries[1].content, &entries[2].content), (&Content::Cut, &Content::Cut));
        assert_eq!(log.counters().damaged, 2);
        // Read from the middle, it begins after the entry before it.
        let page = log.read(super::kit::now(2)).await.unwrap();
        assert_eq!((page.entries[0].after, page.entries[0].position), (2, 4));
        assert_eq!(log.append(batch_of(log.node(), 1, 10)).await.unwrap().last, 7);
        // It was written again as it was read, and does not pass for what it was by that.
        log.close().await;
        let log = open(&place.path);
        assert_eq!(read_all(&log).await.unwrap()[2].content, Content::Cut);
    });
}

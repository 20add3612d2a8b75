//! A process that is killed while it publishes, at any point, again and again.

use super::kit::{Random, open, payload, place, read_all, rounds, run};
use bytes::Bytes;
use sansse::cluster::{Append, Content, Log, NodeId};
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const MARK: &str = "SANSSE_TEST_KILLED";

/// Appends from several publishers until it is killed, and says what was answered.
fn publish(arguments: &str) {
    let mut arguments = arguments.split('\n');
    let (round, kept, path) = (arguments.next(), arguments.next(), arguments.next());
    let round: u64 = round.unwrap().parse().unwrap();
    let config = RedbLogConfig::new(path.unwrap()).with_kept(kept.unwrap().parse().unwrap());
    let config = config.with_durability(match round % 3 {
        0 => Durability::EachBatch,
        1 => Durability::Interval(Duration::from_millis(5)),
        _ => Durability::default(),
    });
    let log = RedbLog::open(config).unwrap();
    println!("open");
    let publishers: Vec<_> = (0..6)
        .map(|publisher| {
            let log = log.clone();
            std::thread::spawn(move || {
                let mut random = Random(round << 8 | publisher);
                let node = NodeId(u128::from(random.next()));
                for number in 1.. {
                    let count = 1 + u32::try_from(random.below(3)).unwrap();
                    let text = format!("{round}/{publisher}/{number} ");
                    let size = usize::try_from(random.below(400)).unwrap();
                    let payload = Bytes::from(text.clone() + &"x".repeat(size));
                    let append = Append { node, number, seen: 0, count, payload };
                    let appended = run(log.append(append)).unwrap();
                    // One write: what is told is told as a whole.
                    println!("answered {} {} {text}", appended.last, appended.count);
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
}

fn child(test: &str, arguments: String) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(MARK, arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Each time another file, which comes into being whole or not at all.
#[test]
fn a_process_that_is_killed_while_it_makes_its_file_leaves_one_that_opens() {
    if let Ok(arguments) = std::env::var(MARK) {
        return publish(&arguments);
    }
    let mut random = Random::seeded();
    for round in 0..rounds(40) {
        let place = place();
        let arguments = format!("{round}\n1000\n{}", place.path.display());
        let mut child = child(
            "killed::a_process_that_is_killed_while_it_makes_its_file_leaves_one_that_opens",
            arguments,
        );
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let log = open(&place.path);
        let entries = run(read_all(&log)).unwrap();
        let newest = entries.last().map_or(0, |entry| entry.position);
        assert_eq!(run(log.head()).unwrap().position, newest);
    }
}

#[test]
fn a_process_that_is_killed_loses_nothing_that_was_answered() {
    if let Ok(arguments) = std::env::var(MARK) {
        return publish(&arguments);
    }
    let mut random = Random::seeded();
    let place = place();
    // What each position named, as it was answered or read.
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    let mut newest = 0;
    for round in 0..rounds(25) {
        let kept = if round % 5 == 4 { 200 } else { 1_000_000 };
        let mut child = child(
            "killed::a_process_that_is_killed_loses_nothing_that_was_answered",
            format!("{round}\n{kept}\n{}", place.path.display()),
        );
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // Now and then it is killed while it makes or opens the file.
        if random.below(5) > 0 {
            let mut line = String::new();
            while line != "open\n" {
                line.clear();
                assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it was open");
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();

        // Lines may have been cut off; those are of batches that were answered all the same.
        let mut answered = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("answered ")) {
            let mut words = line.splitn(3, ' ');
            let (last, count) = (words.next().unwrap(), words.next().unwrap());
            let (last, count): (u64, u64) = (last.parse().unwrap(), count.parse().unwrap());
            answered.insert(last, (count, words.next().unwrap().to_owned()));
        }
        let log = open(&place.path);
        let entries = run(read_all(&log)).unwrap();
        let head = run(log.head()).unwrap();
        let mut before = head.start;
        for entry in &entries {
            assert_eq!(entry.after, before, "a hole, in round {round}");
            before = entry.position;
            assert_ne!(entry.content, Content::Cut);
            let text = String::from_utf8(payload(entry).to_vec()).unwrap();
            let id = text.trim_end_matches('x').to_owned();
            if let Some(known) = known.insert(entry.position, id.clone()) {
                assert_eq!(known, id, "a position that names two things, in round {round}");
            }
        }
        assert_eq!(before, head.position);
        assert!(head.position >= newest);
        newest = head.position;
        for (last, (count, id)) in &answered {
            if *last <= head.start {
                continue;
            }
            assert_eq!(known.get(last), Some(id), "round {round}");
            let entry = entries.iter().find(|entry| entry.position == *last).unwrap();
            assert_eq!(entry.position - entry.after, *count);
        }
        println!("round {round}: {} answered, at {}", answered.len(), head.position);
    }
    assert!(newest > 100, "hardly anything was appended");
}

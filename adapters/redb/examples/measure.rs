//! Measures a store on the disk of the folder that is given, or of the temporary one:
//! `cargo run --release -p sansse-redb --example measure -- /var/lib`.

use bytes::Bytes;
use futures_util::future::join_all;
use sansse::broker::{Audience, BrokerConfig, PublishError};
use sansse::cluster::{Append, Log, NodeConfig, NodeId, Read, Realm};
use sansse::{Event, hub::HubBuilder};
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use sansse_smol::SmolRuntime;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each publisher publishes.
const LASTING: Duration = Duration::from_secs(3);

/// The bytes of one event, with what it says to whom.
const EVENT: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let path = folder.path().join("measure.redb");
    println!("{} bytes an event, in {}", EVENT, folder.path().display());
    println!(
        "| setting | publishers | events a batch | events a second | p50 | p99 | events a commit |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for durability in [Durability::default(), Durability::EachBatch] {
        for publishers in [1, 100, 5000] {
            smol::block_on(publish_to_realm(&path, durability, publishers))?;
        }
        for (publishers, count) in [(1, 1), (1, 16), (1, 256), (100, 1), (1000, 1), (4, 256)] {
            smol::block_on(publish(&path, durability, publishers, count))?;
        }
    }
    println!();
    for (events, count) in [(100_000, 1), (100_000, 256), (1_000_000, 256)] {
        smol::block_on(open(&path, events, count))?;
    }
    Ok(())
}

async fn publish(
    path: &Path,
    durability: Durability,
    publishers: u32,
    count: u32,
) -> Result<(), Box<dyn Error>> {
    let log = fresh(path, durability)?;
    let until = Instant::now() + LASTING;
    let lines = (1..=publishers).map(|publisher| {
        let log = log.clone();
        async move {
            let payload = Bytes::from(vec![b'x'; EVENT * count as usize]);
            let mut times = Vec::new();
            let mut number = 0;
            while Instant::now() < until {
                number += 1;
                let (node, payload) = (NodeId(publisher.into()), payload.clone());
                let began = Instant::now();
                log.append(Append { node, number, seen: 0, count, payload }).await?;
                times.push(began.elapsed());
            }
            Ok::<_, sansse::cluster::LogError>(times)
        }
    });
    let began = Instant::now();
    let mut times = Vec::new();
    for line in join_all(lines).await {
        times.extend(line?);
    }
    let batch = count.to_string();
    tell(&log, durability, publishers, &batch, times, u64::from(count), began.elapsed());
    Ok(())
}

/// Each publishes one event after the other, each when the one before is on the disk.
async fn publish_to_realm(
    path: &Path,
    durability: Durability,
    publishers: u32,
) -> Result<(), Box<dyn Error>> {
    let log = fresh(path, durability)?;
    let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
    let builder = HubBuilder::new(BrokerConfig::new(log.epoch()));
    let hub = sansse_smol::spawn_hub(&runtime, builder)?;
    let node = NodeConfig::new(log.node(), 1);
    let realm = Realm::join(hub, log.clone(), node, &runtime)?;
    realm.ready().await;
    let event = Event::new("x".repeat(EVENT));
    let until = Instant::now() + LASTING;
    let lines = (0..publishers).map(|_| async {
        let mut times = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            realm.publish(Audience::Everyone, &event).await?;
            times.push(began.elapsed());
        }
        Ok::<_, PublishError>(times)
    });
    let began = Instant::now();
    let mut times = Vec::new();
    for line in join_all(lines).await {
        times.extend(line?);
    }
    tell(&log, durability, publishers, "realm", times, 1, began.elapsed());
    realm.shut_down().await;
    log.close().await;
    Ok(())
}

fn tell(
    log: &RedbLog,
    durability: Durability,
    publishers: u32,
    batch: &str,
    mut times: Vec<Duration>,
    count: u64,
    took: Duration,
) {
    times.sort_unstable();
    let events = times.len() as u128 * u128::from(count);
    println!(
        "| {durability:?} | {publishers} | {batch} | {} | {:.1?} | {:.1?} | {} |",
        events * 1_000_000 / took.as_micros(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        events / u128::from(log.counters().commits),
    );
}

async fn open(path: &Path, events: u64, count: u32) -> Result<(), Box<dyn Error>> {
    let log = fresh(path, Durability::EachBatch)?;
    let payload = Bytes::from(vec![b'x'; EVENT * count as usize]);
    let batches = events.div_ceil(count.into());
    // As many at once as one commit takes.
    for group in 0..batches.div_ceil(250) {
        let appends = (0..250.min(batches - group * 250)).map(|node| {
            let node = NodeId(u128::from(group * 250 + node));
            log.append(Append { node, number: 1, seen: 0, count, payload: payload.clone() })
        });
        for append in join_all(appends).await {
            append?;
        }
    }
    let killed = path.with_extension("killed");
    fs::copy(path, &killed)?;
    log.close().await;
    let size = fs::metadata(path)?.len() >> 20;

    let began = Instant::now();
    let log = RedbLog::open(RedbLogConfig::new(path))?;
    let closed = began.elapsed();
    let began = Instant::now();
    let mut after = 0;
    loop {
        let page = log.read(Read { after, max_bytes: 1 << 20, wait: Duration::ZERO }).await?;
        let Some(last) = page.entries.last() else { break };
        after = last.position;
    }
    let read = began.elapsed();
    let began = Instant::now();
    drop(RedbLog::open(RedbLogConfig::new(&killed))?);
    let repaired = began.elapsed();
    fs::remove_file(killed)?;
    println!(
        "{events} events in batches of {count}, {size} MiB: opened in {closed:.1?} after a close and {repaired:.1?} after a kill, \
         read in {read:.1?}"
    );
    Ok(())
}

fn fresh(path: &Path, durability: Durability) -> Result<RedbLog, Box<dyn Error>> {
    if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(RedbLog::open(RedbLogConfig::new(path).with_durability(durability))?)
}

//! A stream in a file.

use sansse::Event;
use sansse::broker::{Audience, BrokerConfig, PublishError};
use sansse::cluster::{NodeConfig, Realm};
use sansse::hub::HubBuilder;
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use sansse_tokio::{TokioRuntime, random_seed};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the data of an event is, in bytes.
const SIZE: usize = 100;

pub(crate) async fn measure() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("many.redb");
    let every = Durability::Interval(Duration::from_millis(50));

    let (log, realm) = open(&file, every).await?;
    let (publishers, each) = (4_000, 100);
    let begun = Instant::now();
    let all: Vec<_> = (0..publishers)
        .map(|_| {
            let realm = realm.clone();
            tokio::spawn(async move {
                for _ in 0..each {
                    realm.publish(Audience::Everyone, &Event::new("x".repeat(SIZE))).await?;
                }
                Ok::<(), PublishError>(())
            })
        })
        .collect();
    for one in all {
        one.await??;
    }
    let rate = f64::from(publishers * each) / begun.elapsed().as_secs_f64();
    println!("in a file, a commit every 50 ms: {rate:.0} publishes a second (aim 50,000)");
    realm.shut_down().await;
    log.close().await;

    let (log, realm) = open(&directory.path().join("one.redb"), Durability::EachBatch).await?;
    let begun = Instant::now();
    let count = 2_000;
    for _ in 0..count {
        realm.publish(Audience::Everyone, &Event::new("x".repeat(SIZE))).await?;
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    println!(
        "in a file, each batch durable, one publisher that waits: {rate:.0} a second (aim 1,000)"
    );
    realm.shut_down().await;
    log.close().await;

    let begun = Instant::now();
    let (log, realm) = open(&file, every).await?;
    let took = begun.elapsed();
    let kept = realm.hub().counters().published;
    println!("restart with {kept} events: {} ms (aim 1,000)", took.as_millis());
    realm.shut_down().await;
    log.close().await;
    Ok(())
}

async fn open(file: &Path, durability: Durability) -> Result<(RedbLog, Realm), Box<dyn Error>> {
    let log = RedbLog::open(RedbLogConfig::new(file).with_durability(durability))?;
    let mut config = BrokerConfig::new(log.epoch());
    config.retention.events = 200_000.try_into()?;
    config.retention.bytes = (64 << 20).try_into()?;
    let (hub, drive) = HubBuilder::new(config).build(TokioRuntime)?;
    tokio::spawn(drive);
    let node = NodeConfig::new(log.node(), random_seed());
    let realm = Realm::join(hub, log.clone(), node, &TokioRuntime)?;
    realm.ready().await;
    Ok((log, realm))
}

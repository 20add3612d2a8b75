//! Nodes that share a stream.

use crate::engine::{Engine, Node};
use futures_util::StreamExt;
use sansse::broker::{Audience, Epoch, Resumption, SessionConfig, TopicName};
use sansse::hub::Session;
use sansse::{Event, LastEventId};
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// How long the data of an event is, in bytes.
const SIZE: usize = 100;

type Measured = Result<(), Box<dyn Error>>;

/// From a publish on one node to the delivery on each of the others.
pub(crate) async fn latency(engine: &Engine, seconds: u64) -> Measured {
    println!(
        "publish on one node to delivery on the others, ms; aims: p99 2 at 1,000/s, 10 at 50,000/s"
    );
    println!(
        "{:>6} {:>9} {:>9} {:>8} {:>8} {:>8}",
        "nodes", "events/s", "reached", "p50", "p99", "most"
    );
    for count in [2, 4, 8] {
        for rate in [1, 1_000, 50_000] {
            let realm = format!("latency-{count}-{rate}");
            let mut nodes = Vec::new();
            for _ in 0..count {
                nodes.push(engine.node(&realm).await?);
            }
            let begun = Instant::now();
            let total = rate * seconds;
            let mut readers = Vec::new();
            for node in &nodes[1..] {
                let session = node.hub().open(SessionConfig::new())?;
                readers.push(tokio::spawn(times(session, begun, total)));
            }
            let took = publish(&nodes[0], begun, rate, total).await?;
            let mut all = Vec::new();
            for reader in readers {
                all.extend(timeout(Duration::from_secs(60), reader).await??);
            }
            all.sort_unstable();
            // Not in the middle of the next measurement.
            for node in nodes {
                node.realm.shut_down().await;
            }
            let reached = f64::from(u32::try_from(total)?) / took.as_secs_f64();
            let at = |part: usize| milliseconds(all[(all.len() - 1) * part / 1_000]);
            println!(
                "{count:>6} {rate:>9} {reached:>9.0} {:>8.2} {:>8.2} {:>8.2}",
                at(500),
                at(990),
                at(1_000)
            );
        }
    }
    Ok(())
}

/// Publishes so many events a second, and does not wait for one before the next. Returns how long it
/// took until the last was acknowledged.
async fn publish(
    node: &Node,
    begun: Instant,
    rate: u64,
    total: u64,
) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut under_way): (u64, Vec<JoinHandle<bool>>) = (0, Vec::new());
    while sent < total {
        ticks.tick().await;
        let due = (u64::try_from(start.elapsed().as_micros())? * rate / 1_000_000 + 1).min(total);
        for _ in sent..due {
            let realm = node.realm.clone();
            under_way.push(tokio::spawn(async move {
                let at = begun.elapsed().as_nanos();
                let event = Event::new(format!("{at:0>SIZE$}"));
                realm.publish(Audience::Everyone, &event).await.is_ok()
            }));
        }
        sent = due.max(sent);
    }
    let mut refused = 0;
    for one in under_way {
        refused += u64::from(!one.await?);
    }
    if refused > 0 {
        return Err(format!("{refused} of {total} publishes at {rate}/s were refused").into());
    }
    Ok(start.elapsed())
}

/// How long each event was on its way to this session.
async fn times(mut session: Session, begun: Instant, total: u64) -> Vec<Duration> {
    let mut times = Vec::new();
    while (times.len() as u64) < total {
        let Some(Ok(frame)) = session.next().await else { break };
        let now = begun.elapsed();
        let text = String::from_utf8_lossy(frame.as_ref()).into_owned();
        let data = text.lines().find_map(|line| line.strip_prefix("data: 0"));
        if let Some(at) = data.and_then(|data| data.parse::<u64>().ok()) {
            times.push(now.saturating_sub(Duration::from_nanos(at)));
        }
    }
    times
}

/// What an event costs a node where nobody is interested in it, in processor time.
pub(crate) async fn uninterested(engine: &Engine) -> Measured {
    let mut costs = Vec::new();
    let (total, rate) = (100_000, 20_000);
    let topic = TopicName::new("nobody/listens")?;
    for count in [1, 9] {
        let realm = format!("uninterested-{count}");
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(engine.node(&realm).await?);
        }
        let before = processor_time()?;
        publish_to(&nodes[0], &topic, rate, total).await?;
        for node in &nodes {
            while node.realm.applied() < nodes[0].realm.applied() {
                sleep(Duration::from_millis(1)).await;
            }
        }
        costs.push(processor_time()?.saturating_sub(before));
    }
    let more = costs[1].saturating_sub(costs[0]);
    let each = more.as_secs_f64() * 1e6 / f64::from(u32::try_from(total)?) / 8.0;
    println!("an event on a node where nobody listens: {each:.2} µs of processor time (aim 2)");
    Ok(())
}

async fn publish_to(node: &Node, topic: &TopicName, rate: u64, total: u64) -> Measured {
    let mut ticks = interval(Duration::from_millis(1));
    let mut under_way = Vec::new();
    for _ in 0..total * 1_000 / rate {
        ticks.tick().await;
        for _ in 0..rate / 1_000 {
            let (realm, topic) = (node.realm.clone(), topic.clone());
            under_way.push(tokio::spawn(async move {
                realm.publish(topic, &Event::new("x".repeat(SIZE))).await.is_ok()
            }));
        }
    }
    for one in under_way {
        if !one.await? {
            return Err("a publish was refused".into());
        }
    }
    Ok(())
}

/// 10,000 sessions of a node that is gone come back to another.
pub(crate) async fn resume(engine: &Engine) -> Measured {
    const SESSIONS: u64 = 10_000;
    let (one, other) = (engine.node("resume").await?, engine.node("resume").await?);
    let mut position = 0;
    for number in 0..1_000 {
        let event = Event::new(number.to_string());
        position = one.realm.publish(Audience::Everyone, &event).await?;
    }
    while other.realm.applied() < position {
        sleep(Duration::from_millis(1)).await;
    }
    // Each had got so far, somewhere in the last hundred events, when its node was gone.
    drop(one);
    let epoch = Epoch::of_name("resume");
    let reads = other.reads();
    let begun = Instant::now();
    let mut resumed = Vec::new();
    for number in 0..SESSIONS {
        let id = format!("{epoch}-{}", position - number % 100);
        let last = LastEventId::from_header(id.as_bytes());
        let session = other.hub().open(SessionConfig::new().with_last_event_id(last))?;
        let complete = Resumption::Complete { replayed: number % 100 };
        if session.resumption() != complete {
            return Err(format!("{:?} instead of {complete:?}", session.resumption()).into());
        }
        resumed.push(session);
    }
    let (took, reads) = (begun.elapsed(), other.reads() - reads);
    println!(
        "{SESSIONS} sessions resumed on another node: {:.0} ms, {reads} reads of the engine (aim 0)",
        milliseconds(took)
    );
    Ok(())
}

/// A node joins a realm that has 100,000 events.
pub(crate) async fn join(engine: &Engine) -> Measured {
    const EVENTS: u64 = 100_000;
    let one = engine.node("join").await?;
    publish(&one, Instant::now(), 40_000, EVENTS).await?;
    let begun = Instant::now();
    let late = engine.node("join").await?;
    let took = begun.elapsed();
    let kept = late.hub().counters().published;
    println!("join with {kept} events: {:.0} ms (aim 1,000)", milliseconds(took));
    Ok(())
}

/// An engine is killed and started again without data: how long until the next event is delivered on
/// another node.
pub(crate) async fn restart(engine: &mut Engine) -> Measured {
    let (one, other) = (engine.node("restart").await?, engine.node("restart").await?);
    let mut session = other.hub().open(SessionConfig::new())?;
    one.realm.publish(Audience::Everyone, &Event::new("before")).await?;
    while one.realm.applied() != other.realm.applied() {
        sleep(Duration::from_millis(1)).await;
    }
    engine.restart()?;
    let begun = Instant::now();
    while one.realm.publish(Audience::Everyone, &Event::new("after")).await.is_err() {
        sleep(Duration::from_millis(1)).await;
    }
    let published = begun.elapsed();
    let after = async {
        while let Some(Ok(frame)) = session.next().await {
            if frame.payload().ends_with(b"data: after\n\n") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), after).await?;
    println!(
        "from an engine that listens again: {:.0} ms to the first publish, {:.0} ms to its delivery \
         on another node (aim 1,000)",
        milliseconds(published),
        milliseconds(begun.elapsed())
    );
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What this process has used of the processors, of Linux.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no such file as it is on Linux")?;
    let ticks: Vec<u64> =
        rest.split_whitespace().skip(11).take(2).filter_map(|one| one.parse().ok()).collect();
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

//! Patterns that peers choose: each session names its own, and whatever it names is looked up
//! among all topics and all that they keep, while everybody else waits for the lock.

use crate::report::{Broken, Report, Size, promise};
use sansse::broker::{
    Broker, BrokerConfig, Epoch, SessionConfig, SessionId, StartAt, TopicName, TopicPattern,
    Transmit,
};
use sansse::{Event, LastEventId};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many levels each name has above its own.
const LEVELS: usize = 10;

/// Topics that keep events, sessions with patterns, and publishes beside them.
pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let topics = size.pick(3_000, 90_000);
    let each = 10;
    let distinct = size.pick(50, 1_000);
    // A loaded machine without optimization is much slower, and what grew with the topics would be
    // slower still.
    let most = Duration::from_millis(size.pick(500, 25));
    let now = Instant::now();
    let config = BrokerConfig::new(Epoch(1));
    let limit = config.limits.pattern_events.get() as usize;
    let mut broker = filled(now, config, topics, each)?;
    let kept = topics * each;
    report.figure("topics, and events that they keep", format_args!("{topics}, {kept}"));

    // A single call may have been interrupted.
    let median = opens(now, &mut broker, report)?;
    promise(median < most, || format!("an open took {median:?}"))?;
    owed(now, &mut broker, kept.min(limit), report)?;
    let median = distinct_patterns(now, &mut broker, distinct, report)?;
    promise(median < most, || format!("an open with a new pattern took {median:?}"))?;
    let (alone, beside) = beside_publishes(broker, report)?;
    let slower = alone + most * 200;
    promise(beside < slower, || format!("200 publishes took {beside:?}, and {alone:?} alone"))
}

fn filled(
    now: Instant,
    config: BrokerConfig,
    topics: usize,
    each: usize,
) -> Result<Broker, Broken> {
    let mut broker = Broker::new(now, config)?;
    let names = (0..topics).map(topic).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..each {
        for name in &names {
            broker.publish(now, name.clone(), &Event::new("x"))?;
        }
    }
    Ok(broker)
}

fn topic(number: usize) -> Result<TopicName, Broken> {
    Ok(TopicName::new("t/".repeat(LEVELS) + &number.to_string())?)
}

fn everything() -> Result<SessionConfig, Broken> {
    Ok(SessionConfig::new().with_topic(TopicPattern::new("**")?))
}

/// Opens and closes sessions with one pattern, and returns how long a call took, at the median.
fn opens(now: Instant, broker: &mut Broker, report: &mut Report) -> Result<Duration, Broken> {
    let (mut open, mut close, mut publish) = (Vec::new(), Vec::new(), Vec::new());
    let name = topic(7)?;
    for _ in 0..15 {
        let started = Instant::now();
        let session = broker.open(now, everything()?)?.session;
        open.push(started.elapsed());
        let started = Instant::now();
        broker.publish(now, name.clone(), &Event::new("x"))?;
        publish.push(started.elapsed());
        let started = Instant::now();
        broker.handle_disconnect(now, session);
        close.push(started.elapsed());
        while broker.poll_event().is_some() {}
    }
    let open = Spread::of(open);
    let close = Spread::of(close);
    report.figure("open with **: median, worst", &open);
    report.figure("the last that has ** leaves: median, worst", &close);
    report.figure("publish beside it: median, worst", Spread::of(publish));
    Ok(open.median.max(close.median))
}

/// Opens a session that wants all that is kept, and one that comes back from the beginning, and
/// checks what they get against what they are told.
fn owed(
    now: Instant,
    broker: &mut Broker,
    expected: usize,
    report: &mut Report,
) -> Result<(), Broken> {
    let opened = broker.open(now, everything()?.with_start(StartAt::Oldest))?;
    let told = opened.resumption.replayed();
    let started = Instant::now();
    let ids = ids(now, broker, opened.session);
    report.figure("events that a session with ** gets of those kept", ids.len());
    report.figure("time to read them", format_args!("{:?}", started.elapsed()));
    promise(ids.len() as u64 == told, || format!("{} events came, {told} were told", ids.len()))?;
    promise(ids.len() >= expected, || format!("{} events of {expected} came", ids.len()))?;
    promise(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), || "not in order".into())?;
    broker.handle_disconnect(now, opened.session);

    let first = LastEventId::from_header(b"1-1");
    let back = broker.open(now, everything()?.with_last_event_id(first))?;
    let is_all = ids.first().is_some_and(|first| *first <= 2);
    report.figure("what one is told that comes back", format_args!("{:?}", back.resumption));
    promise(is_all != back.resumption.may_miss(), || "it is told the wrong thing".into())?;
    broker.handle_disconnect(now, back.session);
    while broker.poll_event().is_some() {}
    Ok(())
}

fn ids(now: Instant, broker: &mut Broker, session: SessionId) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) {
        let payload = frame.payload();
        let payload = String::from_utf8_lossy(&payload);
        if payload.contains("data: x") {
            let id = payload.strip_prefix("id: 1-").and_then(|rest| rest.split('\n').next());
            ids.extend(id.and_then(|id| id.parse::<u64>().ok()));
        }
    }
    ids
}

/// Opens sessions with a pattern each that no other has, and that all match everything.
fn distinct_patterns(
    now: Instant,
    broker: &mut Broker,
    count: usize,
    report: &mut Report,
) -> Result<Duration, Broken> {
    let (before, counted) = (resident(), broker.counters().retained_bytes);
    let (mut times, mut sessions) = (Vec::new(), Vec::new());
    let until = Instant::now() + Duration::from_secs(60);
    for number in 0..count {
        let pattern = distinct(number)?;
        let config = SessionConfig::new().with_topic(pattern);
        let started = Instant::now();
        sessions.push(broker.open(now, config)?.session);
        times.push(started.elapsed());
        while broker.poll_event().is_some() {}
        // What costs gigabytes is known by then.
        if Instant::now() > until || resident().saturating_sub(before) > 4 << 30 {
            break;
        }
    }
    let (resident, counted_then) = (resident(), broker.counters().retained_bytes);
    let opened = sessions.len();
    let spread = Spread::of(times);
    report.figure("distinct patterns", opened);
    report.figure("open with one more: median, worst", &spread);
    let bytes = resident.saturating_sub(before);
    report.figure("memory of each, resident", format_args!("{} KiB", bytes / opened / 1024));
    report.figure("retained bytes that came with them", counted_then - counted);
    promise(bytes < (256 << 20), || format!("{opened} patterns took {bytes} bytes"))?;
    let started = Instant::now();
    broker.publish(now, topic(7)?, &Event::new("x"))?;
    report.figure(
        "publish to a topic that all of them match",
        format_args!("{:?}", started.elapsed()),
    );
    for session in sessions {
        broker.handle_disconnect(now, session);
    }
    while broker.poll_event().is_some() {}
    Ok(spread.median)
}

/// Each number up to 1,023 has a pattern of its own that matches every topic.
fn distinct(number: usize) -> Result<TopicPattern, Broken> {
    let levels = (0..LEVELS).map(|bit| if number >> bit & 1 == 0 { "t/" } else { "*/" });
    Ok(TopicPattern::new(levels.collect::<String>() + "*")?)
}

/// Publishes 200 times, alone and while a connection with `**` comes and goes.
fn beside_publishes(broker: Broker, report: &mut Report) -> Result<(Duration, Duration), Broken> {
    let broker = Mutex::new(broker);
    let publishes = || -> Result<Duration, Broken> {
        let started = Instant::now();
        for number in 0..200 {
            let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
            broker.publish(Instant::now(), topic(number)?, &Event::new("x"))?;
            drop(broker);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(started.elapsed())
    };
    let alone = publishes()?;
    let (is_over, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    let beside = thread::scope(|scope| {
        let peer = scope.spawn(|| -> Result<(), Broken> {
            while !is_over.load(Ordering::Relaxed) {
                let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
                let session = broker.open(Instant::now(), everything()?)?.session;
                broker.handle_disconnect(Instant::now(), session);
                while broker.poll_event().is_some() {}
                drop(broker);
                opened.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
            Ok(())
        });
        let beside = publishes();
        is_over.store(true, Ordering::Relaxed);
        peer.join().map_err(|_| std::io::Error::other("the peer panicked"))??;
        beside
    })?;
    report.figure("200 publishes alone, a millisecond apart", format_args!("{alone:?}"));
    report.figure("200 publishes while one comes and goes with **", format_args!("{beside:?}"));
    report.figure("how often it came", opened.into_inner());
    Ok((alone, beside))
}

struct Spread {
    median: Duration,
    worst: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |index: usize| times.get(index).copied().unwrap_or_default();
        Self { median: at(times.len() / 2), worst: at(times.len().saturating_sub(1)) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {:?}", self.median, self.worst)
    }
}

/// Bytes of this process in memory; 0 where the system does not say.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kibibytes.unwrap_or(0) * 1024
}
